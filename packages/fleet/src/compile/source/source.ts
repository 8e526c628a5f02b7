import { StatusError } from "@cortado/std/status";
import { LINK_BYTES_MAX, LINKS_MAX, REPOSITORY_FILES_MAX } from "../../limits.ts";
import type { SourceFile, SourceTree } from "../bundle.ts";

/** A repository with an index of its folders. What it says is checked here, once. */
export type Source = {
  /** Sorted by path. */
  readonly files: readonly SourceFile[];
  /** Every folder; "" is the root. */
  readonly folders: ReadonlySet<string>;
  readonly file: (path: string) => SourceFile | undefined;
  /** Files below a folder. */
  readonly below: (folder: string) => readonly SourceFile[];
  /**
   * The bytes of a file, through its links as long as they stay inside.
   * @throws StatusError "RequestEntityTooLarge" before anything is read, "Forbidden" for a link that leaves, "NotFound"
   */
  readonly read: (path: string, bytesMax: number) => Promise<Uint8Array>;
};

/** @throws StatusError "RequestEntityTooLarge" for a repository of too many files, "BadRequest" for names that are no paths */
export function newSource(tree: SourceTree): Source {
  if (tree.files.length > REPOSITORY_FILES_MAX)
    throw new StatusError(
      "RequestEntityTooLarge",
      `the repository has ${tree.files.length} files and ${REPOSITORY_FILES_MAX} is the most; split it, or name a smaller one in spec.repo`,
    );
  const files = [...tree.files].toSorted((one, other) => (one.path < other.path ? -1 : 1));
  const byPath = new Map(files.map((file) => [file.path, file]));
  const folders = new Set([""]);
  for (const { path } of files) {
    if (path.startsWith("/") || path.includes("\0") || path.split("/").includes(".."))
      throw new StatusError("BadRequest", `${JSON.stringify(path)} is not a path of a repository`);
    for (let end = path.lastIndexOf("/"); end > 0; end = path.lastIndexOf("/", end - 1)) {
      const folder = path.slice(0, end);
      if (folders.has(folder)) break;
      folders.add(folder);
    }
  }
  return {
    files,
    folders,
    file: (path) => byPath.get(path),
    below: (folder) => (folder === "" ? files : files.slice(...rangeBelow(files, `${folder}/`))),
    read: async (path, bytesMax) => {
      const file = await followLinks(tree, byPath, path);
      if (file.bytes > bytesMax)
        throw new StatusError(
          "RequestEntityTooLarge",
          `${path} has ${file.bytes} bytes and ${bytesMax} is the most; leave it out by .fleetignore, or put it where no bundle is`,
        );
      return tree.read(file.path);
    },
  };
}

/** Files with a prefix stand together: first and end of them. */
function rangeBelow(files: readonly SourceFile[], prefix: string): [number, number] {
  const first = (atLeast: string): number => {
    let [low, high] = [0, files.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((files[middle] as SourceFile).path < atLeast) low = middle + 1;
      else high = middle;
    }
    return low;
  };
  return [first(prefix), first(`${prefix.slice(0, -1)}0`)];
}

async function followLinks(
  tree: SourceTree,
  files: ReadonlyMap<string, SourceFile>,
  path: string,
): Promise<SourceFile> {
  let here = path;
  for (let links = 0; links <= LINKS_MAX; links += 1) {
    const file = files.get(here);
    if (file === undefined)
      throw new StatusError(
        "NotFound",
        here === path
          ? `${path} is not in the repository`
          : `${path} is a link to ${here}, which is no file of the repository; a link may lead to a file in it, not to a folder`,
      );
    if (file.kind === "submodule")
      throw new StatusError(
        "NotFound",
        `${path} is a submodule whose files are not here; fetch it with the repository`,
      );
    if (file.kind === "file") return file;
    if (file.bytes > LINK_BYTES_MAX)
      throw new StatusError("BadRequest", `${path} is a link longer than ${LINK_BYTES_MAX} bytes`);
    here = linkTarget(path, here, new TextDecoder().decode(await tree.read(here)));
  }
  throw new StatusError(
    "BadRequest",
    `${path} is a link that leads in a circle, or through more than ${LINKS_MAX} links`,
  );
}

function linkTarget(path: string, from: string, target: string): string {
  const leaves = new StatusError(
    "Forbidden",
    `${path} is a link to ${JSON.stringify(target)}, outside of the repository; it is not followed. Put the file itself there`,
  );
  if (target.startsWith("/") || target.includes("\0")) throw leaves;
  const steps = from.split("/").slice(0, -1);
  for (const step of target.split("/")) {
    if (step === "" || step === ".") continue;
    if (step !== "..") steps.push(step);
    else if (steps.pop() === undefined) throw leaves;
  }
  return steps.join("/");
}
