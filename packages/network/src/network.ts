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
import { startPolicies } from "./policies/policies.ts";
import { startServices } from "./services/services.ts";
import type { Address } from "@cortado/std/net";

export type { IngressListener, CertificatePair } from "./ingress/ingress.ts";
export { systemTools, type NetworkTools } from "./nft.ts";

export type NetworkOptions = {
  readonly nodeName: string;
  readonly nodeIps: () => readonly string[];
  readonly podCidr: string;
  readonly serviceCidr: string;
  readonly bridge: string;
  /** The bridge's own address with its length: "10.42.0.1/24". */
  readonly gateway: string;
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
  readonly ingress?: {
    readonly listeners: readonly IngressListener[];
    readonly classNames: readonly string[];
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
  readonly fallbackCertificate: () => CertificatePair;
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
  const classNames = options.ingress?.classNames ?? [];
  const ingress =
    options.ingress === undefined
      ? undefined
      : starting.use(
          await startIngress(
            { ...options.ingress, simulated: options.simulated },
            { ...ports, objects, signal },
          ),
        );
  startAddresses(
    {
      nodeIps: options.nodeIps,
      isOurs: (one) => options.ingress !== undefined && isOurs(one, { classNames }),
    },
    common,
  );
  starting.defer(() => stop.abort());
  const lifetime = starting.move();
  return {
    dnsPort: dns?.port,
    ingressAddresses: ingress?.addresses ?? [],
    [Symbol.asyncDispose]: () => lifetime.disposeAsync(),
  };
}

const bridgeSwitch = "/proc/sys/net/bridge/bridge-nf-call-iptables";

// Packets between two pods of one bridge pass the rules only if the kernel is told so; the file is there once br_netfilter is.
async function bridgedPacketsAreSeen(): Promise<boolean> {
  await writeFile(bridgeSwitch, "1").catch(() => undefined);
  return (await readFile(bridgeSwitch, "utf8").catch(() => "0")).trim() === "1";
}
