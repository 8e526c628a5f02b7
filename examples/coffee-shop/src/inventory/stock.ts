import type { DatabaseSync } from "node:sqlite";
import { inTransaction, openDatabase } from "../service/database.ts";
import { Outbox, outboxSchema } from "../service/outbox.ts";
import { ingredients, recipes, type Ingredient } from "./recipes.ts";

export type StockItem = {
  readonly sku: string;
  readonly name: string;
  readonly unit: string;
  readonly quantity: number;
  /** Sold more than was there: a person must count. */
  readonly negative: boolean;
  readonly low: boolean;
};

export type Sale = {
  readonly id: string;
  readonly order: string;
  readonly items: readonly { readonly sku: string; readonly quantity: number }[];
};

/** Stock is a sum of deltas, each counted once by its event's id, so that sales commute and repeats do no harm. */
const schema = `
  CREATE TABLE IF NOT EXISTS stock (sku TEXT PRIMARY KEY, quantity INTEGER NOT NULL, reordered INTEGER NOT NULL DEFAULT 0);
  CREATE TABLE IF NOT EXISTS seen (id TEXT PRIMARY KEY) WITHOUT ROWID;
  ${outboxSchema}
`;

/** What is left of an ingredient, and below what it is low. */
export type Change = { readonly sku: string; readonly quantity: number; readonly minimum: number };
export type Delivery = { readonly sku: string; readonly quantity: number };

export class Stock {
  readonly #database: DatabaseSync;
  readonly #outbox: Outbox;
  readonly #store: string;

  constructor(options: { readonly path: string; readonly store: string; readonly telemetryUrl: string }) {
    this.#database = openDatabase(options.path, schema);
    this.#store = options.store;
    const targets = { telemetry: options.telemetryUrl };
    this.#outbox = new Outbox({ service: "inventory", database: this.#database, targets });
    const insert = this.#database.prepare("INSERT OR IGNORE INTO stock (sku, quantity) VALUES (?, ?)");
    for (const { sku, initial } of ingredients) insert.run(sku, initial);
  }

  /** Takes sales off the shelf; none is refused. Answers the ingredients that changed. */
  sell(sales: readonly Sale[]): readonly Change[] {
    const changed = inTransaction(this.#database, () => {
      const skus = new Set<string>();
      for (const sale of sales) if (this.#isNew(sale.id)) for (const sku of this.#take(sale)) skus.add(sku);
      return [...skus].map((sku) => this.#reorderIfLow(sku));
    });
    this.#outbox.flush();
    return changed;
  }

  /** A delivery or a correction: adds (or takes) and ends the open re-order when there is enough again. */
  add(id: string, { sku, quantity }: Delivery): readonly Change[] {
    return inTransaction(this.#database, () => {
      if (!this.#isNew(id)) return [];
      this.#database.prepare("UPDATE stock SET quantity = quantity + ? WHERE sku = ?").run(quantity, sku);
      return [this.#reorderIfLow(sku)];
    });
  }

  /** Orders an ingredient again when it is low and not ordered yet. */
  checkAgain(sku: string): void {
    inTransaction(this.#database, () => this.#reorderIfLow(sku));
    this.#outbox.flush();
  }

  items(): readonly StockItem[] {
    return ingredients.map((ingredient) => {
      const { sku, name, unit, reorderBelow } = ingredient;
      const quantity = this.#quantity(sku);
      return { sku, name, unit, quantity, negative: quantity < 0, low: quantity < reorderBelow };
    });
  }

  #isNew(id: string): boolean {
    return this.#database.prepare("INSERT OR IGNORE INTO seen (id) VALUES (?)").run(id).changes === 1;
  }

  #take({ items }: Sale): readonly string[] {
    const update = this.#database.prepare("UPDATE stock SET quantity = quantity - ? WHERE sku = ?");
    const skus: string[] = [];
    for (const { sku, quantity } of items)
      for (const [ingredient, amount] of Object.entries(recipes[sku] ?? {})) {
        update.run(amount * quantity, ingredient);
        skus.push(ingredient);
      }
    return skus;
  }

  /** One re-order event while an ingredient stays low, however many sales come meanwhile. */
  #reorderIfLow(sku: string): Change {
    const quantity = this.#quantity(sku);
    const { reorderBelow, reorderQuantity } = ingredients.find((one) => one.sku === sku) as Ingredient;
    const flag = this.#database.prepare("UPDATE stock SET reordered = ? WHERE sku = ? AND reordered <> ?");
    if (quantity >= reorderBelow) flag.run(0, sku, 0);
    else if (flag.run(1, sku, 1).changes === 1) {
      const at = new Date().toISOString();
      this.#outbox.add("telemetry", {
        kind: "event",
        event: "reorder",
        store: this.#store,
        at,
        sku,
        left: quantity,
        quantity: reorderQuantity,
      });
    }
    return { sku, quantity, minimum: reorderBelow };
  }

  #quantity(sku: string): number {
    return (
      this.#database.prepare("SELECT quantity FROM stock WHERE sku = ?").get(sku) as { quantity: number }
    ).quantity;
  }
}
