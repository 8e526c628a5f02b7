import { execFileSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "esbuild";
import { freePorts } from "@cortado/demo/doors";
import { whyNoLoopDisk } from "../../tests/crash/loop-disk.ts";
import { morningOf } from "../../tests/mqtt/morning.ts";
import { brokerOf, firstLine, firstText, pinned, rssMb, settle, untilOpen } from "./mqtt/processes.ts";
import type { Broker, Numbers } from "./mqtt/processes.ts";
import type { Figure, Section } from "./report.ts";

const rounds = 3;

type Maker = (options?: { readonly syncMs?: number }) => Promise<Broker>;

/** Our broker beside Debian's mosquitto, each pinned to one core and the load to the other. Ours acknowledges when it is on disk; mosquitto does not. */
export async function* benchMqtt(): AsyncGenerator<Section, void, void> {
  const folder = mkdtempSync(join(tmpdir(), "bench-mqtt-"));
  try {
    const bench = await Bench.make(folder);
    yield await bench.speed();
    yield await bench.durable();
    yield await bench.size();
    yield await bench.million();
    yield await benchMorning();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The broker in a store's process, and what the API server beside it feels. */
async function benchMorning(): Promise<Section> {
  // The process that plays them may have 20,000 files open, the broker 10,000 connections.
  const devices = 9_900;
  const missing = whyNoLoopDisk();
  const title = `MQTT: ${devices} devices come back at once after a power cut`;
  if (missing !== undefined) return { title, figures: [], notes: [`Left out: it ${missing}.`] };
  const { halfMs, allMs, apiP50Ms, apiP99Ms, apiLongestMs, apiAnswers, rssMb } = await morningOf(devices);
  const ms = (value: number): string => `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;
  return {
    title,
    figures: [
      {
        name: "each has its session, and its first message went through it",
        value: `half of them after ${ms(halfMs)}, all after ${ms(allMs)}`,
        aim: "≤ 60 s",
        ok: allMs <= 60_000,
      },
      {
        name: "the API server in the same process meanwhile",
        value: `p50 ${ms(apiP50Ms)}, p99 ${ms(apiP99Ms)}, longest ${ms(apiLongestMs)} of ${apiAnswers} answers`,
        aim: "p99 ≤ 50 ms",
        ok: apiP99Ms <= 50,
      },
      { name: "the process then, RSS", value: `${Math.round(rssMb)} MB` },
    ],
    notes: [
      "Persistent sessions with one QoS 1 subscription each, whose devices publish one message when they are back; a store with simulated",
      "pods on an ext4 of its own, whose image is copied at the moment of the cut. The devices are one process beside it on the same cores.",
    ],
  };
}

class Bench {
  readonly #folder: string;
  readonly #bundles: { readonly broker: string; readonly load: string };
  #made = 0;

  private constructor(folder: string, bundles: { readonly broker: string; readonly load: string }) {
    this.#folder = folder;
    this.#bundles = bundles;
  }

  static async make(folder: string): Promise<Bench> {
    // From a bundle, as it ships: the type stripper alone would be 17 MB of what is measured.
    const bundled = async (name: string): Promise<string> => {
      const outfile = join(folder, `${name}.mjs`);
      await build({
        entryPoints: [join(import.meta.dirname, "mqtt", `${name}.ts`)],
        outfile,
        bundle: true,
        platform: "node",
        format: "esm",
        target: "node24",
        logLevel: "warning",
        banner: {
          js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);',
        },
      });
      return outfile;
    };
    return new Bench(folder, { broker: await bundled("broker"), load: await bundled("load") });
  }

  async speed(): Promise<Section> {
    const flows = [
      { scenario: "qos0-1-1", name: "QoS 0, one to one", aim: 3 },
      { scenario: "qos1-1-1", name: "QoS 1, one to one, clean session" },
      { scenario: "qos1-persistent", name: "QoS 1 to a persistent session", aim: 1.3 },
      { scenario: "qos0-100-10", name: "QoS 0, 100 publishers to 10 subscribers" },
      { scenario: "qos1-100-10", name: "QoS 1, 100 publishers to 10 subscribers", aim: 1.2 },
    ];
    const figures: Figure[] = [];
    for (const { scenario, name, aim } of flows) {
      const { ours, theirs } = await this.#byTurns(scenario, "perSecond");
      const ratio = median(ours) / median(theirs);
      figures.push({
        name,
        value: `ours ${rate(ours)}, mosquitto ${rate(theirs)}: ratio ${ratio.toFixed(2)}x`,
        ...(aim === undefined ? {} : { aim: `≥ ${aim}x`, ok: ratio >= aim }),
      });
    }
    for (const { scenario, name } of [
      { scenario: "latency:0", name: "latency at 1,000 a second, QoS 0" },
      { scenario: "latency:1", name: "latency at 1,000 a second, QoS 1 to a persistent session" },
    ]) {
      const [our, their] = [
        await this.#once(this.#ours, scenario),
        await this.#once(this.#mosquitto, scenario),
      ];
      figures.push({ name, value: `ours ${times(our)}, mosquitto ${times(their)}` });
    }
    return {
      title: "MQTT: speed beside mosquitto",
      figures,
      notes: [
        `Delivered messages of 100 bytes a second, median of ${rounds} rounds by turns (all rounds in brackets); broker on one core, load on the other. A closed loop: at most 900`,
        "messages under way. Ours acknowledges QoS 1 after the sync that holds it; mosquitto (persistence true, autosave_interval 1800, max_queued_messages 0,",
        `set_tcp_nodelay true) keeps it in memory. ${mosquittoVersion()}.`,
      ],
    };
  }

  async durable(): Promise<Section> {
    const ours: Numbers[] = [];
    for (let round = 0; round < rounds; round += 1) ours.push(await this.#once(this.#ours, "acks"));
    const slow = await this.#once(() => this.#ours({ syncMs: 20 }), "acks");
    const their = await this.#once(this.#mosquitto, "acks");
    const perSecond = ours.map((one) => one["perSecond"] ?? 0);
    return {
      title: "MQTT: acknowledgements for a subscriber that is away",
      figures: [
        {
          name: "ours, each on disk before it is answered",
          value: `${rate(perSecond)}; ${times(ours.at(-1) ?? {})}`,
          aim: "≥ 13,000 /s",
          ok: median(perSecond) >= 13_000,
        },
        {
          name: "ours, each sync 20 ms longer",
          value: `${Math.round(slow["perSecond"] ?? 0)} /s; ${times(slow)}`,
        },
        { name: "mosquitto, in memory", value: `${Math.round(their["perSecond"] ?? 0)} /s; ${times(their)}` },
      ],
      notes: ["100 publishes under way at once."],
    };
  }

  async size(): Promise<Section> {
    const empty = await this.#emptyMb();
    const our = await this.#sizes(this.#ours);
    const their = await this.#sizes(this.#mosquitto);
    const added = our.idle - empty;
    const perConnection = ((our.held - our.idle) * 1024) / our.count;
    const both = (one: number, other: number): string => `ours ${mb(one)}, mosquitto ${mb(other)}`;
    return {
      title: "MQTT: size beside mosquitto",
      figures: [
        { name: "RSS idle", value: both(our.idle, their.idle) },
        {
          name: "added to a process of ours that does nothing",
          value: mb(added),
          aim: "< 20 MB",
          ok: added < 20,
        },
        { name: "RSS with 1,000 connections", value: both(our.thousand, their.thousand) },
        {
          name: `RSS with ${our.count} connections, one QoS 0 subscription each`,
          value: `${both(our.held, their.held)}; ours ${perConnection.toFixed(1)} KB a connection`,
          aim: "≤ 12 KB",
          ok: perConnection <= 12,
        },
        {
          name: "all of them connected after",
          value: `ours ${seconds(our.tookMs)}, mosquitto ${seconds(their.tookMs)}`,
        },
        { name: "RSS with 10,000 retained messages of 100 bytes", value: both(our.retained, their.retained) },
        {
          name: "replay of 10,000 retained messages",
          value: `ours ${our.replayMs.toFixed(0)} ms, mosquitto ${their.replayMs.toFixed(0)} ms`,
        },
      ],
    };
  }

  /** What lies on disk must not grow the heap. */
  async million(): Promise<Section> {
    const count = 1_000_000;
    const ours = await this.#million(this.#ours, count);
    const theirs = await this.#million(this.#mosquitto, count);
    const grown = (one: MillionSizes): string =>
      `heap ${mb(ours.heapBefore)}, then ${mb(one.heap)}; RSS ours ${mb(one.rss)}`;
    return {
      title: "MQTT: a million on disk",
      figures: [
        {
          name: "retained messages of 100 bytes on a million topics",
          value: `${grown(ours.retained)}, mosquitto ${mb(theirs.retained.rss)}`,
          aim: "heap + 64 MB at most",
          ok: ours.retained.heap < ours.heapBefore + 64,
        },
        {
          name: "filled at; all of them replayed to a new subscriber",
          value: `ours ${rate([count / (ours.fillMs / 1_000)])}; ${seconds(ours.replayMs)}, mosquitto ${rate([count / (theirs.fillMs / 1_000)])}; ${seconds(theirs.replayMs)}`,
        },
        {
          name: "a million messages queued for a subscriber that is away",
          value: `${grown(ours.queued)}, mosquitto ${mb(theirs.queued.rss)}`,
          aim: "heap + 64 MB at most",
          ok: ours.queued.heap < ours.heapBefore + 64,
        },
        {
          name: "all of them delivered when it is back",
          value: `ours ${seconds(ours.drainMs)}, mosquitto ${seconds(theirs.drainMs)}`,
        },
      ],
      notes: ["The heap is looked at after a collection; RSS is that of the process as it stands then."],
    };
  }

  async #million(make: Maker, count: number): Promise<Million> {
    await using keeper = await make();
    const heapBefore = await keeper.heapMb();
    const { fillMs = Number.NaN, replayMs = Number.NaN } = await this.#load(`retained:${count}`, keeper.port);
    const retained = await sizesOf(keeper);
    await using queue = await make();
    await this.#load(`queued:${count}`, queue.port);
    const queued = await sizesOf(queue);
    const { drainMs = Number.NaN } = await this.#load(`drained:${count}`, queue.port);
    return { heapBefore, fillMs, replayMs, retained, queued, drainMs };
  }

  async #sizes(make: Maker): Promise<{
    idle: number;
    thousand: number;
    held: number;
    count: number;
    tookMs: number;
    retained: number;
    replayMs: number;
  }> {
    const count = 10_000;
    await using broker = await make();
    await settle();
    const idle = rssMb(broker.pid);
    const thousand = await this.#heldMb(broker, 1_000);
    const held = await this.#heldMb(broker, count);
    await using fresh = await make();
    const { replayMs = Number.NaN } = await this.#load("retained:10000", fresh.port);
    await settle();
    return {
      idle,
      thousand: thousand.mb,
      held: held.mb,
      count,
      tookMs: held.tookMs,
      retained: rssMb(fresh.pid),
      replayMs,
    };
  }

  async #heldMb(broker: Broker, count: number): Promise<{ readonly mb: number; readonly tookMs: number }> {
    const child = this.#spawnLoad(`hold:${count}`, broker.port);
    const gone = once(child, "exit");
    const { tookMs = Number.NaN, held } = await firstLine(child, gone);
    if (held !== count) throw new Error(`${held} of ${count} connections are held`);
    await settle();
    const found = rssMb(broker.pid);
    child.kill("SIGKILL");
    await gone;
    await settle();
    return { mb: found, tookMs };
  }

  async #byTurns(
    scenario: string,
    figure: string,
  ): Promise<{ readonly ours: readonly number[]; readonly theirs: readonly number[] }> {
    const ours: number[] = [];
    const theirs: number[] = [];
    for (let round = 0; round < rounds; round += 1) {
      ours.push((await this.#once(this.#ours, scenario))[figure] ?? 0);
      theirs.push((await this.#once(this.#mosquitto, scenario))[figure] ?? 0);
    }
    return { ours, theirs };
  }

  async #once(make: Maker, scenario: string): Promise<Numbers> {
    await using broker = await make();
    const found = await this.#load(scenario, broker.port);
    console.log(`${make === this.#mosquitto ? "mosquitto" : "ours"}, ${scenario}: ${JSON.stringify(found)}`);
    return found;
  }

  async #load(scenario: string, port: number): Promise<Numbers> {
    const child = this.#spawnLoad(scenario, port);
    const gone = once(child, "exit");
    const found = await firstLine(child, gone);
    child.kill("SIGKILL");
    await gone;
    return found;
  }

  #spawnLoad(scenario: string, port: number): ChildProcess {
    return pinned(1, process.execPath, [this.#bundles.load, scenario, String(port)]);
  }

  readonly #ours: Maker = async ({ syncMs = 0 } = {}) => {
    const folder = join(this.#folder, `ours-${(this.#made += 1)}`);
    const words = ["--expose-gc", this.#bundles.broker, folder, String(syncMs)];
    const child = pinned(0, process.execPath, words);
    const gone = once(child, "exit");
    const line = await firstText(child, gone);
    return brokerOf(child, gone, Number(line));
  };

  readonly #mosquitto: Maker = async () => {
    const folder = join(this.#folder, `mosquitto-${(this.#made += 1)}`);
    mkdirSync(folder, { mode: 0o777 });
    const [port = 0] = await freePorts(1);
    const lines = [
      `listener ${port} 127.0.0.1`,
      "allow_anonymous true",
      "persistence true",
      `persistence_location ${folder}/`,
      "autosave_interval 1800",
      "max_queued_messages 0",
      "set_tcp_nodelay true",
      "user root",
      "log_type error",
    ];
    writeFileSync(join(folder, "mosquitto.conf"), `${lines.join("\n")}\n`);
    const child = pinned(0, "mosquitto", ["-c", join(folder, "mosquitto.conf")]);
    const gone = once(child, "exit");
    await untilOpen(port);
    return brokerOf(child, gone, port);
  };

  async #emptyMb(): Promise<number> {
    const child = pinned(0, process.execPath, [this.#bundles.broker, "-"]);
    await settle();
    const found = rssMb(child.pid ?? 0);
    child.kill("SIGKILL");
    await once(child, "exit");
    return found;
  }
}

type MillionSizes = { readonly heap: number; readonly rss: number };
type Million = {
  readonly heapBefore: number;
  readonly fillMs: number;
  readonly replayMs: number;
  readonly retained: MillionSizes;
  readonly queued: MillionSizes;
  readonly drainMs: number;
};

async function sizesOf(broker: Broker): Promise<MillionSizes> {
  await settle();
  return { heap: await broker.heapMb(), rss: rssMb(broker.pid) };
}

function mosquittoVersion(): string {
  try {
    return execFileSync("mosquitto", ["-h"], { encoding: "utf8" }).split("\n")[0] ?? "";
  } catch (error) {
    return ((error as { readonly stdout?: string }).stdout ?? "").split("\n")[0] ?? "";
  }
}

const median = (values: readonly number[]): number =>
  values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)] ?? Number.NaN;
const thousands = (value: number): string => Math.round(value).toLocaleString("en-US");
const rate = (values: readonly number[]): string =>
  `${thousands(median(values))} /s (${values.map(thousands).join("; ")})`;
const times = (one: Numbers): string =>
  `p50 ${(one["p50Ms"] ?? Number.NaN).toFixed(2)} ms, p99 ${(one["p99Ms"] ?? Number.NaN).toFixed(1)} ms`;
const mb = (value: number): string => `${value.toFixed(1)} MB`;
const seconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`;
