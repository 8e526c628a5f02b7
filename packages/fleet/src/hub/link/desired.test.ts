import assert from "node:assert/strict";
import { test } from "node:test";
import { Cells } from "../state/cells.ts";
import type { Core } from "../core.ts";
import { lookedAt, type StoreRow } from "../state/stores.ts";
import { desiredFor } from "./desired.ts";

test("nothing is said to be gone before every bundle was looked at for the store, and it is said then", () => {
  // Only what desiredFor reads of a hub.
  const core = {
    cells: new Cells(),
    bundles: { keyOf: () => "fleet-default/menu" },
    variants: { get: () => undefined },
  } as unknown as Core;
  const row = {
    cluster: { namespace: "fleet-default", name: "store-1" },
    index: 0,
    unlooked: new Set(["fleet-default/menu"]),
    revision: 100,
    fullFrom: 100,
  } as unknown as StoreRow;
  let isComplete = true;
  const ports = { core, bundleAt: () => undefined, isComplete: () => isComplete };
  assert.equal(desiredFor(ports, row, 0)?.full, false);
  lookedAt(row, "fleet-default/menu");
  isComplete = false;
  assert.equal(desiredFor(ports, row, 100)?.full, false, "what was told in part is told again");
  isComplete = true;
  // A bundle that is for the store and cannot be told now is not gone either.
  const cell = core.cells.add(0, 0);
  assert.equal(desiredFor(ports, row, 100)?.full, false);
  core.cells.remove(cell);
  const whole = desiredFor(ports, row, 100);
  assert.equal(whole?.full, true);
  assert.equal(desiredFor(ports, row, whole.revision), undefined, "and then it knows");
});
