import { assert } from "@cortado/std/assert";
import { StatusError } from "@cortado/std/status";
import { HISTORY_BYTES_MAX, HISTORY_EVENTS_MAX } from "./limits.ts";
import { noRevision, type KeyValue, type Revision, type StoreEvent } from "./store.ts";

export type HistoryLimits = { readonly eventsMax: number; readonly bytesMax: number };

/**
 * The newest events, oldest first. When it grows past its limits the oldest are forgotten, and `compacted` says up to where:
 * this is when an old revision is forgotten.
 */
export class History {
  readonly #limits: HistoryLimits;
  #events: StoreEvent[] = [];
  // Forgetting moves this mark, and the array is cut only now and then: shifting 10,000 places per write would cost more.
  #start = 0;
  #bytes = 0;
  #compacted: Revision = noRevision;

  constructor(limits: HistoryLimits = { eventsMax: HISTORY_EVENTS_MAX, bytesMax: HISTORY_BYTES_MAX }) {
    this.#limits = limits;
  }

  get compacted(): Revision {
    return this.#compacted;
  }

  /** Begins after a restart: nothing of before can be resumed. */
  startAt(revision: Revision): void {
    assert(this.#events.length === 0, "a history begins once");
    this.#compacted = revision;
  }

  append(event: StoreEvent): void {
    const newest = this.#events.at(-1);
    assert(newest === undefined || newest.revision < event.revision, "revisions only grow");
    assert(event.revision > this.#compacted, "no event is older than what is forgotten");
    this.#events.push(event);
    this.#bytes += event.value.byteLength;
    while (this.#length > this.#limits.eventsMax || (this.#bytes > this.#limits.bytesMax && this.#length > 1))
      this.#forgetOldest();
  }

  compact(revision: Revision): void {
    while (this.#length > 0 && (this.#events[this.#start] as StoreEvent).revision <= revision)
      this.#forgetOldest();
    if (revision > this.#compacted) this.#compacted = revision;
  }

  /** Events after `revision`, at most `limit`. @throws StatusError "Expired" when some of them are forgotten */
  after(revision: Revision, limit: number): readonly StoreEvent[] {
    this.mustRemember(revision);
    const from = this.#firstAfter(revision);
    return this.#events.slice(from, from + limit);
  }

  /** What each key that changed after `revision` was then; undefined when it was not there. */
  before(revision: Revision): ReadonlyMap<string, KeyValue | undefined> {
    this.mustRemember(revision);
    const then = new Map<string, KeyValue | undefined>();
    for (let at = this.#firstAfter(revision); at < this.#events.length; at += 1) {
      const event = this.#events[at] as StoreEvent;
      if (!then.has(event.key)) then.set(event.key, event.previous);
    }
    return then;
  }

  mustRemember(revision: Revision): void {
    if (revision >= this.#compacted) return;
    const message = `revision ${revision} is too old: the oldest still known is ${this.#compacted}; list again and watch from there`;
    throw new StatusError("Expired", message);
  }

  get #length(): number {
    return this.#events.length - this.#start;
  }

  #firstAfter(revision: Revision): number {
    let low = this.#start;
    let high = this.#events.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#events[middle] as StoreEvent).revision <= revision) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #forgetOldest(): void {
    const oldest = this.#events[this.#start] as StoreEvent;
    this.#compacted = oldest.revision;
    this.#bytes -= oldest.value.byteLength;
    this.#start += 1;
    if (this.#start < 1_024 || this.#start * 2 < this.#events.length) return;
    this.#events = this.#events.slice(this.#start);
    this.#start = 0;
  }
}
