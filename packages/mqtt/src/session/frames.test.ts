import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "@cortado/std/random";
import { connectionPair } from "@cortado/std/testing/memory-network";
import { decodeFrame, FrameReader, publishFrame } from "@cortado/wire/mqtt";
import { Frames } from "./frames.ts";

test("frames of one turn leave in their order and few pieces, whatever their lengths", () => {
  const random = seededRandom(7);
  for (let round = 0; round < 50; round += 1) {
    const frames = new Frames();
    const wanted: string[] = [];
    for (let at = 0; at < random.integer(40) + 1; at += 1) {
      const id = at + 1;
      if (random.integer(3) === 0) {
        frames.addAck(0x40, id);
        wanted.push(`puback ${id}`);
        continue;
      }
      const length = random.integer(5) === 0 ? 4_000 + random.integer(3_000) : random.integer(300);
      const payload = new Uint8Array(length).fill(at);
      const frame = publishFrame({ topic: "/a", payload, qos: 1, retain: false, dup: false, id: 9 });
      frames.addPublish(frame, { id, dup: at % 2 === 0 });
      if (frame.byteLength <= 4_096) frame.fill(0xff); // it is ours again
      wanted.push(`publish ${id} ${at % 2 === 0} ${length} ${at}`);
    }
    const pieces: Uint8Array[] = [];
    const [near] = connectionPair();
    frames.writeTo({ ...near, bufferedBytes: 0, write: (bytes) => pieces.push(bytes) > 0 });
    assert.equal(
      frames.bytes,
      pieces.reduce((sum, { byteLength }) => sum + byteLength, 0),
    );
    assert.ok(pieces.length <= 1 + 2 * wanted.filter((one) => /^publish \d+ \w+ \d{4}/.test(one)).length);
    const reader = new FrameReader({ frameBytesMax: 100_000 });
    for (const piece of pieces) reader.push(piece);
    const got: string[] = [];
    for (let frame = reader.next(); frame !== undefined; frame = reader.next()) {
      const packet = decodeFrame(frame);
      if (packet.type === "puback") got.push(`puback ${packet.id}`);
      else if (packet.type === "publish")
        got.push(
          `publish ${packet.id} ${packet.dup} ${packet.payload.byteLength} ${packet.payload.byteLength === 0 ? packet.id - 1 : packet.payload[0]}`,
        );
    }
    assert.deepEqual(got, wanted);
  }
});
