import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Certificates } from "@cortado/cluster/certificates";
import type { Client } from "@cortado/client";
import { startNetwork, systemTools, type IngressListener } from "@cortado/network";
import { publishLocalServices, type LocalService } from "../local-services.ts";
import { startPart } from "./lifetime.ts";
import { podBridge, podSubnet } from "./pods.ts";
import type { Parts } from "./parts.ts";

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
  const real = config.runtime === "containerd";
  const isOn = (part: string): boolean => real && !config.disable.includes(part);
  const subnet = podSubnet(config);
  const upstreams = upstreamsOf(await readFile(config.resolvConf, "utf8").catch(() => ""));
  const options = {
    nodeName: config.nodeName,
    nodeIps: () => [address],
    podCidr: subnet,
    serviceCidr: config.serviceCidr,
    bridge: podBridge,
    gateway: `${subnet.split(".").slice(0, 3).join(".")}.1/24`,
    tablePrefix: "cortado",
    rules: real,
    ...(isOn("coredns")
      ? {
          dns: {
            host: config.clusterDns,
            port: 53,
            domain: config.clusterDomain,
            upstreams: () => upstreams,
          },
        }
      : {}),
    ...(isOn("ingress")
      ? { ingress: { listeners: ingressListeners(parts), classNames: ["cortado", "traefik"] } }
      : {}),
    simulated: !real,
    // Rules stay in force while we restart: pods go on serving each other.
    removeRules: false,
  };
  await startPart(stack, {
    name: "network",
    log: ports.log,
    start: () =>
      startNetwork(options, {
        ...ports,
        client,
        loopMetrics,
        tools: systemTools(ports),
        fallbackCertificate: () => certificates.ingress,
      }),
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
