import { ROLLOUT_PACE, ROLLOUT_PACE_MS_MAX } from "../limits.ts";

/** How long looks at rollouts wait, so that with many stores most of the time is left to what the stores say. */
export class Pace {
  readonly #tookMs: Map<string, number> = new Map();

  took(bundle: string, ms: number): void {
    this.#tookMs.set(bundle, ms);
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
