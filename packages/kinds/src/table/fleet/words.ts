import type { CustomResourceDefinition, JSONSchemaProps } from "../../kinds.ts";

/** What the schemas of the fleet kinds are made of. Nearly nothing is required there: loops check, as upstream's do. */
export const text: JSONSchemaProps = { type: "string" };
export const flag: JSONSchemaProps = { type: "boolean" };
export const count: JSONSchemaProps = { type: "integer", format: "int64" };
export const time: JSONSchemaProps = { type: "string", format: "date-time" };
export const bytes: JSONSchemaProps = { type: "string", format: "byte" };
export const countOrPercent: JSONSchemaProps = { "x-kubernetes-int-or-string": true };
export const anything: JSONSchemaProps = { "x-kubernetes-preserve-unknown-fields": true };
export const anyObject: JSONSchemaProps = { type: "object", "x-kubernetes-preserve-unknown-fields": true };

export type Fields = Readonly<Record<string, JSONSchemaProps>>;

export function object(properties: Fields, required?: readonly string[]): JSONSchemaProps {
  return { type: "object", properties: { ...properties }, ...(required ? { required: [...required] } : {}) };
}

export function list(items: JSONSchemaProps): JSONSchemaProps {
  return { type: "array", items };
}

export function map(of: JSONSchemaProps): JSONSchemaProps {
  return { type: "object", additionalProperties: of };
}

/** Fields of one schema by a list of names. */
export function each(schema: JSONSchemaProps, names: string): Fields {
  return Object.fromEntries(names.split(" ").map((name) => [name, schema]));
}

export const texts: JSONSchemaProps = list(text);
export const textMap: JSONSchemaProps = map(text);

export const selector: JSONSchemaProps = object({
  matchLabels: textMap,
  matchExpressions: list(object({ key: text, operator: text, values: texts }, ["key", "operator"])),
});

export const conditions: JSONSchemaProps = list(
  object(
    {
      type: text,
      status: text,
      reason: text,
      message: text,
      lastUpdateTime: text,
      lastTransitionTime: text,
    },
    ["type", "status"],
  ),
);

export type Column = {
  readonly name: string;
  readonly type: "string" | "integer" | "date" | "boolean";
  readonly jsonPath: string;
  readonly priority?: number;
};

export function column(name: string, jsonPath: string, more: Partial<Column> = {}): Column {
  return { name, type: "string", jsonPath, ...more };
}

export type FleetKind = {
  readonly kind: string;
  readonly plural: string;
  readonly about: string;
  readonly isWide?: boolean;
  /** Listed by `kubectl get fleet`. */
  readonly isListed?: boolean;
  readonly columns?: readonly Column[];
  readonly spec?: JSONSchemaProps;
  readonly needsSpec?: boolean;
  readonly status?: JSONSchemaProps;
  /** Fields beside metadata, spec and status. */
  readonly top?: Fields;
  readonly selectable?: readonly string[];
};

/** A definition of group `fleet.cattle.io`, version v1alpha1. */
export function define(row: FleetKind): CustomResourceDefinition {
  const singular = row.kind.toLowerCase();
  const { plural, kind } = row;
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: `${plural}.fleet.cattle.io` },
    spec: {
      group: "fleet.cattle.io",
      scope: row.isWide === true ? "Cluster" : "Namespaced",
      names: {
        plural,
        singular,
        kind,
        listKind: `${kind}List`,
        ...(row.isListed === true ? { categories: ["fleet"] } : {}),
      },
      versions: [
        {
          name: "v1alpha1",
          served: true,
          storage: true,
          ...(row.status === undefined ? {} : { subresources: { status: {} } }),
          ...(row.columns === undefined
            ? {}
            : {
                additionalPrinterColumns: [
                  ...row.columns,
                  column("Age", ".metadata.creationTimestamp", { type: "date" }),
                ],
              }),
          schema: {
            openAPIV3Schema: {
              ...object(
                {
                  ...row.top,
                  ...(row.spec === undefined ? {} : { spec: row.spec }),
                  ...(row.status === undefined ? {} : { status: row.status }),
                },
                row.needsSpec === true ? ["spec"] : undefined,
              ),
              description: row.about,
            },
          },
        },
      ],
    },
  };
}
