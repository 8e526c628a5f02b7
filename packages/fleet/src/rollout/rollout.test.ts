import assert from "node:assert/strict";
import { test } from "node:test";
import type { RolloutStrategy } from "../compile/bundle.ts";
import { WAVE_DEADLINE_MS } from "./limits.ts";
import {
  nextGeneration,
  planRollout,
  type RolloutInput,
  type RolloutPlan,
  type RolloutRecord,
  type RolloutStore,
} from "./rollout.ts";

type Mutable = { -readonly [Key in keyof RolloutStore]: RolloutStore[Key] };

/** Stores, a record and a clock; `look` plans, keeps the record and does what was released. */
class Fleet {
  record: RolloutRecord;
  readonly stores: Mutable[] = [];
  nowMs = 1_000;
  control: RolloutInput["control"] = { isPaused: false, promote: undefined, abort: undefined };
  gates: RolloutInput["gates"] = { closed: [] };
  isStrict = false;
  strategy: RolloutStrategy | undefined;

  constructor(count: number, options: { readonly base?: number; readonly from?: number } = {}) {
    const { base = 1, from = 1 } = options;
    const old: RolloutRecord = { ...nextGeneration(undefined), generation: base, base };
    this.record = nextGeneration(old);
    for (let at = 0; at < count; at += 1) this.add(from + at, base);
  }

  add(number: number, released: number): Mutable {
    const key = `fleet-default/store-${String(number).padStart(5, "0")}`;
    const store: Mutable = { key, labels: {}, isHeard: true, released, ready: released, message: "" };
    this.stores.push(store);
    return store;
  }

  look(): RolloutPlan {
    const { record, stores, strategy, control, gates, isStrict, nowMs } = this;
    const input = { record, stores, strategy, control, gates, isStrict, nowMs };
    const plan = planRollout({ ...input, deadlineMs: WAVE_DEADLINE_MS });
    const byKey = new Map(stores.map((store) => [store.key, store]));
    for (const { key, generation } of plan.release) (byKey.get(key) as Mutable).released = generation;
    // What is kept must survive a trip through a row.
    this.record = JSON.parse(JSON.stringify(plan.record)) as RolloutRecord;
    return plan;
  }

  /** Heard stores become ready on what they may run. */
  settle(): void {
    for (const store of this.stores) if (store.isHeard) store.ready = store.released;
  }

  released(): number {
    return this.stores.filter((store) => store.released === this.record.generation).length;
  }
}

test("one canary, a tenth, three tenths, the rest", () => {
  const fleet = new Fleet(100);
  const seen: number[] = [];
  for (let look = 0; look < 5; look += 1) {
    fleet.look();
    seen.push(fleet.released());
    fleet.settle();
  }
  assert.deepEqual(seen, [1, 11, 41, 100, 100]);
  assert.equal(fleet.record.phase, "Complete");
  assert.equal(fleet.record.base, 2);
  assert.deepEqual(fleet.look().release, [], "a complete one has nothing left to do");
});

for (const { stores, steps } of [
  { stores: 1, steps: [1, 1] },
  { stores: 2, steps: [1, 2, 2] },
  { stores: 3, steps: [1, 2, 3, 3] },
  { stores: 10, steps: [1, 2, 5, 10, 10] },
])
  test(`${stores} stores open as ${steps.join(", ")}`, () => {
    const fleet = new Fleet(stores);
    const seen = steps.map(() => {
      fleet.look();
      fleet.settle();
      return fleet.released();
    });
    assert.deepEqual(seen, steps);
    assert.equal(fleet.record.phase, "Complete");
  });

test("the canary is heard and Ready, first by key, and does not change while it is heard", () => {
  const fleet = new Fleet(5);
  (fleet.stores[0] as Mutable).isHeard = false;
  (fleet.stores[1] as Mutable).ready = 0;
  assert.deepEqual(fleet.look().release, [{ key: "fleet-default/store-00003", generation: 2 }]);
  (fleet.stores[0] as Mutable).isHeard = true;
  (fleet.stores[1] as Mutable).ready = 1;
  assert.deepEqual(fleet.look().release, []);
});

test("the order of the input does not matter", () => {
  const fleet = new Fleet(20);
  fleet.stores.reverse();
  assert.deepEqual(fleet.look().release, [{ key: "fleet-default/store-00001", generation: 2 }]);
});

test("a canary that goes dark leaves its place, and goes back", () => {
  const fleet = new Fleet(5);
  fleet.look();
  (fleet.stores[0] as Mutable).isHeard = false;
  fleet.nowMs += WAVE_DEADLINE_MS * 2;
  assert.deepEqual(fleet.look().release, [
    { key: "fleet-default/store-00001", generation: 1 },
    { key: "fleet-default/store-00002", generation: 2 },
  ]);
  assert.equal(fleet.record.phase, "Progressing", "the new one has its own time");
});

test("nothing goes on when no store is heard", () => {
  const fleet = new Fleet(5);
  for (const store of fleet.stores) store.isHeard = false;
  for (let look = 0; look < 4; look += 1) {
    fleet.nowMs += WAVE_DEADLINE_MS;
    assert.match(fleet.look().message, /wave 1|no store is heard/);
  }
  assert.equal(fleet.released(), 1);
  assert.equal(fleet.record.phase, "Progressing");
});

test("a canary that is not ready in time halts it there, and tells why; when it is ready after all, it goes on", () => {
  const fleet = new Fleet(10);
  const first = fleet.look();
  assert.equal(first.lookAgainAtMs, fleet.nowMs + WAVE_DEADLINE_MS);
  (fleet.stores[0] as Mutable).message = "Deployment order: 0 of 1 available";
  (fleet.stores[0] as Mutable).ready = 0;
  fleet.nowMs += WAVE_DEADLINE_MS - 1;
  assert.equal(fleet.look().record.phase, "Progressing");
  fleet.nowMs += 1;
  const halted = fleet.look();
  assert.equal(halted.record.phase, "Halted");
  assert.match(halted.message, /store-00001 \(Deployment order: 0 of 1 available\).*abort/);
  assert.equal(halted.lookAgainAtMs, undefined);
  fleet.nowMs += 3_600_000;
  fleet.look();
  assert.equal(fleet.released(), 1, "no more than its wave was touched");
  fleet.settle();
  fleet.look();
  assert.equal(fleet.record.phase, "Progressing");
  assert.equal(fleet.released(), 2);
});

test("dark stores never block, and jump to the newest that they are allowed", () => {
  const fleet = new Fleet(10);
  for (const store of fleet.stores.slice(3)) store.isHeard = false;
  for (let look = 0; look < 5; look += 1) {
    fleet.look();
    fleet.settle();
    fleet.nowMs += WAVE_DEADLINE_MS + 1;
  }
  assert.equal(fleet.record.phase, "Complete");
  assert.match(fleet.look().message, /may run it/);
  assert.ok(fleet.stores.every((store) => store.released === 2));
});

test("a wave of dark stores alone is looked through at once: none of them will ever say a word", () => {
  const fleet = new Fleet(10);
  for (const store of fleet.stores.slice(1)) store.isHeard = false;
  fleet.look();
  fleet.settle();
  for (const open of [2, 3, 4]) {
    assert.equal(fleet.look().lookAgainAtMs, fleet.nowMs, `wave ${open}`);
    assert.equal(fleet.record.open, open);
  }
  assert.match(fleet.look().message, /^complete; 9 stores that are dark/);
  const promoted = new Fleet(2);
  for (const store of promoted.stores) store.isHeard = false;
  promoted.control = { isPaused: false, promote: 2, abort: undefined };
  assert.equal(promoted.look().lookAgainAtMs, promoted.nowMs);
});

test("a store that was dark in an open wave gets its time when it is heard", () => {
  const fleet = new Fleet(10);
  fleet.look();
  fleet.settle();
  const late = fleet.stores[1] as Mutable;
  late.isHeard = false;
  fleet.look();
  fleet.settle();
  fleet.look();
  fleet.nowMs += WAVE_DEADLINE_MS * 3;
  fleet.settle();
  late.isHeard = true;
  late.heardSinceMs = fleet.nowMs;
  assert.equal(fleet.look().record.phase, "Progressing");
  fleet.nowMs += WAVE_DEADLINE_MS;
  assert.equal(fleet.look().record.phase, "Halted");
});

test("pause holds, resume gives new time, a gate holds with its name", () => {
  const fleet = new Fleet(10);
  fleet.look();
  fleet.control = { ...fleet.control, isPaused: true };
  fleet.nowMs += WAVE_DEADLINE_MS * 2;
  assert.equal(fleet.look().record.phase, "Paused");
  fleet.control = { ...fleet.control, isPaused: false };
  assert.equal(fleet.look().record.phase, "Progressing");
  fleet.settle();
  fleet.gates = { closed: [{ name: "window night", reason: "opens at 22:00" }] };
  assert.equal(fleet.look().message, "held back by window night: opens at 22:00");
  assert.equal(fleet.released(), 1);
  fleet.gates = { closed: [] };
  fleet.look();
  assert.equal(fleet.released(), 2);
});

test("promote opens all waves of its generation only", () => {
  const fleet = new Fleet(50);
  fleet.control = { ...fleet.control, promote: 1 };
  fleet.look();
  assert.equal(fleet.released(), 1);
  fleet.control = { ...fleet.control, promote: 2 };
  fleet.look();
  assert.equal(fleet.released(), 50);
});

test("abort brings every store back, the dark ones too, and nothing wakes it up again", () => {
  const fleet = new Fleet(10);
  fleet.look();
  fleet.settle();
  fleet.look();
  (fleet.stores[1] as Mutable).isHeard = false;
  fleet.control = { ...fleet.control, abort: 2 };
  const plan = fleet.look();
  assert.deepEqual(
    plan.release.map(({ generation }) => generation),
    [1, 1],
  );
  assert.equal(fleet.record.phase, "Aborted");
  fleet.control = { isPaused: false, promote: undefined, abort: undefined };
  fleet.settle();
  assert.deepEqual(fleet.look().release, []);
  fleet.record = nextGeneration(fleet.record);
  assert.deepEqual(fleet.look().release, [{ key: "fleet-default/store-00001", generation: 3 }]);
  assert.equal(fleet.record.base, 1);
});

test("an aborted first generation has nothing to go back to: what runs stays", () => {
  const fleet = new Fleet(3, { base: 0 });
  fleet.look();
  fleet.control = { ...fleet.control, abort: 1 };
  assert.deepEqual(fleet.look().release, []);
  assert.match(fleet.look().message, /what runs stays/);
});

test("a newer generation in the middle of a rollout begins with a canary, and takes nobody back", () => {
  const fleet = new Fleet(10);
  fleet.look();
  fleet.settle();
  fleet.look();
  fleet.settle();
  fleet.record = nextGeneration(fleet.record);
  const plan = fleet.look();
  assert.deepEqual(plan.release, [{ key: "fleet-default/store-00001", generation: 3 }]);
  assert.equal((fleet.stores[1] as Mutable).released, 2);
});

test("a store that is new gets what is complete at once, and the rest last", () => {
  const fleet = new Fleet(20);
  fleet.look();
  const fresh = fleet.add(0, 0);
  fresh.isNew = true;
  assert.deepEqual(fleet.look().release, [{ key: fresh.key, generation: 1 }]);
  fleet.settle();
  fleet.look();
  assert.equal(fresh.released, 1);
  const first = new Fleet(20, { base: 0 });
  first.look();
  const early = first.add(0, 0);
  early.isNew = true;
  first.look();
  assert.equal(early.released, 0, "of a bundle that was never complete it waits for its wave");
});

test("of a bundle that is complete, a new store gets it at once", () => {
  const fleet = new Fleet(3);
  for (let look = 0; look < 5; look += 1) {
    fleet.look();
    fleet.settle();
  }
  const fresh = fleet.add(9, 0);
  assert.deepEqual(fleet.look().release, [{ key: fresh.key, generation: 2 }]);
});

test("partitions that somebody wrote are the waves; who is of none comes last", () => {
  const fleet = new Fleet(6);
  for (const [at, store] of fleet.stores.entries())
    store.labels = { ring: at < 2 ? "a" : at < 4 ? "b" : "c" };
  fleet.strategy = {
    partitions: [
      { name: "empty", clusterName: "nobody" },
      { name: "a", clusterSelector: { matchLabels: { ring: "a" } } },
      { name: "b", clusterSelector: { matchLabels: { ring: "b" } }, maxUnavailable: 1 },
    ],
  };
  const seen: number[] = [];
  for (let look = 0; look < 5; look += 1) {
    const plan = fleet.look();
    seen.push(fleet.released());
    if (look === 0)
      assert.deepEqual(
        plan.waves.map(({ name, stores }) => `${name} ${stores}`),
        ["empty 0", "a 2", "b 2", "rest 2"],
      );
    for (const store of fleet.stores.filter((one) => one !== fleet.stores[3])) store.ready = store.released;
  }
  assert.deepEqual(seen, [0, 2, 4, 6, 6], "one of b may be unavailable");
});

test("waves count what is ready, dark and waiting", () => {
  const fleet = new Fleet(10);
  fleet.look();
  fleet.settle();
  (fleet.stores[9] as Mutable).isHeard = false;
  assert.deepEqual(fleet.look().waves, [
    { name: "canary", stores: 1, ready: 1, dark: 0, waiting: 0 },
    { name: "wave 2", stores: 1, ready: 0, dark: 0, waiting: 1 },
    { name: "wave 3", stores: 3, ready: 0, dark: 0, waiting: 3 },
    { name: "rest", stores: 5, ready: 0, dark: 1, waiting: 4 },
  ]);
});

test("10,000 stores are planned in little time", () => {
  const fleet = new Fleet(10_000);
  fleet.look();
  const start = performance.now();
  for (let look = 0; look < 10; look += 1) {
    fleet.settle();
    fleet.look();
  }
  assert.equal(fleet.record.phase, "Complete");
  // A square of the stores would take minutes; the machine may be busy.
  assert.ok(performance.now() - start < 15_000, `${performance.now() - start} ms`);
});

test("a store whose bundle has a deadline of its own is late at that, and the others at the usual one", () => {
  const fleet = new Fleet(3);
  const quick = fleet.stores[0] as Mutable;
  quick.deadlineMs = 20_000;
  const first = fleet.look();
  assert.equal(first.lookAgainAtMs, fleet.nowMs + 20_000, "it is looked at when it is late");
  fleet.nowMs += 19_999;
  assert.equal(fleet.look().record.phase, "Progressing");
  fleet.nowMs += 1;
  assert.equal(fleet.look().record.phase, "Halted");
  quick.deadlineMs = 2 * WAVE_DEADLINE_MS;
  fleet.nowMs += WAVE_DEADLINE_MS;
  assert.equal(fleet.look().record.phase, "Progressing", "a longer one gives it more than the usual time");
});
