import { assert } from "@cortado/std/assert";

/** Largest value: etcd's default request limit (etcd docs, "System limits"). */
export const VALUE_BYTES_MAX: number = 1.5 * 1024 * 1024;
/** Longest key; the API's own names are far below. */
export const KEY_LENGTH_MAX = 2_048;
/** Events kept for watchers and for lists of an earlier revision. */
export const HISTORY_EVENTS_MAX = 10_000;
/** The same in bytes of values: a share of a store's 160 MB. */
export const HISTORY_BYTES_MAX: number = 12 * 1024 * 1024;
/**
 * Values in memory of a store whose driver reads them from its disk: all of a store of some thousand objects, so that it never
 * reads; a share of its 160 MB.
 */
export const CACHE_BYTES_MAX: number = 4 * 1024 * 1024;
/** What a cached value takes beside its key and its bytes: its object, an array over a buffer, its place in the cache; measured. */
export const CACHED_VALUE_BYTES = 300;
/** Values that a list reads from the disk in one turn of the event loop: 2 ms, at some 10 µs each. */
export const LIST_READ_KEYS = 200;
/** A list of more keys than this leaves nothing in memory. */
export const LIST_KEPT_KEYS = 2_000;
/** Events told to a watcher in one batch, so that a long history does not hold the event loop. */
export const WATCH_BATCH_EVENTS_MAX = 500;
/** Writes waiting for a commit; more are refused, as a disk that hangs must not fill the memory. */
export const PENDING_WRITES_MAX = 10_000;
/** Writes in one transaction: bounds how long a commit takes and how much a full disk turns away at once. */
export const COMMIT_WRITES_MAX = 512;
/** Revisions set aside at once for volatile writes: one small commit in this many lease renewals. */
export const VOLATILE_RESERVE = 10_000;
/** A commit longer than this on average leaves the event loop (ARCHITECTURE, decision 7). */
export const COMMIT_SLOW_MS = 5;
/** Commits looked at to judge whether the disk is slow. */
export const COMMIT_SAMPLES = 8;

assert(COMMIT_WRITES_MAX <= PENDING_WRITES_MAX, "a full queue fills at least one commit");
