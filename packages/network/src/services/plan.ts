import type { EndpointSlice, Service, ServicePort } from "@cortado/kinds";
import { isHeadless, targetsOf, type Target } from "./endpoints.ts";

/** A port of a service as the kernel is to know it. */
export type ProxyPort = {
  /** Names its chain: "shop/order/tcp/80". */
  readonly name: string;
  readonly protocol: "tcp" | "udp" | "sctp";
  /** Addresses and ports at which it is asked for inside. */
  readonly inside: readonly { readonly ip: string; readonly port: number }[];
  readonly insideTargets: readonly Target[];
  /** … and from outside: external addresses, the balancer's, and a port on every address of the node. */
  readonly outside: readonly { readonly ip: string; readonly port: number }[];
  readonly nodePort: number | undefined;
  readonly outsideTargets: readonly Target[];
  /** The same client goes to the same place for so long; undefined when it need not. */
  readonly affinityS: number | undefined;
};

export type PlanInput = {
  readonly services: readonly Service[];
  readonly slicesOf: (service: Service) => readonly EndpointSlice[];
  readonly nodeName: string;
  readonly nodeIps: readonly string[];
  /** Addresses that are answered by this process itself, as the cluster's DNS. */
  readonly reservedIps: readonly string[];
};

const AFFINITY_S = 10_800;
const protocols: Readonly<Record<string, ProxyPort["protocol"]>> = { TCP: "tcp", UDP: "udp", SCTP: "sctp" };

/** What every service asks of the kernel. Pure; in a fixed order. */
export function planServices(input: PlanInput): readonly ProxyPort[] {
  return input.services
    .filter((service) => proxied(service, input.reservedIps))
    .flatMap((service) => (service.spec?.ports ?? []).map((port) => planPort(service, port, input)))
    .toSorted((first, second) => (first.name < second.name ? -1 : 1));
}

function proxied(service: Service, reservedIps: readonly string[]): boolean {
  const { clusterIP, type } = service.spec ?? {};
  if (type === "ExternalName" || isHeadless(service) || clusterIP === undefined || clusterIP === "")
    return false;
  return isIpv4(clusterIP) && !reservedIps.includes(clusterIP);
}

function planPort(service: Service, port: ServicePort, input: PlanInput): ProxyPort {
  const spec = service.spec ?? {};
  const protocol = protocols[port.protocol ?? "TCP"] ?? "tcp";
  const targets = targetsOf(port, input.slicesOf(service));
  const local = targets.filter(
    (target) => target.nodeName === undefined || target.nodeName === input.nodeName,
  );
  const outsideIps = new Set(spec.externalIPs ?? []);
  if (spec.type === "LoadBalancer") {
    for (const { ip } of service.status?.loadBalancer?.ingress ?? [])
      if (ip !== undefined) outsideIps.add(ip);
    for (const ip of input.nodeIps) outsideIps.add(ip);
  }
  return {
    name: `${service.metadata.namespace}/${service.metadata.name}/${protocol}/${port.port}`,
    protocol,
    inside: [{ ip: spec.clusterIP ?? "", port: port.port }],
    insideTargets: spec.internalTrafficPolicy === "Local" ? local : targets,
    outside: [...outsideIps]
      .filter(isIpv4)
      .toSorted()
      .map((ip) => ({ ip, port: port.port })),
    nodePort: port.nodePort === undefined || port.nodePort === 0 ? undefined : port.nodePort,
    outsideTargets: spec.externalTrafficPolicy === "Local" ? local : targets,
    affinityS:
      spec.sessionAffinity === "ClientIP"
        ? (spec.sessionAffinityConfig?.clientIP?.timeoutSeconds ?? AFFINITY_S)
        : undefined,
  };
}

export function isIpv4(text: string): boolean {
  return /^\d{1,3}(\.\d{1,3}){3}$/.test(text);
}
