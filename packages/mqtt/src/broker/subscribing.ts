import type { Clock } from "@cortado/std/clock";
import type { Log } from "@cortado/std/log";
import {
  filterMatches,
  reasonCodes,
  shareFault,
  shareOf,
  SUBACK_FAILURE,
  type Subscription,
  type SubscribePacket,
} from "@cortado/wire/mqtt";
import type { Journal } from "../journal/journal.ts";
import { jsonRecord, recordKinds, type FilterRecord } from "../journal/records.ts";
import type { BrokerLimits } from "../limits.ts";
import type { Grant } from "../session/grant.ts";
import type { Registry } from "../session/registry.ts";
import type { Session, SubscriptionTerms } from "../session/session.ts";
import type { Authorize } from "./access.ts";
import type { Peer } from "./peer.ts";
import type { Replays } from "./replays.ts";
import { sysMessages, type Levels, type Tally } from "./tally.ts";

export type SubscribingOptions = {
  readonly limits: BrokerLimits;
  readonly clock: Clock;
  readonly log: Log;
  readonly registry: Registry;
  readonly journal: Journal;
  readonly replays: Replays;
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

  subscribe(peer: Peer, { id, subscriptions, properties }: SubscribePacket): void {
    const { registry, journal } = this.#options;
    const { session } = peer;
    if (session === undefined) return;
    const identifier = properties?.subscriptionIdentifiers?.[0];
    const granted = subscriptions.map((subscription) => this.#grant(peer, subscription));
    const taken = subscriptions.filter((_, index) => (granted[index] ?? SUBACK_FAILURE) < SUBACK_FAILURE);
    const filters = taken.map((subscription) => filterRecord(subscription, identifier));
    const committed = (): void => {
      if (session.outbox === undefined && !session.persistent) return; // gone
      const known = new Set(session.filters.keys());
      registry.subscribe(session, filters);
      peer.reply({ type: "suback", id, granted });
      for (const { filter, retainHandling = 0 } of taken) {
        const terms = session.filters.get(filter);
        if (terms === undefined || retainHandling === 2 || (retainHandling === 1 && known.has(filter)))
          continue;
        if (terms.grant.share === undefined) this.#sendRetained(session, terms); // shares get none (MQTT 5, section 4.8.2)
      }
    };
    if (!session.persistent || filters.length === 0) committed();
    else
      journal.add({
        record: jsonRecord(recordKinds.subscribed, { session: session.number, filters }),
        committed,
      });
  }

  #grant(peer: Peer, subscription: Subscription): number {
    const { log } = this.#options;
    const refusal = this.#refusal(peer, subscription);
    if (refusal === undefined) return subscription.qos;
    const { filter } = subscription;
    log.warn("mqtt subscription refused", { client: peer.clientId, filter, reason: refusal.reason });
    return peer.terms.level === 5 ? refusal.code : SUBACK_FAILURE;
  }

  #refusal(peer: Peer, { filter, fault }: Subscription): Refusal | undefined {
    const { authorize, limits } = this.#options;
    const { session } = peer;
    const reason = fault ?? shareFault(filter);
    if (reason !== undefined) return { reason, code: reasonCodes.topicFilterInvalid };
    if (
      (session?.filters.size ?? 0) >= limits.subscriptionsPerSessionMax &&
      session?.filters.has(filter) !== true
    )
      return {
        reason: `${limits.subscriptionsPerSessionMax} subscriptions are kept for a client`,
        code: reasonCodes.quotaExceeded,
      };
    const topic = shareOf(filter)?.filter ?? filter;
    const { user, clientId } = peer;
    if (peer.trusted !== undefined || authorize?.({ user, clientId, action: "subscribe", topic }) !== false)
      return undefined;
    return { reason: `user ${user} may not subscribe to it`, code: reasonCodes.notAuthorized };
  }

  #sendRetained(session: Session, terms: SubscriptionTerms): void {
    const { filter, grant } = terms;
    const { clock, replays, tally, levels } = this.#options;
    if (!filter.startsWith("$SYS")) {
      replays.start(session, terms);
      return;
    }
    const retained: Grant = { ...grant, isRetained: true };
    for (const message of sysMessages(tally, levels(), clock.nowMs()))
      if (filterMatches(filter, message.topic)) session.outbox?.sendRetained(message, retained);
  }

  unsubscribe(
    peer: Peer,
    { id, filters }: { readonly id: number; readonly filters: readonly string[] },
  ): void {
    const { registry, journal } = this.#options;
    const { session } = peer;
    if (session === undefined) return;
    const committed = (): void => {
      const codes = filters.map((filter) =>
        session.filters.has(filter) ? reasonCodes.success : reasonCodes.noSubscriptionExisted,
      );
      registry.unsubscribe(session, filters);
      peer.reply({ type: "unsuback", id, codes });
    };
    if (!session.persistent) committed();
    else
      journal.add({
        record: jsonRecord(recordKinds.unsubscribed, { session: session.number, filters }),
        committed,
      });
  }
}

type Refusal = { readonly reason: string; readonly code: number };

function filterRecord(
  { filter, qos, noLocal, retainAsPublished }: Subscription,
  identifier: number | undefined,
): FilterRecord {
  return {
    filter,
    qos,
    ...(noLocal === true ? { noLocal } : {}),
    ...(retainAsPublished === true ? { retainAsPublished } : {}),
    ...(identifier === undefined ? {} : { identifier }),
  };
}
