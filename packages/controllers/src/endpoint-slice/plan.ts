import type { Stored } from "@cortado/client";
import type { Endpoint, Pod, Service, ServicePort } from "@cortado/kinds";
import { SLICE_ENDPOINTS_MAX } from "../limits.ts";
import { isReady } from "../owned/owned.ts";

export type SlicePort = {
  readonly name: string;
  readonly port: number;
  readonly protocol: "TCP" | "UDP" | "SCTP";
  readonly appProtocol?: string;
};

/** One EndpointSlice to be: pods of one set of port numbers. */
export type SlicePlan = { readonly ports: readonly SlicePort[]; readonly endpoints: readonly Endpoint[] };

/**
 * The endpoints of a service with a selector, in slices of at most 100 with equal ports (a named port may have another number
 * in each pod). Pure.
 */
export function planSlices(service: Stored<Service>, pods: readonly Stored<Pod>[]): readonly SlicePlan[] {
  const groups = new Map<string, { readonly ports: readonly SlicePort[]; readonly endpoints: Endpoint[] }>();
  for (const pod of pods.toSorted((one, other) => (one.metadata.name < other.metadata.name ? -1 : 1))) {
    if (pod.status?.podIP === undefined || isFinished(pod)) continue;
    const ports = (service.spec?.ports ?? []).flatMap((port) => resolvePort(port, pod));
    const key = JSON.stringify(ports);
    const group = groups.get(key) ?? { ports, endpoints: [] };
    group.endpoints.push(toEndpoint(service, pod));
    groups.set(key, group);
  }
  return [...groups.values()].flatMap(({ ports, endpoints }) => {
    const slices: SlicePlan[] = [];
    for (let at = 0; at < endpoints.length; at += SLICE_ENDPOINTS_MAX)
      slices.push({ ports, endpoints: endpoints.slice(at, at + SLICE_ENDPOINTS_MAX) });
    return slices;
  });
}

function isFinished(pod: Pod): boolean {
  return pod.status?.phase === "Succeeded" || pod.status?.phase === "Failed";
}

function toEndpoint(service: Service, pod: Stored<Pod>): Endpoint {
  const terminating = pod.metadata.deletionTimestamp !== undefined;
  const serving = isReady(pod);
  const ready = (serving && !terminating) || service.spec?.publishNotReadyAddresses === true;
  const { hostname, subdomain, nodeName } = pod.spec ?? {};
  const { name, namespace, uid } = pod.metadata;
  return {
    addresses: [pod.status?.podIP ?? ""],
    conditions: { ready, serving, terminating },
    targetRef: { kind: "Pod", name, ...(namespace === undefined ? {} : { namespace }), uid },
    ...(nodeName === undefined ? {} : { nodeName }),
    ...(hostname !== undefined && subdomain === service.metadata.name ? { hostname } : {}),
  };
}

/** The number a service's port has in this pod; none when the pod does not know its name. */
function resolvePort(port: ServicePort, pod: Pod): readonly SlicePort[] {
  const { name = "", protocol = "TCP", appProtocol } = port;
  const target = port.targetPort ?? port.port;
  const number = typeof target === "number" ? target : namedPort(pod, target, protocol);
  if (number === undefined) return [];
  return [{ name, port: number, protocol, ...(appProtocol === undefined ? {} : { appProtocol }) }];
}

function namedPort(pod: Pod, name: string, protocol: string): number | undefined {
  const all = [...(pod.spec?.containers ?? []), ...(pod.spec?.initContainers ?? [])].flatMap(
    (container) => container.ports ?? [],
  );
  return all.find((port) => port.name === name && (port.protocol ?? "TCP") === protocol)?.containerPort;
}
