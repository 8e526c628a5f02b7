import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { systemFiles } from "@cortado/std/node/files";
import { silentLog } from "@cortado/std/testing/silent-log";
import type { Message } from "../journal/records.ts";
import { RetainedMessages } from "./retained.ts";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

function heldMb(): number {
  collect();
  collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return (heapUsed + arrayBuffers) / 1_048_576;
}

test("200,000 retained topics lie on disk: memory has some bytes for each, also after a start", async () => {
  const folder = mkdtempSync(join(tmpdir(), "mqtt-retained-"));
  try {
    const options = { files: systemFiles, folder, log: silentLog, nowMs: 0 };
    const { retained } = await RetainedMessages.open(options);
    const payload = new Uint8Array(100);
    const before = heldMb();
    for (let at = 0; at < 200_000; at += 1) {
      const topic = `/store${at % 5_000}/device${Math.floor(at / 5_000)}/temp`;
      retained.keep({ ...plain, topic, payload, sequence: at + 1 });
      if (!retained.wantsCheckpoint) continue;
      retained.freeze();
      await retained.checkpoint();
      await retained.merge(0);
    }
    retained.freeze();
    await retained.checkpoint();
    assert.equal(retained.items, 200_000);
    const grown = heldMb() - before;
    assert.ok(grown < 4, `${grown.toFixed(1)} MB more are held`);
    await retained[Symbol.asyncDispose]();
    const again = (await RetainedMessages.open(options)).retained;
    assert.equal(again.items, 200_000);
    const held = heldMb() - before;
    assert.ok(held < 4, `${held.toFixed(1)} MB more are held after a start`);
    let count = 0;
    const reader = again.matching("#");
    for (let part = await reader.next(); part !== undefined; part = await reader.next()) count += part.length;
    assert.equal(count, 200_000);
    const one = await again.get("/store4999/device39/temp");
    assert.equal(one?.sequence, 200_000);
    await again[Symbol.asyncDispose]();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

const plain: Omit<Message, "topic" | "payload" | "sequence"> = {
  atMs: 0,
  qos: 1,
  retain: true,
  recipients: [],
  grants: undefined,
  carried: undefined,
  expiresAtMs: undefined,
};
