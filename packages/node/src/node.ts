import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { Client } from "@cortado/client";
import type { LoopMetrics } from "@cortado/client/loop";
import { every, type Clock } from "@cortado/std/clock";
import type { Log } from "@cortado/std/log";
import type { Metrics } from "@cortado/std/metrics";
import { openCgroups } from "./cgroups/cgroups.ts";
import { EventRecorder } from "./events/recorder.ts";
import { startEviction } from "./eviction/eviction.ts";
import { Housekeeper } from "./housekeeping.ts";
import { ImageCollector } from "./images/collector.ts";
import { ImagePuller } from "./images/puller.ts";
import { environmentSources } from "./pods/env.ts";
import { probeFailed, pullEvents } from "./pods/pod-events.ts";
import { Pods } from "./pods/pods.ts";
import { PodRounds } from "./pods/rounds.ts";
import type { ClusterDns } from "./pods/sandbox-config.ts";
import { PodStarter } from "./pods/starter.ts";
import { Probers } from "./probes/probers.ts";
import type { Machine } from "./node-status/machine.ts";
import type { OwnNode } from "./node-status/own-node.ts";
import { Registration } from "./node-status/registration.ts";
import type { Runtime } from "./runtime/runtime.ts";
import { askedSources, startSources } from "./sources.ts";
import { newStats, type NodeStats } from "./stats/stats.ts";
import { newStreams, type NodeStreams } from "./streams/streams.ts";
import { Volumes, type Mounter } from "./volumes/volumes.ts";
import { VOLUME_REFRESH_MS } from "./limits.ts";

export { readMachine, type Machine } from "./node-status/machine.ts";
export { ownNode, type OwnNode } from "./node-status/own-node.ts";
export { kubeletVersion } from "./node-status/node-status.ts";
export type { ClusterDns } from "./pods/sandbox-config.ts";
export type { Mounter } from "./volumes/volumes.ts";

export type NodeOptions = OwnNode & {
  /** Durable: pods' own folders and logs below it. */
  readonly dataFolder: string;
  /** Lost at a boot, best a tmpfs: files of Secrets and tokens. */
  readonly runFolder: string;
  /** The API lets this node read only what its pods use, so each ConfigMap and Secret is asked for by its name. */
  readonly readsOnlyOwn?: boolean;
  readonly dns: ClusterDns;
  /** Parent of all pods' cgroups, without slashes at its ends: "kubepods". */
  readonly cgroupPrefix: string;
  readonly cgroupRoot?: string;
  /** Ends when the images that come with the store are in the runtime; until then a missing one is waited for and not pulled. */
  readonly importing?: Promise<unknown>;
  /** Images that the collector leaves alone. */
  readonly pinnedImages: () => ReadonlySet<string>;
  /** Shown as the node's port for its API. */
  readonly apiPort?: number;
  /** Pods that it takes at most; absent: the kubelet's 110. */
  readonly podsMax?: number;
  /** Addresses that its pods have, where others give them out. */
  readonly usedCidr?: string;
};

export type NodePorts = {
  readonly client: Client;
  readonly runtime: Runtime;
  readonly machine: Machine;
  readonly mounter: Mounter;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly loopMetrics: LoopMetrics;
};

export interface RunningNode extends AsyncDisposable {
  readonly streams: NodeStreams;
  readonly stats: NodeStats;
  /** Resolves when the pods that were there at the start have been looked at once. */
  readonly settled: Promise<void>;
}

/**
 * Starts the node agent: registers the node and runs the pods that are bound to it. Answers when the node is registered and its pods are
 * known. Stopping it stops no container: the next start adopts what runs.
 */
export async function startNode(options: NodeOptions, ports: NodePorts): Promise<RunningNode> {
  await using starting = new AsyncDisposableStack();
  const stop = new AbortController();
  starting.defer(() => stop.abort());
  const built = build(options, { ...ports, signal: stop.signal });
  const { pods, registration, housekeeper, background } = built;
  const folders = ports.runtime.simulated
    ? []
    : [podsFolder(options), logsFolder(options), options.runFolder];
  for (const folder of folders) await mkdir(folder, { recursive: true, mode: 0o711 });
  await Promise.all([registration.register(), built.sourcesSynced]);
  await pods.start();
  if (options.readsOnlyOwn === true) void warmSources(built);
  const work = [registration.run(), housekeeper.run(), ...background.map((start) => start())];
  const refresh = every(ports.clock, VOLUME_REFRESH_MS, () => pods.refreshVolumes());
  starting.defer(async () => {
    refresh[Symbol.dispose]();
    await Promise.allSettled(work);
    await pods.idle();
  });
  starting.defer(() => stop.abort()); // first of all, so that what is waited for above ends
  const lifetime = starting.move();
  return {
    streams: built.streams,
    stats: built.stats,
    settled: pods.idle(),
    [Symbol.asyncDispose]: () => lifetime.disposeAsync(),
  };
}

/**
 * A node that has started anew asks at once for what its pods are made of, and not only when one has to be started again: the server
 * may be away by then.
 */
async function warmSources({
  pods,
  sources,
}: Pick<ReturnType<typeof build>, "pods" | "sources">): Promise<void> {
  pods.refreshVolumes();
  for (const { pod } of pods.records.values()) {
    if (pod === undefined) continue;
    const { namespace = "" } = pod.metadata;
    const asked = environmentSources(pod).map((source) => {
      const [kind, name = ""] = source.split("/");
      return kind === "Secret" ? sources.secret(namespace, name) : sources.configMap(namespace, name);
    });
    const claims = (pod.spec?.volumes ?? []).map(async ({ persistentVolumeClaim: claim }) => {
      const found = claim && (await sources.claim(namespace, claim.claimName));
      if (found?.spec?.volumeName !== undefined) await sources.volume(found.spec.volumeName);
    });
    await Promise.allSettled([...asked, ...claims]); // who needs one says what is wrong
  }
}

function podsFolder(options: NodeOptions): string {
  return join(options.dataFolder, "pods");
}

function logsFolder(options: NodeOptions): string {
  return join(options.dataFolder, "logs");
}

type Signalled = NodePorts & { readonly signal: AbortSignal };

// The parts know each other only by what is handed in here; `later` closes the circles.
function build(options: NodeOptions, ports: Signalled) {
  const { runtime, machine } = ports;
  const core = buildPods(options, ports);
  const { rounds, collector, starter, events, poke } = core;
  const { nodeName, podCidr, labels, first, dataFolder, apiPort, podsMax, usedCidr } = options;
  const records = () => rounds.records;
  const stats = newStats({ ...ports, nodeName, records });
  const eviction = startEviction({
    ...ports,
    events,
    collector,
    rounds,
    poke,
    stats,
    folder: dataFolder,
    nodeName,
  });
  const registration = new Registration(
    {
      nodeName,
      podCidr,
      dataFolder,
      apiPort,
      podsMax,
      usedCidr,
      ...(labels === undefined ? {} : { labels }),
      ...(first === undefined ? {} : { first }),
    },
    { ...ports, runtime, machine, pressure: eviction.pressure },
  );
  const housekeeper = new Housekeeper({ ...ports, ...core, logsFolder: logsFolder(options) });
  const streams = newStreams({ ...ports, records, starter });
  return { ...core, registration, housekeeper, streams, stats, background: [() => eviction.run()] };
}

function buildPods(options: NodeOptions, ports: Signalled) {
  const { runtime, machine, log } = ports;
  const { nodeName, importing } = options;
  const events = new EventRecorder({ ...ports, nodeName });
  const later: { pods?: Pods } = {};
  const poke = (uid: string): void => later.pods?.poke(uid);
  const sources =
    options.readsOnlyOwn === true
      ? askedSources(ports)
      : startSources({ ...ports, changed: (kind, key) => later.pods?.sourceChanged(kind, key) });
  // A simulated node touches nothing of the machine.
  const cgroupRoot = runtime.simulated ? "/nonexistent" : (options.cgroupRoot ?? "/sys/fs/cgroup");
  const cgroups = openCgroups({ root: cgroupRoot, prefix: options.cgroupPrefix, log });
  const roots = { podsFolder: podsFolder(options), runFolder: options.runFolder };
  const volumes = new Volumes({ roots, mounter: ports.mounter, sources, simulated: runtime.simulated });
  const collector = new ImageCollector({ ...ports, pinned: options.pinnedImages });
  const puller = new ImagePuller({
    ...ports,
    sources,
    settled: poke,
    events: pullEvents(events),
    used: (image) => collector.used(image),
    ...(importing === undefined ? {} : { importing }),
  });
  const probers = new Probers({ ...ports, changed: poke, failed: probeFailed(events) });
  const hostIps = () => machine.addresses();
  const place = () => ({
    nodeName,
    hostIps: hostIps(),
    allocatable: { cpu: machine.cpus, memory: machine.memoryBytes },
  });
  const common = { ...ports, events, sources, volumes, puller, cgroups, probers, hostIps };
  const starter = new PodStarter({ ...common, dns: options.dns, logsFolder: logsFolder(options), place });
  const rounds = new PodRounds({ ...common, starter });
  const pods = new Pods({ ...ports, rounds, nodeName, metrics: ports.loopMetrics });
  later.pods = pods;
  return {
    pods,
    rounds,
    starter,
    collector,
    volumes,
    cgroups,
    events,
    poke,
    sources,
    sourcesSynced: sources.synced,
  };
}
