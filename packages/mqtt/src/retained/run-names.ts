const RUN = /^retained-(\d{10})\.run$/;
const INDEX = /^retained-(\d{10})\.index$/;
const UNFINISHED = /^retained-\d{10}\.new$/;

/** Where a run lies; `.new` until it is whole. */
export function runPaths(
  folder: string,
  number: number,
): { readonly path: string; readonly unfinished: string } {
  const base = `${folder}/retained-${String(number).padStart(10, "0")}`;
  return { path: `${base}.run`, unfinished: `${base}.new` };
}

export function runNumber(name: string): number | undefined {
  const found = RUN.exec(name);
  return found === null ? undefined : Number(found[1]);
}

/** A run that was being written when the broker ended: what was to be in it is where it came from. */
export function isUnfinished(name: string): boolean {
  return UNFINISHED.test(name);
}

/** The file beside a run that holds its index, so that a start need not read the run. */
export function indexPath(runPath: string): string {
  return runPath.replace(/\.run$/, ".index");
}

/** The run that an index is of, or was. */
export function indexedNumber(name: string): number | undefined {
  const found = INDEX.exec(name);
  return found === null ? undefined : Number(found[1]);
}
