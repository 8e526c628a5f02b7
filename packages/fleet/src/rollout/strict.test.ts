import assert from "node:assert/strict";
import { test } from "node:test";
import type { RolloutStrategy } from "../compile/bundle.ts";
import { amountOf } from "./amount.ts";
import { planRollout, type RolloutStore } from "./rollout.ts";

/** `released/ready` of each store; answers how many are released to generation 2, and whether to look again at once. */
function pass(strategy: RolloutStrategy, states: readonly string[]): string {
  const stores = states.map((state, at): RolloutStore => {
    const [released = 0, ready = 0] = state.split("/").map(Number);
    const key = `ns/s${String(at).padStart(4, "0")}`;
    return { key, labels: { ring: at % 2 === 0 ? "a" : "b" }, isHeard: true, released, ready, message: "" };
  });
  const plan = planRollout({
    record: { generation: 2, base: 1, open: 0, openedAtMs: 0, phase: "Progressing", reason: "" },
    stores,
    strategy,
    control: { isPaused: false, promote: undefined, abort: undefined },
    gates: { closed: [] },
    isStrict: true,
    deadlineMs: 1,
    nowMs: 5,
  });
  const keys = plan.release
    .filter(({ generation }) => generation === 2)
    .map(({ key }) => Number(key.slice(4)));
  return `${keys.length > 8 ? keys.length : keys.join(",")}${plan.lookAgainAtMs === undefined ? "" : " again"}`;
}

const well = (count: number): string[] => Array.from({ length: count }, () => "1/1");
const fresh = (count: number): string[] => Array.from({ length: count }, () => "0/0");
const rings = [
  { name: "a", clusterSelector: { matchLabels: { ring: "a" } } },
  { name: "b", clusterSelector: { matchLabels: { ring: "b" } } },
];

for (const { name, strategy, states, want } of [
  { name: "nothing waits by default", strategy: {}, states: well(4), want: "0,1,2,3" },
  { name: "a number of unavailable ones", strategy: { maxUnavailable: 1 }, states: well(4), want: "0" },
  {
    name: "none while one is on its way",
    strategy: { maxUnavailable: 1 },
    states: ["2/0", "1/1", "1/1"],
    want: "",
  },
  {
    name: "one that is unavailable already is updated whatever the budget",
    strategy: { maxUnavailable: 1 },
    states: ["2/0", "1/0", "1/1"],
    want: "1",
  },
  {
    name: "an int of none freezes the healthy",
    strategy: { maxUnavailable: 0 },
    states: ["1/1", "1/0"],
    want: "1",
  },
  { name: "no percent is one", strategy: { maxUnavailable: "0%" }, states: well(3), want: "0" },
  {
    name: "a first deployment is not slowed",
    strategy: { maxUnavailable: 1 },
    states: fresh(4),
    want: "0,1,2,3",
  },
  { name: "new ones come in batches of a pass", strategy: {}, states: fresh(60), want: "50 again" },
  { name: "a batch of their own size", strategy: { maxNew: 2 }, states: fresh(3), want: "0,1 again" },
  {
    name: "a partition that is not up to date stops the next",
    strategy: { maxUnavailable: 1, partitions: rings },
    states: ["2/0", "1/1", "2/0", "1/1"],
    want: "",
  },
  {
    name: "the next partition once enough of the first are ready",
    strategy: { maxUnavailable: 1, partitions: rings },
    states: ["2/2", "1/1", "2/2", "1/1"],
    want: "1",
  },
  {
    name: "a cluster of no partition is never deployed",
    strategy: { partitions: [{ name: "a", clusterSelector: { matchLabels: { ring: "a" } } }] },
    states: well(4),
    want: "0,2",
  },
  { name: "from 200 on there are four partitions", strategy: {}, states: well(200), want: "200" },
  {
    name: "of which the first alone is begun when none may be unavailable",
    strategy: { maxUnavailable: 10 },
    states: well(200),
    want: "10",
  },
  {
    name: "a size of none is one partition",
    strategy: { autoPartitionSize: 0, maxUnavailable: 20 },
    states: well(200),
    want: "20",
  },
] as const)
  test(`strict: ${name}`, () => assert.equal(pass(strategy, states), want));

for (const { value, count, want } of [
  { value: "25%", count: 10, want: 2 },
  { value: "0%", count: 10, want: 1 },
  { value: 20, count: 10, want: 10 },
  { value: -3, count: 10, want: 0 },
  { value: "20", count: 10, want: 20 },
  { value: 0, count: 0, want: 1 },
])
  test(`strict: ${JSON.stringify(value)} of ${count} is ${want}`, () =>
    assert.equal(amountOf(value, { count, field: "maxUnavailable" }), want));

test("strict: what is no amount is refused by name", () =>
  assert.throws(
    () => pass({ maxUnavailable: "half" }, well(2)),
    /rolloutStrategy\.maxUnavailable is "half"/,
  ));
