import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import type { DemoWorld, EventLine, StoreEntry } from "../end-to-end/demo-world.ts";

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

export type StoreCount = { readonly store: string; readonly orders: number; readonly alarms: number };

/** Somebody buys and something is too warm in each store, also while the store or its hub is dead; and what each was told. */
export class FleetLoad {
  readonly #world: DemoWorld;
  readonly #stop = new AbortController();
  readonly #sales: readonly Sales[];
  readonly #work: readonly Promise<void>[];

  constructor(world: DemoWorld, stores: readonly string[]) {
    this.#world = world;
    // A demo keeps its ports.
    this.#sales = stores.map((name) => new Sales(world, world.storeNamed(name)));
    this.#work = this.#sales.flatMap((sales) => [
      sales.sell(this.#stop.signal),
      sales.warn(this.#stop.signal),
    ]);
    for (const work of this.#work) work.catch(() => undefined);
  }

  get orders(): number {
    return this.#sales.reduce((sum, { orders }) => sum + orders.size, 0);
  }

  /** Lets everybody finish what they began. */
  async finish(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#work);
  }

  end(): void {
    this.#stop.abort();
  }

  /** What was acknowledged in a store and is not at the hub. */
  async missing(): Promise<readonly string[]> {
    const missing: string[] = [];
    for (const { store, orders, warned } of this.#sales) {
      const sold = new Set((await this.#told(store, "order")).map((line) => String(line["order"])));
      const alarms = new Set((await this.#told(store, "alert")).map(numberOf));
      missing.push(...[...orders].filter((id) => !sold.has(id)).map((id) => `${store}: order ${id}`));
      missing.push(...[...warned].filter((n) => !alarms.has(n)).map((n) => `${store}: alarm ${n}`));
    }
    return missing;
  }

  /** Counts what is at the hub; each event, each change of an order and each alarm is there once. */
  async count(): Promise<readonly StoreCount[]> {
    const counts: StoreCount[] = [];
    for (const { store, orders } of this.#sales) {
      const sold = await this.#told(store, "order");
      const alarms = await this.#told(store, "alert");
      isOnce(
        "events",
        [...sold, ...alarms].map((line) => String(line["id"])),
      );
      isOnce(
        "changes of orders",
        sold.map((line) => `${String(line["order"])} ${String(line["state"])}`),
      );
      isOnce(
        "alarms",
        alarms.flatMap((line) => numberOf(line) ?? []).map((n) => `${store} ${n}`),
      );
      const known = new Set(sold.map((line) => String(line["order"])));
      counts.push({ store, orders: known.size, alarms: alarms.length });
      assert.ok(
        known.size >= orders.size,
        `${store} told of ${known.size} orders, ${orders.size} were taken`,
      );
    }
    return counts;
  }

  #told(store: string, kind: string): Promise<readonly EventLine[]> {
    return this.#world.events(`store=${store}&kind=${kind}`);
  }
}

/** What is bought and warned of in one store. */
class Sales {
  readonly orders: Set<string> = new Set();
  readonly warned: Set<number> = new Set();
  readonly #world: DemoWorld;
  readonly #at: StoreEntry;

  constructor(world: DemoWorld, at: StoreEntry) {
    this.#world = world;
    this.#at = at;
  }

  get store(): string {
    return this.#at.name;
  }

  /** An order is tried until it is taken: its id makes it one. */
  async sell(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const id = randomUUID();
      for (let tries = 0; !this.orders.has(id); tries += 1) {
        assert.ok(tries < 400, `order ${id} was never taken in ${this.store}`);
        const { status } = await this.#world.order(1, id, "latte", this.#at);
        if (status === 201 || status === 200) this.orders.add(id);
        else await sleep(250);
      }
      await sleep(400);
    }
  }

  /** A publish without an answer is not sent again: what was answered came once. */
  async warn(signal: AbortSignal): Promise<void> {
    for (let n = 0; !signal.aborted; n += 1) {
      const text = JSON.stringify({ temp: 97.4, unit: "F", n });
      const { code } = await this.#world.publishAt(this.#at, "/store104/fridge/temp", text);
      if (code === 0) this.warned.add(n);
      await sleep(2_000);
    }
  }
}

function numberOf(line: EventLine): number | undefined {
  const { n } = JSON.parse(String(line["payload"])) as { readonly n?: number };
  return n;
}

function isOnce(what: string, all: readonly string[]): void {
  const seen = new Set<string>();
  const again = all.filter((one) => seen.has(one) || !seen.add(one));
  assert.deepEqual(again, [], `${what} that are at the hub twice`);
}
