import type { AckPacket, QoS } from "@cortado/wire/mqtt";
import type { Segment } from "../journal/segment.ts";
import type { Committed, Row } from "../journal/message-log.ts";
import type { CursorRecord, FilterRecord, Message, SessionRecord } from "../journal/records.ts";
import type { Grant } from "./grant.ts";
import { NumberSet } from "./number-set.ts";
import { Receiving } from "./receiving.ts";
import { Spans } from "./spans.ts";
import type { Bring, Replaying } from "./replay-gate.ts";

/** A message on its way that nothing on disk waits for. */
export type Transient = { readonly message: Message; readonly grant: Grant };

/** The way to a connected client; made when it connects and closed when it goes. */
export interface Outgoing {
  /** Answers what was on its way in memory only. */
  close(): readonly Transient[];
  sendOnce(message: Message, grant: Grant): void;
  sendRetained(message: Message, grant: Grant): void;
  queue(transient: Transient): void;
  committed(committed: Committed): void;
  /** PUBACK, PUBREC and PUBCOMP; answers the stored message that this ends, if it does. */
  answered(packet: AckPacket): Row | undefined;
  wake(): void;
  /** Messages of QoS 1 and 2 sent and not answered. */
  readonly inflight: number;
  /** Whether it takes more of what is read only as the client takes it. */
  readonly hasRoom: boolean;
  /** Calls once when there is room; never when the client has gone. */
  whenRoom(then: () => void): void;
  /** Retained messages are on their way to a new subscription: live ones come behind them. */
  replayBegins(bring: Bring): Replaying;
}

/** A subscription as a session has it. */
export type SubscriptionTerms = FilterRecord & { readonly grant: Grant };

/** Whose sessions share a quota, and what waits for them. */
export type Tenant = { readonly name: string; bytes: number };

/** What waits in one segment; nothing before `first` does. */
type Rows = { items: number; bytes: number; readonly first: number };
const noRows: ReadonlyMap<number, Rows> = new Map();

/** A session that never expires. */
export const NEVER_MS: number = Number.POSITIVE_INFINITY;

/**
 * What the broker knows of a client beyond its connection. A persistent session has a number, and its queue is a cursor into the
 * journal: all stored messages for it up to `through` are acknowledged, and beyond that those in `ahead`.
 */
export class Session {
  /** 0 for one that ends with its connection, which nothing on disk knows. */
  readonly number: number;
  readonly clientId: string;
  user: string;
  readonly tenant: Tenant;
  readonly filters: Map<string, SubscriptionTerms> = new Map();
  /** QoS 2 publishes of this client that it has not released. */
  readonly receiving: Receiving = new Receiving();
  through = 0;
  readonly ahead: NumberSet = new NumberSet();
  /** Stretches beyond `through` of which all is acknowledged: of a bridge that does not send the oldest first. */
  readonly spans: Spans = new Spans();
  /** Stored QoS 2 messages that it has and whose PUBREL it has not answered. */
  readonly released: NumberSet = new NumberSet();
  #rows: Map<number, Rows> | undefined;
  /** Admitted and not acknowledged: what the quota counts. */
  items = 0;
  bytes = 0;
  /** Highest sequence ever sent to it since the broker started: what is sent again up to there is a duplicate. */
  sentThrough = 0;
  /** Highest sequence that a broker before this one may have sent. */
  recoveredThrough = 0;
  /** How long it outlives its connection; undefined for the broker's own limit, which clients before MQTT 5 have. */
  expiryMs: number | undefined;
  /** Broker time since when nobody is connected. */
  leftMs: number;
  /** There while a client is connected. */
  outbox: Outgoing | undefined;

  constructor(options: {
    readonly number: number;
    readonly clientId: string;
    readonly user: string;
    readonly tenant: Tenant;
    readonly nowMs: number;
    readonly expiryMs: number | undefined;
  }) {
    this.number = options.number;
    this.clientId = options.clientId;
    this.user = options.user;
    this.tenant = options.tenant;
    this.leftMs = options.nowMs;
    this.expiryMs = options.expiryMs;
  }

  get persistent(): boolean {
    return this.number !== 0;
  }

  waitsFor(sequence: number): boolean {
    return (
      sequence > this.through &&
      !this.ahead.has(sequence) &&
      (this.spans.size === 0 || !this.spans.has(sequence))
    );
  }

  /** Unacknowledged messages by segment number. */
  get rows(): ReadonlyMap<number, Readonly<Rows>> {
    return this.#rows ?? noRows;
  }

  addRow(segment: Segment, { sequence, bytes }: { readonly sequence: number; readonly bytes: number }): void {
    const all = (this.#rows ??= new Map());
    const rows = all.get(segment.number);
    if (rows === undefined) all.set(segment.number, { items: 1, bytes, first: sequence });
    else {
      rows.items += 1;
      rows.bytes += bytes;
    }
    segment.rows += 1;
    segment.rowBytes += bytes;
  }

  dropRow(segment: Segment, bytes: number): void {
    const rows = this.#rows?.get(segment.number);
    if (rows === undefined) return;
    rows.items -= 1;
    rows.bytes -= bytes;
    segment.rows -= 1;
    segment.rowBytes -= bytes;
    if (rows.items === 0) this.#rows?.delete(segment.number);
  }

  clearRows(): void {
    this.#rows = undefined;
  }

  cursor(): CursorRecord {
    const { number, through, ahead, spans } = this;
    return {
      session: number,
      through,
      ahead: [...ahead],
      ...(spans.size === 0 ? {} : { spans: spans.list }),
    };
  }

  toRecord(): SessionRecord {
    const { number, clientId, user, through, expiryMs } = this;
    const filters = [...this.filters.values()].map(({ grant: _grant, ...kept }) => kept);
    return {
      number,
      clientId,
      user,
      filters,
      through,
      ahead: [...this.ahead],
      receiving: this.receiving.committed,
      released: [...this.released],
      ...(this.spans.size === 0 ? {} : { spans: this.spans.list }),
      ...(expiryMs === undefined ? {} : { expiryMs: keptExpiry(expiryMs) }),
      ...(this.outbox === undefined ? { leftMs: this.leftMs } : {}),
    };
  }
}

/** JSON has no infinity: never is -1 there. */
export function keptExpiry(expiryMs: number): number {
  return expiryMs === NEVER_MS ? -1 : expiryMs;
}

export function readExpiry(kept: number | undefined): number | undefined {
  return kept === -1 ? NEVER_MS : kept;
}

/** The packet id of a stored message: the same on each connection and after each restart, so that QoS 2 counts once. */
export function storedPacketId(sequence: number): number {
  return ((sequence - 1) % 65_535) + 1;
}

export function lowerQos(one: QoS, other: QoS): QoS {
  return one < other ? one : other;
}
