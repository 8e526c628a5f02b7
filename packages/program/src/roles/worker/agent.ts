import { hostname } from "node:os";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { newClient, type Client } from "@cortado/client";
import { newLoopMetrics, type LoopMetrics } from "@cortado/client/loop";
import { openIdentity, type Identity } from "@cortado/cluster/join/agent";
import { upgradeAtServer } from "@cortado/cluster/join/door";
import { TUNNEL_PATH } from "@cortado/cluster/join/protocol";
import { keepTunnel } from "@cortado/cluster/tunnel/agent";
import { TUNNEL_PROTOCOL } from "@cortado/cluster/tunnel/protocol";
import { ownNode } from "@cortado/node";
import { jsonLog } from "@cortado/std/log";
import { newMetrics } from "@cortado/std/metrics";
import { systemClock } from "@cortado/std/node/clock";
import { systemFiles } from "@cortado/std/node/files";
import { systemRandom } from "@cortado/std/node/random";
import { hasReason, messageOf } from "@cortado/std/status";
import {
  agentSettings,
  toAgentConfig,
  type AgentConfig,
  type AgentSettingName,
} from "../../config/agent-config.ts";
import { readSettingsFile } from "../../config/settings.ts";
import { renewableTransport } from "../../renewable-transport.ts";
import { writeText } from "../../standard-output.ts";
import type { Ports } from "../api.ts";
import { machineOf, serverStreams, startPods, usageSource, type NodeConfig, type NodePart } from "../pods.ts";
import { watchProcess } from "../process-metrics.ts";
import { prepareTraffic, startWorkerTraffic } from "../traffic.ts";
import { serveWorkerStreams } from "./worker-streams.ts";

export type AgentWords = {
  readonly config?: string;
  readonly settings: Partial<Record<AgentSettingName, unknown>>;
};

/** How often the node's addresses are looked for until the server has given them out. */
const ADDRESSES_LOOK_MS = 200;

/** Reads the settings of an agent from its command line, environment and file. @throws StatusError naming what is wrong */
export function readAgentConfig({ config, settings }: AgentWords): AgentConfig {
  const file = readSettingsFile({
    path: config ?? "/etc/cortado/config.yaml",
    mustExist: config !== undefined,
    settings: agentSettings,
    command: "cortado agent",
  });
  return toAgentConfig({ file, line: settings, env: process.env, hostName: hostname() });
}

type Parts = {
  readonly config: AgentConfig;
  readonly identity: Identity;
  readonly ports: Ports;
  readonly loopMetrics: LoopMetrics;
  readonly signal: AbortSignal;
};

/** A further node of a server's cluster. Disposing it stops our own parts; containers run on. */
export async function startAgentNode(config: AgentConfig, stopping: AbortSignal): Promise<AsyncDisposable> {
  const write = (line: string): void => writeText(1, `${line}\n`);
  const log = jsonLog({ level: config.logLevel, clock: systemClock, write });
  const metrics = newMetrics();
  const ports: Ports = { clock: systemClock, random: systemRandom, files: systemFiles, log, metrics };
  await using stack = new AsyncDisposableStack();
  const stop = new AbortController();
  const signal = AbortSignal.any([stop.signal, stopping]);
  stack.defer(() => stop.abort(new Error("the agent stops")));
  stack.use(watchProcess(metrics));
  const folder = join(config.dataDir, "agent");
  await mkdir(folder, { recursive: true, mode: 0o711 });
  const { server, token, nodeName } = config;
  const identity = stack.use(await openIdentity({ ...ports, server, token, nodeName, folder, signal }));
  const parts: Parts = { config, identity, ports, loopMetrics: newLoopMetrics(metrics), signal };
  const client = clientOf(parts, stack, "kubelet");
  const podCidr = await podAddresses(parts, client, folder);
  const nodeConfig = workerConfig(parts, podCidr);
  await prepareTraffic({ config: nodeConfig, settings: identity.settings }, ports);
  const pods = await startPods(
    nodeConfig,
    { ...ports, client, loopMetrics: parts.loopMetrics, signal },
    stack,
  );
  startTunnel(parts, pods);
  await startWorkerTraffic({
    ...{ ports, nodeConfig, signal, loopMetrics: parts.loopMetrics, address: pods.address },
    settings: identity.settings,
    client: clientOf(parts, stack, "proxy"),
    stack,
  });
  log.info("agent is up", { node: nodeName, server: server.origin, address: pods.address, podCidr });
  return stack.move();
}

/** The API over the network, as the node or as its proxy; certificates are swapped when they are renewed. */
function clientOf({ config, identity }: Parts, stack: AsyncDisposableStack, as: "kubelet" | "proxy"): Client {
  const { authority: ca } = identity;
  const transport = renewableTransport(() => ({
    server: config.server.origin,
    ca,
    credential: identity[as],
  }));
  identity.onRenewed(() => transport.renew());
  return newClient(stack.use(transport));
}

/**
 * Makes the node's object and waits for the addresses that the server gives its pods. A node that has had some keeps to them, and so
 * needs no server to start again.
 */
async function podAddresses(
  { config, ports, signal }: Parts,
  client: Client,
  folder: string,
): Promise<string> {
  const { files, clock, log } = ports;
  const path = join(folder, "pod-cidr");
  const before = await files.read(path);
  const known = before === undefined ? undefined : new TextDecoder().decode(before);
  const machine = await machineOf(config);
  let told = "";
  while (!signal.aborted) {
    try {
      const { spec } = await ownNode(registrationOf(config), { client, machine, signal });
      if (spec?.podCIDR !== undefined) {
        if (spec.podCIDR !== known) await files.replace(path, new TextEncoder().encode(spec.podCIDR));
        return spec.podCIDR;
      }
    } catch (error) {
      if (!hasReason(error, "ServiceUnavailable", "TooManyRequests")) throw error;
      if (known !== undefined) return known;
      if (told !== messageOf(error))
        log.warn("node not made yet; trying again", { problem: messageOf(error) });
      told = messageOf(error);
    }
    await clock.sleep(ADDRESSES_LOOK_MS, { signal });
  }
  throw signal.reason;
}

const notReady = { key: "node.kubernetes.io/not-ready", effect: "NoSchedule" } as const;

function registrationOf(
  config: AgentConfig,
): Parameters<typeof ownNode>[0] & { readonly readsOnlyOwn: true } {
  const { nodeName, nodeLabels: labels, nodeTaints } = config;
  // Until it is Ready nothing is placed on it; the server takes the taint off.
  return { nodeName, readsOnlyOwn: true, first: { labels, taints: [...nodeTaints, notReady] } };
}

function workerConfig({ config, identity }: Parts, podCidr: string): NodeConfig {
  const { clusterDns, clusterDomain } = identity.settings;
  const { podsMax } = config;
  const registration = {
    ...registrationOf(config),
    usedCidr: podCidr,
    apiPort: 0,
    ...(podsMax === undefined ? {} : { podsMax }),
  };
  return { ...config, clusterDns, clusterDomain, podCidr, registration };
}

/** kubectl's logs, exec, port-forward and top come in by a connection that goes out. */
function startTunnel({ config, identity, ports, signal }: Parts, { node }: NodePart): void {
  const serve = serveWorkerStreams({ streams: serverStreams(node), usage: usageSource(node, signal) });
  void keepTunnel({
    ...ports,
    serve,
    signal,
    dial: ({ query, signal: dialSignal }) =>
      upgradeAtServer(config.server, {
        path: `${TUNNEL_PATH}${query}`,
        protocol: TUNNEL_PROTOCOL,
        authority: identity.authority,
        credential: identity.kubelet,
        signal: dialSignal,
      }),
  });
}
