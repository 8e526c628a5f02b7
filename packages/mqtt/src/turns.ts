import type { Clock } from "@cortado/std/clock";
import { TURN_MS } from "./limits.ts";

/**
 * Shares the loop with whatever else runs in the process. Work that comes in bulk (a morning's connections, a group of commits) asks
 * whether its turn is over and then goes on in the next, after all others had theirs.
 */
export class Turns {
  readonly #clock: Clock;
  readonly #waiting: (() => void)[] = [];
  #startMs: number | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Whether this turn of the loop has had its share. */
  get isOver(): boolean {
    const nowMs = this.#clock.monotonicMs();
    if (this.#startMs !== undefined) return nowMs - this.#startMs > TURN_MS;
    this.#startMs = nowMs;
    setImmediate(() => void this.#next());
    return false;
  }

  /** Does it in a turn to come, in the order in which it was asked. */
  later(work: () => void): void {
    this.#waiting.push(work);
  }

  over(): Promise<void> {
    return new Promise((resolve) => this.later(resolve));
  }

  async #next(): Promise<void> {
    this.#startMs = undefined;
    if (this.#waiting.length === 0) return;
    let done = 0;
    while (done < this.#waiting.length && !this.isOver) {
      this.#waiting[done]?.();
      done += 1;
      // Who waits for `over` goes on now and not behind all the others.
      await undefined;
    }
    this.#waiting.splice(0, done);
  }
}
