/**
 * MQTT 3.1, 3.1.1 and 5 as bytes and back, with the checks that make the result fit to act on. No sockets, no state but a frame that
 * is not whole yet.
 */
export { connectHead, decodeFrame, type ConnectHead } from "./decode.ts";
export { encodePacket } from "./encode.ts";
export { FrameReader } from "./frames.ts";
export { PACKET_BYTES_MAX, TOPIC_LEVELS_MAX } from "./limits.ts";
export { encodePacket5 } from "./encode5.ts";
export { publishFrame, setId, withId, type PublishFrame } from "./publish-frame.ts";
export { faultCode, malformed, protocolError } from "./malformed.ts";
export * from "./packets.ts";
export * from "./reason-codes.ts";
export {
  noProperties,
  propertyPlaces,
  propertyRows,
  readProperties,
  writeBareProperties,
  type Properties,
  type PropertyName,
  type UserProperty,
} from "./properties.ts";
export { Cursor, Writer } from "./cursor.ts";
export {
  filterMatches,
  levelsMatch,
  shareFault,
  shareOf,
  topicFilterFault,
  topicNameFault,
  type Share,
} from "./topics.ts";
