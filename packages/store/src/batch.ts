import { assert } from "@cortado/std/assert";
import type { Expectation, KeyValue, Revision, StoreEvent, Write, WriteResult } from "./store.ts";

/** Decides the writes of one commit in order, each seeing those before it. */
export class Batch {
  readonly events: StoreEvent[] = [];
  readonly durable: Map<string, KeyValue | undefined> = new Map();
  readonly volatile: Map<string, KeyValue> = new Map();
  readonly #committed: ReadonlyMap<string, KeyValue>;
  readonly #seen = new Map<string, KeyValue | undefined>();
  /** The revision of the next write. */
  next: number;

  /** `committed` has the values of the keys that are written to, where they are there. */
  constructor(committed: ReadonlyMap<string, KeyValue>, next: number) {
    this.#committed = committed;
    this.next = next;
  }

  take(write: Write): WriteResult {
    const current = this.#seen.has(write.key) ? this.#seen.get(write.key) : this.#committed.get(write.key);
    if (!holds(write.expect, current) || (write.kind === "delete" && current === undefined))
      return { written: false, current };
    // The text that is there already, not another of the same letters: ten thousand events name it.
    const key = current?.key ?? write.key;
    const revision = this.next as Revision;
    this.next += 1;
    assert(Number.isSafeInteger(this.next), "revisions stay exact");
    const created = current?.created ?? revision;
    const now = write.kind === "put" ? { key, value: write.value, modified: revision, created } : undefined;
    const value = write.kind === "put" ? write.value : (current as KeyValue).value;
    this.#seen.set(key, now);
    if (write.kind === "put" && write.volatile === true && current !== undefined && !this.durable.has(key))
      this.volatile.set(key, now as KeyValue);
    else {
      this.durable.set(key, now);
      this.volatile.delete(key);
    }
    this.events.push({ kind: write.kind, key, value, revision, created, previous: current });
    return { written: true, revision };
  }
}

function holds(expect: Expectation, current: KeyValue | undefined): boolean {
  if (expect.kind === "anything") return true;
  if (expect.kind === "absent") return current === undefined;
  return current?.modified === expect.revision;
}
