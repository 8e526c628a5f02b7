import { StatusError } from "@cortado/std/status";

export type TarEntry = {
  /** Without a leading slash; folders end in one. */
  readonly name: string;
  readonly mode?: number;
  readonly type?: "file" | "folder" | "symlink" | "hardlink";
  readonly link?: string;
  readonly data?: Uint8Array;
  readonly uid?: number;
  readonly gid?: number;
};

const BLOCK_BYTES = 512;
const typeFlags = { file: "0", hardlink: "1", symlink: "2", folder: "5" } as const;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** One entry as ustar, with a pax header before it when a name is too long. Times are zero, so equal content is equal bytes. */
export function tarEntry(entry: TarEntry): Uint8Array {
  const data = entry.data ?? new Uint8Array(0);
  const long = paxRecords(entry);
  const parts: Uint8Array[] = [];
  if (long.byteLength > 0) {
    parts.push(header({ name: "pax", typeFlag: "x", sizeBytes: long.byteLength, entry: {} }), padded(long));
  }
  parts.push(
    header({
      name: entry.name,
      typeFlag: typeFlags[entry.type ?? "file"],
      sizeBytes: data.byteLength,
      entry,
    }),
  );
  if (data.byteLength > 0) parts.push(padded(data));
  return concat(parts);
}

/** A whole archive. */
export function writeTar(entries: Iterable<TarEntry>): Uint8Array {
  const parts: Uint8Array[] = [];
  for (const entry of entries) parts.push(tarEntry(entry));
  parts.push(tarEnd());
  return concat(parts);
}

/** The two zero blocks that end an archive. */
export function tarEnd(): Uint8Array {
  return new Uint8Array(2 * BLOCK_BYTES);
}

export type ReadTarEntry = {
  readonly name: string;
  readonly typeFlag: string;
  readonly mode: number;
  readonly link: string;
  readonly data: Uint8Array;
};

/**
 * The entries of an archive in memory (ustar, pax and GNU long names).
 * @throws StatusError "BadRequest" when it is cut short, a checksum is wrong, or a name climbs out with `..`
 */
export function* readTar(bytes: Uint8Array): Generator<ReadTarEntry, void, void> {
  let longName: string | undefined;
  let longLink: string | undefined;
  for (let at = 0; at + BLOCK_BYTES <= bytes.byteLength;) {
    const head = bytes.subarray(at, at + BLOCK_BYTES);
    if (head.every((byte) => byte === 0)) return;
    checkSum(head, at);
    const sizeBytes = numberAt(head, 124, 12);
    const data = bytes.subarray(at + BLOCK_BYTES, at + BLOCK_BYTES + sizeBytes);
    if (data.byteLength < sizeBytes)
      throw new StatusError("BadRequest", `the archive is cut short in the entry at byte ${at}`);
    at += BLOCK_BYTES + Math.ceil(sizeBytes / BLOCK_BYTES) * BLOCK_BYTES;
    const typeFlag = String.fromCharCode(head[156] ?? 0);
    if (typeFlag === "x") {
      const records = readPax(data);
      longName = records.get("path") ?? longName;
      longLink = records.get("linkpath") ?? longLink;
      continue;
    }
    if (typeFlag === "g") continue;
    if (typeFlag === "L" || typeFlag === "K") {
      const text = textAt(data, 0, data.byteLength);
      if (typeFlag === "L") longName = text;
      else longLink = text;
      continue;
    }
    const prefix = textAt(head, 345, 155);
    const short = textAt(head, 0, 100);
    const name = longName ?? (prefix === "" ? short : `${prefix}/${short}`);
    if (name.split("/").includes(".."))
      throw new StatusError("BadRequest", `the archive's entry ${name} climbs out of its folder`);
    yield { name, typeFlag, mode: numberAt(head, 100, 8), link: longLink ?? textAt(head, 157, 100), data };
    longName = undefined;
    longLink = undefined;
  }
}

type Header = {
  readonly name: string;
  readonly typeFlag: string;
  readonly sizeBytes: number;
  readonly entry: Partial<TarEntry>;
};

function header({ name, typeFlag, sizeBytes, entry }: Header): Uint8Array {
  const block = new Uint8Array(BLOCK_BYTES);
  const put = (text: string, at: number, length: number): void => {
    block.set(encoder.encode(text).subarray(0, length), at);
  };
  const octal = (value: number, digits: number): string => `${value.toString(8).padStart(digits, "0")}\0`;
  put(name, 0, 100);
  put(octal(entry.mode ?? 0o644, 7), 100, 8);
  put(octal(entry.uid ?? 0, 7), 108, 8);
  put(octal(entry.gid ?? 0, 7), 116, 8);
  put(octal(sizeBytes, 11), 124, 12);
  put(octal(0, 11), 136, 12);
  put("        ", 148, 8);
  put(typeFlag, 156, 1);
  put(entry.link ?? "", 157, 100);
  put("ustar\u000000", 257, 8);
  const sum = block.reduce((total, byte) => total + byte, 0);
  put(`${sum.toString(8).padStart(6, "0")}\0 `, 148, 8);
  return block;
}

function paxRecords(entry: TarEntry): Uint8Array {
  const records: string[] = [];
  if (encoder.encode(entry.name).byteLength > 100) records.push(paxRecord("path", entry.name));
  if (entry.link !== undefined && encoder.encode(entry.link).byteLength > 100)
    records.push(paxRecord("linkpath", entry.link));
  return encoder.encode(records.join(""));
}

// A record's length counts its own digits, so it is found by trying.
function paxRecord(key: string, value: string): string {
  const rest = encoder.encode(` ${key}=${value}\n`).byteLength;
  let length = rest + 1;
  while (String(length).length + rest !== length) length += 1;
  return `${length} ${key}=${value}\n`;
}

function readPax(data: Uint8Array): ReadonlyMap<string, string> {
  const records = new Map<string, string>();
  for (let at = 0; at < data.byteLength;) {
    const space = data.indexOf(32, at);
    const length = Number(decoder.decode(data.subarray(at, space)));
    if (space < 0 || !(length > 0)) break;
    const record = decoder.decode(data.subarray(space + 1, at + length - 1));
    const equals = record.indexOf("=");
    records.set(record.slice(0, equals), record.slice(equals + 1));
    at += length;
  }
  return records;
}

function checkSum(head: Uint8Array, at: number): void {
  let sum = 0;
  for (const [index, byte] of head.entries()) sum += index >= 148 && index < 156 ? 32 : byte;
  if (sum !== numberAt(head, 148, 8))
    throw new StatusError("BadRequest", `the archive's header at byte ${at} has a wrong checksum`);
}

function numberAt(head: Uint8Array, at: number, length: number): number {
  // Sizes of 8 GiB and more are binary, marked by the first bit (GNU tar manual, "Extensions").
  if (((head[at] ?? 0) & 0x80) !== 0) {
    let value = (head[at] ?? 0) & 0x7f;
    for (let index = at + 1; index < at + length; index += 1) value = value * 256 + (head[index] ?? 0);
    return value;
  }
  return Number.parseInt(textAt(head, at, length).trim() || "0", 8);
}

function textAt(bytes: Uint8Array, at: number, length: number): string {
  const field = bytes.subarray(at, at + length);
  const end = field.indexOf(0);
  return decoder.decode(end < 0 ? field : field.subarray(0, end));
}

function padded(data: Uint8Array): Uint8Array {
  const whole = new Uint8Array(Math.ceil(data.byteLength / BLOCK_BYTES) * BLOCK_BYTES);
  whole.set(data);
  return whole;
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((total, part) => total + part.byteLength, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.byteLength;
  }
  return whole;
}
