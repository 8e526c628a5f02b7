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
