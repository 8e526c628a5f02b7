import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeFrame, encodeFrame } from "./frames.ts";

const sha256 = "00ff10".padEnd(64, "a7");

test("a binary message begins with its kind and comes back as it went", () => {
  const chunk = { kind: "chunk", sha256, gzip: Uint8Array.of(1, 2, 3) } as const;
  const message = encodeFrame(chunk);
  assert.deepEqual([...message.subarray(0, 4)], [1, 0x00, 0xff, 0x10]);
  assert.equal(message.length, 1 + 32 + 3);
  assert.deepEqual(decodeFrame(message), chunk);
  const stream = { kind: "stream", stream: 0xfedcba98, bytes: Uint8Array.of(9) } as const;
  assert.deepEqual([...encodeFrame(stream)], [2, 0xfe, 0xdc, 0xba, 0x98, 9]);
  // A message may stand anywhere in a larger buffer.
  const larger = Uint8Array.of(7, 7, ...encodeFrame(stream));
  assert.deepEqual(decodeFrame(larger.subarray(2)), stream);
  const empty = { kind: "stream", stream: 0, bytes: new Uint8Array() } as const;
  assert.deepEqual(decodeFrame(encodeFrame(empty)), empty);
});

test("what is no message of ours is refused with what is wrong", () => {
  assert.throws(() => decodeFrame(new Uint8Array()), /begins with nothing/);
  assert.throws(() => decodeFrame(Uint8Array.of(4, 1)), /begins with 4 has no kind/);
  assert.deepEqual(decodeFrame(encodeFrame({ kind: "beat" })), { kind: "beat" });
  assert.equal(encodeFrame({ kind: "beat" }).length, 1, "a beat is as small as a message can be");
  assert.throws(() => decodeFrame(Uint8Array.of(1, 1)), /cut short/);
  assert.throws(() => decodeFrame(Uint8Array.of(2, 0, 0, 1)), /cut short/);
  assert.throws(() => encodeFrame({ kind: "chunk", sha256: "AB", gzip: new Uint8Array() }), /64 lower-case/);
  assert.throws(() => encodeFrame({ kind: "stream", stream: 2 ** 32, bytes: new Uint8Array() }), /0 to/);
});
