import assert from "node:assert/strict";
import { test } from "node:test";
import { gunzipSync } from "node:zlib";
import { MemoryFiles } from "@cortado/std/testing/memory-files";
import { HeldClock } from "@cortado/std/testing/held-clock";
import type { Compiler } from "../ports.ts";
import { openBlobs, type Blobs } from "../sources/blobs.ts";
import { Variants } from "./variants.ts";

test("ten thousand stores that want a chunk at once read it from the disk once", async () => {
  const files = new MemoryFiles();
  const blobs = await openBlobs(files, "chunks");
  const sha256 = await blobs.put(new TextEncoder().encode('{"kind":"ConfigMap"}'));
  let reads = 0;
  const counted: Blobs = {
    put: (bytes) => blobs.put(bytes),
    get(name) {
      reads += 1;
      return blobs.get(name);
    },
  } as Blobs;
  const parts = {
    compiler: {} as Compiler,
    blobs: counted,
    files,
    clock: new HeldClock(),
    folder: "variants",
  };
  const variants = new Variants(parts);
  const all = await Promise.all(Array.from({ length: 10_000 }, () => variants.packed(sha256)));
  assert.equal(reads, 1);
  assert.equal(gunzipSync(all[9_999] ?? new Uint8Array()).toString(), '{"kind":"ConfigMap"}');
  await assert.rejects(variants.packed("ab".repeat(32)), /ab/);
  await assert.rejects(variants.packed("ab".repeat(32)), /ab/);
  assert.equal(reads, 3, "what failed is tried again");
});
