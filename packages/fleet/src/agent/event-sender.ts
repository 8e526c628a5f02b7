import type { Clock } from "@cortado/std/clock";
import { EVENTS_LOOK_MS, EVENTS_MAX } from "./limits.ts";
import type { JournalEvent, JournalPort } from "./ports.ts";

type Class = {
  readonly kinds: readonly string[];
  /** Everything of the class up to here is at the hub. */
  safe: number;
};

export type SendEvents = (events: readonly JournalEvent[]) => Promise<void>;

/** Sends the journal, most important class first, one message at a time; what the hub has on its disk is trimmed. */
export class EventSender {
  readonly #journal: JournalPort;
  readonly #clock: Clock;
  readonly #classes: readonly Class[];
  /** The newest event that was seen. */
  #highest = 0;
  #acknowledged: ((through: number) => void) | undefined;

  constructor(journal: JournalPort, clock: Clock) {
    this.#journal = journal;
    this.#clock = clock;
    this.#classes = journal.classes.map(({ kinds }) => ({ kinds, safe: 0 }));
  }

  acknowledge(through: number): void {
    this.#acknowledged?.(through);
  }

  /** Sends until the signal aborts. @throws StatusError when the connection ends or the journal cannot be read */
  async run(send: SendEvents, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      if (await this.#sendNext(send, signal)) continue;
      await this.#wait(signal);
    }
  }

  /** False: there is nothing to be sent. */
  async #sendNext(send: SendEvents, signal: AbortSignal): Promise<boolean> {
    for (const one of this.#classes) {
      const highest = this.#highest;
      const events = await this.#journal.read({ after: one.safe, kinds: one.kinds, limit: EVENTS_MAX });
      const last = events.at(-1);
      if (last === undefined) {
        // The class has nothing up to what was seen before it was asked.
        one.safe = Math.max(one.safe, highest);
        continue;
      }
      this.#highest = Math.max(this.#highest, last.sequence);
      await this.#sendOne({ events, through: last.sequence }, send, signal);
      one.safe = last.sequence;
      await this.#trim();
      return true;
    }
    await this.#trim();
    return false;
  }

  async #sendOne(
    { events, through }: { readonly events: readonly JournalEvent[]; readonly through: number },
    send: SendEvents,
    signal: AbortSignal,
  ): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    promise.catch(() => undefined); // it may fail while the message is still on its way
    const stop = (): void => reject(signal.reason as Error);
    signal.addEventListener("abort", stop, { once: true });
    this.#acknowledged = (at) => {
      if (at === through) resolve();
    };
    try {
      await send(events);
      await promise;
    } finally {
      signal.removeEventListener("abort", stop);
    }
  }

  #trimmed = 0;

  async #trim(): Promise<void> {
    const through = Math.min(...this.#classes.map(({ safe }) => safe));
    if (through <= this.#trimmed || !Number.isFinite(through)) return;
    await this.#journal.trim(through);
    this.#trimmed = through;
  }

  async #wait(signal: AbortSignal): Promise<void> {
    const wake = new AbortController();
    using _subscription = this.#journal.subscribe?.(() => wake.abort(new Error("there is news")));
    const either = AbortSignal.any([signal, wake.signal]);
    await this.#clock.sleep(EVENTS_LOOK_MS, { signal: either }).catch(() => undefined);
  }
}
