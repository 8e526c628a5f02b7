import type { Batch, Committed, MessageLog, Place } from "../journal/message-log.ts";
import type { Session } from "./session.ts";

export type StoredQueueOptions = {
  readonly session: Session;
  readonly log: MessageLog;
  readonly failed: (error: unknown) => void;
  /** There may be something to peek at again. */
  readonly ready: () => void;
};

/** The stored messages of a session on one connection: which is next, and how far all before are acknowledged. */
export class StoredQueue {
  readonly #options: StoredQueueOptions;
  /** Sequences under way in the order they were sent: the cursor moves over their acknowledged front. */
  #order: number[] = [];
  /** First sequence not sent on this connection. */
  #next: number;
  /** Stored messages for this session not sent on this connection. */
  #unsent: number;
  #readAhead: readonly Committed[] = [];
  #readAheadAt = 0;
  #place: Place | undefined;
  #reading = false;
  /** Messages committed while a read is under way, which it may have missed. */
  #arrived = 0;

  constructor(options: StoredQueueOptions) {
    this.#options = options;
    this.#next = options.session.through + 1;
    let unsent = 0;
    for (const { items } of options.session.rows.values()) unsent += items;
    this.#unsent = unsent;
  }

  /** One more has been committed. */
  arrived(sequence: number): void {
    if (this.#unsent === 0 && !this.#reading) this.#next = sequence; // nothing older waits: no need to look at what lies between
    this.#unsent += 1;
    this.#arrived += 1;
  }

  /** The next to be sent, which stays until it is taken; undefined while there is none in memory. */
  peek(): Committed | undefined {
    if (this.#unsent === 0 || this.#reading) return undefined;
    const { session, log } = this.#options;
    while (this.#readAheadAt < this.#readAhead.length) {
      const committed = this.#readAhead[this.#readAheadAt];
      if (committed !== undefined && session.waitsFor(committed.message.sequence)) return committed;
      this.#readAheadAt += 1;
    }
    this.#readAhead = [];
    this.#readAheadAt = 0;
    if (log.holds(this.#next)) {
      this.#place = undefined;
      return log.recentFor(session, this.#next);
    }
    this.#reading = true;
    void this.#read();
    return undefined;
  }

  /** What was peeked at goes on its way. */
  take(sequence: number): void {
    if (this.#readAheadAt < this.#readAhead.length) this.#readAheadAt += 1;
    this.#next = sequence + 1;
    this.#unsent -= 1;
    this.#order.push(sequence);
  }

  /** Acknowledged, or never to be sent. */
  done(sequence: number): void {
    const { session } = this.#options;
    session.released.delete(sequence);
    session.ahead.add(sequence);
    let front = this.#order[0];
    while (front !== undefined && session.ahead.has(front)) {
      session.through = front;
      session.ahead.delete(front);
      this.#order.shift();
      front = this.#order[0];
    }
    // Those acknowledged out of order on an earlier connection are behind the cursor now.
    for (const behind of session.ahead) if (behind <= session.through) session.ahead.delete(behind);
  }

  async #read(): Promise<void> {
    const { session, log, failed, ready } = this.#options;
    this.#arrived = 0;
    try {
      const batch: Batch = await log.read(session, { sequence: this.#next, place: this.#place });
      this.#readAhead = batch.messages;
      this.#place = batch.place;
      if (batch.ended && this.#unsent > this.#arrived) {
        failed(
          new Error(`${this.#unsent - this.#arrived} messages for ${session.clientId} can no longer be read`),
        );
        this.#unsent = this.#arrived;
      }
    } catch (error) {
      failed(error);
    }
    this.#reading = false;
    // A turn in between: a long queue read from disk must not hold up everybody else.
    setImmediate(ready);
  }
}
