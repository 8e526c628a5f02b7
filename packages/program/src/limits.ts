/** Heap of a thread that waits for the disk: it holds keys and what one commit names; values lie beside the heap. */
export const THREAD_HEAP_MB_MAX = 64;
/** Room for what lives shortly in it; Node's own would be 48 MB for each thread. */
export const THREAD_YOUNG_MB_MAX = 4;
/** Heap of a thread that reads a manifest: 8 MiB of short words take a tenth of it. */
export const READER_HEAP_MB_MAX = 1_024;
