import assert from "node:assert/strict";
import { test } from "node:test";
import { milliCpu, quantity } from "./quantity.ts";

for (const [text, want] of [
  ["1", 1],
  ["1.5Gi", 1.5 * 2 ** 30],
  ["100m", 0.1],
  ["2k", 2_000],
  ["1e3", 1_000],
  ["5n", 5e-9],
  [undefined, 0],
  [7, 7],
  ["x", Number.NaN],
] as const)
  test(`quantity ${text}`, () => assert.equal(quantity(text), want));

test("thousandths of a core are whole", () =>
  assert.deepEqual(["100m", "0.0001", "2", undefined].map(milliCpu), [100, 1, 2_000, 0]));
