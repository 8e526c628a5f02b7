import { Cron } from "croner";
import type { Clock } from "@cortado/std/clock";
import type { Log } from "@cortado/std/log";
import { messageOf } from "@cortado/std/status";
import type { Callable, Event } from "../invoke.ts";
import { TIMER_MS_MAX } from "../limits.ts";

export type CronTriggerOptions = {
  readonly clock: Clock;
  readonly log: Log;
  readonly callables: () => Iterable<Callable>;
  readonly invoke: (
    callable: Callable,
    event: Event,
    options: { readonly signal: AbortSignal },
  ) => Promise<unknown>;
};

type Planned = { readonly atMs: number; readonly alarm: Disposable };

/** Calls functions by the clock. What was missed while the box was off is not made up for. */
export class CronTrigger implements AsyncDisposable {
  readonly #options: CronTriggerOptions;
  readonly #stop: AbortController = new AbortController();
  /** By "NAMESPACE/NAME SCHEDULE". */
  readonly #planned: Map<string, Planned> = new Map();
  readonly #running: Set<Promise<unknown>> = new Set();

  constructor(options: CronTriggerOptions) {
    this.#options = options;
  }

  /** Plans what the functions now want. */
  update(): void {
    const wanted = new Set<string>();
    for (const { definition } of this.#options.callables())
      for (const schedule of definition.schedules) {
        const key = `${definition.namespace}/${definition.name} ${schedule}`;
        wanted.add(key);
        if (!this.#planned.has(key)) this.#plan(key, schedule);
      }
    for (const [key, { alarm }] of this.#planned) {
      if (wanted.has(key)) continue;
      alarm[Symbol.dispose]();
      this.#planned.delete(key);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error("functions are being stopped"));
    for (const { alarm } of this.#planned.values()) alarm[Symbol.dispose]();
    this.#planned.clear();
    await Promise.allSettled(this.#running);
  }

  #plan(key: string, schedule: string): void {
    const { clock, log } = this.#options;
    let atMs: number | undefined;
    try {
      atMs = nextTime(schedule, clock.nowMs());
    } catch (error) {
      log.warn("schedule of a function cannot be read", { key, fault: messageOf(error) });
    }
    if (atMs !== undefined) this.#arm(key, { schedule, atMs });
  }

  #arm(key: string, { schedule, atMs }: { readonly schedule: string; readonly atMs: number }): void {
    const { clock } = this.#options;
    // In steps: wall time may jump, and a timer counts no more than some days.
    const waitMs = Math.min(Math.max(atMs - clock.nowMs(), 0), TIMER_MS_MAX);
    const alarm = clock.after(waitMs, () => {
      if (this.#stop.signal.aborted) return;
      if (clock.nowMs() < atMs) {
        this.#arm(key, { schedule, atMs });
        return;
      }
      this.#planned.delete(key);
      this.#fire(key, atMs);
      this.#plan(key, schedule);
    });
    this.#planned.set(key, { atMs, alarm });
  }

  #fire(key: string, atMs: number): void {
    const { callables, invoke, log } = this.#options;
    const callable = [...callables()].find(({ definition }) =>
      key.startsWith(`${definition.namespace}/${definition.name} `),
    );
    if (callable === undefined) return;
    const { name, namespace } = callable.definition;
    const id = `cron-${namespace}-${name}-${atMs}`;
    const headers = { "x-topic": "cron-function", "x-connector": "cortado-cron", "x-call-id": id };
    const event: Event = {
      id,
      method: "POST",
      path: "/",
      query: {},
      headers,
      body: new Uint8Array(0),
      atMs,
      topic: "cron-function",
    };
    const running = invoke(callable, event, { signal: this.#stop.signal })
      .catch((error: unknown) =>
        log.warn("function failed for its schedule", { function: name, namespace, error }),
      )
      .finally(() => this.#running.delete(running));
    this.#running.add(running);
  }
}

/** When a schedule comes next: five or six fields, @daily and the like, or "@every 5m". */
export function nextTime(schedule: string, afterMs: number): number | undefined {
  const every = /^@every\s+(\d+)(s|m|h)$/.exec(schedule);
  if (every !== null) {
    const periodMs = Number(every[1]) * (every[2] === "s" ? 1_000 : every[2] === "m" ? 60_000 : 3_600_000);
    if (periodMs < 1_000) throw new RangeError(`${schedule}: at least a second`);
    return (Math.floor(afterMs / periodMs) + 1) * periodMs;
  }
  return new Cron(schedule, { paused: true }).nextRun(new Date(afterMs))?.getTime();
}
