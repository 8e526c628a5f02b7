import type { DatabaseSync } from "node:sqlite";
import { randomUUID } from "node:crypto";
import { callService } from "./call.ts";
import { log } from "./http.ts";

/** Created beside a service's own tables: what must be told to others, written in the same transaction as what happened. */
export const outboxSchema = `
  CREATE TABLE IF NOT EXISTS outbox (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, target TEXT NOT NULL, body TEXT NOT NULL
  );
`;

export type OutboxOptions = {
  readonly service: string;
  readonly database: DatabaseSync;
  /** URL of each target; a message is a POST of its body, and any 2xx is a receipt. */
  readonly targets: Readonly<Record<string, string>>;
};

/** Wait after a failed delivery, doubling to the maximum. */
const RETRY_FIRST_MS = 200;
const RETRY_MAX_MS = 10_000;
/** Messages in one POST. */
const BATCH_MAX = 50;

/**
 * Delivers messages at least once, in order per target. Each carries an id of its own, so that a receiver that keeps ids counts
 * each once. Messages for a target that is away wait on disk for as long as it takes.
 */
export class Outbox {
  readonly #options: OutboxOptions;
  readonly #busy = new Set<string>();
  /** Woken while it was at work: it may just have found nothing left. */
  readonly #again = new Set<string>();
  readonly #retryMs = new Map<string, number>();

  constructor(options: OutboxOptions) {
    this.#options = options;
    for (const target of Object.keys(options.targets)) this.#wake(target);
  }

  /** Inside a transaction of the caller's: the message exists if and only if the transaction commits. */
  add(target: string, body: Readonly<Record<string, unknown>>): void {
    const id = randomUUID();
    const insert = "INSERT INTO outbox (id, target, body) VALUES (?, ?, ?)";
    this.#options.database.prepare(insert).run(id, target, JSON.stringify({ id, ...body }));
  }

  /** After the commit: begins to deliver at once. */
  flush(): void {
    for (const target of Object.keys(this.#options.targets)) this.#wake(target);
  }

  #wake(target: string): void {
    if (this.#busy.has(target)) {
      this.#again.add(target);
      return;
    }
    this.#busy.add(target);
    void this.#deliver(target).finally(() => {
      this.#busy.delete(target);
      if (this.#again.delete(target)) this.#wake(target);
    });
  }

  async #deliver(target: string): Promise<void> {
    const { database, targets, service } = this.#options;
    const next = database.prepare(
      "SELECT sequence, body FROM outbox WHERE target = ? ORDER BY sequence LIMIT ?",
    );
    for (;;) {
      const rows = next.all(target, BATCH_MAX) as { sequence: number; body: string }[];
      if (rows.length === 0) return;
      try {
        const body = rows.map((row) => JSON.parse(row.body) as unknown);
        const { status } = await callService(targets[target] as string, {
          method: "POST",
          body,
          timeoutMs: 5_000,
        });
        if (status >= 300) throw new Error(`answered ${status}`);
        database
          .prepare("DELETE FROM outbox WHERE target = ? AND sequence <= ?")
          .run(target, rows.at(-1)?.sequence ?? 0);
        this.#retryMs.delete(target);
      } catch (error) {
        const waitMs = this.#retryMs.get(target) ?? RETRY_FIRST_MS;
        this.#retryMs.set(target, Math.min(RETRY_MAX_MS, waitMs * 2));
        if (waitMs >= RETRY_MAX_MS) log(service, "messages wait", { target, error: String(error) });
        await new Promise((resolve) => setTimeout(resolve, waitMs));
      }
    }
  }
}
