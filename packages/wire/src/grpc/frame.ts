import { StatusError, type StatusReason } from "@cortado/std/status";

/** Length of the prefix before each gRPC message: one flag byte, four bytes of length (gRPC over HTTP/2, "Length-Prefixed-Message"). */
export const GRPC_PREFIX_BYTES = 5;

/** Puts the prefix before an uncompressed message. */
export function toFrame(message: Uint8Array): Uint8Array {
  const frame = new Uint8Array(GRPC_PREFIX_BYTES + message.byteLength);
  new DataView(frame.buffer).setUint32(1, message.byteLength);
  frame.set(message, GRPC_PREFIX_BYTES);
  return frame;
}

/** Cuts a byte stream into gRPC messages. */
export class FrameReader {
  readonly #messageBytesMax: number;
  #held: Uint8Array = new Uint8Array(0);

  constructor(options: { readonly messageBytesMax: number }) {
    this.#messageBytesMax = options.messageBytesMax;
  }

  /** The messages that `bytes` complete. @throws StatusError when one is compressed or too large */
  push(bytes: Uint8Array): readonly Uint8Array[] {
    this.#held = this.#held.byteLength === 0 ? bytes : joined(this.#held, bytes);
    const messages: Uint8Array[] = [];
    for (let message = this.#next(); message !== undefined; message = this.#next()) messages.push(message);
    return messages;
  }

  #next(): Uint8Array | undefined {
    const held = this.#held;
    if (held.byteLength < GRPC_PREFIX_BYTES) return undefined;
    if (held[0] !== 0)
      throw new StatusError("NotImplemented", "a compressed gRPC message came although none was asked for");
    const length = new DataView(held.buffer, held.byteOffset, held.byteLength).getUint32(1);
    if (length > this.#messageBytesMax)
      throw new StatusError(
        "RequestEntityTooLarge",
        `a gRPC message of ${length} bytes is over ${this.#messageBytesMax}`,
      );
    if (held.byteLength < GRPC_PREFIX_BYTES + length) return undefined;
    this.#held = held.subarray(GRPC_PREFIX_BYTES + length);
    return held.subarray(GRPC_PREFIX_BYTES, GRPC_PREFIX_BYTES + length);
  }
}

// Canonical gRPC codes by number (grpc/grpc, doc/statuscodes.md) as our reasons.
const reasons: readonly StatusReason[] = [
  "InternalError", // 0 OK never gets here
  "Timeout", // 1 CANCELLED
  "InternalError", // 2 UNKNOWN
  "BadRequest", // 3 INVALID_ARGUMENT
  "Timeout", // 4 DEADLINE_EXCEEDED
  "NotFound", // 5
  "AlreadyExists", // 6
  "Forbidden", // 7 PERMISSION_DENIED
  "TooManyRequests", // 8 RESOURCE_EXHAUSTED
  "Conflict", // 9 FAILED_PRECONDITION
  "Conflict", // 10 ABORTED
  "BadRequest", // 11 OUT_OF_RANGE
  "NotImplemented", // 12
  "InternalError", // 13
  "ServiceUnavailable", // 14
  "InternalError", // 15 DATA_LOSS
  "Unauthorized", // 16
];

/** A non-zero `grpc-status` with its percent-encoded `grpc-message` as our error. */
export function grpcError(options: {
  readonly method: string;
  readonly code: number;
  readonly message: string;
}): StatusError {
  const method = options.method.slice(options.method.lastIndexOf("/") + 1);
  return new StatusError(
    reasons[options.code] ?? "InternalError",
    `${method}: ${decodeMessage(options.message)}`,
  );
}

function decodeMessage(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array {
  const whole = new Uint8Array(first.byteLength + second.byteLength);
  whole.set(first);
  whole.set(second, first.byteLength);
  return whole;
}
