/**
 * What the C library does with memory that the program gave back, as its environment (mallopt(3)). Left alone it holds all that was needed
 * once: it gives nothing back below twice the largest piece that was ever freed, and the first of those is the text of the bundle. And
 * each thread of V8 would have a reserve of its own. What somebody set stays as it is.
 */
export const allocator = {
  MALLOC_ARENA_MAX: process.env.MALLOC_ARENA_MAX ?? "2",
  MALLOC_TRIM_THRESHOLD_: process.env.MALLOC_TRIM_THRESHOLD_ ?? "262144",
};
