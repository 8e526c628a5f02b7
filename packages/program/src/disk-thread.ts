import { dirname, extname, join } from "node:path";
import { Worker } from "node:worker_threads";
import { THREAD_HEAP_MB_MAX, THREAD_YOUNG_MB_MAX } from "./limits.ts";

/** Starts a thread that waits for a disk in place of the event loop; its bundle, or its source, lies beside the program's. */
export function diskThread(role: "store-committer" | "event-writer", path: string): Worker {
  const program = process.argv[1] ?? "";
  return new Worker(join(dirname(program), `thread${extname(program)}`), {
    workerData: { role, path },
    resourceLimits: {
      maxOldGenerationSizeMb: THREAD_HEAP_MB_MAX,
      maxYoungGenerationSizeMb: THREAD_YOUNG_MB_MAX,
    },
  });
}
