import { inflateRawSync, gunzipSync } from "node:zlib";

const endMark = 0x06054b50;
const centralMark = 0x02014b50;

/** One file out of a zip, by its central directory. */
export function readZipEntry(zip: Buffer, name: string): Buffer {
  let end = zip.byteLength - 22;
  while (end >= 0 && zip.readUInt32LE(end) !== endMark) end -= 1;
  if (end < 0) throw new Error("this is no zip: its end is missing");
  let at = zip.readUInt32LE(end + 16);
  while (zip.readUInt32LE(at) === centralMark) {
    const nameBytes = zip.readUInt16LE(at + 28);
    const entry = zip.toString("utf8", at + 46, at + 46 + nameBytes);
    if (entry === name) {
      const local = zip.readUInt32LE(at + 42);
      const start = local + 30 + zip.readUInt16LE(local + 26) + zip.readUInt16LE(local + 28);
      const data = zip.subarray(start, start + zip.readUInt32LE(at + 20));
      return zip.readUInt16LE(at + 10) === 0 ? data : inflateRawSync(data);
    }
    at += 46 + nameBytes + zip.readUInt16LE(at + 30) + zip.readUInt16LE(at + 32);
  }
  throw new Error(`the zip has no ${name}`);
}

/** Every gzip member inside a binary that begins like a FileDescriptorProto of Kubernetes. */
export function findDescriptors(binary: Buffer): readonly Buffer[] {
  const found: Buffer[] = [];
  const mark = Buffer.from([0x1f, 0x8b, 0x08]);
  for (let at = binary.indexOf(mark); at >= 0; at = binary.indexOf(mark, at + 3)) {
    // Descriptors are small; a member ends where it says, whatever follows it.
    const file = tryGunzip(binary.subarray(at, at + 64 * 1024));
    if (file?.[0] === 0x0a && file.toString("latin1", 2, 2 + (file[1] ?? 0)).endsWith("generated.proto"))
      found.push(file);
  }
  return found;
}

function tryGunzip(bytes: Buffer): Buffer | undefined {
  try {
    return gunzipSync(bytes, { finishFlush: 2, maxOutputLength: 1024 * 1024 });
  } catch {
    return undefined;
  }
}
