import { spawn, type ChildProcess } from "node:child_process";
import type { Duplex } from "node:stream";
import type { Clock } from "@cortado/std/clock";
import { StatusError } from "@cortado/std/status";
import { CALL_BYTES_MAX, KILL_GRACE_MS, LOAD_TIMEOUT_MS, LOG_LINE_CHARACTERS_MAX } from "../limits.ts";
import type { Limits } from "./cgroups.ts";
import { encodeFrame, FrameDecoder, type Frame } from "./frames.ts";
import type { Launch } from "./isolation.ts";

export type Call = {
  /** Names the call in answers and logs, the same at each repetition. */
  readonly id: string;
  readonly method: string;
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
};
export type Answer = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
};
export type OutputLine = { readonly stream: "stdout" | "stderr"; readonly text: string };

export type Handler = { readonly code: Uint8Array; readonly environment: Readonly<Record<string, string>> };

export type InterpreterOptions = {
  readonly launch: Launch;
  readonly clock: Clock;
  /** Gets each line that the handler prints. */
  readonly onLine: (line: OutputLine) => void;
};

type Pending = { readonly resolve: (frame: Frame) => void; readonly reject: (error: Error) => void };

/** One child process with an interpreter in it: warm at first, then one function's for the rest of its life. */
export class Interpreter {
  readonly #options: InterpreterOptions;
  readonly #child: ChildProcess;
  readonly #link: Duplex;
  readonly #decoder: FrameDecoder = new FrameDecoder({ bytesMax: CALL_BYTES_MAX + 65_536 });
  #pending: Pending | undefined;
  #onLine: (line: OutputLine) => void;
  #killedFor: StatusError | undefined;
  #ended: Error | undefined;
  #lastError = "";
  /** Resolves when the process is gone and its cgroup removed. */
  readonly gone: Promise<void>;

  constructor(options: InterpreterOptions) {
    this.#options = options;
    this.#onLine = options.onLine;
    const [command = "", ...args] = options.launch.command;
    this.#child = spawn(command, args, {
      stdio: ["ignore", "pipe", "pipe", "pipe"],
      env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" },
      cwd: "/",
    });
    this.#link = this.#child.stdio[3] as Duplex;
    this.#link.on("data", (chunk: Buffer) => this.#take(chunk));
    this.#link.on("error", () => undefined); // its end is told by "exit"
    for (const stream of ["stdout", "stderr"] as const) this.#readLines(stream);
    const exited = new Promise<Error>((resolve) => {
      this.#child.once("error", (cause) =>
        resolve(
          new StatusError("ServiceUnavailable", `cannot start ${command}: ${cause.message}`, { cause }),
        ),
      );
      this.#child.once("exit", (code, signal) => void this.#describeEnd(code, signal).then(resolve));
    });
    this.gone = exited.then(async (error) => {
      this.#ended = error;
      this.#pending?.reject(error);
      this.#pending = undefined;
      this.#link.destroy();
      const never = new AbortController().signal;
      await options.launch.cgroup?.remove(() => options.clock.sleep(10, { signal: never }));
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Where the handler finds its data folder; undefined without one. */
  get dataPath(): string | undefined {
    return this.#options.launch.dataPath;
  }

  /** Ends one that could not be loaded; why is known. */
  discard(): void {
    this.kill(new StatusError("ServiceUnavailable", "its handler could not be loaded"));
  }

  get hasEnded(): boolean {
    return this.#ended !== undefined;
  }

  /** Why it ended; undefined while it lives. */
  get ended(): Error | undefined {
    return this.#ended;
  }

  /** Makes it one function's. @throws StatusError "Invalid" with the handler's own error when it cannot be loaded */
  async load(
    handler: Handler,
    options: { readonly limits: Limits; readonly onLine: (line: OutputLine) => void },
  ): Promise<void> {
    await this.#options.launch.cgroup?.set(options.limits).catch(async (error: unknown) => {
      if (this.#child.exitCode !== null || this.#child.signalCode !== null) await this.gone;
      throw this.#ended ?? error;
    });
    this.#onLine = options.onLine;
    const env = { PATH: "/usr/bin:/bin", LANG: "C.UTF-8", HOME: "/tmp", ...handler.environment };
    const timeout = new StatusError("Timeout", `loading took longer than ${LOAD_TIMEOUT_MS} ms`);
    const { head } = await this.#ask(
      { head: { type: "load", env }, body: handler.code },
      { ms: LOAD_TIMEOUT_MS, error: timeout },
    );
    if (head["type"] !== "loaded")
      throw new StatusError("Invalid", String(head["message"] ?? "it cannot be loaded"));
  }

  /**
   * @throws StatusError "Timeout" after `timeoutMs`, when the interpreter is killed; "InternalError" with the handler's error;
   * "BadGateway" when the process ended
   */
  async call(call: Call, { timeoutMs }: { readonly timeoutMs: number }): Promise<Answer> {
    const { body, ...head } = call;
    const timeout = new StatusError("Timeout", `it did not answer within ${timeoutMs} ms and was killed`);
    const frame = await this.#ask(
      { head: { type: "call", ...head }, body },
      { ms: timeoutMs, error: timeout },
    );
    if (frame.head["type"] === "answer" && frame.head["id"] === call.id)
      return {
        status: statusOf(frame.head["status"]),
        headers: headersOf(frame.head["headers"]),
        body: frame.body,
      };
    if (frame.head["type"] === "error") throw new StatusError("InternalError", String(frame.head["message"]));
    this.kill(new StatusError("BadGateway", "it answered something else than it was asked"));
    throw new StatusError("BadGateway", "it answered something else than it was asked");
  }

  /** Ends it at once, with all that it started. */
  kill(reason: StatusError): void {
    this.#killedFor ??= reason;
    void this.#killAll();
  }

  // Inside out: the process that made the namespace then reaps what it started, and nobody is left for somebody else to reap.
  async #killAll(): Promise<void> {
    const { cgroup } = this.#options.launch;
    const pids = (await cgroup?.pids().catch(() => [])) ?? [];
    const inner = pids.filter((pid) => pid !== this.pid);
    for (const pid of inner) killQuietly(pid);
    if (inner.length === 0) this.#child.kill("SIGKILL");
    else this.#options.clock.after(KILL_GRACE_MS, () => void this.#child.kill("SIGKILL"));
  }

  #ask(frame: Frame, timeout: { readonly ms: number; readonly error: StatusError }): Promise<Frame> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    return new Promise((resolve, reject) => {
      const alarm = this.#options.clock.after(timeout.ms, () => this.kill(timeout.error));
      const settle = (): void => alarm[Symbol.dispose]();
      this.#pending = {
        resolve: (answer) => {
          settle();
          resolve(answer);
        },
        reject: (error) => {
          settle();
          reject(error);
        },
      };
      this.#link.write(encodeFrame(frame));
    });
  }

  #take(chunk: Buffer): void {
    try {
      for (const frame of this.#decoder.push(chunk)) {
        const pending = this.#pending;
        this.#pending = undefined;
        pending?.resolve(frame);
      }
    } catch (error) {
      this.kill(
        error instanceof StatusError ? error : new StatusError("BadGateway", "it sent what is no answer"),
      );
    }
  }

  #readLines(stream: OutputLine["stream"]): void {
    let rest = "";
    this.#child[stream]?.setEncoding("utf8").on("data", (text: string) => {
      const lines = (rest + text).split("\n");
      rest = (lines.pop() ?? "").slice(0, LOG_LINE_CHARACTERS_MAX);
      for (const line of lines) {
        if (stream === "stderr") this.#lastError = line.slice(0, 200);
        this.#onLine({ stream, text: line.slice(0, LOG_LINE_CHARACTERS_MAX) });
      }
    });
  }

  async #describeEnd(code: number | null, signal: string | null): Promise<Error> {
    if (this.#killedFor !== undefined) return this.#killedFor;
    const oom = (await this.#options.launch.cgroup?.oomKills().catch(() => 0)) ?? 0;
    if (oom > 0)
      return new StatusError(
        "BadGateway",
        "it was killed: it used more memory than its limit; raise spec.limits.memory",
      );
    const how = signal === null ? `exit code ${code}` : signal;
    return new StatusError(
      "BadGateway",
      `it ended while it was needed (${how})${this.#lastError === "" ? "" : `: ${this.#lastError}`}`,
    );
  }
}

function statusOf(value: unknown): number {
  return typeof value === "number" && Number.isInteger(value) && value >= 200 && value <= 599 ? value : 500;
}

function headersOf(value: unknown): Answer["headers"] {
  if (typeof value !== "object" || value === null) return {};
  // What would break the answer's framing, or smuggle a second header in, is the function's fault and left out.
  const allowed = Object.entries(value as Record<string, unknown>).filter(
    ([name, text]) =>
      /^[\w!#$%&'*+.^`|~-]+$/.test(name) &&
      !/^(content-length|transfer-encoding|connection)$/i.test(name) &&
      typeof text === "string" &&
      !/[\r\n\0]/.test(text),
  );
  return Object.fromEntries(allowed.map(([name, text]) => [name.toLowerCase(), text as string]));
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // gone already
  }
}
