import type { QoS } from "@cortado/wire/mqtt";
import type { CursorRecord, Message, SessionRecord } from "../journal/records.ts";
import type { Segment } from "../journal/segment.ts";
import { RetainedMessages } from "../retained/retained.ts";
import { SubscriptionTree } from "../topics/tree.ts";
import { Session } from "./session.ts";

/**
 * The state that the journal's records add up to. Recovery and the running broker change it by the same methods, the latter only
 * once a record is committed.
 */
export class Registry {
  readonly tree: SubscriptionTree<Session> = new SubscriptionTree();
  readonly retained: RetainedMessages = new RetainedMessages();
  readonly byNumber: Map<number, Session> = new Map();
  readonly byClientId: Map<string, Session> = new Map();
  nextSequence = 1;
  nextSession = 1;

  /** Adds a session; when another record was first with this client id, that one stays, here as at every recovery. */
  addPersistent(record: SessionRecord, nowMs: number): Session {
    this.nextSession = Math.max(this.nextSession, record.number + 1);
    const known = this.byClientId.get(record.clientId);
    if (known?.persistent === true) return known;
    const session = new Session({
      number: record.number,
      clientId: record.clientId,
      user: record.user,
      nowMs,
    });
    session.through = record.through;
    for (const sequence of record.ahead) session.ahead.add(sequence);
    for (const packetId of record.receiving) session.receiving.add(packetId);
    this.byNumber.set(session.number, session);
    this.byClientId.set(session.clientId, session);
    this.subscribe(session, record.filters);
    return session;
  }

  addClean(clientId: string, { user, nowMs }: { readonly user: string; readonly nowMs: number }): Session {
    const session = new Session({ number: 0, clientId, user, nowMs });
    this.byClientId.set(clientId, session);
    return session;
  }

  /** Forgets a session with all that waits for it. */
  remove(session: Session, segmentOf: (number: number) => Segment | undefined): void {
    for (const filter of session.filters.keys()) this.tree.remove(filter, session);
    session.filters.clear();
    this.byNumber.delete(session.number);
    if (this.byClientId.get(session.clientId) === session) this.byClientId.delete(session.clientId);
    for (const [number, { items, bytes }] of session.rows) {
      const segment = segmentOf(number);
      if (segment === undefined) continue;
      segment.rows -= items;
      segment.rowBytes -= bytes;
    }
    session.rows.clear();
  }

  subscribe(session: Session, filters: SessionRecord["filters"]): void {
    for (const { filter, qos } of filters) {
      session.filters.set(filter, qos);
      this.tree.add(filter, { owner: session, qos });
    }
  }

  unsubscribe(session: Session, filters: readonly string[]): void {
    for (const filter of filters) if (session.filters.delete(filter)) this.tree.remove(filter, session);
  }

  setCursor({ session: number, through, ahead }: CursorRecord): void {
    const session = this.byNumber.get(number);
    if (session === undefined) return;
    session.through = Math.max(session.through, through);
    session.ahead.clear();
    for (const sequence of ahead) session.ahead.add(sequence);
  }

  /** What a message changes beside the queues. */
  noteMessage(message: Message): void {
    this.nextSequence = Math.max(this.nextSequence, message.sequence + 1);
    if (message.retain) this.retained.keep(message);
    if (message.origin !== undefined)
      this.byNumber.get(message.origin.session)?.receiving.add(message.origin.packetId);
  }

  /** What a message adds to the queues. `bytes` is the size of its record. */
  addRows(message: Message, { segment, bytes }: { readonly segment: Segment; readonly bytes: number }): void {
    for (const recipient of message.recipients) {
      const session = this.byNumber.get(recipient);
      if (session?.waitsFor(message.sequence) !== true) continue;
      session.addRow(segment, bytes);
    }
  }
}

/** A subscription's QoS as granted: queues hold QoS 1 at most. */
export function grantedQos(qos: QoS): QoS {
  return qos === 0 ? 0 : 1;
}
