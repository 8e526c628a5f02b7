import assert from "node:assert/strict";
import { test } from "node:test";
import { canonicalQuantity, compareQuantities, milliOf, unitsOf } from "./quantity.ts";

const forms: readonly (readonly [unknown, string | undefined])[] = [
  ["1000m", "1"],
  ["0.5", "500m"],
  ["1.5Gi", "1536Mi"],
  ["1024Ki", "1Mi"],
  ["1Ki", "1Ki"],
  [2, "2"],
  ["100k", "100k"],
  ["1e3", "1e3"],
  ["0.1n", "1n"],
  ["0Mi", "0"],
  ["9223372036854775807", "9223372036854775807"],
  ["-2.5", "-2500m"],
  [".5", "500m"],
  ["1x", undefined],
  ["", undefined],
  ["Mi", undefined],
  ["1 Gi", undefined],
];

for (const [given, want] of forms)
  test(`the quantity ${JSON.stringify(given)} is written ${String(want)}`, () => {
    assert.equal(canonicalQuantity(given), want);
  });

test("quantities are compared and counted exactly", () => {
  assert.equal(compareQuantities("1Gi", "1000Mi"), 1);
  assert.equal(compareQuantities("1000m", "1"), 0);
  assert.equal(milliOf("1.0001"), 1001);
  assert.equal(unitsOf("128Mi"), 134217728);
});
