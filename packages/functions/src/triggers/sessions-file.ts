import { backoffMs } from "@cortado/std/backoff";
import type { Clock } from "@cortado/std/clock";
import type { Files } from "@cortado/std/files";
import type { Log } from "@cortado/std/log";
import type { Random } from "@cortado/std/random";
import { SESSIONS_RETRY_FIRST_MS, SESSIONS_RETRY_MAX_MS } from "../limits.ts";
import type { Taken } from "./old-session.ts";

const FILE = "mqtt-sessions.json";

type Kept = {
  readonly sessions: Readonly<Record<string, readonly string[]>>;
  readonly taken?: Taken;
};

export type SessionsFileOptions = {
  readonly files: Files;
  readonly folder: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly signal: AbortSignal;
};

/** Which sessions functions have at the broker, and with which filters: a function may be gone when we start again. */
export class SessionsFile {
  readonly #options: SessionsFileOptions;
  readonly #sessions: Map<string, readonly string[]> = new Map();
  #taken: Taken | undefined;
  #writing: Promise<void> = Promise.resolve();
  #isWritten = true;

  private constructor(options: SessionsFileOptions) {
    this.#options = options;
  }

  static async open(options: SessionsFileOptions): Promise<SessionsFile> {
    const { files, folder, log } = options;
    const file = new SessionsFile(options);
    const bytes = await files.read(`${folder}/${FILE}`);
    if (bytes === undefined) return file;
    try {
      const { sessions, taken } = JSON.parse(new TextDecoder().decode(bytes)) as Kept;
      for (const [key, filters] of Object.entries(sessions)) file.#sessions.set(key, filters);
      file.#taken = taken;
    } catch (error) {
      // Functions that are there make theirs again; sessions of those that went expire by themselves.
      log.error("the file of functions' sessions is damaged; it is made anew", {
        path: `${folder}/${FILE}`,
        error,
      });
    }
    return file;
  }

  get sessions(): ReadonlyMap<string, readonly string[]> {
    return this.#sessions;
  }

  get taken(): Taken | undefined {
    return this.#taken;
  }

  /** Undefined: there is none any more. Resolves when it is durable. */
  put(key: string, filters: readonly string[] | undefined): Promise<void> {
    if (filters === undefined) this.#sessions.delete(key);
    else this.#sessions.set(key, filters);
    return this.#write();
  }

  putTaken(taken: Taken): Promise<void> {
    this.#taken = taken;
    return this.#write();
  }

  /** Several that wait are written together. A disk that takes nothing holds them up. @throws the signal's reason */
  #write(): Promise<void> {
    this.#isWritten = false;
    const write = this.#writing.then(async () => {
      const { clock, random, log, signal } = this.#options;
      for (let attempt = 0; !this.#isWritten; attempt += 1)
        try {
          signal.throwIfAborted();
          await this.#writeNow();
        } catch (error) {
          signal.throwIfAborted();
          log.warn("the file of functions' sessions could not be written; it is tried again", { error });
          const waits = { firstMs: SESSIONS_RETRY_FIRST_MS, maxMs: SESSIONS_RETRY_MAX_MS, random };
          await clock.sleep(backoffMs(attempt, waits), { signal });
        }
    });
    this.#writing = write.catch(() => undefined);
    return write;
  }

  async #writeNow(): Promise<void> {
    const { files, folder } = this.#options;
    this.#isWritten = true;
    const kept: Kept = {
      sessions: Object.fromEntries(this.#sessions),
      ...(this.#taken === undefined ? {} : { taken: this.#taken }),
    };
    try {
      await files.makeFolder(folder);
      await files.replace(`${folder}/${FILE}`, new TextEncoder().encode(JSON.stringify(kept)));
    } catch (error) {
      this.#isWritten = false;
      throw error;
    }
  }
}
