import type { JournalEvent, JournalPort } from "@cortado/fleet/agent/ports";
import type { Clock } from "@cortado/std/clock";
import type { Claims } from "../../checkers/claims.ts";
import { mortal } from "../../faults/mortal.ts";
import { never, type Life } from "../../faults/files.ts";

export type SoldEvent = JournalEvent & { readonly id: string; readonly kind: string };

/** Most important first. */
const classes = [
  { name: "orders", kinds: ["order"] },
  { name: "machines", kinds: ["machine"] },
] as const;

/** The journal of a store: outlives its agent, and forgets what the hub has said is on its disk. */
export class StoreJournal {
  readonly #events: SoldEvent[] = [];
  readonly #listeners = new Set<() => void>();
  #last = 0;

  /** Durable when it answers. */
  append(id: string, kind: string): void {
    this.#last += 1;
    this.#events.push({ id, kind, sequence: this.#last });
    for (const tell of [...this.#listeners]) tell();
  }

  get size(): number {
    return this.#events.length;
  }

  portOf(life: Life): JournalPort {
    const port: JournalPort = {
      classes,
      read: ({ after, kinds, limit }) =>
        Promise.resolve(
          this.#events.filter((one) => one.sequence > after && kinds.includes(one.kind)).slice(0, limit),
        ),
      trim: (through) => {
        const kept = this.#events.filter((one) => one.sequence > through);
        this.#events.splice(0, this.#events.length, ...kept);
        return Promise.resolve();
      },
      subscribe: (listener) => {
        this.#listeners.add(listener);
        return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
      },
    };
    return mortal(port, life);
  }
}

/** Events of all stores at the hub, on its disk, and what must have come there. */
export class CentralEvents {
  readonly #clock: Clock;
  readonly #claims: Claims;
  /** Ids that are there, by store. */
  readonly #kept = new Map<string, Set<string>>();
  readonly #sold = new Map<string, Set<string>>();

  constructor(ports: { readonly clock: Clock; readonly claims: Claims }) {
    this.#clock = ports.clock;
    this.#claims = ports.claims;
  }

  sold(store: string, id: string): void {
    this.#sold.set(store, (this.#sold.get(store) ?? new Set()).add(id));
  }

  /** What a hub does with events of a store: each id once; answers when they are on its disk. */
  take(store: string, events: readonly SoldEvent[], life: Life): Promise<number> {
    if (!life.alive) return never();
    return new Promise((resolve) => {
      this.#clock.after(3, () => {
        if (!life.alive) return;
        const kept = this.#kept.get(store) ?? new Set<string>();
        this.#kept.set(store, kept);
        let last = 0;
        for (const { id, sequence } of events) {
          this.#claims.check(sequence > last, "central", () => ({
            store,
            detail: `${id} came out of order`,
          }));
          last = sequence;
          const isSold = this.#sold.get(store)?.has(id) === true;
          this.#claims.check(isSold, "central", () => ({
            store,
            detail: `${id} came, and this store never had it`,
          }));
          kept.add(id);
        }
        resolve(last);
      });
    });
  }

  atRest(store: string): void {
    for (const id of this.#sold.get(store) ?? [])
      this.#claims.check(this.#kept.get(store)?.has(id) === true, "central", () => ({
        store,
        detail: `event ${id} is not at the hub`,
      }));
  }
}
