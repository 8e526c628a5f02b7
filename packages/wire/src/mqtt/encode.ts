import mqttPacket from "mqtt-packet";
import { assert } from "@cortado/std/assert";
import { encodePacket5 } from "./encode5.ts";
import type { AckType, Level, Packet } from "./packets.ts";
import { publishFrame } from "./publish-frame.ts";

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
    case "publish": {
      const { properties: _none, ...frame } = packet;
      return publishFrame(frame);
    }
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
