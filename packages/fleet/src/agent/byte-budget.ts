import type { Clock } from "@cortado/std/clock";

/** What may leave a store: so much in the long run, so much at once. */
export type ByteAllowance = { readonly bytesPerSecond: number; readonly burstBytes: number };

/** A bucket of bytes that fills with time. What is sent may put it in debt by one message, so that a large one goes too. */
export class ByteBudget {
  readonly #allowance: ByteAllowance;
  readonly #clock: Clock;
  #bytes: number;
  #atMs: number;

  constructor(allowance: ByteAllowance, clock: Clock) {
    this.#allowance = allowance;
    this.#clock = clock;
    this.#bytes = allowance.burstBytes;
    this.#atMs = clock.monotonicMs();
  }

  /** Milliseconds until something may be sent; 0: now. */
  get waitMs(): number {
    this.#fill();
    if (this.#bytes > 0) return 0;
    return Math.ceil(((1 - this.#bytes) * 1_000) / this.#allowance.bytesPerSecond);
  }

  spend(bytes: number): void {
    this.#fill();
    this.#bytes -= bytes;
  }

  #fill(): void {
    const nowMs = this.#clock.monotonicMs();
    const { bytesPerSecond, burstBytes } = this.#allowance;
    this.#bytes = Math.min(burstBytes, this.#bytes + ((nowMs - this.#atMs) * bytesPerSecond) / 1_000);
    this.#atMs = nowMs;
  }
}
