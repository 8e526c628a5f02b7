import { StatusError } from "@cortado/std/status";

/** A point in the one history of a store: a whole number that only grows and is never used twice. */
export type Revision = number & { readonly brand: "Revision" };

/** Before the first write. */
export const noRevision = 0 as Revision;

/**
 * Reads a revision from the wire.
 * @throws StatusError "BadRequest" when the text is not a decimal number below 2^53
 */
export function parseRevision(text: string): Revision {
  const value = Number(text);
  if (!/^\d{1,16}$/.test(text) || !Number.isSafeInteger(value))
    throw new StatusError(
      "BadRequest",
      `resourceVersion ${JSON.stringify(text)} is not a revision; use one that the server gave out`,
    );
  return value as Revision;
}

/** One key as it stood at `modified`. The bytes are shared: never write into them. */
export type KeyValue = {
  readonly key: string;
  readonly value: Uint8Array;
  /** The revision of the write that made this value: an object's resourceVersion. */
  readonly modified: Revision;
  /** The revision of the write that made the key. */
  readonly created: Revision;
};

/** What a writer believes the key to be; a write that believes wrongly changes nothing. */
export type Expectation =
  | { readonly kind: "anything" }
  | { readonly kind: "absent" }
  | { readonly kind: "modified"; readonly revision: Revision };

/**
 * `volatile` puts live in memory only and may be forgotten by a crash, going back to the last durable value: the renewals of
 * node leases of a single server, nothing else. They take revisions like any other write.
 */
export type Write =
  | {
      readonly kind: "put";
      readonly key: string;
      readonly value: Uint8Array;
      readonly expect: Expectation;
      readonly volatile?: boolean;
    }
  | { readonly kind: "delete"; readonly key: string; readonly expect: Expectation };

export type WriteResult =
  | { readonly written: true; readonly revision: Revision }
  | { readonly written: false; readonly current: KeyValue | undefined };

/** A committed change. Of a deletion `value` is what was deleted; `previous` is absent for the first put of a key. */
export type StoreEvent = {
  readonly kind: "put" | "delete";
  readonly key: string;
  readonly value: Uint8Array;
  readonly revision: Revision;
  readonly created: Revision;
  readonly previous: KeyValue | undefined;
};

export type ListQuery = {
  /** Keys that begin with this; "/" lists all. */
  readonly prefix: string;
  /** Only keys greater than this one: where the last page ended. */
  readonly after?: string;
  /** Most items to answer; absent: all. */
  readonly limit?: number;
  /** As of this revision; absent: now. */
  readonly at?: Revision;
};

export type ListResult = {
  readonly items: readonly KeyValue[];
  /** The revision the list is true for. */
  readonly revision: Revision;
  /** How many more keys follow the last item. */
  readonly remaining: number;
};

export type WatchQuery = {
  readonly prefix: string;
  /** Events with a greater revision are told, each once, in order. */
  readonly after: Revision;
  readonly signal: AbortSignal;
};

/**
 * The log of revisions: etcd's semantics without its wire. Nothing is seen, by reader or watcher, before it is committed, and a
 * write's promise resolves only when it is durable (but for `volatile`).
 */
export interface Store extends AsyncDisposable {
  /** The newest committed revision. */
  readonly revision: Revision;
  /** Revisions up to and with this one are forgotten: their lists and watches get "Expired". */
  readonly compacted: Revision;
  get(key: string): Promise<KeyValue | undefined>;
  /** @throws StatusError "Expired" when `at` is compacted, "Timeout" when it is in the future */
  list(query: ListQuery): Promise<ListResult>;
  /**
   * Commits one write or none.
   * @throws StatusError "RequestEntityTooLarge", "InsufficientStorage" (disk full), "ServiceUnavailable" (disk read-only or broken)
   */
  write(write: Write): Promise<WriteResult>;
  /**
   * Tells committed events in batches, from `after` on and for ever; misses none, repeats none. Ends when the signal aborts.
   * A watcher that falls too far behind is told "Expired" and starts again; it never holds up the others.
   * @throws StatusError "Expired" when `after` is compacted
   */
  watch(query: WatchQuery): AsyncIterable<readonly StoreEvent[]>;
  /** Forgets revisions up to and with `revision`; current values stay. */
  compact(revision: Revision): Promise<void>;
}
