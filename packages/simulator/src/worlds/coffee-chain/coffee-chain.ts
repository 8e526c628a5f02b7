import { seededRandom, type Random } from "@cortado/std/random";
import { hasReason } from "@cortado/std/status";
import { Claims, claims as sentences, type Broken } from "../../checkers/claims.ts";
import { RevisionChecker } from "../../checkers/revisions.ts";
import { SimulatedClock } from "../../clock.ts";
import {
  BUSY_WAIT_MS_MAX,
  DARK_MS_MAX,
  DISK_MS_MAX,
  FAULT_AT_BOOT_EVERY,
  FAULT_EVERY_MS,
  REST_MS,
  WORK_ON_MS,
} from "../../limits.ts";
import { Trace } from "../../trace.ts";
import { ContainerChecker } from "./containers.ts";
import type { ActorPorts } from "./actor-ports.ts";
import type { ChainPorts, RoomFault } from "./ports.ts";
import { Outbox } from "./outbox.ts";
import { Sensors } from "./sensors.ts";
import { Shop } from "./shop.ts";
import { ChainStore } from "./store.ts";
import { Watcher } from "./watcher.ts";
import { checkCount, runClerk, Writer, type Count } from "./writers.ts";

export type ChainOptions = {
  readonly seed: number;
  readonly stores: number;
  readonly minutes: number;
  readonly fault?: RoomFault;
};

export type ChainResult = {
  readonly traceHash: string;
  readonly counts: Readonly<Record<string, number>>;
  readonly broken: (Broken & { readonly sentence: string; readonly tail: readonly string[] }) | undefined;
};

/** Runs a chain of stores for some minutes of held time, cutting their powers and killing their processes, and then lets it come to rest. */
export async function runCoffeeChain({ seed, stores, minutes, fault }: ChainOptions): Promise<ChainResult> {
  const clock = new SimulatedClock();
  const trace = new Trace(clock);
  const claims = new Claims(clock);
  const ports: ChainPorts = { clock, trace, claims, containers: new ContainerChecker(claims), fault };
  const random = seededRandom(seed);
  const chain = Array.from(
    { length: stores },
    (_, at) => new StoreLife(`store-${String(at + 1).padStart(3, "0")}`, ports, random),
  );
  const failed = (what: string) => (error: unknown) =>
    claims.fail("work", what, error instanceof Error ? (error.stack ?? error.message) : String(error));
  for (const one of chain) one.run(failed);
  await pass(minutes * 60_000, ports);
  for (const one of chain) one.stopFaults();
  await pass(WORK_ON_MS, ports);
  for (const one of chain) one.stopActors();
  await pass(REST_MS, ports);
  if (claims.broken === undefined) {
    for (const one of chain) one.checkRest().catch(failed(one.name));
    await pass(10_000, ports);
  }
  const { broken } = claims;
  return {
    traceHash: trace.digest(),
    counts: trace.counts,
    broken:
      broken === undefined ? undefined : { ...broken, sentence: sentences[broken.claim], tail: trace.tail },
  };
}

async function pass(ms: number, { clock, claims }: ChainPorts): Promise<void> {
  for (let passedMs = 0; passedMs < ms && claims.broken === undefined; passedMs += 100)
    await clock.advance(100);
}

/** One store with all who use it and all that befalls it. */
class StoreLife {
  readonly name: string;
  readonly #ports: ActorPorts;
  readonly #store: ChainStore;
  readonly #random: Random;
  readonly #actors = new AbortController();
  readonly #faults = new AbortController();
  readonly #count: Count = { acknowledged: 0, unknown: 0 };
  readonly #writers: readonly Writer[];
  readonly #watchers: readonly Watcher[];
  readonly #sensors: Sensors;
  readonly #outbox: Outbox;
  readonly #shop: Shop;

  constructor(name: string, ports: ChainPorts, seeds: Random) {
    this.name = name;
    const own = (): Random => seededRandom(seeds.integer(2 ** 32));
    this.#random = own();
    this.#store = new ChainStore(name, { ...ports, seed: seeds.integer(2 ** 32) });
    const revisions = new RevisionChecker(ports.claims, name);
    this.#ports = { ...ports, store: this.#store, random: own(), revisions, signal: this.#actors.signal };
    const actor = (): ActorPorts => ({ ...this.#ports, random: own() });
    this.#writers = ["anna", "bert"].map((who) => new Writer(who, actor()));
    this.#watchers = (["configmaps", "leases", "pods"] as const).map((kind) => new Watcher(kind, actor()));
    this.#sensors = new Sensors(actor());
    this.#outbox = new Outbox(actor());
    this.#shop = new Shop(actor());
  }

  run(failed: (what: string) => (error: unknown) => void): void {
    const { signal } = this.#actors;
    // An actor ends when it is told to; whatever else ends it is a failure.
    const act = (work: Promise<void>): void =>
      void work.catch((error: unknown) => (signal.aborted ? undefined : failed(this.name)(error)));
    act(this.#befall());
    for (const writer of this.#writers) act(writer.run());
    for (const watcher of this.#watchers) {
      act(watcher.run());
      act(watcher.compare());
    }
    for (let clerks = 0; clerks < 2; clerks += 1)
      act(
        runClerk({ ...this.#ports, random: seededRandom(this.#random.integer(2 ** 32)), count: this.#count }),
      );
    act(this.#sensors.publish());
    act(this.#sensors.comeAndGo());
    act(this.#outbox.sell());
    act(this.#outbox.forward());
    act(this.#shop.run());
  }

  stopFaults(): void {
    this.#faults.abort(new Error("no more faults"));
  }

  stopActors(): void {
    this.#actors.abort(new Error("no more work"));
  }

  async checkRest(): Promise<void> {
    const { claims } = this.#ports;
    const looking = { ...this.#ports, signal: new AbortController().signal };
    for (const writer of this.#writers) for (const name of writer.ledger.names) await writer.look(name);
    await checkCount({ ...looking, count: this.#count });
    this.#sensors.messages.atRest();
    await this.#outbox.checkAll();
    const wrong = await this.#shop.atRest();
    claims.check(wrong === undefined, "rest", () => ({ store: this.name, detail: wrong ?? "" }));
    this.#ports.trace.note(this.name, "rest", `${this.#store.lives} lives`);
  }

  /** Boots the store, and then kills it or cuts its power at moments of its own, also while it boots; until faults stop. */
  async #befall(): Promise<void> {
    const { clock, claims, trace } = this.#ports;
    const random = this.#random;
    const { signal } = this.#faults;
    const sleep = (ms: number): Promise<void> => clock.sleep(ms, { signal }).catch(() => undefined);
    await sleep(random.integer(2_000)); // stores do not open at the same instant
    for (;;) {
      const life = this.#store.lives + 1;
      this.#store.boot().catch((error: unknown) => {
        // On a full disk a process may end; it is started again like any other.
        if (hasReason(error, "InsufficientStorage")) trace.note(this.name, "boot-refused", String(life));
        else if (this.#store.lives === life)
          claims.fail("work", this.name, `it does not boot: ${(error as Error).stack}`);
      });
      const atBoot = random.integer(FAULT_AT_BOOT_EVERY) === 0 && life > 1;
      await sleep(atBoot ? random.integer(1_000) : 1_000 + random.integer(FAULT_EVERY_MS * 2));
      if (signal.aborted) return;
      if (random.integer(6) === 0) await this.#fillDisk(sleep);
      if (random.integer(3) > 0) await this.#busy();
      this.#store.die(random.integer(2) === 0 ? "kill" : "cut");
      await sleep(100 + random.integer(DARK_MS_MAX));
    }
  }

  /** Waits until the disk is at work, and then a moment: where a fault hurts most. */
  async #busy(): Promise<void> {
    const { clock } = this.#ports;
    const momentMs = this.#random.integer(DISK_MS_MAX);
    await new Promise<void>((resolve) => {
      const patience = clock.after(BUSY_WAIT_MS_MAX, resolve);
      this.#store.files.busy = () => {
        patience[Symbol.dispose]();
        clock.after(momentMs, resolve);
      };
    });
  }

  async #fillDisk(sleep: (ms: number) => Promise<void>): Promise<void> {
    const { trace } = this.#ports;
    trace.note(this.name, "disk-full", "");
    this.#store.files.full = true;
    await sleep(500 + this.#random.integer(5_000));
    this.#store.files.full = false;
    trace.note(this.name, "disk-free", "");
    await sleep(this.#random.integer(10_000));
  }
}
