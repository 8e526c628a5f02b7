import type { PodSpec } from "@cortado/kinds";
import { podNameLabel, podNamespaceLabel, podUidLabel } from "../runtime/labels.ts";
import type { SandboxConfig } from "../runtime/runtime.ts";
import { specOf, type StoredPod } from "./pod.ts";

export type ClusterDns = {
  /** Addresses of the cluster's DNS; none: every pod gets the node's. */
  readonly servers: readonly string[];
  /** "cluster.local" */
  readonly domain: string;
  /** The node's own resolv.conf, as text. */
  readonly nodeResolv: string;
};

export type SandboxOptions = {
  readonly pod: StoredPod;
  readonly attempt: number;
  readonly logFolder: string;
  readonly cgroupParent: string | undefined;
  readonly dns: ClusterDns;
};

// CRI's NamespaceMode; 0 is the proto's default and means that the pod's containers share it.
const POD = 0;
const CONTAINER = 1;
const NODE = 2;

/** The sandbox that CRI is asked for. Pure. */
export function sandboxConfig({ pod, attempt, logFolder, cgroupParent, dns }: SandboxOptions): SandboxConfig {
  const spec = specOf(pod);
  const { name, namespace = "", uid } = pod.metadata;
  const security = spec.securityContext ?? {};
  return {
    metadata: { name, uid, namespace, attempt },
    // runc sets no host name in the node's own UTS namespace.
    hostname: spec.hostNetwork === true ? "" : hostname(pod),
    logDirectory: logFolder,
    dnsConfig: dnsConfig(spec, namespace, dns),
    portMappings: spec.hostNetwork === true ? [] : portMappings(spec),
    labels: {
      ...pod.metadata.labels,
      [podNameLabel]: name,
      [podNamespaceLabel]: namespace,
      [podUidLabel]: uid,
    },
    annotations: { ...pod.metadata.annotations },
    linux: {
      ...(cgroupParent === undefined ? {} : { cgroupParent }),
      sysctls: Object.fromEntries((security.sysctls ?? []).map((one) => [one.name, one.value])),
      securityContext: {
        namespaceOptions: namespaceOptions(spec),
        privileged: isPrivileged(spec),
        supplementalGroups: supplementalGroups(spec),
        seccomp: { profileType: 0 },
      },
    },
  };
}

export function namespaceOptions(spec: PodSpec): {
  readonly network: number;
  readonly pid: number;
  readonly ipc: number;
} {
  return {
    network: spec.hostNetwork === true ? NODE : POD,
    pid: spec.hostPID === true ? NODE : spec.shareProcessNamespace === true ? POD : CONTAINER,
    ipc: spec.hostIPC === true ? NODE : POD,
  };
}

export function supplementalGroups(spec: PodSpec): readonly bigint[] {
  const { supplementalGroups: groups = [], fsGroup } = spec.securityContext ?? {};
  return [...groups, ...(fsGroup === undefined ? [] : [fsGroup])].map((group) => BigInt(group));
}

export function hostname(pod: StoredPod): string {
  return (specOf(pod).hostname ?? pod.metadata.name).slice(0, 63).replace(/[-.]+$/, "");
}

/** The pod's full name when it has a subdomain, as a headless service answers it. */
export function fullHostname(pod: StoredPod, domain: string): string | undefined {
  const { subdomain } = specOf(pod);
  if (subdomain === undefined || subdomain === "") return undefined;
  return `${hostname(pod)}.${subdomain}.${pod.metadata.namespace}.svc.${domain}`;
}

function isPrivileged(spec: PodSpec): boolean {
  return [...(spec.initContainers ?? []), ...spec.containers].some(
    (one) => one.securityContext?.privileged === true,
  );
}

const protocols: Readonly<Record<string, number>> = { TCP: 0, UDP: 1, SCTP: 2 };

function portMappings(spec: PodSpec): NonNullable<SandboxConfig["portMappings"]> {
  const containers = [
    ...(spec.initContainers ?? []).filter((one) => one.restartPolicy === "Always"),
    ...spec.containers,
  ];
  return containers
    .flatMap((container) => container.ports ?? [])
    .filter((port) => (port.hostPort ?? 0) > 0)
    .map((port) => ({
      protocol: protocols[port.protocol ?? "TCP"] ?? 0,
      containerPort: port.containerPort,
      hostPort: port.hostPort ?? 0,
      hostIp: port.hostIP ?? "",
    }));
}

type Dns = { servers: string[]; searches: string[]; options: string[] };

/** A pod's resolv.conf as CRI takes it. */
export function dnsConfig(
  spec: PodSpec,
  namespace: string,
  dns: ClusterDns,
): NonNullable<SandboxConfig["dnsConfig"]> {
  const policy = spec.dnsPolicy ?? "ClusterFirst";
  const clusterFirst =
    policy === "ClusterFirstWithHostNet" || (policy === "ClusterFirst" && spec.hostNetwork !== true);
  const node = parseResolv(dns.nodeResolv);
  let made: Dns = node;
  if (policy === "None") made = { servers: [], searches: [], options: [] };
  else if (clusterFirst && dns.servers.length > 0) {
    const own = [`${namespace}.svc.${dns.domain}`, `svc.${dns.domain}`, dns.domain];
    made = { servers: [...dns.servers], searches: [...own, ...node.searches], options: ["ndots:5"] };
  }
  const extra = spec.dnsConfig;
  const options = new Map(made.options.map((text) => [text.split(":")[0] ?? text, text]));
  for (const { name = "", value } of extra?.options ?? [])
    options.set(name, value === undefined ? name : `${name}:${value}`);
  return {
    servers: [...new Set([...made.servers, ...(extra?.nameservers ?? [])])],
    searches: [...new Set([...made.searches, ...(extra?.searches ?? [])])],
    options: [...options.values()],
  };
}

export function parseResolv(text: string): Dns {
  const found: Dns = { servers: [], searches: [], options: [] };
  for (const line of text.split("\n")) {
    const [word, ...rest] = line.trim().split(/\s+/);
    if (word === "nameserver" && rest[0] !== undefined) found.servers.push(rest[0]);
    else if (word === "search" || word === "domain") found.searches = rest;
    else if (word === "options") found.options = rest;
  }
  return found;
}
