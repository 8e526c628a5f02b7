import { gunzipSync } from "node:zlib";
import type { Bundle } from "@cortado/kinds/fleet";
import { textAt, type Tree } from "@cortado/kinds/tree";
import { seededRandom, type Random } from "@cortado/std/random";
import { Claims, claims as sentences, type Broken } from "../../checkers/claims.ts";
import { RolloutChecker } from "../../checkers/rollout.ts";
import { SimulatedClock } from "../../clock.ts";
import { Trace } from "../../trace.ts";
import { HubLife } from "./hub.ts";
import { CentralEvents } from "./journal.ts";
import { OPENING_MS, REST_MS, SALE_EVERY_MS, SUMS_MS, WHOLE_EVERY, WRONG_CLOCK_EVERY } from "./limits.ts";
import { Operator } from "./operator.ts";
import type { FleetOptions, FleetPorts } from "./ports.ts";
import type { World } from "./world.ts";
import { MemoryGit } from "./repository.ts";
import { checkRest, whyNotAtRest } from "./rest.ts";
import { FleetStore } from "./store.ts";
import { Troubles } from "./troubles.ts";

export type FleetResult = {
  readonly traceHash: string;
  readonly counts: Readonly<Record<string, number>>;
  readonly broken: (Broken & { readonly sentence: string; readonly tail: readonly string[] }) | undefined;
};

/** Runs a hub and its stores for some minutes of held time under faults, and then lets them come to rest. */
export async function runFleet(options: FleetOptions): Promise<FleetResult> {
  const world = makeWorld(options);
  const { claims, trace, operator, hub } = world;
  const failed = (error: unknown): void =>
    claims.fail("work", "world", error instanceof Error ? (error.stack ?? error.message) : String(error));
  const stop = new AbortController();
  const troubles = new Troubles(world);
  hub.boot().catch(failed);
  operator.begin().catch(failed);
  for (const store of world.stores) open(world, store, failed);
  operator.release(stop.signal).catch(failed);
  troubles.befall(stop.signal).catch(failed);
  await pass(world, options.minutes * 60_000);
  stop.abort(new Error("no more faults"));
  await troubles.end().catch(failed);
  operator.releaseLast();
  let why = "it was not looked at";
  for (let restMs = 0; restMs < REST_MS && why !== "" && claims.broken === undefined; restMs += 5_000) {
    await pass(world, 5_000);
    why = await settled(world, whyNotAtRest(world)).catch((error: unknown) => String(error));
  }
  claims.check(why === "", "converge", () => ({ store: "chain", detail: why }));
  // Sums are written a moment after what they sum up.
  await pass(world, SUMS_MS);
  if (claims.broken === undefined) await settled(world, checkRest(world)).catch(failed);
  const { broken } = claims;
  return {
    traceHash: trace.digest(),
    counts: trace.counts,
    broken:
      broken === undefined ? undefined : { ...broken, sentence: sentences[broken.claim], tail: trace.tail },
  };
}

/** Waits for work that needs held time to pass. */
async function settled<Result>({ clock }: World, work: Promise<Result>): Promise<Result> {
  let isOver = false;
  const over = work.finally(() => (isOver = true));
  over.catch(() => undefined);
  while (!isOver) await clock.advance(10);
  return over;
}

async function pass({ clock, claims }: World, ms: number): Promise<void> {
  for (let passedMs = 0; passedMs < ms && claims.broken === undefined; passedMs += 100)
    await clock.advance(100);
}

function makeWorld(options: FleetOptions): World {
  const { seed, clusters, fault } = options;
  const clock = new SimulatedClock();
  const trace = new Trace(clock);
  const claims = new Claims(clock);
  const random = seededRandom(seed);
  const rollouts = new RolloutChecker(claims, versionOf);
  const ports: FleetPorts = { clock, trace, claims, rollouts, central: new CentralEvents({ clock, claims }) };
  const git = new MemoryGit(clock);
  const hub = new HubLife({
    ...ports,
    seed: random.integer(2 ** 32),
    git,
    losesEvents: fault === "events-lost",
  });
  const operator = new Operator({ ...ports, random: seededRandom(random.integer(2 ** 32)), git, hub });
  const stores = Array.from({ length: clusters }, (_, at) => {
    const name = `store-${String(at + 1).padStart(5, "0")}`;
    const skewMs = random.integer(WRONG_CLOCK_EVERY) === 0 ? wrongClock(random) : 0;
    const isWhole = at % WHOLE_EVERY === 1;
    const witness = witnessOf({ ...ports, name, operator });
    const token = (): string => operator.token;
    return new FleetStore(
      { name, seed: random.integer(2 ** 32), isWhole, skewMs, token, witness },
      { ...ports, hub },
    );
  });
  return { ...ports, options, random, git, hub, stores, operator };
}

/** 1970 or 2099. */
function wrongClock(random: Random): number {
  return (random.integer(2) === 0 ? Date.UTC(1970, 0, 1) : Date.UTC(2099, 0, 1)) - Date.UTC(2026, 0, 1);
}

function versionOf({ spec }: Bundle): string {
  for (const { content, encoding } of spec?.resources ?? []) {
    const isPacked = encoding?.includes("gz") === true;
    const text = isPacked ? gunzipSync(Buffer.from(content, "base64")).toString() : content;
    const [, version] = /version: "(\d+)"/.exec(text) ?? [];
    if (version !== undefined) return version;
  }
  return "";
}

/** Watches what becomes of a store's objects. */
function witnessOf(ports: FleetPorts & { name: string; operator: Operator }) {
  const { name: store, trace, claims, rollouts, operator } = ports;
  return (plural: string, old: Tree | undefined, now: Tree | undefined): void => {
    if (textAt(now ?? old, "metadata", "namespace") !== "shop") return;
    const name = textAt(now ?? old, "metadata", "name");
    if (now === undefined) {
      trace.note(store, "gone", name);
      const mayGo = name === "extra" && operator.extraMayGo;
      claims.check(mayGo, "prune", () => ({
        store,
        detail: `${plural} ${name} is gone, and no commit took it away`,
      }));
      return;
    }
    const version = textAt(now, "data", "version");
    if (plural !== "configmaps" || version === textAt(old, "data", "version")) return;
    trace.note(store, "applied", `${name} ${version}`);
    if (name !== "extra") rollouts.applied(`fleet-default/${store}`, name, version);
  };
}

function open(world: World, store: FleetStore, failed: (error: unknown) => void): void {
  const { clock, operator, central } = world;
  const random = seededRandom(world.random.integer(2 ** 32));
  const sell = (): void => {
    const id = `${store.name}-${clock.monotonicMs()}`;
    if (store.isOn && !operator.isClosing) {
      store.journal.append(id, random.integer(3) === 0 ? "machine" : "order");
      central.sold(store.name, id);
    }
    clock.after(SALE_EVERY_MS / 2 + random.integer(SALE_EVERY_MS), sell);
  };
  clock.after(random.integer(OPENING_MS), () => {
    operator.ready
      .then(() => store.powerOn())
      .then(sell)
      .catch(failed);
  });
}
