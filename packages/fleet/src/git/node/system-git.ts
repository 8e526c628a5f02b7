import { createHash } from "node:crypto";
import { chmod, mkdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeProcessFolder } from "@cortado/std/node/process-folder";
import { messageOf, StatusError } from "@cortado/std/status";
import type { SourceTree } from "../../compile/bundle.ts";
import {
  chooseCommit,
  isCommit,
  parseRefs,
  type Git,
  type GitCommit,
  type GitRemote,
  type GitSigners,
  type GitWish,
  type Waiting,
} from "../git.ts";
import {
  FETCH_MS_MAX,
  LISTING_BYTES_MAX,
  REFS_BYTES_MAX,
  REMOTE_LOOK_MS_MAX,
  SUBMODULE_DEPTH_MAX,
  SUBMODULES_MAX,
} from "../limits.ts";
import { submoduleUrl, withoutLogin } from "../remote-url.ts";
import { CommitTree, JoinedTree, parseListing } from "./commit-tree.ts";
import { GIT_FOLDER, gitEnvironment, runGit } from "./git-process.ts";

export type SystemGitOptions = {
  /** Bare repositories, one per remote, are kept here: the next fetch brings what is new. */
  readonly folder: string;
  /** Where git and ssh are found. */
  readonly path: string;
};

/** Git as it is installed. */
export function systemGit(options: SystemGitOptions): Git {
  return new SystemGit(options);
}

type Session = { readonly env: Readonly<Record<string, string>>; readonly config: readonly string[] };
type Part = { readonly at: string; readonly tree: SourceTree & AsyncDisposable };

class SystemGit implements Git {
  readonly #options: SystemGitOptions;

  constructor(options: SystemGitOptions) {
    this.#options = options;
  }

  look(remote: GitRemote, wish: GitWish, { signal }: Waiting): Promise<GitCommit> {
    const where = withoutLogin(remote.url);
    const { branch = "", revision = "" } = wish;
    if (branch === "" && isCommit(revision)) return Promise.resolve(chooseCommit(new Map(), wish, where));
    return this.#session(remote, async ({ env, config }) => {
      const refs = await this.#run([...config, "ls-remote", "--", remote.url], {
        env,
        bytesMax: REFS_BYTES_MAX,
        signal: AbortSignal.any([signal, AbortSignal.timeout(REMOTE_LOOK_MS_MAX)]),
        where,
      });
      return chooseCommit(parseRefs(refs.toString("utf8")), wish, where);
    });
  }

  async bring(
    remote: GitRemote,
    commit: GitCommit,
    { signal, signers }: Waiting & { readonly signers?: GitSigners },
  ): Promise<SourceTree & AsyncDisposable> {
    const all = AbortSignal.any([signal, AbortSignal.timeout(FETCH_MS_MAX)]);
    return this.#session(remote, async (session) => {
      const parts: Part[] = [];
      try {
        await this.#bringPart({ remote, commit, at: "", session, signal: all, parts, signers, above: [] });
        return parts.length === 1 && parts[0] !== undefined ? parts[0].tree : new JoinedTree(parts);
      } catch (error) {
        await Promise.all(parts.map(({ tree }) => tree[Symbol.asyncDispose]()));
        throw error;
      }
    });
  }

  async #bringPart(options: {
    readonly remote: GitRemote;
    readonly commit: GitCommit;
    readonly at: string;
    readonly session: Session;
    readonly signal: AbortSignal;
    readonly parts: Part[];
    readonly signers: GitSigners | undefined;
    /** Repositories that this one lies in, to find circles. */
    readonly above: readonly string[];
  }): Promise<void> {
    const { remote, commit, at, session, signal, parts, signers, above } = options;
    const where = withoutLogin(remote.url);
    const repository = await this.#haveCommit({ remote, commit, session, signal, where });
    if (signers !== undefined) await this.#verify({ repository, commit, session, signal, signers, where });
    const listing = await this.#run(
      [`--git-dir=${repository}`, "ls-tree", "-r", "-z", "-l", "--full-tree", commit.commit],
      { env: session.env, bytesMax: LISTING_BYTES_MAX, signal, where },
    );
    const tree = new CommitTree({ repository, env: session.env, entries: parseListing(listing) });
    parts.push({ at, tree });
    const links = tree.files.filter(({ kind }) => kind === "submodule");
    if (links.length === 0) return;
    if (above.length >= SUBMODULE_DEPTH_MAX || parts.length + links.length > SUBMODULES_MAX)
      throw new StatusError(
        "Invalid",
        `${where} has submodules in submodules: at most ${SUBMODULE_DEPTH_MAX} deep and ${SUBMODULES_MAX} in all are followed`,
      );
    const urls = await this.#submoduleUrls({ repository, commit, session, signal, where });
    for (const link of links) {
      const url = urls.get(link.path);
      if (url === undefined)
        throw new StatusError("Invalid", `.gitmodules of ${where} has no url for the submodule ${link.path}`);
      const inner = submoduleUrl(remote.url, url);
      const mark = `${inner}@${link.object}`;
      if (above.includes(mark))
        throw new StatusError("Invalid", `the submodule ${link.path} of ${where} contains itself`);
      await this.#bringPart({
        remote: { ...remote, url: inner },
        commit: { commit: link.object, ref: undefined },
        at: at === "" ? link.path : `${at}/${link.path}`,
        session,
        signal,
        parts,
        signers: undefined,
        above: [...above, mark],
      });
    }
  }

  /** Has the commit in a repository of ours; answers its folder. */
  async #haveCommit(options: {
    readonly remote: GitRemote;
    readonly commit: GitCommit;
    readonly session: Session;
    readonly signal: AbortSignal;
    readonly where: string;
  }): Promise<string> {
    const { remote, commit, session, signal, where } = options;
    const { env, config } = session;
    const name = createHash("sha256").update(remote.url).digest("hex").slice(0, 32);
    const repository = join(this.#options.folder, `${name}.git`);
    const git = (words: readonly string[]): Promise<Buffer> =>
      this.#run([...config, `--git-dir=${repository}`, ...words], { env, bytesMax: 1 << 20, signal, where });
    await mkdir(this.#options.folder, { recursive: true, mode: 0o700 });
    await this.#run(["init", "--quiet", "--bare", repository], { env, bytesMax: 1 << 16, signal, where });
    const has = (): Promise<boolean> =>
      git(["cat-file", "-e", `${commit.commit}^{tree}`]).then(
        () => true,
        () => false,
      );
    if (await has()) return repository;
    const fetch = ["fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head"];
    const one = git([...fetch, "--depth=1", "--", remote.url, commit.commit]);
    const problem = await one.then(
      () => undefined,
      (error: Error) => error,
    );
    if (problem !== undefined && !signal.aborted)
      // A server may refuse to give out a commit by its name: then everything that has a ref.
      await git([
        ...fetch,
        "--",
        remote.url,
        "+refs/heads/*:refs/cortado/*",
        "+refs/tags/*:refs/cortado-tags/*",
      ]);
    if (await has()) return repository;
    throw new StatusError(
      "NotFound",
      `${where} has no commit ${commit.commit}${problem === undefined ? "" : `: ${messageOf(problem)}`}`,
    );
  }

  async #verify(options: {
    readonly repository: string;
    readonly commit: GitCommit;
    readonly session: Session;
    readonly signal: AbortSignal;
    readonly signers: GitSigners;
    readonly where: string;
  }): Promise<void> {
    const { repository, commit, session, signal, signers, where } = options;
    const file = join(session.env["HOME"] as string, "allowed_signers");
    await writeFile(file, signers.allowedSigners, { mode: 0o600 });
    const config = ["-c", "gpg.format=ssh", "-c", `gpg.ssh.allowedSignersFile=${file}`];
    await this.#run([...config, `--git-dir=${repository}`, "verify-commit", commit.commit], {
      env: session.env,
      bytesMax: 1 << 16,
      signal,
      where,
    }).catch((cause: unknown) => {
      const message = `commit ${commit.commit} of ${where} is not signed by an allowed signer: ${messageOf(cause)}`;
      throw new StatusError("Forbidden", message, { cause });
    });
  }

  async #submoduleUrls(options: {
    readonly repository: string;
    readonly commit: GitCommit;
    readonly session: Session;
    readonly signal: AbortSignal;
    readonly where: string;
  }): Promise<ReadonlyMap<string, string>> {
    const { repository, commit, session, signal, where } = options;
    const words = [
      "config",
      `--blob=${commit.commit}:.gitmodules`,
      "-z",
      "--get-regexp",
      String.raw`^submodule\.`,
    ];
    const run = { env: session.env, bytesMax: 1 << 20, signal, where };
    const text = await this.#run([`--git-dir=${repository}`, ...words], run).catch(() => Buffer.alloc(0));
    const paths = new Map<string, string>();
    const urls = new Map<string, string>();
    for (const line of text.toString("utf8").split("\0")) {
      const [key = "", value = ""] = line.split("\n");
      const [, name, field] = /^submodule\.(.*)\.(path|url)$/.exec(key) ?? [];
      if (name !== undefined) (field === "path" ? paths : urls).set(name, value);
    }
    return new Map(
      [...paths].flatMap(([name, path]) => (urls.has(name) ? [[path, urls.get(name) as string]] : [])),
    );
  }

  /** Credentials lie in a folder of their own for as long as git runs. */
  async #session<Answer>(remote: GitRemote, work: (session: Session) => Promise<Answer>): Promise<Answer> {
    const home = await makeProcessFolder(tmpdir(), GIT_FOLDER);
    try {
      return await work(await this.#prepare(remote, home));
    } finally {
      await rm(home, { recursive: true, force: true });
    }
  }

  async #prepare(
    { url, login, authority, insecureSkipTlsVerify }: GitRemote,
    home: string,
  ): Promise<Session> {
    const env: Record<string, string> = { ...gitEnvironment(home, this.#options.path) };
    const config: string[] = ["-c", "credential.helper="];
    if (insecureSkipTlsVerify === true) config.push("-c", "http.sslVerify=false");
    if (authority !== undefined) {
      await writeFile(join(home, "ca.pem"), authority, { mode: 0o600 });
      config.push("-c", `http.sslCAInfo=${join(home, "ca.pem")}`);
    }
    if (login?.kind === "password") {
      const script = join(home, "askpass");
      await writeFile(
        script,
        // Git asks for `Username for 'https://HOST': ` and `Password for 'https://USER@HOST': `: submodules and redirects may lead elsewhere.
        `#!/bin/sh
case "$1" in
Username*"//$ASK_HOST'"*) echo "$ASK_NAME" ;;
Password*"@$ASK_HOST'"*) echo "$ASK_WORD" ;;
*) exit 1 ;;
esac
`,
      );
      await chmod(script, 0o700);
      const asked = {
        ASK_NAME: login.username,
        ASK_WORD: login.password,
        ASK_HOST: URL.parse(url)?.host ?? "",
      };
      Object.assign(env, { GIT_ASKPASS: script, ...asked });
    }
    if (login?.kind === "ssh") {
      await writeFile(join(home, "key"), login.privateKey.replace(/\n*$/, "\n"), { mode: 0o600 });
      await writeFile(join(home, "known_hosts"), login.knownHosts, { mode: 0o600 });
      const options = ["IdentitiesOnly=yes", "BatchMode=yes", "StrictHostKeyChecking=yes"];
      const known = `-o UserKnownHostsFile=${join(home, "known_hosts")} -o GlobalKnownHostsFile=/dev/null`;
      env["GIT_SSH_COMMAND"] =
        `ssh -F /dev/null -i ${join(home, "key")} ${known} ${options.map((one) => `-o ${one}`).join(" ")}`;
    }
    return { env, config };
  }

  #run(
    words: readonly string[],
    run: {
      readonly env: Readonly<Record<string, string>>;
      readonly bytesMax: number;
      readonly signal: AbortSignal;
      readonly where: string;
    },
  ): Promise<Buffer> {
    return runGit({ words, ...run }).catch((cause: unknown) => {
      if (!(cause instanceof StatusError)) throw cause;
      throw new StatusError(cause.reason, `${run.where}: ${cause.message}`, { cause });
    });
  }
}
