import type { Clock } from "@cortado/std/clock";
import type { Log } from "@cortado/std/log";
import { encodePacket, SUBACK_FAILURE, type Subscription, type SubscribePacket } from "@cortado/wire/mqtt";
import type { Journal } from "../journal/journal.ts";
import { jsonRecord, recordKinds } from "../journal/records.ts";
import type { BrokerLimits } from "../limits.ts";
import { grantedQos, type Registry } from "../session/registry.ts";
import type { Session } from "../session/session.ts";
import type { Authorize } from "./access.ts";
import type { Peer } from "./peer.ts";
import { sysMessages, type Levels, type Tally } from "./tally.ts";

export type SubscribingOptions = {
  readonly limits: BrokerLimits;
  readonly clock: Clock;
  readonly log: Log;
  readonly registry: Registry;
  readonly journal: Journal;
  readonly authorize: Authorize | undefined;
  readonly tally: Tally;
  readonly levels: () => Levels;
};

/** SUBSCRIBE and UNSUBSCRIBE: durable before they are answered, and the retained messages after that. */
export class Subscribing {
  readonly #options: SubscribingOptions;

  constructor(options: SubscribingOptions) {
    this.#options = options;
  }

  subscribe(peer: Peer, { id, subscriptions }: SubscribePacket): void {
    const { registry, journal } = this.#options;
    const { session } = peer;
    if (session === undefined) return;
    const granted = subscriptions.map((subscription) => this.#grant(peer, subscription));
    const filters = subscriptions.flatMap(({ filter }, index) => {
      const qos = granted[index];
      return qos === 0 || qos === 1 ? [{ filter, qos } as const] : [];
    });
    const committed = (): void => {
      if (session.outbox === undefined && !session.persistent) return; // gone
      registry.subscribe(session, filters);
      peer.send(encodePacket({ type: "suback", id, granted }));
      for (const subscription of filters) this.#sendRetained(session, subscription);
    };
    if (!session.persistent || filters.length === 0) committed();
    else
      journal.add({
        record: jsonRecord(recordKinds.subscribed, { session: session.number, filters }),
        committed,
      });
  }

  #grant(peer: Peer, { filter, qos }: Subscription): number {
    const { authorize, limits, log } = this.#options;
    const session = peer.session;
    let refusal: string | undefined;
    if (filter.startsWith("$share/")) refusal = "shared subscriptions come with MQTT 5 in a later release";
    else if ((session?.filters.size ?? 0) >= limits.subscriptionsPerSessionMax)
      refusal = `${limits.subscriptionsPerSessionMax} subscriptions are kept for a client`;
    else if (
      peer.trusted === undefined &&
      authorize?.({ user: peer.user, clientId: peer.clientId, action: "subscribe", topic: filter }) === false
    )
      refusal = `user ${peer.user} may not subscribe to it`;
    if (refusal === undefined) return grantedQos(qos);
    log.warn("mqtt subscription refused", { client: peer.clientId, filter, reason: refusal });
    return SUBACK_FAILURE;
  }

  #sendRetained(session: Session, { filter, qos }: Subscription): void {
    const { registry, clock } = this.#options;
    for (const message of registry.retained.matching(filter))
      session.outbox?.sendRetained(message, message.qos === 0 ? 0 : qos);
    if (!filter.startsWith("$SYS")) return;
    for (const message of sysMessages(this.#options.tally, this.#options.levels(), clock.nowMs()))
      if (registry.tree.match(message.topic).has(session)) session.outbox?.sendRetained(message, 0);
  }

  unsubscribe(
    peer: Peer,
    { id, filters }: { readonly id: number; readonly filters: readonly string[] },
  ): void {
    const { registry, journal } = this.#options;
    const { session } = peer;
    if (session === undefined) return;
    const committed = (): void => {
      registry.unsubscribe(session, filters);
      peer.send(encodePacket({ type: "unsuback", id }));
    };
    if (!session.persistent) committed();
    else
      journal.add({
        record: jsonRecord(recordKinds.unsubscribed, { session: session.number, filters }),
        committed,
      });
  }
}
