import { assert } from "@cortado/std/assert";
import { StatusError } from "@cortado/std/status";
import { Batch } from "./batch.ts";
import { cold, CurrentValues, type Found, type Keep } from "./current-values.ts";
import type { Durability, Opened } from "./durability.ts";
import { History, type HistoryLimits } from "./history.ts";
import {
  CACHE_BYTES_MAX,
  COMMIT_WRITES_MAX,
  KEY_LENGTH_MAX,
  LIST_KEPT_KEYS,
  LIST_READ_KEYS,
} from "./limits.ts";
import { PENDING_WRITES_MAX, VALUE_BYTES_MAX, VOLATILE_RESERVE, WATCH_BATCH_EVENTS_MAX } from "./limits.ts";
import type { KeyValue, ListQuery, ListResult, Revision, Store } from "./store.ts";
import type { StoreEvent, WatchQuery, Write, WriteResult } from "./store.ts";

type Pending = {
  readonly write: Write;
  readonly resolve: (result: WriteResult) => void;
  readonly reject: (error: unknown) => void;
};

export type EngineOptions = {
  readonly history?: HistoryLimits | undefined;
  /** Of values that the driver can read from its disk, so many bytes are in memory. */
  readonly cacheBytes?: number | undefined;
};

/** What keys were before they changed; the first change of a key counts. */
type Past = ReadonlyMap<string, KeyValue | undefined>;

/** Opens the engine over a driver: keys, recent history and warm values in memory, every change through group commits. */
export async function openLogStore(durability: Durability, options: EngineOptions = {}): Promise<Store> {
  return new LogStore(durability, { ...(await durability.open()), ...options });
}

class LogStore implements Store {
  readonly #durability: Durability;
  readonly #history: History;
  readonly #current: CurrentValues;
  readonly #pending: Pending[] = [];
  readonly #sleepers = new Set<() => void>();
  /** Keys whose last commit failed: what is on disk is unknown, so the next commit writes their value again. */
  readonly #doubtful = new Set<string>();
  /** Keys whose value is in memory only. */
  readonly #volatile = new Set<string>();
  /** Of each list that is reading from the disk, what changed since it began. */
  readonly #changedInLists = new Set<Map<string, KeyValue | undefined>>();
  #revision: Revision;
  #next: number;
  #reserved: Revision;
  #flushing: Promise<void> | undefined;
  #closed = false;

  constructor(durability: Durability, { rows, reserved, history, cacheBytes }: Opened & EngineOptions) {
    this.#durability = durability;
    this.#history = new History(history);
    this.#current = new CurrentValues({
      opened: rows,
      read: durability.read === undefined ? undefined : (keys) => this.#readDisk(keys),
      cacheBytes: cacheBytes ?? CACHE_BYTES_MAX,
    });
    this.#revision = reserved;
    this.#reserved = reserved;
    this.#next = reserved + 1;
    this.#history.startAt(reserved);
  }

  get revision(): Revision {
    return this.#revision;
  }

  get compacted(): Revision {
    return this.#history.compacted;
  }

  async get(key: string): Promise<KeyValue | undefined> {
    const found = this.#current.find(key);
    if (found !== cold) return found;
    const [read] = await this.#current.read([key], { keep: "always" });
    return read;
  }

  async list(query: ListQuery): Promise<ListResult> {
    const { at } = query;
    const now = this.#revision;
    if (at !== undefined && at > now)
      throw new StatusError("Timeout", `revision ${at} is in the future; the newest is ${now}`);
    const past = at === undefined || at === now ? undefined : this.#history.before(at);
    const { keys, total } = this.#keysOf(query, past);
    // Who reads so many, in pages as well, reads few of them again.
    const all = this.#current.rows.range(query.prefix, undefined);
    const keep = all.to - all.from <= LIST_KEPT_KEYS ? "with room" : "not";
    const items = await this.#valuesOf(keys, past, keep);
    return { items, revision: at ?? now, remaining: total - items.length };
  }

  write(write: Write): Promise<WriteResult> {
    const refusal = this.#refusal(write);
    if (refusal !== undefined) return Promise.reject(refusal);
    return new Promise((resolve, reject) => {
      this.#pending.push({ write, resolve, reject });
      this.#flushing ??= this.#flush();
    });
  }

  async *watch({ prefix, after, signal }: WatchQuery): AsyncIterable<readonly StoreEvent[]> {
    let told = after;
    this.#history.mustRemember(told);
    while (!signal.aborted && !this.#closed) {
      const events = this.#history.after(told, WATCH_BATCH_EVENTS_MAX);
      const newest = events.at(-1);
      if (newest === undefined) {
        await this.#sleep(signal);
        continue;
      }
      told = newest.revision;
      const wanted = events.filter((event) => event.key.startsWith(prefix));
      if (wanted.length > 0) yield wanted;
    }
  }

  compact(revision: Revision): Promise<void> {
    if (revision > this.#revision)
      return Promise.reject(
        new StatusError(
          "BadRequest",
          `revision ${revision} is in the future; the newest is ${this.#revision}`,
        ),
      );
    this.#history.compact(revision);
    return Promise.resolve();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#flushing;
    // Leases kept in memory and what is in doubt reach the disk at a clean end, and the reserve shrinks to what was used.
    const kept = [...this.#volatile, ...this.#doubtful];
    if (kept.length > 0 || this.#reserved !== this.#revision) {
      const changes = new Map(kept.map((key) => [key, this.#inMemory(key)]));
      await this.#durability
        .commit({ changes, reserved: (this.#next - 1) as Revision })
        .catch(() => undefined);
    }
    for (const wake of this.#sleepers) wake();
    await this.#durability[Symbol.asyncDispose]();
  }

  #refusal(write: Write): StatusError | undefined {
    assert(write.key.startsWith("/"), "keys are absolute");
    if (this.#closed) return isClosed();
    if (write.key.length > KEY_LENGTH_MAX)
      return new StatusError("BadRequest", `a key is over ${KEY_LENGTH_MAX} characters`);
    if (write.kind === "put" && write.value.byteLength > VALUE_BYTES_MAX)
      return new StatusError(
        "RequestEntityTooLarge",
        `${write.key} is over ${VALUE_BYTES_MAX} bytes; split it or make it smaller`,
      );
    if (this.#pending.length < PENDING_WRITES_MAX) return undefined;
    const details = { retryAfterSeconds: 1 };
    return new StatusError(
      "TooManyRequests",
      "the disk does not keep up with writes; try again in a second",
      { details },
    );
  }

  #readDisk(keys: readonly string[]): Promise<readonly (KeyValue | undefined)[]> {
    const { read } = this.#durability;
    assert(read !== undefined, "values are read from a driver that can");
    return this.#closed ? Promise.reject(isClosed()) : read.call(this.#durability, keys);
  }

  /** The keys of a list, and how many there are without its limit. */
  #keysOf(
    { prefix, after, limit }: ListQuery,
    past: Past | undefined,
  ): { readonly keys: readonly string[]; readonly total: number } {
    const { rows } = this.#current;
    const range = rows.range(prefix, after);
    const isListed = (key: string): boolean => key.startsWith(prefix) && (after === undefined || key > after);
    const others = [...(past ?? [])].filter(
      ([key, then]) => isListed(key) && (then !== undefined) !== rows.has(key),
    );
    if (others.length === 0) return { keys: rows.keys(range, limit), total: range.to - range.from };
    const keys = new Set(rows.keys(range));
    for (const [key, then] of others)
      if (then === undefined) keys.delete(key);
      else keys.add(key);
    const sorted = [...keys].sort();
    return { keys: limit === undefined ? sorted : sorted.slice(0, limit), total: sorted.length };
  }

  /** The values of keys as they are now, or were in the past; what changes while the disk is read is not seen. */
  async #valuesOf(keys: readonly string[], past: Past | undefined, keep: Keep): Promise<readonly KeyValue[]> {
    const items: KeyValue[] = [];
    const changed = new Map<string, KeyValue | undefined>();
    const find = (key: string): Found => {
      if (past?.has(key) === true) return past.get(key);
      return changed.has(key) ? changed.get(key) : this.#current.find(key);
    };
    this.#changedInLists.add(changed);
    try {
      for (let from = 0; from < keys.length; from += LIST_READ_KEYS) {
        const some = keys.slice(from, from + LIST_READ_KEYS);
        const found = some.map(find);
        const coldKeys = some.filter((_, at) => found[at] === cold);
        const read = coldKeys.length === 0 ? [] : await this.#current.read(coldKeys, { keep });
        let next = 0;
        for (const one of found) items.push(one === cold ? (read[next++] as KeyValue) : (one as KeyValue));
        if (coldKeys.length > 0 && from + LIST_READ_KEYS < keys.length) await endOfTurn();
      }
    } finally {
      this.#changedInLists.delete(changed);
    }
    return items;
  }

  async #flush(): Promise<void> {
    // All writes of this turn go into one commit, and those that come meanwhile into the next.
    await endOfTurn();
    while (this.#pending.length > 0) await this.#settle(this.#pending.splice(0, COMMIT_WRITES_MAX));
    this.#flushing = undefined;
  }

  /** Commits writes together and answers each. */
  async #settle(writes: readonly Pending[]): Promise<void> {
    const { known, unread } = this.#knownOf(writes);
    if (unread.length > 0) writes = await this.#readFor(writes, unread, known);
    const batch = new Batch(known, this.#next);
    const answers = writes.map(({ write }) => batch.take(write));
    this.#next = batch.next;
    try {
      await this.#commit(batch);
    } catch (error) {
      for (const { key } of batch.events) this.#doubtful.add(key);
      for (const { reject } of writes) reject(error);
      return;
    }
    this.#apply(batch);
    for (const [at, { resolve }] of writes.entries()) resolve(answers[at] as WriteResult);
    for (const wake of [...this.#sleepers]) wake();
  }

  /** Values of the keys that are written to, and those of them that must be read first. */
  #knownOf(writes: readonly Pending[]): {
    readonly known: Map<string, KeyValue>;
    readonly unread: readonly string[];
  } {
    const known = new Map<string, KeyValue>();
    const unread = new Set<string>();
    for (const { write } of writes) {
      const found = this.#current.find(write.key);
      if (found === cold) unread.add(write.key);
      else if (found !== undefined) known.set(write.key, found);
    }
    return { known, unread: [...unread] };
  }

  /** An event tells what was before. Whose value cannot be read is not written; answers the writes of all others. */
  async #readFor(
    writes: readonly Pending[],
    unread: readonly string[],
    known: Map<string, KeyValue>,
  ): Promise<readonly Pending[]> {
    const failed = new Map<string, unknown>();
    const read = async (key: string): Promise<void> => {
      const [value] = await this.#current.read([key], { keep: "always" });
      known.set(key, value as KeyValue);
    };
    await Promise.all(unread.map((key) => read(key).catch((error: unknown) => failed.set(key, error))));
    for (const { write, reject } of writes) if (failed.has(write.key)) reject(failed.get(write.key));
    return writes.filter(({ write }) => !failed.has(write.key));
  }

  async #commit(batch: Batch): Promise<void> {
    const changes = new Map<string, KeyValue | undefined>(batch.durable);
    const newest = batch.next - 1;
    if (changes.size === 0 && newest <= this.#reserved) return;
    // From now on the disk may have another value than the one that is true until this commit is.
    for (const { previous } of batch.events)
      if (previous !== undefined && previous.modified <= this.#revision) this.#current.hold(previous);
    for (const key of this.#doubtful) if (!changes.has(key)) changes.set(key, this.#inMemory(key));
    const reserved = (
      batch.volatile.size > 0 ? newest + VOLATILE_RESERVE : Math.max(newest, this.#reserved)
    ) as Revision;
    await this.#durability.commit({ changes, reserved });
    this.#reserved = reserved;
    for (const key of this.#doubtful) this.#current.release(key);
    this.#doubtful.clear();
    for (const key of changes.keys()) this.#volatile.delete(key);
  }

  /** Of a key that is held. */
  #inMemory(key: string): KeyValue | undefined {
    const found = this.#current.find(key);
    assert(found !== cold, "what is not on disk is in memory");
    return found;
  }

  #apply(batch: Batch): void {
    for (const event of batch.events) {
      const { key, value, revision, created } = event;
      for (const changed of this.#changedInLists) if (!changed.has(key)) changed.set(key, event.previous);
      if (event.kind === "delete") this.#current.delete(key);
      else {
        const isOnDisk = !batch.volatile.has(key);
        if (!isOnDisk) this.#volatile.add(key);
        this.#current.put({ key, value, modified: revision, created }, { isOnDisk });
      }
      this.#history.append(event);
      this.#revision = revision;
    }
  }

  #sleep(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#sleepers.delete(wake);
        signal.removeEventListener("abort", wake);
        resolve();
      };
      this.#sleepers.add(wake);
      signal.addEventListener("abort", wake, { once: true });
    });
  }
}

function endOfTurn(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}

function isClosed(): StatusError {
  return new StatusError("ServiceUnavailable", "the store is closed");
}
