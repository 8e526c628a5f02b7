import { assert } from "@cortado/std/assert";
import type { QoS } from "./packets.ts";

export type PublishFrame = {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly qos: QoS;
  readonly retain: boolean;
  readonly dup: boolean;
  readonly id: number;
  /** Of MQTT 5: written already, without their length. Absent: the frame is of an older level. */
  readonly properties?: Uint8Array;
};

const lengthBytes = (value: number): number =>
  value < 0x80 ? 1 : value < 0x4000 ? 2 : value < 0x20_0000 ? 3 : 4;

function writeLength(frame: Uint8Array, start: number, value: number): number {
  let at = start;
  let rest = value;
  for (; rest > 0x7f; at += 1, rest >>>= 7) frame[at] = (rest & 0x7f) | 0x80;
  frame[at] = rest;
  return at + 1;
}

/** A PUBLISH frame; what all receivers of one message share is made once and then given an id by `withId`. */
export function publishFrame({ topic, payload, qos, retain, dup, id, properties }: PublishFrame): Uint8Array {
  assert(qos === 0 || (id > 0 && id < 65_536), "a packet id has two bytes and is not 0");
  const topicBytes = Buffer.byteLength(topic);
  assert(topicBytes <= 65_535, "a text has at most 65,535 bytes");
  const propertyBytes =
    properties === undefined ? 0 : lengthBytes(properties.byteLength) + properties.byteLength;
  const bodyBytes = 2 + topicBytes + (qos > 0 ? 2 : 0) + propertyBytes + payload.byteLength;
  const frame = Buffer.allocUnsafe(1 + lengthBytes(bodyBytes) + bodyBytes);
  frame[0] = 0x30 | (dup ? 8 : 0) | (qos << 1) | (retain ? 1 : 0);
  let at = writeLength(frame, 1, bodyBytes);
  frame[at] = topicBytes >> 8;
  frame[at + 1] = topicBytes & 0xff;
  at += 2;
  at += frame.write(topic, at);
  if (qos > 0) {
    frame[at] = id >> 8;
    frame[at + 1] = id & 0xff;
    at += 2;
  }
  if (properties !== undefined) {
    at = writeLength(frame, at, properties.byteLength);
    frame.set(properties, at);
    at += properties.byteLength;
  }
  frame.set(payload, at);
  return frame;
}

/** A copy of a QoS 1 or 2 PUBLISH frame with its own packet id and DUP flag. */
export function withId(
  frame: Uint8Array,
  options: { readonly id: number; readonly dup: boolean },
): Uint8Array {
  const copy = Buffer.allocUnsafe(frame.byteLength);
  copy.set(frame);
  setId(copy, options);
  return copy;
}

/** Gives a QoS 1 or 2 PUBLISH frame another packet id and DUP flag, in its place. */
export function setId(frame: Uint8Array, { id, dup }: { readonly id: number; readonly dup: boolean }): void {
  let at = 1;
  while ((frame[at] ?? 0) >= 0x80) at += 1;
  const topicAt = at + 1;
  const idAt = topicAt + 2 + (((frame[topicAt] ?? 0) << 8) | (frame[topicAt + 1] ?? 0));
  frame[idAt] = id >> 8;
  frame[idAt + 1] = id & 0xff;
  frame[0] = dup ? (frame[0] ?? 0) | 0x08 : (frame[0] ?? 0) & ~0x08;
}
