import type { QoS } from "@cortado/wire/mqtt";
import type { Journal } from "../journal/journal.ts";
import type { MessageLog } from "../journal/message-log.ts";
import { messageRecord, type Message } from "../journal/records.ts";
import type { Segment } from "../journal/segment.ts";
import type { BrokerLimits } from "../limits.ts";
import type { Registry } from "../session/registry.ts";
import type { Session } from "../session/session.ts";

export type Publication = {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly qos: QoS;
  readonly retain: boolean;
  readonly atMs: number;
  readonly origin?: NonNullable<Message["origin"]>;
  /** Called once when it is as safe as its QoS asks. */
  readonly committed: () => void;
};

/** `full` names the quota; nothing was changed then. */
export type Admission =
  | { readonly admitted: true; readonly bytes: number }
  | { readonly admitted: false; readonly full: string };

export type PublishingOptions = {
  readonly limits: BrokerLimits;
  readonly registry: Registry;
  readonly journal: Journal;
  readonly messages: MessageLog;
};

/** By the way it reaches them: through the journal, through their memory queue, or at once and only once. */
type Receivers = {
  readonly stored: readonly Session[];
  readonly queued: readonly Session[];
  readonly once: readonly Session[];
};

/**
 * The way of a message through the broker: who gets it, whether there is room, the journal, and only then delivery and the nod.
 */
export class Publishing {
  readonly #options: PublishingOptions;
  /** Bytes of messages waiting for persistent sessions, counted once for each. */
  queuedBytes = 0;
  queuedItems = 0;

  constructor(options: PublishingOptions) {
    this.#options = options;
  }

  publish(publication: Publication): Admission {
    const { registry } = this.#options;
    const { qos, retain } = publication;
    const receivers = this.#receivers(publication);
    if (qos === 0 && !retain) {
      const { topic, payload, atMs } = publication;
      this.#deliverOnce({ sequence: 0, atMs, topic, payload, qos, retain, recipients: [] }, receivers.once);
      publication.committed();
      return { admitted: true, bytes: 0 };
    }
    const full = this.#fullQuota(publication, receivers.stored);
    if (full !== undefined) return { admitted: false, full };
    const needsRecord = retain || receivers.stored.length > 0 || publication.origin !== undefined;
    if (!needsRecord) return this.#withoutRecord(publication, receivers);
    const sequence = registry.nextSequence;
    registry.nextSequence += 1;
    const { topic, payload, atMs, origin } = publication;
    const recipients = receivers.stored.map(({ number }) => number);
    const { record, message } = messageRecord({
      sequence,
      atMs,
      topic,
      payload,
      qos,
      retain,
      recipients,
      ...(origin === undefined ? {} : { origin }),
    });
    const bytes = record.byteLength;
    for (const session of receivers.stored) {
      session.items += 1;
      session.bytes += bytes;
      this.queuedItems += 1;
      this.queuedBytes += bytes;
    }
    if (qos === 0) this.#deliverOnce(message, receivers.once);
    this.#options.journal.add({
      record,
      sequence,
      committed: (segment) => this.#committed({ publication, message, receivers, bytes, segment }),
    });
    return { admitted: true, bytes };
  }

  /** A subscriber has a message, or will never want it: its quota gets the room back. */
  settle(session: Session, bytes: number): void {
    session.items -= 1;
    session.bytes -= bytes;
    this.queuedItems -= 1;
    this.queuedBytes -= bytes;
  }

  settleAll(session: Session): void {
    this.queuedItems -= session.items;
    this.queuedBytes -= session.bytes;
    session.items = 0;
    session.bytes = 0;
  }

  #withoutRecord(publication: Publication, receivers: Receivers): Admission {
    const { topic, payload, qos, retain, atMs } = publication;
    const bytes = payload.byteLength + topic.length;
    const message: Message = {
      sequence: 0,
      atMs,
      topic,
      payload: new Uint8Array(payload),
      qos,
      retain,
      recipients: [],
    };
    // Through the journal's queue all the same: acknowledgements leave in the order in which the publishes came (MQTT-4.6.0-2).
    this.#options.journal.add({
      committed: () => {
        this.#deliverLive(message, receivers);
        publication.committed();
      },
    });
    return { admitted: true, bytes };
  }

  #receivers({ topic, qos }: Publication): Receivers {
    const stored: Session[] = [];
    const queued: Session[] = [];
    const once: Session[] = [];
    for (const [session, granted] of this.#options.registry.tree.match(topic))
      if (qos === 0 || granted === 0) once.push(session);
      else if (session.persistent) stored.push(session);
      else queued.push(session);
    return { stored, queued, once };
  }

  #fullQuota({ topic, payload, retain }: Publication, stored: readonly Session[]): string | undefined {
    const { limits, registry, journal } = this.#options;
    const bytes = payload.byteLength + topic.length + 64;
    for (const session of stored) {
      if (session.items >= limits.sessionItemsMax)
        return `session ${session.clientId} has ${session.items} messages waiting`;
      if (session.bytes + bytes > limits.sessionBytesMax)
        return `session ${session.clientId} has ${session.bytes} bytes waiting`;
    }
    if (journal.bytes + bytes > limits.diskBytesMax) return `the journal has ${journal.bytes} bytes`;
    if (!retain) return undefined;
    const after = registry.retained.after({ topic, payload });
    if (after.items > limits.retainedItemsMax) return `${limits.retainedItemsMax} messages are retained`;
    return after.bytes > limits.retainedBytesMax
      ? `${limits.retainedBytesMax} bytes are retained`
      : undefined;
  }

  #deliverOnce(message: Message, once: readonly Session[]): void {
    for (const session of once) session.outbox?.sendOnce(message);
  }

  #deliverLive(message: Message, { queued, once }: Receivers): void {
    this.#deliverOnce(message, once);
    for (const session of queued) session.outbox?.queue({ message, retain: false });
  }

  #committed(done: {
    readonly publication: Publication;
    readonly message: Message;
    readonly receivers: Receivers;
    readonly bytes: number;
    readonly segment: Segment;
  }): void {
    const { publication, message, receivers, bytes, segment } = done;
    const { registry, messages } = this.#options;
    const committed = { message, segment, bytes };
    messages.add(committed);
    registry.noteMessage(message);
    for (const session of receivers.stored) {
      // Forgotten meanwhile: its quota was settled when it went.
      if (registry.byNumber.get(session.number) !== session) continue;
      session.addRow(segment, bytes);
      session.outbox?.committed(committed);
    }
    if (publication.qos > 0) this.#deliverLive(message, receivers);
    publication.committed();
  }
}
