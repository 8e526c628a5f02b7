import { closeSync, existsSync, fsyncSync, openSync } from "node:fs";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { StatusError } from "@cortado/std/status";
import type { Commit, Row } from "../../durability.ts";
import type { KeyValue, Revision } from "../../store.ts";

/**
 * The format on disk.
 * 1: tables `current` (newest value of each key) and `meta` (format, reserved revision).
 */
export const FORMAT = 1;

/**
 * One file, one connection, no other process: WAL for cheap small commits, FULL so that a commit survives a power cut, EXCLUSIVE
 * so that no -shm file is left to go bad. The page cache stays small: warm values live in the engine's memory, and cold ones are
 * in the operating system's.
 */
const pragmas = `
  PRAGMA locking_mode = EXCLUSIVE;
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = FULL;
  PRAGMA wal_autocheckpoint = 1000;
  PRAGMA journal_size_limit = 8388608;
  PRAGMA cache_size = -1024;
  PRAGMA temp_store = MEMORY;
`;

const schema = `
  CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS current (
    key TEXT PRIMARY KEY, value BLOB NOT NULL, modified INTEGER NOT NULL, created INTEGER NOT NULL
  ) WITHOUT ROWID;
`;

/**
 * A killed process may have left a commit in the log that it never synced. SQLite takes it for good and so do we, giving out what
 * it holds; so it must stay, or a power cut would take it away again and its revisions would be used twice.
 */
function syncLog(path: string): void {
  if (!existsSync(`${path}-wal`)) return;
  const log = openSync(`${path}-wal`, "r+");
  try {
    fsyncSync(log);
  } finally {
    closeSync(log);
  }
}

/** The SQLite file, driven synchronously; runs on the event loop or in a worker. */
export class Database implements Disposable {
  readonly #path: string;
  readonly #sqlite: DatabaseSync;
  readonly #put: StatementSync;
  readonly #delete: StatementSync;
  readonly #meta: StatementSync;
  readonly #get: StatementSync;

  /** @throws StatusError "ServiceUnavailable" when the file cannot be opened, is damaged, or is of a newer format */
  constructor(path: string) {
    this.#path = path;
    try {
      syncLog(path);
      this.#sqlite = new DatabaseSync(path, { enableForeignKeyConstraints: false });
      this.#sqlite.exec(pragmas);
      this.#sqlite.exec(schema);
      this.#checkFormat();
      this.#put = this.#sqlite.prepare(
        "INSERT INTO current (key, value, modified, created) VALUES (?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET " +
          "value = excluded.value, modified = excluded.modified, created = excluded.created",
      );
      this.#get = this.#sqlite.prepare("SELECT value, modified, created FROM current WHERE key = ?");
      this.#delete = this.#sqlite.prepare("DELETE FROM current WHERE key = ?");
      this.#meta = this.#sqlite.prepare(
        "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
      );
    } catch (error) {
      throw this.#explain(error);
    }
  }

  *rows(): Iterable<Row> {
    const rows = this.#sqlite.prepare("SELECT key, modified, created FROM current ORDER BY key").iterate();
    for (const row of rows) yield row as unknown as Row;
  }

  read(keys: readonly string[]): readonly (KeyValue | undefined)[] {
    try {
      return keys.map((key) => {
        const row = this.#get.get(key);
        return row === undefined ? undefined : ({ key, ...row } as KeyValue);
      });
    } catch (error) {
      throw this.#explain(error);
    }
  }

  get reserved(): Revision {
    const newest = this.#sqlite.prepare("SELECT max(modified) AS newest FROM current").get() as {
      newest: number | null;
    };
    return Math.max(this.#readMeta("reserved") ?? 0, newest.newest ?? 0) as Revision;
  }

  commit({ changes, reserved }: Commit): void {
    try {
      this.#sqlite.exec("BEGIN IMMEDIATE");
      for (const [key, row] of changes)
        if (row === undefined) this.#delete.run(key);
        else this.#put.run(key, row.value, row.modified, row.created);
      this.#meta.run("reserved", reserved);
      this.#sqlite.exec("COMMIT");
    } catch (error) {
      if (this.#sqlite.isTransaction) this.#sqlite.exec("ROLLBACK");
      throw this.#explain(error);
    }
  }

  [Symbol.dispose](): void {
    this.#sqlite.close();
  }

  #checkFormat(): void {
    const found = this.#readMeta("format");
    if (found === undefined) this.#sqlite.exec(`INSERT INTO meta (name, value) VALUES ('format', ${FORMAT})`);
    else if (found > FORMAT) {
      const message = `${this.#path} has format ${found}, this version knows up to ${FORMAT}; start the newer version again`;
      throw new StatusError("ServiceUnavailable", message);
    }
  }

  #readMeta(name: string): number | undefined {
    const row = this.#sqlite.prepare("SELECT value FROM meta WHERE name = ?").get(name) as
      | { value: number }
      | undefined;
    return row?.value;
  }

  #explain(error: unknown): StatusError {
    if (error instanceof StatusError) return error;
    const { errcode = 0, message } = error as Error & { errcode?: number };
    // The low byte is SQLite's primary result code (sqlite.org/rescode.html): 13 FULL, 8 READONLY, 10 IOERR, 11 CORRUPT, 26 NOTADB.
    const primary = errcode & 0xff;
    if (primary === 13)
      return new StatusError(
        "InsufficientStorage",
        `the disk that holds ${this.#path} is full; free space, nothing is lost`,
        { cause: error },
      );
    const advice = {
      8: "it is read-only; mount it writable again",
      10: "the disk fails; check it",
      5: "another process holds it; end that one",
    };
    const damaged = primary === 11 || primary === 26 ? "it is damaged; restore it from a backup" : message;
    const why = advice[primary as keyof typeof advice] ?? damaged;
    return new StatusError("ServiceUnavailable", `cannot use ${this.#path}: ${why}`, { cause: error });
  }
}
