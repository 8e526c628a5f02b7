import * as format from "./on-format.ts";
import * as publish from "./on-publish.ts";
import * as subscribe from "./on-subscribe.ts";
import * as topics from "./on-topics.ts";
import * as web from "./on-web-socket.ts";
import * as make from "./bytes.ts";
import { connectStatements } from "./statements-3-connect.ts";
import type { Statement } from "./trial.ts";

const ofClient = "it binds the client";

const messageStatements: readonly Statement[] = [
  { number: "3.3.1-1", says: "what is sent again has DUP", test: publish.dupWhenSentAgain },
  { number: "3.3.1-2", says: "QoS 0 has no DUP", test: publish.noDupWithQos0 },
  { number: "3.3.1-3", says: "DUP is not passed on", test: publish.dupIsNotPassedOn },
  { number: "3.3.1-4", says: "a QoS of 3 ends the connection", test: publish.qosOf3 },
  { number: "3.3.1-5", says: "a retained message is stored with its QoS", test: publish.retainedIsStored },
  {
    number: "3.3.1-6",
    says: "a new subscription gets the last retained message",
    test: publish.retainedIsStored,
  },
  { number: "3.3.1-7", says: "one of QoS 0 takes the old one's place", test: publish.retainedQos0 },
  { number: "3.3.1-8", says: "to a new subscription it has RETAIN", test: publish.retainedIsStored },
  { number: "3.3.1-9", says: "to one that was there it has not", test: publish.liveIsNotRetained },
  { number: "3.3.1-10", says: "an empty one is sent and clears", test: publish.emptyClears },
  { number: "3.3.1-11", says: "an empty one is not stored", test: publish.emptyClears },
  {
    number: "3.3.1-12",
    says: "one without RETAIN leaves what is retained",
    test: publish.plainLeavesRetained,
  },
  { number: "3.3.2-1", says: "the topic is there, and UTF-8", test: format.illFormedText },
  { number: "3.3.2-2", says: "a topic has no wildcards", test: publish.wildcardInTopic },
  { number: "3.3.2-3", says: "the topic that is sent fits the filter", test: publish.deliveredTopicMatches },
  { number: "3.3.4-1", says: "PUBLISH is answered as its QoS says", test: publish.answersByQos },
  { number: "3.3.5-1", says: "filters that overlap: the highest QoS", test: publish.highestOfOverlapping },
  {
    number: "3.3.5-2",
    says: "what may not be published is acknowledged, or the end",
    test: publish.notAllowed,
  },
  {
    number: "3.6.1-1",
    says: "the flags of PUBREL are checked",
    test: format.flagsOf(() => make.ack("pubrel", 1), [0, 1, 3]),
  },
  { number: "4.3.1-1", says: "QoS 0 is sent with QoS 0 and without DUP", test: publish.sentAsQos0 },
  { number: "4.3.2-1", says: "QoS 1 as the sender", test: publish.sendsQos1 },
  { number: "4.3.2-2", says: "QoS 1 as the receiver", test: publish.takesQos1 },
  { number: "4.3.3-1", says: "QoS 2 as the sender", test: publish.sendsQos2 },
  { number: "4.3.3-2", says: "QoS 2 as the receiver", test: publish.takesQos2 },
  {
    number: "4.4.0-1",
    says: "what was not acknowledged comes again at a return",
    test: publish.resendsInOrder,
  },
  { number: "4.5.0-1", says: "a message goes to all sessions that match", test: publish.toAllThatMatch },
  { number: "4.5.0-2", says: "a client acknowledges", why: ofClient },
  { number: "4.6.0-1", says: "again in the old order", test: publish.resendsInOrder },
  { number: "4.6.0-2", says: "a client sends PUBACK in order", why: ofClient },
  { number: "4.6.0-3", says: "a client sends PUBREC in order", why: ofClient },
  { number: "4.6.0-4", says: "a client sends PUBREL in order", why: ofClient },
  { number: "4.6.0-5", says: "each topic is ordered", test: publish.inOrder(1) },
  { number: "4.6.0-6", says: "messages of a client come in its order", test: publish.inOrder(2) },
];

const subscribeStatements: readonly Statement[] = [
  {
    number: "3.8.1-1",
    says: "the flags of SUBSCRIBE are checked",
    test: format.flagsOf((level) => make.subscribe({ level, filters: [["a", 0]] }), [0, 1, 3, 10]),
  },
  { number: "3.8.3-1", says: "filters are UTF-8", test: subscribe.illFormedFilter },
  { number: "3.8.3-2", says: "wildcards work, or are refused", test: subscribe.wildcardsWork },
  { number: "3.8.3-3", says: "there is at least one filter", test: subscribe.noFilter },
  {
    number: "3.8.3-4",
    says: "reserved bits and a QoS of 3 end the connection",
    test: subscribe.reservedOptions,
  },
  { number: "3.8.4-1", says: "SUBSCRIBE is answered", test: subscribe.isAnswered },
  { number: "3.8.4-2", says: "with its id", test: subscribe.isAnswered },
  { number: "3.8.4-3", says: "the same filter again replaces", test: subscribe.replaces },
  { number: "3.8.4-4", says: "several filters are as several packets", test: subscribe.severalFilters },
  { number: "3.8.4-5", says: "a code for each filter", test: subscribe.aCodeForEach },
  { number: "3.8.4-6", says: "a message comes at the lower QoS of the two", test: subscribe.lowerQosCounts },
  { number: "3.9.3-1", says: "codes are in the order of the filters", test: subscribe.aCodeForEach },
  { number: "3.9.3-2", says: "codes are those of the table", test: subscribe.knownCodes },
  {
    number: "3.10.1-1",
    says: "the flags of UNSUBSCRIBE are checked",
    test: format.flagsOf((level) => make.unsubscribe({ level, filters: ["a"] }), [0, 1, 3, 10]),
  },
  { number: "3.10.3-1", says: "its filters are UTF-8", test: subscribe.illFormedUnsubscribe },
  { number: "3.10.3-2", says: "there is at least one", test: subscribe.noFilterToLeave },
  { number: "3.10.4-1", says: "filters are compared byte for byte", test: subscribe.unsubscribesExactly },
  { number: "3.10.4-2", says: "no more messages are added", test: subscribe.unsubscribeStops },
  { number: "3.10.4-3", says: "those under way are completed", test: subscribe.inFlightIsCompleted },
  { number: "3.10.4-4", says: "UNSUBACK comes with its id", test: subscribe.unsubscribeIsAnswered },
  { number: "3.10.4-5", says: "also when no filter was there", test: subscribe.unknownIsAnswered },
  { number: "3.10.4-6", says: "several filters, one UNSUBACK", test: subscribe.severalToLeave },
];

const topicStatements: readonly Statement[] = [
  { number: "4.7.1-1", says: "wildcards are for filters", test: publish.wildcardInTopic },
  { number: "4.7.1-2", says: "# is the last level, and all of it", test: topics.hashIsLast },
  { number: "4.7.1-3", says: "+ is all of its level", test: topics.plusIsALevel },
  { number: "4.7.2-1", says: "a wildcard at the beginning does not find $", test: topics.dollarIsApart },
  { number: "4.7.3-1", says: "names have a character", test: topics.emptyNames },
  { number: "4.7.3-2", says: "names have no U+0000", test: topics.nullInNames },
  { number: "4.7.3-3", says: "names have at most 65,535 bytes", why: "their length is two bytes" },
  { number: "4.7.3-4", says: "nothing is normalised", test: topics.noNormalizing },
];

const restStatements: readonly Statement[] = [
  { number: "4.8.0-1", says: "what is against the protocol ends the connection", test: format.wrongFlags },
  { number: "4.8.0-2", says: "so does a fault of the server itself", why: "no client can bring one about" },
  {
    number: "6.0.0-1",
    says: "WebSocket: frames that are not binary end the connection",
    test: web.binaryOnly,
  },
  { number: "6.0.0-2", says: "WebSocket: packets need not fit frames", test: web.packetsInPieces },
  { number: "6.0.0-3", says: "WebSocket: the client offers mqtt", why: ofClient },
  { number: "6.0.0-4", says: "WebSocket: the server answers mqtt", test: web.namesItsProtocol },
  {
    number: "7.0.0-1",
    says: "one that also connects conforms as a client",
    why: "it is seen at the other end of a bridge",
  },
  { number: "7.0.0-2", says: "no extension is needed", why: "this suite uses none" },
  { number: "7.1.1-1", says: "a server takes an ordered, lossless transport", test: format.pingIsAnswered },
  { number: "7.1.2-1", says: "so does a client", why: ofClient },
];

/** All numbered statements of MQTT 3.1.1. */
export const statements3: readonly Statement[] = [
  ...connectStatements,
  ...messageStatements,
  ...subscribeStatements,
  ...topicStatements,
  ...restStatements,
];
