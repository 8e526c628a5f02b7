import { assert } from "./assert.ts";
import type { AppendFile, Files } from "./files.ts";
import type { Log } from "./log.ts";
import { messageOf, StatusError } from "./status.ts";

export type RecordLogOptions = {
  readonly files: Files;
  readonly folder: string;
  /** Names of its files begin with this, so that several logs can share a folder: letters only. */
  readonly prefix: string;
  readonly log: Log;
  readonly segmentBytes: number;
  /** Told each record found at opening, oldest first. */
  readonly onRecord: (record: LogRecord) => void;
  /** Stamps the names of damaged files that are set aside. */
  readonly nowMs: number;
};

/** `sequence` is the caller's and grows from record to record. */
export type LogRecord = { readonly sequence: number; readonly body: Uint8Array };

type Segment = {
  readonly number: number;
  readonly path: string;
  readonly file: AppendFile;
  first: number;
  last: number;
  soundBytes: number;
};
type Waiting = {
  readonly records: readonly LogRecord[];
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
};

/** Version of the files: 1: records of magic, length, CRC-32, sequence (double, little endian) and body. */
const MAGIC = 0x314c5243; // "CRL1", read as a little-endian number
const HEAD_BYTES = 20;
/** Largest record. */
export const RECORD_BYTES_MAX: number = 16 * 1_048_576;

/**
 * An append-only log of records in segments, for what must survive a power cut and be forgotten from its oldest end. What is
 * appended while a group is being synced makes the next group. A torn tail is cut at opening; a damaged file is set aside, what is
 * sound in it is kept.
 */
export class RecordLog implements AsyncDisposable {
  readonly #options: RecordLogOptions;
  #segments: Segment[] = [];
  #nextNumber = 1;
  #current: Segment | undefined;
  #waiting: Waiting[] = [];
  #running: Promise<void> | undefined;
  readonly setAside: string[] = [];

  private constructor(options: RecordLogOptions) {
    this.#options = options;
  }

  static async open(options: RecordLogOptions): Promise<RecordLog> {
    await options.files.makeFolder(options.folder);
    const log = new RecordLog(options);
    await log.#recover();
    return log;
  }

  get bytes(): number {
    return this.#segments.reduce((sum, { file }) => sum + file.sizeBytes, 0);
  }

  /** The least sequence that is still there; undefined when there is none. */
  get first(): number | undefined {
    return this.#segments.find(({ last }) => last > 0)?.first;
  }

  /** Resolves when the records would survive a power cut. @throws StatusError "InsufficientStorage" when they cannot be written */
  append(records: readonly LogRecord[]): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ records, resolve, reject });
      this.#running ??= this.#run();
    });
  }

  /** The oldest records after a sequence. */
  async read({
    after,
    limit,
  }: {
    readonly after: number;
    readonly limit: number;
  }): Promise<readonly LogRecord[]> {
    const found: LogRecord[] = [];
    for (const segment of [...this.#segments]) {
      if (segment.last <= after) continue;
      // Only what is synced: a record that might still be lost has not happened.
      const bytes = await segment.file.readAt({ offset: 0, length: segment.soundBytes });
      for (const scanned of scan(bytes)) {
        if (scanned.record === undefined || scanned.record.sequence <= after) continue;
        found.push(scanned.record);
        if (found.length === limit) return found;
      }
    }
    return found;
  }

  /** Whether `removeThrough` would forget anything. The segment being written only goes when it is worth a new file. */
  removable(sequence: number): boolean {
    return this.#segments.some(
      (segment) => segment.last <= sequence && (segment !== this.#current || this.#isWorthClosing(segment)),
    );
  }

  /** Forgets whole segments of which no record comes after this sequence. */
  async removeThrough(sequence: number): Promise<void> {
    const current = this.#current;
    if (current !== undefined && current.last <= sequence && this.#isWorthClosing(current))
      this.#current = undefined;
    for (const segment of [...this.#segments])
      if (segment.last <= sequence && segment !== this.#current) await this.#remove(segment);
  }

  /** Forgets the oldest segment, and answers its records; none when nothing can go. */
  async removeOldest(): Promise<readonly LogRecord[]> {
    const [oldest] = this.#segments;
    if (oldest === undefined) return [];
    if (oldest === this.#current) {
      if (this.#running !== undefined) return [];
      this.#current = undefined;
    }
    const bytes = await oldest.file.readAt({ offset: 0, length: oldest.soundBytes });
    const records = [...scan(bytes)].flatMap(({ record }) => (record === undefined ? [] : [record]));
    await this.#remove(oldest);
    return records;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#running;
    for (const { file } of this.#segments) await file[Symbol.asyncDispose]();
  }

  #isWorthClosing(segment: Segment): boolean {
    return this.#running === undefined && segment.soundBytes >= this.#options.segmentBytes / 4;
  }

  async #remove(segment: Segment): Promise<void> {
    await this.#options.files.remove(segment.path);
    this.#segments = this.#segments.filter((other) => other !== segment);
    await segment.file[Symbol.asyncDispose]();
  }

  async #run(): Promise<void> {
    await Promise.resolve(); // what this turn appends shares the group
    while (this.#waiting.length > 0) {
      const group = this.#waiting.splice(0);
      try {
        await this.#write(group.flatMap(({ records }) => records));
        for (const { resolve } of group) resolve();
      } catch (cause) {
        const what = `cannot write to ${this.#options.folder}: ${messageOf(cause)}; free or repair the disk, then try again`;
        for (const { reject } of group) reject(new StatusError("InsufficientStorage", what, { cause }));
      }
    }
    this.#running = undefined;
  }

  async #write(records: readonly LogRecord[]): Promise<void> {
    if (records.length === 0) return;
    const full = this.#current !== undefined && this.#current.soundBytes >= this.#options.segmentBytes;
    const segment = this.#current === undefined || full ? await this.#begin() : this.#current;
    const bytes = encode(records);
    try {
      await segment.file.append(bytes);
    } catch (error) {
      await segment.file.truncate(segment.soundBytes).catch(() => (this.#current = undefined));
      throw error;
    }
    try {
      await segment.file.sync();
    } catch (error) {
      this.#current = undefined; // after a failed fsync the kernel may call lost pages clean: not believed again
      await segment.file.truncate(segment.soundBytes).catch(() => undefined);
      throw error;
    }
    segment.soundBytes += bytes.byteLength;
    for (const { sequence } of records) note(segment, sequence);
  }

  async #begin(): Promise<Segment> {
    const number = this.#nextNumber;
    const segment = await this.#openSegment(number);
    if (segment.file.sizeBytes > 0) await segment.file.truncate(0);
    this.#nextNumber = number + 1;
    this.#segments.push(segment);
    this.#current = segment;
    return segment;
  }

  async #openSegment(number: number): Promise<Segment> {
    const { files, folder, prefix } = this.#options;
    const path = `${folder}/${prefix}-${String(number).padStart(10, "0")}.log`;
    return { number, path, file: await files.openAppend(path), first: 0, last: 0, soundBytes: 0 };
  }

  async #recover(): Promise<void> {
    const { files, folder, prefix, onRecord } = this.#options;
    const pattern = new RegExp(`^${prefix}-(\\d{10})\\.log$`);
    const names = (await files.list(folder)).filter((name) => pattern.test(name));
    for (const name of names) {
      const number = Number(pattern.exec(name)?.[1]);
      this.#nextNumber = number + 1;
      const records = await this.#readSound(name);
      const segment = await this.#openSegment(number);
      // A killed process may have left what it never synced: from here on it counts as there, so it must stay.
      await segment.file.sync();
      segment.soundBytes = segment.file.sizeBytes;
      this.#segments.push(segment);
      for (const record of records) {
        note(segment, record.sequence);
        onRecord(record);
      }
    }
  }

  /** The sound records of a file, after it was made to hold nothing else. */
  async #readSound(name: string): Promise<readonly LogRecord[]> {
    const { files, folder, log, nowMs } = this.#options;
    const path = `${folder}/${name}`;
    const bytes = (await files.read(path)) ?? new Uint8Array(0);
    const records: LogRecord[] = [];
    const gaps: { readonly offset: number; readonly end: number }[] = [];
    for (const scanned of scan(bytes)) {
      if (scanned.record === undefined) gaps.push(scanned);
      else records.push(scanned.record);
    }
    const [gap] = gaps;
    if (gap === undefined) return records;
    if (gaps.length === 1 && gap.end === bytes.byteLength) {
      log.info("log had a torn tail, cut", { path, bytes: gap.end - gap.offset });
      await using file = await files.openAppend(path);
      await file.truncate(gap.offset);
      return records;
    }
    const aside = `damaged-${name}-${nowMs}`;
    log.error("log file is damaged: it is set aside, what is sound in it is kept", {
      path,
      setAsideAs: aside,
    });
    await files.rename({ from: path, to: `${folder}/${aside}` });
    await files.replace(path, encode(records));
    this.setAside.push(aside);
    return records;
  }
}

function note(segment: Segment, sequence: number): void {
  assert(sequence >= segment.last, "sequences grow");
  if (segment.first === 0) segment.first = sequence;
  segment.last = sequence;
}

function encode(records: readonly LogRecord[]): Uint8Array {
  const bytes = new Uint8Array(records.reduce((sum, { body }) => sum + HEAD_BYTES + body.byteLength, 0));
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const { sequence, body } of records) {
    assert(body.byteLength <= RECORD_BYTES_MAX, "a record keeps to its limit");
    view.setUint32(at, MAGIC, true);
    view.setUint32(at + 4, body.byteLength, true);
    view.setFloat64(at + 12, sequence, true);
    bytes.set(body, at + HEAD_BYTES);
    view.setUint32(at + 8, crc32(bytes.subarray(at + 12, at + HEAD_BYTES + body.byteLength)), true);
    at += HEAD_BYTES + body.byteLength;
  }
  return bytes;
}

type Scanned = { readonly record: LogRecord | undefined; readonly offset: number; readonly end: number };

function* scan(bytes: Uint8Array): Generator<Scanned, void, void> {
  for (let offset = 0; offset < bytes.byteLength;) {
    const record = recordAt(bytes, offset);
    let end = offset + 1;
    if (record !== undefined) end = offset + HEAD_BYTES + record.body.byteLength;
    else while (end < bytes.byteLength && recordAt(bytes, end) === undefined) end += 1;
    yield { record, offset, end };
    offset = end;
  }
}

function recordAt(bytes: Uint8Array, offset: number): LogRecord | undefined {
  if (bytes[offset] !== (MAGIC & 0xff) || offset + HEAD_BYTES > bytes.byteLength) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset + offset);
  if (view.getUint32(0, true) !== MAGIC) return undefined;
  const length = view.getUint32(4, true);
  const end = offset + HEAD_BYTES + length;
  if (length > RECORD_BYTES_MAX || end > bytes.byteLength) return undefined;
  if (crc32(bytes.subarray(offset + 12, end)) !== view.getUint32(8, true)) return undefined;
  return { sequence: view.getFloat64(12, true), body: bytes.subarray(offset + HEAD_BYTES, end) };
}

const crcTable: Uint32Array = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value >>> 0;
});

function crc32(bytes: Uint8Array): number {
  let value = 0xffffffff;
  for (const byte of bytes) value = (value >>> 8) ^ (crcTable[(value ^ byte) & 0xff] ?? 0);
  return (value ^ 0xffffffff) >>> 0;
}
