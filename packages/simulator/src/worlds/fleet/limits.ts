/** A commit of the hub or of a store's API takes up to this. */
export const COMMIT_MS_MAX = 10;
/** A store unheard for so long is Offline (the hub's default). */
export const OFFLINE_AFTER_MS = 30_000;
/** A store of a wave may take this long: shorter than in life, so that a release that never gets ready halts within a run. */
export const WAVE_DEADLINE_MS = 40_000;
/** How long pods take to become ready, at most. */
export const POD_MS_MAX = 4_000;
/** Slowest line: there and back. */
export const LATENCY_MS_MAX = 600;
/** Stores are switched on within this time. */
export const OPENING_MS = 20_000;
/** A commit is pushed about this often. */
export const RELEASE_EVERY_MS = 45_000;
/** A store sells about this often. */
export const SALE_EVERY_MS = 30_000;
/** A store is dark for at most this long; some for longer than it takes to be Offline. */
export const DARK_MS_MAX = 70_000;
/** The hub is away for at most this long. */
export const HUB_DARK_MS_MAX = 15_000;
/** After the last fault and the last commit: time to come to rest, slowest line, longest back-off and all waves included. */
export const REST_MS = 300_000;
/** Of all stores, one in so many runs our real API server; the others a small one. */
export const WHOLE_EVERY = 250;
/** Clocks that are wrong: one in so many stores wakes in 1970 or in 2099. */
export const WRONG_CLOCK_EVERY = 20;
/** Sums of the hub may be behind what they sum up by this: twice its own STATUS_EVERY_MS, and a commit. */
export const SUMS_MS = 3_000;
