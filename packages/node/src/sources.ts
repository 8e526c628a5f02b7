import type { Client, Stored, Where } from "@cortado/client";
import { keyOf, startInformer, type Informer } from "@cortado/client/informer";
import type {
  ConfigMap,
  KubeObject,
  PersistentVolume,
  PersistentVolumeClaim,
  Secret,
  Service,
} from "@cortado/kinds";
import {
  configMaps,
  persistentVolumeClaims,
  persistentVolumes,
  secrets,
  serviceAccounts,
  services,
  type ResourceType,
} from "@cortado/kinds/resources";
import type { Clock } from "@cortado/std/clock";
import type { Log } from "@cortado/std/log";
import { hasReason } from "@cortado/std/status";
import { SOURCES_KEPT_MAX } from "./limits.ts";

export type TokenAsk = {
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly audience: string | undefined;
  readonly expirationSeconds: number;
  readonly pod: { readonly name: string; readonly uid: string };
};

export type Token = { readonly token: string; readonly expiresMs: number };

/** What a pod may be given from the API: each answers undefined when the object is not there. */
export interface Sources {
  configMap(namespace: string, name: string): Promise<ConfigMap | undefined>;
  secret(namespace: string, name: string): Promise<Secret | undefined>;
  claim(namespace: string, name: string): Promise<Stored<PersistentVolumeClaim> | undefined>;
  volume(name: string): Promise<Stored<PersistentVolume> | undefined>;
  /** Services whose addresses a pod of this namespace gets as environment variables. */
  services(namespace: string): readonly Service[];
  token(ask: TokenAsk): Promise<Token>;
}

export type SourcesOptions = {
  readonly client: Client;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
  /** A ConfigMap or Secret changed: volumes made of it are out of date. */
  readonly changed: (kind: "ConfigMap" | "Secret", key: string) => void;
};

/** Sources that are kept by watches, and asked for directly where the watch may lag behind. */
export function startSources(options: SourcesOptions): Sources & { readonly synced: Promise<unknown> } {
  const { client, signal } = options;
  const mapCache = startInformer(client, configMaps, options);
  const secretCache = startInformer(client, secrets, options);
  const serviceCache = startInformer(client, services, options);
  // New ones count too: a pod may wait for one.
  mapCache.subscribe(({ key }) => options.changed("ConfigMap", key));
  secretCache.subscribe(({ key }) => options.changed("Secret", key));
  return {
    synced: Promise.all([mapCache.synced, secretCache.synced, serviceCache.synced]),
    configMap: (namespace, name) =>
      cached({ client, cache: mapCache, type: configMaps, where: { namespace, name }, signal }),
    secret: (namespace, name) =>
      cached({ client, cache: secretCache, type: secrets, where: { namespace, name }, signal }),
    claim: (namespace, name) =>
      absentIsUndefined(client.get(persistentVolumeClaims, { namespace, name, signal })),
    volume: (name) => absentIsUndefined(client.get(persistentVolumes, { name, signal })),
    services: (namespace) => [...serviceCache.list()].filter((one) => visible(one, namespace)),
    token: (ask) => requestToken(client, ask, signal),
  };
}

/**
 * Sources of a node that may read only what its pods use: each object is asked for by its name, whenever its volume is looked at. While no server answers, the last answer serves, so that a container that ends meanwhile is started again.
 */
export function askedSources(
  options: Omit<SourcesOptions, "changed">,
): Sources & { readonly synced: Promise<unknown> } {
  const { client, signal } = options;
  const serviceCache = startInformer(client, services, options);
  const answers = new Map<string, unknown>();
  const ask = async <Kind extends KubeObject>(
    type: ResourceType<Kind>,
    where: Where,
  ): Promise<Stored<Kind> | undefined> => {
    const key = `${type.kind}/${where.namespace ?? ""}/${where.name}`;
    try {
      const answer = await absentIsUndefined(client.get(type, { ...where, signal }));
      answers.delete(key);
      answers.set(key, answer);
      const [oldest] = answers.keys();
      if (answers.size > SOURCES_KEPT_MAX && oldest !== undefined) answers.delete(oldest);
      return answer;
    } catch (error) {
      if (!hasReason(error, "ServiceUnavailable") || !answers.has(key)) throw error;
      return answers.get(key) as Stored<Kind> | undefined;
    }
  };
  return {
    synced: serviceCache.synced,
    configMap: (namespace, name) => ask(configMaps, { namespace, name }),
    secret: (namespace, name) => ask(secrets, { namespace, name }),
    claim: (namespace, name) => ask(persistentVolumeClaims, { namespace, name }),
    volume: (name) => ask(persistentVolumes, { name }),
    services: (namespace) => [...serviceCache.list()].filter((one) => visible(one, namespace)),
    token: (ask) => requestToken(client, ask, signal),
  };
}

function visible(service: Service, namespace: string): boolean {
  const { metadata, spec } = service;
  if (spec?.clusterIP === undefined || spec.clusterIP === "None" || spec.clusterIP === "") return false;
  return (
    metadata.namespace === namespace || (metadata.namespace === "default" && metadata.name === "kubernetes")
  );
}

type Cached<Kind extends KubeObject> = {
  readonly client: Client;
  readonly cache: Informer<Kind>;
  readonly type: ResourceType<Kind>;
  readonly where: { readonly namespace: string; readonly name: string };
  readonly signal: AbortSignal;
};

// A pod often comes right behind the ConfigMap it needs; the two watches are not ordered.
function cached<Kind extends KubeObject>({
  client,
  cache,
  type,
  where,
  signal,
}: Cached<Kind>): Promise<Stored<Kind> | undefined> {
  const known = cache.get(keyOf({ metadata: where }));
  return known === undefined
    ? absentIsUndefined(client.get(type, { ...where, signal }))
    : Promise.resolve(known);
}

async function requestToken(client: Client, ask: TokenAsk, signal: AbortSignal): Promise<Token> {
  const answer = await client.createSub<{ status: { token: string; expirationTimestamp: string } }>(
    serviceAccounts,
    {
      apiVersion: "authentication.k8s.io/v1",
      kind: "TokenRequest",
      metadata: { name: ask.serviceAccount, namespace: ask.namespace },
      spec: {
        audiences: ask.audience === undefined ? [] : [ask.audience],
        expirationSeconds: ask.expirationSeconds,
        boundObjectRef: { kind: "Pod", apiVersion: "v1", name: ask.pod.name, uid: ask.pod.uid },
      },
    },
    { namespace: ask.namespace, name: ask.serviceAccount, subresource: "token", signal },
  );
  return { token: answer.status.token, expiresMs: Date.parse(answer.status.expirationTimestamp) };
}

async function absentIsUndefined<Value>(work: Promise<Value>): Promise<Value | undefined> {
  try {
    return await work;
  } catch (error) {
    if (hasReason(error, "NotFound")) return undefined;
    throw error;
  }
}
