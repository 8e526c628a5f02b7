import { assert } from "@cortado/std/assert";
import { Writer } from "./cursor.ts";
import type { AckType, ConnectPacket, Packet, PublishPacket, Subscription } from "./packets.ts";
import { publishFrame } from "./publish-frame.ts";
import { writeBareProperties, writeProperties, type Properties } from "./properties.ts";

/** One packet of MQTT 5 as bytes. */
export function encodePacket5(packet: Packet): Uint8Array {
  const writer = new Writer();
  switch (packet.type) {
    case "connect":
      writeConnect(writer, packet);
      return writer.frame(0x10);
    case "connack":
      writer.byte(packet.sessionPresent ? 1 : 0);
      writer.byte(packet.code);
      writeProperties(writer, packet.properties);
      return writer.frame(0x20);
    case "publish":
      return encodePublish(packet);
    case "puback":
    case "pubrec":
    case "pubrel":
    case "pubcomp":
      writeId(writer, packet.id);
      writeTail(writer, packet);
      return writer.frame(ackBytes[packet.type]);
    case "subscribe":
      writeId(writer, packet.id);
      writeProperties(writer, packet.properties);
      for (const subscription of packet.subscriptions) writeSubscription(writer, subscription);
      return writer.frame(0x82);
    case "unsubscribe":
      writeId(writer, packet.id);
      writeProperties(writer, packet.properties);
      for (const filter of packet.filters) writer.text(filter);
      return writer.frame(0xa2);
    case "suback":
    case "unsuback":
      writeId(writer, packet.id);
      writeProperties(writer, packet.properties);
      for (const code of packet.type === "suback" ? packet.granted : (packet.codes ?? [])) writer.byte(code);
      return writer.frame(packet.type === "suback" ? 0x90 : 0xb0);
    case "disconnect":
      writeTail(writer, packet);
      return writer.frame(0xe0);
    case "auth":
      writeTail(writer, packet);
      return writer.frame(0xf0);
    default:
      return writer.frame(packet.type === "pingreq" ? 0xc0 : 0xd0);
  }
}

const ackBytes: Readonly<Record<AckType, number>> = {
  puback: 0x40,
  pubrec: 0x50,
  pubrel: 0x62,
  pubcomp: 0x70,
};

type Tail = { readonly code?: number; readonly properties?: Properties };

// Success without properties is left out: for an acknowledgement that is four bytes, as ever.
function writeTail(writer: Writer, { code = 0, properties }: Tail): void {
  if (code === 0 && properties === undefined) return;
  writer.byte(code);
  if (properties !== undefined) writeProperties(writer, properties);
}

function writeId(writer: Writer, id: number): void {
  assert(id > 0 && id < 65_536, "a packet id has two bytes and is not 0");
  writer.u16(id);
}

function writeConnect(writer: Writer, packet: ConnectPacket): void {
  const { clientId, cleanSession, keepAliveS, username, password, will, properties } = packet;
  writer.text("MQTT");
  writer.byte(5);
  writer.byte(
    (username === undefined ? 0 : 0x80) |
      (password === undefined ? 0 : 0x40) |
      (will === undefined ? 0 : (will.retain ? 0x20 : 0) | (will.qos << 3) | 4) |
      (cleanSession ? 2 : 0),
  );
  writer.u16(keepAliveS);
  writeProperties(writer, properties);
  writer.text(clientId);
  if (will !== undefined) {
    writeProperties(writer, will.properties);
    writer.text(will.topic);
    writer.binary(will.payload);
  }
  if (username !== undefined) writer.text(username);
  if (password !== undefined) writer.binary(password);
}

function writeSubscription(writer: Writer, subscription: Subscription): void {
  const { filter, qos, noLocal = false, retainAsPublished = false, retainHandling = 0 } = subscription;
  writer.text(filter);
  writer.byte(qos | (noLocal ? 4 : 0) | (retainAsPublished ? 8 : 0) | (retainHandling << 4));
}

function encodePublish({ topic, payload, qos, retain, dup, id, properties }: PublishPacket): Uint8Array {
  const inner = new Writer();
  if (properties !== undefined) writeBareProperties(inner, properties);
  return publishFrame({ topic, payload, qos, retain, dup, id, properties: inner.taken() });
}
