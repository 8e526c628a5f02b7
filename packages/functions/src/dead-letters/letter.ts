import { isUtf8 } from "node:buffer";
import type { MqttMessage } from "@cortado/mqtt/client";
import type { DeadLetter } from "@cortado/kinds";
import type { Event } from "../invoke.ts";
import type { Answer } from "../runtime/interpreter.ts";
import { LETTER_ERROR_CHARACTERS_MAX } from "../limits.ts";

export type Spec = DeadLetter["spec"];

/** What a function is called for: a message, as the broker brings it or as a letter keeps it. */
export type Triggering = Pick<MqttMessage, "id" | "topic" | "payload" | "atMs" | "sequence">;

export type Failure = { readonly tries: number; readonly lastError: string; readonly nowMs: number };

export function specOf(
  name: string,
  { id, topic, payload, atMs, sequence }: Triggering,
  failure: Failure,
): Spec {
  return {
    function: name,
    topic,
    ...contentOf(payload),
    messageId: id,
    ...(sequence === 0 ? {} : { sequence }),
    arrivedAt: momentOf(atMs),
    ...failureOf(failure),
  };
}

export function failureOf({
  tries,
  lastError,
  nowMs,
}: Failure): Pick<Spec, "tries" | "lastError" | "failedAt"> {
  return {
    tries,
    lastError: lastError.slice(0, LETTER_ERROR_CHARACTERS_MAX),
    failedAt: momentOf(nowMs),
  };
}

/** Why an answer is no success, in the function's own words. */
export function faultOf({ status, body }: Pick<Answer, "status" | "body">): string {
  const said = new TextDecoder().decode(body.subarray(0, 4 * LETTER_ERROR_CHARACTERS_MAX)).trim();
  return said === "" ? `it answered ${status}` : `it answered ${status}: ${said}`;
}

/** The message that a letter keeps, byte for byte. */
export function messageOfLetter({
  topic,
  messageId,
  sequence = 0,
  arrivedAt,
  payload,
  payloadBase64,
}: Spec): Triggering {
  const bytes = payload === undefined ? Buffer.from(payloadBase64 ?? "", "base64") : Buffer.from(payload);
  return { id: messageId, topic, payload: bytes, atMs: Date.parse(arrivedAt), sequence };
}

/** A call for a message: the same in each try, in a replay, and in whatever language. */
export function eventOf({ id, topic, payload, atMs, sequence }: Triggering): Event {
  const headers = {
    "content-type": "application/json",
    "x-topic": topic,
    "x-connector": "cortado-mqtt",
    "x-call-id": id,
    "x-arrived-at": momentOf(atMs),
    ...(sequence === 0 ? {} : { "x-sequence": String(sequence) }),
  };
  return { id, method: "POST", path: "/", query: {}, headers, body: payload, atMs, topic };
}

/** To the millisecond: a letter gives back what it was made of. */
function momentOf(ms: number): string {
  return new Date(ms).toISOString();
}

/** What a letter counts for. */
export function bytesOf({ topic, payload, payloadBase64, lastError }: Spec): number {
  return topic.length + lastError.length + Buffer.byteLength(payload ?? payloadBase64 ?? "");
}

/** Text stays readable, unless it is longer that way: an object takes the largest packet as base64, not as escapes. */
function contentOf(payload: Uint8Array): Pick<Spec, "payload" | "payloadBase64"> {
  const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
  const payloadBase64 = bytes.toString("base64");
  if (!isUtf8(bytes)) return { payloadBase64 };
  const text = bytes.toString();
  const isShort =
    payload.byteLength < 1_024 || Buffer.byteLength(JSON.stringify(text)) <= payloadBase64.length;
  return isShort ? { payload: text } : { payloadBase64 };
}
