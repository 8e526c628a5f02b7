import { assert } from "@cortado/std/assert";
import { asciiText } from "./ascii.ts";
import { LENGTH_FIELD_BYTES_MAX } from "./limits.ts";
import { malformed } from "./malformed.ts";

// A byte order mark is a character like any other (MQTT-1.5.4-3).
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Reads the fields of MQTT 5 out of a whole frame, and refuses what ends early. */
export class Cursor {
  readonly #bytes: Uint8Array;
  #at = 0;

  readonly #rule: string;

  /** `rule`: the section on texts of the version that is read. */
  constructor(bytes: Uint8Array, rule = "1.5.4") {
    this.#bytes = bytes;
    this.#rule = rule;
  }

  get atEnd(): boolean {
    return this.#at === this.#bytes.byteLength;
  }

  byte(): number {
    const value = this.#bytes[this.#at];
    if (value === undefined) throw malformed("it ends within a field");
    this.#at += 1;
    return value;
  }

  u16(): number {
    return this.byte() * 256 + this.byte();
  }

  u32(): number {
    return this.u16() * 65_536 + this.u16();
  }

  /** A variable byte integer (section 1.5.5). */
  length(): number {
    let value = 0;
    for (let at = 0; at < LENGTH_FIELD_BYTES_MAX; at += 1) {
      const byte = this.byte();
      value += (byte & 0x7f) * 2 ** (7 * at);
      if (byte >= 0x80) continue;
      if (byte === 0 && at > 0)
        throw malformed("a length is written with more bytes than it needs (MQTT-1.5.5-1)");
      return value;
    }
    throw malformed("a length has more than four bytes");
  }

  text(what: string): string {
    const bytes = this.binary(what);
    const ascii = asciiText(bytes, 0, bytes.byteLength);
    if (ascii !== undefined) return ascii;
    let value: string;
    try {
      value = decoder.decode(bytes);
    } catch {
      throw malformed(`the ${what} is not UTF-8 (MQTT-${this.#rule}-1)`);
    }
    if (value.includes("\u0000")) throw malformed(`the ${what} holds a NUL character (MQTT-${this.#rule}-2)`);
    return value;
  }

  /** A view of the frame. */
  binary(what: string): Uint8Array {
    return this.#take(this.u16(), what);
  }

  /** What is left. */
  rest(): Uint8Array {
    const bytes = this.#bytes.subarray(this.#at);
    this.#at = this.#bytes.byteLength;
    return bytes;
  }

  part(bytes: number, what: string): Cursor {
    return new Cursor(this.#take(bytes, what));
  }

  #take(bytes: number, what: string): Uint8Array {
    const end = this.#at + bytes;
    if (end > this.#bytes.byteLength) throw malformed(`its ${what} would be longer than the packet`);
    const taken = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return taken;
  }
}

/** Writes the fields of MQTT 5. */
export class Writer {
  #bytes: Buffer = Buffer.allocUnsafe(128);
  #at = 0;

  get size(): number {
    return this.#at;
  }

  inner(): Writer {
    return new Writer();
  }

  byte(value: number): void {
    this.#room(1);
    this.#bytes[this.#at] = value;
    this.#at += 1;
  }

  u16(value: number): void {
    this.#room(2);
    this.#at = this.#bytes.writeUInt16BE(value, this.#at);
  }

  u32(value: number): void {
    this.#room(4);
    this.#at = this.#bytes.writeUInt32BE(value, this.#at);
  }

  length(value: number): void {
    let rest = value;
    do {
      const low = rest % 128;
      rest = Math.floor(rest / 128);
      this.byte(rest > 0 ? low | 0x80 : low);
    } while (rest > 0);
  }

  text(value: string): void {
    const bytes = Buffer.byteLength(value);
    assert(bytes <= 65_535, "a text has at most 65,535 bytes");
    this.u16(bytes);
    this.#room(bytes);
    this.#at += this.#bytes.write(value, this.#at);
  }

  binary(value: Uint8Array): void {
    this.u16(value.byteLength);
    this.raw(value);
  }

  raw(bytes: Uint8Array): void {
    this.#room(bytes.byteLength);
    this.#bytes.set(bytes, this.#at);
    this.#at += bytes.byteLength;
  }

  /** What was written; the writer is not to be used again. */
  taken(): Uint8Array {
    return this.#bytes.subarray(0, this.#at);
  }

  /** The same as a frame. */
  frame(first: number): Uint8Array {
    const head = new Writer();
    head.byte(first);
    head.length(this.#at);
    const bytes = new Uint8Array(head.size + this.#at);
    bytes.set(head.taken());
    bytes.set(this.taken(), head.size);
    return bytes;
  }

  #room(bytes: number): void {
    if (this.#at + bytes <= this.#bytes.byteLength) return;
    const larger = Buffer.allocUnsafe(Math.max(this.#bytes.byteLength * 2, this.#at + bytes));
    larger.set(this.#bytes.subarray(0, this.#at));
    this.#bytes = larger;
  }
}
