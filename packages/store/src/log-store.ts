import { assert } from "@cortado/std/assert";
import { StatusError } from "@cortado/std/status";
import { History, type HistoryLimits } from "./history.ts";
import { COMMIT_WRITES_MAX, KEY_LENGTH_MAX, PENDING_WRITES_MAX, VALUE_BYTES_MAX } from "./limits.ts";
import { VOLATILE_RESERVE, WATCH_BATCH_EVENTS_MAX } from "./limits.ts";
import { SortedKeys } from "./sorted-keys.ts";
import type { Expectation, KeyValue, ListQuery, ListResult, Revision, Store } from "./store.ts";
import type { StoreEvent, WatchQuery, Write, WriteResult } from "./store.ts";

/** One transaction: all of it is durable when `commit` resolves, or none of it. */
export type Commit = {
  /** New values; undefined deletes the key. */
  readonly changes: ReadonlyMap<string, KeyValue | undefined>;
  /** The store never gives out a revision up to this one again, whatever happens. */
  readonly reserved: Revision;
};

/** What a driver found at opening. */
export type Opened = { readonly values: Iterable<KeyValue>; readonly reserved: Revision };

/** The durable half of a store with one writer process: memory and SQLite make it. */
export interface Durability extends AsyncDisposable {
  open(): Promise<Opened>;
  /** @throws StatusError "InsufficientStorage" or "ServiceUnavailable"; then nothing may count on the commit */
  commit(commit: Commit): Promise<void>;
}

type Pending = {
  readonly write: Write;
  readonly resolve: (result: WriteResult) => void;
  readonly reject: (error: unknown) => void;
};

/** Opens the engine over a driver: current values and recent history in memory, every change through group commits. */
export async function openLogStore(durability: Durability, limits?: HistoryLimits): Promise<Store> {
  const { values, reserved } = await durability.open();
  return new LogStore(durability, { values, reserved, history: new History(limits) });
}

class LogStore implements Store {
  readonly #durability: Durability;
  readonly #history: History;
  readonly #values = new Map<string, KeyValue>();
  readonly #keys = new SortedKeys();
  readonly #pending: Pending[] = [];
  readonly #sleepers = new Set<() => void>();
  /** Keys whose last commit failed: what is on disk is unknown, so the next commit writes their value again. */
  readonly #doubtful = new Set<string>();
  #volatile = new Map<string, KeyValue>();
  #revision: Revision;
  #next: number;
  #reserved: Revision;
  #flushing: Promise<void> | undefined;
  #closed = false;

  constructor(durability: Durability, opened: Opened & { readonly history: History }) {
    this.#durability = durability;
    this.#history = opened.history;
    for (const value of opened.values) this.#values.set(value.key, value);
    this.#keys.fill(this.#values.keys());
    this.#revision = opened.reserved;
    this.#reserved = opened.reserved;
    this.#next = opened.reserved + 1;
    this.#history.startAt(opened.reserved);
  }

  get revision(): Revision {
    return this.#revision;
  }

  get compacted(): Revision {
    return this.#history.compacted;
  }

  get(key: string): Promise<KeyValue | undefined> {
    return Promise.resolve(this.#values.get(key));
  }

  list(query: ListQuery): Promise<ListResult> {
    try {
      return Promise.resolve(this.#list(query));
    } catch (error) {
      return Promise.reject(error as Error);
    }
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
    // Leases kept in memory reach the disk at a clean end, and the reserve shrinks to what was used.
    if (this.#volatile.size > 0 || this.#reserved !== this.#revision)
      await this.#durability
        .commit({ changes: this.#volatile, reserved: (this.#next - 1) as Revision })
        .catch(() => undefined);
    for (const wake of this.#sleepers) wake();
    await this.#durability[Symbol.asyncDispose]();
  }

  #refusal(write: Write): StatusError | undefined {
    assert(write.key.startsWith("/"), "keys are absolute");
    if (this.#closed) return new StatusError("ServiceUnavailable", "the store is closed");
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

  #list({ prefix, after, limit, at }: ListQuery): ListResult {
    const now = this.#revision;
    if (at !== undefined && at > now)
      throw new StatusError("Timeout", `revision ${at} is in the future; the newest is ${now}`);
    const past = at === undefined || at === now ? undefined : this.#history.before(at);
    const keys =
      past === undefined ? this.#keys.slice(prefix, after) : this.#keysThen(past, { prefix, after });
    const wanted = limit === undefined ? keys : keys.slice(0, limit);
    const items = wanted.map(
      (key) => (past?.has(key) === true ? past.get(key) : this.#values.get(key)) as KeyValue,
    );
    return { items, revision: at ?? now, remaining: keys.length - items.length };
  }

  #keysThen(
    past: ReadonlyMap<string, KeyValue | undefined>,
    { prefix, after }: { readonly prefix: string; readonly after: string | undefined },
  ): readonly string[] {
    const keys = new Set(this.#keys.slice(prefix, after));
    for (const [key, then] of past) {
      if (!key.startsWith(prefix) || (after !== undefined && key <= after)) continue;
      if (then === undefined) keys.delete(key);
      else keys.add(key);
    }
    return [...keys].sort();
  }

  async #flush(): Promise<void> {
    // All writes of this turn go into one commit, and those that come meanwhile into the next.
    await new Promise<void>((resolve) => void setImmediate(resolve));
    while (this.#pending.length > 0) {
      const batch = this.#pending.splice(0, COMMIT_WRITES_MAX);
      const results = new Batch(this.#values, this.#next);
      const answers = batch.map(({ write }) => results.take(write));
      this.#next = results.next;
      try {
        await this.#commit(results);
      } catch (error) {
        for (const { key } of results.events) this.#doubtful.add(key);
        for (const { reject } of batch) reject(error);
        continue;
      }
      this.#apply(results.events);
      for (const [at, { resolve }] of batch.entries()) resolve(answers[at] as WriteResult);
      for (const wake of [...this.#sleepers]) wake();
    }
    this.#flushing = undefined;
  }

  async #commit(batch: Batch): Promise<void> {
    const changes = new Map<string, KeyValue | undefined>(batch.durable);
    const newest = batch.next - 1;
    if (changes.size === 0 && newest <= this.#reserved) {
      for (const [key, value] of batch.volatile) this.#volatile.set(key, value);
      return;
    }
    for (const key of this.#doubtful) if (!changes.has(key)) changes.set(key, this.#values.get(key));
    const reserved = (
      batch.volatile.size > 0 ? newest + VOLATILE_RESERVE : Math.max(newest, this.#reserved)
    ) as Revision;
    await this.#durability.commit({ changes, reserved });
    this.#doubtful.clear();
    this.#reserved = reserved;
    for (const key of changes.keys()) this.#volatile.delete(key);
    for (const [key, value] of batch.volatile) this.#volatile.set(key, value);
  }

  #apply(events: readonly StoreEvent[]): void {
    for (const event of events) {
      const { key, value, revision, created } = event;
      if (event.kind === "delete") {
        this.#values.delete(key);
        this.#keys.delete(key);
      } else {
        if (!this.#values.has(key)) this.#keys.add(key);
        this.#values.set(key, { key, value, modified: revision, created });
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

/** Decides the writes of one commit in order, each seeing those before it. */
class Batch {
  readonly events: StoreEvent[] = [];
  readonly durable = new Map<string, KeyValue | undefined>();
  readonly volatile = new Map<string, KeyValue>();
  readonly #committed: ReadonlyMap<string, KeyValue>;
  readonly #seen = new Map<string, KeyValue | undefined>();
  next: number;

  constructor(committed: ReadonlyMap<string, KeyValue>, next: number) {
    this.#committed = committed;
    this.next = next;
  }

  take(write: Write): WriteResult {
    const { key } = write;
    const current = this.#seen.has(key) ? this.#seen.get(key) : this.#committed.get(key);
    if (!holds(write.expect, current) || (write.kind === "delete" && current === undefined))
      return { written: false, current };
    const revision = this.next as Revision;
    this.next += 1;
    assert(Number.isSafeInteger(this.next), "revisions stay exact");
    const created = current?.created ?? revision;
    const now = write.kind === "put" ? { key, value: write.value, modified: revision, created } : undefined;
    const value = write.kind === "put" ? write.value : (current as KeyValue).value;
    this.#seen.set(key, now);
    if (write.kind === "put" && write.volatile === true && current !== undefined && !this.durable.has(key))
      this.volatile.set(key, now as KeyValue);
    else {
      this.durable.set(key, now);
      this.volatile.delete(key);
    }
    this.events.push({ kind: write.kind, key, value, revision, created, previous: current });
    return { written: true, revision };
  }
}

function holds(expect: Expectation, current: KeyValue | undefined): boolean {
  if (expect.kind === "anything") return true;
  if (expect.kind === "absent") return current === undefined;
  return current?.modified === expect.revision;
}
