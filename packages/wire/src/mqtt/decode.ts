import mqttPacket, {
  type IConnectPacket,
  type IPublishPacket,
  type Packet as ForeignPacket,
  type Parser,
} from "mqtt-packet";
import { messageOf } from "@cortado/std/status";
import { FILTERS_PER_PACKET_MAX } from "./limits.ts";
import { malformed } from "./malformed.ts";
import { Cursor } from "./cursor.ts";
import { decodeFlow } from "./decode-flow.ts";
import { decodeFrame5 } from "./decode5.ts";
import type { ConnectPacket, Level, Packet, PublishPacket, Subscription } from "./packets.ts";
import { topicFilterFault, topicNameFault } from "./topics.ts";

/** What a CONNECT frame says first; read before the codec sees it, as the level decides who may answer and how. */
export type ConnectHead = { readonly protocol: string; readonly level: number };

/** The protocol name and level of a CONNECT frame. @throws StatusError "BadRequest" when even these cannot be read */
export function connectHead(frame: Uint8Array): ConnectHead {
  const body = bodyOf(frame);
  const length = ((body[0] ?? 0) << 8) | (body[1] ?? 0);
  if (body.byteLength < length + 3) throw malformed("CONNECT ends within the protocol name");
  const protocol = new TextDecoder().decode(body.subarray(2, 2 + length));
  // The high bit marks a bridge (mosquitto's try_private); the level is the rest.
  return { protocol, level: (body[2 + length] ?? 0) & 0x7f };
}

/**
 * Reads one whole frame that a FrameReader cut. The codec is mqtt-packet; what it lets through although the standard forbids it
 * is refused here. MQTT 5 has a reader of its own (see `decode5.ts`).
 * @throws StatusError "BadRequest" that names the rule
 */
export function decodeFrame(frame: Uint8Array, level: Level = 4): Packet {
  if (level === 5) return decodeFrame5(frame);
  const flowing = decodeFlow(frame);
  if (flowing !== undefined) return flowing;
  const foreign = parseForeign(frame);
  checkTexts(frame);
  const reader = readers[foreign.cmd];
  if (reader === undefined)
    throw malformed(`${foreign.cmd.toUpperCase()} belongs to no version before MQTT 5`);
  return reader(foreign, frame);
}

type Reader = (foreign: ForeignPacket, frame: Uint8Array) => Packet;

const readers: Readonly<Partial<Record<ForeignPacket["cmd"], Reader>>> = {
  connect: (foreign, frame) => readConnect(foreign as IConnectPacket, frame),
  publish: (foreign) => readPublish(foreign as IPublishPacket),
  puback: (foreign, frame) => ({ type: "puback", id: onlyId(foreign, frame) }),
  pubrec: (foreign, frame) => ({ type: "pubrec", id: onlyId(foreign, frame) }),
  pubrel: (foreign, frame) => ({ type: "pubrel", id: onlyId(foreign, frame) }),
  pubcomp: (foreign, frame) => ({ type: "pubcomp", id: onlyId(foreign, frame) }),
  unsuback: (foreign, frame) => ({ type: "unsuback", id: onlyId(foreign, frame) }),
  pingreq: (_, frame) => bare("pingreq", frame),
  pingresp: (_, frame) => bare("pingresp", frame),
  disconnect: (_, frame) => bare("disconnect", frame),
  subscribe(foreign) {
    const listed = (foreign as { subscriptions: { topic: string; qos: 0 | 1 | 2 }[] }).subscriptions;
    checkFilterCount("SUBSCRIBE", listed.length);
    const subscriptions: readonly Subscription[] = listed.map(({ topic, qos }) => ({
      filter: checkFilter(topic),
      qos,
    }));
    return { type: "subscribe", id: someId(foreign), subscriptions };
  },
  unsubscribe(foreign) {
    const listed = (foreign as { unsubscriptions: string[] }).unsubscriptions;
    checkFilterCount("UNSUBSCRIBE", listed.length);
    return {
      type: "unsubscribe",
      id: someId(foreign),
      filters: listed.map((filter) => checkFilter(filter)),
    };
  },
  connack(foreign, frame) {
    if (bodyOf(frame).byteLength !== 2) throw malformed("CONNACK has two bytes");
    const { sessionPresent, returnCode } = foreign as { sessionPresent: boolean; returnCode?: number };
    return { type: "connack", sessionPresent, code: returnCode ?? 0 };
  },
  suback: (foreign) => ({
    type: "suback",
    id: someId(foreign),
    granted: (foreign as { granted: number[] }).granted,
  }),
};

function readConnect(foreign: IConnectPacket, frame: Uint8Array): ConnectPacket {
  const { protocolId, protocolVersion, clientId, clean, keepalive, username, password, will } = foreign;
  const isBridge = (foreign as { readonly bridgeMode?: boolean }).bridgeMode === true;
  const level = protocolVersion === 3 ? 3 : 4;
  if (protocolId !== (level === 3 ? "MQIsdp" : "MQTT"))
    throw malformed(`protocol ${protocolId} has no level ${level}`);
  if (password !== undefined && username === undefined)
    throw malformed("a password comes without a user name (MQTT-3.1.2-22)");
  if (will !== undefined) {
    if ((will.qos ?? 0) > 2) throw malformed("the will's QoS is 3 (MQTT-3.1.2-14)");
    const fault = topicNameFault(will.topic);
    if (fault !== undefined) throw malformed(`will topic: ${fault}`);
  }
  if (connectBytes(foreign) !== bodyOf(frame).byteLength)
    throw malformed("CONNECT has bytes after its payload");
  return {
    type: "connect",
    level,
    clientId,
    cleanSession: clean ?? true,
    keepAliveS: keepalive ?? 0,
    ...(isBridge ? { isBridge } : {}),
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password: new Uint8Array(password) }),
    ...(will === undefined
      ? {}
      : {
          will: {
            topic: will.topic,
            payload: new Uint8Array(bytesOf(will.payload)),
            qos: will.qos ?? 0,
            retain: will.retain ?? false,
          },
        }),
  };
}

function connectBytes({ protocolId, clientId, username, password, will }: IConnectPacket): number {
  const text = (value: string): number => 2 + new TextEncoder().encode(value).byteLength;
  let total = text(protocolId ?? "") + 4 + text(clientId);
  if (will !== undefined) total += text(will.topic) + 2 + bytesOf(will.payload).byteLength;
  if (username !== undefined) total += text(username);
  if (password !== undefined) total += 2 + password.byteLength;
  return total;
}

function readPublish(foreign: IPublishPacket): PublishPacket {
  const { topic, qos, dup, retain, payload } = foreign;
  const fault = topicNameFault(topic);
  if (fault !== undefined) throw malformed(`PUBLISH: ${fault}`);
  if (qos === 0 && dup) throw malformed("DUP is set on QoS 0 (MQTT-3.3.1-2)");
  return {
    type: "publish",
    topic,
    payload: bytesOf(payload),
    qos,
    retain,
    dup,
    id: qos === 0 ? 0 : someId(foreign),
  };
}

function checkFilter(filter: string): string {
  const fault = topicFilterFault(filter);
  if (fault !== undefined) throw malformed(`filter: ${fault}`);
  return filter;
}

function checkFilterCount(packet: string, count: number): void {
  if (count === 0) throw malformed(`${packet} names no filter (MQTT-3.8.3-3, MQTT-3.10.3-2)`);
  if (count > FILTERS_PER_PACKET_MAX)
    throw malformed(`${packet} names more than ${FILTERS_PER_PACKET_MAX} filters`);
}

const CONNECT = 1;
const PUBLISH = 3;
const SUBSCRIBE = 8;
const UNSUBSCRIBE = 10;

/** The codec replaces bytes that are no UTF-8 by U+FFFD and lets NUL through: so each text is read once more, as it came. */
function checkTexts(frame: Uint8Array): void {
  const cursor = new Cursor(bodyOf(frame), "1.5.3");
  const type = (frame[0] ?? 0) >> 4;
  if (type === PUBLISH) cursor.text("topic");
  else if (type === SUBSCRIBE || type === UNSUBSCRIBE) {
    cursor.u16();
    while (!cursor.atEnd) {
      cursor.text("filter");
      if (type === SUBSCRIBE) cursor.byte();
    }
  } else if (type === CONNECT) {
    cursor.text("protocol name");
    cursor.byte();
    const flags = cursor.byte();
    cursor.u16();
    cursor.text("client id");
    if ((flags & 4) !== 0) {
      cursor.text("will topic");
      cursor.binary("will");
    }
    if ((flags & 0x80) !== 0) cursor.text("user name");
  }
}

function onlyId(foreign: ForeignPacket, frame: Uint8Array): number {
  if (bodyOf(frame).byteLength !== 2)
    throw malformed(`${foreign.cmd.toUpperCase()} has two bytes, a packet id`);
  return someId(foreign);
}

function someId(foreign: { readonly cmd: string; readonly messageId?: number }): number {
  const { messageId } = foreign;
  // Where the packet ends within it, the codec answers -1.
  if (messageId === undefined || messageId <= 0)
    throw malformed(`${foreign.cmd.toUpperCase()} has no packet id, or 0 (MQTT-2.3.1-1)`);
  return messageId;
}

function bare(type: "pingreq" | "pingresp" | "disconnect", frame: Uint8Array): Packet {
  if (frame.byteLength !== 2) throw malformed(`${type.toUpperCase()} has no payload`);
  return { type };
}

function bytesOf(payload: string | Uint8Array): Uint8Array {
  return typeof payload === "string" ? new TextEncoder().encode(payload) : payload;
}

function bodyOf(frame: Uint8Array): Uint8Array {
  let at = 1;
  while ((frame[at] ?? 0) >= 0x80) at += 1;
  return frame.subarray(at + 1);
}

type Heard = { packet: ForeignPacket | undefined; packets: number; fault: unknown };
const heard: Heard = { packet: undefined, packets: 0, fault: undefined };
// Frames are whole, so no parser keeps anything from one to the next and two serve every connection. CONNECT has its own: the
// codec takes the version of the last one as its setting. After an error the codec keeps its position, so it is made anew.
const parsers = { connect: listeningParser(), plain: listeningParser() };

function listeningParser(): Parser {
  const parser = mqttPacket.parser({ protocolVersion: 4 });
  parser.on("packet", (packet) => {
    heard.packet = packet;
    heard.packets += 1;
  });
  parser.on("error", (error) => (heard.fault ??= error));
  return parser;
}

function parseForeign(frame: Uint8Array): ForeignPacket {
  const kind = (frame[0] ?? 0) >> 4 === 1 ? "connect" : "plain";
  heard.packet = undefined;
  heard.packets = 0;
  heard.fault = undefined;
  let left = 0;
  try {
    left = parsers[kind].parse(frame as Parameters<Parser["parse"]>[0]);
  } catch (cause) {
    heard.fault ??= cause;
  }
  const { packet, packets, fault } = heard as Readonly<Heard>;
  if (fault === undefined && left === 0 && packet !== undefined && packets === 1) return packet;
  parsers[kind] = listeningParser();
  throw malformed(fault === undefined ? "its parts do not fill it" : messageOf(fault), { cause: fault });
}
