import type { QoS } from "@cortado/wire/mqtt";

/** On what terms a subscription gets its messages. One object for all messages that it brings. */
export type Grant = {
  readonly qos: QoS;
  readonly noLocal: boolean;
  readonly retainAsPublished: boolean;
  /** Of each matching subscription that has one (MQTT 5, section 3.3.4); undefined for none. */
  readonly identifiers: readonly number[] | undefined;
  /** The whole `$share/GROUP/FILTER` that it came by. */
  readonly share: string | undefined;
  /** A retained message that a new subscription brought: it keeps its retain flag whatever else is said. */
  readonly isRetained: boolean;
};

/** What a plain subscription of MQTT 3.1.1 gets, by QoS. */
export const plainGrants: readonly [Grant, Grant, Grant] = [plain(0), plain(1), plain(2)];

function plain(qos: QoS): Grant {
  return {
    qos,
    noLocal: false,
    retainAsPublished: false,
    identifiers: undefined,
    share: undefined,
    isRetained: false,
  };
}

/** One copy for filters that overlap: the highest QoS, and the identifiers of all (MQTT-3.3.4-2, -3). */
export function mergedGrants(one: Grant, other: Grant): Grant {
  const identifiers = [...(one.identifiers ?? []), ...(other.identifiers ?? [])];
  return {
    ...(other.qos > one.qos ? other : one),
    retainAsPublished: one.retainAsPublished || other.retainAsPublished,
    identifiers: identifiers.length === 0 ? undefined : identifiers,
  };
}

/** Whether a message of this QoS and retain flag is delivered just as it was published. */
export function isPlainFor(
  grant: Grant,
  { qos, retain }: { readonly qos: QoS; readonly retain: boolean },
): boolean {
  return (
    grant.qos >= qos &&
    !(retain && grant.retainAsPublished) &&
    grant.identifiers === undefined &&
    grant.share === undefined &&
    !grant.isRetained
  );
}
