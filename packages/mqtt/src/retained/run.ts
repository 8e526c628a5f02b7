import type { AppendFile, Files } from "@cortado/std/files";
import { readMessage, recordKinds, scanRecords, type Message } from "../journal/records.ts";
import { READ_BYTES, RECORD_BYTES_MAX, RETAINED_BLOCK_BYTES } from "../limits.ts";
import { orderKey } from "./order.ts";
import { indexPath } from "./run-names.ts";
import { printOf, PrintList, type Prints } from "./prints.ts";

/** A retained message in a run; one without a payload says that its topic was cleared. */
export type Entry = {
  readonly key: string;
  readonly message: Message;
  /** As it lies on disk. */
  readonly record: Uint8Array;
};

type IndexParts = {
  readonly offsets: number[];
  readonly firsts: string[];
  readonly lastKey: string;
  readonly endBytes: number;
};

/** Where the blocks of a run begin, and with which key. */
export class RunIndex {
  readonly offsets: number[];
  readonly firsts: string[];
  readonly #prints: PrintList = new PrintList();
  #end: number;
  lastKey: string;

  constructor({ offsets = [], firsts = [], lastKey = "", endBytes = 0 }: Partial<IndexParts> = {}) {
    this.offsets = offsets;
    this.firsts = firsts;
    this.lastKey = lastKey;
    this.#end = endBytes;
  }

  add({ key, message, bytes, offset }: Entry & { readonly bytes: number; readonly offset: number }): void {
    const start = this.offsets.at(-1);
    if (start === undefined || offset - start >= RETAINED_BLOCK_BYTES) {
      this.offsets.push(offset);
      this.firsts.push(key);
    }
    this.#prints.add(printOf(message.topic, message.payload.byteLength === 0));
    this.#end = offset + bytes;
    this.lastKey = key;
  }

  get endBytes(): number {
    return this.#end;
  }

  prints(): Promise<Prints> {
    return this.#prints.sorted();
  }
}

type RunOptions = {
  readonly number: number;
  readonly path: string;
  readonly files: Files;
  readonly file: AppendFile;
  readonly index: RunIndex;
  readonly prints: Prints;
  /** Something in it cannot be read any more. */
  readonly damaged: (path: string) => void;
};

/**
 * A file of retained messages in the order of their topics, never changed once it is there. Memory holds a key for each block of it
 * and four bytes for each topic.
 */
export class Run {
  readonly #options: RunOptions;
  #readers = 0;
  #isRetired = false;

  constructor(options: RunOptions) {
    this.#options = options;
  }

  get number(): number {
    return this.#options.number;
  }

  get path(): string {
    return this.#options.path;
  }

  get prints(): Prints {
    return this.#options.prints;
  }

  get items(): number {
    return this.#options.prints.size;
  }

  get bytes(): number {
    return this.#options.index.endBytes;
  }

  get blocks(): number {
    return this.#options.index.offsets.length;
  }

  firstKey(block: number): string {
    return this.#options.index.firsts[block] ?? "";
  }

  /** A key that no key of the block is behind. */
  lastKey(block: number): string {
    const { firsts, lastKey } = this.#options.index;
    return firsts[block + 1] ?? lastKey;
  }

  /** The block in which a key would be. */
  blockOf(key: string): number {
    const { firsts } = this.#options.index;
    let low = 0;
    let high = firsts.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((firsts[middle] ?? "") <= key) low = middle + 1;
      else high = middle;
    }
    return Math.max(0, low - 1);
  }

  /** The messages of a block in their order; what is damaged in it is left out. None when another run has taken its place. */
  async read(block: number): Promise<readonly Entry[]> {
    if (this.#isRetired) return [];
    const { offsets, endBytes } = this.#options.index;
    const offset = offsets[block] ?? endBytes;
    const length = (offsets[block + 1] ?? endBytes) - offset;
    this.#readers += 1;
    try {
      const { entries, isWhole } = entriesOf(await this.#options.file.readAt({ offset, length }));
      if (!isWhole) this.#options.damaged(this.path);
      return entries;
    } finally {
      this.#readers -= 1;
      if (this.#isRetired) await this.#close();
    }
  }

  async find(key: string): Promise<Message | undefined> {
    return (await this.read(this.blockOf(key))).find((entry) => entry.key === key)?.message;
  }

  /** Removes the file, as soon as nobody reads it. */
  async retire(): Promise<void> {
    this.#isRetired = true;
    await this.#options.files.remove(indexPath(this.path));
    await this.#options.files.remove(this.path);
    await this.#close();
  }

  async #close(): Promise<void> {
    if (this.#readers === 0) await this.#options.file[Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isRetired = true;
    await this.#close();
  }
}

function entriesOf(bytes: Uint8Array): { readonly entries: readonly Entry[]; readonly isWhole: boolean } {
  const entries: Entry[] = [];
  let isWhole = true;
  for (const scanned of scanRecords(bytes)) {
    if (scanned.kind === "gap") isWhole = false;
    if (scanned.kind !== recordKinds.retained) continue;
    const message = readMessage(scanned.body);
    const record = bytes.subarray(scanned.offset, scanned.offset + scanned.bytes);
    entries.push({ key: orderKey(message.topic), message, record });
  }
  return { entries, isWhole };
}

/** Reads a whole file once, in parts: where its blocks are, and how much of it is damaged. */
export async function indexRun(
  file: AppendFile,
): Promise<{ readonly index: RunIndex; readonly damagedBytes: number }> {
  const index = new RunIndex();
  let damagedBytes = 0;
  let rest: Uint8Array = new Uint8Array(0);
  for (let read = 0; read < file.sizeBytes || rest.byteLength > 0;) {
    const part = await file.readAt({ offset: read, length: 8 * READ_BYTES });
    const bytes = Buffer.concat([rest, part]);
    const from = read - rest.byteLength;
    read += part.byteLength;
    const isLast = read >= file.sizeBytes || part.byteLength === 0;
    rest = new Uint8Array(0);
    for (const scanned of scanRecords(bytes)) {
      if (scanned.kind === "gap") {
        // At the end of a part it may be the first half of a record.
        const isHalf = !isLast && scanned.offset + scanned.bytes === bytes.byteLength;
        if (isHalf && scanned.bytes <= RECORD_BYTES_MAX) rest = bytes.subarray(scanned.offset);
        else damagedBytes += scanned.bytes;
      } else if (scanned.kind === recordKinds.retained) {
        const message = readMessage(scanned.body);
        const key = orderKey(message.topic);
        const offset = from + scanned.offset;
        index.add({ key, message, record: scanned.body, bytes: scanned.bytes, offset });
      }
    }
    if (isLast) break;
  }
  return { index, damagedBytes };
}
