import { readFile, writeFile } from "node:fs/promises";
import type { Client } from "@cortado/client";
import type { LoopMetrics } from "@cortado/client/loop";
import type { Clock } from "@cortado/std/clock";
import type { Log } from "@cortado/std/log";
import type { Metrics } from "@cortado/std/metrics";
import { startDns, type Upstream } from "./dns/dns-server.ts";
import { startIngress, type CertificatePair, type IngressListener } from "./ingress/ingress.ts";
import { isOurs } from "./ingress/routes.ts";
import { startAddresses } from "./load-balancer/load-balancer.ts";
import type { NetworkTools } from "./nft.ts";
import { startObjects } from "./objects.ts";
import { startOverlay } from "./overlay/overlay.ts";
import type { OverlayBackend } from "./overlay/plan.ts";
import { startPolicies } from "./policies/policies.ts";
import { startServices } from "./services/services.ts";
import type { Address } from "@cortado/std/net";

export type { IngressListener, CertificatePair } from "./ingress/ingress.ts";
export { prepareNode, type NodeNetwork } from "./node/prepare.ts";
export { systemTools, type NetworkTools } from "./nft.ts";

export type NetworkOptions = {
  readonly nodeName: string;
  readonly nodeIps: () => readonly string[];
  readonly podCidr: string;
  /** Addresses of all nodes' pods. */
  readonly clusterCidr: string;
  readonly bridge: string;
  /** Names of our nft tables begin so; two boxes of one namespace would need two. */
  readonly tablePrefix: string;
  /** Undefined: no rules are written, as for a simulated node. */
  readonly rules: boolean;
  /** Undefined: no DNS is served. */
  readonly dns?: {
    readonly host: string;
    readonly port: number;
    readonly domain: string;
    readonly upstreams: () => readonly Upstream[];
  };
  /** How pods of other nodes are reached; undefined: they are not. */
  readonly overlay?: { readonly backend: OverlayBackend };
  /** This node says in the API where services and ingresses are reached; one of a cluster does. */
  readonly publishes?: {
    readonly ingress?: {
      readonly listeners: readonly IngressListener[];
      readonly classNames: readonly string[];
      readonly fallbackCertificate: () => CertificatePair;
    };
  };
  readonly simulated: boolean;
  /** Take the rules away at the end; otherwise they stay in force while we restart. */
  readonly removeRules: boolean;
};

export type NetworkPorts = {
  readonly client: Client;
  readonly tools: NetworkTools;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly loopMetrics: LoopMetrics;
};

export interface RunningNetwork extends AsyncDisposable {
  readonly dnsPort: number | undefined;
  readonly ingressAddresses: readonly Address[];
}

/** Starts service rules, policies, DNS and ingress; answers when the first rules are in force and all listen. */
export async function startNetwork(options: NetworkOptions, ports: NetworkPorts): Promise<RunningNetwork> {
  await using starting = new AsyncDisposableStack();
  const stop = new AbortController();
  starting.defer(() => stop.abort());
  const { signal } = stop;
  const objects = startObjects({ ...ports, signal });
  await objects.synced;
  const common = { ...ports, objects, signal, metrics: ports.loopMetrics };
  if (options.rules) {
    const disguise = !(await bridgedPacketsAreSeen());
    const table = `${options.tablePrefix}-services`;
    const reservedIps = options.dns === undefined ? [] : [options.dns.host];
    const services = await startServices({ ...options, table, disguise, reservedIps }, common);
    const policies = await startPolicies(
      { ...options, table: `${options.tablePrefix}-policies`, dnsIp: options.dns?.host ?? "0.0.0.0" },
      common,
    );
    if (options.removeRules)
      starting.defer(async () => void (await Promise.allSettled([services.remove(), policies.remove()])));
  } else ports.log.info("services and policies are not programmed: the node is simulated");
  const requests = ports.metrics.counter("coredns_dns_requests_total", {
    help: "Questions to the cluster's DNS, by zone.",
    labels: ["zone"],
  });
  const dns =
    options.dns === undefined
      ? undefined
      : starting.use(await startDns(options.dns, { ...ports, objects, requests }));
  const ingress = options.publishes?.ingress;
  const running =
    ingress === undefined
      ? undefined
      : starting.use(
          await startIngress(
            { ...ingress, simulated: options.simulated },
            { ...ports, ...ingress, objects, signal },
          ),
        );
  if (options.publishes !== undefined)
    startAddresses(
      { nodeIps: options.nodeIps, isOurs: (one) => ingress !== undefined && isOurs(one, ingress) },
      common,
    );
  const [nodeIp] = options.nodeIps();
  if (options.rules && options.overlay !== undefined && nodeIp !== undefined)
    startOverlay({ ...options, ...options.overlay, nodeIp }, common);
  starting.defer(() => stop.abort());
  const lifetime = starting.move();
  return {
    dnsPort: dns?.port,
    ingressAddresses: running?.addresses ?? [],
    [Symbol.asyncDispose]: () => lifetime.disposeAsync(),
  };
}

const bridgeSwitch = "/proc/sys/net/bridge/bridge-nf-call-iptables";

// Packets between two pods of one bridge pass the rules only if the kernel is told so; the file is there once br_netfilter is.
async function bridgedPacketsAreSeen(): Promise<boolean> {
  await writeFile(bridgeSwitch, "1").catch(() => undefined);
  return (await readFile(bridgeSwitch, "utf8").catch(() => "0")).trim() === "1";
}
