/**
 * MQTT 3.1 and 3.1.1 as bytes and back, with the checks that make the result fit to act on. No sockets, no state but a frame that
 * is not whole yet.
 */
export { connectHead, decodeFrame, type ConnectHead } from "./decode.ts";
export { encodePacket, publishFrame, withId } from "./encode.ts";
export { FrameReader } from "./frames.ts";
export { PACKET_BYTES_MAX, TOPIC_LEVELS_MAX } from "./limits.ts";
export * from "./packets.ts";
export { filterMatches, levelsMatch, topicFilterFault, topicNameFault } from "./topics.ts";
