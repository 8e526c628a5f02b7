import { assert } from "@cortado/std/assert";
import { StatusError } from "@cortado/std/status";
import type { ReadValues, Row } from "./durability.ts";
import { Rows } from "./rows.ts";
import type { KeyValue } from "./store.ts";
import { ValueCache } from "./value-cache.ts";

/** Said of a value that is on disk only. */
export const cold: unique symbol = Symbol("cold");
export type Found = KeyValue | typeof cold | undefined;

export type Keep = "always" | "with room" | "not";

export type CurrentOptions = {
  readonly opened: Iterable<Row>;
  /** Absent: all values stay in memory. */
  readonly read: ReadValues | undefined;
  readonly cacheBytes: number;
};

/**
 * The newest value of each key. Which keys there are and their revisions is in memory; of the values those written lately or read
 * often are, and those that are not on disk as they are: held.
 */
export class CurrentValues {
  readonly rows: Rows = new Rows();
  readonly #cache: ValueCache;
  readonly #read: ReadValues | undefined;
  /** Values that must not be read from disk: it has another, or may have, while a commit is under way, failed, or was volatile. */
  readonly #held: Map<string, KeyValue> = new Map();

  constructor({ opened, read, cacheBytes }: CurrentOptions) {
    this.#read = read;
    this.#cache = new ValueCache(read === undefined ? Number.POSITIVE_INFINITY : cacheBytes);
    this.rows.fill(this.#taken(opened));
  }

  *#taken(opened: Iterable<Row>): Generator<Row, void, void> {
    for (const row of opened) {
      assert(this.#read !== undefined || row.value !== undefined, "a driver gives values, or reads them");
      if (row.value !== undefined) this.#cache.offer({ ...row, value: row.value });
      yield row;
    }
  }

  find(key: string): Found {
    const known = this.#held.get(key) ?? this.#cache.get(key);
    return known ?? (this.rows.has(key) ? cold : undefined);
  }

  /**
   * Reads cold values, in the order of the keys; what others may read again stays in memory, as `keep` says: always, where there is
   * room, or not.
   * @throws StatusError "ServiceUnavailable" when the disk fails, or does not have what was written
   */
  async read(keys: readonly string[], { keep }: { readonly keep: Keep }): Promise<KeyValue[]> {
    assert(this.#read !== undefined, "without a reader no value is cold");
    const heads = keys.map((key) => this.rows.find(key));
    const found = await this.#read(keys);
    return heads.map((head, at) => {
      const read = found[at];
      if (head === undefined || read?.modified !== head.modified)
        throw notAsWritten(keys[at] as string, head?.modified);
      const value = { ...head, value: read.value };
      // It was true when it was asked for, and may have changed since.
      if (this.rows.modified(head.key) === head.modified)
        if (keep === "always") this.#cache.put(value);
        else if (keep === "with room") this.#cache.offer(value);
      return value;
    });
  }

  /** Keeps a value in memory until the disk is known to have it, or another is put: a commit that changes it begins. */
  hold(value: KeyValue): void {
    this.#held.set(value.key, value);
  }

  /** The disk has what is held of a key. */
  release(key: string): void {
    const value = this.#held.get(key);
    if (value !== undefined) this.put(value, { isOnDisk: true });
  }

  put(value: KeyValue, { isOnDisk }: { readonly isOnDisk: boolean }): void {
    this.rows.put(value);
    if (isOnDisk) {
      this.#held.delete(value.key);
      this.#cache.put(value);
    } else {
      this.#held.set(value.key, value);
      this.#cache.delete(value.key);
    }
  }

  delete(key: string): void {
    this.rows.delete(key);
    this.#held.delete(key);
    this.#cache.delete(key);
  }
}

function notAsWritten(key: string, modified: number | undefined): StatusError {
  const message = `the disk does not have ${key} as it was written at revision ${modified ?? 0}: it is damaged; restore it from a backup`;
  return new StatusError("ServiceUnavailable", message);
}
