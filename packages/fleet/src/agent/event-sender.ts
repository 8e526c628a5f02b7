import type { Clock } from "@cortado/std/clock";
import { ByteBudget } from "./byte-budget.ts";
import { ACK_MS_MAX, EVENTS_BYTES_MAX, EVENTS_LOOK_MS, EVENTS_MAX, TRIM_EVERY_MS } from "./limits.ts";
import type { JournalEvent, JournalPort } from "./ports.ts";

type Lane = {
  readonly kinds: readonly string[];
  /** Goes even when the budget of all is used up, and uses it up for the others. */
  readonly isUrgent: boolean;
  readonly budget: ByteBudget | undefined;
  /** Everything of the lane up to here is at the hub. */
  safe: number;
};

export type SendEvents = (events: readonly JournalEvent[]) => Promise<void>;

type Message = { readonly events: readonly JournalEvent[]; readonly bytes: number };

/**
 * Sends the journal, the most important class first, one message at a time, within its budgets. A message that is not acknowledged
 * goes again; what the hub has of all classes on its disk is trimmed.
 */
export class EventSender {
  readonly #journal: JournalPort;
  readonly #clock: Clock;
  readonly #lanes: readonly Lane[];
  readonly #budget: ByteBudget | undefined;
  /** The newest event that was seen. */
  #highest: number;
  #trimmed: number;
  #trimmedMs = Number.NEGATIVE_INFINITY;
  #acknowledged: ((through: number) => void) | undefined;

  constructor(journal: JournalPort, clock: Clock) {
    this.#journal = journal;
    this.#clock = clock;
    const safe = journal.trimmedThrough ?? 0;
    this.#highest = safe;
    this.#trimmed = safe;
    this.#budget = journal.budget === undefined ? undefined : new ByteBudget(journal.budget, clock);
    this.#lanes = journal.classes.map(({ kinds, budget, isUrgent = false }) => ({
      kinds,
      isUrgent,
      budget: budget === undefined ? undefined : new ByteBudget(budget, clock),
      safe,
    }));
  }

  acknowledge(through: number): void {
    this.#acknowledged?.(through);
  }

  /** Sends until the signal aborts. @throws StatusError when the connection ends or the journal cannot be read */
  async run(send: SendEvents, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const wake = new AbortController();
      // Before the look: what is appended while it goes on must not wait for the next one.
      using _subscription = this.#journal.subscribe?.(() => wake.abort(new Error("there is news")));
      const { sent, waitMs } = await this.#sendNext(send, signal);
      await this.#trim();
      if (sent) continue;
      const either = AbortSignal.any([signal, wake.signal]);
      await this.#clock.sleep(Math.min(waitMs, EVENTS_LOOK_MS), { signal: either }).catch(() => undefined);
    }
  }

  async #sendNext(
    send: SendEvents,
    signal: AbortSignal,
  ): Promise<{ readonly sent: boolean; readonly waitMs: number }> {
    let leastMs = Number.POSITIVE_INFINITY;
    for (const lane of this.#lanes) {
      const ofAllMs = lane.isUrgent ? 0 : (this.#budget?.waitMs ?? 0);
      const waitMs = Math.max(lane.budget?.waitMs ?? 0, ofAllMs);
      if (waitMs > 0) {
        leastMs = Math.min(leastMs, waitMs);
        continue;
      }
      const highest = this.#highest;
      const read = await this.#journal.read({ after: lane.safe, kinds: lane.kinds, limit: EVENTS_MAX });
      const last = read.at(-1);
      if (last === undefined) {
        // The lane has nothing up to what was seen before it was asked.
        lane.safe = Math.max(lane.safe, highest);
        continue;
      }
      this.#highest = Math.max(this.#highest, last.sequence);
      const { events, bytes } = fitting(read);
      lane.budget?.spend(bytes);
      this.#budget?.spend(bytes);
      const through = events.at(-1)?.sequence ?? lane.safe;
      await this.#sendOne({ events, through }, send, signal);
      lane.safe = through;
      return { sent: true, waitMs: 0 };
    }
    return { sent: false, waitMs: leastMs };
  }

  /** Resolves when the hub has it on its disk. A hub that could not write it says nothing: it is sent again. */
  async #sendOne(
    { events, through }: { readonly events: readonly JournalEvent[]; readonly through: number },
    send: SendEvents,
    signal: AbortSignal,
  ): Promise<void> {
    const answered = new AbortController();
    const either = AbortSignal.any([signal, answered.signal]);
    this.#acknowledged = (at) => {
      if (at === through) answered.abort();
    };
    while (!answered.signal.aborted) {
      signal.throwIfAborted();
      await send(events);
      await this.#clock.sleep(ACK_MS_MAX, { signal: either }).catch(() => undefined);
    }
  }

  async #trim(): Promise<void> {
    const through = Math.min(...this.#lanes.map(({ safe }) => safe));
    const nowMs = this.#clock.monotonicMs();
    if (through <= this.#trimmed || !Number.isFinite(through) || nowMs - this.#trimmedMs < TRIM_EVERY_MS)
      return;
    await this.#journal.trim(through);
    this.#trimmed = through;
    this.#trimmedMs = nowMs;
  }
}

/** As many as go into one message; at least one. */
function fitting(read: readonly JournalEvent[]): Message {
  let bytes = 0;
  const end = read.findIndex((event, at) => {
    const size = Buffer.byteLength(JSON.stringify(event));
    if (at > 0 && bytes + size > EVENTS_BYTES_MAX) return true;
    bytes += size;
    return false;
  });
  return { events: end === -1 ? read : read.slice(0, end), bytes };
}
