import type { Batch, Committed, MessageLog, Place } from "../journal/message-log.ts";
import type { Segment } from "../journal/segment.ts";
import type { Session } from "../session/session.ts";

export type LaneOptions = {
  readonly session: Session;
  readonly log: MessageLog;
  readonly segments: () => readonly Segment[];
  readonly down: boolean;
  /** Where it begins: no message before it, or above it for one that goes down, is its affair. */
  readonly start: number;
  /** Where a lane ends that gets no new messages. */
  readonly end?: number;
  /** Messages that wait in it. */
  readonly waiting: number;
  readonly failed: (error: unknown) => void;
  /** There may be something to peek at again. */
  readonly ready: () => void;
};

/**
 * A stretch of a session's queue, worked off in one direction on one connection: which message is next, and how far all behind are
 * acknowledged. What is settled goes into the session's cursor as a stretch.
 */
export class Lane {
  readonly #options: LaneOptions;
  /** Sequences under way in the order they were sent. */
  readonly #order: number[] = [];
  readonly #done: Set<number> = new Set();
  #next: number;
  #waiting: number;
  #ahead: readonly Committed[] = [];
  #aheadAt = 0;
  #place: Place | undefined;
  #reading = false;
  /** Messages that came while a read was under way, which it may have missed. */
  #arrived = 0;

  constructor(options: LaneOptions) {
    this.#options = options;
    this.#next = options.start;
    this.#waiting = options.waiting;
    if (this.#waiting === 0) this.#settleAll();
  }

  get waiting(): number {
    return this.#waiting;
  }

  /** One more has been committed; only for a lane that has no end. */
  arrived(sequence: number): void {
    if (this.#waiting === 0 && !this.#reading) this.#next = Math.max(this.#next, sequence);
    this.#waiting += 1;
    this.#arrived += 1;
  }

  /** The next to be sent, which stays until it is taken; undefined while there is none in memory. */
  peek(): Committed | undefined {
    if (this.#waiting === 0 || this.#reading) return undefined;
    const { session, log, down } = this.#options;
    for (; this.#aheadAt < this.#ahead.length; this.#aheadAt += 1) {
      const committed = this.#ahead[this.#aheadAt];
      if (committed !== undefined && session.waitsFor(committed.message.sequence)) return committed;
    }
    this.#ahead = [];
    this.#aheadAt = 0;
    if (!down && log.holds(this.#next)) {
      this.#place = undefined;
      return log.recentFor(session, this.#next);
    }
    this.#reading = true;
    void this.#read();
    return undefined;
  }

  /** What was peeked at goes on its way. */
  take(sequence: number): void {
    if (this.#aheadAt < this.#ahead.length) this.#aheadAt += 1;
    this.#next = this.#options.down ? sequence - 1 : sequence + 1;
    this.#waiting -= 1;
    this.#order.push(sequence);
  }

  /** Acknowledged, or never to be sent. */
  done(sequence: number): void {
    const { session, start, down } = this.#options;
    session.released.delete(sequence);
    session.ahead.add(sequence);
    this.#done.add(sequence);
    let front: number | undefined;
    while (this.#order[0] !== undefined && this.#done.delete(this.#order[0])) front = this.#order.shift();
    if (front === undefined) return;
    this.#settle(down ? { from: front, to: start } : { from: start, to: front });
    if (this.#waiting === 0 && this.#order.length === 0) this.#settleAll();
  }

  /** All of a lane with an end is done: nothing is left between its messages either. */
  #settleAll(): void {
    const { start, end, down } = this.#options;
    if (end !== undefined) this.#settle(down ? { from: end, to: start } : { from: start, to: end });
  }

  #settle(span: { readonly from: number; readonly to: number }): void {
    const { session } = this.#options;
    session.spans.add(span);
    session.through = session.spans.absorb(session.through);
    for (const sequence of session.ahead)
      if (sequence <= session.through || session.spans.has(sequence)) session.ahead.delete(sequence);
  }

  async #read(): Promise<void> {
    const { failed, ready, session, down } = this.#options;
    this.#arrived = 0;
    try {
      const read = down ? await this.#readDown() : await this.#readUp();
      if (read && this.#waiting > this.#arrived) {
        failed(
          new Error(
            `${this.#waiting - this.#arrived} messages for ${session.clientId} can no longer be read`,
          ),
        );
        this.#waiting = this.#arrived;
      }
    } catch (error) {
      failed(error);
    }
    this.#reading = false;
    // A turn in between: a long queue read from disk must not hold up everybody else.
    setImmediate(ready);
  }

  /** True when nothing more is there. */
  async #readUp(): Promise<boolean> {
    const { session, log } = this.#options;
    const batch: Batch = await log.read(session, { sequence: this.#next, place: this.#place });
    this.#ahead = batch.messages;
    this.#place = batch.place;
    return batch.ended;
  }

  // A segment is read to its end and turned round: it is a few megabytes at most.
  async #readDown(): Promise<boolean> {
    const { session, log, segments } = this.#options;
    const segment = segments().findLast(
      ({ number, firstSequence, lastSequence }) =>
        firstSequence <= this.#next && lastSequence > 0 && session.rows.has(number),
    );
    if (segment === undefined) return true;
    const messages: Committed[] = [];
    let from: { readonly sequence: number; readonly place: Place | undefined } = {
      sequence: segment.firstSequence,
      place: undefined,
    };
    for (;;) {
      const batch = await log.read(session, from);
      if (batch.ended || batch.place?.segment !== segment.number) break;
      messages.push(...batch.messages.filter(({ message }) => message.sequence <= this.#next));
      from = { ...from, place: batch.place };
    }
    this.#ahead = messages.reverse();
    if (messages.length === 0) this.#next = segment.firstSequence - 1;
    return false;
  }
}
