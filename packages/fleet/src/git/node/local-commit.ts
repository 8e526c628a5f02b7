import { tmpdir } from "node:os";
import { StatusError } from "@cortado/std/status";
import type { SourceTree } from "../../compile/bundle.ts";
import { LISTING_BYTES_MAX } from "../limits.ts";
import { CommitTree, parseListing } from "./commit-tree.ts";
import { gitEnvironment, runGit } from "./git-process.ts";

/**
 * A commit of a working copy on this machine, as a folder would be read: `folder` may be one inside of it.
 * @throws StatusError "NotFound" for a commit or a repository that is not there
 */
export async function openLocalCommit(options: {
  readonly folder: string;
  readonly commit: string;
  readonly path: string;
  readonly signal: AbortSignal;
}): Promise<SourceTree & AsyncDisposable> {
  const { folder, commit, signal } = options;
  const env = gitEnvironment(tmpdir(), options.path);
  const ask = async (bytesMax: number, ...words: readonly string[]): Promise<Buffer> =>
    await runGit({ words: ["-C", folder, ...words], env, bytesMax, signal });
  try {
    const told = await ask(64 * 1024, "rev-parse", "--absolute-git-dir", "--show-prefix");
    const [repository = "", prefix = ""] = told.toString("utf8").split("\n");
    const found = await ask(
      1024,
      "rev-parse",
      "--verify",
      "--quiet",
      "--end-of-options",
      `${commit}^{commit}`,
    );
    const id = found.toString("utf8").trim();
    const listing = await ask(LISTING_BYTES_MAX, "ls-tree", "-r", "-z", "-l", "--full-tree", id);
    const entries = parseListing(listing);
    const tree = new CommitTree({ repository, env, entries });
    if (prefix === "") return tree;
    return {
      files: entries
        .filter(({ path }) => path.startsWith(prefix))
        .map((file) => ({ ...file, path: file.path.slice(prefix.length) })),
      read: (path) => tree.read(`${prefix}${path}`),
      [Symbol.asyncDispose]: () => tree[Symbol.asyncDispose](),
    };
  } catch (cause) {
    throw new StatusError(
      "NotFound",
      `commit ${JSON.stringify(commit)} cannot be read in ${folder}; name one that git log shows there`,
      { cause },
    );
  }
}
