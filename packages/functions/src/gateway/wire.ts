import type { FunctionResource } from "@cortado/kinds";
import { StatusError } from "@cortado/std/status";
import { DEFAULT_NAMESPACE } from "../limits.ts";

type Texts = Readonly<Record<string, string>>;

/** OpenFaaS' FunctionDeployment, as clients send it. */
export type FunctionDeployment = {
  readonly service: string;
  readonly namespace: string;
  readonly spec: FunctionResource["spec"];
};

/** @throws StatusError "BadRequest" that names the field */
export function readDeployment(value: unknown): FunctionDeployment {
  const fields = record(value, "the body");
  const service = text(fields["service"], "service");
  if (!/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(service))
    throw bad(`service ${JSON.stringify(service)}: use lower-case letters, digits and -, at most 63`);
  const image = text(fields["image"], "image");
  const spec: FunctionResource["spec"] = { name: service, image };
  const handler = optionalText(fields["envProcess"], "envProcess");
  if (handler !== undefined) spec.handler = handler;
  const environment = texts(fields["envVars"], "envVars");
  if (environment !== undefined) spec.environment = environment;
  const labels = texts(fields["labels"], "labels");
  if (labels !== undefined) spec.labels = labels;
  const annotations = texts(fields["annotations"], "annotations");
  if (annotations !== undefined) spec.annotations = annotations;
  const limits = texts(fields["limits"], "limits");
  if (limits !== undefined) spec.limits = limits;
  const requests = texts(fields["requests"], "requests");
  if (requests !== undefined) spec.requests = requests;
  const secrets = list(fields["secrets"], "secrets");
  if (secrets !== undefined) spec.secrets = secrets;
  const constraints = list(fields["constraints"], "constraints");
  if (constraints !== undefined) spec.constraints = constraints;
  if (fields["readOnlyRootFilesystem"] === true) spec.readOnlyRootFilesystem = true;
  return { service, namespace: optionalText(fields["namespace"], "namespace") ?? DEFAULT_NAMESPACE, spec };
}

export type Counts = { readonly replicas: number; readonly available: number; readonly calls: number };

/**
 * OpenFaaS' FunctionStatus. Labels and annotations are there even when empty, the rest only when set: their clients compare it with
 * what they sent.
 */
export function toStatus(
  { metadata, spec }: FunctionResource,
  { replicas, available, calls }: Counts,
): Readonly<Record<string, unknown>> {
  const created = metadata.creationTimestamp;
  const set = (name: string, value: object | undefined): object =>
    value === undefined || Object.keys(value).length === 0 ? {} : { [name]: value };
  return {
    name: metadata.name,
    image: spec.image,
    namespace: metadata.namespace,
    ...(spec.handler === undefined ? {} : { envProcess: spec.handler }),
    ...set("envVars", spec.environment),
    ...set("constraints", spec.constraints),
    ...set("secrets", spec.secrets),
    labels: { ...spec.labels, faas_function: metadata.name },
    annotations: spec.annotations ?? {},
    ...set("limits", spec.limits),
    ...set("requests", spec.requests),
    ...(spec.readOnlyRootFilesystem === true ? { readOnlyRootFilesystem: true } : {}),
    invocationCount: calls,
    replicas,
    availableReplicas: available,
    createdAt: typeof created === "string" ? created : undefined,
  };
}

export function record(value: unknown, what: string): Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw bad(`${what} is not an object`);
  return value as Readonly<Record<string, unknown>>;
}

export function text(value: unknown, field: string): string {
  if (typeof value !== "string" || value === "") throw bad(`${field} must be a text`);
  return value;
}

export function optionalText(value: unknown, field: string): string | undefined {
  return value === undefined || value === null || value === "" ? undefined : text(value, field);
}

function texts(value: unknown, field: string): Record<string, string> | undefined {
  if (value === undefined || value === null) return undefined;
  const found = record(value, field);
  for (const [name, one] of Object.entries(found))
    if (typeof one !== "string") throw bad(`${field}.${name} must be a text`);
  const all = { ...(found as Texts) };
  return Object.keys(all).length === 0 ? undefined : all;
}

function list(value: unknown, field: string): string[] | undefined {
  if (value === undefined || value === null) return undefined;
  if (!Array.isArray(value) || value.some((one) => typeof one !== "string"))
    throw bad(`${field} must be a list of texts`);
  return value.length === 0 ? undefined : (value as string[]);
}

function bad(message: string): StatusError {
  return new StatusError("BadRequest", message);
}
