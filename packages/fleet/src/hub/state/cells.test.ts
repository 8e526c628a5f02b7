import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "@cortado/std/random";
import type { BundleReport, BundleState } from "../../protocol/protocol.ts";
import { Cells } from "./cells.ts";
import { Heard } from "./heard.ts";

function reportOf(state: BundleState, message = ""): BundleReport {
  const counts = { desired: 3, ready: 2, notReady: 1, modified: 0, missing: 0 };
  return { name: "order", appliedId: "a", wantedId: "a", state, message, counts, resources: [] };
}

for (const { name, wanted, released, applied, state, want } of [
  { name: "nothing is allowed yet", wanted: 5, released: 0, applied: 0, state: "Pending", want: "Pending" },
  {
    name: "the agent has not applied it",
    wanted: 5,
    released: 5,
    applied: 4,
    state: "Ready",
    want: "WaitApplied",
  },
  {
    name: "the agent could not apply it",
    wanted: 5,
    released: 5,
    applied: 4,
    state: "ErrApplied",
    want: "ErrApplied",
  },
  {
    name: "not ready comes before waiting for a wave",
    wanted: 6,
    released: 5,
    applied: 5,
    state: "NotReady",
    want: "NotReady",
  },
  {
    name: "a newer one waits for its wave",
    wanted: 6,
    released: 5,
    applied: 5,
    state: "Modified",
    want: "OutOfSync",
  },
  { name: "drift", wanted: 5, released: 5, applied: 5, state: "Modified", want: "Modified" },
  { name: "all is well", wanted: 5, released: 5, applied: 5, state: "Ready", want: "Ready" },
] as const)
  test(`state of a bundle in a cluster: ${name}`, () => {
    const cells = new Cells();
    const cell = cells.add(0, 0);
    cells.setWanted(cell, { variant: wanted });
    cells.release(cell, { variant: released, generation: 1, revision: 1 });
    cells.report(cell, reportOf(state), applied);
    assert.equal(cells.stateOf(cell), want);
  });

test("a bundle that fails for one cluster keeps what runs there and says so", () => {
  const cells = new Cells();
  const cell = cells.add(7, 2);
  cells.setWanted(cell, { variant: 5 });
  cells.release(cell, { variant: 5, generation: 1, revision: 1 });
  cells.report(cell, reportOf("Ready"), 5);
  cells.setWanted(cell, { problem: "label region is missing" });
  assert.deepEqual(cells.read(cell), {
    cluster: 7,
    bundle: 2,
    wanted: 5,
    released: 5,
    generation: 1,
    applied: 5,
    state: "ErrApplied",
    message: "label region is missing",
  });
  cells.setWanted(cell, { variant: 5 });
  assert.equal(cells.stateOf(cell), "Ready");
});

test("cells come and go as a map of pairs would have them", () => {
  const random = seededRandom(41);
  const cells = new Cells();
  const pairs = new Set<string>();
  for (let step = 0; step < 20_000; step += 1) {
    const [cluster, bundle] = [random.integer(300), random.integer(12)];
    const key = `${cluster}/${bundle}`;
    if (random.integer(3) > 0) {
      cells.add(cluster, bundle);
      pairs.add(key);
    } else if (pairs.delete(key)) cells.remove(cells.find(cluster, bundle));
    else assert.equal(cells.find(cluster, bundle), 0);
  }
  const text = (cell: number): string => `${cells.read(cell).cluster}/${cells.read(cell).bundle}`;
  const byCluster = Array.from({ length: 300 }, (_, cluster) =>
    [...cells.ofCluster(cluster)].map(text),
  ).flat();
  const byBundle = Array.from({ length: 12 }, (_, bundle) => [...cells.ofBundle(bundle)].map(text)).flat();
  assert.deepEqual(byCluster.toSorted(), [...pairs].toSorted());
  assert.deepEqual(byBundle.toSorted(), [...pairs].toSorted());
  assert.equal(cells.size, pairs.size);
});

test("who was not heard since the hub began is dark, and who falls silent becomes so once", () => {
  const heard = new Heard();
  heard.add(0, { lastMs: 500, dueMs: 0 });
  heard.add(1, { lastMs: 500, dueMs: 31_000 });
  assert.deepEqual([heard.isHeard(0), heard.isHeard(1), heard.darkCount], [false, true, 1]);
  assert.equal(heard.hear(0, { nowMs: 1_000, dueMs: 31_000 }), true);
  assert.equal(heard.hear(0, { nowMs: 2_000, dueMs: 32_000 }), false);
  assert.deepEqual(heard.look(30_999), []);
  assert.deepEqual(heard.look(31_000), [1]);
  assert.deepEqual(heard.look(31_500), []);
  assert.deepEqual(heard.look(40_000), [0]);
  assert.deepEqual([heard.lastMs(0), heard.darkCount], [2_000, 2]);
});

test("10,000 clusters with ten bundles each are kept", () => {
  const cells = new Cells();
  for (let cluster = 0; cluster < 10_000; cluster += 1)
    for (let bundle = 0; bundle < 10; bundle += 1) {
      const cell = cells.add(cluster, bundle);
      cells.setWanted(cell, { variant: 1 + bundle });
      cells.release(cell, { variant: 1 + bundle, generation: 1, revision: 1 });
      cells.report(cell, reportOf("Ready"), 1 + bundle);
    }
  assert.equal(cells.size, 100_000);
});

test("cells of many blocks come, go and come again, each with its own", () => {
  const [clusters, bundles] = [1_500, 4];
  const cells = new Cells();
  const truth = new Map<string, number>();
  const random = seededRandom(3);
  const set = (cluster: number, bundle: number): void => {
    const variant = 1 + random.integer(1_000);
    const cell = cells.add(cluster, bundle);
    cells.setWanted(cell, { variant });
    cells.release(cell, { variant, generation: variant, revision: 1e12 + variant });
    cells.report(cell, reportOf("Ready"), variant);
    truth.set(`${cluster}/${bundle}`, variant);
  };
  for (let cluster = 0; cluster < clusters; cluster += 1)
    for (let bundle = 0; bundle < bundles; bundle += 1) set(cluster, bundle);
  for (let turn = 0; turn < 4_000; turn += 1) {
    const [cluster, bundle] = [random.integer(clusters), random.integer(bundles)];
    const cell = cells.find(cluster, bundle);
    if (cell === 0) set(cluster, bundle);
    else {
      cells.remove(cell);
      truth.delete(`${cluster}/${bundle}`);
    }
  }
  assert.equal(cells.size, truth.size);
  const seen = new Map<string, number>();
  for (let bundle = 0; bundle < bundles; bundle += 1)
    for (const cell of cells.ofBundle(bundle)) {
      const read = cells.read(cell);
      seen.set(`${read.cluster}/${read.bundle}`, read.wanted);
      assert.equal(cells.find(read.cluster, read.bundle), cell);
      assert.ok(read.applied === read.wanted && read.released === read.wanted && read.state === "Ready");
      assert.equal(cells.changedAt(cell), 1e12 + read.wanted);
      assert.equal(cells.countsOf(cell).desired, 3);
    }
  assert.deepEqual([...seen].toSorted(), [...truth].toSorted());
  for (let cluster = 0; cluster < clusters; cluster += 1)
    for (const cell of cells.ofCluster(cluster)) assert.equal(cells.read(cell).cluster, cluster);
});
