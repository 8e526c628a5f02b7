import { crc32 } from "node:zlib";
import { assert } from "@cortado/std/assert";
import type { QoS } from "@cortado/wire/mqtt";
import { POOL_BLOCK_BYTES, RECORD_BYTES_MAX } from "../limits.ts";
import type { TimePair } from "../session/broker-time.ts";
import { plainGrants, type Grant } from "../session/grant.ts";
import type { Span } from "../session/spans.ts";
import { grantBytes, readGrants, writeGrants } from "./grants.ts";

/**
 * Version of the files on disk.
 * 1: records of magic, length, CRC-32 and body; messages binary, the rest JSON.
 * 2: messages with what MQTT 5 adds (properties, expiry, the terms of each recipient), subscriptions with their options, sessions
 *    with their expiry and what of QoS 2 they have received.
 * 3: retained messages have files of their own beside the state file, which held them before; wills. Reads 1 and 2.
 */
export const FORMAT_VERSION = 3;

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
  /** A subscriber has sent PUBREC: it has the message and must not get it again. */
  received: 11,
  /** A client came or went: its session's expiry and since when it waits. */
  presence: 12,
  /** A client that has a will was let in, or has gone without a goodbye and its will waits for its delay. */
  will: 13,
  /** A will was published, or its client said goodbye. */
  willGone: 14,
  /** A bridge that publishes here, and what it has brought. */
  heard: 15,
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
  /** The terms of each recipient; undefined when all get it as it was published. */
  readonly grants: readonly Grant[] | undefined;
  /** MQTT 5's properties that go with it to its readers, as bytes; undefined for none. */
  readonly carried: Uint8Array | undefined;
  /** In broker time; undefined for never. */
  readonly expiresAtMs: number | undefined;
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
  readonly nextWill?: number;
  readonly time?: TimePair;
};
/** A subscription as it is kept. */
export type FilterRecord = {
  readonly filter: string;
  readonly qos: QoS;
  readonly noLocal?: boolean;
  readonly retainAsPublished?: boolean;
  readonly identifier?: number;
  readonly due?: DueRetained;
};
/** Retained messages that a subscription of the broker's own has not all got into its queue yet. */
export type DueRetained = {
  /** Those before this sequence: later ones came as they were published. Absent: it was not known yet. */
  readonly since?: number;
  /** Those of topics behind this one, in the order of runs; absent: all. */
  readonly after?: string;
};
export type SessionRecord = {
  readonly number: number;
  readonly clientId: string;
  readonly user: string;
  readonly filters: readonly FilterRecord[];
  readonly through: number;
  readonly ahead: readonly number[];
  readonly receiving: readonly number[];
  /** Sequences for which PUBREC came and PUBCOMP did not. Absent in format 1, as the rest. */
  readonly released?: readonly number[];
  /** See CursorRecord. */
  readonly spans?: readonly Span[];
  /** Absent: the broker's own limit, as before MQTT 5. -1: never. */
  readonly expiryMs?: number;
  /** Broker time since when no client is connected; absent while one is. */
  readonly leftMs?: number;
  readonly time?: TimePair;
};
export type PresenceRecord = {
  readonly session: number;
  /** Whose it is from now on, where it was nobody's. */
  readonly user?: string;
  readonly expiryMs?: number;
  readonly leftMs?: number;
  readonly time: TimePair;
};
export type ReceivedRecord = { readonly session: number; readonly sequence: number };
export type FiltersRecord = { readonly session: number; readonly filters: SessionRecord["filters"] };
export type UnsubscribedRecord = { readonly session: number; readonly filters: readonly string[] };
export type CursorRecord = {
  readonly session: number;
  readonly through: number;
  readonly ahead: readonly number[];
  /** Stretches beyond `through` that are done with; a release that does not know them delivers again what is in them. */
  readonly spans?: readonly Span[];
};
export type ReleasedRecord = { readonly session: number; readonly packetId: number };

/** A record of a kind whose body is JSON. */
export function jsonRecord(kind: RecordKind, value: unknown): Uint8Array {
  const body = Buffer.from(JSON.stringify(value));
  const record = Buffer.allocUnsafe(HEADER_BYTES + 1 + body.byteLength);
  body.copy(record, HEADER_BYTES + 1);
  return sealRecord(record, kind);
}

// Body of a message: kind 1, sequence 8, time 8, flags 1, origin 4 + 2, topic length 2, recipients 2, then those; since format 2
// by flag expiry 8, carried properties 4 and those, grants; then topic and payload.
const MESSAGE_HEAD_BYTES = 28;
const flag = { retain: 4, origin: 8, carried: 16, expiry: 32, grants: 64, format2: 128 } as const;

/** Room for small records: a buffer of its own for each costs more than all else that is done with it. Who keeps one keeps its block. */
class Pool {
  #block: Buffer = Buffer.alloc(0);
  #at = 0;

  cut(bytes: number): Buffer {
    if (bytes > POOL_BLOCK_BYTES / 8) return Buffer.allocUnsafeSlow(bytes);
    if (this.#at + bytes > this.#block.byteLength) {
      this.#block = Buffer.allocUnsafeSlow(POOL_BLOCK_BYTES);
      this.#at = 0;
    }
    this.#at += bytes;
    return this.#block.subarray(this.#at - bytes, this.#at);
  }
}

const pool = new Pool();

export type EncodedMessage = { readonly record: Uint8Array; readonly message: Message };

/** The record of a message, and the message as a view of it, so that the bytes are copied once. */
export function messageRecord(message: Message, kind: RecordKind = recordKinds.message): EncodedMessage {
  const { recipients, carried, expiresAtMs, grants, origin, payload } = message;
  const topicBytes = Buffer.byteLength(message.topic);
  const extraBytes =
    (expiresAtMs === undefined ? 0 : 8) +
    (carried === undefined ? 0 : 4 + carried.byteLength) +
    (grants === undefined ? 0 : grantBytes(grants));
  const bodyBytes = MESSAGE_HEAD_BYTES + 4 * recipients.length + extraBytes + topicBytes + payload.byteLength;
  const record = pool.cut(HEADER_BYTES + bodyBytes);
  let at = HEADER_BYTES + 1;
  at = record.writeDoubleLE(message.sequence, at);
  at = record.writeDoubleLE(message.atMs, at);
  at = record.writeUInt8(
    message.qos |
      (message.retain ? flag.retain : 0) |
      (origin === undefined ? 0 : flag.origin) |
      (carried === undefined ? 0 : flag.carried) |
      (expiresAtMs === undefined ? 0 : flag.expiry) |
      (grants === undefined ? 0 : flag.grants) |
      flag.format2,
    at,
  );
  at = record.writeUInt32LE(origin?.session ?? 0, at);
  at = record.writeUInt16LE(origin?.packetId ?? 0, at);
  at = record.writeUInt16LE(topicBytes, at);
  at = record.writeUInt16LE(recipients.length, at);
  for (const recipient of recipients) at = record.writeUInt32LE(recipient, at);
  if (expiresAtMs !== undefined) at = record.writeDoubleLE(expiresAtMs, at);
  let ownCarried: Uint8Array | undefined;
  if (carried !== undefined) {
    at = record.writeUInt32LE(carried.byteLength, at);
    record.set(carried, at);
    ownCarried = record.subarray(at, at + carried.byteLength);
    at += carried.byteLength;
  }
  if (grants !== undefined) at = writeGrants(record, { grants, at });
  at += record.write(message.topic, at);
  record.set(payload, at);
  return {
    record: sealRecord(record, kind),
    message: { ...message, carried: ownCarried, payload: record.subarray(at) },
  };
}

export function readMessage(body: Buffer): Message {
  const flags = body.readUInt8(17);
  const topicBytes = body.readUInt16LE(24);
  const count = body.readUInt16LE(26);
  const recipients: number[] = [];
  let at = MESSAGE_HEAD_BYTES;
  for (; recipients.length < count; at += 4) recipients.push(body.readUInt32LE(at));
  let expiresAtMs: number | undefined;
  if ((flags & flag.expiry) !== 0) {
    expiresAtMs = body.readDoubleLE(at);
    at += 8;
  }
  let carried: Uint8Array | undefined;
  if ((flags & flag.carried) !== 0) {
    const carriedAt = at + 4;
    at = carriedAt + body.readUInt32LE(at);
    carried = body.subarray(carriedAt, at);
  }
  let grants: readonly Grant[] | undefined;
  if ((flags & flag.grants) !== 0) {
    const read = readGrants(body, { at, count });
    grants = read.grants;
    at = read.end;
  } else if ((flags & flag.format2) === 0 && (flags & 3) === 2) grants = recipients.map(() => plainGrants[1]); // format 1 knew no more
  return {
    sequence: body.readDoubleLE(1),
    atMs: body.readDoubleLE(9),
    topic: body.toString("utf8", at, at + topicBytes),
    payload: body.subarray(at + topicBytes),
    qos: (flags & 3) as QoS,
    retain: (flags & flag.retain) !== 0,
    recipients,
    grants,
    carried,
    expiresAtMs,
    ...((flags & flag.origin) === 0
      ? {}
      : { origin: { session: body.readUInt32LE(18), packetId: body.readUInt16LE(22) } }),
  };
}

/** Whether a message waits for a session, by its record's bytes alone, unchecked. */
export function isForRecipient(body: Buffer, session: number): boolean {
  if (body.byteLength < MESSAGE_HEAD_BYTES || body.readUInt8(0) !== recordKinds.message) return false;
  const end = MESSAGE_HEAD_BYTES + 4 * body.readUInt16LE(26);
  if (end > body.byteLength) return false;
  for (let at = MESSAGE_HEAD_BYTES; at < end; at += 4) if (body.readUInt32LE(at) === session) return true;
  return false;
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
    const end = nextRecordAt(bytes, offset);
    yield { kind: "gap", offset, bytes: end - offset };
    offset = end;
  }
}

/** Where the next whole record begins behind a damaged one; the end when there is none. */
export function nextRecordAt(bytes: Buffer, offset: number): number {
  let next = bytes.indexOf(MAGIC, offset + 1);
  while (next >= 0 && recordAt(bytes, next) === undefined) next = bytes.indexOf(MAGIC, next + 1);
  return next < 0 ? bytes.byteLength : next;
}

/** Bytes of the record that begins here, by its header alone; undefined when the header is not there or makes no sense. */
export function recordBytesAt(bytes: Buffer, offset: number): number | undefined {
  if (offset + HEADER_BYTES > bytes.byteLength || bytes.compare(MAGIC, 0, 4, offset, offset + 4) !== 0)
    return undefined;
  const bodyBytes = bytes.readUInt32LE(offset + 4);
  return bodyBytes === 0 || bodyBytes > RECORD_BYTES_MAX ? undefined : HEADER_BYTES + bodyBytes;
}

/** The body of the whole record that begins here, sound or not. */
export function bodyAt(bytes: Buffer, offset: number): Buffer | undefined {
  const total = recordBytesAt(bytes, offset);
  if (total === undefined || offset + total > bytes.byteLength) return undefined;
  return bytes.subarray(offset + HEADER_BYTES, offset + total);
}

/** The body of the whole, sound record that begins here. */
export function recordAt(bytes: Buffer, offset: number): Buffer | undefined {
  const body = bodyAt(bytes, offset);
  return body !== undefined && crc32(body) === bytes.readUInt32LE(offset + 8) ? body : undefined;
}
