import { createHash, type Hash } from "node:crypto";
import type { Clock } from "@cortado/std/clock";
import { TAIL_LINES } from "./limits.ts";

/** What happened, line by line, as a hash: same seed, same hash. The last lines are kept for people. */
export class Trace {
  readonly #clock: Clock;
  readonly #hash: Hash = createHash("sha256");
  readonly #tail: string[] = [];
  readonly counts: Record<string, number> = {};

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Notes one thing that happened; things of a kind are counted. */
  note(store: string, kind: string, what: string): void {
    this.counts[kind] = (this.counts[kind] ?? 0) + 1;
    const line = `${this.#clock.monotonicMs()} ${store} ${kind} ${what}`;
    this.#hash.update(line).update("\n");
    if (this.#tail.push(line) > TAIL_LINES * 2) this.#tail.splice(0, TAIL_LINES);
  }

  get tail(): readonly string[] {
    return this.#tail.slice(-TAIL_LINES);
  }

  digest(): string {
    return this.#hash.copy().digest("hex");
  }
}
