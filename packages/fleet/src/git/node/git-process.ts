import { spawn, type ChildProcessWithoutNullStreams } from "node:child_process";
import { messageOf, StatusError } from "@cortado/std/status";
import { GIT_WORDS_MAX, PACK_BYTES_MAX } from "../limits.ts";

/** How folders begin in which git has its home and its logins while it runs. */
export const GIT_FOLDER = "cortado-git-";

export type GitRun = {
  readonly words: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly bytesMax: number;
  readonly signal: AbortSignal;
  readonly input?: string;
};

/**
 * Git's own environment and none of ours: no configuration, hooks, prompts or helpers of whoever runs the hub, and only protocols that
 * leave this machine.
 */
export function gitEnvironment(home: string, path: string): Readonly<Record<string, string>> {
  return {
    PATH: path,
    HOME: home,
    LANG: "C.UTF-8",
    GIT_CONFIG_NOSYSTEM: "1",
    GIT_CONFIG_GLOBAL: "/dev/null",
    GIT_TERMINAL_PROMPT: "0",
    GIT_ALLOW_PROTOCOL: "https:http:ssh",
    GIT_LFS_SKIP_SMUDGE: "1",
  };
}

/** Starts git with a bound on the files that it may write. */
export function spawnGit(options: Pick<GitRun, "words" | "env">): ChildProcessWithoutNullStreams {
  // ulimit counts in blocks of 512 bytes (dash) or 1024 (bash): a bound either way.
  const script = `ulimit -f ${Math.floor(PACK_BYTES_MAX / 512)}; exec git "$@"`;
  return spawn("/bin/sh", ["-c", script, "git", ...options.words], {
    env: options.env,
    stdio: ["pipe", "pipe", "pipe"],
  });
}

/** Runs git to its end. @throws StatusError "ServiceUnavailable" with what git said; "RequestEntityTooLarge" when it said too much */
export function runGit(run: GitRun): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const child = spawnGit(run);
    const out: Buffer[] = [];
    let bytes = 0;
    let words = "";
    const end = (problem?: StatusError): void => {
      run.signal.removeEventListener("abort", abort);
      if (problem !== undefined) {
        child.kill("SIGKILL");
        reject(problem);
      }
    };
    const abort = (): void =>
      end(new StatusError("Timeout", `git ${run.words[0]} was given up: ${messageOf(run.signal.reason)}`));
    run.signal.addEventListener("abort", abort, { once: true });
    if (run.signal.aborted) abort();
    child.stdout.on("data", (data: Buffer) => {
      bytes += data.byteLength;
      if (bytes <= run.bytesMax) out.push(data);
      else
        end(new StatusError("RequestEntityTooLarge", `git ${run.words[0]} told over ${run.bytesMax} bytes`));
    });
    child.stderr.on("data", (data: Buffer) => {
      words = (words + data.toString("utf8")).slice(-4 * GIT_WORDS_MAX);
    });
    child.once("error", (cause) =>
      end(new StatusError("ServiceUnavailable", `git cannot be started: ${cause.message}`, { cause })),
    );
    child.once("close", (code, signal) => {
      end(code === 0 ? undefined : new StatusError("ServiceUnavailable", problemOf(words, { code, signal })));
      if (code === 0) resolve(Buffer.concat(out));
    });
    child.stdin.on("error", () => undefined); // it ended before it had read all: its words say why
    child.stdin.end(run.input);
  });
}

function problemOf(
  words: string,
  end: { readonly code: number | null; readonly signal: string | null },
): string {
  if (end.signal === "SIGXFSZ" || words.includes("File too large"))
    return `the commit is larger than ${PACK_BYTES_MAX} bytes; split the repository, or fetch a smaller one`;
  const said = words
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "")
    .join("; ")
    .slice(-GIT_WORDS_MAX);
  return said === "" ? `git ended with ${end.signal ?? end.code}` : said;
}
