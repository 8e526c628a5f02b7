import type { Metrics } from "@cortado/std/metrics";
import type { Message } from "../journal/records.ts";

/** What the broker counts since its start. */
export type Tally = {
  messagesReceived: number;
  messagesSent: number;
  publishReceived: number;
  publishSent: number;
  publishDropped: number;
  publishHeld: number;
  publishRefused: number;
  sessionsExpired: number;
  willsDropped: number;
  protocolFaults: number;
  connectionsRefused: number;
};

export function newTally(): Tally {
  return {
    messagesReceived: 0,
    messagesSent: 0,
    publishReceived: 0,
    publishSent: 0,
    publishDropped: 0,
    publishHeld: 0,
    publishRefused: 0,
    sessionsExpired: 0,
    willsDropped: 0,
    protocolFaults: 0,
    connectionsRefused: 0,
  };
}

/** What the broker is at a moment. */
export type Levels = {
  readonly clientsConnected: number;
  readonly clientsTotal: number;
  readonly subscriptions: number;
  /** Members of shared subscriptions, which count among the subscriptions too. */
  readonly sharedSubscriptions: number;
  readonly retained: number;
  readonly queuedItems: number;
  readonly queuedBytes: number;
  readonly journalBytes: number;
  readonly journalWrittenBytes: number;
  readonly heldClients: number;
  readonly uptimeS: number;
  readonly writable: boolean;
};

/** The $SYS topics, under mosquitto's names (mosquitto(8), "Broker status"). */
export function sysTopics(tally: Tally, levels: Levels): ReadonlyMap<string, string> {
  const base = "$SYS/broker";
  return new Map([
    [`${base}/version`, "cortado"],
    [`${base}/uptime`, `${Math.floor(levels.uptimeS)} seconds`],
    [`${base}/clients/connected`, String(levels.clientsConnected)],
    [`${base}/clients/disconnected`, String(levels.clientsTotal - levels.clientsConnected)],
    [`${base}/clients/total`, String(levels.clientsTotal)],
    [`${base}/clients/expired`, String(tally.sessionsExpired)],
    [`${base}/messages/received`, String(tally.messagesReceived)],
    [`${base}/messages/sent`, String(tally.messagesSent)],
    [`${base}/publish/messages/received`, String(tally.publishReceived)],
    [`${base}/publish/messages/sent`, String(tally.publishSent)],
    [`${base}/publish/messages/dropped`, String(tally.publishDropped)],
    [`${base}/retained messages/count`, String(levels.retained)],
    [`${base}/store/messages/count`, String(levels.queuedItems)],
    [`${base}/store/messages/bytes`, String(levels.queuedBytes)],
    [`${base}/messages/stored`, String(levels.queuedItems)],
    [`${base}/subscriptions/count`, String(levels.subscriptions)],
    [`${base}/shared_subscriptions/count`, String(levels.sharedSubscriptions)],
  ]);
}

type Row = {
  readonly name: string;
  readonly help: string;
  readonly value: (tally: Tally, levels: Levels) => number;
};

// Named as the usual exporter names mosquitto's $SYS topics: slashes become underscores.
const rows: readonly Row[] = [
  {
    name: "broker_clients_connected",
    help: "Clients connected now.",
    value: (_, { clientsConnected }) => clientsConnected,
  },
  {
    name: "broker_clients_total",
    help: "Clients connected and persistent sessions without one.",
    value: (_, { clientsTotal }) => clientsTotal,
  },
  {
    name: "broker_messages_received",
    help: "Packets received since the start.",
    value: ({ messagesReceived }) => messagesReceived,
  },
  {
    name: "broker_messages_sent",
    help: "Packets sent since the start.",
    value: ({ messagesSent }) => messagesSent,
  },
  {
    name: "broker_publish_messages_received",
    help: "PUBLISH packets received since the start.",
    value: ({ publishReceived }) => publishReceived,
  },
  {
    name: "broker_publish_messages_sent",
    help: "PUBLISH packets sent since the start.",
    value: ({ publishSent }) => publishSent,
  },
  {
    name: "broker_publish_messages_dropped",
    help: "QoS 0 deliveries dropped for slow clients.",
    value: ({ publishDropped }) => publishDropped,
  },
  {
    name: "broker_publish_messages_held",
    help: "Publishes kept back by a full quota.",
    value: ({ publishHeld }) => publishHeld,
  },
  {
    name: "broker_publish_messages_refused",
    help: "Publishes answered with a reason code of failure (MQTT 5).",
    value: ({ publishRefused }) => publishRefused,
  },
  {
    name: "broker_clients_expired",
    help: "Sessions that expired since the start.",
    value: ({ sessionsExpired }) => sessionsExpired,
  },
  {
    name: "broker_wills_dropped",
    help: "Wills dropped as no room was left for them.",
    value: ({ willsDropped }) => willsDropped,
  },
  {
    name: "broker_protocol_faults",
    help: "Connections closed for malformed or forbidden packets.",
    value: ({ protocolFaults }) => protocolFaults,
  },
  {
    name: "broker_connections_refused",
    help: "Connections refused.",
    value: ({ connectionsRefused }) => connectionsRefused,
  },
  {
    name: "broker_retained_messages_count",
    help: "Retained messages.",
    value: (_, { retained }) => retained,
  },
  {
    name: "broker_subscriptions_count",
    help: "Subscriptions.",
    value: (_, { subscriptions }) => subscriptions,
  },
  {
    name: "broker_shared_subscriptions_count",
    help: "Members of shared subscriptions.",
    value: (_, { sharedSubscriptions }) => sharedSubscriptions,
  },
  {
    name: "broker_store_messages_count",
    help: "Messages that wait for persistent sessions.",
    value: (_, { queuedItems }) => queuedItems,
  },
  {
    name: "broker_store_messages_bytes",
    help: "Bytes of those messages.",
    value: (_, { queuedBytes }) => queuedBytes,
  },
  {
    name: "broker_clients_held",
    help: "Clients whose publishes a full quota keeps back.",
    value: (_, { heldClients }) => heldClients,
  },
  {
    name: "broker_journal_bytes",
    help: "Size of the journal on disk.",
    value: (_, { journalBytes }) => journalBytes,
  },
  {
    name: "broker_journal_written_bytes",
    help: "Bytes written to the journal since the start.",
    value: (_, { journalWrittenBytes }) => journalWrittenBytes,
  },
  {
    name: "cortado_mqtt_writable",
    help: "1 while the journal can be written; 0 while its disk is full, read-only or failing, and nothing is acknowledged.",
    value: (_, { writable }) => (writable ? 1 : 0),
  },
  { name: "broker_uptime_seconds", help: "Seconds since the start.", value: (_, { uptimeS }) => uptimeS },
];

export function declareMetrics(
  metrics: Metrics,
  read: () => { readonly tally: Tally; readonly levels: Levels },
): void {
  const gauges = rows.map((row) => ({ row, gauge: metrics.gauge(row.name, { help: row.help }) }));
  metrics.beforeText(() => {
    const { tally, levels } = read();
    for (const { row, gauge } of gauges) gauge.set(row.value(tally, levels));
  });
}

/** The same as messages, ready to be sent. */
export function sysMessages(tally: Tally, levels: Levels, atMs: number): readonly Message[] {
  const text = new TextEncoder();
  return [...sysTopics(tally, levels)].map(([topic, value]) => ({
    sequence: 0,
    atMs,
    topic,
    payload: text.encode(value),
    qos: 0,
    retain: true,
    recipients: [],
    grants: undefined,
    carried: undefined,
    expiresAtMs: undefined,
  }));
}
