import type { Clock } from "@cortado/std/clock";
import { openLogStore, type Commit, type Durability } from "../../log-store.ts";
import { COMMIT_SAMPLES, COMMIT_SLOW_MS } from "../../limits.ts";
import type { Store } from "../../store.ts";
import { workerDatabase, type OpenWorker, type WorkerDatabase } from "./committer.ts";
import { Database } from "./database.ts";

export type SqliteOptions = {
  readonly path: string;
  readonly clock: Clock;
  /** Starts the thread that commits when the disk is slow; absent: commits stay on the event loop. */
  readonly openWorker?: OpenWorker;
};

/**
 * Opens the default driver: one SQLite file, durable at each commit. While syncs are short they run on the event loop, which is
 * fastest; on a disk where they take over 5 ms, as on flash, commits move to a thread for good.
 * @throws StatusError "ServiceUnavailable" when the file cannot be used
 */
export function openSqliteStore(options: SqliteOptions): Promise<Store> {
  return openLogStore(new SqliteDurability(options));
}

class SqliteDurability implements Durability {
  readonly #options: SqliteOptions;
  readonly #tookMs: number[] = [];
  #inline: Database | undefined;
  #worker: WorkerDatabase | undefined;

  constructor(options: SqliteOptions) {
    this.#options = options;
  }

  open(): ReturnType<Durability["open"]> {
    this.#inline = new Database(this.#options.path);
    return Promise.resolve({ values: this.#inline.values(), reserved: this.#inline.reserved });
  }

  async commit(commit: Commit): Promise<void> {
    if (this.#worker !== undefined) return this.#worker.commit(commit);
    const startMs = this.#options.clock.monotonicMs();
    this.#inline?.commit(commit);
    this.#tookMs.push(this.#options.clock.monotonicMs() - startMs);
    if (this.#tookMs.length > COMMIT_SAMPLES) this.#tookMs.shift();
    if (this.#isSlow()) await this.#moveToWorker();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#inline?.[Symbol.dispose]();
    await this.#worker?.[Symbol.asyncDispose]();
  }

  #isSlow(): boolean {
    if (this.#options.openWorker === undefined || this.#tookMs.length < COMMIT_SAMPLES) return false;
    return (this.#tookMs.toSorted((one, other) => one - other)[COMMIT_SAMPLES / 2] ?? 0) > COMMIT_SLOW_MS;
  }

  async #moveToWorker(): Promise<void> {
    const { openWorker, path } = this.#options;
    if (openWorker === undefined) return;
    this.#inline?.[Symbol.dispose](); // the file has one user at a time
    this.#inline = undefined;
    this.#worker = await workerDatabase(openWorker, path);
  }
}
