/** First wait after a failed round of a loop (client-go, workqueue default limiter, is 5 ms; a store's disk is slower). */
export const LOOP_BACKOFF_FIRST_MS = 50;
/** Longest wait after a failed round (client-go caps at 1,000 s; a person who mends something should not wait that long). */
export const LOOP_BACKOFF_MAX_MS = 60_000;
/** A full look at every object proves that no event was lost (controller-runtime, SyncPeriod, is 10 h; ours is cheap). */
export const LOOP_FULL_SCAN_MS = 600_000;
/** First and longest wait before an informer lists again after its watch failed (client-go, reflector: 800 ms to 30 s). */
export const RELIST_FIRST_MS = 200;
export const RELIST_MAX_MS = 30_000;
/** How long a loop waits for its own write to come back by the watch (kubernetes/apiserver, blockTimeout). */
export const SEEN_MAX_MS = 3_000;
/** How long a connection may be silent before the other end is asked whether it is there; ten questions in as many seconds go unanswered, and it is over. */
export const KEEP_ALIVE_MS = 10_000;
/** Objects of one page of a list that fills a cache: kubectl's page. */
export const LIST_PAGE = 100;
