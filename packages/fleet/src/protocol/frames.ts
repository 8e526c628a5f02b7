import { StatusError } from "@cortado/std/status";

/** Bytes of a SHA-256, and how it is written everywhere else: lower-case hex. */
const HASH_BYTES = 32;
const STREAM_BYTES = 4;
const STREAM_MAX = 2 ** 32 - 1;
const kinds = { chunk: 1, stream: 2, beat: 3 } as const;

/** A binary message: one byte that says its kind, then what the kind says. */
export type Frame =
  /** Kind 1: 32 bytes of SHA-256 of the canonical JSON, then gzip of it. */
  | { readonly kind: "chunk"; readonly sha256: string; readonly gzip: Uint8Array }
  /** Kind 2: the stream's number as 4 bytes, big-endian, then bytes of the stream. */
  | { readonly kind: "stream"; readonly stream: number; readonly bytes: Uint8Array }
  /** Kind 3: nothing more; "I am here", and the same in answer. A day has thousands of them. */
  | { readonly kind: "beat" };

/** @throws StatusError "BadRequest" for a hash or a stream number that is none */
export function encodeFrame(frame: Frame): Uint8Array {
  if (frame.kind === "chunk") {
    if (!/^[0-9a-f]{64}$/.test(frame.sha256))
      throw new StatusError(
        "BadRequest",
        `a chunk is named by 64 lower-case hex digits, not ${frame.sha256}`,
      );
    const message = new Uint8Array(1 + HASH_BYTES + frame.gzip.length);
    message[0] = kinds.chunk;
    for (let at = 0; at < HASH_BYTES; at += 1)
      message[1 + at] = Number.parseInt(frame.sha256.slice(at * 2, at * 2 + 2), 16);
    message.set(frame.gzip, 1 + HASH_BYTES);
    return message;
  }
  if (frame.kind === "beat") return Uint8Array.of(kinds.beat);
  if (!Number.isInteger(frame.stream) || frame.stream < 0 || frame.stream > STREAM_MAX)
    throw new StatusError("BadRequest", `a stream's number is 0 to ${STREAM_MAX}, not ${frame.stream}`);
  const message = new Uint8Array(1 + STREAM_BYTES + frame.bytes.length);
  message[0] = kinds.stream;
  new DataView(message.buffer).setUint32(1, frame.stream);
  message.set(frame.bytes, 1 + STREAM_BYTES);
  return message;
}

/**
 * Reads a binary message; what it answers are views of the message's bytes.
 * @throws StatusError "BadRequest" for a kind that version 1 does not know, or a message that is cut short
 */
export function decodeFrame(message: Uint8Array): Frame {
  const [kind] = message;
  if (kind === kinds.chunk && message.length > HASH_BYTES) {
    const hash = message.subarray(1, 1 + HASH_BYTES);
    const sha256 = Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
    return { kind: "chunk", sha256, gzip: message.subarray(1 + HASH_BYTES) };
  }
  if (kind === kinds.stream && message.length > STREAM_BYTES) {
    const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
    return { kind: "stream", stream: view.getUint32(1), bytes: message.subarray(1 + STREAM_BYTES) };
  }
  if (kind === kinds.beat) return { kind: "beat" };
  const why = kind === kinds.chunk || kind === kinds.stream ? "is cut short" : "has no kind that we know";
  throw new StatusError(
    "BadRequest",
    `a binary message of ${message.length} bytes that begins with ${kind ?? "nothing"} ${why}`,
  );
}
