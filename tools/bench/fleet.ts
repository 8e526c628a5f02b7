import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bundles, clusters, type Bundle } from "@cortado/kinds/fleet";
import { HubProcess, namespace, sleep, StoresProcess, until } from "./fleet/hub-process.ts";
import { benchWire } from "./fleet/wire.ts";
import { pushChange, writeRepository } from "./fleet/repository.ts";
import type { StoreAnswer } from "./fleet/stores-process.ts";
import type { Figure, Section } from "./report.ts";

const MIB = 2 ** 20;
const perBundle = 10;
/** Stores of a morning storm, and how long the last of them may take from its dial. */
const STORM_STORES = 10_000;
const STORM_LATE_MS = 5_000;
/** So long after its start a hub is measured. */
const BEGUN_MS = 10_000;
/** Files that a process has open beside its stores' connections. */
const OTHER_FILES = 500;
/** Aims: issue 3 of the project, "The bar", 8; Fleet's own figure is from its issue 4599. */
const aims = { fiftyS: 5, changeS: 15, kilobytes: 4, stormS: 60 } as const;

export const fleetParts = ["fifty", "wire", "chain", "night"] as const;

/**
 * The hub under stores: the shipped program in one process, light stores over mutual TLS in another. One part alone is for whoever
 * works at it; "night" is the chain's end: what the hub holds after a restart, and the morning storm.
 */
export async function* benchFleet({
  stores,
  part,
}: {
  readonly stores: number;
  readonly part?: string | undefined;
}): AsyncGenerator<Section> {
  checkFits(stores);
  if (part !== undefined && !(fleetParts as readonly string[]).includes(part))
    throw new Error(`fleet has no part ${part}; it has ${fleetParts.join(", ")}`);
  const wants = (one: (typeof fleetParts)[number]): boolean => part === undefined || part === one;
  if (wants("fifty")) yield await fifty();
  if (wants("wire")) yield await benchWire();
  if (wants("chain")) for (const count of new Set([1_000, stores])) yield await benchChain(count);
  if (part === "night") yield await benchNight(stores);
}

/** Each store is a socket of the hub and one of the stores' process. @throws Error when so many do not fit */
function checkFits(stores: number): void {
  const [, most = "0"] = /Max open files +(\d+)/.exec(readFileSync("/proc/self/limits", "utf8")) ?? [];
  if (stores + OTHER_FILES <= Number(most)) return;
  throw new Error(
    `${stores} stores do not fit: a process may open ${most} files here, and each store is a connection; raise the limit (ulimit -n), or take fewer`,
  );
}

async function fifty(): Promise<Section> {
  await using bench = await Bench.start(50);
  const count = 50;
  await bench.join(count);
  await bench.connect();
  bench.cpuMs();
  const { madeMs, desiredMs, readyMs } = await bench.install(count, 50);
  const cpuS = bench.cpuMs() / 1_000;
  const seconds = readyMs / 1_000;
  return {
    title: "Hub: 50 clusters × 50 bundles",
    figures: [
      { name: "from the GitRepo's creation to all Bundles made", value: inSeconds(madeMs) },
      { name: "… to the desired state of all 2,500 computed", value: inSeconds(desiredMs) },
      {
        name: "… to all Ready, wave after wave (Rancher Fleet: 49 s)",
        value: `${inSeconds(readyMs)}; the hub's processor: ${cpuS.toFixed(1)} s`,
        aim: `≤ ${aims.fiftyS} s`,
        ok: seconds <= aims.fiftyS,
      },
    ],
    notes: simulated,
  };
}

const simulated = [
  "Real: the shipped hub in a process of its own (SQLite, synced), Git, compile, rollout by canary and waves, registration, mutual TLS, WebSocket, the protocol.",
  "Simulated: stores, which take what they get for applied at once and report 250 ms later, in one other process; bundles are of one ConfigMap each.",
];

/** A chain of so many stores with ten bundles each. */
async function benchChain(count: number): Promise<Section> {
  await using bench = await Bench.start(perBundle);
  const figures: Figure[] = [];
  const add = (name: string, value: string, aim?: { readonly text: string; readonly ok: boolean }): void => {
    console.log(`  ${count} stores: ${name}: ${value}`);
    figures.push({ name, value, ...(aim === undefined ? {} : { aim: aim.text, ok: aim.ok }) });
  };
  const joined = await bench.join(count);
  const each = (): string => `the hub's processor: ${(bench.cpuMs() / count).toFixed(1)} ms each`;
  add("first call-homes: CA, key, registration, certificate", `${rate(count, joined.tookMs)} /s; ${each()}`);
  const came = await bench.connect();
  add("first connections: mutual TLS, hello, welcome on disk", `${rate(count, came.tookMs)} /s; ${each()}`);
  const installed = await bench.install(count, perBundle);
  add(
    "GitRepo to Bundles made; desired state computed; all Ready",
    `${inSeconds(installed.madeMs)}; ${inSeconds(installed.desiredMs)}; ${inSeconds(installed.readyMs)}; ${each()}`,
  );
  const changedMs = await bench.change(count);
  const changeS = changedMs / 1_000;
  add("git push of one small change to all Ready, waves opened", `${inSeconds(changedMs)}; ${each()}`, {
    text: `≤ ${aims.changeS} s`,
    ok: changeS <= aims.changeS,
  });
  add("a label's change to its bundle Ready in the store", inSeconds(await bench.label()));
  add("a store's trouble to the Cluster's status (lag)", inSeconds(await bench.lag()));
  add("hub RSS, all connected", `${Math.round((await bench.hub.rssBytes()) / MIB)} MB`);
  await storm(bench, count, add);
  return {
    title: `Hub: ${count.toLocaleString("en")} stores × ${perBundle} bundles`,
    figures,
    notes: simulated,
  };
}

async function benchNight(count: number): Promise<Section> {
  await using bench = await Bench.start(perBundle);
  const figures: Figure[] = [];
  await bench.join(count);
  await bench.connect();
  await bench.install(count, perBundle);
  await storm(bench, count, (name, value) => {
    console.log(`  ${count} stores: ${name}: ${value}`);
    figures.push({ name, value });
  });
  return { title: `Hub: ${count.toLocaleString("en")} stores, the night`, figures, notes: simulated };
}

/** The hub was away overnight, and all stores come in one minute. */
async function storm(
  bench: Bench,
  count: number,
  add: (name: string, value: string, aim?: { readonly text: string; readonly ok: boolean }) => void,
): Promise<void> {
  await bench.disconnect();
  await bench.hub.kill();
  const bootMs = await bench.hub.boot();
  add("hub killed and back with all rows", inSeconds(bootMs));
  // Whoever has just begun holds what it needs, and little that it needed once.
  await sleep(BEGUN_MS);
  const rows = await bench.hub.rssBytes();
  const kilobytes = (rows - bench.emptyBytes) / 1_024 / count;
  add(
    "hub memory a store, none connected (RSS over that of an empty hub, both just begun)",
    `${kilobytes.toFixed(1)} KB`,
    {
      text: `≤ ${aims.kilobytes} KB`,
      ok: kilobytes <= aims.kilobytes,
    },
  );
  const before = bench.failures;
  bench.cpuMs();
  // Fewer stores come at the same rate, in less time.
  const overMs = (aims.stormS * 1_000 * count) / STORM_STORES;
  const { tookMs, latenciesMs, connected } = await bench.connect({ overMs });
  const sorted = latenciesMs.toSorted((one, other) => one - other);
  const at = (share: number): string => inSeconds(sorted[Math.floor((sorted.length - 1) * share)] ?? 0);
  const failures = bench.failures - before;
  add(
    `morning storm: ${count.toLocaleString("en")} in ${Math.round(overMs / 1_000)} s, dial to welcome`,
    `${connected === count ? "all" : connected.toLocaleString("en")} in after ${inSeconds(tookMs)}; p50 ${at(0.5)}, p99 ${at(0.99)}, longest ${at(1)}; ${failures} failed; the hub's processor: ${(bench.cpuMs() / count).toFixed(1)} ms each`,
    {
      text: "all in, in time",
      ok: connected === count && failures === 0 && tookMs <= overMs + STORM_LATE_MS,
    },
  );
  await sleep(5_000);
  const held = ((await bench.hub.rssBytes()) - rows) / 1_024 / count;
  add("… and for its connection while it is held (TLS, WebSocket)", `${held.toFixed(0)} KB`);
}

class Bench implements AsyncDisposable {
  readonly hub: HubProcess;
  readonly #folder: string;
  /** Resident bytes of the hub before there was a store, just begun. */
  readonly emptyBytes: number;
  #stores: StoresProcess = new StoresProcess();
  #cpuMs = 0;
  failures = 0;

  private constructor(hub: HubProcess, folder: string, emptyBytes: number) {
    this.hub = hub;
    this.#folder = folder;
    this.emptyBytes = emptyBytes;
  }

  static async start(bundleCount: number): Promise<Bench> {
    const folder = mkdtempSync(join(tmpdir(), "bench-fleet-"));
    const repository = join(folder, "repository");
    writeRepository(repository, bundleCount);
    const hub = await HubProcess.start(join(folder, "hub"), repository);
    // As it is with stores: begun a moment ago. What it did before left garbage that says nothing of stores.
    await hub.kill();
    await hub.boot();
    await sleep(BEGUN_MS);
    return new Bench(hub, folder, await hub.rssBytes());
  }

  async #order(order: Parameters<StoresProcess["order"]>[0]): Promise<StoreAnswer> {
    const answer = await this.#stores.order(order);
    this.failures = answer.failures;
    return answer;
  }

  async join(count: number): Promise<StoreAnswer> {
    const token = await this.hub.token();
    this.cpuMs();
    const answer = await this.#order({ do: "register", url: this.hub.url, token, count });
    if (answer.failures > 0) throw new Error(`${answer.failures} of ${count} stores were not registered`);
    return answer;
  }

  /** Milliseconds of processor that the hub has used since it was asked last: what does not depend on who else is at work. */
  cpuMs(): number {
    const now = this.hub.cpuSeconds * 1_000;
    const used = now - this.#cpuMs;
    this.#cpuMs = now;
    return used;
  }

  async disconnect(): Promise<void> {
    await this.#order({ do: "disconnect" });
  }

  connect({ overMs = 0 }: { readonly overMs?: number } = {}): Promise<StoreAnswer> {
    return this.#order({ do: "connect", overMs, atOnce: 64 });
  }

  async #bundles(): Promise<readonly Bundle[]> {
    const { client, signal } = this.hub;
    return (await client.list(bundles, { namespace, signal })).items;
  }

  async install(stores: number, bundleCount: number): Promise<Installed> {
    const startMs = performance.now();
    const [madeAt, desiredAt] = [new Once(), new Once()];
    await this.hub.follow("bench", { paths: ["all"], targets: [{ name: "all", clusterSelector: {} }] });
    await until(
      "all Ready",
      async () => {
        const found = await this.#bundles();
        if (found.length < bundleCount) return undefined;
        madeAt.note();
        const summaries = found.map((one) => one.status?.summary);
        if (summaries.every((one) => one?.desiredReady === stores)) desiredAt.note();
        return summaries.every((one) => one?.ready === stores && one.desiredReady === stores)
          ? true
          : undefined;
      },
      { withinMs: 600_000, everyMs: 100 },
    );
    const readyMs = performance.now() - startMs;
    return { madeMs: madeAt.ms - startMs, desiredMs: desiredAt.ms - startMs, readyMs };
  }

  /** One small change of one bundle by git push, its waves opened as soon as it is there. */
  async change(stores: number): Promise<number> {
    const { client, signal } = this.hub;
    const name = "b00";
    const rollout = async () => (await client.get(bundles, { name, namespace, signal })).status;
    const old = (await rollout())?.rollout?.generation ?? 0;
    pushChange(this.hub, name, "2");
    const startMs = performance.now();
    // Git held this process up: connections that the hub closed meanwhile, as nobody used them, have to be seen as closed.
    await sleep(50);
    const generation = await until("the new generation", async () => {
      const found = (await rollout())?.rollout?.generation ?? 0;
      return found > old ? found : undefined;
    });
    const annotations = { "fleet.cortado.dev/rollout": `promote=${generation}` };
    await client.patch(bundles, {
      name,
      namespace,
      type: "merge",
      body: { metadata: { annotations } },
      signal,
    });
    await until(
      "the change everywhere",
      async () => {
        const status = await rollout();
        return status?.rollout?.base === generation && status.summary?.ready === stores ? true : undefined;
      },
      { withinMs: 300_000 },
    );
    return performance.now() - startMs;
  }

  async label(): Promise<number> {
    const { client, signal } = this.hub;
    const matchLabels = { "bench-label": "yes" };
    const targets = [{ name: "labelled", clusterSelector: { matchLabels } }];
    await this.hub.follow("labelled", { paths: ["some"], targets });
    await until("the bundle", async () =>
      (await this.#bundles()).find(
        ({ metadata, status }) => metadata.name === "labelled" && status !== undefined,
      ),
    );
    await sleep(2_000);
    const name = "bench-000007";
    const startMs = performance.now();
    await client.patch(clusters, {
      name,
      namespace,
      type: "merge",
      body: { metadata: { labels: matchLabels } },
      signal,
    });
    await until("the labelled bundle", async () => {
      const status = (await client.get(bundles, { name: "labelled", namespace, signal })).status;
      return status?.summary?.ready === 1 ? true : undefined;
    });
    return performance.now() - startMs;
  }

  async lag(): Promise<number> {
    const { client, signal } = this.hub;
    const name = "bench-000003";
    // What the change of a label set going is over by then.
    await sleep(5_000);
    const startMs = performance.now();
    await this.#order({ do: "trouble", store: name, bundle: "b01", text: "a pod fails" });
    await until("the trouble", async () => {
      const found = await client.get(clusters, { name, namespace, signal });
      return found.status?.display?.state === "NotReady" ? true : undefined;
    });
    const tookMs = performance.now() - startMs;
    await this.#order({ do: "trouble", store: name, bundle: "b01", text: "" });
    return tookMs;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stores[Symbol.dispose]();
    await this.hub[Symbol.asyncDispose]();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** Milliseconds from the GitRepo on. */
type Installed = { readonly madeMs: number; readonly desiredMs: number; readonly readyMs: number };

/** The first time that something was so. */
class Once {
  ms = Number.NaN;

  note(): void {
    if (Number.isNaN(this.ms)) this.ms = performance.now();
  }
}

function inSeconds(ms: number): string {
  return `${(ms / 1_000).toFixed(ms < 10_000 ? 2 : 1)} s`;
}

function rate(count: number, ms: number): string {
  return Math.round((count * 1_000) / ms).toLocaleString("en");
}
