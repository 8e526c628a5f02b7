import assert from "node:assert/strict";
import { test } from "node:test";
import { HeldClock } from "@cortado/std/testing/held-clock";
import { machineLine } from "./line.ts";

test("an address that is new is a line that came back; one that goes is not", async () => {
  const clock = new HeldClock();
  let addresses = new Set(["10.0.0.2"]);
  let times = 0;
  let goneMs = 0;
  const watching = machineLine(clock, () => addresses).subscribe((since) => {
    times += 1;
    goneMs = since;
  });
  const turn = async (...now: readonly string[]): Promise<number> => {
    addresses = new Set(now);
    await clock.advance(1_000);
    return times;
  };
  assert.equal(await turn("10.0.0.2"), 0);
  assert.equal(await turn(), 0, "the line goes");
  const lastGoneMs = clock.monotonicMs();
  assert.equal(await turn("10.0.0.2"), 1, "and comes back");
  assert.equal(goneMs, lastGoneMs, "when it was last seen gone");
  assert.equal(await turn("10.0.0.2", "192.0.2.7"), 2, "another one beside it");
  watching[Symbol.dispose]();
  assert.equal(await turn(), 2);
  assert.equal(await turn("10.0.0.2"), 2, "nobody listens any more");
});
