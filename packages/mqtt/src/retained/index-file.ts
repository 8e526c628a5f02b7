import { crc32 } from "node:zlib";
import type { Files } from "@cortado/std/files";
import { Prints } from "./prints.ts";
import { indexPath } from "./run-names.ts";
import { RunIndex } from "./run.ts";

// Magic 4, checksum of the rest 4, version 4, bytes of the run 8, blocks 4, prints 4; then offsets 8 each, prints 4 each, and as text
// the last key and the first key of each block, each with its length 4. Little-endian, as the prints lie in memory.
const MAGIC = Buffer.from("CoMi");
const VERSION = 1;
const HEAD_BYTES = 28;

const isLittleEndian = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1;

export type Indexed = { readonly index: RunIndex; readonly prints: Prints };

/** Whoever cannot write it loses nothing: the run is read instead. */
export async function writeIndex(files: Files, runPath: string, { index, prints }: Indexed): Promise<void> {
  if (isLittleEndian) await files.replace(indexPath(runPath), encode(index, prints));
}

/** Undefined when it is not there, damaged, or of another run. */
export async function readIndex(
  files: Files,
  { runPath, runBytes }: { readonly runPath: string; readonly runBytes: number },
): Promise<Indexed | undefined> {
  const bytes = isLittleEndian ? await files.read(indexPath(runPath)) : undefined;
  return bytes === undefined
    ? undefined
    : decode(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length), runBytes);
}

function encode({ offsets, firsts, lastKey, endBytes }: RunIndex, { sorted }: Prints): Uint8Array {
  const keys = [lastKey, ...firsts].map((key) => Buffer.from(key));
  const keyBytes = keys.reduce((sum, key) => sum + 4 + key.byteLength, 0);
  const bytes = Buffer.allocUnsafe(HEAD_BYTES + 8 * offsets.length + 4 * sorted.length + keyBytes);
  MAGIC.copy(bytes, 0);
  bytes.writeUInt32LE(VERSION, 8);
  bytes.writeDoubleLE(endBytes, 12);
  bytes.writeUInt32LE(offsets.length, 20);
  bytes.writeUInt32LE(sorted.length, 24);
  let at = HEAD_BYTES;
  for (const offset of offsets) at = bytes.writeDoubleLE(offset, at);
  bytes.set(new Uint8Array(sorted.buffer, sorted.byteOffset, sorted.byteLength), at);
  at += sorted.byteLength;
  for (const key of keys) {
    at = bytes.writeUInt32LE(key.byteLength, at);
    at += key.copy(bytes, at);
  }
  bytes.writeUInt32LE(crc32(bytes.subarray(8)), 4);
  return bytes;
}

function decode(bytes: Buffer, runBytes: number): Indexed | undefined {
  const isWhole =
    bytes.byteLength >= HEAD_BYTES &&
    bytes.compare(MAGIC, 0, 4, 0, 4) === 0 &&
    crc32(bytes.subarray(8)) === bytes.readUInt32LE(4) &&
    bytes.readUInt32LE(8) === VERSION &&
    bytes.readDoubleLE(12) === runBytes;
  if (!isWhole) return undefined;
  const offsets: number[] = [];
  let at = HEAD_BYTES;
  for (let left = bytes.readUInt32LE(20); left > 0; left -= 1, at += 8) offsets.push(bytes.readDoubleLE(at));
  // A copy: the bytes before it need not be a multiple of four.
  const sorted = new Uint32Array(bytes.readUInt32LE(24));
  new Uint8Array(sorted.buffer).set(bytes.subarray(at, at + sorted.byteLength));
  at += sorted.byteLength;
  const keys: string[] = [];
  while (at < bytes.byteLength) {
    const end = at + 4 + bytes.readUInt32LE(at);
    keys.push(bytes.toString("utf8", at + 4, end));
    at = end;
  }
  const [lastKey = "", ...firsts] = keys;
  return {
    index: new RunIndex({ offsets, firsts, lastKey, endBytes: runBytes }),
    prints: Prints.restored(sorted),
  };
}
