/** Lines of the trace that a failure shows. */
export const TAIL_LINES = 40;
/** How long a commit or a sync takes at most: an SD card's usual worst. */
export const DISK_MS_MAX = 20;
/** How long an answer is on its way to a client in the store at most. */
export const ANSWER_MS_MAX = 4;
/** Life goes on for this long, on average, before the next fault hits a store. */
export const FAULT_EVERY_MS = 60_000;
/** A store is dark for at most this long. */
export const DARK_MS_MAX = 8_000;
/** Of all faults, those that hit a store while it boots: each so many. */
export const FAULT_AT_BOOT_EVERY = 4;
/** After the last fault everybody works on for this long, */
export const WORK_ON_MS = 10_000;
/** and then a chain has this long to come to rest; everything must then be as it should. */
export const REST_MS = 35_000;
/** A watch is compared with a list this often. */
export const COMPARE_EVERY_MS = 10_000;
/** What a list showed must have been told by a watch after this long. */
export const TELL_MS = 5_000;
/** How long a slow watcher takes at most over one change. */
export const SLOW_WATCH_MS_MAX = 400;
/** A fault that waits for the disk to be at work waits no longer than this. */
export const BUSY_WAIT_MS_MAX = 3_000;
