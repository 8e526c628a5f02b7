import assert from "node:assert/strict";
import { test } from "node:test";
import { NumberSet } from "./number-set.ts";

test("a set of numbers is a set, also when it was emptied while it was gone through", () => {
  const set = new NumberSet();
  assert.deepEqual([[...set], set.has(1)], [[], false]);
  for (const number of [3, 1, 3, 2]) set.add(number);
  assert.deepEqual([[...set], set.has(3)], [[3, 1, 2], true]);
  const seen: number[] = [];
  for (const number of set) {
    seen.push(number);
    set.delete(number);
  }
  assert.deepEqual([seen, [...set]], [[3, 1, 2], []]);
  set.add(4);
  set.clear();
  set.delete(4);
  assert.deepEqual([...set], []);
  set.add(5);
  assert.deepEqual([...set], [5]);
});
