import assert from "node:assert/strict";
import { test } from "node:test";
import { HeldClock } from "@cortado/std/testing/held-clock";
import { ROLLOUT_PACE } from "../limits.ts";
import { Look, Pace } from "./pace.ts";

test("looks are paced by what they cost, not by what they waited for", async () => {
  const clock = new HeldClock();
  const pace = new Pace();
  const look = new Look(clock);
  await clock.advance(3);
  const work = look.waitFor(clock.sleep(700, { signal: new AbortController().signal }));
  await clock.advance(700);
  await work;
  await clock.advance(2);
  pace.took("fleet-default/shop", look);
  assert.equal(pace.ms, 5 * ROLLOUT_PACE);
  pace.forget("fleet-default/shop");
  assert.equal(pace.ms, 0);
});
