import type { KeyValue, Revision } from "./store.ts";

/** One transaction: all of it is durable when `commit` resolves, or none of it. */
export type Commit = {
  /** New values; undefined deletes the key. */
  readonly changes: ReadonlyMap<string, KeyValue | undefined>;
  /** The store never gives out a revision up to this one again, whatever happens. */
  readonly reserved: Revision;
};

/** A key as a driver found it; its value is absent where the driver reads values when they are asked for. */
export type Row = Omit<KeyValue, "value"> & { readonly value?: Uint8Array };

/** What a driver found at opening. */
export type Opened = { readonly rows: Iterable<Row>; readonly reserved: Revision };

/** Values of these keys in their order, as committed before it was called; undefined where there is none. */
export type ReadValues = (keys: readonly string[]) => Promise<readonly (KeyValue | undefined)[]>;

/** The durable half of a store with one writer process: memory and SQLite make it. */
export interface Durability extends AsyncDisposable {
  open(): Promise<Opened>;
  /** @throws StatusError "InsufficientStorage" or "ServiceUnavailable"; then nothing may count on the commit */
  commit(commit: Commit): Promise<void>;
  /**
   * Absent: the engine keeps every value in memory. Reads and commits take effect in the order in which they were called.
   * @throws StatusError "ServiceUnavailable" when the disk fails or is damaged
   */
  readonly read?: ReadValues;
}
