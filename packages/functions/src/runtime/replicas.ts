import { backoffMs } from "@cortado/std/backoff";
import type { Clock } from "@cortado/std/clock";
import { messageOf, StatusError } from "@cortado/std/status";
import {
  CALLS_WAITING_MAX,
  READY_WAIT_MS,
  REPLICA_IDLE_MS,
  RESTART_FIRST_MS,
  RESTART_MAX_MS,
} from "../limits.ts";
import type { Limits } from "./cgroups.ts";
import type { Answer, Call, Handler, OutputLine } from "./interpreter.ts";

/** What runs a handler: an interpreter, or a fake of it where the runtime is not what is tested. */
export interface Replica {
  readonly hasEnded: boolean;
  readonly ended: Error | undefined;
  readonly gone: Promise<void>;
  call(call: Call, options: { readonly timeoutMs: number }): Promise<Answer>;
  kill(reason: StatusError): void;
}

export type StartReplica = (options: {
  readonly handler: Handler;
  readonly limits: Limits;
  readonly onLine: (line: OutputLine) => void;
}) => Promise<Replica>;

export type ReplicasOptions = {
  /** "NAME.NAMESPACE", for messages. */
  readonly name: string;
  readonly start: StartReplica;
  readonly handler: Handler;
  readonly limits: Limits;
  readonly least: number;
  readonly most: number;
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly onLine: (line: OutputLine) => void;
  /** Told when what status says may have changed. */
  readonly changed: () => void;
};

type Waiting = { readonly give: (replica: Replica) => void; readonly refuse: (error: StatusError) => void };

/** The live copies of one version of a function: each takes one call at a time, and the rest waits in a bounded queue. */
export class Replicas implements AsyncDisposable {
  readonly #options: ReplicasOptions;
  readonly #all: Map<Replica, { busy: boolean; idleSinceMs: number }> = new Map();
  readonly #waiting: Waiting[] = [];
  #starting = 0;
  #failures = 0;
  #loadFault: StatusError | undefined;
  #retry: Disposable | undefined;
  #idleCheck: Disposable | undefined;
  #closed = false;
  #wanted: number;
  /** Resolved when the first start has come to something. */
  readonly #tried: PromiseWithResolvers<void> = Promise.withResolvers();

  constructor(options: ReplicasOptions) {
    this.#options = options;
    this.#wanted = options.least;
    this.#fill();
  }

  get live(): number {
    return this.#all.size;
  }

  get wanted(): number {
    return this.#wanted;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** Why the handler cannot be loaded; undefined when it can. */
  get fault(): string | undefined {
    return this.#loadFault?.message;
  }

  /**
   * @throws StatusError "TooManyRequests" when the queue is full, "ServiceUnavailable" when the handler cannot be loaded, else as
   * `Interpreter.call`
   */
  async call(call: Call, timeoutMs: number = this.#options.timeoutMs): Promise<Answer> {
    const replica = await this.#acquire();
    try {
      const answer = await replica.call(call, { timeoutMs });
      this.#failures = 0;
      return answer;
    } catch (error) {
      throw error instanceof StatusError
        ? new StatusError(error.reason, `function ${this.#options.name}: ${error.message}`, { cause: error })
        : error;
    } finally {
      this.#release(replica);
    }
  }

  /** Resolves when one replica is loaded or it is known that none can be; at the latest after READY_WAIT_MS. */
  async settled(): Promise<void> {
    if (this.#wanted === 0) return;
    const late = Promise.withResolvers<void>();
    using _alarm = this.#options.clock.after(READY_WAIT_MS, () => late.resolve());
    await Promise.race([this.#tried.promise, late.promise]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.#tried.resolve();
    this.#retry?.[Symbol.dispose]();
    this.#idleCheck?.[Symbol.dispose]();
    const gone = new StatusError(
      "ServiceUnavailable",
      `function ${this.#options.name} was removed or replaced; call again`,
    );
    for (const { refuse } of this.#waiting.splice(0)) refuse(gone);
    const all = [...this.#all.keys()];
    for (const replica of all) replica.kill(gone);
    await Promise.all(all.map((replica) => replica.gone));
  }

  /** Lets calls under way end, then ends the replicas. */
  async drain(): Promise<void> {
    const { clock, timeoutMs } = this.#options;
    const endMs = clock.monotonicMs() + timeoutMs;
    const never = new AbortController().signal;
    while ([...this.#all.values()].some(({ busy }) => busy) && clock.monotonicMs() < endMs)
      await clock.sleep(50, { signal: never });
    await this[Symbol.asyncDispose]();
  }

  #acquire(): Promise<Replica> {
    const { name } = this.#options;
    if (this.#closed)
      return Promise.reject(
        new StatusError("ServiceUnavailable", `function ${name} was removed or replaced; call again`),
      );
    for (const [replica, state] of this.#all) {
      if (state.busy || replica.hasEnded) continue;
      state.busy = true;
      return Promise.resolve(replica);
    }
    if (this.#loadFault !== undefined && this.#starting === 0)
      return Promise.reject(
        new StatusError(
          "ServiceUnavailable",
          `function ${name} cannot be loaded: ${this.#loadFault.message}`,
        ),
      );
    if (this.#waiting.length >= CALLS_WAITING_MAX)
      return Promise.reject(
        new StatusError(
          "TooManyRequests",
          `function ${name} has ${this.#waiting.length} calls waiting; try again later`,
          { details: { retryAfterSeconds: 1 } },
        ),
      );
    return new Promise((resolve, reject) => {
      this.#waiting.push({ give: resolve, refuse: reject });
      if (this.#wanted === 0) this.#wanted = 1; // woken from zero
      this.#fill();
    });
  }

  #release(replica: Replica): void {
    const state = this.#all.get(replica);
    if (state === undefined || replica.hasEnded) return;
    const next = this.#waiting.shift();
    if (next !== undefined) {
      next.give(replica);
      return;
    }
    state.busy = false;
    state.idleSinceMs = this.#options.clock.monotonicMs();
    this.#armIdleCheck();
  }

  /** Starts as many as are wanted, or as many as calls wait, within the most. */
  #fill(): void {
    if (this.#closed || this.#retry !== undefined) return;
    const { most } = this.#options;
    const target = Math.min(
      Math.max(most, this.#wanted),
      Math.max(this.#wanted, this.#all.size + this.#waiting.length),
    );
    while (this.#all.size + this.#starting < target) {
      this.#starting += 1;
      void this.#startOne();
    }
  }

  async #startOne(): Promise<void> {
    const { start, handler, limits, onLine, changed } = this.#options;
    try {
      const replica = await start({ handler, limits, onLine });
      this.#starting -= 1;
      this.#loadFault = undefined;
      if (this.#closed) {
        replica.kill(new StatusError("ServiceUnavailable", "replaced"));
        return;
      }
      this.#all.set(replica, { busy: true, idleSinceMs: 0 });
      void replica.gone.then(() => this.#onGone(replica));
      this.#release(replica);
    } catch (error) {
      this.#starting -= 1;
      this.#onLoadFailed(error);
    }
    this.#tried.resolve();
    changed();
  }

  #onLoadFailed(error: unknown): void {
    this.#loadFault =
      error instanceof StatusError ? error : new StatusError("InternalError", messageOf(error));
    if (this.#closed) return;
    if (this.#starting === 0 && this.#all.size === 0)
      for (const { refuse } of this.#waiting.splice(0))
        refuse(
          new StatusError(
            "ServiceUnavailable",
            `function ${this.#options.name} cannot be loaded: ${this.#loadFault.message}`,
          ),
        );
    this.#retryLater();
  }

  #onGone(replica: Replica): void {
    this.#all.delete(replica);
    if (this.#closed) return;
    this.#retryLater();
    this.#options.changed();
  }

  #retryLater(): void {
    if (this.#retry !== undefined) return;
    const waitMs = backoffMs(this.#failures, { firstMs: RESTART_FIRST_MS, maxMs: RESTART_MAX_MS });
    this.#failures += 1;
    this.#retry = this.#options.clock.after(waitMs, () => {
      this.#retry = undefined;
      this.#fill();
    });
  }

  #armIdleCheck(): void {
    if (this.#idleCheck !== undefined || this.#all.size <= this.#wanted || this.#closed) return;
    this.#idleCheck = this.#options.clock.after(REPLICA_IDLE_MS, () => {
      this.#idleCheck = undefined;
      const nowMs = this.#options.clock.monotonicMs();
      for (const [replica, { busy, idleSinceMs }] of this.#all) {
        if (this.#all.size <= this.#wanted) break;
        if (busy || nowMs - idleSinceMs < REPLICA_IDLE_MS) continue;
        this.#all.delete(replica);
        replica.kill(new StatusError("ServiceUnavailable", "not needed any more"));
        this.#options.changed();
      }
      this.#armIdleCheck();
    });
  }
}
