import { spawn, type ChildProcess } from "node:child_process";

/** A client that runs on until it is ended: a watch, a followed log, a forwarded port. */
export class Running implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #ended: Promise<number | null>;
  #said = "";

  constructor(program: string, words: readonly string[], env: Readonly<Record<string, string>> = {}) {
    this.#child = spawn(program, words, { env: { ...process.env, ...env }, stdio: ["pipe", "pipe", "pipe"] });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding("utf8");
      stream?.on("data", (text: string) => (this.#said += text));
    }
    this.#child.stdin?.on("error", () => undefined);
    this.#ended = new Promise((resolve) => {
      this.#child.once("exit", resolve);
      this.#child.once("error", () => resolve(null));
    });
  }

  /** Both its streams, as they came. */
  get said(): string {
    return this.#said;
  }

  type(text: string): void {
    this.#child.stdin?.write(text);
  }

  /** Its exit code; null when it did not end within the limit. */
  async code(withinMs: number): Promise<number | null> {
    let limit: NodeJS.Timeout | undefined;
    const late = new Promise<null>((resolve) => (limit = setTimeout(() => resolve(null), withinMs)));
    try {
      return await Promise.race([this.#ended, late]);
    } finally {
      clearTimeout(limit);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null) this.#child.kill("SIGKILL");
    await this.#ended;
  }
}
