import type { Message } from "../journal/records.ts";
import { FilterRange, orderKey } from "./order.ts";
import type { Run } from "./run.ts";
import { RunScan } from "./scan.ts";

/** What a reader reads: runs, and newer messages in memory. */
export interface Shelf {
  /** Oldest first. */
  readonly runs: readonly Run[];
  /** Changes when runs do, or what is in memory becomes one. */
  readonly version: number;
  inMemory(topic: string): Message | undefined;
  topicsInMemory(): Iterable<string>;
  get(topic: string): Promise<Message | undefined>;
}

const BATCH_ITEMS = 200;

/**
 * The retained messages that a filter matches, a batch after another in the order of topics, each as it is when its batch comes.
 * Topics that are new after the first batch may be missed.
 */
export class RetainedReader {
  readonly #shelf: Shelf;
  readonly #filter: string;
  readonly #range: FilterRange;
  /** All up to here has been read. */
  #after: string | undefined;
  #ended = false;
  /** Topics to come that were in memory at the start, the next at the end. */
  #topics: string[] | undefined;
  #scans: ReadonlyMap<Run, RunScan> = new Map();

  constructor(
    shelf: Shelf,
    { filter, after }: { readonly filter: string; readonly after: string | undefined },
  ) {
    this.#shelf = shelf;
    this.#filter = filter;
    this.#range = new FilterRange(filter);
    this.#after = after;
  }

  /** All up to here has been answered; undefined: nothing. */
  get passed(): string | undefined {
    return this.#after;
  }

  /** Whether a topic is among those that are still to come, if it is retained. */
  isAhead(topic: string): boolean {
    const key = orderKey(topic);
    return !this.#ended && (this.#after === undefined || key > this.#after) && this.#range.matches(key);
  }

  /** Undefined at the end. */
  async next(): Promise<readonly Message[] | undefined> {
    if (this.#ended) return undefined;
    if (this.#range.isExact) return this.#only();
    this.#topics ??= this.#topicsInMemory();
    for (;;) {
      const { version } = this.#shelf;
      const scans = this.#scansNow();
      for (const scan of scans) await scan.fill();
      if (this.#shelf.version === version) return this.#batch(scans, this.#topics);
      // Else there is another run to read as well, or one in the place of several.
    }
  }

  /** Lets go of what was read ahead: it may be long until the next call. */
  rest(): void {
    for (const scan of this.#scans.values()) scan.rest(this.#after);
  }

  async #only(): Promise<readonly Message[] | undefined> {
    this.#ended = true;
    const message = await this.#shelf.get(this.#filter);
    return message === undefined ? undefined : [message];
  }

  #scansNow(): readonly RunScan[] {
    const [range, after] = [this.#range, this.#after];
    const old = this.#scans;
    this.#scans = new Map(
      this.#shelf.runs.map((run) => [run, old.get(run) ?? new RunScan(run, { range, after })]),
    );
    return [...this.#scans.values()];
  }

  #topicsInMemory(): string[] {
    const keys: string[] = [];
    for (const topic of this.#shelf.topicsInMemory()) {
      const key = orderKey(topic);
      if ((this.#after === undefined || key > this.#after) && this.#range.matches(key)) keys.push(key);
    }
    return keys.toSorted().toReversed(); // taken from the end
  }

  #batch(scans: readonly RunScan[], topics: string[]): readonly Message[] | undefined {
    let end: string | undefined;
    for (const { readThrough } of scans)
      if (readThrough !== undefined && (end === undefined || readThrough < end)) end = readThrough;
    const keys: string[] = [];
    const older = new Map<string, Message>();
    for (const scan of scans)
      for (const { key, message } of scan.takeThrough(end)) {
        if (!older.has(key)) keys.push(key);
        older.set(key, message); // runs come oldest first
      }
    for (let key = topics.at(-1); key !== undefined; key = topics.at(-1)) {
      if (end === undefined ? keys.length >= BATCH_ITEMS : key > end) break;
      topics.pop();
      if (!older.has(key)) keys.push(key);
    }
    this.#after = end ?? keys.at(-1) ?? this.#after;
    this.#ended = end === undefined && keys.length === 0;
    if (this.#ended) return undefined;
    const messages: Message[] = [];
    for (const key of keys.toSorted()) {
      const message = this.#shelf.inMemory(key.replaceAll("\0", "/")) ?? older.get(key);
      if (message !== undefined && message.payload.byteLength > 0) messages.push(message);
    }
    return messages;
  }
}
