import assert from "node:assert/strict";
import { test } from "node:test";
import { whyNoLoopDisk } from "../crash/loop-disk.ts";
import { morningOf, SERVED_MS_MAX } from "./morning.ts";

// Whole: CORTADO_DEVICES=10000; how the API server feels meanwhile is measured by npm run bench -- mqtt.
const DEVICES = Number(process.env["CORTADO_DEVICES"] ?? 3_000);
const skip = whyNoLoopDisk() ?? false;

test(
  `${DEVICES} devices come back at once after a power cut: each is served, and so is who asks the API`,
  { skip },
  async () => {
    const { halfMs, allMs, apiP99Ms, apiAnswers, apiFailures } = await morningOf(DEVICES);
    const ms = (value: number): string => `${Math.round(value)} ms`;
    console.log(`half after ${ms(halfMs)}, all after ${ms(allMs)}; API p99 ${ms(apiP99Ms)} of ${apiAnswers}`);
    assert.ok(allMs < SERVED_MS_MAX);
    assert.equal(apiFailures, 0);
    assert.ok(apiAnswers > 10, "it was asked all the while");
  },
);
