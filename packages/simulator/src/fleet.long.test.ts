import { test } from "node:test";
import { mustHold } from "./testing/must-hold.ts";

test("a thousand stores come to what Git says, under kills, seed 41", async () => {
  await mustHold({ seed: 41, clusters: 1_000, minutes: 1, kills: 30 });
});
