import { assert } from "@cortado/std/assert";
import type { Files } from "@cortado/std/files";
import type { Log } from "@cortado/std/log";
import { messageRecord, recordKinds, type Message } from "../journal/records.ts";
import {
  RETAINED_FRESH_BYTES,
  RETAINED_FRESH_BYTES_MAX,
  RETAINED_FRESH_ITEMS,
  RETAINED_FRESH_ITEMS_MAX,
} from "../limits.ts";
import { mergeRuns } from "./merge.ts";
import { Arena } from "./arena.ts";
import { orderKey } from "./order.ts";
import { topicHash } from "./prints.ts";
import { RetainedReader, type Shelf } from "./reader.ts";
import type { Entry, Run } from "./run.ts";
import { openRuns, type Damaged } from "./open-runs.ts";
import { indexPath } from "./run-names.ts";
import { writeRun } from "./run-writer.ts";

export type RetainedOptions = { readonly files: Files; readonly folder: string; readonly log: Log };

/** A message that is not in a run yet; `wasThere`: what lies below has its topic. */
type Fresh = { readonly message: Message; readonly wasThere: boolean };

/**
 * The last message of each topic that was published with the retain flag. The journal makes them durable; here they are in memory
 * until a checkpoint writes what is new as a run, sorted by topic, and lets the journal forget it. Runs of like size are merged.
 */
export class RetainedMessages implements Shelf, AsyncDisposable {
  readonly #options: RetainedOptions;
  readonly #stop: AbortController = new AbortController();
  /** Oldest first: what a later one holds is newer. */
  #runs: Run[] = [];
  #nextRun = 1;
  /** Topics in the runs that are not cleared. */
  #runItems = 0;
  /** Changes when runs do, or what is fresh becomes one. */
  #version = 0;
  #fresh: Map<string, Fresh> = new Map();
  #freshBytes = 0;
  #arena: Arena = new Arena();
  /** What a checkpoint is writing. */
  #frozen: Map<string, Fresh> | undefined;
  #frozenBytes = 0;
  /** Topics that the fresh and the frozen add to those of the runs. */
  #added = 0;
  #isTight = false;
  #isMerging = false;
  /** Runs that were found damaged since the start; a merge or the next start sets them aside. */
  readonly #damaged: Set<string> = new Set();
  readonly #noteDamage = (path: string): void => {
    if (this.#damaged.has(path)) return;
    this.#damaged.add(path);
    this.#options.log.error("mqtt retained messages are damaged: what is sound in the file is served", {
      path,
    });
    this.#unindexing = this.#unindexing
      .then(() => this.#options.files.remove(indexPath(path)))
      .catch((error: unknown) => this.#noteUnindexed(path, error));
  };
  readonly #noteUnindexed = (path: string, error: unknown): void =>
    this.#options.log.warn(
      "mqtt index of retained messages could not be written; the next start reads the run",
      {
        path,
        error,
      },
    );
  /** Of damaged runs, so that the next start reads all of them. */
  #unindexing: Promise<void> = Promise.resolve();
  readonly #notes = { damaged: this.#noteDamage, unindexed: this.#noteUnindexed };

  private constructor(options: RetainedOptions) {
    this.#options = options;
  }

  /** Reads which runs there are. A damaged one is set aside and its sound part written anew. */
  static async open(
    options: RetainedOptions & { readonly nowMs: number },
  ): Promise<{ readonly retained: RetainedMessages; readonly setAside: readonly string[] }> {
    const retained = new RetainedMessages(options);
    const setAside = await retained.#open(options.nowMs);
    return { retained, setAside };
  }

  get runs(): readonly Run[] {
    return this.#runs;
  }

  get version(): number {
    return this.#version;
  }

  get items(): number {
    return this.#runItems + this.#added;
  }

  /** On disk, with what is superseded and not merged away yet, and in memory. */
  get bytes(): number {
    let total = this.#freshBytes + this.#frozenBytes;
    for (const run of this.#runs) total += run.bytes;
    return total;
  }

  /** More is in memory than should be: time for a checkpoint. */
  get wantsCheckpoint(): boolean {
    return this.#fresh.size >= RETAINED_FRESH_ITEMS || this.#arena.bytes >= RETAINED_FRESH_BYTES;
  }

  /** Keeps a message; an empty payload clears the topic (MQTT 3.1.1, section 3.3.1.3). */
  keep(message: Message): void {
    const { topic } = message;
    const old = this.#fresh.get(topic);
    const wasThere = old?.wasThere ?? this.#isBelow(topic);
    const isThere = message.payload.byteLength > 0;
    this.#added += Number(isThere) - Number(old === undefined ? wasThere : hasPayload(old));
    this.#freshBytes += sizeOf(message) - (old === undefined ? 0 : sizeOf(old.message));
    this.#fresh.set(topic, { message: this.#own(message), wasThere });
  }

  #own(message: Message): Message {
    const { origin: _origin, payload, carried, ...rest } = message;
    return {
      ...rest,
      recipients: [],
      grants: undefined,
      payload: this.#arena.copy(payload),
      carried: carried === undefined ? undefined : this.#arena.copy(carried),
    };
  }

  /** Why a message cannot be kept now; undefined when it can. */
  fullFor(
    { topic, payload }: { readonly topic: string; readonly payload: Uint8Array },
    limits: { readonly retainedItemsMax: number; readonly retainedBytesMax: number },
  ): string | undefined {
    const inMemory = this.#fresh.size + (this.#frozen?.size ?? 0);
    if (
      inMemory >= RETAINED_FRESH_ITEMS_MAX ||
      this.#arena.bytes + this.#frozenBytes >= RETAINED_FRESH_BYTES_MAX
    )
      return `${inMemory} retained messages wait for their checkpoint`;
    if (payload.byteLength === 0) return undefined;
    if (this.bytes + payload.byteLength > limits.retainedBytesMax) {
      this.#isTight = this.#runs.length > 1; // a merge may find room
      return `${limits.retainedBytesMax} bytes are retained`;
    }
    if (this.items < limits.retainedItemsMax || this.mayHold(topic)) return undefined;
    return `${limits.retainedItemsMax} messages are retained`;
  }

  /** The messages that a filter matches; `after`: what `passed` of an earlier reader was. */
  matching(filter: string, { after }: { readonly after?: string | undefined } = {}): RetainedReader {
    return new RetainedReader(this, { filter, after });
  }

  inMemory(topic: string): Message | undefined {
    return (this.#fresh.get(topic) ?? this.#frozen?.get(topic))?.message;
  }

  /** At most what checkpoints are behind. */
  *topicsInMemory(): Iterable<string> {
    yield* this.#fresh.keys();
    for (const topic of this.#frozen?.keys() ?? []) if (!this.#fresh.has(topic)) yield topic;
  }

  async get(topic: string): Promise<Message | undefined> {
    for (;;) {
      const version = this.#version;
      let found = this.inMemory(topic);
      for (const run of found === undefined ? this.#runs.toReversed() : []) {
        if (run.prints.stateOf(topicHash(topic)) === undefined) continue;
        found = await run.find(orderKey(topic));
        if (found !== undefined) break;
      }
      found = this.inMemory(topic) ?? found;
      if (version === this.#version) return found?.payload.byteLength === 0 ? undefined : found;
    }
  }

  /** What is fresh now belongs to the checkpoint that begins. */
  freeze(): void {
    for (const [topic, { message, wasThere }] of this.#fresh) {
      const older = this.#frozen?.get(topic); // of a checkpoint that failed
      (this.#frozen ??= new Map()).set(topic, { message, wasThere: older?.wasThere ?? wasThere });
    }
    this.#frozenBytes += this.#freshBytes;
    this.#fresh = new Map();
    this.#freshBytes = 0;
    this.#arena = new Arena();
  }

  /** Writes what is frozen as a run; durable when it answers. */
  async checkpoint(): Promise<void> {
    const frozen = this.#frozen;
    if (frozen === undefined) return;
    const entries = entriesInOrder(frozen, { withCleared: this.#runs.length > 0 });
    const run = await this.#write(entries);
    let added = 0;
    for (const fresh of frozen.values()) added += Number(hasPayload(fresh)) - Number(fresh.wasThere);
    this.#runItems += added;
    this.#added -= added;
    this.#frozen = undefined;
    this.#frozenBytes = 0;
    if (run !== undefined) this.#runs.push(run);
    this.#version += 1;
  }

  get wantsMerge(): boolean {
    return this.#toMerge().length > 1;
  }

  /** Makes one run of several; checkpoints may go on meanwhile. */
  async merge(nowMs: number): Promise<void> {
    const runs = this.#toMerge();
    if (runs.length < 2) return;
    this.#isTight = false;
    this.#isMerging = true;
    try {
      const older = await this.#replace(runs, nowMs);
      // The oldest first: none may outlive a newer one that says that its topic was cleared.
      for (const old of older) {
        if (this.#damaged.has(old.path)) await this.#keepAside(old.path, nowMs);
        await old.retire();
      }
    } catch (error) {
      if (!this.#stop.signal.aborted) throw error;
    } finally {
      this.#isMerging = false;
    }
  }

  /** What is wrong, for a person; undefined when nothing is. */
  get fault(): string | undefined {
    if (this.#damaged.size === 0) return undefined;
    const paths = [...this.#damaged].join(", ");
    return `retained messages are damaged in ${paths}; what is sound is served, the rest must be published again`;
  }

  async #keepAside(path: string, nowMs: number): Promise<void> {
    const { files, folder } = this.#options;
    await files.rename({ from: path, to: `${folder}/damaged-${path.slice(folder.length + 1)}-${nowMs}` });
    this.#damaged.delete(path);
  }

  /** Ends a merge that is under way: what it was to join stays as it is. */
  stop(): void {
    this.#stop.abort(new Error("the broker is closed"));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.stop();
    for (const run of this.#runs) await run[Symbol.asyncDispose]();
    await this.#unindexing;
  }

  /**
   * The newest runs, as long as the next older one is not much larger than they are together: each message is written anew a
   * number of times that grows with the logarithm of all.
   */
  #toMerge(): readonly Run[] {
    if (this.#isMerging) return [];
    if (this.#isTight) return this.#runs;
    let sum = 0;
    let from = this.#runs.length;
    for (; from > 0; from -= 1) {
      const bytes = this.#runs[from - 1]?.bytes ?? 0;
      if (sum > 0 && bytes > MERGE_FACTOR * sum) break;
      sum += bytes;
    }
    const newest = this.#runs.slice(from);
    return newest.length >= MERGE_RUNS ? newest : [];
  }

  /** Puts one run in the place of some that follow each other; answers those, which are to go. */
  async #replace(runs: readonly Run[], nowMs: number): Promise<readonly Run[]> {
    const isWhole = runs[0] === this.#runs[0];
    const itemsBefore = this.#runItems;
    let expired = 0;
    const clearedOf = (entry: Entry): Entry => {
      expired += 1;
      return entryOf({ ...entry.message, payload: new Uint8Array(0), expiresAtMs: undefined }, entry.key);
    };
    const { signal } = this.#stop;
    const run = await this.#write(mergeRuns({ runs, isWhole, nowMs, clearedOf, signal }));
    const merged = new Set(runs);
    const from = this.#runs.findIndex((one) => merged.has(one));
    // Its number is lower than those of the runs that checkpoints have written since it was begun.
    this.#runs = this.#runs
      .filter((one) => !merged.has(one))
      .toSpliced(from, 0, ...(run === undefined ? [] : [run]));
    this.#runItems += isWhole ? (run?.items ?? 0) - itemsBefore : -expired;
    this.#version += 1;
    return runs;
  }

  async #write(entries: AsyncIterable<Entry>): Promise<Run | undefined> {
    const { files, folder } = this.#options;
    const number = this.#nextRun;
    this.#nextRun += 1;
    return writeRun({ files, folder, number, entries, ...this.#notes });
  }

  #isBelow(topic: string): boolean {
    const frozen = this.#frozen?.get(topic);
    return frozen === undefined ? this.#isInRuns(topicHash(topic)) : hasPayload(frozen);
  }

  #isInRuns(hash: number, runs: number = this.#runs.length): boolean {
    for (let at = runs - 1; at >= 0; at -= 1) {
      const state = this.#runs[at]?.prints.stateOf(hash);
      if (state !== undefined) return state === "kept";
    }
    return false;
  }

  /** Whether the topic has a message, by its print: once in a thousand million times it has none. */
  mayHold(topic: string): boolean {
    const fresh = this.#fresh.get(topic);
    return fresh === undefined ? this.#isBelow(topic) : hasPayload(fresh);
  }

  async #open(nowMs: number): Promise<readonly string[]> {
    const { runs, nextRun, damaged } = await openRuns({ ...this.#options, ...this.#notes, nowMs });
    [this.#runs, this.#nextRun] = [runs, nextRun];
    this.#count();
    return damaged.length === 0 ? [] : this.#setAside(damaged);
  }

  /** What is sound is written anew, then the damaged files get other names: a broker that dies in between does the same again. */
  async #setAside(damaged: readonly Damaged[]): Promise<readonly string[]> {
    const { files, folder, log } = this.#options;
    for (const { run, aside, damagedBytes } of damaged) {
      this.#damaged.add(run.path);
      log.error("mqtt retained messages are damaged: the file is set aside, what is sound in it is kept", {
        path: run.path,
        setAsideAs: aside,
        damagedBytes,
      });
    }
    try {
      for (const old of await this.#replace(this.#runs, Number.NEGATIVE_INFINITY)) {
        const found = damaged.find(({ run }) => run === old);
        if (found !== undefined) await files.rename({ from: old.path, to: `${folder}/${found.aside}` });
        this.#damaged.delete(old.path);
        await old.retire();
      }
      return damaged.map(({ aside }) => aside);
    } catch (error) {
      log.error("mqtt damaged retained messages could not be written anew; they are read as they are", {
        folder,
        error,
      });
      return [];
    }
  }

  #count(): void {
    this.#runItems = 0;
    for (const [at, { prints }] of this.#runs.entries())
      if (at === 0 && this.#runs.length === 1) this.#runItems = prints.size;
      else
        for (const { hash, isCleared } of prints.hashes())
          this.#runItems += Number(!isCleared) - Number(this.#isInRuns(hash, at));
  }
}

const MERGE_RUNS = 4; // of like size
const MERGE_FACTOR = 3;
/** Entries made in one turn of the loop. */
const TURN_ITEMS = 1_000;

async function* entriesInOrder(
  frozen: ReadonlyMap<string, Fresh>,
  { withCleared }: { readonly withCleared: boolean },
): AsyncGenerator<Entry> {
  const keys = [...frozen.keys()].map((topic) => ({ key: orderKey(topic), topic }));
  let made = 0;
  for (const { key, topic } of keys.toSorted((one, other) => compare(one.key, other.key))) {
    const fresh = frozen.get(topic);
    assert(fresh !== undefined, "what is frozen stays as it is");
    if (!hasPayload(fresh) && !withCleared) continue;
    made += 1;
    if (made % TURN_ITEMS === 0) await new Promise<void>((resolve) => void setImmediate(resolve));
    yield entryOf(fresh.message, key);
  }
}

function entryOf(message: Message, key: string): Entry {
  return { key, ...messageRecord(message, recordKinds.retained) };
}

const compare = (one: string, other: string): number => (one < other ? -1 : one > other ? 1 : 0);

const hasPayload = ({ message }: Fresh): boolean => message.payload.byteLength > 0;

function sizeOf({ topic, payload }: Message): number {
  return topic.length + payload.byteLength;
}
