/** How long a store of a wave may take until it is Ready: a pull over a slow line and a start, with time to spare. */
export const WAVE_DEADLINE_MS = 300_000;
/** Sizes of the waves after the canary, as shares of all stores; what is left is the last. */
export const WAVE_SHARES: readonly number[] = [0.1, 0.3];
/** With no more stores than this, a wave between canary and rest would be empty or the rest itself. */
export const TWO_WAVES_STORES_MAX = 2;
/** Stores named in a message. */
export const NAMED_STORES_MAX = 3;

/** Fleet's own (fleet.md 1.3, RolloutStrategy). */
export const AUTO_PARTITION_THRESHOLD = 200;
export const AUTO_PARTITION_SIZE = "25%";
export const MAX_UNAVAILABLE = "100%";
export const MAX_UNAVAILABLE_PARTITIONS = 0;
export const MAX_NEW = 50;
