import { maxSatisfying, validRange } from "semver";
import { StatusError } from "@cortado/std/status";
import type { SourceTree } from "../compile/bundle.ts";

export type GitLogin =
  | { readonly kind: "password"; readonly username: string; readonly password: string }
  /** PEM of the key, and lines of known_hosts: a host that is not in them is refused. */
  | { readonly kind: "ssh"; readonly privateKey: string; readonly knownHosts: string };

export type GitRemote = {
  /** https, http, ssh or scp form. */
  readonly url: string;
  readonly login?: GitLogin;
  /** PEM. */
  readonly authority?: string;
  readonly insecureSkipTlsVerify?: boolean;
};

/** What is followed in a remote (fleet.md 4): a branch wins over a revision; a revision is a commit, a tag, a range of versions or a branch. */
export type GitWish = { readonly branch?: string; readonly revision?: string };

/** Who may have signed: lines of ssh's allowed_signers (ssh-keygen(1)). */
export type GitSigners = { readonly allowedSigners: string };

export type GitCommit = {
  /** 40 or 64 hex digits. */
  readonly commit: string;
  /** The ref that named it; undefined when the wish was the commit itself. */
  readonly ref: string | undefined;
};

export type Waiting = { readonly signal: AbortSignal };

/** Git as the hub needs it; in memory in the simulator. Every problem is a StatusError that names the remote and what git said. */
export interface Git {
  /** Where the wish points now. @throws StatusError "NotFound" when no ref answers to it, "ServiceUnavailable" when the remote does not answer */
  look(remote: GitRemote, wish: GitWish, options: Waiting): Promise<GitCommit>;
  /** The files of a commit, its submodules included. @throws StatusError */
  bring(
    remote: GitRemote,
    commit: GitCommit,
    options: Waiting & { readonly signers?: GitSigners },
  ): Promise<SourceTree & AsyncDisposable>;
}

/** The refs of a remote: name to commit; a peeled tag's commit replaces the tag object's. */
export type Refs = ReadonlyMap<string, string>;

export function isCommit(text: string): boolean {
  return /^([0-9a-f]{40}|[0-9a-f]{64})$/i.test(text);
}

/** A range of versions: what has an operator, a wildcard or several parts. `v1.2.3` alone is the tag of that name. */
export function isVersionRange(text: string): boolean {
  return /[~^<>=|*\s]|\.x\b/i.test(text) && validRange(text.replaceAll(",", " ")) !== null;
}

/** Finds the commit of a wish among refs. @throws StatusError "NotFound" */
export function chooseCommit(refs: Refs, wish: GitWish, where: string): GitCommit {
  const { branch = "", revision = "" } = wish;
  if (branch === "" && isCommit(revision)) return { commit: revision.toLowerCase(), ref: undefined };
  if (branch === "" && isVersionRange(revision)) return newestVersion(refs, revision, where);
  const name = branch !== "" ? branch : revision !== "" ? revision : "master";
  const candidates =
    branch !== "" || revision === ""
      ? [`refs/heads/${name}`]
      : [`refs/tags/${name}`, `refs/heads/${name}`, name];
  for (const ref of candidates) {
    const commit = refs.get(ref);
    if (commit !== undefined) return { commit, ref };
  }
  const what = branch !== "" || revision === "" ? "branch" : "tag, branch or commit";
  throw new StatusError(
    "NotFound",
    `${where} has no ${what} ${JSON.stringify(name)}; ${known(refs)}. What runs is left as it is`,
  );
}

function newestVersion(refs: Refs, range: string, where: string): GitCommit {
  const tags = [...refs.keys()].filter((ref) => ref.startsWith("refs/tags/")).map((ref) => ref.slice(10));
  const best = maxSatisfying(tags, range.replaceAll(",", " "));
  const ref = `refs/tags/${best}`;
  const commit = refs.get(ref);
  if (best !== null && commit !== undefined) return { commit, ref };
  throw new StatusError("NotFound", `${where} has no tag that is a version in ${JSON.stringify(range)}`);
}

function known(refs: Refs): string {
  const branches = [...refs.keys()]
    .filter((ref) => ref.startsWith("refs/heads/"))
    .map((ref) => ref.slice(11));
  if (branches.length === 0) return "it has no branches";
  const more = branches.length > 5 ? ` and ${branches.length - 5} more` : "";
  return `it has ${branches.slice(0, 5).join(", ")}${more}`;
}

/** Reads the answer of `git ls-remote`. */
export function parseRefs(text: string): Refs {
  const refs = new Map<string, string>();
  for (const line of text.split("\n")) {
    const [commit, name] = line.split("\t");
    if (commit === undefined || name === undefined || !isCommit(commit)) continue;
    // An annotated tag is told twice, the second time as the commit that it points to.
    refs.set(name.endsWith("^{}") ? name.slice(0, -3) : name, commit);
  }
  return refs;
}
