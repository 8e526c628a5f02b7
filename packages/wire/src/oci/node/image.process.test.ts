import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { spawn } from "node:child_process";
import { test } from "node:test";
import { zstdDecompressSync } from "node:zlib";
import { newLayer, pauseElf, pauseImage, readTar, writeOciTar } from "./image.ts";

test("shared layers are written once and every blob has the digest it is named by", () => {
  const base = newLayer([{ name: "bin/node", data: new Uint8Array(5_000) }], { compression: "zstd" });
  const images = ["a", "b"].map((name) => ({
    name: `cortado.local/${name}:1`,
    layers: [base, newLayer([{ name: `app/${name}`, data: Buffer.from(name) }], { compression: "none" })],
    config: { Cmd: [name] },
    architecture: "x64" as const,
  }));
  const { parts } = writeOciTar(images);
  const files = new Map([...readTar(Buffer.concat(parts))].map(({ name, data }) => [name, data]));
  const blobs = [...files].filter(([name]) => /^blobs\/sha256\/./.test(name));
  for (const [name, data] of blobs)
    assert.equal(name, `blobs/sha256/${createHash("sha256").update(data).digest("hex")}`);
  assert.equal(blobs.length, 3 + 2 * 2);
  assert.equal(zstdDecompressSync(base.bytes).byteLength % 512, 0);
  const index = JSON.parse(Buffer.from(files.get("index.json") ?? []).toString()) as {
    manifests: { annotations: Record<string, string> }[];
  };
  assert.deepEqual(
    index.manifests.map(({ annotations }) => annotations["io.containerd.image.name"]),
    ["cortado.local/a:1", "cortado.local/b:1"],
  );
});

test(
  "the pause program runs until it is killed",
  { skip: process.arch !== "x64" && "runs x64 code" },
  async () => {
    const folder = mkdtempSync(join(tmpdir(), "pause-"));
    try {
      const path = join(folder, "pause");
      writeFileSync(path, pauseElf("x64"));
      chmodSync(path, 0o755);
      const child = spawn(path);
      const ended = new Promise<string | null>((resolve) =>
        child.on("exit", (_code, signal) => resolve(signal)),
      );
      await new Promise((resolve) => setTimeout(resolve, 50));
      assert.equal(child.exitCode, null);
      child.kill("SIGTERM");
      assert.equal(await ended, "SIGTERM");
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
);

test("the arm64 program has the words of its instructions", () => {
  const elf = pauseElf("arm64");
  const view = new DataView(elf.buffer);
  assert.equal(view.getUint16(18, true), 183);
  const words = Array.from({ length: 13 }, (_none, at) => view.getUint32(0x78 + at * 4, true).toString(16));
  assert.equal(words[0], "d2800220"); // movz x0, 17
  assert.equal(words[5], "d4000001"); // svc 0
  assert.equal(words[12], "17fffffa"); // b -6
  assert.equal(view.getUint32(0x78 + 4, true) & 0x9f000000, 0x10000000 | 0);
});

test("a pause image is tiny", () => {
  const { parts } = writeOciTar([pauseImage({ name: "cortado.local/pause:1", architecture: "x64" })]);
  assert.ok(Buffer.concat(parts).byteLength < 12_000);
});
