import { publishFrame, withId, type QoS } from "@cortado/wire/mqtt";
import type { Batch, Committed, MessageLog, Place } from "../journal/message-log.ts";
import type { Message } from "../journal/records.ts";
import { putStamp } from "../client/stamp.ts";
import { CLEAN_QUEUE_BYTES_MAX, CLEAN_QUEUE_ITEMS_MAX, OUTGOING_BYTES_MAX } from "../limits.ts";
import type { Acknowledged, Outgoing, Session, Transient } from "./session.ts";

/** The connection's side. */
export interface Sink {
  /** The broker's id, when the connection wants each payload stamped. */
  readonly stamp: string | undefined;
  readonly bufferedBytes: number;
  send(frame: Uint8Array): void;
  /** Ends the connection for a reason of the client's own making. */
  fail(reason: string): void;
}

type Flight = { readonly message: Message; readonly committed: Committed | undefined };

/** A message that waits only in memory. A retained one is there anyway. */
const transientBytes = ({ message, retain }: Transient): number =>
  retain ? 0 : message.topic.length + message.payload.byteLength + 100;

export type OutboxOptions = {
  readonly session: Session;
  readonly sink: Sink;
  readonly log: MessageLog;
  readonly inflightMax: number;
  readonly sent: (message: Message) => void;
  readonly dropped: () => void;
  readonly failed: (error: unknown) => void;
};

/**
 * Delivers to one connected client: QoS 0 at once or not at all, QoS 1 within a window, in order, out of memory or out of the
 * journal when the client lags behind.
 */
export class Outbox implements Outgoing {
  readonly #options: OutboxOptions;
  #flights: Map<number, Flight> | undefined;
  /** Sequences under way in the order they were sent: the cursor moves over their acknowledged front. */
  #order: number[] = [];
  #transients: Transient[] | undefined;
  #transientBytes = 0;
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
  #lastId = 0;
  #closed = false;

  constructor(options: OutboxOptions) {
    this.#options = options;
    this.#next = options.session.through + 1;
    let unsent = 0;
    for (const { items } of options.session.rows.values()) unsent += items;
    this.#unsent = unsent;
  }

  close(): void {
    this.#closed = true;
  }

  /** QoS 0: the same frame for all; dropped when the client does not keep up. */
  sendOnce(message: Message): void {
    const { sink, sent, dropped } = this.#options;
    if (sink.bufferedBytes > OUTGOING_BYTES_MAX) {
      dropped();
      return;
    }
    sink.send(this.#frame(message, { qos: 0, retain: false }));
    sent(message);
  }

  /** A retained message for a new subscription. */
  sendRetained(message: Message, qos: QoS): void {
    if (qos === 0) {
      this.#options.sink.send(this.#frame(message, { qos: 0, retain: true }));
      this.#options.sent(message);
    } else this.queue({ message, retain: true });
  }

  /** QoS 1 that waits in memory only. */
  queue(transient: Transient): void {
    if (this.#closed) return;
    const queue = (this.#transients ??= []);
    const { session, sink } = this.#options;
    if (this.#isFull(queue)) {
      sink.fail(`subscriber ${session.clientId} is too slow: ${queue.length} messages wait for it in memory`);
      return;
    }
    queue.push(transient);
    this.#transientBytes += transientBytes(transient);
    this.wake();
  }

  /** A stored message for this session has been committed. */
  committed({ message }: Committed): void {
    if (this.#unsent === 0 && !this.#reading) this.#next = message.sequence; // nothing older waits: no need to look at what lies between
    this.#unsent += 1;
    this.#arrived += 1;
    this.wake();
  }

  /** Frees the window; undefined when nothing with this id is under way. */
  acknowledge(id: number): Acknowledged | undefined {
    const flight = this.#flights?.get(id);
    if (flight === undefined) return undefined;
    this.#flights?.delete(id);
    if (flight.committed !== undefined) this.#moveCursor(flight.message.sequence);
    this.wake();
    return { committed: flight.committed };
  }

  /** Sends as much as the window and the connection take. */
  wake(): void {
    const { sink, inflightMax } = this.#options;
    while (
      !this.#closed &&
      (this.#flights?.size ?? 0) < inflightMax &&
      sink.bufferedBytes <= OUTGOING_BYTES_MAX
    ) {
      const transient = this.#transients?.shift();
      if (transient !== undefined) {
        this.#transientBytes -= transientBytes(transient);
        if (this.#transients?.length === 0) this.#transients = undefined;
        this.#send({ message: transient.message, committed: undefined }, transient.retain);
        continue;
      }
      if (this.#unsent === 0 || this.#reading) return;
      const committed = this.#nextStored();
      if (committed === undefined) return;
      this.#next = committed.message.sequence + 1;
      this.#unsent -= 1;
      this.#order.push(committed.message.sequence);
      this.#send({ message: committed.message, committed }, false);
    }
  }

  #isFull(queue: readonly Transient[]): boolean {
    return queue.length >= CLEAN_QUEUE_ITEMS_MAX || this.#transientBytes > CLEAN_QUEUE_BYTES_MAX;
  }

  #nextStored(): Committed | undefined {
    const { session, log } = this.#options;
    while (this.#readAheadAt < this.#readAhead.length) {
      const committed = this.#readAhead[this.#readAheadAt];
      this.#readAheadAt += 1;
      if (committed !== undefined && session.waitsFor(committed.message.sequence)) return committed;
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

  async #read(): Promise<void> {
    const { session, log, failed } = this.#options;
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
    if (!this.#closed) setImmediate(() => this.wake());
  }

  #moveCursor(sequence: number): void {
    const { session } = this.#options;
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

  #send(flight: Flight, retain: boolean): void {
    const { session, sink, sent } = this.#options;
    const flights = (this.#flights ??= new Map());
    const id = this.#freeId(flights);
    flights.set(id, flight);
    const { message, committed } = flight;
    const dup = committed !== undefined && message.sequence <= session.sentThrough;
    if (committed !== undefined) session.sentThrough = Math.max(session.sentThrough, message.sequence);
    sink.send(withId(this.#frame(message, { qos: 1, retain }), { id, dup }));
    sent(message);
  }

  #frame(message: Message, { qos, retain }: { readonly qos: QoS; readonly retain: boolean }): Uint8Array {
    const { stamp } = this.#options.sink;
    return stamp === undefined
      ? sharedFrame(message, { qos, retain })
      : stampedFrame(message, { qos, retain, stamp });
  }

  #freeId(flights: ReadonlyMap<number, Flight>): number {
    do this.#lastId = this.#lastId === 65_535 ? 1 : this.#lastId + 1;
    while (flights.has(this.#lastId));
    return this.#lastId;
  }
}

type Framing = { readonly qos: QoS; readonly retain: boolean };
let last: (Framing & { readonly message: Message; readonly frame: Uint8Array }) | undefined;

// A fan-out sends one message to one receiver after another: the frame is made for the first and kept for the rest.
function sharedFrame(message: Message, { qos, retain }: Framing): Uint8Array {
  if (last?.message === message && last.qos === qos && last.retain === retain) return last.frame;
  const frame = publishFrame({
    topic: message.topic,
    payload: message.payload,
    qos,
    retain,
    dup: false,
    id: 1,
  });
  last = { message, qos, retain, frame };
  return frame;
}

type Stamping = Framing & { readonly stamp: string };

function stampedFrame(message: Message, { qos, retain, stamp }: Stamping): Uint8Array {
  const payload = putStamp(message.payload, {
    broker: stamp,
    sequence: message.sequence,
    atMs: message.atMs,
  });
  return publishFrame({ topic: message.topic, payload, qos, retain, dup: false, id: 1 });
}
