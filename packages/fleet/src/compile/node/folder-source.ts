import { lstat, readdir, readFile, readlink } from "node:fs/promises";
import { join } from "node:path";
import { StatusError } from "@cortado/std/status";
import { REPOSITORY_FILES_MAX } from "../../limits.ts";
import type { SourceFile, SourceTree } from "../bundle.ts";

/**
 * A folder as a repository; `.git` is left out, links are told as links.
 * @throws StatusError "NotFound" when there is no such folder, "RequestEntityTooLarge" for one of too many files
 */
export async function openFolder(top: string): Promise<SourceTree> {
  const files: SourceFile[] = [];
  await list(top, "", files);
  files.sort((one, other) => (one.path < other.path ? -1 : 1));
  const kinds = new Map(files.map(({ path, kind }) => [path, kind]));
  return {
    files,
    read: async (path) => {
      const kind = kinds.get(path);
      if (kind === undefined) throw new StatusError("NotFound", `${path} is not in ${top}`);
      return kind === "link" ? Buffer.from(await readlink(join(top, path))) : readFile(join(top, path));
    },
  };
}

async function list(top: string, folder: string, files: SourceFile[]): Promise<void> {
  let entries;
  try {
    entries = await readdir(join(top, folder), { withFileTypes: true });
  } catch (cause) {
    throw new StatusError("NotFound", `${join(top, folder)} cannot be read as a folder`, { cause });
  }
  for (const entry of entries) {
    const path = folder === "" ? entry.name : `${folder}/${entry.name}`;
    if (entry.isDirectory()) {
      if (entry.name !== ".git") await list(top, path, files);
    } else if (entry.isFile() || entry.isSymbolicLink()) {
      const { size: bytes } = await lstat(join(top, path));
      files.push({ path, bytes, kind: entry.isFile() ? "file" : "link" });
    }
    if (files.length > REPOSITORY_FILES_MAX)
      throw new StatusError(
        "RequestEntityTooLarge",
        `${top} has more than ${REPOSITORY_FILES_MAX} files; name a smaller folder`,
      );
  }
}
