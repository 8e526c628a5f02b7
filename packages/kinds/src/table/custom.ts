import type { CustomResourceDefinition, JSONSchemaProps } from "../kinds.ts";
import { conditionOf, conditions, text } from "./conditions.ts";
import { mqttDefinitions } from "./mqtt.ts";

const texts: JSONSchemaProps = { type: "object", additionalProperties: { type: "string" } };
const count: JSONSchemaProps = { type: "integer", format: "int32" };
const amounts: JSONSchemaProps = { type: "object", properties: { cpu: text, memory: text } };

/** openfaas.com/v1 Function, as faas-cli generates it. */
const functionDefinition: CustomResourceDefinition = {
  apiVersion: "apiextensions.k8s.io/v1",
  kind: "CustomResourceDefinition",
  metadata: { name: "functions.openfaas.com" },
  spec: {
    group: "openfaas.com",
    scope: "Namespaced",
    names: {
      plural: "functions",
      singular: "function",
      kind: "Function",
      listKind: "FunctionList",
      shortNames: ["fn"],
    },
    versions: [
      {
        name: "v1",
        served: true,
        storage: true,
        subresources: { status: {} },
        additionalPrinterColumns: [
          { name: "Image", type: "string", jsonPath: ".spec.image" },
          { name: "Ready", type: "string", jsonPath: conditionOf("Ready"), priority: 1 },
          { name: "Healthy", type: "string", jsonPath: conditionOf("Healthy") },
          { name: "Replicas", type: "integer", jsonPath: ".status.replicas" },
          { name: "Available", type: "integer", jsonPath: ".status.availableReplicas" },
          { name: "Unavailable", type: "integer", jsonPath: ".status.unavailableReplicas", priority: 1 },
        ],
        schema: {
          openAPIV3Schema: {
            type: "object",
            description: "A function that the gateway calls by its name.",
            required: ["spec"],
            properties: {
              spec: {
                type: "object",
                required: ["name", "image"],
                properties: {
                  name: {
                    type: "string",
                    description: "How the gateway calls it.",
                    minLength: 1,
                    maxLength: 63,
                  },
                  image: {
                    type: "string",
                    description: "A runtime image of ours, or a container image that serves HTTP.",
                    minLength: 1,
                  },
                  handler: { type: "string", description: "The process to start; becomes fprocess." },
                  environment: texts,
                  labels: texts,
                  annotations: texts,
                  constraints: { type: "array", items: text },
                  secrets: { type: "array", items: text },
                  limits: amounts,
                  requests: amounts,
                  readOnlyRootFilesystem: { type: "boolean" },
                },
              },
              status: {
                type: "object",
                properties: {
                  conditions,
                  replicas: count,
                  availableReplicas: count,
                  unavailableReplicas: count,
                  observedGeneration: { type: "integer", format: "int64" },
                  isolation: {
                    type: "string",
                    description: "What really separates an instance from the rest.",
                  },
                  profiles: {
                    type: "array",
                    items: {
                      type: "object",
                      properties: {
                        profileRef: { type: "object", properties: { name: text, namespace: text } },
                        observedGeneration: { type: "integer", format: "int64" },
                      },
                    },
                  },
                },
              },
            },
          },
        },
      },
    ],
  },
};

const alertDefinition: CustomResourceDefinition = {
  apiVersion: "apiextensions.k8s.io/v1",
  kind: "CustomResourceDefinition",
  metadata: { name: "alerts.telemetry.cortado.dev" },
  spec: {
    group: "telemetry.cortado.dev",
    scope: "Namespaced",
    names: { plural: "alerts", singular: "alert", kind: "Alert", listKind: "AlertList" },
    versions: [
      {
        name: "v1alpha1",
        served: true,
        storage: true,
        additionalPrinterColumns: [
          { name: "Source", type: "string", jsonPath: ".spec.source" },
          { name: "Text", type: "string", jsonPath: ".spec.text" },
          { name: "Topic", type: "string", jsonPath: ".spec.topic", priority: 1 },
          { name: "At", type: "date", jsonPath: ".spec.at" },
        ],
        schema: {
          openAPIV3Schema: {
            type: "object",
            description: "Something that a person should know of; its name comes from the id of the event.",
            required: ["spec"],
            properties: {
              spec: {
                type: "object",
                required: ["store", "source", "text", "at"],
                properties: {
                  store: { type: "string", description: "The store that it happened in." },
                  source: { type: "string", description: "What raised it: a function, a service." },
                  topic: { type: "string", description: "The MQTT topic of the message behind it." },
                  payload: { type: "string", description: "The message behind it, as text." },
                  text: { type: "string", description: "What to tell the person." },
                  at: { type: "string", format: "date-time", description: "When it happened." },
                },
              },
            },
          },
        },
      },
    ],
  },
};

const deadLetterDefinition: CustomResourceDefinition = {
  apiVersion: "apiextensions.k8s.io/v1",
  kind: "CustomResourceDefinition",
  metadata: { name: "deadletters.functions.cortado.dev" },
  spec: {
    group: "functions.cortado.dev",
    scope: "Namespaced",
    names: {
      plural: "deadletters",
      singular: "deadletter",
      kind: "DeadLetter",
      listKind: "DeadLetterList",
      shortNames: ["dl"],
    },
    versions: [
      {
        name: "v1alpha1",
        served: true,
        storage: true,
        additionalPrinterColumns: [
          { name: "Function", type: "string", jsonPath: ".spec.function" },
          { name: "Topic", type: "string", jsonPath: ".spec.topic" },
          { name: "Tries", type: "integer", jsonPath: ".spec.tries" },
          { name: "Last Error", type: "string", jsonPath: ".spec.lastError" },
          { name: "Payload", type: "string", jsonPath: ".spec.payload", priority: 1 },
          { name: "Arrived", type: "date", jsonPath: ".spec.arrivedAt" },
        ],
        schema: {
          openAPIV3Schema: {
            type: "object",
            description:
              "An MQTT message whose function failed again and again. Annotate it with cortado.local/replay to have the function called once more; delete it to drop the message.",
            required: ["spec"],
            properties: {
              spec: {
                type: "object",
                required: ["function", "topic", "messageId", "arrivedAt", "tries", "lastError", "failedAt"],
                properties: {
                  function: {
                    type: "string",
                    description: "The function, in this namespace.",
                    minLength: 1,
                  },
                  topic: { type: "string", description: "The message's topic." },
                  payload: { type: "string", description: "The message, where it is text." },
                  payloadBase64: {
                    type: "string",
                    format: "byte",
                    description: "The message, where it is no text.",
                  },
                  messageId: { type: "string", description: "X-Call-Id of every call for it." },
                  sequence: {
                    type: "integer",
                    format: "int64",
                    description: "Its number at the broker; absent for QoS 0.",
                  },
                  arrivedAt: {
                    type: "string",
                    format: "date-time",
                    description: "When the broker took it.",
                  },
                  tries: { ...count, description: "Calls that failed, replays among them." },
                  lastError: { type: "string", description: "How the last one failed." },
                  failedAt: { type: "string", format: "date-time", description: "When it did." },
                },
              },
            },
          },
        },
      },
    ],
  },
};

/** The definitions that come with every store. */
export const ownDefinitions: readonly CustomResourceDefinition[] = [
  functionDefinition,
  alertDefinition,
  deadLetterDefinition,
  ...mqttDefinitions,
];
