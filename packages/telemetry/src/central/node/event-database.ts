import { DatabaseSync, type StatementSync } from "node:sqlite";
import { StatusError } from "@cortado/std/status";
import type { Batch, Command, CommandResult } from "../event-store.ts";

/**
 * The format on disk.
 * 1: tables `events` (one row an event, once by store and id), `stores`, `cursors` and `meta`.
 */
export const FORMAT = 1;

/** WAL, as readers must not wait for the writer; FULL, so that a commit survives a power cut. */
const pragmas = `
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = FULL;
  PRAGMA journal_size_limit = 16777216;
  PRAGMA cache_size = -8192;
`;

const schema = `
  CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS cursors (name TEXT PRIMARY KEY, position INTEGER NOT NULL) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS stores (
    number INTEGER PRIMARY KEY, namespace TEXT NOT NULL, name TEXT NOT NULL, UNIQUE (namespace, name)
  );
  CREATE TABLE IF NOT EXISTS events (
    position INTEGER PRIMARY KEY AUTOINCREMENT, store INTEGER NOT NULL, id TEXT NOT NULL, kind TEXT NOT NULL,
    sequence INTEGER NOT NULL, at TEXT NOT NULL, at_ms INTEGER NOT NULL, received_ms INTEGER NOT NULL, payload TEXT NOT NULL,
    UNIQUE (store, id)
  );
  CREATE INDEX IF NOT EXISTS events_by_kind ON events (kind, position);
  CREATE INDEX IF NOT EXISTS events_by_store ON events (store, kind, position);
`;

/** The one writer of the hub's events, driven synchronously: in a thread, or on the event loop of a test. */
export class EventDatabase implements Disposable {
  readonly #path: string;
  readonly #sqlite: DatabaseSync;
  readonly #insert: StatementSync;
  readonly #oldest: StatementSync;
  readonly #remove: StatementSync;
  readonly #cursor: StatementSync;
  readonly #stores: Map<string, number> = new Map();

  /** @throws StatusError "ServiceUnavailable" when the file cannot be opened, is damaged, or is of a newer format */
  constructor(path: string) {
    this.#path = path;
    try {
      this.#sqlite = new DatabaseSync(path);
      this.#sqlite.exec(pragmas);
      this.#sqlite.exec(schema);
      this.#checkFormat();
      // A killed process may have left a commit that was never synced. Readers see it, so it must stay: this commit syncs the log.
      this.#sqlite.exec(
        "INSERT INTO meta VALUES ('opened', 1) ON CONFLICT (name) DO UPDATE SET value = value + 1",
      );
      this.#insert = this.#sqlite.prepare(
        "INSERT INTO events (store, id, kind, sequence, at, at_ms, received_ms, payload) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
      );
      this.#oldest = this.#sqlite.prepare(
        "SELECT position, received_ms FROM events WHERE kind = ? ORDER BY position LIMIT ?",
      );
      this.#remove = this.#sqlite.prepare("DELETE FROM events WHERE position = ?");
      this.#cursor = this.#sqlite.prepare(
        "INSERT INTO cursors VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET position = excluded.position",
      );
      for (const row of this.#sqlite.prepare("SELECT number, namespace, name FROM stores").iterate())
        this.#stores.set(`${String(row["namespace"])}/${String(row["name"])}`, Number(row["number"]));
    } catch (error) {
      throw this.#explain(error);
    }
  }

  /** Does one thing in one transaction: when this returns it would survive a power cut. */
  run(command: Command): CommandResult {
    try {
      this.#sqlite.exec("BEGIN IMMEDIATE");
      const changed = this.#do(command);
      this.#sqlite.exec("COMMIT");
      return { changed, bytes: this.#bytes() };
    } catch (error) {
      if (this.#sqlite.isTransaction) this.#sqlite.exec("ROLLBACK");
      // What the transaction gave a number may be gone with it.
      this.#stores.clear();
      for (const row of this.#sqlite.prepare("SELECT number, namespace, name FROM stores").iterate())
        this.#stores.set(`${String(row["namespace"])}/${String(row["name"])}`, Number(row["number"]));
      throw this.#explain(error);
    }
  }

  [Symbol.dispose](): void {
    this.#sqlite.close();
  }

  #do(command: Command): number {
    if (command.kind === "write")
      return command.batches.reduce((sum, batch) => sum + this.#writeBatch(batch), 0);
    if (command.kind === "cursor") return Number(this.#cursor.run(command.name, command.position).changes);
    const old = this.#oldest
      .all(command.eventKind, command.limit)
      .filter((row) => Number(row["received_ms"]) < command.beforeMs);
    for (const { position } of old) this.#remove.run(position as number);
    return old.length;
  }

  #writeBatch({ cluster, receivedMs, events }: Batch): number {
    const store = this.#storeNumber(`${cluster.namespace}/${cluster.name}`, cluster);
    let fresh = 0;
    for (const { id, kind, sequence, at, payload } of events)
      fresh += Number(
        this.#insert.run(store, id, kind, sequence, at, Date.parse(at), receivedMs, payload).changes,
      );
    return fresh;
  }

  #storeNumber(key: string, { namespace, name }: Batch["cluster"]): number {
    const known = this.#stores.get(key);
    if (known !== undefined) return known;
    const insert = this.#sqlite.prepare("INSERT INTO stores (namespace, name) VALUES (?, ?)");
    const number = Number(insert.run(namespace, name).lastInsertRowid);
    this.#stores.set(key, number);
    return number;
  }

  /** What is in use: pages of removed events are used again before the file grows. */
  #bytes(): number {
    const pragma = (name: string): number =>
      Number(Object.values(this.#sqlite.prepare(`PRAGMA ${name}`).get() ?? {})[0] ?? 0);
    return (pragma("page_count") - pragma("freelist_count")) * pragma("page_size");
  }

  #checkFormat(): void {
    const row = this.#sqlite.prepare("SELECT value FROM meta WHERE name = 'format'").get();
    if (row === undefined) this.#sqlite.exec(`INSERT INTO meta VALUES ('format', ${FORMAT})`);
    else if (Number(row["value"]) > FORMAT)
      throw new StatusError(
        "ServiceUnavailable",
        `${this.#path} has format ${String(row["value"])}, this version knows up to ${FORMAT}; start the newer version again`,
      );
  }

  #explain(error: unknown): StatusError {
    if (error instanceof StatusError) return error;
    const { errcode = 0, message } = error as Error & { errcode?: number };
    // The low byte is SQLite's primary result code (sqlite.org/rescode.html): 13 FULL, 11 CORRUPT, 26 NOTADB.
    const primary = errcode & 0xff;
    if (primary === 13)
      return new StatusError(
        "InsufficientStorage",
        `the disk that holds ${this.#path} is full; free space, stores keep their events meanwhile`,
        { cause: error },
      );
    const why = primary === 11 || primary === 26 ? "it is damaged; restore it or move it away" : message;
    return new StatusError("ServiceUnavailable", `cannot use ${this.#path}: ${why}`, { cause: error });
  }
}
