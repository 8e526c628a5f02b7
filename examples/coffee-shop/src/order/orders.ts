import { randomBytes } from "node:crypto";
import type { DatabaseSync } from "node:sqlite";
import { inTransaction, openDatabase } from "../service/database.ts";
import { Refusal } from "../service/http.ts";
import { Outbox, outboxSchema } from "../service/outbox.ts";
import { currency } from "./menu.ts";
import { fingerprint, type Line, type OrderRequest } from "./request.ts";

/** new: not paid yet; paid: the acquirer said yes, or cash; stored: paid offline, not yet forwarded; owed: declined afterwards. */
export type PaymentState = "new" | "paid" | "stored" | "owed";
export const stages = ["new", "queued", "making", "ready", "collected", "void"] as const;
export type Stage = (typeof stages)[number];

export type Order = {
  readonly id: string;
  readonly sequence: number;
  readonly at: string;
  readonly items: readonly Line[];
  readonly totalCents: number;
  readonly currency: string;
  readonly payment: { readonly method: string; readonly state: PaymentState };
  readonly state: Stage;
};

const schema = `
  CREATE TABLE IF NOT EXISTS orders (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, fingerprint TEXT NOT NULL, at TEXT NOT NULL,
    items TEXT NOT NULL, total_cents INTEGER NOT NULL, method TEXT NOT NULL, payment TEXT NOT NULL, state TEXT NOT NULL
  );
  CREATE INDEX IF NOT EXISTS orders_by_state ON orders (state, sequence);
  CREATE TABLE IF NOT EXISTS secret (name TEXT PRIMARY KEY, value BLOB NOT NULL);
  ${outboxSchema}
`;

type Row = {
  readonly sequence: number;
  readonly id: string;
  readonly fingerprint: string;
  readonly at: string;
  readonly items: string;
  readonly total_cents: number;
  readonly method: string;
  readonly payment: PaymentState;
  readonly state: Stage;
};

export type OrdersOptions = {
  readonly path: string;
  readonly store: string;
  readonly targets: { readonly telemetry: string; readonly inventory: string };
};

/** The orders of a store, and the outbox that tells telemetry and inventory of them. */
export class Orders {
  readonly #database: DatabaseSync;
  readonly #outbox: Outbox;
  readonly #store: string;
  readonly #key: Uint8Array;

  constructor({ path, store, targets }: OrdersOptions) {
    this.#database = openDatabase(path, schema);
    this.#store = store;
    this.#outbox = new Outbox({ service: "order", database: this.#database, targets });
    this.#database
      .prepare("INSERT OR IGNORE INTO secret (name, value) VALUES ('fingerprint', ?)")
      .run(randomBytes(32));
    this.#key = (
      this.#database.prepare("SELECT value FROM secret WHERE name = 'fingerprint'").get() as {
        value: Uint8Array;
      }
    ).value;
  }

  /** The order of this request, made when its id is new. @throws Refusal 409 when the id is known with another body */
  open(request: OrderRequest): Order {
    const print = fingerprint(request, this.#key);
    const insert = `INSERT INTO orders (id, fingerprint, at, items, total_cents, method, payment, state)
      VALUES (?, ?, ?, ?, ?, ?, 'new', 'new') ON CONFLICT (id) DO NOTHING`;
    const { id, items, totalCents, payment } = request;
    const at = new Date().toISOString();
    this.#database.prepare(insert).run(id, print, at, JSON.stringify(items), totalCents, payment.method);
    const row = this.#row(id);
    if (row?.fingerprint !== print)
      throw new Refusal(409, `order ${id} is known with another body; use a new id for a new order`);
    return toOrder(row);
  }

  get(id: string): Order | undefined {
    const row = this.#row(id.toLowerCase());
    return row === undefined || row.payment === "new" ? undefined : toOrder(row);
  }

  /** Accepts an order whose payment is settled: durable, with its messages, when this returns. */
  accept(id: string, payment: "paid" | "stored"): Order {
    const order = inTransaction(this.#database, () => {
      const accepted = this.#database.prepare(
        "UPDATE orders SET payment = ?, state = 'queued' WHERE id = ? AND payment = 'new'",
      );
      // A second caller with the same id came first: its messages are written already.
      if (accepted.run(payment, id).changes === 0) return toOrder(this.#row(id) as Row);
      const now = toOrder(this.#row(id) as Row);
      this.#outbox.add("inventory", { order: id, store: this.#store, at: now.at, items: now.items });
      this.#tell(now, payment);
      return now;
    });
    this.#outbox.flush();
    return order;
  }

  /** A stored payment was settled or declined later. Telling it twice changes nothing. */
  settle(id: string, payment: "paid" | "owed"): void {
    inTransaction(this.#database, () => {
      const settled = this.#database
        .prepare("UPDATE orders SET payment = ? WHERE id = ? AND payment = 'stored'")
        .run(payment, id);
      if (settled.changes > 0) this.#tell(toOrder(this.#row(id) as Row), payment);
    });
    this.#outbox.flush();
  }

  /** Moves an order on. @throws Refusal 404 or 409 when it cannot go there */
  advance(id: string, to: Stage): Order {
    const order = inTransaction(this.#database, () => {
      const row = this.#row(id.toLowerCase());
      if (row === undefined || row.payment === "new") throw new Refusal(404, `there is no order ${id}`);
      if (row.state === to) return toOrder(row);
      if (stages.indexOf(to) <= stages.indexOf(row.state) || row.state === "collected")
        throw new Refusal(409, `order ${id} is ${row.state} and cannot become ${to}`);
      this.#database.prepare("UPDATE orders SET state = ? WHERE id = ?").run(to, row.id);
      const now = toOrder(this.#row(row.id) as Row);
      this.#tell(now, to);
      return now;
    });
    this.#outbox.flush();
    return order;
  }

  /** What the barista sees: paid for and not yet handed over, oldest first. */
  queue(): readonly Order[] {
    const rows = this.#database
      .prepare(
        "SELECT * FROM orders WHERE state IN ('queued', 'making', 'ready') ORDER BY sequence LIMIT 200",
      )
      .all();
    return rows.map((row) => toOrder(row as Row));
  }

  /** Throws when the disk does not take a write. */
  check(): void {
    inTransaction(this.#database, () =>
      this.#database
        .prepare("INSERT INTO secret (name, value) VALUES ('alive', x'00') ON CONFLICT (name) DO NOTHING")
        .run(),
    );
  }

  /** One line per change of state; never a token. */
  #tell({ id, totalCents, at }: Order, state: string): void {
    const now = new Date().toISOString();
    this.#outbox.add("telemetry", {
      kind: "order",
      store: this.#store,
      at: now,
      order: id,
      amount: totalCents,
      currency,
      state,
      placedAt: at,
    });
  }

  #row(id: string): Row | undefined {
    return this.#database.prepare("SELECT * FROM orders WHERE id = ?").get(id) as Row | undefined;
  }
}

function toOrder(row: Row): Order {
  const items = JSON.parse(row.items) as Line[];
  const payment = { method: row.method, state: row.payment };
  return {
    id: row.id,
    sequence: row.sequence,
    at: row.at,
    items,
    totalCents: row.total_cents,
    currency,
    payment,
    state: row.state,
  };
}
