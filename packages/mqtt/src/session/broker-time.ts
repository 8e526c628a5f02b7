import type { Clock } from "@cortado/std/clock";
import { CLOCK_GAP_MAX_MS } from "../limits.ts";

/** The broker's own time and the wall clock's at one moment: what records keep, so that the next start can go on from it. */
export type TimePair = { readonly brokerMs: number; readonly wallMs: number };

/** Of a session that a client had when the broker died: since when it has none is for the next broker to say. */
export const UNKNOWN_MS = -1;

/**
 * Time by which sessions and messages expire. It never goes back and does not jump while the broker runs, whatever the wall clock
 * does. Over a restart the wall clock says how long the broker was away, unless what it says cannot be true (1970, 2099): then
 * nothing has passed, as what expires a little late harms less than what is thrown away.
 */
export class BrokerTime {
  readonly #clock: Clock;
  readonly #offsetMs: number;

  constructor(clock: Clock, last: TimePair | undefined) {
    this.#clock = clock;
    const wallMs = clock.nowMs();
    const gapMs = last === undefined ? 0 : wallMs - last.wallMs;
    const awayMs = gapMs >= 0 && gapMs <= CLOCK_GAP_MAX_MS ? gapMs : 0;
    const startMs = last === undefined ? wallMs : last.brokerMs + awayMs;
    this.#offsetMs = startMs - clock.monotonicMs();
  }

  nowMs(): number {
    return Math.floor(this.#clock.monotonicMs() + this.#offsetMs);
  }

  pair(): TimePair {
    return { brokerMs: this.nowMs(), wallMs: this.#clock.nowMs() };
  }
}
