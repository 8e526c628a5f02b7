import * as auth from "./on-5-auth.ts";
import * as flow from "./on-5-flow.ts";
import * as format from "./on-format.ts";
import * as publish from "./on-publish.ts";
import * as shared from "./on-5-subscribe.ts";
import * as subscribe from "./on-subscribe.ts";
import * as topics from "./on-topics.ts";
import * as web from "./on-web-socket.ts";
import * as make from "./bytes.ts";
import { connectStatements5 } from "./statements-5-connect.ts";
import { messageStatements5 } from "./statements-5-messages.ts";
import type { Statement } from "./trial.ts";

const ofClient = "it binds the client";

const subscribeStatements: readonly Statement[] = [
  {
    number: "3.8.1-1",
    says: "the flags of SUBSCRIBE are checked",
    test: format.flagsOf((level) => make.subscribe({ level, filters: [["a", 0]] }), [0, 1, 3, 10]),
  },
  { number: "3.8.3-1", says: "filters are UTF-8", test: subscribe.illFormedFilter },
  { number: "3.8.3-2", says: "there is at least one filter", test: subscribe.noFilter },
  { number: "3.8.3-3", says: "no local: not what the client publishes itself", test: shared.noLocal },
  { number: "3.8.3-4", says: "no local on a shared subscription is an error", test: shared.noLocalShared },
  { number: "3.8.3-5", says: "reserved bits of the options are 0", test: subscribe.reservedOptions },
  { number: "3.8.4-1", says: "SUBSCRIBE is answered", test: subscribe.isAnswered },
  { number: "3.8.4-2", says: "with its id", test: subscribe.isAnswered },
  { number: "3.8.4-3", says: "the same filter again replaces", test: subscribe.replaces },
  { number: "3.8.4-4", says: "retained messages come again, and nothing is lost", test: subscribe.replaces },
  { number: "3.8.4-5", says: "several filters are as several packets", test: subscribe.severalFilters },
  { number: "3.8.4-6", says: "a code for each filter", test: subscribe.aCodeForEach },
  { number: "3.8.4-7", says: "it is the QoS that was granted, or why not", test: subscribe.knownCodes },
  { number: "3.8.4-8", says: "a message comes at the lower QoS of the two", test: subscribe.lowerQosCounts },
  { number: "3.9.2-1", says: "no reason that makes SUBACK too large", test: flow.reasonsFit },
  { number: "3.9.2-2", says: "nor user properties", test: flow.reasonsFit },
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
  { number: "3.11.2-1", says: "no reason that makes UNSUBACK too large", test: flow.reasonsFit },
  { number: "3.11.2-2", says: "nor user properties", test: flow.reasonsFit },
  { number: "3.11.3-1", says: "its codes are in the order of the filters", test: subscribe.severalToLeave },
  { number: "3.11.3-2", says: "its codes are those of the table", test: subscribe.severalToLeave },
  { number: "3.12.4-1", says: "PINGREQ is answered", test: format.pingIsAnswered },
];

const topicStatements: readonly Statement[] = [
  { number: "4.7.0-1", says: "wildcards are for filters", test: publish.wildcardInTopic },
  { number: "4.7.1-1", says: "# is the last level, and all of it", test: topics.hashIsLast },
  { number: "4.7.1-2", says: "+ is all of its level", test: topics.plusIsALevel },
  { number: "4.7.2-1", says: "a wildcard at the beginning does not find $", test: topics.dollarIsApart },
  { number: "4.7.3-1", says: "names have a character", test: topics.emptyNames },
  { number: "4.7.3-2", says: "names have no U+0000", test: topics.nullInNames },
  { number: "4.7.3-3", says: "names have at most 65,535 bytes", why: "their length is two bytes" },
  { number: "4.7.3-4", says: "nothing is normalised", test: topics.noNormalizing },
  { number: "4.8.2-1", says: "a shared filter begins with $share/ and a name", test: shared.shareNames },
  { number: "4.8.2-2", says: "the name is followed by a filter", test: shared.shareNames },
  { number: "4.8.2-3", says: "each member gets what its QoS allows", test: shared.sharesWork },
  {
    number: "4.8.2-4",
    says: "QoS 2 is finished with the member that began it",
    test: shared.shareFinishesQos2,
  },
  {
    number: "4.8.2-5",
    says: "and with nobody else when its session ends",
    test: shared.shareEndsWithSession,
  },
  { number: "4.8.2-6", says: "what a member refuses goes to nobody else", test: shared.shareRefusal },
];

const restStatements: readonly Statement[] = [
  { number: "3.15.1-1", says: "the flags of AUTH are checked", test: auth.authFlags },
  { number: "3.15.2-1", says: "AUTH has a code of the table", test: auth.authCodes },
  { number: "3.15.2-2", says: "no reason that makes AUTH too large", test: flow.reasonsFit },
  { number: "3.15.2-3", says: "nor user properties", test: flow.reasonsFit },
  { number: "4.12.0-1", says: "an unknown method is refused", test: auth.unknownMethod },
  { number: "4.12.0-2", says: "the server's AUTH has code 0x18", test: auth.entersByScram },
  { number: "4.12.0-3", says: "so has the client's answer", test: auth.otherCode },
  { number: "4.12.0-4", says: "a proof that fails is refused", test: auth.wrongProof },
  { number: "4.12.0-5", says: "each of these packets names the method", test: auth.entersByScram },
  { number: "4.12.0-6", says: "without a method there is no AUTH", test: auth.noMethod },
  { number: "4.12.0-7", says: "a client without a method sends no AUTH", test: auth.noMethod },
  { number: "4.12.1-1", says: "a client may prove itself anew, by the same method", test: auth.provesAgain },
  { number: "4.12.1-2", says: "one that fails then is disconnected", test: auth.failsToProveAgain },
  { number: "4.13.1-1", says: "what is malformed ends the connection", test: format.wrongFlags },
  { number: "4.13.2-1", says: "so does a code of 0x80 and above", test: flow.serverFarewell },
  {
    number: "6.0.0-1",
    says: "WebSocket: frames that are not binary end the connection",
    test: web.binaryOnly,
  },
  { number: "6.0.0-2", says: "WebSocket: packets need not fit frames", test: web.packetsInPieces },
  { number: "6.0.0-3", says: "WebSocket: the client offers mqtt", why: ofClient },
  { number: "6.0.0-4", says: "WebSocket: the server answers mqtt", test: web.namesItsProtocol },
];

/** All numbered statements of MQTT 5. */
export const statements5: readonly Statement[] = [
  ...connectStatements5,
  ...messageStatements5,
  ...subscribeStatements,
  ...topicStatements,
  ...restStatements,
];
