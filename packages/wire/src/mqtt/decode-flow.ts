import type { AckPacket, AckType, PublishPacket, QoS } from "./packets.ts";
import { asciiText } from "./ascii.ts";
import { topicNameFault } from "./topics.ts";

const acks: readonly (AckType | undefined)[] = [
  ...[undefined, undefined, undefined, undefined],
  ...(["puback", "pubrec", "pubrel", "pubcomp"] as const),
];

/**
 * Reads what comes by tens of thousands a second before MQTT 5, PUBLISH and its acknowledgements, in the form that they nearly
 * always have. Undefined: it has another form, or is none; the codec reads it and says what is wrong.
 */
export function decodeFlow(frame: Uint8Array): PublishPacket | AckPacket | undefined {
  const first = frame[0] ?? 0;
  const type = first >> 4;
  if (type === 3) return readPublish(frame, first);
  const ack = acks[type];
  if (ack === undefined || frame.byteLength !== 4 || frame[1] !== 2) return undefined;
  const id = idAt(frame, 2);
  if (id === 0 || (first & 0x0f) !== (ack === "pubrel" ? 2 : 0)) return undefined;
  return { type: ack, id };
}

function readPublish(frame: Uint8Array, first: number): PublishPacket | undefined {
  const qos = (first >> 1) & 3;
  const dup = (first & 8) !== 0;
  if (qos === 3 || (qos === 0 && dup)) return undefined;
  let at = 1;
  while ((frame[at] ?? 0) >= 0x80) at += 1;
  at += 1;
  const topicEnd = at + 2 + idAt(frame, at);
  const payloadAt = topicEnd + (qos === 0 ? 0 : 2);
  if (payloadAt > frame.byteLength) return undefined;
  const topic = asciiText(frame, at + 2, topicEnd);
  if (topic === undefined || topicNameFault(topic) !== undefined) return undefined;
  const id = qos === 0 ? 0 : idAt(frame, topicEnd);
  if (qos !== 0 && id === 0) return undefined;
  const payload = frame.subarray(payloadAt);
  return { type: "publish", topic, payload, qos: qos as QoS, retain: (first & 1) === 1, dup, id };
}

const idAt = (frame: Uint8Array, at: number): number => ((frame[at] ?? 0) << 8) | (frame[at + 1] ?? 0);
