import { backoffMs } from "@cortado/std/backoff";
import type { Clock } from "@cortado/std/clock";
import type { Files } from "@cortado/std/files";
import type { Log } from "@cortado/std/log";
import type { Random } from "@cortado/std/random";
import { RecordLog, type LogRecord } from "@cortado/std/record-log";
import { StatusError, toStatusError } from "@cortado/std/status";
import {
  ASYNC_BYTES_MAX,
  ASYNC_ITEMS_MAX,
  ASYNC_RETRY_ATTEMPTS,
  ASYNC_RETRY_CODES,
  ASYNC_RETRY_FIRST_MS,
  ASYNC_RETRY_MAX_MS,
  ASYNC_WORKERS,
  CALLBACK_ATTEMPTS,
  CALLBACK_TIMEOUT_MS,
} from "../limits.ts";
import type { SendHttp } from "../http-sender.ts";

/** A call that was taken and not made yet. */
export type AsyncCall = {
  readonly id: string;
  /** "NAMESPACE/NAME". */
  readonly key: string;
  readonly method: string;
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  readonly headers: Readonly<Record<string, string>>;
  readonly callbackUrl?: string;
  readonly body: string; // base64
  readonly atMs: number;
};

type Retry = {
  readonly attempts: number;
  readonly codes: readonly number[];
  readonly firstMs: number;
  readonly maxMs: number;
};
type Result = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
};

export type AsyncQueueOptions = {
  readonly files: Files;
  readonly folder: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly send: SendHttp;
  readonly resolveUrl: (url: string) => string;
  /** Makes the call. Undefined when the function is there no more. */
  readonly invoke: (
    call: AsyncCall,
    options: { readonly signal: AbortSignal },
  ) => Promise<Result | undefined>;
  /** What the function's annotations say of retries. */
  readonly annotationsOf: (key: string) => Readonly<Record<string, string>>;
};

type Item = { readonly sequence: number; readonly call: AsyncCall; attempts: number; startMs: number };

/** Calls that wait on disk: taken means it will be made, at least once, whatever happens to this process. */
export class AsyncQueue implements AsyncDisposable {
  readonly #options: AsyncQueueOptions;
  readonly #stop: AbortController = new AbortController();
  /** By sequence: those that wait, and those under way. */
  readonly #items: Map<number, Item> = new Map();
  #ready: Item[] = [];
  #bytes = 0;
  #sequence = 0;
  #busy = 0;
  #log!: RecordLog;
  readonly #running: Set<Promise<void>> = new Set();
  dead = 0;

  private constructor(options: AsyncQueueOptions) {
    this.#options = options;
  }

  static async open(options: AsyncQueueOptions): Promise<AsyncQueue> {
    const queue = new AsyncQueue(options);
    const { files, folder, log, clock } = options;
    queue.#log = await RecordLog.open({
      files,
      folder,
      prefix: "async",
      log,
      segmentBytes: 1_048_576,
      nowMs: clock.nowMs(),
      onRecord: (record) => queue.#onRecord(record),
    });
    return queue;
  }

  get size(): number {
    return this.#items.size;
  }

  /** Begins to make calls; before that they only wait, as their functions are not known yet. */
  start(): void {
    this.#ready = [...this.#items.values()];
    this.#pump();
  }

  /** Resolves when the call would survive a power cut. @throws StatusError "TooManyRequests" when the queue is full */
  async put(call: AsyncCall): Promise<void> {
    if (this.#items.size >= ASYNC_ITEMS_MAX || this.#bytes + call.body.length > ASYNC_BYTES_MAX)
      throw new StatusError(
        "TooManyRequests",
        `${this.#items.size} asynchronous calls wait; try again later`,
        { details: { retryAfterSeconds: 5 } },
      );
    const item: Item = { sequence: (this.#sequence += 1), call, attempts: 0, startMs: 0 };
    this.#items.set(item.sequence, item);
    this.#bytes += call.body.length;
    try {
      await this.#log.append([
        { sequence: item.sequence, body: new TextEncoder().encode(JSON.stringify({ call })) },
      ]);
    } catch (error) {
      this.#forget(item);
      throw error;
    }
    this.#ready.push(item);
    this.#pump();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new StatusError("ServiceUnavailable", "functions are being stopped"));
    await Promise.allSettled(this.#running);
    await this.#log[Symbol.asyncDispose]();
  }

  #onRecord({ sequence, body }: LogRecord): void {
    this.#sequence = Math.max(this.#sequence, sequence);
    const { call, done } = JSON.parse(new TextDecoder().decode(body)) as { call?: AsyncCall; done?: number };
    if (call !== undefined) {
      this.#items.set(sequence, { sequence, call, attempts: 0, startMs: 0 });
      this.#bytes += call.body.length;
    }
    const item = done === undefined ? undefined : this.#items.get(done);
    if (item !== undefined) this.#forget(item);
  }

  #forget(item: Item): void {
    if (this.#items.delete(item.sequence)) this.#bytes -= item.call.body.length;
  }

  #pump(): void {
    while (this.#busy < ASYNC_WORKERS && this.#ready.length > 0 && !this.#stop.signal.aborted) {
      const item = this.#ready.shift() as Item;
      this.#busy += 1;
      const running = this.#work(item).finally(() => {
        this.#running.delete(running);
        this.#busy -= 1;
        this.#pump();
      });
      this.#running.add(running);
    }
  }

  async #work(item: Item): Promise<void> {
    const { clock, log, invoke, annotationsOf } = this.#options;
    const retry = retryOf(annotationsOf(item.call.key));
    item.attempts += 1;
    item.startMs = clock.monotonicMs();
    let result: Result;
    try {
      const made = await invoke(item.call, { signal: this.#stop.signal });
      if (made === undefined)
        log.warn("asynchronous call dropped: its function is there no more", {
          function: item.call.key,
          call: item.call.id,
        });
      result = made ?? { status: 404, headers: {}, body: new Uint8Array(0) };
    } catch (error) {
      const status = toStatusError(error);
      result = {
        status: status.code,
        headers: { "content-type": "text/plain" },
        body: new TextEncoder().encode(status.message),
      };
    }
    if (this.#stop.signal.aborted) return; // it is made again after the next start
    if (retry.codes.includes(result.status) && item.attempts < retry.attempts) {
      const waitMs = backoffMs(item.attempts - 1, { ...retry, random: this.#options.random });
      log.info("asynchronous call failed and is repeated", {
        function: item.call.key,
        call: item.call.id,
        status: result.status,
        attempts: item.attempts,
        waitMs,
      });
      clock.after(waitMs, () => {
        this.#ready.push(item);
        this.#pump();
      });
      return;
    }
    if (result.status >= 400) {
      this.dead += 1;
      log.warn("asynchronous call failed for good", {
        function: item.call.key,
        call: item.call.id,
        status: result.status,
        attempts: item.attempts,
      });
    }
    await this.#callBack(item, result);
    await this.#done(item);
  }

  async #done(item: Item): Promise<void> {
    this.#forget(item);
    const record = {
      sequence: (this.#sequence += 1),
      body: new TextEncoder().encode(JSON.stringify({ done: item.sequence })),
    };
    try {
      await this.#log.append([record]);
      const oldest = Math.min(this.#sequence, ...this.#items.keys());
      if (this.#log.removable(oldest - 1)) await this.#log.removeThrough(oldest - 1);
    } catch (error) {
      this.#options.log.warn("an asynchronous call could not be marked as made; it may be made again", {
        call: item.call.id,
        error,
      });
    }
  }

  async #callBack({ call, startMs }: Item, result: Result): Promise<void> {
    if (call.callbackUrl === undefined) return;
    const { clock, send, log, resolveUrl } = this.#options;
    const name = call.key.split("/")[1] ?? "";
    const headers = {
      ...("content-type" in result.headers ? { "content-type": result.headers["content-type"] ?? "" } : {}),
      "x-call-id": call.id,
      "x-duration-seconds": ((clock.monotonicMs() - startMs) / 1_000).toFixed(6),
      "x-function-status": String(result.status),
      "x-function-name": name,
    };
    for (let attempt = 0; attempt < CALLBACK_ATTEMPTS; attempt += 1) {
      try {
        const sent = await send({
          url: resolveUrl(call.callbackUrl),
          method: "POST",
          headers,
          body: result.body,
          timeoutMs: CALLBACK_TIMEOUT_MS,
          signal: this.#stop.signal,
        });
        if (sent.status < 500) return;
      } catch (error) {
        log.debug("callback failed", { call: call.id, error });
      }
      await clock
        .sleep(backoffMs(attempt, { firstMs: 500, maxMs: 10_000 }), { signal: this.#stop.signal })
        .catch(() => undefined);
    }
    log.warn("callback could not be delivered", { call: call.id, function: call.key, url: call.callbackUrl });
  }
}

function retryOf(annotations: Readonly<Record<string, string>>): Retry {
  const number = (name: string, standard: number): number => {
    const value = Number(annotations[`com.openfaas.retry.${name}`]);
    return Number.isInteger(value) && value > 0 ? value : standard;
  };
  const ms = (name: string, standard: number): number => {
    const found = /^(\d+)(ms|s|m)$/.exec(annotations[`com.openfaas.retry.${name}`] ?? "");
    return found === null
      ? standard
      : Number(found[1]) * (found[2] === "ms" ? 1 : found[2] === "s" ? 1_000 : 60_000);
  };
  const codes = (annotations["com.openfaas.retry.codes"] ?? "")
    .split(",")
    .map(Number)
    .filter((code) => code >= 400);
  return {
    attempts: number("attempts", ASYNC_RETRY_ATTEMPTS),
    codes: codes.length === 0 ? ASYNC_RETRY_CODES : codes,
    firstMs: ms("min_wait", ASYNC_RETRY_FIRST_MS),
    maxMs: ms("max_wait", ASYNC_RETRY_MAX_MS),
  };
}
