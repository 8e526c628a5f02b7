import { Cursor } from "./cursor.ts";
import { FILTERS_PER_PACKET_MAX } from "./limits.ts";
import { malformed, protocolError } from "./malformed.ts";
import type {
  AckType,
  ConnectPacket,
  Packet,
  PublishPacket,
  QoS,
  SubscribePacket,
  Subscription,
  Will,
} from "./packets.ts";
import { noProperties, readProperties, type Properties } from "./properties.ts";
import { reasonCodesOf, type CodedPacket } from "./reason-codes.ts";
import { shareFault, topicFilterFault, topicNameFault } from "./topics.ts";

/**
 * Reads a whole frame of MQTT 5. mqtt-packet reads this version too, but loses what must be known: the order of user properties
 * (MQTT-3.3.2-18), properties that come twice or where they may not, and which of the two faults (malformed, protocol error) a
 * packet has. So here the validation is the reader.
 * @throws StatusError "BadRequest" that names the rule; `faultCode` has its reason code
 */
export function decodeFrame5(frame: Uint8Array): Packet {
  const first = frame[0] ?? 0;
  const row = kinds[first >> 4];
  if (row === undefined) throw malformed(`packet type ${first >> 4} does not exist`);
  const flags = first & 0x0f;
  if (row.flags !== undefined && flags !== row.flags)
    throw malformed(`${row.name} has the fixed header's flags ${flags}, not ${row.flags} (MQTT-2.1.3-1)`);
  let at = 1;
  while ((frame[at] ?? 0) >= 0x80) at += 1;
  if (at > 1 && frame[at] === 0)
    throw malformed(`${row.name} has a length with more bytes than it needs (MQTT-1.5.5-1)`);
  const cursor = new Cursor(frame.subarray(at + 1));
  const packet = row.read(cursor, flags);
  if (!cursor.atEnd) throw malformed(`${row.name} has bytes behind its end`);
  return packet;
}

type Kind = {
  readonly name: string;
  /** What the fixed header's low bits must be; PUBLISH uses them. */
  readonly flags?: number;
  readonly read: (cursor: Cursor, flags: number) => Packet;
};

const kinds: readonly (Kind | undefined)[] = [
  undefined,
  { name: "CONNECT", flags: 0, read: readConnect },
  { name: "CONNACK", flags: 0, read: readConnack },
  { name: "PUBLISH", read: readPublish },
  { name: "PUBACK", flags: 0, read: (cursor) => readAck(cursor, "puback") },
  { name: "PUBREC", flags: 0, read: (cursor) => readAck(cursor, "pubrec") },
  { name: "PUBREL", flags: 2, read: (cursor) => readAck(cursor, "pubrel") },
  { name: "PUBCOMP", flags: 0, read: (cursor) => readAck(cursor, "pubcomp") },
  { name: "SUBSCRIBE", flags: 2, read: readSubscribe },
  { name: "SUBACK", flags: 0, read: (cursor) => readCodes(cursor, "suback") },
  { name: "UNSUBSCRIBE", flags: 2, read: readUnsubscribe },
  { name: "UNSUBACK", flags: 0, read: (cursor) => readCodes(cursor, "unsuback") },
  { name: "PINGREQ", flags: 0, read: () => ({ type: "pingreq" }) },
  { name: "PINGRESP", flags: 0, read: () => ({ type: "pingresp" }) },
  { name: "DISCONNECT", flags: 0, read: (cursor) => readEnd(cursor, "disconnect") },
  { name: "AUTH", flags: 0, read: (cursor) => readEnd(cursor, "auth") },
];

const withProperties = (properties: Properties): { readonly properties?: Properties } =>
  properties === noProperties ? {} : { properties };

function readConnect(cursor: Cursor): ConnectPacket {
  const protocol = cursor.text("protocol name");
  const level = cursor.byte() & 0x7f;
  if (protocol !== "MQTT" || level !== 5) throw malformed(`protocol ${protocol} has no level ${level} here`);
  const flags = cursor.byte();
  if ((flags & 1) !== 0) throw malformed("CONNECT's reserved flag is set (MQTT-3.1.2-3)");
  const hasWill = (flags & 4) !== 0;
  if (!hasWill && (flags & 0x38) !== 0)
    throw malformed("CONNECT has flags of a will and no will (MQTT-3.1.2-11)");
  if (((flags >> 3) & 3) === 3) throw malformed("the will's QoS is 3 (MQTT-3.1.2-12)");
  const keepAliveS = cursor.u16();
  const properties = readProperties(cursor, "connect");
  if (properties.authenticationData !== undefined && properties.authenticationMethod === undefined)
    throw protocolError("CONNECT has authentication data and no method (MQTT 5, section 3.1.2.11.10)");
  const clientId = cursor.text("client id");
  const will = hasWill ? readWill(cursor, flags) : undefined;
  const username = (flags & 0x80) === 0 ? undefined : cursor.text("user name");
  const password = (flags & 0x40) === 0 ? undefined : cursor.binary("password");
  return {
    type: "connect",
    level: 5,
    clientId,
    cleanSession: (flags & 2) !== 0,
    keepAliveS,
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password: new Uint8Array(password) }),
    ...(will === undefined ? {} : { will }),
    ...withProperties(properties),
  };
}

function readWill(cursor: Cursor, flags: number): Will {
  const properties = readProperties(cursor, "will");
  checkResponseTopic(properties);
  const topic = cursor.text("will topic");
  const fault = topicNameFault(topic);
  if (fault !== undefined) throw malformed(`will topic: ${fault}`);
  return {
    topic,
    payload: new Uint8Array(cursor.binary("will payload")),
    qos: ((flags >> 3) & 3) as QoS,
    retain: (flags & 0x20) !== 0,
    ...withProperties(properties),
  };
}

function checkResponseTopic({ responseTopic }: Properties): void {
  const fault = responseTopic === undefined ? undefined : topicNameFault(responseTopic);
  if (fault !== undefined) throw protocolError(`response topic: ${fault} (MQTT-3.3.2-14)`);
}

function readPublish(cursor: Cursor, flags: number): PublishPacket {
  const qos = (flags >> 1) & 3;
  if (qos === 3) throw malformed("PUBLISH has QoS 3 (MQTT-3.3.1-4)");
  const dup = (flags & 8) !== 0;
  if (qos === 0 && dup) throw malformed("DUP is set on QoS 0 (MQTT-3.3.1-2)");
  const topic = cursor.text("topic");
  const id = qos === 0 ? 0 : readId(cursor, "PUBLISH");
  const properties = readProperties(cursor, "publish");
  if (properties !== noProperties) {
    checkResponseTopic(properties);
    if (properties.topicAlias === 0)
      throw malformed("the topic alias is 0 (MQTT-3.3.2-8)", { fault: "topicAliasInvalid" });
  }
  if (topic === "") {
    if (properties.topicAlias === undefined) throw protocolError("PUBLISH has neither a topic nor an alias");
  } else {
    const fault = topicNameFault(topic);
    if (fault !== undefined) throw malformed(`PUBLISH: ${fault}`);
  }
  return {
    type: "publish",
    topic,
    payload: cursor.rest(),
    qos: qos as QoS,
    retain: (flags & 1) !== 0,
    dup,
    id,
    ...withProperties(properties),
  };
}

function readId(cursor: Cursor, name: string): number {
  const id = cursor.u16();
  if (id === 0) throw protocolError(`${name} has packet id 0 (MQTT-2.2.1-3)`);
  return id;
}

function readCode(cursor: Cursor, place: CodedPacket): number {
  const code = cursor.byte();
  if (!reasonCodesOf[place].includes(code))
    throw protocolError(`${place.toUpperCase()} has the reason code ${hex(code)} (MQTT 5, table 2-6)`);
  return code;
}

const hex = (code: number): string => `0x${code.toString(16).padStart(2, "0")}`;

/** A code and properties, of which the last may be left out where they say nothing. */
function readTail(cursor: Cursor, place: CodedPacket) {
  const code = cursor.atEnd ? 0 : readCode(cursor, place);
  const properties = cursor.atEnd ? noProperties : readProperties(cursor, place);
  return { code, ...withProperties(properties) };
}

function readAck(cursor: Cursor, type: AckType): Packet {
  const id = readId(cursor, type.toUpperCase());
  return { type, id, ...readTail(cursor, type) };
}

function readEnd(cursor: Cursor, type: "disconnect" | "auth"): Packet {
  const tail = readTail(cursor, type);
  if (type === "auth" && tail.code !== 0 && tail.properties?.authenticationMethod === undefined)
    throw protocolError("AUTH names no authentication method (MQTT 5, section 3.15.2.2.2)");
  return { type, ...tail };
}

function readConnack(cursor: Cursor): Packet {
  const flags = cursor.byte();
  if (flags > 1) throw malformed("CONNACK has reserved flags (MQTT-3.2.2-1)");
  const code = readCode(cursor, "connack");
  return {
    type: "connack",
    sessionPresent: flags === 1,
    code,
    ...withProperties(readProperties(cursor, "connack")),
  };
}

function readSubscribe(cursor: Cursor): SubscribePacket {
  const id = readId(cursor, "SUBSCRIBE");
  const properties = readProperties(cursor, "subscribe");
  const subscriptions: Subscription[] = [];
  while (!cursor.atEnd) subscriptions.push(readSubscription(cursor));
  checkCount("SUBSCRIBE", subscriptions.length);
  return { type: "subscribe", id, subscriptions, ...withProperties(properties) };
}

function readSubscription(cursor: Cursor): Subscription {
  const filter = cursor.text("filter");
  if (filter === "") throw malformed("a filter has no character (MQTT-4.7.3-1)");
  const options = cursor.byte();
  if (options >> 6 !== 0) throw malformed("a subscription has reserved bits (MQTT-3.8.3-5)");
  const qos = options & 3;
  if (qos === 3) throw malformed("a subscription asks for QoS 3");
  const retainHandling = (options >> 4) & 3;
  if (retainHandling === 3) throw protocolError("a subscription asks for retain handling 3");
  const noLocal = (options & 4) !== 0;
  if (noLocal && filter.startsWith("$share/"))
    throw protocolError("a shared subscription asks for no local (MQTT-3.8.3-4)");
  const fault = filter.startsWith("$share/") ? shareFault(filter) : topicFilterFault(filter);
  return {
    filter,
    qos: qos as QoS,
    noLocal,
    retainAsPublished: (options & 8) !== 0,
    retainHandling: retainHandling as 0 | 1 | 2,
    ...(fault === undefined ? {} : { fault }),
  };
}

function readUnsubscribe(cursor: Cursor): Packet {
  const id = readId(cursor, "UNSUBSCRIBE");
  const properties = readProperties(cursor, "unsubscribe");
  const filters: string[] = [];
  while (!cursor.atEnd) {
    const filter = cursor.text("filter");
    if (filter === "") throw malformed("a filter has no character (MQTT-4.7.3-1)");
    filters.push(filter);
  }
  checkCount("UNSUBSCRIBE", filters.length);
  return { type: "unsubscribe", id, filters, ...withProperties(properties) };
}

function checkCount(packet: string, count: number): void {
  if (count === 0) throw protocolError(`${packet} names no filter (MQTT-3.8.3-2, MQTT-3.10.3-2)`);
  if (count > FILTERS_PER_PACKET_MAX)
    throw protocolError(`${packet} names more than ${FILTERS_PER_PACKET_MAX} filters`);
}

function readCodes(cursor: Cursor, type: "suback" | "unsuback"): Packet {
  const id = readId(cursor, type.toUpperCase());
  const properties = readProperties(cursor, type);
  const codes: number[] = [];
  while (!cursor.atEnd) codes.push(readCode(cursor, type));
  if (codes.length === 0) throw protocolError(`${type.toUpperCase()} has no reason code`);
  return type === "suback"
    ? { type, id, granted: codes, ...withProperties(properties) }
    : { type, id, codes, ...withProperties(properties) };
}
