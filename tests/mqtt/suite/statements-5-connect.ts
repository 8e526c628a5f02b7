import * as connect from "./on-connect.ts";
import * as flow from "./on-5-flow.ts";
import * as format from "./on-format.ts";
import * as messages from "./on-5-messages.ts";
import * as publish from "./on-publish.ts";
import * as make from "./bytes.ts";
import { emptyIdTwice } from "./on-5-connect.ts";
import type { Statement, Trial } from "./trial.ts";

const ofClient = "it binds the client";
const { ids, prop } = make;
const fieldFlags = connect.fieldAgainstFlag;

/** MQTT 5, chapters 1 and 2, CONNECT and CONNACK. */
export const connectStatements5: readonly Statement[] = [
  { number: "1.5.4-1", says: "text that is no UTF-8 ends the connection", test: format.illFormedText },
  { number: "1.5.4-2", says: "U+0000 in a text ends the connection", test: format.nullInText },
  { number: "1.5.4-3", says: "EF BB BF is U+FEFF and stays where it is", test: format.byteOrderMarkStays },
  { number: "1.5.5-1", says: "lengths have as few bytes as they can", test: flow.longLengths },
  { number: "1.5.7-1", says: "both texts of a pair are UTF-8", test: messages.illFormedPair },
  { number: "2.1.3-1", says: "reserved flags have the values of the table", test: format.ownFlags },
  { number: "2.2.1-2", says: "a PUBLISH with QoS 0 has no id", test: format.noIdWithQos0 },
  { number: "2.2.1-3", says: "a client's packet id is not 0", test: format.idOfZero },
  { number: "2.2.1-4", says: "the server's ids are unused ones and not 0", test: format.idsInUse },
  {
    number: "2.2.1-5",
    says: "PUBACK, PUBREC, PUBREL, PUBCOMP have the id of the PUBLISH",
    test: format.sameIdInAcks,
  },
  { number: "2.2.1-6", says: "SUBACK and UNSUBACK have the id of the request", test: format.sameIdInAnswers },
  { number: "2.2.2-1", says: "no properties are a length of 0", test: flow.propertiesHaveLength },
  { number: "3.1.0-1", says: "the first packet is a CONNECT", test: connect.firstIsConnect },
  { number: "3.1.0-2", says: "a second CONNECT ends the connection", test: connect.secondConnect },
  { number: "3.1.2-1", says: "another protocol name is not served as MQTT", test: connect.otherProtocol },
  { number: "3.1.2-2", says: "an unknown version is refused", test: connect.otherLevel },
  { number: "3.1.2-3", says: "the reserved flag is checked", test: connect.reservedFlag },
  { number: "3.1.2-4", says: "a clean start ends the old session", test: connect.cleanIsNew },
  { number: "3.1.2-5", says: "without it the session is taken up again", test: connect.sessionResumes },
  { number: "3.1.2-6", says: "or made, when there is none", test: connect.sessionIsMade },
  { number: "3.1.2-7", says: "the will is stored with the session", test: connect.willIsPublished },
  { number: "3.1.2-8", says: "and published when the client is gone", test: connect.willIsPublished },
  { number: "3.1.2-9", says: "with the flag set the will is in the payload", test: connect.willIsMissing },
  {
    number: "3.1.2-10",
    says: "a will is published once, or dropped at DISCONNECT",
    test: connect.willOnlyOnce,
  },
  { number: "3.1.2-11", says: "without the flag the will's QoS is 0", test: connect.willWithoutFlag(2 | 8) },
  { number: "3.1.2-12", says: "the will's QoS is not 3", test: connect.willQosOf3 },
  {
    number: "3.1.2-13",
    says: "without the flag the will is not retained",
    test: connect.willWithoutFlag(2 | 32),
  },
  { number: "3.1.2-14", says: "a will that is not to be retained is not", test: connect.willRetained(false) },
  { number: "3.1.2-15", says: "a will that is to be retained is", test: connect.willRetained(true) },
  {
    number: "3.1.2-16",
    says: "no user name without its flag",
    test: fieldFlags({ username: "u", flags: 2 }),
  },
  { number: "3.1.2-17", says: "a user name with its flag", test: fieldFlags({ flags: 2 | 128 }) },
  {
    number: "3.1.2-18",
    says: "no password without its flag",
    test: fieldFlags({ username: "u", password: "p", flags: 2 | 128 }),
  },
  {
    number: "3.1.2-19",
    says: "a password with its flag",
    test: fieldFlags({ username: "u", flags: 2 | 192 }),
  },
  { number: "3.1.2-20", says: "a client keeps its keep-alive", why: ofClient },
  { number: "3.1.2-21", says: "or the server's", why: ofClient },
  {
    number: "3.1.2-22",
    says: "who is silent for 1.5 times its keep-alive is cut off",
    test: connect.keepAlive,
  },
  { number: "3.1.2-23", says: "a session with an expiry interval is kept", test: connect.messagesWait },
  {
    number: "3.1.2-24",
    says: "nothing larger than the client's packet size is sent",
    test: flow.heedsPacketSize,
  },
  { number: "3.1.2-25", says: "what is larger is as if it had been sent", test: flow.heedsPacketSize },
  { number: "3.1.2-26", says: "no alias above the client's maximum", test: messages.sendsAliases(2) },
  { number: "3.1.2-27", says: "no alias to a client without a maximum", test: messages.sendsAliases(0) },
  { number: "3.1.2-28", says: "no response information unasked", test: flow.responseInformation(0) },
  { number: "3.1.2-29", says: "no reasons to a client that wants none", test: flow.noReasons },
  { number: "3.1.2-30", says: "with a method a client waits for CONNACK", why: ofClient },
  { number: "3.1.3-1", says: "the payload's fields come in their order", test: connect.fieldsInOrder },
  { number: "3.1.3-2", says: "the client id names the state", test: connect.idIsTheState },
  { number: "3.1.3-3", says: "the client id is there, as the first field", test: connect.idIsMissing },
  { number: "3.1.3-4", says: "the client id is UTF-8", test: connect.illFormedId },
  { number: "3.1.3-5", says: "ids of 1 to 23 letters and digits are taken", test: connect.idsOf23 },
  { number: "3.1.3-6", says: "an empty id is taken, each time as another client", test: emptyIdTwice },
  { number: "3.1.3-7", says: "and the id that it got is told", test: connect.emptyIdIsGiven },
  { number: "3.1.3-8", says: "an id that is refused: 0x85, and the end", test: flow.longClientId },
  {
    number: "3.1.3-9",
    says: "a client that is back within the delay has no will published",
    test: flow.willDelay,
  },
  {
    number: "3.1.3-10",
    says: "the will's user properties keep their order",
    test: messages.willPropertiesInOrder,
  },
  { number: "3.1.3-11", says: "the will's topic is UTF-8", test: connect.illFormedWillTopic },
  { number: "3.1.3-12", says: "the user name is UTF-8", test: connect.illFormedUser },
  { number: "3.1.4-1", says: "a CONNECT that is wrong gets no welcome", test: connect.brokenConnect },
  { number: "3.1.4-2", says: "nor one whose content is", test: connect.reservedFlag },
  {
    number: "3.1.4-3",
    says: "the same id again ends the older connection with 0x8E",
    test: connect.sameIdTakesOver,
  },
  { number: "3.1.4-4", says: "clean start is done as asked", test: connect.cleanIsNew },
  { number: "3.1.4-5", says: "a good CONNECT is answered with code 0", test: connect.welcome },
  { number: "3.1.4-6", says: "what follows a refused CONNECT is not done", test: connect.afterRefusal },
  { number: "3.2.0-1", says: "the server's first packet is CONNACK", test: connect.connackIsFirst },
  { number: "3.2.0-2", says: "there is one CONNACK", test: flow.oneConnack },
  { number: "3.2.2-1", says: "its other flags are 0", test: flow.connackFlags },
  { number: "3.2.2-2", says: "after a clean start no session is present", test: connect.cleanIsNew },
  { number: "3.2.2-3", says: "a stored session is present", test: connect.sessionResumes },
  { number: "3.2.2-4", says: "a client without it closes", why: ofClient },
  { number: "3.2.2-5", says: "a client whose session is gone drops its own", why: ofClient },
  { number: "3.2.2-6", says: "a refusal says that no session is present", test: connect.refusedIsNotPresent },
  { number: "3.2.2-7", says: "after a refusal the connection is closed", test: connect.refusedIsNotPresent },
  { number: "3.2.2-8", says: "codes are those of the table", test: connect.welcome },
  {
    number: "3.2.2-9",
    says: "a lower QoS is told in CONNACK",
    test: flow.limitIsKept(ids.maximumQos, qos2, 0x9b),
  },
  {
    number: "3.2.2-10",
    says: "filters of any QoS are taken all the same",
    test: publish.highestOfOverlapping,
  },
  { number: "3.2.2-11", says: "a client keeps to that QoS", why: ofClient },
  {
    number: "3.2.2-12",
    says: "one that does not is disconnected",
    test: flow.limitIsKept(ids.maximumQos, qos2, 0x9b),
  },
  {
    number: "3.2.2-13",
    says: "a retained will is refused where nothing is retained",
    test: flow.limitIsKept(ids.retainAvailable, retained, 0x9a),
  },
  { number: "3.2.2-14", says: "a client then retains nothing", why: ofClient },
  { number: "3.2.2-15", says: "a client keeps to the server's packet size", why: ofClient },
  { number: "3.2.2-16", says: "an assigned id is nobody else's", test: connect.emptyIdIsGiven },
  { number: "3.2.2-17", says: "a client keeps to the server's aliases", why: ofClient },
  { number: "3.2.2-18", says: "and has none without a maximum", why: ofClient },
  {
    number: "3.2.2-19",
    says: "a reason is left out that would make CONNACK too large",
    test: flow.connackFits,
  },
  { number: "3.2.2-20", says: "so are user properties", test: flow.connackFits },
  { number: "3.2.2-21", says: "a client takes the server's keep-alive", why: ofClient },
  { number: "3.2.2-22", says: "without one its own counts", test: connect.keepAlive },
];

function qos2(trial: Trial): Uint8Array {
  return make.publish({ level: 5, topic: trial.topic(), qos: 2 });
}

function retained(trial: Trial): Uint8Array {
  return make.publish({ level: 5, topic: trial.topic(), retain: true, properties: [prop.pair("a", "b")] });
}
