import type { Connection } from "@cortado/std/net";
import { setId, withId } from "@cortado/wire/mqtt";
import { JOINED_FRAME_BYTES_MAX } from "../limits.ts";

const FIRST_BYTES = 256;
const nothing = Buffer.alloc(0);

/**
 * Frames of one turn for one connection. A stream takes a microsecond and more for each piece it is given, whatever its length, so that
 * small frames are copied together at once; long ones go as they are.
 */
export class Frames {
  /** What goes before the bytes that are being joined. */
  #pieces: Uint8Array[] | undefined;
  #joined: Buffer = nothing;
  #length = 0;
  bytes = 0;

  /** A frame of up to JOINED_FRAME_BYTES_MAX is the caller's again when this returns. */
  add(frame: Uint8Array): void {
    const length = frame.byteLength;
    this.bytes += length;
    if (length > JOINED_FRAME_BYTES_MAX) {
      this.#cut();
      (this.#pieces ??= []).push(frame);
      return;
    }
    this.#make(length);
    this.#joined.set(frame, this.#length);
    this.#length += length;
  }

  /** A PUBLISH of QoS 1 or 2 with this id; a short frame is the caller's again, for the next receiver. */
  addPublish(frame: Uint8Array, options: { readonly id: number; readonly dup: boolean }): void {
    if (frame.byteLength > JOINED_FRAME_BYTES_MAX) this.add(withId(frame, options));
    else {
      setId(frame, options);
      this.add(frame);
    }
  }

  /** A packet that is nothing but its kind and a packet id: PUBACK and its like before MQTT 5. */
  addAck(firstByte: number, id: number): void {
    this.#make(4);
    const joined = this.#joined;
    const at = this.#length;
    joined[at] = firstByte;
    joined[at + 1] = 2;
    joined[at + 2] = id >> 8;
    joined[at + 3] = id & 0xff;
    this.#length += 4;
    this.bytes += 4;
  }

  writeTo(connection: Connection): void {
    this.#cut();
    for (const piece of this.#pieces ?? []) connection.write(piece);
    this.#pieces = undefined;
  }

  #make(bytes: number): void {
    const wanted = this.#length + bytes;
    if (wanted <= this.#joined.byteLength) return;
    const larger = Buffer.allocUnsafe(Math.max(FIRST_BYTES, wanted, 2 * this.#joined.byteLength));
    larger.set(this.#joined.subarray(0, this.#length));
    this.#joined = larger;
  }

  #cut(): void {
    if (this.#length === 0) return;
    (this.#pieces ??= []).push(this.#joined.subarray(0, this.#length));
    this.#joined = nothing;
    this.#length = 0;
  }
}
