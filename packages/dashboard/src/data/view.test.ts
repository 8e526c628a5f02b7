import assert from "node:assert/strict";
import { test } from "node:test";
import { toBundleRow, toStoreRow } from "./rows.ts";
import { agoText, shownRows, statesOf, windowOf } from "./view.ts";

const store = (name: string, state: string, labels: Record<string, string> = {}) =>
  toStoreRow({ metadata: { name, namespace: "shops", labels }, status: { display: { state } } } as never);
const rows = [
  store("store-10", "Ready", { location: "edge" }),
  store("store-9", "Offline", { location: "edge" }),
  store("store-1", "NotReady", { location: "mall" }),
];
const names = (options: Partial<Parameters<typeof shownRows<(typeof rows)[number]>>[1]>): readonly string[] =>
  shownRows(rows, { filter: "", state: "", sorting: { by: "name", isDown: false }, ...options }).map(
    ({ name }) => name,
  );

for (const { name, given, want } of [
  { name: "all, by number in the name", given: {}, want: ["store-1", "store-9", "store-10"] },
  {
    name: "down",
    given: { sorting: { by: "name", isDown: true } },
    want: ["store-10", "store-9", "store-1"],
  },
  {
    name: "worst first",
    given: { sorting: { by: "state", isDown: false } },
    want: ["store-9", "store-1", "store-10"],
  },
  { name: "by a label", given: { filter: "location=EDGE" }, want: ["store-9", "store-10"] },
  { name: "every word", given: { filter: "edge offline" }, want: ["store-9"] },
  { name: "one state", given: { state: "NotReady" }, want: ["store-1"] },
  { name: "nothing", given: { filter: "moon" }, want: [] },
] as const)
  test(`shows ${name}`, () => assert.deepEqual(names(given), want));

test("states are counted, the worst first", () => {
  assert.deepEqual(statesOf(rows), [
    { state: "Offline", count: 1 },
    { state: "NotReady", count: 1 },
    { state: "Ready", count: 1 },
  ]);
});

test("a store that was never heard says so, and a dark one since when", () => {
  assert.equal(store("new", "WaitCheckIn").lastSeenMs, 0);
  const conditions = [{ type: "Offline", status: "True", message: "the store was last heard at noon" }];
  const status = { conditions, agent: { lastSeen: "2026-01-01T12:00:00Z" }, display: { state: "Offline" } };
  const row = toStoreRow({ metadata: { name: "dark", namespace: "shops" }, status } as never);
  assert.equal(row.offlineSinceMs, Date.UTC(2026, 0, 1, 12));
  assert.equal(row.message, "the store was last heard at noon");
});

for (const { scrolledPx, want } of [
  { scrolledPx: 0, want: { from: 0, to: 30 } },
  { scrolledPx: 3_600, want: { from: 90, to: 130 } },
  { scrolledPx: 6_480, want: { from: 170, to: 200 } },
  { scrolledPx: 1_000_000, want: { from: 190, to: 200 } },
])
  test(`of 200 rows, those near ${scrolledPx} px are in the document`, () => {
    const found = windowOf({ count: 200, scrolledPx, heightPx: 720, rowPx: 36, beyond: 10 });
    assert.deepEqual(found, want);
  });

test("a time is told in the largest whole unit", () => {
  const nowMs = Date.UTC(2026, 0, 2);
  const ago = (seconds: number): string => agoText(nowMs - seconds * 1_000, nowMs);
  assert.deepEqual(
    [ago(5), ago(61), ago(7_300), ago(200_000), agoText(0, nowMs)],
    ["5 s ago", "1 min ago", "2 h ago", "2 d ago", "never"],
  );
});

test("a bundle's row tells a halted rollout once", () => {
  const row = (message: string): string =>
    toBundleRow({
      metadata: { name: "shop", namespace: "shops" },
      status: {
        rollout: { phase: "Halted", message: "halted with wave 1" },
        conditions: [{ type: "Ready", status: "False", message }],
      },
    } as never).message;
  assert.equal(row("NotReady(1)"), "halted with wave 1; NotReady(1)");
  const told = "generation 2: halted with wave 1. To abort: …; NotReady(1)";
  assert.equal(row(told), told);
});
