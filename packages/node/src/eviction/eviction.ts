import type { Clock } from "@cortado/std/clock";
import type { Log } from "@cortado/std/log";
import type { EventRecorder } from "../events/recorder.ts";
import type { ImageCollector } from "../images/collector.ts";
import {
  EVICTION_DISK_BYTES_MIN,
  EVICTION_DISK_SHARE_MIN,
  EVICTION_INODES_FREE_PERCENT,
  EVICTION_LOOK_MS,
  EVICTION_MEMORY_FREE_BYTES,
  EVICTION_NODEFS_FREE_PERCENT,
  PRESSURE_LINGER_MS,
} from "../limits.ts";
import type { DiskState, Machine } from "../node-status/machine.ts";
import type { Pressure } from "../node-status/node-status.ts";
import { isTerminal, podRequest, specOf, type StoredPod } from "../pods/pod.ts";
import { podEvent } from "../pods/pod-events.ts";
import type { PodRecord } from "../pods/record.ts";
import type { PodRounds } from "../pods/rounds.ts";
import type { NodeStats } from "../stats/stats.ts";

export type EvictionPorts = {
  readonly machine: Machine;
  readonly clock: Clock;
  readonly log: Log;
  readonly events: EventRecorder;
  readonly collector: ImageCollector;
  readonly rounds: PodRounds;
  readonly stats: NodeStats;
  readonly poke: (uid: string) => void;
  readonly signal: AbortSignal;
  readonly folder: string;
  readonly nodeName: string;
};

export interface Eviction {
  readonly pressure: () => Pressure;
  run(): Promise<void>;
}

/** Watches disk and memory; under pressure frees images first, then ends one pod at a look. */
export function startEviction(ports: EvictionPorts): Eviction {
  const seen: { disk: number | undefined; memory: number | undefined } = {
    disk: undefined,
    memory: undefined,
  };
  const lasts = (atMs: number | undefined): boolean =>
    atMs !== undefined && ports.clock.monotonicMs() - atMs < PRESSURE_LINGER_MS;
  const look = async (): Promise<void> => {
    const disk = await ports.machine.disk(ports.folder);
    const memoryFree = await ports.machine.memoryAvailableBytes();
    if (memoryFree < EVICTION_MEMORY_FREE_BYTES) {
      seen.memory = ports.clock.monotonicMs();
      await evictOne("memory", ports);
    }
    if (!diskPressed(disk)) return;
    seen.disk = ports.clock.monotonicMs();
    const inUse = new Set(
      [...ports.rounds.records.values()].flatMap(({ view }) =>
        view.containers.flatMap((one) => [one.imageRef, one.image]),
      ),
    );
    await ports.collector.free(
      (disk.totalBytes * EVICTION_NODEFS_FREE_PERCENT) / 100 - disk.freeBytes,
      inUse,
    );
    const now = await ports.machine.disk(ports.folder);
    if (diskPressed(now)) await evictOne("ephemeral-storage", ports, worthwhileBytes(now));
  };
  return {
    pressure: () => ({ disk: lasts(seen.disk), memory: lasts(seen.memory), pids: false }),
    async run() {
      while (!ports.signal.aborted) {
        try {
          await ports.clock.sleep(EVICTION_LOOK_MS, ports);
          await look();
        } catch (error) {
          if (!ports.signal.aborted) ports.log.warn("disk and memory not looked at", { error });
        }
      }
    },
  };
}

export function diskPressed(disk: DiskState): boolean {
  if ((100 * disk.freeBytes) / disk.totalBytes < EVICTION_NODEFS_FREE_PERCENT) return true;
  // Some file systems make inodes as they go and tell none.
  return disk.inodesTotal > 0 && (100 * disk.inodesFree) / disk.inodesTotal < EVICTION_INODES_FREE_PERCENT;
}

/**
 * What ending a pod must free to be worth it. The kubelet ends one pod after the other even if that gives back next to nothing; a
 * store would stop selling for a disk that something else has filled.
 */
export function worthwhileBytes(disk: DiskState): number {
  const missing = (disk.totalBytes * EVICTION_NODEFS_FREE_PERCENT) / 100 - disk.freeBytes;
  return Math.max(EVICTION_DISK_BYTES_MIN, missing * EVICTION_DISK_SHARE_MIN);
}

type Scarce = "memory" | "ephemeral-storage";

async function evictOne(scarce: Scarce, ports: EvictionPorts, worthwhile = 0): Promise<void> {
  const usage = scarce === "memory" ? await ports.stats.podMemory(ports) : await ports.stats.podDisk(ports);
  const records = [...ports.rounds.records.values()].filter(
    ({ uid }) => scarce === "memory" || (usage.get(uid) ?? 0) >= worthwhile,
  );
  const [first] = evictionOrder({ records, usage, scarce });
  if (first?.pod === undefined) {
    ports.log.warn("node is short, and ending a pod would not help", { scarce });
    return;
  }
  const message = `The node was low on resource: ${scarce}.`;
  ports.rounds.end(first.uid, { reason: "Evicted", message });
  ports.events.record(podEvent(first.pod, { type: "Warning", reason: "Evicted", message }));
  ports.log.warn("pod evicted", {
    pod: first.pod.metadata.name,
    namespace: first.pod.metadata.namespace,
    scarce,
  });
  ports.poke(first.uid);
}

const CRITICAL_PRIORITY = 2_000_000_000;

/** Who goes first: those over their request, then low priority, then most used (kubelet, eviction/helpers.go). Critical pods never go. */
export function evictionOrder(options: {
  readonly records: readonly PodRecord[];
  readonly usage: ReadonlyMap<string, number>;
  readonly scarce: Scarce;
}): readonly PodRecord[] {
  const priority = (pod: StoredPod): number => specOf(pod).priority ?? 0;
  const used = (record: PodRecord): number => options.usage.get(record.uid) ?? 0;
  const over = (record: PodRecord, pod: StoredPod): boolean =>
    options.scarce !== "memory" || used(record) > podRequest(specOf(pod), "memory");
  const candidates = options.records.flatMap((record) =>
    record.pod === undefined || !mayGo(record, record.pod) ? [] : [{ record, pod: record.pod }],
  );
  return candidates
    .toSorted(
      (first, second) =>
        Number(over(second.record, second.pod)) - Number(over(first.record, first.pod)) ||
        priority(first.pod) - priority(second.pod) ||
        used(second.record) - used(first.record),
    )
    .map(({ record }) => record);
}

function mayGo(record: PodRecord, pod: StoredPod): boolean {
  if (
    record.gone ||
    record.ended !== undefined ||
    isTerminal(pod.status?.phase) ||
    pod.metadata.deletionTimestamp !== undefined
  )
    return false;
  return (specOf(pod).priority ?? 0) < CRITICAL_PRIORITY;
}
