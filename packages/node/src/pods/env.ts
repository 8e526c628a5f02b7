import type { Container, EnvVar, Service } from "@cortado/kinds";
import { StatusError } from "@cortado/std/status";
import type { Sources } from "../sources.ts";
import { fieldValue, resourceValue, type Place } from "./downward.ts";
import { specOf, type StoredPod } from "./pod.ts";

export type EnvOptions = {
  readonly pod: StoredPod;
  readonly container: Container;
  readonly sources: Sources;
  readonly place: Place;
};

export type EnvPair = { readonly key: string; readonly value: string };

/**
 * A container's environment: services first, then `envFrom`, then `env` in its order, each later one winning.
 * @throws StatusError naming the ConfigMap, Secret or key that is not there
 */
export async function containerEnv(options: EnvOptions): Promise<readonly EnvPair[]> {
  const { pod, container, sources } = options;
  const links = specOf(pod).enableServiceLinks ?? true;
  const namespace = pod.metadata.namespace ?? "";
  const values = new Map<string, string>();
  for (const service of sources.services(namespace)) {
    const isMaster = service.metadata.namespace === "default" && service.metadata.name === "kubernetes";
    if (links || isMaster) for (const { key, value } of serviceEnv(service)) values.set(key, value);
  }
  // What `env` expands from: what is defined above, not the services, unless links are on (kubelet, makeEnvironmentVariables).
  for (const from of container.envFrom ?? []) {
    const data = await envFromData(from, namespace, sources);
    for (const [key, value] of Object.entries(data)) values.set(`${from.prefix ?? ""}${key}`, value);
  }
  for (const entry of container.env ?? []) {
    const value = await envValue(entry, options, values);
    if (value !== undefined) values.set(entry.name, value);
  }
  return [...values].map(([key, value]) => ({ key, value }));
}

type EnvFrom = NonNullable<Container["envFrom"]>[number];

async function envFromData(
  from: EnvFrom,
  namespace: string,
  sources: Sources,
): Promise<Readonly<Record<string, string>>> {
  if (from.configMapRef !== undefined) {
    const { name = "", optional = false } = from.configMapRef;
    const map = await sources.configMap(namespace, name);
    if (map === undefined && !optional)
      throw new StatusError("NotFound", `configmap ${JSON.stringify(name)} not found`);
    return map?.data ?? {};
  }
  const { name = "", optional = false } = from.secretRef ?? {};
  const secret = await sources.secret(namespace, name);
  if (secret === undefined && !optional)
    throw new StatusError("NotFound", `secret ${JSON.stringify(name)} not found`);
  return Object.fromEntries(Object.entries(secret?.data ?? {}).map(([key, value]) => [key, decode(value)]));
}

async function envValue(
  entry: EnvVar,
  options: EnvOptions,
  known: ReadonlyMap<string, string>,
): Promise<string | undefined> {
  const { pod, container, sources, place } = options;
  const from = entry.valueFrom;
  const namespace = pod.metadata.namespace ?? "";
  if (from === undefined) return expand(entry.value ?? "", known);
  if (from.fieldRef !== undefined) return fieldValue(from.fieldRef, pod, place);
  if (from.resourceFieldRef !== undefined) return resourceValue(from.resourceFieldRef, container, pod, place);
  if (from.configMapKeyRef !== undefined) {
    const { name = "", key, optional = false } = from.configMapKeyRef;
    const map = await sources.configMap(namespace, name);
    return keyOf({
      kind: "configmap",
      name,
      key,
      optional,
      namespace,
      found: map !== undefined,
      value: map?.data?.[key],
    });
  }
  if (from.secretKeyRef !== undefined) {
    const { name = "", key, optional = false } = from.secretKeyRef;
    const secret = await sources.secret(namespace, name);
    const text = secret?.data?.[key];
    return keyOf({
      kind: "secret",
      name,
      key,
      optional,
      namespace,
      found: secret !== undefined,
      value: text === undefined ? undefined : decode(text),
    });
  }
  throw new StatusError(
    "NotImplemented",
    `env ${entry.name} of container ${container.name} has a valueFrom that this node does not offer`,
  );
}

type KeyRef = {
  readonly kind: "configmap" | "secret";
  readonly name: string;
  readonly key: string;
  readonly optional: boolean;
  readonly namespace: string;
  readonly found: boolean;
  readonly value: string | undefined;
};

function keyOf({ kind, name, key, optional, namespace, found, value }: KeyRef): string | undefined {
  if (value !== undefined || optional) return value;
  if (!found) throw new StatusError("NotFound", `${kind} ${JSON.stringify(name)} not found`);
  const proper = kind === "configmap" ? "ConfigMap" : "Secret";
  throw new StatusError("NotFound", `couldn't find key ${key} in ${proper} ${namespace}/${name}`);
}

/** The variables of one service, as Docker links had them (kubelet, pkg/kubelet/envvars). */
export function serviceEnv(service: Service): readonly EnvPair[] {
  const host = service.spec?.clusterIP ?? "";
  const ports = service.spec?.ports ?? [];
  const name = service.metadata.name.toUpperCase().replaceAll("-", "_");
  const pairs: EnvPair[] = [{ key: `${name}_SERVICE_HOST`, value: host }];
  const [first] = ports;
  if (first === undefined) return pairs;
  pairs.push({ key: `${name}_SERVICE_PORT`, value: String(first.port) });
  for (const port of ports) {
    if (port.name === undefined || port.name === "") continue;
    pairs.push({
      key: `${name}_SERVICE_PORT_${port.name.toUpperCase().replaceAll("-", "_")}`,
      value: String(port.port),
    });
  }
  const bracketed = host.includes(":") ? `[${host}]` : host;
  for (const [at, port] of ports.entries()) {
    const protocol = port.protocol ?? "TCP";
    const url = `${protocol.toLowerCase()}://${bracketed}:${port.port}`;
    const prefix = `${name}_PORT_${port.port}_${protocol}`;
    if (at === 0) pairs.push({ key: `${name}_PORT`, value: url });
    pairs.push({ key: prefix, value: url }, { key: `${prefix}_PROTO`, value: protocol.toLowerCase() });
    pairs.push({ key: `${prefix}_PORT`, value: String(port.port) }, { key: `${prefix}_ADDR`, value: host });
  }
  return pairs;
}

/** Replaces $(NAME) by what is known; $$ is a dollar, and what is not known stays (third_party/forked/golang/expansion). */
export function expand(text: string, known: ReadonlyMap<string, string>): string {
  return text.replace(/\$(?:\$|\(([^)]*)\))/g, (whole: string, name: string | undefined) => {
    if (name === undefined) return "$";
    return known.get(name) ?? whole;
  });
}

function decode(base64: string): string {
  return Buffer.from(base64, "base64").toString("utf8");
}

/** What a pod's containers take their environment from: "ConfigMap/NAME". */
export function environmentSources({ spec }: Pick<StoredPod, "spec">): readonly string[] {
  const names = new Set<string>();
  const add = (kind: string, name: string | undefined): void =>
    void (name !== undefined && names.add(`${kind}/${name}`));
  for (const { env = [], envFrom = [] } of [...(spec?.initContainers ?? []), ...(spec?.containers ?? [])]) {
    for (const { configMapRef, secretRef } of envFrom) {
      add("ConfigMap", configMapRef?.name);
      add("Secret", secretRef?.name);
    }
    for (const { valueFrom } of env) {
      add("ConfigMap", valueFrom?.configMapKeyRef?.name);
      add("Secret", valueFrom?.secretKeyRef?.name);
    }
  }
  return [...names];
}
