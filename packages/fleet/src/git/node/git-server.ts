import { spawn } from "node:child_process";
import { mkdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { textAnswer, type HttpAnswer, type HttpRequest } from "@cortado/std/http";
import type { Log } from "@cortado/std/log";
import { makeProcessFolder } from "@cortado/std/node/process-folder";
import { StatusError } from "@cortado/std/status";
import { PUSH_BYTES_MAX } from "../limits.ts";
import { GIT_FOLDER, gitEnvironment, runGit } from "./git-process.ts";

export type GitServerOptions = {
  /** Bare repositories `NAME.git` lie in it. */
  readonly folder: string;
  /** Where git is found. */
  readonly path: string;
  readonly log: Log;
  /** A push to `NAME.git` has ended: what it brought is there. */
  readonly pushed: (repository: string) => void;
};

/** Serves repositories over smart HTTP by git's own `http-backend`. Who may ask is checked before. */
export class GitServer {
  readonly #options: GitServerOptions;

  constructor(options: GitServerOptions) {
    this.#options = options;
  }

  /** Whether `NAME.git` has its first commit. */
  has(repository: string, signal: AbortSignal): Promise<boolean> {
    const { folder, path } = this.#options;
    const head = [
      `--git-dir=${join(folder, repository)}`,
      "rev-parse",
      "--verify",
      "--quiet",
      "refs/heads/main",
    ];
    return runGit({ words: head, env: gitEnvironment("/nonexistent", path), bytesMax: 1 << 20, signal }).then(
      () => true,
      () => false,
    );
  }

  /** Makes `NAME.git` with HEAD `main`, its first commit the files of a folder; one that has a commit stays as it is. */
  async seed(options: {
    readonly repository: string;
    readonly from: string;
    readonly message: string;
    readonly signal: AbortSignal;
  }): Promise<void> {
    const { repository, from, message, signal } = options;
    const at = join(this.#options.folder, repository);
    const home = await makeProcessFolder(tmpdir(), GIT_FOLDER);
    const who = { NAME: "Cortado", EMAIL: "hub@cortado.local" };
    const env = {
      ...gitEnvironment(home, this.#options.path),
      GIT_INDEX_FILE: join(home, "index"),
      ...Object.fromEntries(
        Object.entries(who).flatMap(([key, value]) => [
          [`GIT_AUTHOR_${key}`, value],
          [`GIT_COMMITTER_${key}`, value],
        ]),
      ),
    };
    const git = async (...words: readonly string[]): Promise<string> =>
      (await runGit({ words, env, bytesMax: 1 << 20, signal })).toString("utf8").trim();
    try {
      await mkdir(this.#options.folder, { recursive: true, mode: 0o700 });
      await git("init", "--quiet", "--bare", "--initial-branch=main", at);
      for (const [key, value] of [
        ["http.receivepack", "true"],
        ["receive.maxInputSize", String(PUSH_BYTES_MAX)],
        ["uploadpack.allowAnySHA1InWant", "true"],
        ["uploadpack.allowFilter", "true"],
        // Acknowledged means on disk (ARCHITECTURE 6).
        ["core.fsync", "all"],
      ] as const)
        await git(`--git-dir=${at}`, "config", key, value);
      if (await this.has(repository, signal)) return;
      await git(`--git-dir=${at}`, `--work-tree=${from}`, "add", "--all", "--force", ".");
      const tree = await git(`--git-dir=${at}`, "write-tree");
      const commit = await git(`--git-dir=${at}`, "commit-tree", tree, "-m", message);
      await git(`--git-dir=${at}`, "update-ref", "refs/heads/main", commit, "");
    } finally {
      await rm(home, { recursive: true, force: true });
    }
  }

  /** `path` is what follows the place that the server is mounted at: `/NAME.git/info/refs`. */
  async handle(
    request: HttpRequest,
    at: { readonly path: string; readonly user: string },
  ): Promise<HttpAnswer> {
    const [, repository, service] =
      /^\/([\w.-]+\.git)\/(info\/refs|git-upload-pack|git-receive-pack|HEAD|objects\/[\w/.-]+)$/.exec(
        at.path,
      ) ?? [];
    if (repository === undefined || at.path.includes(".."))
      throw new StatusError("NotFound", `there is no repository at ${at.path}`);
    const answer = await this.#backend(request, at);
    if (service !== "git-receive-pack" || request.method !== "POST" || answer.status !== 200) return answer;
    const { pushed, log } = this.#options;
    const { body } = answer;
    return {
      ...answer,
      body: (async function* () {
        if (body !== undefined && typeof body !== "string" && !(body instanceof Uint8Array)) yield* body;
        log.info("a push has ended", { repository, user: at.user });
        pushed(repository);
      })(),
    };
  }

  /** Runs `git http-backend`, which speaks CGI (RFC 3875). */
  #backend(request: HttpRequest, at: { readonly path: string; readonly user: string }): Promise<HttpAnswer> {
    const { folder, path, log } = this.#options;
    const { headers } = request;
    const child = spawn("git", ["http-backend"], {
      env: {
        ...gitEnvironment("/nonexistent", path),
        GIT_PROJECT_ROOT: folder,
        GIT_HTTP_EXPORT_ALL: "1",
        PATH_INFO: at.path,
        QUERY_STRING: request.query.toString(),
        REQUEST_METHOD: request.method,
        CONTENT_TYPE: headers["content-type"] ?? "",
        REMOTE_USER: at.user,
        REMOTE_ADDR: request.remote,
        ...(headers["content-length"] === undefined ? {} : { CONTENT_LENGTH: headers["content-length"] }),
        ...(headers["content-encoding"] === undefined
          ? {}
          : { HTTP_CONTENT_ENCODING: headers["content-encoding"] }),
        ...(headers["git-protocol"] === undefined ? {} : { GIT_PROTOCOL: headers["git-protocol"] }),
      },
      stdio: ["pipe", "pipe", "pipe"],
    });
    request.signal.addEventListener("abort", () => child.kill("SIGKILL"), { once: true });
    child.stderr.on("data", (data: Buffer) =>
      log.debug("git http-backend", { said: data.toString("utf8").trim() }),
    );
    child.stdin.on("error", () => undefined);
    void feed(request.pieces, child.stdin);
    return new Promise((resolve, reject) => {
      child.once("error", (cause) =>
        reject(new StatusError("ServiceUnavailable", `git cannot be started: ${cause.message}`, { cause })),
      );
      readAnswer(child.stdout).then(resolve, reject);
    });
  }
}

async function feed(pieces: AsyncIterable<Uint8Array>, to: NodeJS.WritableStream): Promise<void> {
  try {
    for await (const piece of pieces)
      if (!to.write(piece)) await new Promise((resolve) => to.once("drain", resolve).once("close", resolve));
  } catch {
    // The caller has gone away: git sees the end of its input and gives up.
  }
  to.end();
}

async function readAnswer(out: AsyncIterable<Buffer>): Promise<HttpAnswer> {
  const reader = out[Symbol.asyncIterator]();
  let head = Buffer.alloc(0);
  for (;;) {
    const end = head.indexOf("\r\n\r\n");
    if (end >= 0) {
      const lines = head.toString("latin1", 0, end).split("\r\n");
      const headers = Object.fromEntries(
        lines.map((line) => [
          line.slice(0, line.indexOf(":")).toLowerCase(),
          line.slice(line.indexOf(":") + 1).trim(),
        ]),
      );
      const { status: statusLine = "200", ...rest } = headers;
      const first = head.subarray(end + 4);
      return { status: Number.parseInt(statusLine, 10), headers: rest, body: restOf(first, reader) };
    }
    const next = await reader.next();
    if (next.done === true || head.byteLength > 1 << 16)
      return textAnswer(500, "git ended without an answer\n");
    head = Buffer.concat([head, next.value]);
  }
}

async function* restOf(first: Buffer, reader: AsyncIterator<Buffer>): AsyncGenerator<Uint8Array> {
  if (first.byteLength > 0) yield first;
  for (let next = await reader.next(); next.done !== true; next = await reader.next()) yield next.value;
}
