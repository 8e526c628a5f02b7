import type { Claims } from "./claims.ts";

export type Read = { readonly id: string; readonly sequence: number };

/** Events that an outbox hands to the journal until they are acknowledged, and a forwarder reads once in order. */
export class EventChecker {
  readonly #claims: Claims;
  readonly #store: string;
  readonly #acknowledged = new Set<string>();
  readonly #read = new Map<string, number>();
  after = 0;

  constructor(claims: Claims, store: string) {
    this.#claims = claims;
    this.#store = store;
  }

  acknowledged(id: string): void {
    this.#acknowledged.add(id);
  }

  /** The forwarder reads on from where it was. */
  forwarded(events: readonly Read[]): void {
    for (const { id, sequence } of events) {
      const known = this.#read.get(id);
      const detail = `event ${id} has sequence ${sequence} after ${known === undefined ? this.after : known}`;
      this.#claims.check(known === undefined && sequence > this.after, "events", () => ({
        store: this.#store,
        detail,
      }));
      this.#read.set(id, sequence);
      this.after = sequence;
    }
  }

  /** Everything that is in the journal at the end. */
  atRest(events: readonly Read[]): void {
    const found = new Map(events.map(({ id, sequence }) => [id, sequence]));
    const say = (detail: string) => (): { store: string; detail: string } => ({ store: this.#store, detail });
    this.#claims.check(found.size === events.length, "events", say("an id is twice in the journal"));
    for (const id of this.#acknowledged)
      this.#claims.check(found.has(id), "events", say(`acknowledged event ${id} is not in the journal`));
    for (const [id, sequence] of this.#read)
      this.#claims.check(
        found.get(id) === sequence,
        "events",
        say(`event ${id} was read at ${sequence} and is at ${found.get(id)} now`),
      );
  }
}
