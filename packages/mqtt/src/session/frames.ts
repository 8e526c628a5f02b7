import type { Connection } from "@cortado/std/net";
import { JOINED_FRAME_BYTES_MAX } from "../limits.ts";

/**
 * Frames of one turn for one connection. A stream takes a microsecond and more for each piece it is given, whatever its length, so that
 * small frames are copied together; long ones go as they are.
 */
export class Frames {
  readonly #frames: Uint8Array[] = [];
  bytes = 0;

  add(frame: Uint8Array): void {
    this.#frames.push(frame);
    this.bytes += frame.byteLength;
  }

  writeTo(connection: Connection): void {
    const frames = this.#frames;
    let start = 0;
    let bytes = 0;
    for (let at = 0; at < frames.length; at += 1) {
      const length = frames[at]?.byteLength ?? 0;
      if (length <= JOINED_FRAME_BYTES_MAX) bytes += length;
      else {
        this.#writeSome(connection, { start, end: at, bytes });
        this.#writeSome(connection, { start: at, end: at + 1, bytes: length });
        start = at + 1;
        bytes = 0;
      }
    }
    this.#writeSome(connection, { start, end: frames.length, bytes });
  }

  #writeSome(
    connection: Connection,
    { start, end, bytes }: { readonly start: number; readonly end: number; readonly bytes: number },
  ): void {
    const first = this.#frames[start];
    if (first === undefined || start === end) return;
    if (start + 1 === end) {
      connection.write(first);
      return;
    }
    const joined = Buffer.allocUnsafe(bytes);
    let to = 0;
    for (let at = start; at < end; at += 1) {
      const frame = this.#frames[at];
      if (frame === undefined) continue;
      joined.set(frame, to);
      to += frame.byteLength;
    }
    connection.write(joined);
  }
}
