import type { ConnackPacket } from "@cortado/wire/mqtt";
import { lowerQos } from "../session/session.ts";
import type { RemoteLimits } from "./settings.ts";

/** The settings' limits and those that the remote tells by itself: the narrower of the two. */
export function remoteLimits(limits: RemoteLimits, { properties = {} }: ConnackPacket): RemoteLimits {
  const { maximumQos, retainAvailable, maximumPacketSizeBytes, receiveMaximum } = properties;
  return {
    ...limits,
    qosMax: lowerQos(limits.qosMax, maximumQos === undefined ? 2 : maximumQos === 0 ? 0 : 1),
    retainAvailable: limits.retainAvailable && retainAvailable !== 0,
    packetBytesMax: Math.min(limits.packetBytesMax, maximumPacketSizeBytes ?? limits.packetBytesMax),
    receiveMax: Math.min(limits.receiveMax, receiveMaximum ?? limits.receiveMax),
  };
}

/** Why a message does not fit what the remote takes; undefined when it does. */
export function limitFault(topic: string, payloadBytes: number, limits: RemoteLimits): string | undefined {
  if (topic === "") return "its topic is empty at the remote";
  const bytes = Buffer.byteLength(topic);
  if (bytes > limits.topicBytesMax)
    return `its topic of ${bytes} bytes is over the ${limits.topicBytesMax} that the remote takes`;
  const levels = topic.split("/").length;
  if (levels > limits.topicLevelsMax)
    return `its topic of ${levels} levels is over the ${limits.topicLevelsMax} that the remote takes`;
  return payloadBytes > limits.payloadBytesMax
    ? `its payload of ${payloadBytes} bytes is over the ${limits.payloadBytesMax} that the remote takes`
    : undefined;
}
