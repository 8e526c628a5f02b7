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

test("readers and merges do not harm each other", async () => {
  const folder = mkdtempSync(join(tmpdir(), "mqtt-retained-"));
  try {
    const { retained } = await RetainedMessages.open({
      files: systemFiles,
      folder,
      log: silentLog,
      nowMs: 0,
    });
    const payload = new Uint8Array(300);
    let sequence = 0;
    const checkpoint = async (prefix: string, count: number): Promise<void> => {
      for (let at = 0; at < count; at += 1) {
        sequence += 1;
        retained.keep({ ...plain, topic: `/${prefix}/${at % 7}/${at}`, payload, sequence });
      }
      retained.freeze();
      await retained.checkpoint();
    };
    for (let at = 0; at < 3; at += 1) await checkpoint(`base${at}`, 4_000);
    let isOver = false;
    const reading = async (filter: string, wanted: number): Promise<number> => {
      let rounds = 0;
      while (!isOver) {
        let count = 0;
        const reader = retained.matching(filter);
        for (let part = await reader.next(); part !== undefined; part = await reader.next()) {
          count += part.filter(({ topic }) => topic.startsWith("/base")).length;
          assert.equal((await retained.get("/base1/3/3"))?.sequence, 4_004);
        }
        assert.equal(count, wanted, filter);
        rounds += 1;
      }
      return rounds;
    };
    const readers = Promise.all([
      reading("#", 12_000),
      reading("/base1/#", 4_000),
      reading("+/+/6/+", 1_713),
      reading("+/+/+/3999", 3),
    ]);
    const writing = async (): Promise<void> => {
      for (let at = 0; at < 40; at += 1) {
        await checkpoint(`more${at % 5}`, 500);
        await retained.merge(0);
      }
      isOver = true;
    };
    const [rounds] = await Promise.all([readers, writing()]);
    assert.ok(Math.min(...rounds) > 0);
    await retained[Symbol.asyncDispose]();
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
