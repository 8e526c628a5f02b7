import type { QoS } from "@cortado/wire/mqtt";
import type { Segment } from "../journal/segment.ts";
import type { Committed } from "../journal/message-log.ts";
import type { CursorRecord, Message, SessionRecord } from "../journal/records.ts";

/** A message on its way that nothing on disk waits for. */
export type Transient = { readonly message: Message; readonly retain: boolean };
/** What an acknowledgement answered: a stored message, or one that was not. */
export type Acknowledged = { readonly committed: Committed | undefined };

/** The way to a connected client; made when it connects and closed when it goes. */
export interface Outgoing {
  close(): void;
  sendOnce(message: Message): void;
  sendRetained(message: Message, qos: QoS): void;
  queue(transient: Transient): void;
  committed(committed: Committed): void;
  acknowledge(id: number): Acknowledged | undefined;
  wake(): void;
}

type Rows = { items: number; bytes: number };

/**
 * What the broker knows of a client beyond its connection. A persistent session has a number, and its queue is a cursor into the
 * journal: all stored messages for it up to `through` are acknowledged, and beyond that those in `ahead`.
 */
export class Session {
  /** 0 for a clean session, which nothing on disk knows. */
  readonly number: number;
  readonly clientId: string;
  readonly user: string;
  readonly filters: Map<string, QoS> = new Map();
  /** QoS 2 publishes of this client that it has not released. */
  readonly receiving: Set<number> = new Set();
  through = 0;
  readonly ahead: Set<number> = new Set();
  /** Unacknowledged messages by segment number. */
  readonly rows: Map<number, Rows> = new Map();
  /** Admitted and not acknowledged: what the quota counts. */
  items = 0;
  bytes = 0;
  /** Highest sequence ever sent to it since the broker started: what is sent again up to there is a duplicate. */
  sentThrough = 0;
  offlineSinceMs: number;
  /** There while a client is connected. */
  outbox: Outgoing | undefined;

  constructor(options: {
    readonly number: number;
    readonly clientId: string;
    readonly user: string;
    readonly nowMs: number;
  }) {
    this.number = options.number;
    this.clientId = options.clientId;
    this.user = options.user;
    this.offlineSinceMs = options.nowMs;
  }

  get persistent(): boolean {
    return this.number !== 0;
  }

  waitsFor(sequence: number): boolean {
    return sequence > this.through && !this.ahead.has(sequence);
  }

  addRow(segment: Segment, bytes: number): void {
    const rows = this.rows.get(segment.number);
    if (rows === undefined) this.rows.set(segment.number, { items: 1, bytes });
    else {
      rows.items += 1;
      rows.bytes += bytes;
    }
    segment.rows += 1;
    segment.rowBytes += bytes;
  }

  dropRow(segment: Segment, bytes: number): void {
    const rows = this.rows.get(segment.number);
    if (rows === undefined) return;
    rows.items -= 1;
    rows.bytes -= bytes;
    segment.rows -= 1;
    segment.rowBytes -= bytes;
    if (rows.items === 0) this.rows.delete(segment.number);
  }

  cursor(): CursorRecord {
    return { session: this.number, through: this.through, ahead: [...this.ahead] };
  }

  toRecord(): SessionRecord {
    const { number, clientId, user, through } = this;
    const filters = [...this.filters].map(([filter, qos]) => ({ filter, qos }));
    return {
      number,
      clientId,
      user,
      filters,
      through,
      ahead: [...this.ahead],
      receiving: [...this.receiving],
    };
  }
}
