import type { DatabaseSync } from "node:sqlite";
import { inTransaction, openDatabase } from "../service/database.ts";
import { Outbox, outboxSchema } from "../service/outbox.ts";
import type { Charge } from "./acquirer.ts";

/** open: not answered yet; stored: taken offline, to be forwarded; owed: declined when forwarded. */
export type PaymentState = "open" | "paid" | "stored" | "owed" | "declined";

export type Payment = {
  readonly id: string;
  readonly amountCents: number;
  readonly currency: string;
  readonly method: string;
  readonly state: PaymentState;
  readonly storedAt: string | null;
};

/** A token is in the vault only while its payment waits to be forwarded, and is overwritten afterwards. */
const schema = `
  CREATE TABLE IF NOT EXISTS payments (
    id TEXT PRIMARY KEY, amount_cents INTEGER NOT NULL, currency TEXT NOT NULL, method TEXT NOT NULL, state TEXT NOT NULL,
    stored_at TEXT, token TEXT
  );
  CREATE INDEX IF NOT EXISTS payments_by_state ON payments (state);
  ${outboxSchema}
`;

export type Caps = { readonly perPaymentCents: number; readonly storedCents: number };
export type Exposure = { readonly count: number; readonly cents: number; readonly oldest: string | null };

export class Vault {
  readonly #database: DatabaseSync;
  readonly #outbox: Outbox;
  readonly #caps: Caps;

  constructor(options: { readonly path: string; readonly caps: Caps; readonly orderUrl: string }) {
    this.#database = openDatabase(options.path, schema);
    this.#caps = options.caps;
    this.#outbox = new Outbox({
      service: "payment",
      database: this.#database,
      targets: { order: `${options.orderUrl}/settlements` },
    });
  }

  /** The payment of an order, made when it is new. */
  open(charge: Charge, method: string): Payment {
    const insert = `INSERT INTO payments (id, amount_cents, currency, method, state) VALUES (?, ?, ?, ?, 'open') ON CONFLICT (id) DO NOTHING`;
    this.#database.prepare(insert).run(charge.reference, charge.amountCents, charge.currency, method);
    return this.get(charge.reference) as Payment;
  }

  get(id: string): Payment | undefined {
    const columns = "id, amount_cents AS amountCents, currency, method, state, stored_at AS storedAt";
    return this.#database.prepare(`SELECT ${columns} FROM payments WHERE id = ?`).get(id) as
      | Payment
      | undefined;
  }

  mark(id: string, state: "paid" | "declined"): void {
    this.#database.prepare("UPDATE payments SET state = ?, token = NULL WHERE id = ?").run(state, id);
  }

  /** Takes a payment offline if the caps allow; says why not. The check and the write are one transaction. */
  store({
    reference,
    amountCents,
    token,
  }: Charge): { readonly stored: true } | { readonly stored: false; readonly why: string } {
    return inTransaction(this.#database, () => {
      const { cents } = this.exposure();
      const { perPaymentCents, storedCents } = this.#caps;
      if (amountCents > perPaymentCents)
        return {
          stored: false,
          why: `the line is down and ${amountCents} cents is over the offline limit of ${perPaymentCents} a payment`,
        };
      if (cents + amountCents > storedCents)
        return {
          stored: false,
          why: `the line is down and the offline limit of ${storedCents} cents in all is reached; pay in cash`,
        };
      const update = "UPDATE payments SET state = 'stored', stored_at = ?, token = ? WHERE id = ?";
      this.#database.prepare(update).run(new Date().toISOString(), token, reference);
      return { stored: true };
    });
  }

  exposure(): Exposure {
    const sum =
      "SELECT count(*) AS count, coalesce(sum(amount_cents), 0) AS cents, min(stored_at) AS oldest FROM payments WHERE state = 'stored'";
    return this.#database.prepare(sum).get() as Exposure;
  }

  /** The oldest stored payment with its token. */
  nextStored(): Charge | undefined {
    const columns = "id AS reference, amount_cents AS amountCents, currency, token";
    const next = this.#database.prepare(
      `SELECT ${columns} FROM payments WHERE state = 'stored' ORDER BY stored_at, id LIMIT 1`,
    );
    return next.get() as Charge | undefined;
  }

  /** What became of a stored payment; the order service is told in the same transaction. */
  settle(id: string, state: "paid" | "owed"): void {
    inTransaction(this.#database, () => {
      const settled = this.#database
        .prepare("UPDATE payments SET state = ?, token = NULL WHERE id = ? AND state = 'stored'")
        .run(state, id);
      if (settled.changes > 0) this.#outbox.add("order", { order: id, state });
    });
    this.#outbox.flush();
  }
}
