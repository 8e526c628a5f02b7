import type { QoS } from "@cortado/wire/mqtt";
import type { Journal } from "../journal/journal.ts";
import type { MessageLog } from "../journal/message-log.ts";
import { messageRecord, type Message } from "../journal/records.ts";
import type { Segment } from "../journal/segment.ts";
import type { BrokerLimits } from "../limits.ts";
import type { Registry } from "../session/registry.ts";
import { isPlainFor, type Grant } from "../session/grant.ts";
import type { Session } from "../session/session.ts";
import type { MayRead } from "./access.ts";

export type Publication = {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly qos: QoS;
  readonly retain: boolean;
  readonly atMs: number;
  /** What goes with it to its readers (MQTT 5). */
  readonly carried: Uint8Array | undefined;
  /** In broker time. */
  readonly expiresAtMs: number | undefined;
  /** Whose it is: its own subscriptions may ask not to get it. */
  readonly publisher: Session | undefined;
  readonly origin?: NonNullable<Message["origin"]>;
  /** A bridge's mark is in it: a record must tell of it, whoever gets it. */
  readonly marked?: boolean;
  /** Called once when it is as safe as its QoS asks; `reached` is false when nobody subscribes to it. */
  readonly committed: (reached: boolean) => void;
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
  /** Absent: each gets what it has subscribed to. */
  readonly mayRead: MayRead | undefined;
};

/** Who gets a message, and each one's terms at the same place. */
export type Receivers = {
  readonly sessions: Session[];
  readonly grants: Grant[];
  /** Members of shared subscriptions that get it by another subscription too: a copy of its own in the journal. */
  copies?: Receivers[];
};

type Way = "once" | "stored" | "queued";

/** How it reaches a session: at once and only once, through the journal, or through the session's memory queue. */
function wayTo(session: Session, grant: Grant, qos: QoS): Way {
  if (qos === 0 || grant.qos === 0) return "once";
  return session.persistent ? "stored" : "queued";
}

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
    const { qos, retain } = publication;
    const receivers = this.#receivers(publication);
    if (qos === 0 && !retain) {
      this.#deliver(unstored(publication, publication.payload), receivers);
      publication.committed(receivers.sessions.length > 0);
      return { admitted: true, bytes: 0 };
    }
    const recipients = this.#recipients(publication, receivers);
    const full = this.#fullQuota(publication, receivers);
    if (full !== undefined) return { admitted: false, full };
    if (receivers.copies !== undefined) this.#storeCopies(publication, receivers.copies);
    const mustBeKept = retain || publication.origin !== undefined || publication.marked === true;
    if (!mustBeKept && recipients.length === 0) return this.#withoutRecord(publication, receivers);
    return this.#store(publication, { receivers, recipients });
  }

  /** Puts a message into the queue of one session only: what is retained, for a new subscription; what a lost member left. */
  publishTo(receivers: Receivers, message: Message): void {
    const { origin: _origin, ...bare } = message;
    const publication: Publication = { ...bare, retain: false, publisher: undefined, committed() {} };
    const recipients = this.#recipients(publication, receivers);
    if (recipients.length === 0) this.#withoutRecord(publication, receivers);
    else this.#store(publication, { receivers, recipients });
  }

  /** A member of a shared subscription will not have it: it goes to the next. */
  handOn(message: Message, share: NonNullable<Grant["share"]>): void {
    const member = this.#options.registry.group(share)?.next();
    if (member !== undefined) this.publishTo({ sessions: [member.session], grants: [member.grant] }, message);
  }

  // Ahead of the message itself, so that they are on disk when it is acknowledged.
  #storeCopies(publication: Publication, copies: readonly Receivers[]): void {
    for (const copy of copies) this.publishTo(copy, unstored(publication, publication.payload));
  }

  #store(
    publication: Publication,
    { receivers, recipients }: { readonly receivers: Receivers; readonly recipients: readonly number[] },
  ): Admission {
    const { registry, journal } = this.#options;
    const { topic, payload, atMs, origin, qos, retain, carried, expiresAtMs } = publication;
    const sequence = registry.nextSequence;
    registry.nextSequence += 1;
    const { record, message } = messageRecord({
      sequence,
      atMs,
      topic,
      payload,
      qos,
      retain,
      recipients,
      grants: recipients.length === 0 ? undefined : storedGrants(publication, receivers),
      carried,
      expiresAtMs,
      ...(origin === undefined ? {} : { origin }),
    });
    const bytes = record.byteLength;
    for (let at = 0; at < receivers.sessions.length; at += 1) {
      const session = receivers.sessions[at];
      const grant = receivers.grants[at];
      if (session === undefined || grant === undefined || wayTo(session, grant, qos) !== "stored") continue;
      session.items += 1;
      session.bytes += bytes;
      session.tenant.bytes += bytes;
      this.queuedItems += 1;
      this.queuedBytes += bytes;
    }
    if (qos === 0) this.#deliver(message, receivers);
    journal.add({
      record,
      sequence,
      committed: (segment) => this.#committed({ publication, message, receivers, bytes, segment }),
    });
    return { admitted: true, bytes };
  }

  /** Takes up what waited for a session before the start. */
  recovered(session: Session): void {
    this.queuedItems += session.items;
    this.queuedBytes += session.bytes;
    session.tenant.bytes += session.bytes;
  }

  /** A subscriber has a message, or will never want it: its quota gets the room back. */
  settle(session: Session, bytes: number): void {
    session.items -= 1;
    session.bytes -= bytes;
    session.tenant.bytes -= bytes;
    this.queuedItems -= 1;
    this.queuedBytes -= bytes;
  }

  settleAll(session: Session): void {
    this.queuedItems -= session.items;
    this.queuedBytes -= session.bytes;
    session.tenant.bytes -= session.bytes;
    session.items = 0;
    session.bytes = 0;
  }

  #withoutRecord(publication: Publication, receivers: Receivers): Admission {
    const { topic, payload } = publication;
    const message = unstored(publication, new Uint8Array(payload));
    // Through the journal's queue all the same: acknowledgements leave in the order in which the publishes came (MQTT-4.6.0-2).
    this.#options.journal.add({
      committed: () => {
        this.#deliver(message, receivers);
        publication.committed(receivers.sessions.length > 0);
      },
    });
    return { admitted: true, bytes: payload.byteLength + topic.length };
  }

  #receivers({ topic, publisher, qos }: Publication): Receivers {
    const { registry, mayRead } = this.#options;
    const sessions: Session[] = [];
    const grants: Grant[] = [];
    for (const [session, grant] of registry.tree.match(topic, publisher)) {
      if (grant.noLocal && session === publisher) continue;
      if (mayRead?.(session, topic) === false) continue;
      sessions.push(session);
      grants.push(grant);
    }
    const receivers: Receivers = { sessions, grants };
    if (registry.sharedSubscriptions === 0) return receivers;
    for (const [group] of registry.shares.match(topic)) {
      const member = group.next();
      if (member === undefined || mayRead?.(member.session, topic) === false) continue;
      const { session, grant } = member;
      if (wayTo(session, grant, qos) === "stored" && sessions.includes(session))
        (receivers.copies ??= []).push({ sessions: [session], grants: [grant] });
      else {
        sessions.push(session);
        grants.push(grant);
      }
    }
    return receivers;
  }

  #recipients({ qos }: Publication, { sessions, grants }: Receivers): readonly number[] {
    const recipients: number[] = [];
    for (let at = 0; at < sessions.length; at += 1) {
      const session = sessions[at];
      const grant = grants[at];
      if (session !== undefined && grant !== undefined && wayTo(session, grant, qos) === "stored")
        recipients.push(session.number);
    }
    return recipients;
  }

  #fullQuota(publication: Publication, { sessions, grants }: Receivers): string | undefined {
    const { limits, registry, journal } = this.#options;
    const { topic, payload, retain, qos, carried } = publication;
    const bytes = payload.byteLength + topic.length + (carried?.byteLength ?? 0) + 64;
    for (let at = 0; at < sessions.length; at += 1) {
      const session = sessions[at];
      const grant = grants[at];
      if (session === undefined || grant === undefined || wayTo(session, grant, qos) !== "stored") continue;
      if (session.items >= limits.sessionItemsMax)
        return `session ${session.clientId} has ${session.items} messages waiting`;
      if (session.bytes + bytes > limits.sessionBytesMax)
        return `session ${session.clientId} has ${session.bytes} bytes waiting`;
      if (session.tenant.bytes + bytes > limits.tenantBytesMax)
        return `the sessions of ${session.tenant.name === "" ? "clients without a user" : session.tenant.name} have ${session.tenant.bytes} bytes waiting`;
    }
    if (journal.bytes + bytes > limits.diskBytesMax) return `the journal has ${journal.bytes} bytes`;
    return retain ? registry.retained.fullFor({ topic, payload }, limits) : undefined;
  }

  /** To all that it does not reach through the journal. */
  #deliver(message: Message, { sessions, grants }: Receivers): void {
    for (let at = 0; at < sessions.length; at += 1) {
      const session = sessions[at];
      const grant = grants[at];
      if (session === undefined || grant === undefined) continue;
      const way = wayTo(session, grant, message.qos);
      if (way === "once") session.outbox?.sendOnce(message, grant);
      else if (way === "queued") {
        if (session.outbox !== undefined) session.outbox.queue({ message, grant });
        // Its session ended while the message was on its way to the disk.
        else if (grant.share !== undefined) this.handOn(message, grant.share);
      }
    }
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
    for (const number of message.recipients) {
      // Forgotten meanwhile: its quota was settled when it went.
      const session = registry.byNumber.get(number);
      if (session === undefined) continue;
      session.addRow(segment, { sequence: message.sequence, bytes });
      session.outbox?.committed(committed);
    }
    if (publication.qos > 0) this.#deliver(message, receivers);
    publication.committed(receivers.sessions.length > 0);
  }
}

/** The terms to be kept with the message, in the order of its recipients; undefined when all get it as it was published. */
function storedGrants(
  publication: Publication,
  { sessions, grants }: Receivers,
): readonly Grant[] | undefined {
  const { qos } = publication;
  const isStored = (grant: Grant, at: number): boolean => {
    const session = sessions[at];
    return session !== undefined && wayTo(session, grant, qos) === "stored";
  };
  for (let at = 0; at < grants.length; at += 1) {
    const grant = grants[at];
    if (grant !== undefined && isStored(grant, at) && !isPlainFor(grant, publication))
      return grants.filter(isStored);
  }
  return undefined;
}

function unstored(publication: Publication, payload: Uint8Array): Message {
  const { atMs, topic, qos, retain, carried, expiresAtMs } = publication;
  return {
    sequence: 0,
    atMs,
    topic,
    payload,
    qos,
    retain,
    recipients: nobody,
    grants: undefined,
    carried,
    expiresAtMs,
  };
}

const nobody: readonly number[] = [];
