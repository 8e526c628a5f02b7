import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "@cortado/std/random";
import { Spans } from "./spans.ts";

test("stretches hold what was added to them, whatever the order, and stay apart from each other", () => {
  const random = seededRandom(5);
  for (let round = 0; round < 200; round += 1) {
    const spans = new Spans();
    const numbers = new Set<number>();
    for (let at = 0; at < 12; at += 1) {
      const from = 1 + random.integer(60);
      const to = from + random.integer(6) - 1;
      spans.add({ from, to });
      for (let number = from; number <= to; number += 1) numbers.add(number);
    }
    for (let number = 0; number < 70; number += 1) assert.equal(spans.has(number), numbers.has(number));
    const { list } = spans;
    for (const [at, { from }] of list.entries()) assert.ok(from > (list[at - 1]?.to ?? -1) + 1);
    let through = random.integer(30);
    const start = through;
    while (numbers.has(through + 1)) through += 1;
    assert.equal(spans.absorb(start), through);
  }
});
