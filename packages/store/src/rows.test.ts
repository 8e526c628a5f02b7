import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "@cortado/std/random";
import { Rows } from "./rows.ts";

test("rows are in order and findable, whatever comes and goes", () => {
  const random = seededRandom(7);
  const rows = new Rows();
  const truth = new Map<string, number>();
  for (let step = 1; step <= 5_000; step += 1) {
    // "\u{1f375}" sorts below "\uff0a" by UTF-16 units, and above it by bytes.
    const key = `/${["a", "b", "\u{1f375}", "\uff0a"][random.integer(4)] ?? ""}/${random.integer(300)}`;
    if (random.integer(3) === 0) {
      truth.delete(key);
      rows.delete(key);
    } else {
      truth.set(key, step);
      rows.put({ key, modified: step as never, created: 1 as never });
    }
    assert.equal(rows.modified(key), truth.get(key));
    assert.equal(rows.size, truth.size);
  }
  const sorted = [...truth.keys()].sort();
  assert.deepEqual(rows.keys(rows.range("/", undefined)), sorted);
  for (const key of sorted) assert.equal(rows.find(key)?.modified, truth.get(key));
  const other = new Rows();
  other.fill(sorted.toReversed().map((key) => ({ key, modified: 1 as never, created: 1 as never })));
  assert.deepEqual(other.keys(other.range("/", undefined)), sorted);
  assert.deepEqual(
    other.keys(other.range("/\u{1f375}/", "/\u{1f375}/1"), 3),
    sorted.filter((key) => key.startsWith("/\u{1f375}/") && key > "/\u{1f375}/1").slice(0, 3),
  );
});
