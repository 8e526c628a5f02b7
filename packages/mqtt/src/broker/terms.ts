import {
  encodePacket,
  protocolError,
  reasonCodes,
  reasonCodesOf,
  type AckPacket,
  type ConnectHead,
  type ConnectPacket,
  type DisconnectPacket,
  type Packet,
} from "@cortado/wire/mqtt";
import type { ClientTerms } from "../session/framing.ts";

/** Of a client that has said nothing yet, or can say nothing as its version has no words for it. */
export const oldTerms: ClientTerms = {
  level: 4,
  topicAliasMax: 0,
  packetBytesMax: undefined,
  receiveMax: 65_535,
};

/** What a CONNECT says of the packets that its client takes. */
export function termsOf(
  { level, isBridge = false, properties = {} }: ConnectPacket,
  topicAliasMax: number,
): ClientTerms {
  if (level === 4 && !isBridge) return oldTerms;
  return {
    level,
    topicAliasMax: Math.min(properties.topicAliasMaximum ?? 0, topicAliasMax),
    packetBytesMax: properties.maximumPacketSizeBytes,
    receiveMax: properties.receiveMaximum ?? 65_535,
    ...(isBridge ? { isBridge } : {}),
  };
}

/** Why a version of MQTT is not spoken here. What is no MQTT at all is for the decoder to refuse. */
export function versionFault({ protocol, level }: ConnectHead): string | undefined {
  const isKnown = protocol === "MQTT" ? level === 4 || level === 5 : protocol !== "MQIsdp" || level === 3;
  return isKnown ? undefined : `${protocol} level ${level} is not spoken here; levels 3 to 5 are`;
}

type Replying = { readonly terms: ClientTerms; readonly wantsReasons: boolean };

/** A packet in the client's version; properties that it does not want, or that are too long for it, are left out. */
export function encodeReply(packet: Packet, { terms, wantsReasons }: Replying): Uint8Array {
  const { level, packetBytesMax } = terms;
  if (level < 5 || !("properties" in packet)) return encodePacket(packet, level);
  const { properties: _properties, ...bare } = packet;
  // DISCONNECT and CONNACK may say why in any case (MQTT-3.1.2-29).
  const isEnd = packet.type === "disconnect" || packet.type === "connack";
  if (!wantsReasons && !isEnd) return encodePacket(bare as Packet, level);
  const frame = encodePacket(packet, level);
  const isLong = packetBytesMax !== undefined && frame.byteLength > packetBytesMax;
  return isLong ? encodePacket(bare as Packet, level) : frame;
}

/** Not each code of a DISCONNECT may stand in a CONNACK (MQTT 5, table 2-6). */
export function connackCodeOf(code: number): number {
  return reasonCodesOf.connack.includes(code) ? code : reasonCodes.serverUnavailable;
}

export type PublishAnswer = {
  readonly qos: 1 | 2;
  readonly id: number;
  readonly code?: number;
  readonly reason?: string;
};

export function answerPacket({ qos, id, code = 0, reason }: PublishAnswer): AckPacket {
  const type = qos === 1 ? "puback" : "pubrec";
  if (code === 0) return { type, id };
  return { type, id, code, ...(reason === undefined ? {} : { properties: { reasonString: reason } }) };
}

/** The session's expiry in seconds after a DISCONNECT that may change it. */
export function expiryAfter({ properties = {} }: DisconnectPacket, expiryS: number): number {
  const { sessionExpiryIntervalS, serverReference } = properties;
  if (serverReference !== undefined)
    throw protocolError("a client has no server reference (MQTT 5, section 3.14.2.2.5)");
  if (sessionExpiryIntervalS === undefined) return expiryS;
  if (expiryS === 0 && sessionExpiryIntervalS !== 0)
    throw protocolError("a session without expiry gets none at its end (MQTT-3.14.2-2)");
  return sessionExpiryIntervalS;
}
