import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Certificates } from "@cortado/cluster/certificates";
import type { ClusterSettings } from "@cortado/cluster/join/protocol";
import type { Client } from "@cortado/client";
import type { LoopMetrics } from "@cortado/client/loop";
import {
  prepareNode,
  startNetwork,
  systemTools,
  type IngressListener,
  type NetworkOptions,
} from "@cortado/network";
import { publishLocalServices, type LocalService } from "../local-services.ts";
import type { Ports } from "./api.ts";
import { clusterSettings } from "./worker/join.ts";
import { startPart } from "./lifetime.ts";
import { podBridge, podSubnet, type NodeConfig } from "./pods.ts";
import type { Parts } from "./parts.ts";

type Place = {
  readonly config: Pick<NodeConfig, "nodeName" | "runtime" | "resolvConf" | "podCidr">;
  readonly settings: ClusterSettings;
  readonly address: string;
};

/** What carries packets on every node alike: services, policies, DNS, and the way to the pods of other nodes. */
async function networkOptions({ config, settings, address }: Place): Promise<NetworkOptions> {
  const { podCidr } = config;
  const { clusterCidr, clusterDns, clusterDomain, flannelBackend, disable } = settings;
  const real = config.runtime === "containerd";
  const upstreams = upstreamsOf(await readFile(config.resolvConf, "utf8").catch(() => ""));
  const dns = { host: clusterDns, port: 53, domain: clusterDomain, upstreams: () => upstreams };
  return {
    nodeName: config.nodeName,
    nodeIps: () => [address],
    podCidr,
    clusterCidr,
    bridge: podBridge,
    tablePrefix: "cortado",
    rules: real,
    ...(real && !disable.includes("coredns") ? { dns } : {}),
    ...(real && flannelBackend !== "none" ? { overlay: { backend: flannelBackend } } : {}),
    simulated: !real,
    // Rules stay in force while we restart: pods go on serving each other.
    removeRules: false,
  };
}

/** Makes the node's own network, before its first pod starts. */
export async function prepareTraffic(
  { config, settings }: Omit<Place, "address">,
  ports: Ports,
): Promise<void> {
  if (config.runtime === "simulated") return;
  const { podCidr } = config;
  const { clusterCidr, serviceCidr, clusterDns, disable } = settings;
  await loadKernelModules();
  await prepareNode(
    {
      ...{ podCidr, clusterCidr, serviceCidr },
      bridge: podBridge,
      gateway: `${podCidr.split(".").slice(0, 3).join(".")}.1/24`,
      reservedIps: disable.includes("coredns") ? [] : [clusterDns],
      table: "cortado-pods",
    },
    { ...ports, tools: systemTools(ports) },
  );
}

/**
 * Packets between pods of one bridge pass service rules and policies only with br_netfilter, and images are stacked by overlay. A
 * kernel that has them built in, or no modprobe, needs nothing; what is really missing is told by whoever needs it.
 */
function loadKernelModules(): Promise<void> {
  return new Promise(
    (resolve) => void execFile("modprobe", ["-a", "br_netfilter", "overlay"], () => resolve()),
  );
}

/** Starts what carries packets on an agent's node. */
export async function startWorkerTraffic(
  parts: Omit<Place, "config"> & {
    readonly nodeConfig: NodeConfig;
    readonly ports: Ports;
    readonly client: Client;
    readonly loopMetrics: LoopMetrics;
    readonly signal: AbortSignal;
    readonly stack: AsyncDisposableStack;
  },
): Promise<void> {
  const { ports, client, loopMetrics, stack } = parts;
  const options = await networkOptions({ ...parts, config: parts.nodeConfig });
  await startPart(stack, {
    name: "network",
    log: ports.log,
    start: () => startNetwork(options, { ...ports, client, loopMetrics, tools: systemTools(ports) }),
  });
}

/** Starts what carries packets: services, policies, DNS and ingress. On the simulated runtime there are none to carry. */
export async function startTraffic(
  parts: Parts & {
    readonly client: Client;
    readonly address: string;
    readonly certificates: Certificates;
    readonly apiPort: number;
  },
  stack: AsyncDisposableStack,
): Promise<void> {
  const { client, address, config, ports, loopMetrics, signal, certificates } = parts;
  const settings = clusterSettings(config);
  const place = { config: { ...config, podCidr: podSubnet(config) }, settings, address };
  const hasIngress = config.runtime === "containerd" && !config.disable.includes("ingress");
  const ingress = {
    listeners: ingressListeners(parts),
    classNames: ["cortado", "traefik"],
    fallbackCertificate: () => certificates.ingress,
  };
  const options = { ...(await networkOptions(place)), publishes: hasIngress ? { ingress } : {} };
  await startPart(stack, {
    name: "network",
    log: ports.log,
    start: () => startNetwork(options, { ...ports, client, loopMetrics, tools: systemTools(ports) }),
  });
  await publishLocalServices(client, {
    services: localServices(config),
    apiPort: parts.apiPort,
    address,
    signal,
  });
}

/** Ports of the node that pods reach by a name. */
function localServices({
  mqttPort,
  mqttTls,
  telemetryPort,
  gatewayPort,
}: Parts["config"]): readonly LocalService[] {
  const mqtt = [
    { name: "mqtt", port: mqttPort },
    { name: "mqtts", port: mqttTls?.port ?? 0 },
  ];
  return [
    { name: "mqtt", namespace: "cortado-system", ports: mqtt },
    { name: "telemetry", namespace: "cortado-system", ports: [{ name: "http", port: telemetryPort }] },
    { name: "gateway", namespace: "openfaas", ports: [{ name: "http", port: gatewayPort }] },
  ]
    .map((service) => ({ ...service, ports: service.ports.filter(({ port }) => port !== 0) })) // turned off
    .filter(({ ports }) => ports.length > 0);
}

function ingressListeners({ config }: Parts): readonly IngressListener[] {
  const { ingressPort, ingressTlsPort, localSocketDir } = config;
  const plain = ingressPort === 0 ? [] : [{ address: { host: "0.0.0.0", port: ingressPort }, secure: false }];
  const secure =
    ingressTlsPort === 0 ? [] : [{ address: { host: "0.0.0.0", port: ingressTlsPort }, secure: true }];
  const local =
    localSocketDir === undefined
      ? []
      : [{ address: { path: join(localSocketDir, "shop.sock") }, secure: false }];
  return [...plain, ...secure, ...local];
}

/** The DNS servers outside that a resolv.conf names (resolv.conf(5)). */
function upstreamsOf(resolvConf: string): readonly { readonly host: string; readonly port: number }[] {
  return [...resolvConf.matchAll(/^\s*nameserver\s+(\S+)/gm)].map((match) => ({
    host: match[1] as string,
    port: 53,
  }));
}
