import { StatusError } from "@cortado/std/status";
import { HEADER_DICTIONARY_ADLER, headerDictionary } from "./dictionary.ts";
import { FlushedInflater } from "./inflate.ts";

export type SpdyHeaders = Readonly<Record<string, string>>;

/** Headers of one stream, uncompressed: more is refused. */
export const HEADER_BYTES_MAX: number = 64 * 1024;
/** The longest block that DEFLATE can store without compressing (RFC 1951, 3.2.4). */
const STORED_BYTES_MAX = 65_535;
const ZLIB_HEADER_BYTES = 6;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/**
 * Writes header blocks. They are stored, not compressed: a stream has a dozen headers, and a stored block followed by an empty one is
 * exactly what a flushing compressor may emit, so every reader takes it.
 */
export class HeaderWriter {
  #first = true;

  write(headers: SpdyHeaders): Uint8Array {
    const block = headerBlock(headers);
    if (block.byteLength > STORED_BYTES_MAX)
      throw new StatusError(
        "RequestEntityTooLarge",
        `SPDY headers of ${block.byteLength} bytes are over ${STORED_BYTES_MAX}`,
      );
    const start = this.#first ? ZLIB_HEADER_BYTES : 0;
    const bytes = new Uint8Array(start + 5 + block.byteLength + 5);
    const view = new DataView(bytes.buffer);
    if (this.#first) {
      view.setUint16(0, 0x78bb); // deflate, 32 KiB window, preset dictionary; a multiple of 31
      view.setUint32(2, HEADER_DICTIONARY_ADLER);
      this.#first = false;
    }
    view.setUint16(start + 1, block.byteLength, true);
    view.setUint16(start + 3, block.byteLength ^ 0xffff, true);
    bytes.set(block, start + 5);
    view.setUint16(start + 5 + block.byteLength + 3, 0xffff);
    return bytes;
  }
}

/** Reads the header blocks of one direction, in order. */
export class HeaderReader {
  readonly #inflater: FlushedInflater = new FlushedInflater({
    dictionary: headerDictionary,
    outputBytesMax: HEADER_BYTES_MAX,
  });
  #first = true;

  read(bytes: Uint8Array): SpdyHeaders {
    let rest = bytes;
    if (this.#first) {
      this.#first = false;
      rest = afterZlibHeader(bytes);
    }
    return readBlock(this.#inflater.push(rest));
  }
}

function afterZlibHeader(bytes: Uint8Array): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const good =
    bytes.byteLength >= ZLIB_HEADER_BYTES && view.getUint16(0) % 31 === 0 && (view.getUint8(0) & 0x0f) === 8;
  if (!good) throw new StatusError("BadRequest", "SPDY headers do not start with a zlib header");
  if ((view.getUint8(1) & 0x20) === 0) return bytes.subarray(2);
  if (view.getUint32(2) !== HEADER_DICTIONARY_ADLER)
    throw new StatusError("BadRequest", "SPDY headers use an unknown dictionary");
  return bytes.subarray(ZLIB_HEADER_BYTES);
}

function headerBlock(headers: SpdyHeaders): Uint8Array {
  const texts = Object.entries(headers).flatMap(([name, value]) => [
    encoder.encode(name.toLowerCase()),
    encoder.encode(value),
  ]);
  const bytes = new Uint8Array(4 + texts.reduce((total, text) => total + 4 + text.byteLength, 0));
  const view = new DataView(bytes.buffer);
  view.setUint32(0, texts.length / 2);
  let at = 4;
  for (const text of texts) {
    view.setUint32(at, text.byteLength);
    bytes.set(text, at + 4);
    at += 4 + text.byteLength;
  }
  return bytes;
}

function readBlock(bytes: Uint8Array): SpdyHeaders {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const headers: Record<string, string> = Object.create(null) as Record<string, string>;
  let at = 4;
  const text = (): string => {
    if (at + 4 > bytes.byteLength) throw new StatusError("BadRequest", "SPDY headers are cut short");
    const length = view.getUint32(at);
    if (at + 4 + length > bytes.byteLength) throw new StatusError("BadRequest", "SPDY headers are cut short");
    const value = decoder.decode(bytes.subarray(at + 4, at + 4 + length));
    at += 4 + length;
    return value;
  };
  if (bytes.byteLength < 4) throw new StatusError("BadRequest", "SPDY headers are cut short");
  for (let left = view.getUint32(0); left > 0; left -= 1) {
    const name = text().toLowerCase();
    headers[name] = text();
  }
  return headers;
}
