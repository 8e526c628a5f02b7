import * as make from "./bytes.ts";
import type { Level, Property } from "./bytes.ts";

/** A packet that no server may take: it ends the connection. */
export type Malformed = {
  readonly name: string;
  readonly packet: Uint8Array;
  /** It stands in CONNECT's place. */
  readonly isFirst?: boolean;
};

const { ids, prop } = make;

type Shape = {
  readonly name: string;
  readonly type: make.TypeName;
  readonly flags: number;
  readonly body: Uint8Array;
  /** So many bytes a shorter one must have to be whole, beside those of the body itself. */
  readonly whole?: readonly number[];
  readonly isFirst?: boolean;
  /** Bytes behind the end are payload. */
  readonly isOpen?: boolean;
};

function shapes(level: Level): readonly Shape[] {
  const none = level === 5 ? make.properties() : make.bytes();
  const will = { topic: "w", payload: "p", qos: 1 };
  const connect = make.connect({ level, clientId: "c", will, username: "u", password: "p" }).subarray(2);
  const acks = (["puback", "pubrec", "pubrel", "pubcomp"] as const).map((type): Shape => ({
    name: type,
    type,
    flags: type === "pubrel" ? 2 : 0,
    body: make.bytes(make.u16(1), ...(level === 5 ? [0, none] : [])),
    ...(level === 5 ? { whole: [2, 3] } : {}),
  }));
  const topic = make.field("t");
  return [
    { name: "connect", type: "connect", flags: 0, body: connect, isFirst: true },
    {
      name: "publish",
      type: "publish",
      flags: 2,
      body: make.bytes(topic, make.u16(1), none),
      isOpen: true,
    },
    ...acks,
    { name: "subscribe", type: "subscribe", flags: 2, body: make.bytes(make.u16(1), none, topic, 0) },
    { name: "unsubscribe", type: "unsubscribe", flags: 2, body: make.bytes(make.u16(1), none, topic) },
    { name: "pingreq", type: "pingreq", flags: 0, body: make.bytes() },
    {
      name: "disconnect",
      type: "disconnect",
      flags: 0,
      body: level === 5 ? make.bytes(0, none) : make.bytes(),
      ...(level === 5 ? { whole: [0, 1] } : {}),
    },
  ];
}

/** Each packet cut short at each byte, with a byte too many, and with flags that are not its own. */
function brokenShapes(level: Level): readonly Malformed[] {
  return shapes(level).flatMap(({ name, type, flags, body, whole = [], isFirst = false, isOpen = false }) => {
    const cut = Array.from({ length: body.length }, (_, bytes) => bytes).filter(
      (bytes) => !whole.includes(bytes),
    );
    const of = (title: string, packet: Uint8Array): Malformed => ({
      name: `${name} ${title}`,
      packet,
      isFirst,
    });
    return [
      ...cut.map((bytes) => of(`of ${bytes} bytes`, make.packet(type, flags, body.subarray(0, bytes)))),
      ...(isOpen ? [] : [of("with a byte behind its end", make.packet(type, flags, body, 0))]),
      ...[0, 1, 2, 4, 8, 15]
        .filter((wrong) => wrong !== flags && !isOpen)
        .map((wrong) => of(`with flags ${wrong}`, make.packet(type, wrong, body))),
    ];
  });
}

/** What only a server says, and what does not exist. */
function strangers(level: Level): readonly Malformed[] {
  const bodies: Readonly<Record<string, Uint8Array>> = {
    connack: make.bytes(0, 0, ...(level === 5 ? [0] : [])),
    suback: make.bytes(make.u16(1), ...(level === 5 ? [0] : []), 0),
    unsuback: make.bytes(make.u16(1), ...(level === 5 ? [0, 0] : [])),
    pingresp: make.bytes(),
  };
  return [
    ...Object.entries(bodies).map(([name, body]) => ({
      name: `${name} from a client`,
      packet: make.packet(name as make.TypeName, 0, body),
    })),
    { name: "packet type 0", packet: make.bytes(0, 0) },
    { name: "packet type 15 without a method", packet: make.bytes(0xf0, 0) },
    { name: "a length of five bytes", packet: make.bytes(0xc0, 0xff, 0xff, 0xff, 0xff, 1) },
  ];
}

type Kind = { readonly id: number; readonly good: Property; readonly bad: readonly Property[] };

const text = (id: number): Kind => ({
  id,
  good: prop.text(id, "x"),
  bad: [prop.text(id, Uint8Array.of(0xc3))],
});
const flag = (id: number): Kind => ({ id, good: prop.byte(id, 1), bad: [prop.byte(id, 2)] });
const size = (id: number): Kind => ({ id, good: prop.u16(id, 1), bad: [prop.u16(id, 0)] });

const kinds: Readonly<Record<keyof typeof ids, Kind>> = {
  payloadFormat: flag(ids.payloadFormat),
  messageExpiry: { id: ids.messageExpiry, good: prop.u32(ids.messageExpiry, 9), bad: [] },
  contentType: text(ids.contentType),
  responseTopic: { ...text(ids.responseTopic), bad: [prop.text(ids.responseTopic, "a/#")] },
  correlationData: { id: ids.correlationData, good: prop.text(ids.correlationData, "x"), bad: [] },
  subscriptionId: {
    id: ids.subscriptionId,
    good: prop.varint(ids.subscriptionId, 1),
    bad: [prop.varint(ids.subscriptionId, 0)],
  },
  sessionExpiry: { id: ids.sessionExpiry, good: prop.u32(ids.sessionExpiry, 1), bad: [] },
  assignedClientId: text(ids.assignedClientId),
  serverKeepAlive: { id: ids.serverKeepAlive, good: prop.u16(ids.serverKeepAlive, 1), bad: [] },
  authMethod: text(ids.authMethod),
  authData: { id: ids.authData, good: prop.text(ids.authData, "x"), bad: [] },
  requestProblemInfo: flag(ids.requestProblemInfo),
  willDelay: { id: ids.willDelay, good: prop.u32(ids.willDelay, 1), bad: [] },
  requestResponseInfo: flag(ids.requestResponseInfo),
  responseInfo: text(ids.responseInfo),
  serverReference: text(ids.serverReference),
  reasonString: text(ids.reasonString),
  receiveMaximum: size(ids.receiveMaximum),
  topicAliasMaximum: { id: ids.topicAliasMaximum, good: prop.u16(ids.topicAliasMaximum, 1), bad: [] },
  topicAlias: size(ids.topicAlias),
  maximumQos: flag(ids.maximumQos),
  retainAvailable: flag(ids.retainAvailable),
  user: { id: ids.user, good: prop.pair("a", "b"), bad: [make.bytes(ids.user, make.field("a"))] },
  maximumPacketSize: {
    id: ids.maximumPacketSize,
    good: prop.u32(ids.maximumPacketSize, 100),
    bad: [prop.u32(ids.maximumPacketSize, 0)],
  },
  wildcardAvailable: flag(ids.wildcardAvailable),
  subscriptionIdAvailable: flag(ids.subscriptionIdAvailable),
  sharedAvailable: flag(ids.sharedAvailable),
};

type Name = keyof typeof ids;
type Place = {
  readonly name: string;
  readonly takes: readonly Name[];
  readonly isFirst?: boolean;
  readonly packet: (properties: readonly Property[]) => Uint8Array;
};

const ackPlace = (type: "puback" | "pubrec" | "pubrel" | "pubcomp"): Place => ({
  name: type,
  takes: ["reasonString", "user"],
  packet: (list) => make.packet(type, type === "pubrel" ? 2 : 0, make.u16(1), 0, make.properties(list)),
});

/** Where properties may stand (MQTT 5, table 2-4), of what a client says. */
const places: readonly Place[] = [
  {
    name: "connect",
    isFirst: true,
    takes: [
      ...(["sessionExpiry", "authMethod", "authData", "requestProblemInfo", "requestResponseInfo"] as const),
      ...(["receiveMaximum", "topicAliasMaximum", "user", "maximumPacketSize"] as const),
    ],
    packet: (properties) => make.connect({ level: 5, clientId: "c", properties }),
  },
  {
    name: "will",
    isFirst: true,
    takes: [
      ...(["payloadFormat", "messageExpiry", "contentType", "responseTopic"] as const),
      ...(["correlationData", "willDelay", "user"] as const),
    ],
    packet: (properties) => make.connect({ level: 5, clientId: "c", will: { topic: "w", properties } }),
  },
  {
    name: "publish",
    takes: [
      ...(["payloadFormat", "messageExpiry", "contentType", "responseTopic"] as const),
      ...(["correlationData", "topicAlias", "user"] as const),
    ],
    packet: (properties) => make.publish({ level: 5, topic: "t", properties }),
  },
  ackPlace("puback"),
  ackPlace("pubrec"),
  ackPlace("pubrel"),
  ackPlace("pubcomp"),
  {
    name: "subscribe",
    takes: ["subscriptionId", "user"],
    packet: (properties) => make.subscribe({ level: 5, filters: [["t", 0]], properties }),
  },
  {
    name: "unsubscribe",
    takes: ["user"],
    packet: (list) => make.packet("unsubscribe", 2, make.u16(1), make.properties(list), make.field("t")),
  },
  {
    name: "disconnect",
    takes: ["sessionExpiry", "reasonString", "user"],
    packet: (list) => make.packet("disconnect", 0, 0, make.properties(list)),
  },
];

/** Each property where it may not be, twice where it may be once, cut short, and with values that it cannot have. */
function brokenProperties(): readonly Malformed[] {
  return places.flatMap(({ name, takes, isFirst = false, packet }) => {
    const of = (title: string, properties: readonly Property[]): Malformed => ({
      name: `${name}: ${title}`,
      packet: packet(properties),
      isFirst,
    });
    const all = Object.entries(kinds) as [Name, Kind][];
    return [
      ...all
        .filter(([key]) => !takes.includes(key))
        .map(([key, { good }]) => of(`${key} is not its own`, [good])),
      ...all
        .filter(([key]) => takes.includes(key))
        .flatMap(([key, { good, bad }]) => [
          ...(key === "user" ? [] : [of(`${key} twice`, [good, good])]),
          of(`${key} cut short`, [good.subarray(0, -1)]),
          of(`${key} without a value`, [good.subarray(0, 1)]),
          ...bad.map((wrong, at) => of(`${key} of a wrong value ${at + 1}`, [wrong])),
        ]),
      of("a property that does not exist", [make.bytes(0x7f, 1)]),
      of("a property of number 0", [make.bytes(0, 1)]),
    ];
  });
}

export function malformedPackets(level: Level): readonly Malformed[] {
  return [...brokenShapes(level), ...strangers(level), ...(level === 5 ? brokenProperties() : [])];
}
