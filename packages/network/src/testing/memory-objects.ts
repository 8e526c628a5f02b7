import type { Stored } from "@cortado/client";
import { keyOf } from "@cortado/client/informer";
import type { EndpointSlice, Ingress, Namespace, NetworkPolicy, Pod, Service } from "@cortado/kinds";
import type { Objects } from "../objects.ts";
import { sliceService } from "../services/endpoints.ts";

/** Objects that a test sets; listeners are told at each `set`. */
export class MemoryObjects implements Objects {
  readonly synced: Promise<unknown> = Promise.resolve();
  #services: readonly Stored<Service>[] = [];
  #slices: readonly EndpointSlice[] = [];
  #ingresses: readonly Stored<Ingress>[] = [];
  #policies: readonly Stored<NetworkPolicy>[] = [];
  #pods: readonly Stored<Pod>[] = [];
  #namespaces: readonly Stored<Namespace>[] = [];
  readonly #listeners: (() => void)[] = [];

  set(content: {
    readonly services?: readonly Service[];
    readonly slices?: readonly EndpointSlice[];
    readonly ingresses?: readonly Ingress[];
    readonly policies?: readonly NetworkPolicy[];
    readonly pods?: readonly Pod[];
    readonly namespaces?: readonly Namespace[];
  }): void {
    if (content.services !== undefined) this.#services = content.services as readonly Stored<Service>[];
    if (content.slices !== undefined) this.#slices = content.slices;
    if (content.ingresses !== undefined) this.#ingresses = content.ingresses as readonly Stored<Ingress>[];
    if (content.policies !== undefined) this.#policies = content.policies as readonly Stored<NetworkPolicy>[];
    if (content.pods !== undefined) this.#pods = content.pods as readonly Stored<Pod>[];
    if (content.namespaces !== undefined)
      this.#namespaces = content.namespaces as readonly Stored<Namespace>[];
    for (const listener of this.#listeners) listener();
  }

  readonly services = (): readonly Stored<Service>[] => this.#services;
  readonly service = (key: string): Stored<Service> | undefined =>
    this.#services.find((one) => keyOf(one) === key);
  readonly slicesOf = (service: Service): readonly EndpointSlice[] =>
    this.#slices.filter((slice) => sliceService(slice) === keyOf(service));
  readonly ingresses = (): readonly Stored<Ingress>[] => this.#ingresses;
  readonly policies = (): readonly Stored<NetworkPolicy>[] => this.#policies;
  readonly pods = (): readonly Stored<Pod>[] => this.#pods;
  readonly namespace = (name: string): Stored<Namespace> | undefined =>
    this.#namespaces.find((one) => one.metadata.name === name);
  readonly hasNamespace = (name: string): boolean => this.namespace(name) !== undefined;
  readonly servicesAt = (ip: string): readonly Stored<Service>[] =>
    this.#services.filter((one) => one.spec?.clusterIP === ip);
  readonly slicesAt = (ip: string): readonly EndpointSlice[] =>
    this.#slices.filter((slice) => (slice.endpoints ?? []).some((one) => (one.addresses ?? []).includes(ip)));
  readonly onServices = (listener: () => void): void => void this.#listeners.push(listener);
  readonly onIngresses = (listener: () => void): void => void this.#listeners.push(listener);
  readonly onPolicies = (listener: () => void): void => void this.#listeners.push(listener);
}

type SliceSpec = {
  readonly service: string;
  readonly ips: readonly string[];
  readonly port: number;
  readonly name?: string;
  readonly notReady?: readonly string[];
};

export function slice({ service, ips, port, name, notReady = [] }: SliceSpec): EndpointSlice {
  const [namespace = "", own = ""] = service.split("/");
  return {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: { name: `${own}-1`, namespace, labels: { "kubernetes.io/service-name": own } },
    addressType: "IPv4",
    ports: [{ ...(name === undefined ? {} : { name }), port, protocol: "TCP" }],
    endpoints: [
      ...ips.map((ip) => ({ addresses: [ip], conditions: { ready: true } })),
      ...notReady.map((ip) => ({ addresses: [ip], conditions: { ready: false } })),
    ],
  } as EndpointSlice;
}

export function service(key: string, spec: Service["spec"], status?: Service["status"]): Service {
  const [namespace = "", name = ""] = key.split("/");
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name, namespace, uid: key, resourceVersion: "1" },
    ...(spec === undefined ? {} : { spec }),
    ...(status === undefined ? {} : { status }),
  } as Service;
}

export function pod(
  key: string,
  options: {
    readonly ip: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly ports?: readonly object[];
  },
): Pod {
  const [namespace = "", name = ""] = key.split("/");
  const containers = [{ name: "main", image: "i", ports: options.ports ?? [] }];
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace, labels: options.labels ?? {} },
    spec: { nodeName: "node", containers },
    status: { podIP: options.ip, phase: "Running" },
  } as unknown as Pod;
}

export function namespace(name: string, labels: Readonly<Record<string, string>> = {}): Namespace {
  return { apiVersion: "v1", kind: "Namespace", metadata: { name, labels } } as unknown as Namespace;
}
