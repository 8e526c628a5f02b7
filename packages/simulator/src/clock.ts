import type { Clock } from "@cortado/std/clock";

type Alarm = { readonly atMs: number; readonly order: number; ring: (() => void) | undefined };

/** More turns than this without any time passing: something waits for itself. */
const TURNS_MAX = 20_000;

/** One held clock for a whole chain: alarms in a heap, as there are ten thousands of them. Same alarms, same order. */
export class SimulatedClock implements Clock {
  readonly #heap: Alarm[] = [];
  readonly #startMs: number;
  #elapsedMs = 0;
  #made = 0;

  constructor(startMs: number = Date.UTC(2026, 0, 1)) {
    this.#startMs = startMs;
  }

  /** Whole, as a machine's wall clock answers: back-offs end between two milliseconds. */
  nowMs(): number {
    return this.#startMs + Math.floor(this.#elapsedMs);
  }

  monotonicMs(): number {
    return this.#elapsedMs;
  }

  sleep(ms: number, options: { readonly signal: AbortSignal }): Promise<void> {
    return sleepOn(this, ms, options.signal);
  }

  after(ms: number, callback: () => void): Disposable {
    const alarm: Alarm = {
      atMs: this.#elapsedMs + Math.max(0, ms),
      order: (this.#made += 1),
      ring: callback,
    };
    this.#push(alarm);
    return { [Symbol.dispose]: () => void (alarm.ring = undefined) };
  }

  /** Lets time pass. Alarms of one instant ring together, and all that they woke is done before time goes on. */
  async advance(ms: number): Promise<void> {
    const endMs = this.#elapsedMs + ms;
    await quiet();
    for (let next = this.#heap[0]; next !== undefined && next.atMs <= endMs; next = this.#heap[0]) {
      if (next.ring === undefined) {
        this.#pop();
        continue;
      }
      this.#elapsedMs = Math.max(this.#elapsedMs, next.atMs);
      const due: Alarm[] = [];
      while (this.#heap[0] !== undefined && this.#heap[0].atMs <= this.#elapsedMs) due.push(this.#pop());
      for (const alarm of due) alarm.ring?.();
      await quiet();
    }
    this.#elapsedMs = endMs;
  }

  #push(alarm: Alarm): void {
    const heap = this.#heap;
    let at = heap.push(alarm) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(alarm, heap[parent] as Alarm)) break;
      heap[at] = heap[parent] as Alarm;
      at = parent;
    }
    heap[at] = alarm;
  }

  #pop(): Alarm {
    const heap = this.#heap;
    const first = heap[0] as Alarm;
    const last = heap.pop() as Alarm;
    if (heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = at * 2 + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1] as Alarm, heap[child] as Alarm)) child += 1;
      if (!isBefore(heap[child] as Alarm, last)) break;
      heap[at] = heap[child] as Alarm;
      at = child;
    }
    heap[at] = last;
    return first;
  }
}

function isBefore(one: Alarm, other: Alarm): boolean {
  return one.atMs < other.atMs || (one.atMs === other.atMs && one.order < other.order);
}

/** The clock of one process: when the process dies, none of its alarms ever rings. */
export class MortalClock implements Clock {
  readonly #clock: Clock;
  readonly #alarms = new Set<Disposable>();
  #dead = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  nowMs(): number {
    return this.#clock.nowMs();
  }

  monotonicMs(): number {
    return this.#clock.monotonicMs();
  }

  sleep(ms: number, options: { readonly signal: AbortSignal }): Promise<void> {
    return sleepOn(this, ms, options.signal);
  }

  after(ms: number, callback: () => void): Disposable {
    if (this.#dead) return { [Symbol.dispose]() {} };
    const alarm = this.#clock.after(ms, () => {
      this.#alarms.delete(alarm);
      callback();
    });
    this.#alarms.add(alarm);
    return {
      [Symbol.dispose]: () => {
        this.#alarms.delete(alarm);
        alarm[Symbol.dispose]();
      },
    };
  }

  die(): void {
    this.#dead = true;
    for (const alarm of this.#alarms) alarm[Symbol.dispose]();
    this.#alarms.clear();
  }
}

function sleepOn(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(signal.reason as Error);
      return;
    }
    const stop = (): void => {
      alarm[Symbol.dispose]();
      reject(signal.reason as Error);
    };
    const alarm = clock.after(ms, () => {
      signal.removeEventListener("abort", stop);
      resolve();
    });
    signal.addEventListener("abort", stop, { once: true });
  });
}

/**
 * Turns the event loop until nothing is ready to run. What waits for the real world (a file, a thread) would come back at a time
 * of its own and make two runs of one seed differ, so it is refused.
 */
async function quiet(): Promise<void> {
  for (let turn = 0; turn < TURNS_MAX; turn += 1) {
    await new Promise<void>((resolve) => void setImmediate(resolve));
    const active = process.getActiveResourcesInfo();
    if (active.some((name) => name.startsWith("FSReq")))
      throw new Error("something read or wrote a real file in a simulation; give it its disk by the door");
    if (!active.includes("Immediate")) return;
  }
  throw new Error(
    `no rest after ${TURNS_MAX} turns of the event loop: something waits for itself without letting time pass`,
  );
}
