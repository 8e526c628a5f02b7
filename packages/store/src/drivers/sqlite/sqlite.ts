import { assert } from "@cortado/std/assert";
import type { Clock } from "@cortado/std/clock";
import type { Commit, Durability, Opened } from "../../durability.ts";
import { openLogStore } from "../../log-store.ts";
import { COMMIT_SAMPLES, COMMIT_SLOW_MS } from "../../limits.ts";
import type { KeyValue, Store } from "../../store.ts";
import { workerDatabase, type OpenWorker, type WorkerDatabase } from "./committer.ts";
import { Database } from "./database.ts";

export type SqliteOptions = {
  readonly path: string;
  readonly clock: Clock;
  /** Starts the thread that commits when the disk is slow; absent: commits stay on the event loop. */
  readonly openWorker?: OpenWorker;
  /** Of the values, so many bytes are in memory; absent: CACHE_BYTES_MAX. */
  readonly cacheBytes?: number;
};

/**
 * Opens the default driver: one SQLite file, durable at each commit. While syncs are short they run on the event loop, which is
 * fastest; on a disk where they take over 5 ms, as on flash, commits move to a thread for good, and reads of cold values with them:
 * a disk that is busy with a sync would hold up whoever reads from it.
 * @throws StatusError "ServiceUnavailable" when the file cannot be used
 */
export function openSqliteStore(options: SqliteOptions): Promise<Store> {
  return openLogStore(new SqliteDurability(options), { cacheBytes: options.cacheBytes });
}

class SqliteDurability implements Durability {
  readonly #options: SqliteOptions;
  readonly #tookMs: number[] = [];
  #inline: Database | undefined;
  #worker: Promise<WorkerDatabase> | undefined;

  constructor(options: SqliteOptions) {
    this.#options = options;
  }

  open(): Promise<Opened> {
    this.#inline = new Database(this.#options.path);
    return Promise.resolve({ rows: this.#inline.rows(), reserved: this.#inline.reserved });
  }

  async commit(commit: Commit): Promise<void> {
    if (this.#inline === undefined) return (await this.#thread()).commit(commit);
    const startMs = this.#options.clock.monotonicMs();
    this.#inline.commit(commit);
    this.#tookMs.push(this.#options.clock.monotonicMs() - startMs);
    if (this.#tookMs.length > COMMIT_SAMPLES) this.#tookMs.shift();
    if (this.#isSlow()) await this.#moveToWorker();
  }

  async read(keys: readonly string[]): Promise<readonly (KeyValue | undefined)[]> {
    return this.#inline === undefined ? (await this.#thread()).read(keys) : this.#inline.read(keys);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#inline?.[Symbol.dispose]();
    const worker = await this.#worker?.catch(() => undefined);
    await worker?.[Symbol.asyncDispose]();
  }

  #thread(): Promise<WorkerDatabase> {
    assert(this.#worker !== undefined, "a file that left the event loop has a thread");
    return this.#worker;
  }

  #isSlow(): boolean {
    if (this.#options.openWorker === undefined || this.#tookMs.length < COMMIT_SAMPLES) return false;
    return (this.#tookMs.toSorted((one, other) => one - other)[COMMIT_SAMPLES / 2] ?? 0) > COMMIT_SLOW_MS;
  }

  /** A thread that does not start takes no commit, and each is told so. */
  async #moveToWorker(): Promise<void> {
    const { openWorker, path } = this.#options;
    if (openWorker === undefined) return;
    this.#inline?.[Symbol.dispose](); // the file has one user at a time
    this.#inline = undefined;
    this.#worker = workerDatabase(openWorker, path);
    await this.#worker;
  }
}
