import type { Random } from "./random.ts";

export type BackoffOptions = {
  readonly firstMs: number;
  readonly maxMs: number;
  /** How often to answer before ending; absent: for ever. */
  readonly attempts?: number;
  /** Each wait is drawn from [wait/2, wait]; absent: no jitter. */
  readonly random?: Random;
};

/** Yields waits in milliseconds that double from `firstMs` up to `maxMs`. */
export function* backoff(options: BackoffOptions): Generator<number, void, void> {
  const attempts = options.attempts ?? Number.POSITIVE_INFINITY;
  for (let attempt = 0; attempt < attempts; attempt += 1) yield backoffMs(attempt, options);
}

/** The wait before retry `attempt` (the first is 0). Pure but for the jitter. */
export function backoffMs(attempt: number, options: BackoffOptions): number {
  // 2 ** 40 keeps the product finite; any maxMs in use is far below.
  const waitMs = Math.min(options.maxMs, options.firstMs * 2 ** Math.min(attempt, 40));
  return options.random === undefined ? waitMs : waitMs / 2 + (options.random.float() * waitMs) / 2;
}
