import assert from "node:assert/strict";
import { test } from "node:test";
import { readTar, writeTar, type TarEntry } from "./tar.ts";

const entries: readonly TarEntry[] = [
  { name: "bin/", type: "folder", mode: 0o755 },
  { name: "bin/busybox", mode: 0o755, data: new Uint8Array(1_000).fill(7) },
  { name: "bin/sh", type: "hardlink", link: "bin/busybox" },
  { name: "lib", type: "symlink", link: "usr/lib" },
  { name: `${"deep/".repeat(60)}ü.txt`, data: Buffer.from("text") },
  { name: "empty" },
];

test("an archive comes back as it went, long names too", () => {
  const read = [...readTar(writeTar(entries))];
  assert.deepEqual(
    read.map(({ name }) => name),
    entries.map(({ name }) => name),
  );
  assert.deepEqual(
    read.map(({ typeFlag }) => typeFlag),
    ["5", "0", "1", "2", "0", "0"],
  );
  assert.equal(read[2]?.link, "bin/busybox");
  assert.equal(Buffer.from(read[4]?.data ?? []).toString(), "text");
  assert.equal(read[1]?.mode, 0o755);
});

test("equal content is equal bytes", () => assert.deepEqual(writeTar(entries), writeTar(entries)));

test("a cut, a flipped bit and a name that climbs out are refused", () => {
  const whole = writeTar(entries);
  assert.throws(() => [...readTar(whole.subarray(0, 1_536))], /cut short/);
  const flipped = whole.slice();
  flipped[3] = 0x41;
  assert.throws(() => [...readTar(flipped)], /checksum/);
  assert.throws(() => [...readTar(writeTar([{ name: "a/../../etc/passwd" }]))], /climbs out/);
});
