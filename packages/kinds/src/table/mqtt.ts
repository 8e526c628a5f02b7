import type { CustomResourceDefinition, JSONSchemaProps } from "../kinds.ts";
import { conditionOf, conditions, text } from "./conditions.ts";

type Fields = Readonly<Record<string, JSONSchemaProps>>;

const flag = (description: string): JSONSchemaProps => ({ type: "boolean", description });
const said = (description: string, more: JSONSchemaProps = {}): JSONSchemaProps => ({
  type: "string",
  description,
  ...more,
});
const whole = (description: string, more: JSONSchemaProps = {}): JSONSchemaProps => ({
  type: "integer",
  format: "int64",
  minimum: 1,
  description,
  ...more,
});
const list = (items: JSONSchemaProps, more: JSONSchemaProps = {}): JSONSchemaProps => ({
  type: "array",
  items,
  ...more,
});

function object(description: string, properties: Fields, required: readonly string[] = []): JSONSchemaProps {
  return {
    type: "object",
    description,
    properties: { ...properties },
    ...(required.length === 0 ? {} : { required: [...required] }),
  };
}

const secretRef = (description: string): JSONSchemaProps =>
  object(
    description,
    {
      name: said("The Secret's name.", { minLength: 1 }),
      key: said("The key in it.", { default: "password" }),
    },
    ["name"],
  );

const qos = (description: string, fallback?: number): JSONSchemaProps => ({
  type: "integer",
  format: "int32",
  enum: [0, 1, 2],
  description,
  ...(fallback === undefined ? {} : { default: fallback }),
});

const topic = object(
  "One line of what is bridged. A prefix is put before the pattern as it stands: no slash is added.",
  {
    pattern: said("A filter with + and #; empty where the two prefixes are one topic here and one there.", {
      maxLength: 65_535,
    }),
    direction: said("out: from this store to the remote; in: the other way.", {
      enum: ["in", "out", "both"],
      default: "out",
    }),
    qos: qos("The most that a message goes with.", 1),
    localPrefix: said("Before the pattern here; taken away from what goes out.", { default: "" }),
    remotePrefix: said("Before the pattern there; put before what goes out.", { default: "" }),
  },
  ["pattern"],
);

const remote = object("What the remote allows, where it does not say so itself by MQTT 5.", {
  maxQos: qos("The highest QoS that it takes."),
  retainAvailable: flag("False: nothing is sent as retained."),
  maxPacketBytes: whole("The largest packet that it takes."),
  maxPayloadBytes: whole("The largest payload that it takes."),
  maxTopicBytes: whole("The longest topic that it takes.", { maximum: 65_535 }),
  maxTopicLevels: whole("The levels of a topic, one more than its slashes.", { maximum: 200 }),
  receiveMaximum: whole("Publishes of QoS 1 and 2 that may be on their way to it.", { maximum: 65_535 }),
  maxFiltersPerSubscribe: whole("Filters that it takes in one SUBSCRIBE.", { maximum: 1_000 }),
  maxClientIdBytes: whole("The longest client id that it takes.", { maximum: 65_535 }),
});

const tls = object("TLS to the remote; absent: plain TCP.", {
  secretName: said(
    "A Secret with ca.crt (absent: the authorities that Node brings), and tls.crt with tls.key for a client certificate.",
  ),
  serverName: said("The name that the remote's certificate must have; absent: the address's host."),
  alpn: list(text, { description: "Protocols to ask for." }),
  insecureSkipVerify: flag("Takes any certificate. For trying things out."),
});

const bridgeSpec = object(
  "Another broker, and what goes there and comes from there.",
  {
    addresses: list(said("HOST:PORT", { minLength: 3 }), {
      minItems: 1,
      maxItems: 16,
      description: "Where the remote listens; tried in turn.",
    }),
    protocol: said("The version of MQTT.", { enum: ["mqttv5", "mqttv311"], default: "mqttv5" }),
    clientId: said("Who the store is at the remote; absent: STORE.NAME.", { minLength: 1 }),
    username: said("User name at the remote."),
    passwordSecret: secretRef("Where its password is, in this namespace."),
    tls,
    topics: list(topic, {
      minItems: 1,
      maxItems: 1_000,
      description: "What is bridged; the first line that fits counts.",
    }),
    order: said(
      "What goes first when more waits than the line takes. Only oldest-first keeps the order of each topic.",
      { enum: ["oldest-first", "newest-first", "live-first"], default: "oldest-first" },
    ),
    budget: object("How much goes over the line.", {
      backlogMessagesPerSecond: whole("Messages a second of what waited before the line came up."),
      bytesPerSecond: whole("Bytes a second of all that is sent."),
      burstBytes: whole("Bytes that may go at once after silence; absent: one second's worth."),
    }),
    keepAliveSeconds: whole("Silence after which each side asks for the other; 0: never.", {
      minimum: 0,
      maximum: 65_535,
      default: 60,
    }),
    cleanSession: flag("True: the remote forgets the store at each disconnect."),
    sessionExpirySeconds: whole("How long the remote keeps the store's session (MQTT 5); absent: for ever.", {
      minimum: 0,
      maximum: 4_294_967_295,
    }),
    reconnect: object("Waits between tries, doubled from the first to the longest, with jitter.", {
      firstSeconds: whole("The first wait.", { default: 1, maximum: 86_400 }),
      maxSeconds: whole("The longest wait.", { default: 60, maximum: 86_400 }),
    }),
    notifications: object("1 or 0, retained, on a topic of both sides: whether the bridge is connected.", {
      enabled: { ...flag("False: nothing is told."), default: true },
      topic: said("The topic; absent: $SYS/broker/connection/CLIENT-ID/state."),
    }),
    ids: flag(
      "MQTT 5: ids in user properties, by which the receiver counts each message once. Default true.",
    ),
    bridgeBit: flag("MQTT 3.1.1: mosquitto's mark of a bridge, tried first. Default true."),
    remote,
    suspend: flag("True: not connected; what is published goes on waiting."),
  },
  ["addresses", "topics"],
);

const counted = (description: string): JSONSchemaProps => ({ type: "integer", format: "int64", description });

const bridgeStatus = object("How the bridge is.", {
  conditions,
  observedGeneration: counted("The generation that this tells of."),
  state: said("starting, connecting, connected, waiting, suspended or refused."),
  since: said("Since when.", { format: "date-time" }),
  backlog: counted("Messages that wait for the remote."),
  backlogBytes: counted("Their bytes in the journal."),
  lastError: said("Why the last connection failed or ended, or what was not sent."),
  connections: counted("Connections that the remote accepted since the broker's start."),
  sent: counted("Publishes sent to the remote since then, some of them again."),
  acknowledged: counted("Messages that it acknowledged since then."),
  received: counted("Messages taken from it since then."),
  skipped: counted("Messages that the remote cannot take, and that were left out."),
  dropped: counted("QoS 0 messages for which the line had no room, or was down."),
});

const rule = object(
  "What the user may do on some topics.",
  {
    topics: list(said("A filter; %u stands for the user name, %c for the client id.", { minLength: 1 }), {
      minItems: 1,
    }),
    access: list(
      said("read: get messages; write: publish; subscribe: ask for more than it may read.", {
        enum: ["read", "write", "subscribe"],
      }),
      {
        minItems: 1,
      },
    ),
    clientIds: list(text, { description: "Client ids for which this counts, * for any text; absent: all." }),
  },
  ["topics", "access"],
);

const userSpec = object("Who is let in, and what he may do.", {
  username: said("The user name; absent: the object's name.", { minLength: 1, maxLength: 1_024 }),
  passwordSecret: secretRef("Where the password is, in this namespace."),
  certificateName: said("The common name of a client certificate that stands for this user.", {
    minLength: 1,
  }),
  anonymous: flag("True: this is who comes without user name and password."),
  clientIds: list(text, { description: "Client ids that it may have, * for any text; absent: any." }),
  rules: list(rule, { maxItems: 1_000, description: "What is not allowed by a rule is refused." }),
});

const userStatus = object("Whether the user can come in.", {
  conditions,
  observedGeneration: counted("The generation that this tells of."),
});

type Kind = {
  readonly kind: string;
  readonly plural: string;
  readonly about: string;
  readonly spec: JSONSchemaProps;
  readonly status: JSONSchemaProps;
  readonly columns: readonly Column[];
};
type Column = {
  readonly name: string;
  readonly type: string;
  readonly jsonPath: string;
  readonly priority?: number;
};

function define({ kind, plural, about, spec, status, columns }: Kind): CustomResourceDefinition {
  const age: Column = { name: "Age", type: "date", jsonPath: ".metadata.creationTimestamp" };
  const openAPIV3Schema = object(about, { spec, status }, ["spec"]);
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: `${plural}.mqtt.cortado.dev` },
    spec: {
      group: "mqtt.cortado.dev",
      scope: "Namespaced",
      names: { plural, singular: kind.toLowerCase(), kind, listKind: `${kind}List`, categories: ["mqtt"] },
      versions: [
        {
          name: "v1alpha1",
          served: true,
          storage: true,
          subresources: { status: {} },
          additionalPrinterColumns: [...columns, age],
          schema: { openAPIV3Schema },
        },
      ],
    },
  };
}

export const mqttDefinitions: readonly CustomResourceDefinition[] = [
  define({
    kind: "MqttBridge",
    plural: "mqttbridges",
    about: "A bridge of the store's MQTT broker to another one: a durable session here, a client there.",
    spec: bridgeSpec,
    status: bridgeStatus,
    columns: [
      { name: "Remote", type: "string", jsonPath: ".spec.addresses[0]" },
      { name: "Connected", type: "string", jsonPath: conditionOf("Connected") },
      { name: "State", type: "string", jsonPath: ".status.state" },
      { name: "Backlog", type: "integer", jsonPath: ".status.backlog" },
      { name: "Last Error", type: "string", jsonPath: ".status.lastError", priority: 1 },
    ],
  }),
  define({
    kind: "MqttUser",
    plural: "mqttusers",
    about:
      "Somebody whom the store's MQTT broker lets in. While there is none it lets everybody in; with the first one it is closed to all others.",
    spec: userSpec,
    status: userStatus,
    columns: [
      { name: "User", type: "string", jsonPath: ".spec.username" },
      { name: "Ready", type: "string", jsonPath: conditionOf("Ready") },
      {
        name: "Reason",
        type: "string",
        jsonPath: '.status.conditions[?(@.type=="Ready")].message',
        priority: 1,
      },
    ],
  }),
];
