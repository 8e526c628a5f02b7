import { messageOf, StatusError } from "@cortado/std/status";
import { BUNDLE_BYTES_MAX, BUNDLE_FILES_MAX, FILE_BYTES_MAX, SETTINGS_BYTES_MAX } from "../../limits.ts";
import type { BundleFile, SourceFile } from "../bundle.ts";
import { decodeText } from "../fleet-yaml/fleet-yaml.ts";
import { folderOf, isFleetYaml } from "./discover.ts";
import { newIgnores, readIgnoreFile, type IgnoreFile } from "./ignore.ts";
import type { Source } from "./source.ts";

export type BundleFilesQuery = {
  readonly root: string;
  /** Paths in the repository that are not content: the options file, used values files. */
  readonly without: ReadonlySet<string>;
  /** Directories of other bundles below, when their content is not of this one. */
  readonly nested: readonly string[];
  /** What of the repository's bytes is left. */
  readonly bytesMax: number;
};

export type BundleFiles = {
  /** Names are relative to the bundle's directory. */
  readonly files: readonly BundleFile[];
  readonly bytes: number;
  readonly warnings: readonly string[];
};

/** Reads the files of a bundle. @throws StatusError that names the first file that cannot be had */
export async function readBundleFiles(source: Source, query: BundleFilesQuery): Promise<BundleFiles> {
  const { root, without, nested, bytesMax } = query;
  const { ignoreFiles, warnings } = await readIgnores(source, root);
  const { ignores } = newIgnores(ignoreFiles);
  const inNested = (path: string): boolean => nested.some((folder) => path.startsWith(`${folder}/`));
  const chosen = source.below(root).filter(({ path }) => {
    const name = nameBelow(root, path);
    const isHidden = name.split("/").some((step) => step.startsWith("."));
    const isSettings = isFleetYaml(name.slice(name.lastIndexOf("/") + 1)) || without.has(path);
    return !isHidden && !isSettings && !inNested(path) && !ignores(name, false);
  });
  checkSizes(root, chosen, bytesMax);
  const files: BundleFile[] = [];
  let bytes = 0;
  for (const { path } of chosen) {
    const content = await source.read(path, Math.min(FILE_BYTES_MAX, bytesMax - bytes));
    bytes += content.byteLength;
    files.push({ name: nameBelow(root, path), content });
  }
  return { files, bytes, warnings };
}

function nameBelow(root: string, path: string): string {
  return root === "" ? path : path.slice(root.length + 1);
}

/** Before a byte is read. */
function checkSizes(root: string, files: readonly SourceFile[], bytesMax: number): void {
  const where = root === "" ? "the repository's root" : root;
  if (files.length > BUNDLE_FILES_MAX)
    throw new StatusError(
      "RequestEntityTooLarge",
      `${where} has ${files.length} files and a bundle ${BUNDLE_FILES_MAX} at most; leave files out by .fleetignore, or make bundles of its directories`,
    );
  const big = files.find(({ bytes }) => bytes > FILE_BYTES_MAX);
  if (big !== undefined)
    throw new StatusError(
      "RequestEntityTooLarge",
      `${big.path} has ${big.bytes} bytes and ${FILE_BYTES_MAX} is the most; it was not read. Leave it out by .fleetignore`,
    );
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  const most = Math.min(bytesMax, BUNDLE_BYTES_MAX);
  if (bytes > most)
    throw new StatusError(
      "RequestEntityTooLarge",
      `${where} has ${bytes} bytes of content and ${most} is the most${bytesMax < BUNDLE_BYTES_MAX ? " that this repository has left" : ""}; leave files out by .fleetignore`,
    );
}

async function readIgnores(
  source: Source,
  root: string,
): Promise<{ readonly ignoreFiles: readonly IgnoreFile[]; readonly warnings: readonly string[] }> {
  const ignoreFiles: IgnoreFile[] = [];
  const warnings: string[] = [];
  for (const { path } of source.below(root)) {
    const name = nameBelow(root, path);
    if (name !== ".fleetignore" && !name.endsWith("/.fleetignore")) continue;
    const text = decodeText(path, await source.read(path, SETTINGS_BYTES_MAX));
    let read: ReturnType<typeof readIgnoreFile>;
    try {
      read = readIgnoreFile(text);
    } catch (cause) {
      throw new StatusError("Invalid", `${path}: ${messageOf(cause)}`, { cause });
    }
    ignoreFiles.push({ folder: folderOf(name), patterns: read.patterns });
    for (const { line, message } of read.warnings) warnings.push(`${path}:${line}:1: ${message}`);
  }
  return { ignoreFiles, warnings };
}
