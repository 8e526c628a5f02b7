import type { Metrics } from "@cortado/std/metrics";
import type { Message } from "../journal/records.ts";

/** What the broker counts since its start. */
export type Tally = {
  /** Accepted connections of any transport. */
  sockets: number;
  /** CONNECT packets. */
  connections: number;
  bytesReceived: number;
  bytesSent: number;
  messagesReceived: number;
  messagesSent: number;
  publishReceived: number;
  publishSent: number;
  /** Of payloads. */
  publishBytesReceived: number;
  publishBytesSent: number;
  publishDropped: number;
  publishHeld: number;
  publishRefused: number;
  sessionsExpired: number;
  willsDropped: number;
  protocolFaults: number;
  connectionsRefused: number;
  /** Most clients that were connected when somebody looked. */
  clientsMaximum: number;
  heapMaximum: number;
};

export function newTally(): Tally {
  return {
    sockets: 0,
    connections: 0,
    bytesReceived: 0,
    bytesSent: 0,
    messagesReceived: 0,
    messagesSent: 0,
    publishReceived: 0,
    publishSent: 0,
    publishBytesReceived: 0,
    publishBytesSent: 0,
    publishDropped: 0,
    publishHeld: 0,
    publishRefused: 0,
    sessionsExpired: 0,
    willsDropped: 0,
    protocolFaults: 0,
    connectionsRefused: 0,
    clientsMaximum: 0,
    heapMaximum: 0,
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
  readonly retainedBytes: number;
  readonly queuedItems: number;
  readonly queuedBytes: number;
  readonly inflight: number;
  readonly wills: number;
  readonly journalBytes: number;
  readonly journalWrittenBytes: number;
  readonly heldClients: number;
  /** Told their last, and their connections are not closed yet. */
  readonly endingClients: number;
  readonly damagedFiles: number;
  /** Of the whole process. */
  readonly heapBytes: number;
  readonly uptimeS: number;
  readonly writable: boolean;
  /** Averages by topic behind `load/`. */
  readonly load: ReadonlyMap<string, number>;
};

type Read = (tally: Tally, levels: Levels) => number;
type Row = { readonly topic: string; readonly help: string; readonly value: Read };

// Topics and what they mean are mosquitto's (mosquitto(8), "Broker status").
const shared: readonly Row[] = [
  {
    topic: "bytes/received",
    help: "Bytes received since the start.",
    value: (tally) => tally.bytesReceived,
  },
  { topic: "bytes/sent", help: "Bytes sent since the start.", value: (tally) => tally.bytesSent },
  {
    topic: "clients/connected",
    help: "Clients connected now.",
    value: (_, levels) => levels.clientsConnected,
  },
  {
    topic: "clients/disconnected",
    help: "Persistent sessions without a client.",
    value: (_, levels) => levels.clientsTotal - levels.clientsConnected,
  },
  {
    topic: "clients/expired",
    help: "Sessions that expired since the start.",
    value: (tally) => tally.sessionsExpired,
  },
  {
    topic: "clients/maximum",
    help: "Most clients connected at a time since the start.",
    value: (tally) => tally.clientsMaximum,
  },
  {
    topic: "clients/total",
    help: "Clients connected and persistent sessions without one.",
    value: (_, levels) => levels.clientsTotal,
  },
  {
    topic: "heap/current",
    help: "Heap of the whole process, in bytes.",
    value: (_, levels) => levels.heapBytes,
  },
  {
    topic: "heap/maximum",
    help: "The largest that it was found to be.",
    value: (tally) => tally.heapMaximum,
  },
  {
    topic: "messages/inflight",
    help: "Messages of QoS 1 and 2 sent and not answered.",
    value: (_, levels) => levels.inflight,
  },
  {
    topic: "messages/received",
    help: "Packets received since the start.",
    value: (tally) => tally.messagesReceived,
  },
  {
    topic: "messages/sent",
    help: "Packets sent since the start.",
    value: (tally) => tally.messagesSent,
  },
  {
    topic: "messages/stored",
    help: "The same as store_messages_count.",
    value: (_, levels) => levels.queuedItems + levels.retained,
  },
  {
    topic: "publish/bytes/received",
    help: "Payload bytes received since the start.",
    value: (tally) => tally.publishBytesReceived,
  },
  {
    topic: "publish/bytes/sent",
    help: "Payload bytes sent since the start.",
    value: (tally) => tally.publishBytesSent,
  },
  {
    topic: "publish/messages/dropped",
    help: "QoS 0 deliveries dropped for slow clients, and messages that expired or were too large.",
    value: (tally) => tally.publishDropped,
  },
  {
    topic: "publish/messages/received",
    help: "PUBLISH packets received since the start.",
    value: (tally) => tally.publishReceived,
  },
  {
    topic: "publish/messages/sent",
    help: "PUBLISH packets sent since the start.",
    value: (tally) => tally.publishSent,
  },
  { topic: "retained messages/count", help: "Retained messages.", value: (_, levels) => levels.retained },
  {
    topic: "shared_subscriptions/count",
    help: "Members of shared subscriptions.",
    value: (_, levels) => levels.sharedSubscriptions,
  },
  {
    topic: "store/messages/bytes",
    help: "Bytes of the messages that are stored, once for each session they wait for.",
    value: (_, levels) => levels.queuedBytes + levels.retainedBytes,
  },
  {
    topic: "store/messages/count",
    help: "Messages that wait for persistent sessions, and retained ones.",
    value: (_, levels) => levels.queuedItems + levels.retained,
  },
  { topic: "subscriptions/count", help: "Subscriptions.", value: (_, levels) => levels.subscriptions },
];

type OwnRow = { readonly name: string; readonly help: string; readonly value: Read };

// What mosquitto has no topic for.
const own: readonly OwnRow[] = [
  {
    name: "broker_publish_messages_held",
    help: "Publishes kept back by a full quota.",
    value: (tally) => tally.publishHeld,
  },
  {
    name: "broker_publish_messages_refused",
    help: "Publishes answered with a reason code of failure (MQTT 5).",
    value: (tally) => tally.publishRefused,
  },
  {
    name: "broker_wills_dropped",
    help: "Wills dropped as no room was left for them.",
    value: (tally) => tally.willsDropped,
  },
  {
    name: "broker_protocol_faults",
    help: "Connections closed for malformed or forbidden packets.",
    value: (tally) => tally.protocolFaults,
  },
  {
    name: "broker_connections_refused",
    help: "Connections refused.",
    value: (tally) => tally.connectionsRefused,
  },
  {
    name: "broker_clients_held",
    help: "Clients whose publishes a full quota keeps back.",
    value: (_, levels) => levels.heldClients,
  },
  {
    name: "cortado_mqtt_clients_ending",
    help: "Clients that were told their last, and whose connections are not closed yet.",
    value: (_, levels) => levels.endingClients,
  },
  {
    name: "broker_journal_bytes",
    help: "Size of the journal on disk.",
    value: (_, levels) => levels.journalBytes,
  },
  {
    name: "broker_journal_written_bytes",
    help: "Bytes written to the journal since the start.",
    value: (_, levels) => levels.journalWrittenBytes,
  },
  { name: "broker_uptime_seconds", help: "Seconds since the start.", value: (_, levels) => levels.uptimeS },
  {
    name: "cortado_mqtt_writable",
    help: "1 while the journal can be written; 0 while its disk is full, read-only or failing, and nothing is acknowledged.",
    value: (_, levels) => (levels.writable ? 1 : 0),
  },
  {
    name: "cortado_mqtt_damaged_files",
    help: "Files that were found damaged at the start and set aside.",
    value: (_, levels) => levels.damagedFiles,
  },
  {
    name: "cortado_mqtt_retained_bytes",
    help: "Disk and memory of retained messages, with what is not merged away yet.",
    value: (_, levels) => levels.retainedBytes,
  },
  { name: "cortado_mqtt_wills", help: "Wills that are kept.", value: (_, levels) => levels.wills },
];

/** The $SYS topics. */
export function sysTopics(tally: Tally, levels: Levels): ReadonlyMap<string, string> {
  const base = "$SYS/broker";
  return new Map([
    [`${base}/version`, "cortado"],
    [`${base}/uptime`, `${Math.floor(levels.uptimeS)} seconds`],
    ...shared.map(({ topic, value }) => [`${base}/${topic}`, String(value(tally, levels))] as const),
    ...[...levels.load].map(([topic, value]) => [`${base}/load/${topic}`, value.toFixed(2)] as const),
  ]);
}

/** Named as the usual exporter names mosquitto's $SYS topics: slashes become underscores. */
const metricName = (topic: string): string => `broker_${topic.replaceAll(/[/ ]/g, "_")}`;

export function declareMetrics(
  metrics: Metrics,
  read: () => { readonly tally: Tally; readonly levels: Levels },
): void {
  const rows = [...shared.map(({ topic, ...row }) => ({ ...row, name: metricName(topic) })), ...own];
  const gauges = rows.map((row) => ({ row, gauge: metrics.gauge(row.name, { help: row.help }) }));
  const load = [...read().levels.load.keys()].map((topic) => ({
    topic,
    gauge: metrics.gauge(metricName(`load/${topic}`), {
      help: "Moving average of what happens in a minute.",
    }),
  }));
  metrics.beforeText(() => {
    const { tally, levels } = read();
    for (const { row, gauge } of gauges) gauge.set(row.value(tally, levels));
    for (const { topic, gauge } of load) gauge.set(levels.load.get(topic) ?? 0);
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
