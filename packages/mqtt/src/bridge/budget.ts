import type { Clock } from "@cortado/std/clock";

export type BudgetOptions = {
  readonly clock: Clock;
  readonly perS: number;
  /** As much goes at once after silence. */
  readonly burst: number;
};

/** A bucket that fills at a steady rate. What is larger than the bucket waits until that is full, and is paid off afterwards. */
export class Budget {
  readonly #options: BudgetOptions;
  #left: number;
  #atMs: number;

  constructor(options: BudgetOptions) {
    this.#options = options;
    this.#left = options.burst;
    this.#atMs = options.clock.monotonicMs();
  }

  /** How long to wait before so much may be spent; 0: now. */
  waitMs(amount: number): number {
    this.#fill();
    const { perS, burst } = this.#options;
    const missing = Math.min(amount, burst) - this.#left;
    return missing <= 0 ? 0 : Math.ceil((missing / perS) * 1_000);
  }

  /** Spends without asking, for what cannot wait. */
  spend(amount: number): void {
    this.#fill();
    this.#left -= amount;
  }

  #fill(): void {
    const { clock, perS, burst } = this.#options;
    const nowMs = clock.monotonicMs();
    this.#left = Math.min(burst, this.#left + ((nowMs - this.#atMs) / 1_000) * perS);
    this.#atMs = nowMs;
  }
}
