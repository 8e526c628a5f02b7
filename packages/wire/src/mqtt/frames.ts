import { LENGTH_FIELD_BYTES_MAX } from "./limits.ts";
import { malformed } from "./malformed.ts";

/**
 * Cuts a stream into whole frames. Holds nothing but the bytes of a frame that is not whole yet, and refuses a frame that would
 * be too long as soon as its length is known, so that a liar costs no memory.
 */
export class FrameReader {
  /** Undefined while there are none, which is nearly always. */
  #chunks: Uint8Array[] | undefined;
  /** Bytes of the first chunk that were taken. */
  #taken = 0;
  #held = 0;
  /** Bytes that must be there before another look is worth it. */
  #wanted = 2;
  /** Longest frame that is taken from here on. */
  frameBytesMax: number;

  constructor(options: { readonly frameBytesMax: number }) {
    this.frameBytesMax = options.frameBytesMax;
  }

  /** Bytes that wait for the rest of their frame, or to be taken. */
  get heldBytes(): number {
    return this.#held;
  }

  push(bytes: Uint8Array): void {
    if (bytes.byteLength === 0) return;
    if (this.#chunks === undefined) this.#chunks = [bytes];
    else this.#chunks.push(bytes);
    this.#held += bytes.byteLength;
  }

  /** Forgets what it holds: nobody will ask for it. */
  drop(): void {
    this.#chunks = undefined;
    this.#taken = 0;
    this.#held = 0;
  }

  /** The next whole frame, a view of what was pushed; undefined when more must come. @throws StatusError when it is malformed */
  next(): Uint8Array | undefined {
    if (this.#held < this.#wanted) return undefined;
    const bytes = this.#joined();
    const start = this.#taken;
    let length = 0;
    let at = 1;
    for (let shift = 0; ; shift += 7, at += 1) {
      if (at > LENGTH_FIELD_BYTES_MAX) throw malformed("the remaining length is longer than four bytes");
      const byte = bytes[start + at];
      if (byte === undefined) {
        this.#wanted = at + 1;
        return undefined;
      }
      length += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) break;
    }
    const total = at + 1 + length;
    const most = this.frameBytesMax;
    if (total > most)
      throw malformed(`a packet of ${total} bytes is over the limit of ${most}`, { fault: "packetTooLarge" });
    if (this.#held < total) {
      this.#wanted = total;
      return undefined;
    }
    this.#held -= total;
    this.#wanted = 2;
    const end = start + total;
    if (this.#held === 0) this.#chunks = undefined;
    this.#taken = this.#held === 0 ? 0 : end;
    return bytes.subarray(start, end);
  }

  /** All that is held in one piece, behind what was taken of it. */
  #joined(): Uint8Array {
    const chunks = this.#chunks ?? [];
    const first = chunks[0];
    if (first !== undefined && chunks.length === 1) return first;
    const whole = new Uint8Array(this.#held);
    let at = 0;
    for (const chunk of chunks) {
      const rest = chunk === first ? chunk.subarray(this.#taken) : chunk;
      whole.set(rest, at);
      at += rest.byteLength;
    }
    this.#chunks = [whole];
    this.#taken = 0;
    return whole;
  }
}
