import type { Client, Stored } from "@cortado/client";
import { keyOf, startInformer, type Informer } from "@cortado/client/informer";
import type { EndpointSlice, Ingress, Namespace, NetworkPolicy, Pod, Service } from "@cortado/kinds";
import {
  endpointSlices,
  ingresses,
  namespaces,
  networkPolicies,
  pods,
  services,
} from "@cortado/kinds/resources";
import type { Clock } from "@cortado/std/clock";
import type { Log } from "@cortado/std/log";
import { sliceService } from "./services/endpoints.ts";

/** What the network is made of, kept true by watches. */
export interface Objects {
  readonly synced: Promise<unknown>;
  services(): readonly Stored<Service>[];
  service(key: string): Stored<Service> | undefined;
  slicesOf(service: Service): readonly EndpointSlice[];
  ingresses(): readonly Stored<Ingress>[];
  policies(): readonly Stored<NetworkPolicy>[];
  pods(): readonly Stored<Pod>[];
  namespace(name: string): Stored<Namespace> | undefined;
  hasNamespace(name: string): boolean;
  /** Services whose cluster address is this. */
  servicesAt(ip: string): readonly Stored<Service>[];
  /** Slices that name this address. */
  slicesAt(ip: string): readonly EndpointSlice[];
  /** A service or a slice changed. */
  onServices(listener: () => void): void;
  onIngresses(listener: () => void): void;
  /** A policy, a pod's labels or address, or a namespace changed. */
  onPolicies(listener: () => void): void;
}

export type ObjectsPorts = {
  readonly client: Client;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
};

export function startObjects(ports: ObjectsPorts): Objects {
  const { client } = ports;
  const indexes = { ip: (service: Stored<Service>) => [service.spec?.clusterIP ?? ""] };
  const serviceCache = startInformer(client, services, { ...ports, indexes });
  const sliceCache = startInformer(client, endpointSlices, {
    ...ports,
    indexes: {
      service: (slice) => [sliceService(slice)],
      ip: (slice) => (slice.endpoints ?? []).flatMap((one) => one.addresses ?? []),
    },
  });
  const ingressCache = startInformer(client, ingresses, ports);
  const policyCache = startInformer(client, networkPolicies, ports);
  const podCache = startInformer(client, pods, ports);
  const namespaceCache = startInformer(client, namespaces, ports);
  const caches: readonly Pick<Informer<Service>, "synced">[] = [
    serviceCache,
    sliceCache,
    ingressCache,
    policyCache,
    podCache,
    namespaceCache,
  ];
  return {
    synced: Promise.all(caches.map((cache) => cache.synced)),
    services: () => [...serviceCache.list()],
    service: (key) => serviceCache.get(key),
    slicesOf: (service) => sliceCache.byIndex("service", keyOf(service)),
    ingresses: () => [...ingressCache.list()],
    policies: () => [...policyCache.list()],
    pods: () => [...podCache.list()],
    namespace: (name) => namespaceCache.get(name),
    hasNamespace: (name) => namespaceCache.get(name) !== undefined,
    servicesAt: (ip) => serviceCache.byIndex("ip", ip),
    slicesAt: (ip) => sliceCache.byIndex("ip", ip),
    onServices(listener) {
      serviceCache.subscribe(listener);
      sliceCache.subscribe(listener);
    },
    onIngresses: (listener) => void ingressCache.subscribe(listener),
    onPolicies(listener) {
      policyCache.subscribe(listener);
      namespaceCache.subscribe(listener);
      podCache.subscribe(({ old, now }) => {
        if (policyView(old) !== policyView(now)) listener();
      });
    },
  };
}

// A pod's status changes often; few of the changes matter to a policy.
function policyView(pod: Stored<Pod> | undefined): string {
  if (pod === undefined) return "";
  return JSON.stringify([
    pod.metadata.labels,
    pod.status?.podIP,
    pod.spec?.hostNetwork,
    pod.status?.phase === "Succeeded" || pod.status?.phase === "Failed",
  ]);
}
