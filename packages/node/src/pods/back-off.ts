import type { Clock } from "@cortado/std/clock";

export type BackOffOptions = {
  readonly firstMs: number;
  readonly maxMs: number;
  readonly resetMs: number;
  readonly clock: Clock;
};

type Entry = { waitMs: number; lastMs: number };

/**
 * Waits that double for what keeps failing, by key, on the monotonic clock. The first failure costs no wait: it only makes the entry, as
 * upstream does (client-go, util/flowcontrol/backoff.go).
 */
export class BackOff {
  readonly #options: BackOffOptions;
  readonly #entries = new Map<string, Entry>();

  constructor(options: BackOffOptions) {
    this.#options = options;
  }

  /** How long `key` still has to wait after it failed at `failedMs` (monotonic); 0 when it may go. */
  remainingMs(key: string, failedMs: number): number {
    const entry = this.#entries.get(key);
    if (entry === undefined || failedMs - entry.lastMs > this.#options.resetMs) return 0;
    return Math.max(0, failedMs + entry.waitMs - this.#options.clock.monotonicMs());
  }

  /** The wait in force, for messages. */
  waitMs(key: string): number {
    return this.#entries.get(key)?.waitMs ?? 0;
  }

  /** `key` goes again after it failed at `failedMs`: the next wait is longer, or the first when it was well for long. */
  next(key: string, failedMs: number): void {
    const entry = this.#entries.get(key);
    if (entry === undefined || failedMs - entry.lastMs > this.#options.resetMs) {
      this.#entries.set(key, { waitMs: this.#options.firstMs, lastMs: this.#options.clock.monotonicMs() });
      return;
    }
    entry.waitMs = Math.min(entry.waitMs * 2, this.#options.maxMs);
    entry.lastMs = this.#options.clock.monotonicMs();
  }

  forget(prefix: string): void {
    for (const key of this.#entries.keys()) if (key.startsWith(prefix)) this.#entries.delete(key);
  }
}

/** As Go prints a duration of whole seconds: "10s", "1m20s", "5m0s". */
export function durationText(ms: number): string {
  const seconds = Math.round(ms / 1_000);
  return seconds < 60 ? `${seconds}s` : `${Math.floor(seconds / 60)}m${seconds % 60}s`;
}
