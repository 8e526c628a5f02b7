import type { Clock } from "@cortado/std/clock";
import { ROLLOUT_PACE, ROLLOUT_PACE_MS_MAX } from "../limits.ts";

/** How long looks at rollouts wait, so that with many stores most of the time is left to what the stores say. */
export class Pace {
  readonly #tookMs: Map<string, number> = new Map();

  took(bundle: string, look: Look): void {
    this.#tookMs.set(bundle, look.ms);
  }

  forget(bundle: string): void {
    this.#tookMs.delete(bundle);
  }

  get ms(): number {
    let sumMs = 0;
    for (const tookMs of this.#tookMs.values()) sumMs += tookMs;
    return Math.min(ROLLOUT_PACE_MS_MAX, sumMs * ROLLOUT_PACE);
  }
}

/** What a look costs: while it waits for a renderer or for the disk, the time is others'. */
export class Look {
  readonly #clock: Clock;
  readonly #startMs: number;
  #waitedMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#startMs = clock.monotonicMs();
  }

  async waitFor<Value>(work: Promise<Value> | undefined): Promise<Value | undefined> {
    const startMs = this.#clock.monotonicMs();
    try {
      return await work;
    } finally {
      this.#waitedMs += this.#clock.monotonicMs() - startMs;
    }
  }

  get ms(): number {
    return this.#clock.monotonicMs() - this.#startMs - this.#waitedMs;
  }
}
