import assert from "node:assert/strict";
import { test } from "node:test";
import type { Connection } from "@cortado/std/net";
import { hasReason } from "@cortado/std/status";
import { settle } from "@cortado/std/testing/held-clock";
import { decodeFrame } from "./frames.ts";
import { STREAM_CHUNK_BYTES, STREAM_WINDOW_BYTES, Streams, STREAMS_MAX } from "./streams.ts";

type Ends = {
  readonly hub: Streams;
  readonly store: Streams;
  /** Streams that the store was handed. */
  readonly accepted: Connection[];
  /** Numbers of the streams in the order of their chunks. */
  readonly chunks: number[];
};

function newEnds(accept?: (stream: Connection) => void): Ends {
  const accepted: Connection[] = [];
  const chunks: number[] = [];
  const carry = (other: () => Streams) => ({
    send(message: Parameters<Streams["take"]>[0]) {
      queueMicrotask(() => other().take(message));
      return Promise.resolve();
    },
    sendBytes(message: Uint8Array) {
      const frame = decodeFrame(Uint8Array.from(message));
      if (frame.kind !== "stream") throw new Error("streams send no chunks of content");
      chunks.push(frame.stream);
      queueMicrotask(() => other().takeBytes(frame.stream, frame.bytes));
      return new Promise<void>((resolve) => void setImmediate(resolve));
    },
  });
  const toStore = carry(() => store);
  const hub: Streams = new Streams({
    carrier: toStore,
    sayOpen: (message) => toStore.send(message),
    remote: "store",
  });
  const store: Streams = new Streams({
    carrier: carry(() => hub),
    remote: "hub",
    accept: accept ?? ((stream) => void accepted.push(stream)),
  });
  return { hub, store, accepted, chunks };
}

type Reader = { bytes: number; text: string; isOver: boolean };

function read(stream: Connection): Reader {
  const reader: Reader = { bytes: 0, text: "", isOver: false };
  stream.handle({
    data(bytes) {
      reader.bytes += bytes.byteLength;
      reader.text = (reader.text + Buffer.from(bytes).toString()).slice(-100);
    },
    drained: () => undefined,
    closed: () => void (reader.isOver = true),
  });
  return reader;
}

async function turns(count = 20): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await settle();
}

test("what is written arrives whole and in order, and the end after it", async () => {
  const { hub, accepted, store } = newEnds();
  const stream = hub.open();
  const text = Array.from({ length: 50_000 }, (_, at) => `${at};`);
  for (const part of text) stream.write(Buffer.from(part));
  stream.end();
  await turns(1);
  const reader = read(accepted[0] as Connection);
  await turns(40);
  assert.equal(reader.bytes, text.join("").length);
  assert.ok(reader.text.endsWith("49999;"));
  assert.ok(reader.isOver);
  assert.deepEqual([hub.size, store.size], [0, 0]);
});

test("a reader that stands still holds its window and no more, and no other stream up", async () => {
  const { hub, accepted } = newEnds();
  const [slow, quick] = [hub.open(), hub.open()];
  await turns(1);
  const [atSlow, atQuick] = accepted as [Connection, Connection];
  atSlow.pause();
  const [slowReader, quickReader] = [read(atSlow), read(atQuick)];
  const big = Buffer.alloc(4 * STREAM_WINDOW_BYTES);
  assert.equal(slow.write(big), false);
  quick.write(big);
  await turns(60);
  assert.equal(slowReader.bytes, 0);
  assert.equal(quickReader.bytes, big.byteLength);
  assert.equal(slow.bufferedBytes, big.byteLength - STREAM_WINDOW_BYTES);
  atSlow.resume();
  await turns(60);
  assert.equal(slowReader.bytes, big.byteLength);
});

test("streams that have much to send take turns", async () => {
  const { hub, accepted, chunks } = newEnds();
  const streams = [hub.open(), hub.open(), hub.open()];
  await turns(1);
  for (const stream of accepted) read(stream);
  for (const stream of streams) stream.write(Buffer.alloc(4 * STREAM_CHUNK_BYTES));
  await turns();
  assert.deepEqual(chunks, [1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3]);
});

test("a writer is told when there is room again", async () => {
  const { hub, accepted } = newEnds();
  const stream = hub.open();
  let drained = 0;
  stream.handle({ data: () => undefined, drained: () => void (drained += 1), closed: () => undefined });
  await turns(1);
  read(accepted[0] as Connection);
  assert.equal(stream.write(Buffer.alloc(200_000)), false);
  await turns();
  assert.equal(drained, 1);
});

test("one end that sends more than it was granted loses the stream, and only that", async () => {
  const { hub, store, accepted } = newEnds();
  const reader = read(hub.open());
  const other = hub.open();
  await turns(1);
  accepted[0]?.pause();
  store.takeBytes(1, Buffer.alloc(STREAM_WINDOW_BYTES));
  store.takeBytes(1, Buffer.alloc(1));
  await turns();
  assert.ok(reader.isOver);
  const reading = read(accepted[1] as Connection);
  other.write(Buffer.from("on"));
  await turns();
  assert.equal(reading.text, "on");
});

test("streams end with their connection, are limited in number, and are closed where nobody takes them", async () => {
  const { hub, store } = newEnds(() => {
    throw new Error("nobody is there");
  });
  const refused = read(hub.open());
  await turns();
  assert.ok(refused.isOver);
  assert.deepEqual([hub.size, store.size], [0, 0]);
  const open = newEnds();
  const readers = Array.from({ length: STREAMS_MAX }, () => read(open.hub.open()));
  assert.throws(
    () => open.hub.open(),
    (error) => hasReason(error, "TooManyRequests"),
  );
  await turns();
  open.hub[Symbol.dispose]();
  open.store[Symbol.dispose]();
  await turns();
  assert.ok(readers.every(({ isOver }) => isOver));
  assert.throws(
    () => open.hub.open(),
    (error) => hasReason(error, "ServiceUnavailable"),
  );
});
