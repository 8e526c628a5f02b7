import { assert } from "@cortado/std/assert";
import { backoffMs } from "@cortado/std/backoff";
import type { Clock } from "@cortado/std/clock";
import type { Files } from "@cortado/std/files";
import type { Log } from "@cortado/std/log";
import { messageOf } from "@cortado/std/status";
import {
  DISK_RETRY_FIRST_MS,
  DISK_RETRY_MAX_MS,
  GROUP_BYTES_MAX,
  GROUP_EARLY_ITEMS,
  GROUP_EARLY_SYNC_MS_MAX,
} from "../limits.ts";
import type { BrokerTime } from "../session/broker-time.ts";
import { FORMAT_VERSION, jsonRecord, recordKinds } from "./records.ts";
import { newSegment, noteMessageAt, segmentName, type Segment } from "./segment.ts";
import type { Turns } from "../turns.ts";

export type JournalOptions = {
  readonly files: Files;
  readonly folder: string;
  readonly clock: Clock;
  readonly time: BrokerTime;
  readonly log: Log;
  readonly broker: string;
  readonly segmentBytes: number;
  readonly turns: Turns;
  /** What recovery found, oldest first. */
  readonly segments: readonly Segment[];
  readonly nextSegment: number;
};

/** Something that waits for its group; without a record it only waits for those before it. */
export type Entry = {
  readonly record?: Uint8Array;
  /** Of a message: its sequence. */
  readonly sequence?: number;
  /** Called in order, once the record would survive a power cut. */
  readonly committed: (segment: Segment) => void;
};

/** Where a group lies: its first record's place. */
type Written = { readonly segment: Segment; readonly offset: number };

/**
 * The append-only log. What arrives while a group is being synced makes the next group; one fdatasync serves them all. A group
 * that cannot be written is tried again until it can: nothing is acknowledged in between, and nothing is given up.
 */
export class Journal implements AsyncDisposable {
  readonly #options: JournalOptions;
  readonly #stop: AbortController = new AbortController();
  #segments: Segment[];
  #nextSegment: number;
  /** The segment being written; undefined before the first write, so that an idle start writes nothing. */
  #current: Segment | undefined;
  /** Bytes of the current segment that are synced. */
  #soundBytes = 0;
  #waiting: Entry[] = [];
  #waitingBytes = 0;
  #sealedBytes = 0;
  #running: Promise<void> = Promise.resolve();
  #isRunning = false;
  /** The end of this turn, when what it brought will be written. */
  #gathering: NodeJS.Immediate | undefined;
  /** What the disk took for the last group. */
  #writeMs = 0;
  #rotate = false;
  #fault: string | undefined;
  #writtenBytes = 0;
  /** Called before a group is closed, to let others add what may go with it. */
  onGroup: () => void = () => {};
  /** Called after a group is committed. */
  onCommitted: () => void = () => {};

  constructor(options: JournalOptions) {
    this.#options = options;
    this.#segments = [...options.segments];
    this.#nextSegment = options.nextSegment;
    this.measure();
  }

  get segments(): readonly Segment[] {
    return this.#segments;
  }

  get current(): Segment | undefined {
    return this.#current;
  }

  /** Bytes on disk and on their way there. Asked for each publish, so that it must not look at each segment. */
  get bytes(): number {
    return this.#sealedBytes + (this.#current?.file.sizeBytes ?? 0) + this.#waitingBytes;
  }

  /** To be called when files other than the one being written have come, gone or changed their size. */
  measure(): void {
    this.#sealedBytes = 0;
    for (const segment of this.#segments)
      if (segment !== this.#current) this.#sealedBytes += segment.file.sizeBytes;
  }

  /** Bytes written since the start. */
  get writtenBytes(): number {
    return this.#writtenBytes;
  }

  /** Why nothing can be written at present; undefined when it can. */
  get fault(): string | undefined {
    return this.#fault;
  }

  add(entry: Entry): void {
    assert(!this.#stop.signal.aborted, "nothing is added to a closed journal");
    if (entry.record === undefined && this.#isIdle && this.#current !== undefined) {
      entry.committed(this.#current); // nobody is ahead of it
      return;
    }
    this.#waiting.push(entry);
    this.#waitingBytes += entry.record?.byteLength ?? 0;
    if (this.#isRunning) return;
    // A quick disk writes what is here while the rest of the turn is worked on; a slow one is given all of it at once.
    if (this.#waiting.length >= GROUP_EARLY_ITEMS && this.#writeMs <= GROUP_EARLY_SYNC_MS_MAX) this.#start();
    else this.#gathering ??= setImmediate(() => this.#start());
  }

  get #isIdle(): boolean {
    return !this.#isRunning && this.#gathering === undefined;
  }

  #start(): void {
    clearImmediate(this.#gathering);
    this.#gathering = undefined;
    if (this.#isRunning) return;
    this.#isRunning = true;
    this.#running = this.#run();
  }

  /** Calls when all that was added before is committed: at once when nothing is under way, and when the disk takes nothing. */
  behind(then: () => void): void {
    if (this.#isIdle || this.#fault !== undefined) then();
    else this.add({ committed: then });
  }

  /** Makes the next group begin a new segment. */
  rotate(): void {
    this.#rotate = true;
  }

  /** Forgets segments that nobody waits for, on disk as well. */
  async remove(doomed: readonly Segment[]): Promise<void> {
    for (const segment of doomed) {
      assert(segment !== this.#current && segment.readers === 0, "a segment in use stays");
      await this.#options.files.remove(segment.path);
      await segment.file[Symbol.asyncDispose]();
      this.#segments = this.#segments.filter((other) => other !== segment);
    }
    this.measure();
  }

  /** Resolves when all that was added before is committed. */
  flushed(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#isIdle) resolve();
      else this.add({ committed: () => resolve() });
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error("the journal is closed"));
    if (this.#gathering !== undefined) this.#start();
    await this.#running;
    for (const segment of this.#segments) await segment.file[Symbol.asyncDispose]();
  }

  async #run(): Promise<void> {
    const { turns } = this.#options;
    while (this.#waiting.length > 0) {
      this.onGroup();
      const group = this.#takeGroup();
      const written = await this.#write(group);
      if (written === undefined) break; // closed while the disk was failing: never acknowledged
      const { segment } = written;
      let { offset } = written;
      for (const { record, sequence, committed } of group) {
        if (sequence !== undefined) noteMessageAt(segment, { sequence, offset });
        offset += record?.byteLength ?? 0;
        committed(segment);
        if (turns.isOver) await turns.over();
      }
      this.onCommitted();
    }
    this.#isRunning = false;
  }

  #takeGroup(): readonly Entry[] {
    let bytes = 0;
    let count = 0;
    for (const { record } of this.#waiting) {
      if (count > 0 && bytes + (record?.byteLength ?? 0) > GROUP_BYTES_MAX) break;
      bytes += record?.byteLength ?? 0;
      count += 1;
    }
    this.#waitingBytes -= bytes;
    return this.#waiting.splice(0, count);
  }

  async #write(group: readonly Entry[]): Promise<Written | undefined> {
    const records = group.flatMap(({ record }) => (record === undefined ? [] : [record]));
    if (records.length === 0 && this.#current !== undefined) return { segment: this.#current, offset: 0 };
    for (let attempt = 0; ; attempt += 1) {
      try {
        const written = await this.#appendAndSync(records);
        if (this.#fault !== undefined)
          this.#options.log.info("mqtt journal writes again", { folder: this.#options.folder });
        this.#fault = undefined;
        return written;
      } catch (error) {
        if (this.#fault === undefined)
          this.#options.log.error("mqtt journal cannot write; nothing is acknowledged until it can", {
            folder: this.#options.folder,
            error,
          });
        this.#fault = `cannot write to ${this.#options.folder}: ${messageOf(error)}`;
        if (!(await this.#waitToRetry(attempt))) return undefined;
      }
    }
  }

  async #appendAndSync(records: readonly Uint8Array[]): Promise<Written> {
    const full = this.#current !== undefined && this.#soundBytes >= this.#options.segmentBytes;
    const segment = this.#current === undefined || this.#rotate || full ? await this.#begin() : this.#current;
    const { file } = segment;
    const head = file.sizeBytes === 0 ? [this.#header()] : [];
    const offset = file.sizeBytes + (head[0]?.byteLength ?? 0);
    const bytes = Buffer.concat([...head, ...records]);
    const startMs = this.#options.clock.monotonicMs();
    try {
      await file.append(bytes);
    } catch (error) {
      // A part may be there. If it can be cut off the file is as before; if not it is left behind, torn, and another begun.
      await file.truncate(this.#soundBytes).catch(() => (this.#current = undefined));
      this.measure();
      throw error;
    }
    try {
      await file.sync();
    } catch (error) {
      // After a failed fsync the kernel may call lost pages clean: this file is not believed again.
      this.#current = undefined;
      this.measure();
      throw error;
    }
    this.#writeMs = this.#options.clock.monotonicMs() - startMs;
    this.#soundBytes = file.sizeBytes;
    this.#writtenBytes += bytes.byteLength;
    return { segment, offset };
  }

  /** A new, empty segment; the one before is sealed by a last record, if the disk takes it. */
  async #begin(): Promise<Segment> {
    const { files, folder } = this.#options;
    const old = this.#current;
    if (old !== undefined) await this.#seal(old);
    const number = this.#nextSegment;
    const path = `${folder}/${segmentName(number)}`;
    const file = await files.openAppend(path);
    // One begun by a try that failed may hold a part of a group.
    if (file.sizeBytes > 0) await file.truncate(0);
    const known = this.#segments.find((segment) => segment.number === number);
    const segment = known ?? newSegment({ number, path, file });
    if (known === undefined) this.#segments.push(segment);
    this.#nextSegment = number + 1;
    this.#current = segment;
    this.#soundBytes = 0;
    this.#rotate = false;
    this.measure();
    return segment;
  }

  async #seal({ file }: Segment): Promise<void> {
    try {
      await file.append(jsonRecord(recordKinds.seal, { next: this.#nextSegment }));
    } catch (error) {
      await file.truncate(this.#soundBytes).catch(() => (this.#current = undefined));
      throw error;
    }
  }

  #header(): Uint8Array {
    const { broker, time } = this.#options;
    return jsonRecord(recordKinds.header, { version: FORMAT_VERSION, broker, time: time.pair() });
  }

  async #waitToRetry(attempt: number): Promise<boolean> {
    const waitMs = backoffMs(attempt, { firstMs: DISK_RETRY_FIRST_MS, maxMs: DISK_RETRY_MAX_MS });
    try {
      await this.#options.clock.sleep(waitMs, { signal: this.#stop.signal });
      return true;
    } catch {
      return false;
    }
  }
}
