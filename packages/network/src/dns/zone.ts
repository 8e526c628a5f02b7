import type { EndpointSlice, Service } from "@cortado/kinds";
import { DNS_CNAME_MAX } from "../limits.ts";
import { isHeadless } from "../services/endpoints.ts";

/** What the zone is made of. */
export interface ZoneObjects {
  service(key: string): Service | undefined;
  slicesOf(service: Service): readonly EndpointSlice[];
  hasNamespace(name: string): boolean;
  servicesAt(ip: string): readonly Service[];
  slicesAt(ip: string): readonly EndpointSlice[];
}

export type ZoneRecord =
  | { readonly type: "A"; readonly name: string; readonly data: string }
  | { readonly type: "CNAME"; readonly name: string; readonly data: string }
  | { readonly type: "PTR"; readonly name: string; readonly data: string }
  | { readonly type: "TXT"; readonly name: string; readonly data: string }
  | {
      readonly type: "SRV";
      readonly name: string;
      readonly data: {
        readonly priority: number;
        readonly weight: number;
        readonly port: number;
        readonly target: string;
      };
    };

export type ZoneAnswer =
  /** Not a name of the cluster: ask somebody else. */
  | { readonly kind: "outside" }
  | { readonly kind: "absent" }
  /** The name is there; it may have no record of the type. */
  | {
      readonly kind: "found";
      readonly records: readonly ZoneRecord[];
      readonly extra: readonly ZoneRecord[];
    };

type Endpoint = {
  readonly ip: string;
  readonly hostname: string;
  readonly ports: readonly { readonly name: string; readonly protocol: string; readonly port: number }[];
};

export type Zone = {
  readonly domain: string;
  readonly objects: ZoneObjects;
  /** How many aliases were followed to get here. */
  readonly depth?: number;
};

const absent: ZoneAnswer = { kind: "absent" };
const found = (records: readonly ZoneRecord[], extra: readonly ZoneRecord[] = []): ZoneAnswer => ({
  kind: "found",
  records,
  extra,
});

/** Answers for `cluster.local` as the specification for DNS-based service discovery 1.1 says. Pure. */
export function lookUp(question: { readonly name: string; readonly type: string }, zone: Zone): ZoneAnswer {
  const name = question.name.toLowerCase().replace(/\.$/, "");
  const { domain, objects, depth = 0 } = zone;
  if (name.endsWith(".in-addr.arpa")) return reverse({ name, domain, objects });
  if (name !== domain && !name.endsWith(`.${domain}`)) return { kind: "outside" };
  const labels = name === domain ? [] : name.slice(0, -domain.length - 1).split(".");
  if (labels.length === 0) return found([]);
  if (labels.join(".") === "dns-version")
    return found(question.type === "TXT" ? [{ type: "TXT", name, data: "1.1.0" }] : []);
  const kind = labels.at(-1);
  if (kind === "svc")
    return serviceName({ labels: labels.slice(0, -1), name, type: question.type, domain, objects, depth });
  if (kind === "pod") return podName({ labels: labels.slice(0, -1), name, type: question.type, objects });
  return absent;
}

type Asked = {
  readonly labels: readonly string[];
  readonly name: string;
  readonly type: string;
  readonly domain: string;
  readonly objects: ZoneObjects;
  readonly depth: number;
};

function serviceName(asked: Asked): ZoneAnswer {
  const { labels, objects } = asked;
  const namespace = labels.at(-1);
  if (namespace === undefined) return found([]);
  if (labels.length === 1) return objects.hasNamespace(namespace) ? found([]) : absent;
  const service = objects.service(`${namespace}/${labels.at(-2)}`);
  if (service === undefined) return absent;
  const below = labels.slice(0, -2);
  if (below.length === 0) return wholeService(service, asked);
  const [first = "", second = ""] = below;
  if (below.length === 2 && first.startsWith("_") && second.startsWith("_"))
    return servicePort(service, { port: first.slice(1), protocol: second.slice(1) }, asked);
  return below.length === 1 ? oneEndpoint(service, first, asked) : absent;
}

function wholeService(service: Service, { name, type, domain, objects, depth }: Asked): ZoneAnswer {
  const { spec = {} } = service;
  if (spec.type === "ExternalName")
    return externalName({
      name,
      target: (spec.externalName ?? "").toLowerCase(),
      type,
      domain,
      objects,
      depth,
    });
  if (isHeadless(service)) {
    const endpoints = endpointsOf(service, objects);
    if (endpoints.length === 0) return absent;
    if (type === "SRV") return srv({ name, domain, service, endpoints, of: () => true });
    return found(type === "A" ? endpoints.map(({ ip }) => ({ type: "A", name, data: ip })) : []);
  }
  if (type === "SRV") return portsOfCluster({ name, service, domain, of: () => true });
  return found(
    type === "A" && spec.clusterIP !== undefined ? [{ type: "A", name, data: spec.clusterIP }] : [],
  );
}

type ExternalName = {
  readonly name: string;
  readonly target: string;
  readonly type: string;
  readonly domain: string;
  readonly objects: ZoneObjects;
  readonly depth: number;
};

// An alias of a name inside is followed here; one outside is the resolver's to follow.
function externalName({ name, target, type, domain, objects, depth }: ExternalName): ZoneAnswer {
  const alias: ZoneRecord = { type: "CNAME", name, data: target };
  if (type === "CNAME" || depth >= DNS_CNAME_MAX) return found([alias]);
  const next = lookUp({ name: target, type }, { domain, objects, depth: depth + 1 });
  return found(next.kind === "found" ? [alias, ...next.records] : [alias]);
}

type PortAsk = { readonly port: string; readonly protocol: string };

function servicePort(service: Service, ask: PortAsk, { name, type, domain, objects }: Asked): ZoneAnswer {
  const of = (port: { readonly name?: string; readonly protocol?: string }): boolean =>
    (port.name ?? "") === ask.port && (port.protocol ?? "TCP").toLowerCase() === ask.protocol;
  if (isHeadless(service)) {
    const endpoints = endpointsOf(service, objects).filter((endpoint) => endpoint.ports.some(of));
    if (endpoints.length === 0) return absent;
    return type === "SRV" ? srv({ name, domain, service, endpoints, of }) : found([]);
  }
  if (!(service.spec?.ports ?? []).some(of)) return absent;
  return type === "SRV" ? portsOfCluster({ name, service, domain, of }) : found([]);
}

type Ports = {
  readonly name: string;
  readonly service: Service;
  readonly domain: string;
  readonly of: (port: { readonly name?: string; readonly protocol?: string }) => boolean;
};

function portsOfCluster({ name, service, domain, of }: Ports): ZoneAnswer {
  const target = `${service.metadata.name}.${service.metadata.namespace}.svc.${domain}`;
  const ports = (service.spec?.ports ?? []).filter(of);
  const records = ports.map(({ port }): ZoneRecord => ({
    type: "SRV",
    name,
    data: { priority: 0, weight: Math.floor(100 / ports.length), port, target },
  }));
  return found(records, [{ type: "A", name: target, data: service.spec?.clusterIP ?? "" }]);
}

function srv({
  name,
  service,
  domain,
  of,
  endpoints,
}: Ports & { readonly endpoints: readonly Endpoint[] }): ZoneAnswer {
  const base = `${service.metadata.name}.${service.metadata.namespace}.svc.${domain}`;
  const rows = endpoints.flatMap((endpoint) =>
    endpoint.ports
      .filter(of)
      .map(({ port }) => ({ port, target: `${endpoint.hostname}.${base}`, ip: endpoint.ip })),
  );
  const weight = Math.max(1, Math.floor(100 / Math.max(1, rows.length)));
  const records = rows.map(({ port, target }): ZoneRecord => ({
    type: "SRV",
    name,
    data: { priority: 0, weight, port, target },
  }));
  return found(
    records,
    rows.map(({ target, ip }) => ({ type: "A", name: target, data: ip })),
  );
}

function oneEndpoint(service: Service, hostname: string, { name, type, objects }: Asked): ZoneAnswer {
  const endpoints = endpointsOf(service, objects).filter(
    (endpoint) => endpoint.hostname === hostname || dashed(endpoint.ip) === hostname,
  );
  if (endpoints.length === 0) return absent;
  return found(type === "A" ? endpoints.map(({ ip }) => ({ type: "A", name, data: ip })) : []);
}

// "pods insecure", CoreDNS' and K3s' setting: the address is in the name.
function podName({ labels, name, type, objects }: Omit<Asked, "domain" | "depth">): ZoneAnswer {
  const namespace = labels.at(-1);
  if (namespace === undefined) return found([]);
  if (!objects.hasNamespace(namespace)) return absent;
  if (labels.length === 1) return found([]);
  const ip = (labels[0] ?? "").replaceAll("-", ".");
  if (labels.length !== 2 || !/^\d{1,3}(\.\d{1,3}){3}$/.test(ip)) return absent;
  return found(type === "A" ? [{ type: "A", name, data: ip }] : []);
}

function reverse({
  name,
  domain,
  objects,
}: {
  readonly name: string;
  readonly domain: string;
  readonly objects: ZoneObjects;
}): ZoneAnswer {
  const ip = name.slice(0, -".in-addr.arpa".length).split(".").toReversed().join(".");
  const names = objects
    .servicesAt(ip)
    .map((service) => `${service.metadata.name}.${service.metadata.namespace}.svc.${domain}`);
  for (const slice of objects.slicesAt(ip)) {
    const service = objects.service(
      `${slice.metadata?.namespace}/${slice.metadata?.labels?.["kubernetes.io/service-name"]}`,
    );
    const endpoint = (slice.endpoints ?? []).find((one) => (one.addresses ?? []).includes(ip));
    if (service === undefined || endpoint === undefined || !isHeadless(service)) continue;
    names.push(
      `${endpoint.hostname ?? dashed(ip)}.${service.metadata.name}.${service.metadata.namespace}.svc.${domain}`,
    );
  }
  return names.length === 0 ? { kind: "outside" } : found(names.map((data) => ({ type: "PTR", name, data })));
}

function endpointsOf(service: Service, objects: ZoneObjects): readonly Endpoint[] {
  const byIp = new Map<string, Endpoint>();
  for (const slice of objects.slicesOf(service)) {
    if (slice.addressType !== "IPv4") continue;
    const ports = (slice.ports ?? []).map((port) => ({
      name: port.name ?? "",
      protocol: port.protocol ?? "TCP",
      port: port.port ?? 0,
    }));
    for (const endpoint of slice.endpoints ?? []) {
      if (endpoint.conditions?.ready === false) continue;
      for (const ip of endpoint.addresses ?? []) {
        const before = byIp.get(ip);
        byIp.set(ip, {
          ip,
          hostname: endpoint.hostname ?? dashed(ip),
          ports: [...(before?.ports ?? []), ...ports],
        });
      }
    }
  }
  return [...byIp.values()];
}

function dashed(ip: string): string {
  return ip.replaceAll(".", "-");
}
