import { encodePacket, reasonCodes, type AckPacket, type QoS } from "@cortado/wire/mqtt";
import type { Committed, MessageLog, Row } from "../journal/message-log.ts";
import type { Message } from "../journal/records.ts";
import {
  CLEAN_QUEUE_BYTES_MAX,
  CLEAN_QUEUE_ITEMS_MAX,
  OUTGOING_BYTES_MAX,
  REPLAY_BYTES_AHEAD,
  REPLAY_ITEMS_AHEAD,
} from "../limits.ts";
import { Framer, type ClientTerms } from "./framing.ts";
import { ReplayGate, type Bring, type Replaying } from "./replay-gate.ts";
import { plainGrants, type Grant } from "./grant.ts";
import { lowerQos, storedPacketId, type Outgoing, type Session, type Transient } from "./session.ts";
import { StoredQueue } from "./stored-queue.ts";

/** The connection's side. */
export interface Sink {
  /** The broker's id, when the connection wants each payload stamped. */
  readonly stamp: string | undefined;
  readonly terms: ClientTerms;
  readonly bufferedBytes: number;
  send(frame: Uint8Array): void;
  /** Sends a PUBLISH of QoS 1 or 2 with this id; the frame may be another's after that, and its id then too. */
  sendPublish(frame: Uint8Array, options: { readonly id: number; readonly dup: boolean }): void;
  /** Ends the connection for a reason of the client's own making; `code` is MQTT 5's. */
  fail(reason: string, options?: { readonly code?: number }): void;
}

/** `released`: PUBREC has come (QoS 2); what is left is PUBREL and PUBCOMP. */
type Flight = {
  /** Of a stored message: what is left to settle. Its bytes are not held for that, as the window of a slow client may be full for long. */
  readonly row: Row | undefined;
  readonly sequence: number;
  /** What waits nowhere else. */
  readonly transient: Transient | undefined;
  readonly qos: QoS;
  released: boolean;
};

/** A message that waits only in memory. */
const transientBytes = ({ message }: Transient): number =>
  message.topic.length + message.payload.byteLength + 100;

/** What all outboxes of a broker share. */
export type OutboxHost = {
  readonly log: MessageLog;
  readonly inflightMax: number;
  /** Broker time. */
  readonly nowMs: () => number;
  readonly sent: (message: Message) => void;
  readonly dropped: () => void;
  /** A stored message will never be sent: it has expired, or the client does not take one so large. */
  readonly skipped: (session: Session, committed: Committed) => void;
  /** PUBREC for a stored message: to be made durable before `then` sends PUBREL. */
  readonly received: (session: Session, sequence: number, then: () => void) => void;
  readonly failed: (session: Session, error: unknown) => void;
};

export type OutboxOptions = { readonly session: Session; readonly sink: Sink; readonly host: OutboxHost };

/**
 * Delivers to one connected client: QoS 0 at once or not at all, QoS 1 and 2 within a window, in order, out of memory or out of the
 * journal when the client lags behind.
 */
export class Outbox implements Outgoing {
  readonly #session: Session;
  readonly #sink: Sink;
  readonly #host: OutboxHost;
  readonly #framer: Framer;
  /** Undefined for a session that nothing on disk knows. */
  readonly #stored: StoredQueue | undefined;
  readonly #window: number;
  #flights: Map<number, Flight> | undefined;
  #transients: Transient[] | undefined;
  #transientBytes = 0;
  #lastId = 0;
  #closed = false;
  #waiters: (() => void)[] | undefined;
  #gate: ReplayGate | undefined;

  constructor({ session, sink, host }: OutboxOptions) {
    this.#session = session;
    this.#sink = sink;
    this.#host = host;
    const { log, nowMs } = host;
    this.#framer = new Framer({ terms: sink.terms, stamp: sink.stamp, nowMs });
    this.#window = Math.min(host.inflightMax, sink.terms.receiveMax);
    if (!session.persistent) return;
    const ready = (): void => void (this.#closed || this.wake());
    const failed = (error: unknown): void => host.failed(session, error);
    this.#stored = new StoredQueue({ session, log, failed, ready });
  }

  get inflight(): number {
    return this.#flights?.size ?? 0;
  }

  get hasRoom(): boolean {
    const sink = this.#sink;
    const session = this.#session;
    return (
      (this.#transients?.length ?? 0) < REPLAY_ITEMS_AHEAD &&
      this.#transientBytes < REPLAY_BYTES_AHEAD &&
      sink.bufferedBytes < REPLAY_BYTES_AHEAD &&
      session.items < REPLAY_ITEMS_AHEAD
    );
  }

  whenRoom(then: () => void): void {
    (this.#waiters ??= []).push(then);
    setImmediate(() => this.#tellRoom());
  }

  #tellRoom(): void {
    if (this.#waiters === undefined || this.#closed || !this.hasRoom) return;
    const waiters = this.#waiters;
    this.#waiters = undefined;
    for (const waiter of waiters) waiter();
  }

  close(): readonly Transient[] {
    this.#closed = true;
    const left: Transient[] = [];
    for (const { transient, qos } of this.#flights?.values() ?? [])
      if (transient !== undefined && qos === 1) left.push(transient);
    return [...left, ...(this.#transients ?? [])];
  }

  replayBegins(bring: Bring): Replaying {
    const gate = (this.#gate ??= new ReplayGate(() => this.#opened()));
    const { begun, end } = gate.begin(bring);
    const ended = (): void => {
      end();
      this.#letGo();
    };
    return { begun, end: ended };
  }

  #opened(): void {
    this.#letGo();
    if (!this.#closed) this.wake();
  }

  #letGo(): void {
    if (this.#gate?.isIdle === true) this.#gate = undefined;
  }

  /** QoS 0: the same frame for all; dropped when the client does not keep up. */
  sendOnce(message: Message, grant: Grant): void {
    if (this.#gate?.isIdle !== false) this.#sendOnce(message, grant);
    else this.#gate.pass(message.topic, () => this.#sendOnce(message, grant));
  }

  #sendOnce(message: Message, grant: Grant): void {
    if (this.#closed) return;
    const sink = this.#sink;
    const { sent, dropped } = this.#host;
    if (sink.bufferedBytes > OUTGOING_BYTES_MAX) {
      dropped();
      return;
    }
    const retain = grant.isRetained || (message.retain && grant.retainAsPublished);
    const frame = this.#framer.frame(message, { qos: 0, retain, identifiers: grant.identifiers });
    if (frame === undefined) {
      dropped();
      return;
    }
    sink.send(frame);
    sent(message);
  }

  /** A retained message for a new subscription. */
  sendRetained(message: Message, grant: Grant): void {
    if (this.#framer.isExpired(message)) return;
    if (lowerQos(message.qos, grant.qos) > 0) this.#queue({ message, grant });
    else this.#sendUnlimited(message, grant);
  }

  #sendUnlimited(message: Message, { identifiers }: Grant): void {
    const sink = this.#sink;
    const { sent, dropped } = this.#host;
    const frame = this.#framer.frame(message, { qos: 0, retain: true, identifiers });
    if (frame === undefined) {
      dropped();
      return;
    }
    sink.send(frame);
    sent(message);
  }

  /** QoS 1 and 2 that wait in memory only. */
  queue(transient: Transient): void {
    if (this.#gate?.isIdle !== false) this.#queue(transient);
    else this.#gate.pass(transient.message.topic, () => this.#queue(transient));
  }

  #queue(transient: Transient): void {
    if (this.#closed) return;
    const queue = (this.#transients ??= []);
    const session = this.#session;
    const sink = this.#sink;
    if (this.#isFull(queue)) {
      sink.fail(
        `subscriber ${session.clientId} is too slow: ${queue.length} messages wait for it in memory`,
        {
          code: reasonCodes.quotaExceeded,
        },
      );
      return;
    }
    queue.push(transient);
    this.#transientBytes += transientBytes(transient);
    this.wake();
  }

  /** A stored message for this session has been committed. */
  committed(committed: Committed): void {
    this.#stored?.arrived(committed.message.sequence);
    if (this.#gate?.isIdle !== false) this.wake();
    else this.#gate.pass(committed.message.topic, () => this.wake());
  }

  /** PUBACK, PUBREC or PUBCOMP: frees the window when it ends a delivery. */
  answered({ type, id, code = 0 }: AckPacket): Row | undefined {
    const flight = this.#flights?.get(id);
    if (type === "pubrec" && code < 0x80) {
      this.#onReceived(id, flight);
      return undefined;
    }
    if (flight === undefined || flight.qos !== (type === "puback" ? 1 : 2)) return undefined;
    if (type === "pubcomp" && !flight.released) return undefined;
    this.#flights?.delete(id);
    if (flight.row !== undefined) this.#stored?.done(flight.sequence);
    this.wake();
    return flight.row;
  }

  /** Sends as much as the window and the connection take. */
  wake(): void {
    this.#pump();
    if (this.#waiters !== undefined) this.#tellRoom();
  }

  #pump(): void {
    const sink = this.#sink;
    while (
      !this.#closed &&
      (this.#flights?.size ?? 0) < this.#window &&
      sink.bufferedBytes <= OUTGOING_BYTES_MAX
    ) {
      const transient = this.#transients?.shift();
      if (transient !== undefined) {
        this.#transientBytes -= transientBytes(transient);
        if (this.#transients?.length === 0) this.#transients = undefined;
        this.#sendTransient(transient);
        continue;
      }
      if (this.#gate?.holds === true) return;
      const committed = this.#stored?.peek();
      if (committed === undefined) return;
      const id = storedPacketId(committed.message.sequence);
      if (this.#flights?.has(id) === true) return; // one that is 65,535 messages older must be answered first
      this.#stored?.take(committed.message.sequence);
      this.#sendStored(committed, id);
    }
  }

  #isFull(queue: readonly Transient[]): boolean {
    return queue.length >= CLEAN_QUEUE_ITEMS_MAX || this.#transientBytes > CLEAN_QUEUE_BYTES_MAX;
  }

  #onReceived(id: number, flight: Flight | undefined): void {
    const sink = this.#sink;
    const { received } = this.#host;
    const code = flight?.qos === 2 ? reasonCodes.success : reasonCodes.packetIdNotFound;
    const release = (): void =>
      void (this.#closed || sink.send(encodePacket({ type: "pubrel", id, code }, sink.terms.level)));
    if (flight?.qos === 2) flight.released = true;
    if (flight?.qos !== 2 || flight.row === undefined) release();
    else received(this.#session, flight.sequence, release);
  }

  #sendTransient(transient: Transient): void {
    const { message, grant } = transient;
    const sink = this.#sink;
    const { sent, dropped } = this.#host;
    const qos = lowerQos(message.qos, grant.qos);
    const retain = grant.isRetained || (message.retain && grant.retainAsPublished);
    const frame = this.#framer.isExpired(message)
      ? undefined
      : this.#framer.frame(message, { qos, retain, identifiers: grant.identifiers });
    if (frame === undefined) {
      dropped();
      return;
    }
    const flights = (this.#flights ??= new Map());
    const id = this.#freeId(flights);
    flights.set(id, { row: undefined, sequence: 0, transient, qos, released: false });
    sink.sendPublish(frame, { id, dup: false });
    sent(message);
  }

  #sendStored(committed: Committed, id: number): void {
    const session = this.#session;
    const sink = this.#sink;
    const { sent, skipped } = this.#host;
    const { message } = committed;
    const { sequence } = message;
    const grant = grantFor(message, session.number);
    const qos = lowerQos(message.qos, grant.qos);
    const { segment, bytes } = committed;
    const row = { segment, bytes };
    const released = session.released.has(sequence);
    const flight: Flight = { row, sequence, transient: undefined, qos, released };
    const mayHaveIt = sequence <= Math.max(session.sentThrough, session.recoveredThrough);
    const dup = sequence <= session.sentThrough;
    session.sentThrough = Math.max(session.sentThrough, sequence);
    if (flight.released) {
      this.#release(id, flight);
      return;
    }
    const frame = this.#framer.isExpired(message)
      ? undefined
      : this.#framer.frame(message, {
          qos,
          retain: grant.isRetained || (message.retain && grant.retainAsPublished),
          identifiers: grant.identifiers,
        });
    if (frame === undefined) {
      // The client may have it from an earlier connection: then it must let go of the id, or would take another for it.
      if (qos === 2 && mayHaveIt) this.#release(id, flight);
      else {
        this.#stored?.done(sequence);
        skipped(session, committed);
      }
      return;
    }
    (this.#flights ??= new Map()).set(id, flight);
    sink.sendPublish(frame, { id, dup });
    sent(message);
  }

  #release(id: number, flight: Flight): void {
    const sink = this.#sink;
    (this.#flights ??= new Map()).set(id, flight);
    flight.released = true;
    sink.send(encodePacket({ type: "pubrel", id }, sink.terms.level));
  }

  #freeId(flights: ReadonlyMap<number, Flight>): number {
    do this.#lastId = this.#lastId === 65_535 ? 1 : this.#lastId + 1;
    while (flights.has(this.#lastId));
    return this.#lastId;
  }
}

function grantFor({ recipients, grants, qos }: Message, session: number): Grant {
  return grants?.[recipients.indexOf(session)] ?? plainGrants[qos];
}
