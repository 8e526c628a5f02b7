import { StatusError, type StatusCause } from "@cortado/std/status";
import { topicFilterFault, topicNameFault, type QoS } from "@cortado/wire/mqtt";
import {
  BRIDGE_BACKOFF_FIRST_MS,
  BRIDGE_BACKOFF_MAX_MS,
  BRIDGE_INFLIGHT_MAX,
  BRIDGE_KEEP_ALIVE_S,
  BRIDGE_TOPICS_MAX,
} from "../limits.ts";

export const bridgeDirections = ["in", "out", "both"] as const;
export type BridgeDirection = (typeof bridgeDirections)[number];
/** What is sent first when more waits than the line takes. */
export const bridgeOrders = ["oldest-first", "newest-first", "live-first"] as const;
export type BridgeOrder = (typeof bridgeOrders)[number];

/** One line of what is bridged; as in mosquitto.conf the prefixes are put before the pattern, character by character. */
export type BridgeTopic = {
  /** A filter; empty where the two prefixes are one topic here and one there. */
  readonly pattern: string;
  readonly direction: BridgeDirection;
  /** The most that a message goes with. */
  readonly qos: QoS;
  readonly localPrefix: string;
  readonly remotePrefix: string;
};

export type BridgeTls = {
  /** PEM of the authorities that are trusted; absent: those that Node brings. */
  readonly ca?: string;
  /** PEM of the client certificate and of its key. */
  readonly certificate?: string;
  readonly key?: string;
  /** Name that the remote's certificate must have; absent: the address's host. */
  readonly serverName?: string;
  /** Protocols to ask for (AWS IoT on port 443 wants `x-amzn-mqtt-ca`). */
  readonly alpn?: readonly string[];
  /** Takes any certificate. */
  readonly insecure?: boolean;
};

export type RemoteAddress = { readonly host: string; readonly port: number };

/** What the remote allows, where it does not say so itself by MQTT 5. */
export type RemoteLimits = {
  readonly qosMax: QoS;
  readonly retainAvailable: boolean;
  /** Largest packet. */
  readonly packetBytesMax: number;
  /** Largest payload (AWS IoT counts it alone). */
  readonly payloadBytesMax: number;
  readonly topicBytesMax: number;
  /** Levels of a topic: one more than its slashes. */
  readonly topicLevelsMax: number;
  /** Publishes of QoS 1 and 2 on their way at once. */
  readonly receiveMax: number;
  /** Filters in one SUBSCRIBE. */
  readonly filtersPerSubscribeMax: number;
  readonly clientIdBytesMax: number;
};

export type BridgeSettings = {
  readonly name: string;
  /** Tried in turn. */
  readonly addresses: readonly RemoteAddress[];
  /** 4: MQTT 3.1.1. */
  readonly level: 4 | 5;
  readonly clientId: string;
  readonly username?: string;
  readonly password?: string;
  readonly tls?: BridgeTls;
  readonly topics: readonly BridgeTopic[];
  readonly order: BridgeOrder;
  readonly keepAliveS: number;
  /** True: the remote forgets us at each disconnect. */
  readonly cleanSession: boolean;
  /** MQTT 5: how long the remote keeps our session. */
  readonly sessionExpiryS: number;
  readonly notifications: boolean;
  readonly notificationTopic?: string;
  /** Messages a second of what waited before the line came up; undefined: no limit. */
  readonly backlogPerS?: number;
  /** Bytes a second of all that is sent, and how many at once after silence; undefined: no limit. */
  readonly bytesPerS?: number;
  readonly burstBytes?: number;
  readonly backoffFirstMs: number;
  readonly backoffMaxMs: number;
  /** Before MQTT 5: mosquitto's mark of a bridge in the protocol level, so that the remote does not send us our own. */
  readonly bridgeBit: boolean;
  /** MQTT 5: ids in user properties by which the receiver counts each message once. */
  readonly ids: boolean;
  readonly remote: RemoteLimits;
};

export const openRemote: RemoteLimits = {
  qosMax: 2,
  retainAvailable: true,
  packetBytesMax: 268_435_455,
  payloadBytesMax: 268_435_455,
  topicBytesMax: 65_535,
  topicLevelsMax: 200,
  receiveMax: BRIDGE_INFLIGHT_MAX,
  filtersPerSubscribeMax: 100,
  clientIdBytesMax: 65_535,
};

export const bridgeDefaults: Omit<BridgeSettings, "name" | "addresses" | "clientId" | "topics"> = {
  level: 5,
  order: "oldest-first",
  keepAliveS: BRIDGE_KEEP_ALIVE_S,
  cleanSession: false,
  sessionExpiryS: 0xffffffff,
  notifications: true,
  backoffFirstMs: BRIDGE_BACKOFF_FIRST_MS,
  backoffMaxMs: BRIDGE_BACKOFF_MAX_MS,
  bridgeBit: true,
  ids: true,
  remote: openRemote,
};

/** @throws StatusError "Invalid" that names each field which cannot be, under `spec` as a MqttBridge has them */
export function checkBridge(settings: BridgeSettings): void {
  const causes: StatusCause[] = [];
  const wrong = (field: string, message: string): void =>
    void causes.push({ reason: "FieldValueInvalid", field: `spec.${field}`, message });
  const { name, addresses, clientId, topics, order, level, remote, burstBytes, bytesPerS } = settings;
  if (addresses.length === 0) wrong("addresses", "give at least one host:port");
  if (topics.length === 0) wrong("topics", "give at least one topic");
  if (topics.length > BRIDGE_TOPICS_MAX) wrong("topics", `at most ${BRIDGE_TOPICS_MAX} are taken`);
  if (Buffer.byteLength(clientId) > remote.clientIdBytesMax)
    wrong(
      "clientId",
      `${JSON.stringify(clientId)} is over the ${remote.clientIdBytesMax} bytes that the remote takes`,
    );
  if (burstBytes !== undefined && bytesPerS === undefined)
    wrong("budget.burstBytes", "a burst goes with bytesPerSecond");
  if (settings.password !== undefined && settings.username === undefined && level === 4)
    wrong("username", "before MQTT 5 a password goes with a user name");
  if ((settings.tls?.certificate === undefined) !== (settings.tls?.key === undefined))
    wrong("tls.secretName", "a client certificate goes with its key");
  if (settings.notificationTopic !== undefined) {
    const fault = topicNameFault(settings.notificationTopic);
    if (fault !== undefined) wrong("notifications.topic", fault);
  }
  for (const [at, topic] of topics.entries())
    for (const fault of topicFaults(topic, order)) wrong(`topics[${at}].${fault.field}`, fault.message);
  if (causes.length === 0) return;
  const [first] = causes;
  const more = causes.length > 1 ? ` (and ${causes.length - 1} more)` : "";
  throw new StatusError("Invalid", `bridge ${name}: ${first?.field}: ${first?.message}${more}`, {
    details: { name, causes },
  });
}

type Fault = { readonly field: string; readonly message: string };

function topicFaults(topic: BridgeTopic, order: BridgeOrder): readonly Fault[] {
  const { pattern, localPrefix, remotePrefix, qos, direction } = topic;
  const faults: Fault[] = [];
  if (pattern === "" && (localPrefix === "" || remotePrefix === ""))
    faults.push({
      field: "pattern",
      message: "an empty pattern needs both prefixes: one topic here and one there",
    });
  for (const [field, prefix] of [
    ["localPrefix", localPrefix],
    ["remotePrefix", remotePrefix],
  ] as const) {
    if (/[+#]/.test(prefix)) faults.push({ field, message: `${JSON.stringify(prefix)} holds a wildcard` });
    else if (prefix + pattern !== "") {
      const fault = topicFilterFault(prefix + pattern);
      if (fault !== undefined)
        faults.push({ field: "pattern", message: `${JSON.stringify(prefix + pattern)}: ${fault}` });
    }
  }
  if ((localPrefix + pattern).startsWith("$share/"))
    faults.push({ field: "pattern", message: "a bridge has no shared subscriptions" });
  if (qos === 2 && order !== "oldest-first" && direction !== "in")
    faults.push({
      field: "qos",
      message: `2 needs the order oldest-first, not ${order}; with 1 and MQTT 5 the receiver counts once by the ids`,
    });
  return faults;
}
