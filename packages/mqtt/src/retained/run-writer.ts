import type { AppendFile, Files } from "@cortado/std/files";
import { READ_BYTES, RETAINED_SYNC_BYTES } from "../limits.ts";
import { writeIndex } from "./index-file.ts";
import { runPaths } from "./run-names.ts";
import { Run, RunIndex, type Entry } from "./run.ts";

export type WritingRun = {
  readonly files: Files;
  readonly folder: string;
  readonly number: number;
  /** In the order of their keys. */
  readonly entries: AsyncIterable<Entry>;
  /** Called with the run's path when it is found damaged later. */
  readonly damaged: (path: string) => void;
  /** The run is there, and its index could not be written. */
  readonly unindexed: (path: string, error: unknown) => void;
};

/** Writes a run under another name and gives it its own when it would survive a power cut; undefined when it has nothing to hold. */
export async function writeRun(writing: WritingRun): Promise<Run | undefined> {
  const { files, folder, number, entries, damaged, unindexed } = writing;
  const { path, unfinished } = runPaths(folder, number);
  await files.remove(unfinished); // left by a try that failed
  const file = await files.openAppend(unfinished);
  let done = false;
  try {
    const index = await append(file, entries);
    if (index.endBytes === 0) return undefined;
    const prints = await index.prints();
    await files.rename({ from: unfinished, to: path });
    done = true;
    await writeIndex(files, path, { index, prints }).catch((error: unknown) => unindexed(path, error));
    return new Run({ number, path, files, file, index, prints, damaged });
  } finally {
    if (!done) {
      await file[Symbol.asyncDispose]();
      await files.remove(unfinished);
    }
  }
}

async function append(file: AppendFile, entries: AsyncIterable<Entry>): Promise<RunIndex> {
  const index = new RunIndex();
  let waiting: Uint8Array[] = [];
  let waitingBytes = 0;
  let unsyncedBytes = 0;
  const write = async (): Promise<void> => {
    await file.append(Buffer.concat(waiting));
    unsyncedBytes += waitingBytes;
    waiting = [];
    waitingBytes = 0;
  };
  for await (const entry of entries) {
    const { byteLength: bytes } = entry.record;
    index.add({ ...entry, bytes, offset: file.sizeBytes + waitingBytes });
    waiting.push(entry.record);
    waitingBytes += bytes;
    if (waitingBytes < READ_BYTES) continue;
    await write();
    // Little by little: the journal's own syncs would wait behind one large one.
    if (unsyncedBytes < RETAINED_SYNC_BYTES) continue;
    await file.sync();
    unsyncedBytes = 0;
  }
  await write();
  await file.sync();
  return index;
}
