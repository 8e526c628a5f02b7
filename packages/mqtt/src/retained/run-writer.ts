import type { AppendFile, Files } from "@cortado/std/files";
import { READ_BYTES, RETAINED_SYNC_BYTES } from "../limits.ts";
import { Run, RunIndex, type Entry } from "./run.ts";

const NAME = /^retained-(\d{10})\.run$/;
const UNFINISHED = /^retained-\d{10}\.new$/;

export function runNumber(name: string): number | undefined {
  const found = NAME.exec(name);
  return found === null ? undefined : Number(found[1]);
}

/** A run that was being written when the broker ended: what was to be in it is where it came from. */
export function isUnfinished(name: string): boolean {
  return UNFINISHED.test(name);
}

export type WritingRun = {
  readonly files: Files;
  readonly folder: string;
  readonly number: number;
  /** In the order of their keys. */
  readonly entries: AsyncIterable<Entry>;
  /** Called with the run's path when it is found damaged later. */
  readonly damaged: (path: string) => void;
};

/** Writes a run under another name and gives it its own when it would survive a power cut; undefined when it has nothing to hold. */
export async function writeRun(writing: WritingRun): Promise<Run | undefined> {
  const { files, folder, number, entries, damaged } = writing;
  const base = `${folder}/retained-${String(number).padStart(10, "0")}`;
  const unfinished = `${base}.new`;
  await files.remove(unfinished); // left by a try that failed
  const file = await files.openAppend(unfinished);
  let done = false;
  try {
    const index = await append(file, entries);
    if (index.endBytes === 0) return undefined;
    const path = `${base}.run`;
    await files.rename({ from: unfinished, to: path });
    done = true;
    return new Run({ number, path, files, file, index, prints: await index.prints(), damaged });
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
