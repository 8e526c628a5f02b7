import type { ChildProcessWithoutNullStreams } from "node:child_process";
import { StatusError } from "@cortado/std/status";
import type { SourceFile, SourceTree } from "../../compile/bundle.ts";
import { FILE_BYTES_MAX } from "../limits.ts";
import { spawnGit } from "./git-process.ts";

export type Entry = SourceFile & { readonly object: string };

/** Reads the answer of `git ls-tree -r -z -l --full-tree`. */
export function parseListing(listing: Buffer): readonly Entry[] {
  const entries: Entry[] = [];
  for (const line of listing.toString("utf8").split("\0")) {
    const [, mode, , object, size, path] = /^(\d+) (\w+) (\w+) +(\S+)\t([\s\S]+)$/.exec(line) ?? [];
    if (mode === undefined || object === undefined || path === undefined) continue;
    const kind = mode === "120000" ? "link" : mode === "160000" ? "submodule" : "file";
    entries.push({ path, kind, object, bytes: Number(size) || 0 });
  }
  return entries.toSorted((one, other) => (one.path < other.path ? -1 : 1));
}

type Waiting = { readonly resolve: (content: Buffer) => void; readonly reject: (error: Error) => void };

/** A commit in a repository of ours; files are read by one `git cat-file --batch`, which is asked one after the other. */
export class CommitTree implements SourceTree, AsyncDisposable {
  readonly files: readonly Entry[];
  readonly #byPath: ReadonlyMap<string, Entry>;
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #waiting: Waiting[] = [];
  #parts: Buffer[] = [];
  #bytes = 0;
  #failed: Error | undefined;

  constructor(options: {
    readonly repository: string;
    readonly env: Readonly<Record<string, string>>;
    readonly entries: readonly Entry[];
  }) {
    this.files = options.entries;
    this.#byPath = new Map(options.entries.map((entry) => [entry.path, entry]));
    const words = [`--git-dir=${options.repository}`, "cat-file", "--batch"];
    this.#child = spawnGit({ words, env: options.env });
    this.#child.stdout.on("data", (data: Buffer) => this.#take(data));
    this.#child.stderr.resume();
    this.#child.stdin.on("error", () => undefined);
    this.#child.once("error", (error) => this.#fail(error));
    this.#child.once("close", () => this.#fail(new StatusError("ServiceUnavailable", "git cat-file ended")));
  }

  read(path: string): Promise<Uint8Array> {
    const entry = this.#byPath.get(path);
    if (entry === undefined || entry.kind === "submodule")
      return Promise.reject(new StatusError("NotFound", `${path} is not in the commit`));
    if (entry.bytes > FILE_BYTES_MAX) {
      const message = `${path} has ${entry.bytes} bytes, over the limit of ${FILE_BYTES_MAX}`;
      return Promise.reject(new StatusError("RequestEntityTooLarge", message));
    }
    if (this.#failed !== undefined) return Promise.reject(this.#failed);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#child.stdin.write(`${entry.object}\n`);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = new Promise((resolve) => this.#child.once("close", resolve));
    this.#child.kill("SIGKILL");
    await ended;
  }

  /** Answers come as `OBJECT TYPE SIZE`, a line end, the bytes and a line end; or `OBJECT missing`. */
  #take(data: Buffer): void {
    this.#parts.push(data);
    this.#bytes += data.byteLength;
    for (;;) {
      const first = this.#parts[0];
      if (first === undefined) return;
      let lineEnd = first.indexOf(10);
      if (lineEnd < 0 && this.#parts.length > 1) lineEnd = this.#joined().indexOf(10);
      if (lineEnd < 0) return;
      const [, type, size] = (this.#parts[0] as Buffer).toString("utf8", 0, lineEnd).split(" ");
      const isThere = type !== "missing" && size !== undefined;
      const length = lineEnd + 1 + (isThere ? Number(size) + 1 : 0);
      if (this.#bytes < length) return;
      const all = this.#joined();
      this.#parts = all.byteLength === length ? [] : [all.subarray(length)];
      this.#bytes -= length;
      const waiting = this.#waiting.shift();
      if (isThere) waiting?.resolve(all.subarray(lineEnd + 1, length - 1));
      else waiting?.reject(new StatusError("NotFound", "git does not have an object of the commit"));
    }
  }

  #joined(): Buffer {
    if (this.#parts.length > 1) this.#parts = [Buffer.concat(this.#parts)];
    return this.#parts[0] as Buffer;
  }

  #fail(error: Error): void {
    this.#failed ??= error;
    for (const waiting of this.#waiting.splice(0)) waiting.reject(error);
  }
}

/** Trees side by side: a repository with its submodules in their folders. */
export class JoinedTree implements SourceTree, AsyncDisposable {
  readonly files: readonly SourceFile[];
  readonly #parts: readonly { readonly at: string; readonly tree: SourceTree & AsyncDisposable }[];

  constructor(parts: readonly { readonly at: string; readonly tree: SourceTree & AsyncDisposable }[]) {
    this.#parts = parts;
    const inside = new Set(parts.map(({ at }) => at));
    this.files = parts
      .flatMap(({ at, tree }) =>
        tree.files.map((file) => ({ ...file, path: at === "" ? file.path : `${at}/${file.path}` })),
      )
      .filter(({ kind, path }) => kind !== "submodule" || !inside.has(path))
      .toSorted((one, other) => (one.path < other.path ? -1 : 1));
  }

  read(path: string): Promise<Uint8Array> {
    // The innermost part that the path lies in.
    const part = this.#parts
      .filter(({ at }) => at === "" || path.startsWith(`${at}/`))
      .toSorted((one, other) => other.at.length - one.at.length)[0];
    if (part === undefined)
      return Promise.reject(new StatusError("NotFound", `${path} is not in the commit`));
    return part.tree.read(part.at === "" ? path : path.slice(part.at.length + 1));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#parts.map(({ tree }) => tree[Symbol.asyncDispose]()));
  }
}
