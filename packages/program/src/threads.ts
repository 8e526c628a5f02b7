import { dirname, extname, join } from "node:path";
import { Worker, type ResourceLimits } from "node:worker_threads";
import { READER_HEAP_MB_MAX, THREAD_HEAP_MB_MAX, THREAD_YOUNG_MB_MAX } from "./limits.ts";

/** Starts a thread that waits for a disk in place of the event loop. */
export function diskThread(role: "store-committer" | "event-writer", path: string): Worker {
  return start("thread", {
    workerData: { role, path },
    resourceLimits: {
      maxOldGenerationSizeMb: THREAD_HEAP_MB_MAX,
      maxYoungGenerationSizeMb: THREAD_YOUNG_MB_MAX,
    },
  });
}

/** Starts a thread that reads one long manifest. */
export function readerThread(): Worker {
  return start("reader-thread", { resourceLimits: { maxOldGenerationSizeMb: READER_HEAP_MB_MAX } });
}

/** Its bundle, or its source, lies beside the program's. */
function start(
  name: string,
  options: { readonly workerData?: unknown; readonly resourceLimits: ResourceLimits },
): Worker {
  const program = process.argv[1] ?? "";
  return new Worker(join(dirname(program), `${name}${extname(program)}`), options);
}
