import { readFile } from "node:fs/promises";
import type { Clock } from "@cortado/std/clock";
import { toTime } from "@cortado/std/clock";
import type { Machine } from "../node-status/machine.ts";
import type { PodRecord } from "../pods/record.ts";
import type { ContainerUsage, Runtime, Waiting } from "../runtime/runtime.ts";

/** One container's use, as `metrics.k8s.io` tells it: nanocores as a quantity, memory as Ki. */
export type ContainerMetric = {
  readonly name: string;
  readonly usage: { readonly cpu: string; readonly memory: string };
};
export type PodMetric = {
  readonly name: string;
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly timestamp: string;
  readonly window: string;
  readonly containers: readonly ContainerMetric[];
};
export type NodeMetric = {
  readonly name: string;
  readonly timestamp: string;
  readonly window: string;
  readonly usage: { readonly cpu: string; readonly memory: string };
};

export interface NodeStats {
  podMetrics(options: Waiting): Promise<readonly PodMetric[]>;
  nodeMetrics(options: Waiting): Promise<NodeMetric>;
  /** Memory in use by pod uid, for who goes first under pressure. */
  podMemory(options: Waiting): Promise<ReadonlyMap<string, number>>;
  podDisk(options: Waiting): Promise<ReadonlyMap<string, number>>;
  /** A few of cAdvisor's names, in Prometheus' text format. */
  prometheusText(options: Waiting): Promise<string>;
}

export type StatsPorts = {
  readonly runtime: Runtime;
  readonly machine: Machine;
  readonly clock: Clock;
  readonly nodeName: string;
  readonly records: () => ReadonlyMap<string, PodRecord>;
};

/** The runtime counts slowly (0.8 s for 60 pods), so a sample serves for this long, and a rate is taken over at least this long. */
const SAMPLE_MS = 10_000;
/** How long a first question waits for a second sample, so that it can be answered with a rate at all. */
const FIRST_RATE_MS = 1_000;

type Sample = {
  readonly takenMs: number;
  readonly atMs: number;
  readonly byId: ReadonlyMap<string, ContainerUsage>;
  readonly nodeCpuSeconds: number;
};

export function newStats(ports: StatsPorts): NodeStats {
  const sampler = new Sampler(ports);
  return {
    async podMetrics(options) {
      const rates = await sampler.rates(options);
      return [...ports.records().values()].flatMap((record) => podMetric(record, rates));
    },
    async nodeMetrics(options) {
      const { last, nodeNanocores, windowMs } = await sampler.rates(options);
      const available = await ports.machine.memoryAvailableBytes();
      const memory = Math.max(0, ports.machine.memoryBytes - Math.min(available, ports.machine.memoryBytes));
      return {
        name: ports.nodeName,
        timestamp: toTime(last.atMs),
        window: windowText(windowMs),
        usage: { cpu: `${nodeNanocores}n`, memory: ki(memory) },
      };
    },
    async podMemory(options) {
      return byPod((await sampler.sample(options)).byId.values(), (usage) => usage.memoryWorkingSetBytes);
    },
    async podDisk(options) {
      return byPod((await sampler.sample(options)).byId.values(), (usage) => usage.writableLayerBytes);
    },
    async prometheusText(options) {
      return prometheus(await sampler.sample(options), ports.records());
    },
  };
}

type Rates = {
  readonly last: Sample;
  readonly first: Sample;
  readonly windowMs: number;
  readonly nodeNanocores: number;
};

class Sampler {
  readonly #ports: StatsPorts;
  #samples: Sample[] = [];
  #taking: Promise<Sample> | undefined;

  constructor(ports: StatsPorts) {
    this.#ports = ports;
  }

  async sample(options: Waiting): Promise<Sample> {
    const last = this.#samples.at(-1);
    if (last !== undefined && this.#ports.clock.monotonicMs() - last.takenMs < SAMPLE_MS) return last;
    return this.#take(options);
  }

  async rates(options: Waiting): Promise<Rates> {
    await this.sample(options);
    if (this.#samples.length < 2) {
      await this.#ports.clock.sleep(FIRST_RATE_MS, options);
      await this.#take(options);
    }
    const [first, last] = [this.#samples.at(-2) as Sample, this.#samples.at(-1) as Sample];
    const windowMs = Math.max(1, last.takenMs - first.takenMs);
    const nodeNanocores = Math.max(
      0,
      Math.round(((last.nodeCpuSeconds - first.nodeCpuSeconds) * 1e12) / windowMs),
    );
    return { first, last, windowMs, nodeNanocores };
  }

  #take(options: Waiting): Promise<Sample> {
    this.#taking ??= this.#read(options).finally(() => (this.#taking = undefined));
    return this.#taking;
  }

  async #read(options: Waiting): Promise<Sample> {
    const { runtime, clock } = this.#ports;
    const [usage, nodeCpuSeconds] = await Promise.all([runtime.usage(options), cpuSeconds()]);
    const sample = {
      takenMs: clock.monotonicMs(),
      atMs: clock.nowMs(),
      byId: new Map(usage.map((one) => [one.id, one])),
      nodeCpuSeconds,
    };
    this.#samples = [...this.#samples.slice(-1), sample];
    return sample;
  }
}

const TICKS_A_SECOND = 100;

async function cpuSeconds(): Promise<number> {
  const line = (await readFile("/proc/stat", "utf8").catch(() => "")).split("\n")[0] ?? "";
  const [user = 0, nice = 0, system = 0, , , irq = 0, soft = 0] = line
    .trim()
    .split(/\s+/)
    .slice(1)
    .map(Number);
  return (user + nice + system + irq + soft) / TICKS_A_SECOND;
}

function podMetric(record: PodRecord, { first, last, windowMs }: Rates): readonly PodMetric[] {
  if (record.pod === undefined) return [];
  const containers = record.view.containers.flatMap((container): ContainerMetric[] => {
    const now = last.byId.get(container.id);
    const before = first.byId.get(container.id);
    if (container.phase !== "running" || now === undefined) return [];
    const spentMs = before === undefined ? windowMs : Math.max(1, now.atMs - before.atMs);
    const nanos = before === undefined ? 0n : now.cpuNanoseconds - before.cpuNanoseconds;
    return [
      {
        name: container.name,
        usage: {
          cpu: `${Math.max(0, Math.round((Number(nanos) * 1_000) / spentMs))}n`,
          memory: ki(now.memoryWorkingSetBytes),
        },
      },
    ];
  });
  if (containers.length === 0) return [];
  const { name, namespace = "", labels = {} } = record.pod.metadata;
  return [
    { name, namespace, labels, timestamp: toTime(last.atMs), window: windowText(windowMs), containers },
  ];
}

function byPod(
  usage: Iterable<ContainerUsage>,
  of: (usage: ContainerUsage) => number,
): ReadonlyMap<string, number> {
  const sums = new Map<string, number>();
  for (const one of usage) sums.set(one.podUid, (sums.get(one.podUid) ?? 0) + of(one));
  return sums;
}

// Names of pods are labels here, and not in our own metrics: this is cAdvisor's endpoint, and its series go when their pods do.
function prometheus(sample: Sample, records: ReadonlyMap<string, PodRecord>): string {
  const families: readonly (readonly [string, string, (usage: ContainerUsage) => number])[] = [
    ["container_cpu_usage_seconds_total", "counter", (usage) => Number(usage.cpuNanoseconds) / 1e9],
    ["container_memory_working_set_bytes", "gauge", (usage) => usage.memoryWorkingSetBytes],
    ["container_memory_usage_bytes", "gauge", (usage) => usage.memoryUsageBytes],
    ["container_fs_usage_bytes", "gauge", (usage) => usage.writableLayerBytes],
  ];
  const lines: string[] = [];
  for (const [name, type, value] of families) {
    lines.push(`# TYPE ${name} ${type}`);
    for (const usage of sample.byId.values()) {
      const pod = records.get(usage.podUid)?.pod;
      if (pod === undefined) continue;
      lines.push(
        `${name}{container="${usage.name}",namespace="${pod.metadata.namespace}",pod="${pod.metadata.name}"} ${value(usage)}`,
      );
    }
  }
  return `${lines.join("\n")}\n`;
}

function ki(bytes: number): string {
  return `${Math.ceil(bytes / 1_024)}Ki`;
}

function windowText(ms: number): string {
  return `${(ms / 1_000).toFixed(3)}s`;
}
