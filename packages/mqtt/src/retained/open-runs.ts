import type { Files } from "@cortado/std/files";
import { readIndex, writeIndex } from "./index-file.ts";
import { indexedNumber, isUnfinished, runNumber } from "./run-names.ts";
import type { WritingRun } from "./run-writer.ts";
import { indexRun, Run } from "./run.ts";

/** A run in which something cannot be read, and what the file is to be called when it is set aside. */
export type Damaged = { readonly run: Run; readonly damagedBytes: number; readonly aside: string };

export type OpeningRuns = Pick<WritingRun, "damaged" | "unindexed"> & {
  readonly files: Files;
  readonly folder: string;
  readonly nowMs: number;
};

export type OpenedRuns = {
  /** Oldest first. */
  readonly runs: Run[];
  readonly nextRun: number;
  readonly damaged: readonly Damaged[];
};

/** The runs that are in a folder, which is rid of what the end of a broker left over. */
export async function openRuns(opening: OpeningRuns): Promise<OpenedRuns> {
  const { files, folder, nowMs } = opening;
  const names = await files.list(folder);
  for (const name of names.filter(isUnfinished)) await files.remove(`${folder}/${name}`);
  const numbers = new Set(names.map(runNumber));
  let nextRun = 1;
  for (const name of names) {
    const number = indexedNumber(name);
    // No number comes twice, so that no index is taken for that of another run.
    nextRun = Math.max(nextRun, (number ?? runNumber(name) ?? 0) + 1);
    if (number !== undefined && !numbers.has(number)) await files.remove(`${folder}/${name}`);
  }
  const runs: Run[] = [];
  const damaged: Damaged[] = [];
  for (const name of names) {
    const number = runNumber(name);
    if (number === undefined) continue;
    const { run, damagedBytes } = await openRun(opening, { path: `${folder}/${name}`, number });
    runs.push(run);
    if (damagedBytes > 0) damaged.push({ run, damagedBytes, aside: `damaged-${name}-${nowMs}` });
  }
  return { runs, nextRun, damaged };
}

/** By its index; without one, or with one that is not sound, all of it is read, and an index is made. */
async function openRun(
  { files, damaged, unindexed }: OpeningRuns,
  { path, number }: { readonly path: string; readonly number: number },
): Promise<{ readonly run: Run; readonly damagedBytes: number }> {
  const file = await files.openAppend(path);
  const common = { number, path, files, file, damaged };
  const known = await readIndex(files, { runPath: path, runBytes: file.sizeBytes });
  if (known !== undefined) return { run: new Run({ ...common, ...known }), damagedBytes: 0 };
  const { index, damagedBytes } = await indexRun(file);
  const prints = await index.prints();
  if (damagedBytes === 0)
    await writeIndex(files, path, { index, prints }).catch((error: unknown) => unindexed(path, error));
  return { run: new Run({ ...common, index, prints }), damagedBytes };
}
