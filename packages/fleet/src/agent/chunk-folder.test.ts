import assert from "node:assert/strict";
import { test } from "node:test";
import { MemoryFiles } from "@cortado/std/testing/memory-files";
import { openChunkFolder } from "./chunk-folder.ts";
import { STALE_CHUNKS_MAX } from "./limits.ts";

const hashOf = (number: number): string => number.toString(16).padStart(64, "0");

test("chunks outlive a restart; what is named is never forgotten, and the rest is bounded", async () => {
  const files = new MemoryFiles();
  const chunks = await openChunkFolder({ files, folder: "/data/chunks" });
  const keep = new Set([hashOf(0), hashOf(1)]);
  for (let number = 0; number < STALE_CHUNKS_MAX + 10; number += 1)
    await chunks.put(hashOf(number), Uint8Array.of(number % 256), { keep });
  const again = await openChunkFolder({ files, folder: "/data/chunks" });
  assert.deepEqual(await again.read(hashOf(0)), Uint8Array.of(0));
  assert.equal(await again.read(hashOf(2)), undefined, "the oldest that nobody names is gone");
  assert.notEqual(await again.read(hashOf(STALE_CHUNKS_MAX)), undefined);
  assert.equal((await files.list("/data/chunks")).length, STALE_CHUNKS_MAX + 2);
  assert.equal(await again.read("../../etc/passwd"), undefined);
});
