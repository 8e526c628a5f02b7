import { assert } from "@cortado/std/assert";
import type { KeyValue, Revision } from "./store.ts";

/** A key and its revisions, without the value. */
export type RowHead = Omit<KeyValue, "value">;

/** Keys of a list: those from `from` on and before `to`, in order. */
export type KeyRange = { readonly from: number; readonly to: number };

const FIRST_ROWS = 256;

/**
 * Which keys there are, in order of their UTF-16 units, and of each the revisions of its value: 20 bytes beside the key. Rows lie
 * where there was room; only their order, 4 bytes each, is moved when a key comes or goes.
 */
export class Rows {
  readonly #keys: string[] = [];
  readonly #free: number[] = [];
  #modified: Float64Array = new Float64Array(FIRST_ROWS);
  #created: Float64Array = new Float64Array(FIRST_ROWS);
  #order: Uint32Array = new Uint32Array(FIRST_ROWS);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** For a driver that opens: in any order, each key once. */
  fill(heads: Iterable<RowHead>): void {
    assert(this.#size === 0, "rows are filled once");
    for (const head of heads) {
      const row = this.#take(head); // which may make the order longer
      this.#order[this.#size] = row;
      this.#size += 1;
    }
    const keys = this.#keys;
    this.#order
      .subarray(0, this.#size)
      .sort((one, other) => ((keys[one] as string) < (keys[other] as string) ? -1 : 1));
  }

  find(key: string): RowHead | undefined {
    const row = this.#rowOf(key);
    if (row === undefined) return undefined;
    const [modified, created] = [this.#modified[row] as Revision, this.#created[row] as Revision];
    return { key: this.#keys[row] as string, modified, created };
  }

  has(key: string): boolean {
    return this.#rowOf(key) !== undefined;
  }

  /** The revision of the key's value; undefined when there is no such key. */
  modified(key: string): Revision | undefined {
    const row = this.#rowOf(key);
    return row === undefined ? undefined : (this.#modified[row] as Revision);
  }

  put(head: RowHead): void {
    const at = this.#firstNotBelow(head.key);
    const row = at < this.#size ? (this.#order[at] as number) : undefined;
    if (row !== undefined && this.#keys[row] === head.key) {
      this.#modified[row] = head.modified;
      this.#created[row] = head.created;
      return;
    }
    const taken = this.#take(head);
    this.#order.copyWithin(at + 1, at, this.#size);
    this.#order[at] = taken;
    this.#size += 1;
  }

  delete(key: string): void {
    const at = this.#firstNotBelow(key);
    const row = at < this.#size ? (this.#order[at] as number) : undefined;
    if (row === undefined || this.#keys[row] !== key) return;
    this.#order.copyWithin(at, at + 1, this.#size);
    this.#size -= 1;
    this.#keys[row] = "";
    this.#free.push(row);
  }

  /** Keys that begin with `prefix` and are greater than `after`. */
  range(prefix: string, after: string | undefined): KeyRange {
    const from = this.#firstNotBelow(after === undefined || after < prefix ? prefix : `${after}\0`);
    let low = from;
    let high = this.#size;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#keyAt(middle).startsWith(prefix)) low = middle + 1;
      else high = middle;
    }
    return { from, to: low };
  }

  /** The keys of a range, at most `limit` of them. */
  keys({ from, to }: KeyRange, limit: number = to - from): string[] {
    return Array.from({ length: Math.min(limit, to - from) }, (_, at) => this.#keyAt(from + at));
  }

  #keyAt(at: number): string {
    return this.#keys[this.#order[at] as number] as string;
  }

  #rowOf(key: string): number | undefined {
    const at = this.#firstNotBelow(key);
    if (at === this.#size) return undefined;
    const row = this.#order[at] as number;
    return this.#keys[row] === key ? row : undefined;
  }

  #firstNotBelow(key: string): number {
    let low = 0;
    let high = this.#size;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#keyAt(middle) < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** A place for a row that is not in order yet. */
  #take({ key, modified, created }: RowHead): number {
    const row = this.#free.pop() ?? this.#keys.length;
    if (row === this.#modified.length) this.#grow();
    this.#keys[row] = key;
    this.#modified[row] = modified;
    this.#created[row] = created;
    return row;
  }

  #grow(): void {
    const rows = Math.ceil(this.#modified.length * 1.5);
    const [modified, created, order] = [this.#modified, this.#created, this.#order];
    (this.#modified = new Float64Array(rows)).set(modified);
    (this.#created = new Float64Array(rows)).set(created);
    (this.#order = new Uint32Array(rows)).set(order);
  }
}
