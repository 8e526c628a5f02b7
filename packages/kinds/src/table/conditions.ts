import type { JSONSchemaProps } from "../kinds.ts";

export const text: JSONSchemaProps = { type: "string" };

/** A list of `metav1.Condition`. */
export const conditions: JSONSchemaProps = {
  type: "array",
  "x-kubernetes-list-type": "map",
  "x-kubernetes-list-map-keys": ["type"],
  items: {
    type: "object",
    required: ["type", "status", "reason", "lastTransitionTime"],
    properties: {
      type: text,
      status: { type: "string", enum: ["True", "False", "Unknown"] },
      reason: text,
      message: text,
      lastTransitionTime: { type: "string", format: "date-time" },
      observedGeneration: { type: "integer", format: "int64" },
    },
  },
};

/** The path of a condition's status, for a printer column. */
export const conditionOf = (type: string): string => `.status.conditions[?(@.type=="${type}")].status`;
