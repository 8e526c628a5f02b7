import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type {
  NodeStreams as ServerStreams,
  StreamTarget,
  Usage,
  UsageSource,
} from "@cortado/apiserver/ports";
import type { Client } from "@cortado/client";
import type { LoopMetrics } from "@cortado/client/loop";
import { readMachine, startNode, type Machine, type NodeOptions, type RunningNode } from "@cortado/node";
import { ctrImport, importImages, settleFolder } from "@cortado/node/images";
import { keepContainerd } from "@cortado/node/containerd";
import { mountCommand } from "@cortado/node/mounter";
import type { Runtime } from "@cortado/node/runtime";
import { openCriRuntime } from "@cortado/node/runtime/cri";
import { newSimulatedRuntime } from "@cortado/node/runtime/simulated";
import { StatusError } from "@cortado/std/status";
import type { ServerConfig } from "../config/server-config.ts";
import { holdMachine } from "../one-node.ts";
import type { Ports } from "./api.ts";
import { startPart } from "./lifetime.ts";
import { refuseUpgrade } from "./worker/upgrade-refusal.ts";

/** What a node is told, whether it lives in a server or in an agent. */
export type NodeConfig = Pick<
  ServerConfig,
  | "dataDir"
  | "nodeName"
  | "nodeIp"
  | "memoryLimitBytes"
  | "runtime"
  | "pauseImage"
  | "resolvConf"
  | "clusterDns"
  | "clusterDomain"
  | "cgroupRoot"
> & {
  /** Addresses of its pods. */
  readonly podCidr: string;
  readonly registration: Pick<
    NodeOptions,
    "podCidr" | "usedCidr" | "labels" | "first" | "apiPort" | "podsMax" | "readsOnlyOwn"
  >;
};

export type NodePart = { readonly node: RunningNode; readonly runtime: Runtime; readonly address: string };

/** The bridge that pods hang on. */
export const podBridge = "cni0";
/** Where what a boot may forget is kept; a tmpfs. */
const runFolder = "/run/cortado";

/** Starts the runtime and the node agent on it. What it starts stays when this process ends: containers outlive us. */
export async function startPods(
  config: NodeConfig,
  ports: Ports & { readonly client: Client; readonly loopMetrics: LoopMetrics; readonly signal: AbortSignal },
  stack: AsyncDisposableStack,
): Promise<NodePart> {
  const { log } = ports;
  if (config.runtime === "containerd")
    stack.use(
      await holdMachine({
        path: join(runFolder, "node.sock"),
        who: `node ${config.nodeName}, in ${config.dataDir}`,
      }),
    );
  const pinned: { images: ReadonlySet<string> } = { images: new Set([config.pauseImage]) };
  const { runtime, importing } = await startPart(stack, {
    name: "runtime",
    log,
    start: () => openRuntime(config, ports, pinned),
  });
  await mkdir(join(config.dataDir, "agent"), { recursive: true, mode: 0o711 });
  const machine = await machineOf(config);
  const options = {
    ...config.registration,
    nodeName: config.nodeName,
    dataFolder: join(config.dataDir, "agent"),
    runFolder:
      config.runtime === "simulated" ? join(config.dataDir, "agent", "run") : join(runFolder, "pods"),
    dns: {
      servers: [config.clusterDns],
      domain: config.clusterDomain,
      nodeResolv: await readFile(config.resolvConf, "utf8").catch(() => ""),
    },
    cgroupPrefix: config.cgroupRoot,
    pinnedImages: () => pinned.images,
    importing,
  };
  const node = await startPart(stack, {
    name: "node",
    log,
    start: () => startNode(options, { ...ports, runtime, machine, mounter: mountCommand }),
  });
  return { node, runtime, address: machine.addresses()[0] ?? "127.0.0.1" };
}

/** The machine, as its settings let it be seen. */
export function machineOf(config: Pick<NodeConfig, "nodeIp" | "memoryLimitBytes">): Promise<Machine> {
  const { nodeIp, memoryLimitBytes } = config;
  return readMachine({
    bridge: podBridge,
    ...(nodeIp === undefined ? {} : { nodeIp }),
    ...(memoryLimitBytes === undefined ? {} : { memoryLimitBytes }),
  });
}

/** The first /24 of the cluster's pods: the share of a server's own node. */
export function podSubnet(config: Pick<ServerConfig, "clusterCidr">): string {
  return `${config.clusterCidr.split("/")[0]?.split(".").slice(0, 3).join(".")}.0/24`;
}

type OpenedRuntime = AsyncDisposable & { readonly runtime: Runtime; readonly importing: Promise<unknown> };

async function openRuntime(
  config: NodeConfig,
  ports: Ports & { readonly signal: AbortSignal },
  pinned: { images: ReadonlySet<string> },
): Promise<OpenedRuntime> {
  const { clock, log, random, files, signal } = ports;
  if (config.runtime === "simulated") {
    const runtime = newSimulatedRuntime({
      clock,
      random,
      podNetwork: config.podCidr.split(".").slice(0, 3).join("."),
    });
    return {
      runtime,
      importing: Promise.resolve(),
      [Symbol.asyncDispose]: () => runtime[Symbol.asyncDispose](),
    };
  }
  const { socketPath } = await keepContainerd(
    {
      dataFolder: join(config.dataDir, "agent", "containerd"),
      runFolder: join(runFolder, "containerd"),
      pauseImage: config.pauseImage,
      podSubnet: config.podCidr,
      bridge: podBridge,
    },
    { clock, log, signal },
  );
  const runtime = await openCriRuntime({ socketPath, clock, signal });
  const folder = join(config.dataDir, "agent", "images");
  await mkdir(folder, { recursive: true });
  const doneFile = join(config.dataDir, "agent", "images-imported.json");
  // In the background: what is there already must not wait for what is new.
  const importing = importImages({
    folder,
    doneFile,
    runtime,
    importTar: ctrImport(socketPath),
    settle: settleFolder(config.dataDir),
    files,
    clock,
    log,
    signal,
  })
    .then((images) => void (pinned.images = new Set([...images, config.pauseImage])))
    .catch((error: unknown) => log.error("images could not be imported", { error }));
  return { runtime, importing, [Symbol.asyncDispose]: () => runtime[Symbol.asyncDispose]() };
}

/** Hands what the API server was asked about pods to the node. */
export function serverStreams(node: RunningNode): ServerStreams {
  const { streams } = node;
  return {
    log: (target) => streams.log({ ...podOf(target), ...logOptions(target), signal: target.signal }),
    upgrade(target, { request, socket, head }) {
      const upgrade = { request, socket, head: Buffer.from(head) };
      reach(target, upgrade, node).catch((error: unknown) => refuseUpgrade(socket, error));
    },
    proxy: (target) =>
      Promise.reject(
        new StatusError(
          "NotImplemented",
          `the proxy of ${target.resource} is not served yet; use kubectl port-forward ${target.name}`,
        ),
      ),
  };
}

async function reach(
  target: StreamTarget,
  upgrade: Parameters<RunningNode["streams"]["exec"]>[1],
  node: RunningNode,
): Promise<void> {
  const { query } = target;
  const flag = (name: string): boolean => ["1", "true"].includes(query.get(name) ?? "");
  const container = query.get("container") ?? undefined;
  const process = {
    ...podOf(target),
    ...(container === undefined ? {} : { container }),
    stdin: flag("stdin"),
    stdout: flag("stdout"),
    stderr: flag("stderr"),
    tty: flag("tty"),
  };
  if (target.subresource === "exec")
    await node.streams.exec({ ...process, command: query.getAll("command") }, upgrade);
  else if (target.subresource === "attach") await node.streams.attach(process, upgrade);
  else
    await node.streams.portForward(
      { ...podOf(target), ports: query.getAll("ports").flatMap((text) => text.split(",").map(Number)) },
      upgrade,
    );
}

function podOf(target: StreamTarget): { readonly namespace: string; readonly pod: string } {
  return { namespace: target.namespace, pod: target.name };
}

function logOptions({ query }: StreamTarget): Record<string, never> {
  const options: Record<string, unknown> = {};
  for (const name of ["follow", "previous", "timestamps"])
    if (query.has(name)) options[name] = ["1", "true", ""].includes(query.get(name) ?? "");
  for (const name of ["tailLines", "limitBytes", "sinceSeconds"])
    if (query.has(name)) options[name] = Number(query.get(name));
  for (const name of ["container", "sinceTime"]) if (query.has(name)) options[name] = query.get(name);
  return options as Record<string, never>;
}

/** What `kubectl top` shows. */
export function usageSource(node: RunningNode, signal: AbortSignal): UsageSource {
  return {
    async nodes() {
      const { name, ...metric } = await node.stats.nodeMetrics({ signal });
      return [{ name, ...toUsage(metric) }];
    },
    async pods(namespace) {
      const pods = (await node.stats.podMetrics({ signal })).filter(
        (pod) => namespace === "" || pod.namespace === namespace,
      );
      return pods.map(({ containers, ...pod }) => ({
        ...pod,
        containers: containers.map(({ name, usage }) => ({ name, ...toUsage({ ...pod, usage }) })),
      }));
    },
  };
}

type Metric = {
  readonly timestamp: string;
  readonly window: string;
  readonly usage: { readonly cpu: string; readonly memory: string };
};

function toUsage({ timestamp, window, usage }: Metric): Usage {
  return {
    atMs: Date.parse(timestamp),
    windowMs: Number.parseFloat(window) * 1_000,
    cpuNanoCores: Math.round(Number.parseFloat(usage.cpu)),
    memoryBytes: Number.parseInt(usage.memory, 10) * 1_024,
  };
}
