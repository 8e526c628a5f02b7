import mqttPacket, { type Packet as ForeignPacket } from "mqtt-packet";
import { assert } from "@cortado/std/assert";
import { encodePacket5 } from "./encode5.ts";
import type { AckType, Level, Packet, PublishPacket } from "./packets.ts";

// The codec would keep a buffer for each 16-bit number, 11 MB in all, to save an allocation per packet identifier.
(mqttPacket as unknown as { readonly writeToStream: { cacheNumbers: boolean } }).writeToStream.cacheNumbers =
  false;

type Generated = Parameters<typeof mqttPacket.generate>[0];

/** One packet as bytes, for a connection of this level. */
export function encodePacket(packet: Packet, level: Level = 4): Uint8Array {
  if (level === 5 || (packet.type === "connect" && packet.level === 5)) return encodePacket5(packet);
  switch (packet.type) {
    case "puback":
    case "pubrec":
    case "pubrel":
    case "pubcomp":
    case "unsuback":
      return encodeAck(packet.type, packet.id);
    case "publish":
      return publishFrame(packet);
    case "pingreq":
      return Uint8Array.of(0xc0, 0);
    case "pingresp":
      return Uint8Array.of(0xd0, 0);
    case "disconnect":
      return Uint8Array.of(0xe0, 0);
    default:
      return mqttPacket.generate(toForeign(packet) as Generated);
  }
}

const ackBytes: Readonly<Record<AckType | "unsuback", number>> = {
  puback: 0x40,
  pubrec: 0x50,
  pubrel: 0x62,
  pubcomp: 0x70,
  unsuback: 0xb0,
};

function encodeAck(type: keyof typeof ackBytes, id: number): Uint8Array {
  assert(id > 0 && id < 65_536, "a packet id has two bytes and is not 0");
  return Uint8Array.of(ackBytes[type], 2, id >> 8, id & 0xff);
}

type Publishing = Omit<PublishPacket, "type">;

/** A PUBLISH frame; what all receivers of one message share is made once and then given an id by `withId`. */
export function publishFrame({ topic, payload, qos, retain, dup, id }: Publishing): Uint8Array {
  const foreign = {
    cmd: "publish",
    topic,
    payload: view(payload),
    qos,
    retain,
    dup,
    ...(qos === 0 ? {} : { messageId: id }),
  };
  return mqttPacket.generate(foreign as ForeignPacket);
}

/** A copy of a QoS 1 or 2 PUBLISH frame with its own packet id and DUP flag. */
export function withId(
  frame: Uint8Array,
  options: { readonly id: number; readonly dup: boolean },
): Uint8Array {
  const copy = new Uint8Array(frame); // not slice: a Buffer's is a view
  let at = 1;
  while ((copy[at] ?? 0) >= 0x80) at += 1;
  const topicAt = at + 1;
  const idAt = topicAt + 2 + (((copy[topicAt] ?? 0) << 8) | (copy[topicAt + 1] ?? 0));
  copy[idAt] = options.id >> 8;
  copy[idAt + 1] = options.id & 0xff;
  copy[0] = options.dup ? (copy[0] ?? 0) | 0x08 : (copy[0] ?? 0) & ~0x08;
  return copy;
}

function toForeign(packet: Packet): unknown {
  switch (packet.type) {
    case "connect": {
      const { level, clientId, cleanSession, keepAliveS, username, password, will } = packet;
      return {
        cmd: "connect",
        protocolId: level === 3 ? "MQIsdp" : "MQTT",
        protocolVersion: level,
        clientId,
        clean: cleanSession,
        keepalive: keepAliveS,
        ...(username === undefined ? {} : { username }),
        ...(password === undefined ? {} : { password: view(password) }),
        ...(will === undefined ? {} : { will: { ...will, payload: view(will.payload) } }),
      };
    }
    case "connack":
      return { cmd: "connack", sessionPresent: packet.sessionPresent, returnCode: packet.code };
    case "subscribe":
      return {
        cmd: "subscribe",
        messageId: packet.id,
        subscriptions: packet.subscriptions.map(({ filter, qos }) => ({ topic: filter, qos })),
      };
    case "suback":
      return { cmd: "suback", messageId: packet.id, granted: packet.granted };
    case "unsubscribe":
      return { cmd: "unsubscribe", messageId: packet.id, unsubscriptions: packet.filters };
    default:
      throw new TypeError(`${packet.type} has its own encoder`);
  }
}

// The codec asks for Node's Buffer where it measures bytes; this is one over the same memory.
function view(bytes: Uint8Array): Uint8Array {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
