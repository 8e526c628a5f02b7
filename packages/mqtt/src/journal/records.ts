import { crc32 } from "node:zlib";
import { assert } from "@cortado/std/assert";
import type { QoS } from "@cortado/wire/mqtt";
import { RECORD_BYTES_MAX } from "../limits.ts";

/**
 * Version of the files on disk.
 * 1: records of magic, length, CRC-32 and body; messages binary, the rest JSON.
 */
export const FORMAT_VERSION = 1;

const MAGIC = Buffer.from("CoMq");
const HEADER_BYTES = 12;

export const recordKinds = {
  header: 1,
  message: 2,
  session: 3,
  sessionRemoved: 4,
  subscribed: 5,
  unsubscribed: 6,
  cursor: 7,
  released: 8,
  retained: 9,
  seal: 10,
} as const;
export type RecordKind = (typeof recordKinds)[keyof typeof recordKinds];

/** A message as it lies in the journal. */
export type Message = {
  /** Grows by one for each stored message of this broker; 0 for one that was never stored. */
  readonly sequence: number;
  /** When the broker took it. */
  readonly atMs: number;
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly qos: QoS;
  readonly retain: boolean;
  /** Numbers of the persistent sessions it waits for. */
  readonly recipients: readonly number[];
  /** The QoS 2 publish it came by, until that is released. */
  readonly origin?: { readonly session: number; readonly packetId: number };
};

export type HeaderRecord = {
  readonly version: number;
  readonly broker: string;
  /** In the state file: the first segment that it does not cover. */
  readonly segment?: number;
  readonly nextSequence?: number;
  readonly nextSession?: number;
};
export type SessionRecord = {
  readonly number: number;
  readonly clientId: string;
  readonly user: string;
  readonly filters: readonly { readonly filter: string; readonly qos: QoS }[];
  readonly through: number;
  readonly ahead: readonly number[];
  readonly receiving: readonly number[];
};
export type FiltersRecord = { readonly session: number; readonly filters: SessionRecord["filters"] };
export type UnsubscribedRecord = { readonly session: number; readonly filters: readonly string[] };
export type CursorRecord = {
  readonly session: number;
  readonly through: number;
  readonly ahead: readonly number[];
};
export type ReleasedRecord = { readonly session: number; readonly packetId: number };

/** A record of a kind whose body is JSON. */
export function jsonRecord(kind: RecordKind, value: unknown): Uint8Array {
  const body = Buffer.from(JSON.stringify(value));
  const record = Buffer.allocUnsafe(HEADER_BYTES + 1 + body.byteLength);
  body.copy(record, HEADER_BYTES + 1);
  return sealRecord(record, kind);
}

// Body of a message: kind 1, sequence 8, time 8, flags 1, origin 4 + 2, topic length 2, recipients 2, then those, topic, payload.
const MESSAGE_HEAD_BYTES = 28;

export type EncodedMessage = { readonly record: Uint8Array; readonly message: Message };

/** The record of a message, and the message as a view of it, so that the bytes are copied once. */
export function messageRecord(message: Message, kind: RecordKind = recordKinds.message): EncodedMessage {
  const topic = Buffer.from(message.topic);
  const bodyBytes =
    MESSAGE_HEAD_BYTES + 4 * message.recipients.length + topic.byteLength + message.payload.byteLength;
  const record = Buffer.allocUnsafeSlow(HEADER_BYTES + bodyBytes);
  let at = HEADER_BYTES + 1;
  at = record.writeDoubleLE(message.sequence, at);
  at = record.writeDoubleLE(message.atMs, at);
  at = record.writeUInt8(message.qos | (message.retain ? 4 : 0) | (message.origin === undefined ? 0 : 8), at);
  at = record.writeUInt32LE(message.origin?.session ?? 0, at);
  at = record.writeUInt16LE(message.origin?.packetId ?? 0, at);
  at = record.writeUInt16LE(topic.byteLength, at);
  at = record.writeUInt16LE(message.recipients.length, at);
  for (const recipient of message.recipients) at = record.writeUInt32LE(recipient, at);
  at += topic.copy(record, at);
  record.set(message.payload, at);
  return { record: sealRecord(record, kind), message: { ...message, payload: record.subarray(at) } };
}

export function readMessage(body: Buffer): Message {
  const flags = body.readUInt8(17);
  const topicBytes = body.readUInt16LE(24);
  const count = body.readUInt16LE(26);
  const recipients = Array.from({ length: count }, (_, index) =>
    body.readUInt32LE(MESSAGE_HEAD_BYTES + 4 * index),
  );
  const topicAt = MESSAGE_HEAD_BYTES + 4 * count;
  return {
    sequence: body.readDoubleLE(1),
    atMs: body.readDoubleLE(9),
    topic: body.toString("utf8", topicAt, topicAt + topicBytes),
    payload: body.subarray(topicAt + topicBytes),
    qos: (flags & 3) as QoS,
    retain: (flags & 4) !== 0,
    recipients,
    ...((flags & 8) === 0
      ? {}
      : { origin: { session: body.readUInt32LE(18), packetId: body.readUInt16LE(22) } }),
  };
}

export function readJson<Value>(body: Buffer): Value {
  return JSON.parse(body.toString("utf8", 1)) as Value; // our own writing, under a checksum
}

function sealRecord(record: Buffer, kind: RecordKind): Buffer {
  const bodyBytes = record.byteLength - HEADER_BYTES;
  assert(bodyBytes <= RECORD_BYTES_MAX, "a record keeps to its limit");
  MAGIC.copy(record, 0);
  record.writeUInt32LE(bodyBytes, 4);
  record.writeUInt8(kind, HEADER_BYTES);
  record.writeUInt32LE(crc32(record.subarray(HEADER_BYTES)), 8);
  return record;
}

/** A whole record of a file, or a stretch of it that holds none. */
export type Scanned =
  | { readonly kind: RecordKind; readonly body: Buffer; readonly offset: number; readonly bytes: number }
  | { readonly kind: "gap"; readonly offset: number; readonly bytes: number };

/** Reads record after record; over damage it goes on at the next whole one, so that a bad byte costs one record. */
export function* scanRecords(content: Uint8Array): Generator<Scanned, void, void> {
  const bytes = Buffer.from(content.buffer, content.byteOffset, content.byteLength);
  for (let offset = 0; offset < bytes.byteLength;) {
    const body = recordAt(bytes, offset);
    if (body !== undefined) {
      yield { kind: body.readUInt8(0) as RecordKind, body, offset, bytes: HEADER_BYTES + body.byteLength };
      offset += HEADER_BYTES + body.byteLength;
      continue;
    }
    let next = bytes.indexOf(MAGIC, offset + 1);
    while (next >= 0 && recordAt(bytes, next) === undefined) next = bytes.indexOf(MAGIC, next + 1);
    const end = next < 0 ? bytes.byteLength : next;
    yield { kind: "gap", offset, bytes: end - offset };
    offset = end;
  }
}

/** Bytes of the record that begins here, by its header alone; undefined when the header is not there or makes no sense. */
export function recordBytesAt(bytes: Buffer, offset: number): number | undefined {
  if (offset + HEADER_BYTES > bytes.byteLength || bytes.compare(MAGIC, 0, 4, offset, offset + 4) !== 0)
    return undefined;
  const bodyBytes = bytes.readUInt32LE(offset + 4);
  return bodyBytes === 0 || bodyBytes > RECORD_BYTES_MAX ? undefined : HEADER_BYTES + bodyBytes;
}

/** The body of the whole, sound record that begins here. */
export function recordAt(bytes: Buffer, offset: number): Buffer | undefined {
  const total = recordBytesAt(bytes, offset);
  if (total === undefined || offset + total > bytes.byteLength) return undefined;
  const body = bytes.subarray(offset + HEADER_BYTES, offset + total);
  return crc32(body) === bytes.readUInt32LE(offset + 8) ? body : undefined;
}
