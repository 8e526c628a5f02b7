import assert from "node:assert/strict";
import { test } from "node:test";
import type { Bundle } from "@cortado/kinds/fleet";
import type { Cell } from "../state/cells.ts";
import { hasAll, loadRow, type BundleRow } from "./row.ts";

const record = {
  generation: 3,
  base: 3,
  open: 2,
  openedAtMs: 0,
  phase: "Complete",
  reason: "",
} as const;
const cell: Cell = {
  cluster: 1,
  bundle: 1,
  wanted: 7,
  released: 7,
  generation: 3,
  applied: 7,
  state: "Ready",
  message: "",
};

function rowWith(more: Partial<BundleRow>): BundleRow {
  const bundle = { metadata: { namespace: "fleet-default", name: "menu", uid: "u" } } as unknown as Bundle;
  return { ...loadRow("fleet-default/menu", bundle), record, isLooked: true, ...more };
}

test("a store that has what all may run is nothing new to a bundle when it is heard, and only then", () => {
  assert.equal(hasAll(rowWith({}), cell), true);
  for (const row of [
    undefined,
    rowWith({ isLooked: false }),
    rowWith({ record: undefined }),
    rowWith({ record: { ...record, phase: "Progressing" } }),
    rowWith({ record: { ...record, generation: 4 } }),
    rowWith({ released: new Map([[9, 2]]) }),
  ])
    assert.equal(hasAll(row, cell), false);
  for (const other of [
    { applied: 6 },
    { released: 0, applied: 0 },
    { generation: 2 },
    { state: "NotReady" },
  ] as const)
    assert.equal(hasAll(rowWith({}), { ...cell, ...other }), false);
});
