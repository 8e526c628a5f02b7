import type { Clock } from "../clock.ts";

type Alarm = { readonly atMs: number; readonly order: number; readonly ring: () => void };

/** A clock that stands still until `advance`. Alarms ring in order of time, then of making. */
export class HeldClock implements Clock {
  readonly #alarms = new Set<Alarm>();
  readonly #startMs: number;
  #elapsedMs = 0;
  #jumpedMs = 0;
  #made = 0;

  constructor(startMs: number = Date.UTC(2026, 0, 1)) {
    this.#startMs = startMs;
  }

  nowMs(): number {
    // Whole, as the machine's own clock tells it.
    return Math.floor(this.#startMs + this.#jumpedMs + this.#elapsedMs);
  }

  monotonicMs(): number {
    return this.#elapsedMs;
  }

  sleep(ms: number, { signal }: { readonly signal: AbortSignal }): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(signal.reason as Error);
        return;
      }
      const stop = (): void => {
        alarm[Symbol.dispose]();
        reject(signal.reason as Error);
      };
      const alarm = this.after(ms, () => {
        signal.removeEventListener("abort", stop);
        resolve();
      });
      signal.addEventListener("abort", stop, { once: true });
    });
  }

  after(ms: number, callback: () => void): Disposable {
    const alarm: Alarm = {
      atMs: this.#elapsedMs + Math.max(0, ms),
      order: (this.#made += 1),
      ring: callback,
    };
    this.#alarms.add(alarm);
    return { [Symbol.dispose]: () => void this.#alarms.delete(alarm) };
  }

  /** How many alarms wait: a test that ends with some has left something running. */
  get pending(): number {
    return this.#alarms.size;
  }

  /** When the next alarm rings, in milliseconds from now; undefined when none waits. */
  get nextMs(): number | undefined {
    const alarm = this.#earliest();
    return alarm === undefined ? undefined : alarm.atMs - this.#elapsedMs;
  }

  /** Wall time jumps (a dead clock battery, a time server); durations go on. */
  jump(ms: number): void {
    this.#jumpedMs += ms;
  }

  /** Lets time pass, ringing each alarm at its time and letting what it woke run before the next. */
  async advance(ms: number): Promise<void> {
    const endMs = this.#elapsedMs + ms;
    await settle();
    for (let alarm = this.#earliest(); alarm !== undefined && alarm.atMs <= endMs; alarm = this.#earliest()) {
      this.#elapsedMs = Math.max(this.#elapsedMs, alarm.atMs);
      this.#alarms.delete(alarm);
      alarm.ring();
      await settle();
    }
    this.#elapsedMs = endMs;
  }

  /** Advances step by step until `reached` holds. @throws Error when it does not within `withinMs` of held time. */
  async until(
    reached: () => boolean,
    options: { readonly withinMs: number; readonly what?: string },
  ): Promise<void> {
    const endMs = this.#elapsedMs + options.withinMs;
    await settle();
    while (!reached()) {
      const alarm = this.#earliest();
      if (alarm === undefined || alarm.atMs > endMs)
        throw new Error(
          `not reached within ${options.withinMs} ms of held time: ${options.what ?? reached.toString()}`,
        );
      await this.advance(alarm.atMs - this.#elapsedMs);
    }
  }

  #earliest(): Alarm | undefined {
    let first: Alarm | undefined;
    for (const alarm of this.#alarms)
      if (
        first === undefined ||
        alarm.atMs < first.atMs ||
        (alarm.atMs === first.atMs && alarm.order < first.order)
      )
        first = alarm;
    return first;
  }
}

/** Lets promises and immediates that are ready run; several turns, as one wakes the next. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await new Promise<void>((resolve) => void setImmediate(resolve));
}
