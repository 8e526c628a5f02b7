import type { Clock } from "@cortado/std/clock";
import { UNSIGNED_WAKES_MAX, UNSIGNED_WAKES_MS } from "./limits.ts";

/** How often somebody who proves nothing may wake the hub: each wake looks at a remote, and could be made to. */
export class WakeLimit {
  readonly #clock: Clock;
  #left = UNSIGNED_WAKES_MAX;
  #filledMs: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#filledMs = clock.monotonicMs();
  }

  /** Milliseconds to wait; 0: it may, and that was counted. */
  take(): number {
    const nowMs = this.#clock.monotonicMs();
    const eachMs = UNSIGNED_WAKES_MS / UNSIGNED_WAKES_MAX;
    this.#left = Math.min(UNSIGNED_WAKES_MAX, this.#left + (nowMs - this.#filledMs) / eachMs);
    this.#filledMs = nowMs;
    if (this.#left < 1) return Math.ceil((1 - this.#left) * eachMs);
    this.#left -= 1;
    return 0;
  }
}
