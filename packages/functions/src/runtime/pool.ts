import type { Clock } from "@cortado/std/clock";
import type { Log } from "@cortado/std/log";
import { StatusError } from "@cortado/std/status";
import { FUNCTION_MEMORY_BYTES, FUNCTION_MILLI_CPU, FUNCTION_PIDS_MAX, POOL_SIZE } from "../limits.ts";
import { Interpreter, type OutputLine } from "./interpreter.ts";
import type { Isolation, LaunchOptions } from "./isolation.ts";
import type { Language, LanguageName } from "./languages.ts";

export type PoolOptions = {
  readonly languages: Readonly<Record<LanguageName, Language>>;
  readonly isolation: Isolation;
  readonly clock: Clock;
  readonly log: Log;
  readonly size?: number;
};

export type Wanted = { readonly data?: NonNullable<LaunchOptions["data"]> };

/**
 * Interpreters that are started and wait for a handler. A language is kept warm from its first function on, so that a store
 * without TypeScript functions pays for no Node. One that was given away never comes back.
 */
export class InterpreterPool implements AsyncDisposable {
  readonly #options: PoolOptions;
  readonly #warm: Map<LanguageName, Promise<Interpreter>[]> = new Map();
  readonly #all: Set<Interpreter> = new Set();
  #made = 0;
  #closed = false;

  constructor(options: PoolOptions) {
    this.#options = options;
  }

  /** For status: how the children are kept apart. */
  get isolationText(): string {
    return this.#options.isolation.text;
  }

  /** A fresh interpreter, warm when there is one. @throws StatusError "ServiceUnavailable" when it cannot be started */
  async take(language: LanguageName, { data }: Wanted = {}): Promise<Interpreter> {
    if (this.#closed) throw new StatusError("ServiceUnavailable", "functions are being stopped");
    // One with a data folder has it mounted from its start, so it cannot come from the pool.
    const warm = data === undefined ? this.#warm.get(language)?.shift() : undefined;
    const interpreter = await (warm ?? this.#start(language, data));
    this.#refill(language);
    return interpreter.hasEnded ? this.#start(language, data) : interpreter;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    await Promise.allSettled([...this.#warm.values()].flat());
    const all = [...this.#all];
    for (const interpreter of all)
      interpreter.kill(new StatusError("ServiceUnavailable", "functions are being stopped"));
    await Promise.all(all.map(({ gone }) => gone));
    await this.#options.isolation.close();
  }

  #refill(language: LanguageName): void {
    if (this.#closed) return;
    const warm = this.#warm.get(language) ?? [];
    this.#warm.set(language, warm);
    while (warm.length < (this.#options.size ?? POOL_SIZE)) {
      const starting = this.#start(language, undefined);
      starting.catch((error: unknown) =>
        this.#options.log.warn("interpreter could not be started", { language, error }),
      );
      warm.push(starting);
    }
  }

  async #start(language: LanguageName, data: Wanted["data"]): Promise<Interpreter> {
    const { languages, isolation, clock } = this.#options;
    const { program, needs } = languages[language];
    this.#made += 1;
    const launch = await isolation.launch({
      name: `${language}-${this.#made}`,
      program,
      needs,
      ...(data === undefined ? {} : { data }),
    });
    await launch.cgroup?.set({
      memoryBytes: FUNCTION_MEMORY_BYTES,
      pids: FUNCTION_PIDS_MAX,
      milliCpu: FUNCTION_MILLI_CPU,
    });
    const early: OutputLine[] = [];
    const interpreter = new Interpreter({ launch, clock, onLine: (line) => void early.push(line) });
    this.#all.add(interpreter);
    void interpreter.gone.then(() => {
      this.#all.delete(interpreter);
      if (early.length > 0)
        this.#options.log.warn("interpreter said before it had a handler", {
          language,
          lines: early.slice(0, 10).map(({ text }) => text),
        });
    });
    if (this.#closed) interpreter.kill(new StatusError("ServiceUnavailable", "functions are being stopped"));
    return interpreter;
  }
}
