import { backoffMs } from "@cortado/std/backoff";
import type { Clock } from "@cortado/std/clock";
import type { Log } from "@cortado/std/log";
import type { Counter, Histogram, Metrics } from "@cortado/std/metrics";
import { hasReason } from "@cortado/std/status";
import type { Key } from "./informer.ts";
import { LOOP_BACKOFF_FIRST_MS, LOOP_BACKOFF_MAX_MS, LOOP_FULL_SCAN_MS } from "./limits.ts";

/** What a round of a loop came to. A throw means "back off and try again"; nothing else does. */
export type Outcome =
  | { readonly kind: "done" } // the level is reached
  | { readonly kind: "again"; readonly afterMs: number } // waiting for something known
  | { readonly kind: "stalled"; readonly reason: string }; // a person must act; do not retry

export const done: Outcome = { kind: "done" };

export function again(afterMs: number): Outcome {
  return { kind: "again", afterMs };
}

export type LoopOptions = {
  /** One word as upstream's work queues are named: "deployment". */
  readonly name: string;
  /** Brings one object to its level. Gets a name and no event; may be called again at any time. */
  readonly reconcile: (key: Key, options: { readonly signal: AbortSignal }) => Promise<Outcome>;
  /** Every key there is, for the full scan that proves no event was lost. */
  readonly keys?: () => Iterable<Key>;
  /** Rounds at once, each of another key. */
  readonly workers?: number;
  /** No round begins before this resolves: a loop that plans from a cache that is not filled yet would do harm. */
  readonly ready?: Promise<unknown>;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: LoopMetrics;
  readonly signal: AbortSignal;
};

/** Upstream's workqueue metrics, declared once for all loops of a process. */
export type LoopMetrics = {
  readonly rounds: Counter;
  readonly retries: Counter;
  readonly seconds: Histogram;
};

export function newLoopMetrics(metrics: Metrics): LoopMetrics {
  return {
    rounds: metrics.counter("workqueue_adds_total", { help: "Rounds asked for, by loop.", labels: ["name"] }),
    retries: metrics.counter("workqueue_retries_total", {
      help: "Rounds that failed and back off, by loop.",
      labels: ["name"],
    }),
    seconds: metrics.histogram("workqueue_work_duration_seconds", {
      help: "How long a round took, by loop.",
      labels: ["name"],
      buckets: [0.001, 0.01, 0.1, 1, 10],
    }),
  };
}

export interface Loop {
  /** Asks for a round soon; asking twice before it begins is asking once. */
  add(key: Key): void;
  addAfter(key: Key, ms: number): void;
  /** Resolves when no round runs or waits for a worker; delayed ones do not count. */
  idle(): Promise<void>;
}

/** Starts a loop that stops with its signal; the round that runs then is told by the signal and waited for by `idle`. */
export function startLoop(options: LoopOptions): Loop {
  return new ReconcileLoop(options);
}

class ReconcileLoop implements Loop {
  readonly #options: LoopOptions;
  readonly #ready: Set<Key> = new Set();
  readonly #running: Set<Key> = new Set();
  readonly #dirty: Set<Key> = new Set();
  readonly #failures = new Map<Key, number>();
  readonly #delayed = new Map<Key, { readonly atMs: number; readonly alarm: Disposable }>();
  readonly #waiters: (() => void)[] = [];

  #isReady: boolean;

  constructor(options: LoopOptions) {
    this.#options = options;
    this.#isReady = options.ready === undefined;
    // Readiness only fails when the signal aborts, and then nothing begins anyway.
    options.ready?.then(
      () => this.#begin(),
      () => undefined,
    );
    options.signal.addEventListener("abort", () => this.#stop(), { once: true });
    this.#armFullScan();
  }

  add(key: Key): void {
    if (this.#options.signal.aborted) return;
    this.#options.metrics.rounds.add(1, { name: this.#options.name });
    if (this.#running.has(key)) this.#dirty.add(key);
    else this.#ready.add(key);
    queueMicrotask(() => this.#pump());
  }

  addAfter(key: Key, ms: number): void {
    const { clock, signal } = this.#options;
    if (signal.aborted) return;
    const atMs = clock.monotonicMs() + ms;
    const waiting = this.#delayed.get(key);
    if (waiting !== undefined && waiting.atMs <= atMs) return;
    waiting?.alarm[Symbol.dispose]();
    const alarm = clock.after(ms, () => {
      this.#delayed.delete(key);
      this.add(key);
    });
    this.#delayed.set(key, { atMs, alarm });
  }

  idle(): Promise<void> {
    if (this.#ready.size === 0 && this.#running.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#waiters.push(resolve));
  }

  #begin(): void {
    this.#isReady = true;
    this.#pump();
  }

  #pump(): void {
    if (!this.#isReady) return;
    for (const key of this.#ready) {
      if (this.#running.size >= (this.#options.workers ?? 1)) return;
      this.#ready.delete(key);
      this.#running.add(key);
      void this.#round(key);
    }
    if (this.#running.size === 0) for (const waiter of this.#waiters.splice(0)) waiter();
  }

  async #round(key: Key): Promise<void> {
    const { name, reconcile, signal, clock, metrics, log } = this.#options;
    const startMs = clock.monotonicMs();
    try {
      const outcome = await reconcile(key, { signal });
      this.#failures.delete(key);
      if (outcome.kind === "again") this.addAfter(key, outcome.afterMs);
      if (outcome.kind === "stalled") log.warn("loop stalled", { loop: name, key, reason: outcome.reason });
    } catch (error) {
      if (!signal.aborted) this.#failed(key, error);
    }
    metrics.seconds.observe((clock.monotonicMs() - startMs) / 1_000, { name });
    this.#running.delete(key);
    if (this.#dirty.delete(key)) this.#ready.add(key);
    this.#pump();
  }

  #failed(key: Key, error: unknown): void {
    const { name, log, metrics } = this.#options;
    const failures = this.#failures.get(key) ?? 0;
    this.#failures.set(key, failures + 1);
    metrics.retries.add(1, { name });
    // A conflict is the usual end of a race: the next round plans anew from the newer object.
    if (!hasReason(error, "Conflict", "AlreadyExists"))
      log.warn("round failed", { loop: name, key, failures, error });
    this.addAfter(key, backoffMs(failures, { firstMs: LOOP_BACKOFF_FIRST_MS, maxMs: LOOP_BACKOFF_MAX_MS }));
  }

  #armFullScan(): void {
    const { keys, clock, signal } = this.#options;
    if (keys === undefined) return;
    const alarm = clock.after(LOOP_FULL_SCAN_MS, () => {
      for (const key of keys()) this.add(key);
      this.#armFullScan();
    });
    signal.addEventListener("abort", () => alarm[Symbol.dispose](), { once: true });
  }

  #stop(): void {
    for (const { alarm } of this.#delayed.values()) alarm[Symbol.dispose]();
    this.#delayed.clear();
    this.#ready.clear();
    if (this.#running.size === 0) for (const waiter of this.#waiters.splice(0)) waiter();
  }
}
