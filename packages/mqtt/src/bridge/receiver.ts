import type { Clock } from "@cortado/std/clock";
import { reasonCodes, type PublishPacket } from "@cortado/wire/mqtt";
import type { Publishing } from "../broker/publishing.ts";
import { carriedOf } from "../broker/wills.ts";
import type { Journal } from "../journal/journal.ts";
import { jsonRecord, recordKinds } from "../journal/records.ts";
import { BRIDGE_HELD_RETRY_MS, BRIDGE_HOPS_MAX, BRIDGE_RECEIVE_MAX } from "../limits.ts";
import type { BrokerTime } from "../session/broker-time.ts";
import { lowerQos, type Session } from "../session/session.ts";
import { marksOf } from "./mark.ts";
import type { RemoteLink } from "./remote-link.ts";
import type { TopicMap } from "./topic-map.ts";

export type ReceiverCounts = {
  received: number;
  /** Came back to us over a ring of bridges. */
  looped: number;
  /** Matched no line of the bridge's topics. */
  unmapped: number;
};

export type ReceiverOptions = {
  readonly bridgeId: string;
  readonly topics: TopicMap;
  readonly session: Session;
  readonly journal: Journal;
  readonly publishing: Publishing;
  readonly clock: Clock;
  readonly time: BrokerTime;
  readonly counts: ReceiverCounts;
  /** A quota is full: the remote waits. */
  readonly held: (full: string) => void;
};

/** The way from the remote to our broker: it is told that we have a message when that would survive a power cut. */
export class Receiver {
  readonly #options: ReceiverOptions;
  #link: RemoteLink | undefined;
  #held: PublishPacket[] = [];
  #retry: Disposable | undefined;

  constructor(options: ReceiverOptions) {
    this.#options = options;
  }

  /** `sessionPresent` is false when the remote has forgotten what it was sending: its packet ids begin anew. */
  attach(link: RemoteLink, { sessionPresent }: { readonly sessionPresent: boolean }): void {
    this.#link = link;
    const { session } = this.#options;
    if (!sessionPresent) for (const packetId of session.receiving.all) this.#forget(packetId, () => {});
  }

  detach(): void {
    this.#link = undefined;
    this.#held = [];
    this.#retry?.[Symbol.dispose]();
    this.#retry = undefined;
  }

  publish(packet: PublishPacket): void {
    const own = { ...packet, payload: new Uint8Array(packet.payload) };
    // Behind a held one all wait, or they would overtake it.
    if (this.#held.length > 0 || !this.#take(own)) this.#hold(own);
  }

  release(id: number): void {
    const link = this.#link;
    const isKnown = this.#options.session.receiving.has(id);
    const code = isKnown ? reasonCodes.success : reasonCodes.packetIdNotFound;
    const nod = (): void => link?.reply({ type: "pubcomp", id, code });
    if (isKnown) this.#forget(id, nod);
    else nod();
  }

  #forget(packetId: number, then: () => void): void {
    const { journal, session } = this.#options;
    journal.add({
      record: jsonRecord(recordKinds.released, { session: session.number, packetId }),
      committed: () => {
        session.receiving.release(packetId);
        then();
      },
    });
  }

  /** False when there is no room. */
  #take(packet: PublishPacket): boolean {
    const { topics, session, journal, publishing, clock, time, counts, bridgeId } = this.#options;
    const { topic, payload, qos, retain, id, properties } = packet;
    const link = this.#link;
    const nod = (): void => {
      if (qos > 0) link?.reply({ type: qos === 1 ? "puback" : "pubrec", id });
    };
    if (qos === 2 && session.receiving.has(id)) {
      journal.add({ committed: nod }); // it may still be on its way to disk: answer behind it
      return true;
    }
    const mapped = topics.toLocal(topic);
    const marks = marksOf(properties?.userProperties);
    const isLooped = marks.length >= BRIDGE_HOPS_MAX || marks.some((mark) => mark.id === bridgeId);
    if (mapped === undefined || isLooped) {
      if (isLooped) counts.looped += 1;
      else counts.unmapped += 1;
      journal.add({ committed: nod });
      return true;
    }
    const isFive = link?.level === 5;
    const { carried, expiresAtMs } = carriedOf(properties, isFive ? time.nowMs() : 0);
    const admission = publishing.publish({
      topic: mapped.topic,
      payload,
      qos: lowerQos(qos, mapped.qos),
      retain,
      atMs: clock.nowMs(),
      carried,
      expiresAtMs,
      publisher: session,
      ...(qos === 2 ? { origin: { session: session.number, packetId: id } } : {}),
      committed: nod,
    });
    if (!admission.admitted) {
      this.#options.held(admission.full);
      return false;
    }
    counts.received += 1;
    if (qos === 2) session.receiving.admit(id);
    return true;
  }

  #hold(packet: PublishPacket): void {
    this.#held.push(packet);
    if (this.#held.length > BRIDGE_RECEIVE_MAX) this.#link?.setPaused(true);
    this.#retry ??= this.#options.clock.after(BRIDGE_HELD_RETRY_MS, () => {
      this.#retry = undefined;
      this.#retryHeld();
    });
  }

  #retryHeld(): void {
    const held = this.#held;
    this.#held = [];
    while (held[0] !== undefined && this.#take(held[0])) held.shift();
    if (held.length === 0) {
      this.#link?.setPaused(false);
      return;
    }
    for (const packet of held) this.#hold(packet);
  }
}
