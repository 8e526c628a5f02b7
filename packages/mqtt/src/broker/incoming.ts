import { isUtf8 } from "node:buffer";
import type { Clock } from "@cortado/std/clock";
import type { Log } from "@cortado/std/log";
import { filterMatches, reasonCodes, type Properties, type PublishPacket } from "@cortado/wire/mqtt";
import { BRIDGE_STATE_FILTER, noMark } from "../bridge/mark.ts";
import type { Journal } from "../journal/journal.ts";
import { jsonRecord, recordKinds } from "../journal/records.ts";
import type { BrokerTime } from "../session/broker-time.ts";
import { unmarked, type Judgement } from "../session/heard-bridges.ts";
import type { Registry } from "../session/registry.ts";
import type { Session } from "../session/session.ts";
import type { Authorize } from "./access.ts";
import type { Peer } from "./peer.ts";
import type { Publishing } from "./publishing.ts";
import type { Tally } from "./tally.ts";
import { carriedOf } from "./wills.ts";

export type IncomingOptions = {
  readonly clock: Clock;
  readonly time: BrokerTime;
  readonly log: Log;
  readonly registry: Registry;
  readonly journal: Journal;
  readonly publishing: Publishing;
  readonly authorize: Authorize | undefined;
  readonly tally: Tally;
  /** A publish found no room: something is to be made smaller. */
  readonly full: () => void;
};

/** A mark that is not its publisher's is made void for those who read it. */
function shownOf(properties: Properties | undefined, { kind }: Judgement): Properties | undefined {
  if (kind !== "foreign") return properties;
  return { ...properties, userProperties: [...(properties?.userProperties ?? []), noMark] };
}

/** Topics that are the broker's own. */
export function reservedRefusal(topic: string): Refusal | undefined {
  const isReserved = topic.startsWith("$SYS/") || topic === "$SYS" || topic.startsWith("$share/");
  // Bridges tell there whether they are connected, as they do at mosquitto.
  if (!isReserved || filterMatches(BRIDGE_STATE_FILTER, topic)) return undefined;
  return {
    code: reasonCodes.topicNameInvalid,
    reason: `${topic} is the broker's own; publish under another name`,
  };
}

type Refusal = { readonly code: number; readonly reason: string };

/** PUBLISH and PUBREL of clients: refused with a reason, or answered once it is as safe as its QoS asks. */
export class Incoming {
  readonly #options: IncomingOptions;
  readonly #held: Set<Peer> = new Set();

  constructor(options: IncomingOptions) {
    this.#options = options;
  }

  get heldClients(): number {
    return this.#held.size;
  }

  forget(peer: Peer): void {
    this.#held.delete(peer);
  }

  /** Room was freed: whoever was held tries again. */
  retryHeld(): void {
    for (const peer of [...this.#held]) {
      peer.retryHeld();
      if (!peer.isHeld) this.#held.delete(peer);
    }
  }

  /** False when a quota is full and the client's version has no way to be told: the peer keeps the packet. */
  publish(peer: Peer, packet: PublishPacket): boolean {
    const { session } = peer;
    if (session === undefined) return true;
    const refusal = this.#refusal(peer, packet);
    if (refusal !== undefined) {
      this.#refuse(peer, { packet, refusal });
      return true;
    }
    const { qos, id } = packet;
    const { registry } = this.#options;
    const bridged = qos === 0 ? unmarked : registry.heard.judge(packet.properties?.userProperties, peer.user);
    if (qos !== 0 && (bridged.kind === "again" || (qos === 2 && session.receiving.has(id)))) {
      // Sent again as our answer got lost; it must not count twice. It may still be on its way to disk: answer behind it.
      this.#options.journal.add({ committed: () => peer.answer({ qos, id }) });
      return true;
    }
    return this.#admit(peer, packet, { session, bridged });
  }

  #admit(
    peer: Peer,
    packet: PublishPacket,
    { session, bridged }: { readonly session: Session; readonly bridged: Judgement },
  ): boolean {
    const { clock, time, publishing, log, full, tally } = this.#options;
    const { topic, payload, qos, retain, id, properties } = packet;
    const isFive = peer.terms.level === 5;
    let size = 0;
    let isCommitted = false;
    const { carried, expiresAtMs } = carriedOf(shownOf(properties, bridged), isFive ? time.nowMs() : 0);
    const admission = publishing.publish({
      topic,
      payload,
      qos,
      retain,
      atMs: clock.nowMs(),
      carried,
      expiresAtMs,
      publisher: session,
      marked: bridged.kind === "new",
      ...(qos === 2 && session.persistent ? { origin: { session: session.number, packetId: id } } : {}),
      committed: (reached) => {
        isCommitted = true;
        if (qos > 0)
          peer.answer({
            qos: qos as 1 | 2,
            id,
            code: isFive && !reached ? reasonCodes.noMatchingSubscribers : 0,
          });
        if (size > 0) peer.publishCommitted(size);
      },
    });
    if (admission.admitted) {
      if (qos === 2) session.receiving.admit(id);
      if (bridged.kind === "new") this.#heard(bridged, peer.user);
      if (!isCommitted && admission.bytes > 0) {
        size = admission.bytes;
        peer.publishAdmitted(size);
      }
      return true;
    }
    full();
    if (isFive && qos > 0) {
      tally.publishRefused += 1;
      // Behind those that are on their way (MQTT-4.6.0-2).
      const refused = { qos: qos as 1 | 2, id, code: reasonCodes.quotaExceeded, reason: admission.full };
      this.#options.journal.add({ committed: () => peer.answer(refused) });
      return true;
    }
    if (!this.#held.has(peer))
      log.warn("mqtt publisher held: a quota is full", {
        client: peer.clientId,
        topic,
        full: admission.full,
      });
    this.#held.add(peer);
    tally.publishHeld += 1;
    return false;
  }

  #heard({ mark, isFirst }: Judgement & { readonly kind: "new" }, user: string): void {
    const { registry, journal } = this.#options;
    registry.heard.admitted(mark, user);
    if (isFirst)
      journal.add({ record: jsonRecord(recordKinds.heard, { id: mark.id, user }), committed() {} });
  }

  release(peer: Peer, packetId: number): void {
    const { session } = peer;
    const isKnown = session?.receiving.has(packetId) === true;
    const nod = (): void => {
      session?.receiving.release(packetId);
      peer.completed(packetId, isKnown ? 0 : reasonCodes.packetIdNotFound);
    };
    if (session?.persistent !== true || !isKnown) nod();
    else
      this.#options.journal.add({
        record: jsonRecord(recordKinds.released, { session: session.number, packetId }),
        committed: nod,
      });
  }

  #refusal(peer: Peer, { topic, payload, properties }: PublishPacket): Refusal | undefined {
    const { authorize } = this.#options;
    const { user, clientId } = peer;
    const refusal = reservedRefusal(topic);
    if (refusal !== undefined) return refusal;
    if (properties?.payloadFormatIndicator === 1 && !isUtf8(payload))
      return { code: reasonCodes.payloadFormatInvalid, reason: "the payload is said to be UTF-8 and is not" };
    if (peer.trusted !== undefined || authorize === undefined) return undefined;
    if (authorize({ user, clientId, action: "publish", topic })) return undefined;
    return { code: reasonCodes.notAuthorized, reason: `user ${user} may not publish to ${topic}` };
  }

  #refuse(
    peer: Peer,
    { packet, refusal }: { readonly packet: PublishPacket; readonly refusal: Refusal },
  ): void {
    const { log, tally } = this.#options;
    const { code, reason } = refusal;
    const { qos, id, topic } = packet;
    if (peer.terms.level < 5 || (qos === 0 && code !== reasonCodes.notAuthorized)) {
      peer.fail(reason, { code }); // before MQTT 5 there is no other way to say no
      return;
    }
    tally.publishRefused += 1;
    log.warn("mqtt publish refused", { client: peer.clientId, topic, reason });
    // The publish is not stored, but its answer keeps its place in line.
    if (qos > 0)
      this.#options.journal.add({ committed: () => peer.answer({ qos: qos as 1 | 2, id, code, reason }) });
  }
}
