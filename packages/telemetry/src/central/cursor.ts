import { backoffMs } from "@cortado/std/backoff";
import type { Clock } from "@cortado/std/clock";
import type { Log } from "@cortado/std/log";
import type { Random } from "@cortado/std/random";
import { StatusError } from "@cortado/std/status";
import { CURSOR_AFTER_MS_MAX, CURSOR_EVENTS, CURSOR_FIRST_MS, CURSOR_MAX_MS } from "../limits.ts";
import type { Central, CentralEvent } from "./central.ts";

export type CursorOptions = {
  readonly central: Central;
  /** What it is called on disk: another name begins anew. */
  readonly name: string;
  readonly kinds?: readonly string[];
  /** Where a cursor begins that never was. */
  readonly begin: "oldest" | "now";
  /** Does its work with some events, in order; done means durable. A throw comes again later with the same events. */
  readonly handle: (
    events: readonly CentralEvent[],
    options: { readonly signal: AbortSignal },
  ) => Promise<void>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly signal: AbortSignal;
};

/**
 * Takes events in the order of arrival, each at least once, over restarts of the hub: its place is kept on disk after the work is
 * done. What is removed for its age meanwhile is passed over. Resolves when the signal aborts.
 */
export async function followEvents(options: CursorOptions): Promise<void> {
  const { central, name, begin, clock, random, log, signal } = options;
  let place = central.cursor(name);
  for (let failures = 0; !signal.aborted;) {
    try {
      if (place === undefined) {
        place = begin === "now" ? central.newest : 0;
        await central.saveCursor(name, place);
      }
      const wake = new AbortController();
      using _news = central.subscribe(() => wake.abort());
      place = await takeAll(options, place);
      failures = 0;
      await untilAborted(AbortSignal.any([signal, wake.signal]));
    } catch (error) {
      if (signal.aborted) return;
      place = central.cursor(name);
      log.warn("a reader of events tries again", { reader: name, failures, error });
      const askedMs = error instanceof StatusError ? (error.details?.retryAfterSeconds ?? 0) * 1_000 : 0;
      const backMs = backoffMs(failures, { firstMs: CURSOR_FIRST_MS, maxMs: CURSOR_MAX_MS, random });
      const waitMs = Math.max(backMs, Math.min(askedMs, CURSOR_AFTER_MS_MAX));
      failures += 1;
      await clock.sleep(waitMs, { signal }).catch(() => undefined);
    }
  }
}

async function takeAll(options: CursorOptions, from: number): Promise<number> {
  const { central, name, kinds, handle, signal } = options;
  let place = from;
  const end = central.newest;
  for await (const events of central.read(kinds === undefined ? {} : { kinds }, from)) {
    for (let at = 0; at < events.length; at += CURSOR_EVENTS) {
      signal.throwIfAborted();
      const some = events.slice(at, at + CURSOR_EVENTS);
      await handle(some, { signal });
      place = some.at(-1)?.position ?? place;
      await central.saveCursor(name, place);
    }
  }
  // What is of other kinds is passed over in memory only: no write for what was not done.
  return Math.max(place, end);
}

function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
