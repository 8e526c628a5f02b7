import assert from "node:assert/strict";
import { test } from "node:test";
import { HeldClock } from "@cortado/std/testing/held-clock";
import { BackOff, durationText } from "./back-off.ts";

test("the first failure is free, then waits double to the top, and a long good run forgives", async () => {
  const clock = new HeldClock();
  const backOff = new BackOff({ firstMs: 10_000, maxMs: 300_000, resetMs: 600_000, clock });
  const waits: number[] = [];
  for (let crash = 0; crash < 8; crash += 1) {
    const failedMs = clock.monotonicMs();
    const waitMs = backOff.remainingMs("a", failedMs);
    waits.push(waitMs);
    await clock.advance(waitMs);
    backOff.next("a", failedMs);
  }
  assert.deepEqual(waits, [0, 10_000, 20_000, 40_000, 80_000, 160_000, 300_000, 300_000]);
  await clock.advance(700_000);
  assert.equal(backOff.remainingMs("a", clock.monotonicMs()), 0);
  backOff.forget("a");
  assert.equal(backOff.waitMs("a"), 0);
});

test("durations read as Go's", () =>
  assert.deepEqual([10_000, 80_000, 300_000].map(durationText), ["10s", "1m20s", "5m0s"]));
