import assert from "node:assert/strict";
import { test } from "node:test";
import {
  decodeFrame,
  encodePacket,
  faultCode,
  propertyPlaces,
  propertyRows,
  publishFrame,
  reasonCodesOf,
  shareFault,
  shareOf,
  withId,
  type CodedPacket,
  type Packet,
  type Properties,
} from "./mqtt.ts";

const utf8 = new TextEncoder();
const text = (value: string): number[] => [value.length >> 8, value.length & 255, ...utf8.encode(value)];
const frame = (first: number, ...body: number[]): Uint8Array =>
  body.length < 128
    ? Uint8Array.of(first, body.length, ...body)
    : Uint8Array.of(first, (body.length & 127) | 128, body.length >> 7, ...body);

const users = [
  { name: "z", value: "1" },
  { name: "a", value: "2" },
  { name: "z", value: "3" },
  { name: "__proto__", value: "4" },
];
const all: readonly Packet[] = [
  {
    type: "connect",
    level: 5,
    clientId: "till-1",
    cleanSession: false,
    keepAliveS: 60,
    username: "barista",
    password: utf8.encode("s3cret"),
    will: {
      topic: "/store104/till/state",
      payload: utf8.encode("gone"),
      qos: 2,
      retain: true,
      properties: {
        payloadFormatIndicator: 1,
        messageExpiryIntervalS: 9,
        contentType: "text/plain",
        responseTopic: "/r",
        correlationData: Uint8Array.of(0, 255),
        willDelayIntervalS: 5,
        userProperties: users,
      },
    },
    properties: {
      sessionExpiryIntervalS: 0xffffffff,
      authenticationMethod: "SCRAM-SHA-256",
      authenticationData: Uint8Array.of(1),
      requestProblemInformation: 0,
      requestResponseInformation: 1,
      receiveMaximum: 65_535,
      topicAliasMaximum: 3,
      maximumPacketSizeBytes: 1_000,
      userProperties: users,
    },
  },
  { type: "connect", level: 5, clientId: "", cleanSession: true, keepAliveS: 0, password: Uint8Array.of(0) },
  {
    type: "connack",
    sessionPresent: true,
    code: 0,
    properties: {
      sessionExpiryIntervalS: 1,
      assignedClientIdentifier: "auto-1",
      serverKeepAliveS: 30,
      responseInformation: "/answers/",
      serverReference: "hq:1883",
      reasonString: "because",
      receiveMaximum: 20,
      topicAliasMaximum: 10,
      maximumQos: 1,
      retainAvailable: 0,
      maximumPacketSizeBytes: 70_000,
      wildcardSubscriptionAvailable: 1,
      subscriptionIdentifierAvailable: 1,
      sharedSubscriptionAvailable: 1,
    },
  },
  {
    type: "publish",
    topic: "/store104/fridge/temp",
    payload: utf8.encode('{"temp": 97.4,"unit":"F"}'),
    qos: 1,
    retain: false,
    dup: true,
    id: 7,
    properties: { topicAlias: 2, subscriptionIdentifiers: [1, 268_435_455], userProperties: users },
  },
  {
    type: "publish",
    topic: "",
    payload: new Uint8Array(0),
    qos: 0,
    retain: true,
    dup: false,
    id: 0,
    properties: { topicAlias: 1 },
  },
  { type: "puback", id: 65_535, code: 0x10, properties: { reasonString: "nobody" } },
  { type: "pubrec", id: 1, code: 0x97 },
  { type: "pubrel", id: 1, code: 0 },
  { type: "pubcomp", id: 1, code: 0x92, properties: { userProperties: users } },
  {
    type: "subscribe",
    id: 2,
    properties: { subscriptionIdentifiers: [128] },
    subscriptions: [
      { filter: "/+/fridge/#", qos: 1, noLocal: true, retainAsPublished: false, retainHandling: 2 },
      { filter: "$share/g//a", qos: 2, noLocal: false, retainAsPublished: true, retainHandling: 1 },
    ],
  },
  { type: "suback", id: 2, granted: [1, 2, 0x8f], properties: { reasonString: "x" } },
  { type: "unsubscribe", id: 3, filters: ["/#", "#"] },
  { type: "unsuback", id: 3, codes: [0, 0x11] },
  { type: "pingreq" },
  { type: "pingresp" },
  {
    type: "disconnect",
    code: 0x9d,
    properties: { sessionExpiryIntervalS: 0, serverReference: "other", reasonString: "moved" },
  },
  {
    type: "auth",
    code: 0x18,
    properties: { authenticationMethod: "m", authenticationData: Uint8Array.of(9) },
  },
];
for (const packet of all)
  test(`MQTT 5: ${packet.type} survives the way to bytes and back`, () => {
    assert.deepEqual(plain(decodeFrame(encodePacket(packet, 5), 5)), plain(packet));
  });

// Bytes as hex, so that a Buffer and a Uint8Array are the same.
function plain(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value, (_, one: unknown) =>
      one instanceof Uint8Array
        ? Buffer.from(one).toString("hex")
        : (one as { type?: string } | null)?.type === "Buffer"
          ? Buffer.from((one as { data: number[] }).data).toString("hex")
          : one,
    ),
  );
}

const sample: Readonly<Record<string, { readonly good: number[]; readonly bad?: number[] }>> = {
  flag: { good: [1], bad: [2] },
  u16: { good: [1, 2] },
  "u16 from 1": { good: [0, 1], bad: [0, 0] },
  u32: { good: [0, 0, 0, 0] },
  "u32 from 1": { good: [0, 0, 0, 1], bad: [0, 0, 0, 0] },
  "length from 1": { good: [1], bad: [0] },
  text: { good: text("a") },
  bytes: { good: text("") },
  pair: { good: [...text("a"), ...text("b")] },
};

/** A packet of each place around the bytes of its properties. */
const around: Readonly<Record<(typeof propertyPlaces)[number], (properties: number[]) => Uint8Array>> = {
  connect: (properties) =>
    frame(0x10, ...text("MQTT"), 5, 2, 0, 0, properties.length, ...properties, ...text("a")),
  will: (properties) =>
    frame(
      0x10,
      ...text("MQTT"),
      5,
      6,
      0,
      0,
      0,
      ...text("a"),
      properties.length,
      ...properties,
      ...text("w"),
      ...text(""),
    ),
  connack: (properties) => frame(0x20, 0, 0, properties.length, ...properties),
  publish: (properties) => frame(0x30, ...text("a"), properties.length, ...properties),
  puback: (properties) => frame(0x40, 0, 1, 0, properties.length, ...properties),
  pubrec: (properties) => frame(0x50, 0, 1, 0, properties.length, ...properties),
  pubrel: (properties) => frame(0x62, 0, 1, 0, properties.length, ...properties),
  pubcomp: (properties) => frame(0x70, 0, 1, 0, properties.length, ...properties),
  subscribe: (properties) => frame(0x82, 0, 1, properties.length, ...properties, ...text("a"), 0),
  suback: (properties) => frame(0x90, 0, 1, properties.length, ...properties, 0),
  unsubscribe: (properties) => frame(0xa2, 0, 1, properties.length, ...properties, ...text("a")),
  unsuback: (properties) => frame(0xb0, 0, 1, properties.length, ...properties, 0),
  disconnect: (properties) => frame(0xe0, 0, properties.length, ...properties),
  auth: (properties) => frame(0xf0, 0, properties.length, ...properties),
};

function codeOf(bytes: Uint8Array): number | undefined {
  try {
    decodeFrame(bytes, 5);
    return undefined;
  } catch (error) {
    assert.match((error as Error).message, /malformed MQTT packet: ./);
    return faultCode(error) ?? -1;
  }
}

for (const place of propertyPlaces)
  test(`MQTT 5: which properties ${place} may have, how often, and what they may say`, () => {
    for (const { id, name, form, places } of propertyRows) {
      const { good = [], bad } = sample[form] ?? {};
      const authMethod = name === "authenticationData" && place === "connect" ? [0x15, ...text("m")] : [];
      const one = [...authMethod, id, ...good];
      const isAllowed = places.includes(place);
      assert.equal(codeOf(around[place](one)), isAllowed ? undefined : 0x82, name);
      if (!isAllowed) continue;
      const mayRepeat = form === "pair" || (name === "subscriptionIdentifiers" && place === "publish");
      assert.equal(
        codeOf(around[place]([...one, id, ...good])),
        mayRepeat ? undefined : 0x82,
        `${name} twice`,
      );
      if (bad !== undefined) assert.equal(codeOf(around[place]([id, ...bad])), 0x82, `${name} out of range`);
      if (form === "u16" && name === "topicAlias") assert.equal(codeOf(around[place]([id, 0, 0])), 0x94);
      assert.equal(codeOf(around[place]([id, ...good.slice(0, -1)])), 0x81, `${name} cut short`);
      if (form !== "text" && form !== "pair") continue;
      const rest = form === "pair" ? text("b") : [];
      assert.equal(codeOf(around[place]([id, 0, 1, 0, ...rest])), 0x81, `${name} with NUL`);
      assert.equal(codeOf(around[place]([id, 0, 2, 0xc3, 0x28, ...rest])), 0x81, `${name} that is no UTF-8`);
      assert.equal(
        codeOf(around[place]([id, 0, 3, 0xed, 0xa0, 0x80, ...rest])),
        0x81,
        `${name} with a surrogate`,
      );
    }
    assert.equal(codeOf(around[place]([0x7f, 1])), 0x81, "an unknown property");
  });

const coded: Readonly<Record<CodedPacket, (code: number) => Uint8Array>> = {
  connack: (code) => frame(0x20, 0, code, 0),
  puback: (code) => frame(0x40, 0, 1, code),
  pubrec: (code) => frame(0x50, 0, 1, code),
  pubrel: (code) => frame(0x62, 0, 1, code),
  pubcomp: (code) => frame(0x70, 0, 1, code),
  suback: (code) => frame(0x90, 0, 1, 0, code),
  unsuback: (code) => frame(0xb0, 0, 1, 0, code),
  disconnect: (code) => frame(0xe0, code),
  auth: (code) => (code === 0 ? frame(0xf0, 0) : frame(0xf0, code, 4, 0x15, ...text("m"))),
};
for (const [name, make] of Object.entries(coded))
  test(`MQTT 5: which reason codes ${name} may have`, () => {
    for (let code = 0; code < 256; code += 1)
      assert.equal(
        codeOf(make(code)),
        reasonCodesOf[name as CodedPacket].includes(code) ? undefined : 0x82,
        `0x${code.toString(16)}`,
      );
  });

const connectHead = [...text("MQTT"), 5];
const faults: readonly { readonly name: string; readonly bytes: Uint8Array; readonly code: number }[] = [
  { name: "QoS 3", bytes: frame(0x36, ...text("a"), 0, 1, 0), code: 0x81 },
  { name: "QoS 1 with packet id 0", bytes: frame(0x32, ...text("a"), 0, 0, 0), code: 0x82 },
  { name: "DUP on QoS 0", bytes: frame(0x38, ...text("a"), 0), code: 0x81 },
  { name: "a topic with +", bytes: frame(0x30, ...text("a/+"), 0), code: 0x81 },
  { name: "a topic with NUL", bytes: frame(0x30, ...text("a\u0000"), 0), code: 0x81 },
  { name: "a topic that is no UTF-8", bytes: frame(0x30, 0, 2, 0xc3, 0x28, 0), code: 0x81 },
  { name: "no topic and no alias", bytes: frame(0x30, ...text(""), 0), code: 0x82 },
  { name: "topic alias 0", bytes: frame(0x30, ...text("a"), 3, 0x23, 0, 0), code: 0x94 },
  { name: "a response topic with #", bytes: frame(0x30, ...text("a"), 4, 8, ...text("#")), code: 0x82 },
  { name: "PUBLISH without properties", bytes: frame(0x30, ...text("a")), code: 0x81 },
  { name: "properties longer than the packet", bytes: frame(0x30, ...text("a"), 9, 1), code: 0x81 },
  {
    name: "a property length of five bytes",
    bytes: frame(0x30, ...text("a"), 128, 128, 128, 128, 1),
    code: 0x81,
  },
  { name: "a property length longer than it need be", bytes: frame(0x30, ...text("a"), 0x80, 0), code: 0x81 },
  { name: "PUBREL with wrong flags", bytes: frame(0x60, 0, 1), code: 0x81 },
  { name: "SUBSCRIBE with wrong flags", bytes: frame(0x80, 0, 1, 0, ...text("a"), 0), code: 0x81 },
  { name: "SUBSCRIBE with no filter", bytes: frame(0x82, 0, 1, 0), code: 0x82 },
  { name: "SUBSCRIBE with packet id 0", bytes: frame(0x82, 0, 0, 0, ...text("a"), 0), code: 0x82 },
  { name: "SUBSCRIBE with QoS 3", bytes: frame(0x82, 0, 1, 0, ...text("a"), 3), code: 0x81 },
  { name: "SUBSCRIBE with retain handling 3", bytes: frame(0x82, 0, 1, 0, ...text("a"), 0x30), code: 0x82 },
  { name: "SUBSCRIBE with reserved bits", bytes: frame(0x82, 0, 1, 0, ...text("a"), 0x40), code: 0x81 },
  { name: "an empty filter", bytes: frame(0x82, 0, 1, 0, ...text(""), 0), code: 0x81 },
  { name: "no local on a share", bytes: frame(0x82, 0, 1, 0, ...text("$share/g/a"), 4), code: 0x82 },
  { name: "UNSUBSCRIBE with no filter", bytes: frame(0xa2, 0, 1, 0), code: 0x82 },
  { name: "SUBACK without a code", bytes: frame(0x90, 0, 1, 0), code: 0x82 },
  { name: "PINGREQ with a payload", bytes: frame(0xc0, 1), code: 0x81 },
  { name: "AUTH without a method", bytes: frame(0xf0, 0x19, 0), code: 0x82 },
  { name: "CONNACK with reserved flags", bytes: frame(0x20, 2, 0, 0), code: 0x81 },
  { name: "packet type 0", bytes: frame(0x00), code: 0x81 },
  {
    name: "CONNECT with its reserved flag",
    bytes: frame(0x10, ...connectHead, 3, 0, 0, 0, ...text("a")),
    code: 0x81,
  },
  {
    name: "CONNECT with will QoS and no will",
    bytes: frame(0x10, ...connectHead, 0x0a, 0, 0, 0, ...text("a")),
    code: 0x81,
  },
  {
    name: "CONNECT with will QoS 3",
    bytes: frame(0x10, ...connectHead, 0x1e, 0, 0, 0, ...text("a"), 0, ...text("w"), ...text("")),
    code: 0x81,
  },
  {
    name: "CONNECT with authentication data and no method",
    bytes: frame(0x10, ...connectHead, 2, 0, 0, 3, 0x16, 0, 0, ...text("a")),
    code: 0x82,
  },
  {
    name: "CONNECT with bytes behind",
    bytes: frame(0x10, ...connectHead, 2, 0, 0, 0, ...text("a"), 1),
    code: 0x81,
  },
  { name: "CONNECT that ends early", bytes: frame(0x10, ...connectHead, 2), code: 0x81 },
];
for (const { name, bytes, code } of faults)
  test(`MQTT 5, malformed: ${name}`, () => assert.equal(codeOf(bytes), code));

test("MQTT 5: each cut of each packet is refused or is another packet, and nothing else is thrown", () => {
  for (const packet of all) {
    const bytes = encodePacket(packet, 5);
    for (let end = 2; end < Math.min(bytes.byteLength, 120); end += 1) {
      const body = [...bytes.subarray(bytes.byteLength > 129 ? 3 : 2)].slice(0, end - 2);
      codeOf(frame(bytes[0] ?? 0, ...body));
    }
  }
});

test("MQTT 5: a filter that breaks a rule of wildcards is told by its SUBACK, not by the end of the connection", () => {
  const packet = decodeFrame(frame(0x82, 0, 1, 0, ...text("a#"), 0, ...text("b"), 0), 5);
  assert.ok(packet.type === "subscribe");
  assert.match(packet.subscriptions[0]?.fault ?? "", /level of its own/);
  assert.equal(packet.subscriptions[1]?.fault, undefined);
});

const shares: readonly { readonly filter: string; readonly is?: object; readonly fault?: RegExp }[] = [
  { filter: "$share/g/a", is: { group: "g", filter: "a" } },
  { filter: "$share/g//store104/#", is: { group: "g", filter: "/store104/#" } },
  { filter: "$share/g/", is: { group: "g", filter: "" }, fault: /at least one/ },
  { filter: "$share/g", is: { group: "g", filter: "" }, fault: /at least one/ },
  { filter: "$share//a", is: { group: "", filter: "a" }, fault: /needs a group/ },
  { filter: "$share/+/a", is: { group: "+", filter: "a" }, fault: /no wildcard/ },
  { filter: "$share/g/a#", is: { group: "g", filter: "a#" }, fault: /level of its own/ },
  { filter: "$shared/a" },
  { filter: "a" },
];
for (const { filter, is, fault } of shares)
  test(`the share ${filter}`, () => {
    assert.deepEqual(shareOf(filter), is);
    if (fault === undefined) assert.equal(shareFault(filter), undefined);
    else assert.match(shareFault(filter) ?? "", fault);
  });

test("MQTT 5: a frame with properties takes another packet id", () => {
  const properties: Properties = { contentType: "x" };
  const made = encodePacket(
    {
      type: "publish",
      topic: "/a",
      payload: utf8.encode("p"),
      qos: 1,
      retain: false,
      dup: false,
      id: 1,
      properties,
    },
    5,
  );
  const copy = decodeFrame(withId(made, { id: 300, dup: true }), 5);
  assert.ok(copy.type === "publish" && copy.id === 300 && copy.dup && copy.properties?.contentType === "x");
  const bare = publishFrame({
    topic: "/a",
    payload: new Uint8Array(0),
    qos: 0,
    retain: true,
    dup: false,
    id: 0,
    properties: new Uint8Array(0),
  });
  assert.equal(decodeFrame(bare, 5).type, "publish");
});

test("MQTT 5: a byte order mark in a topic stays where it is", () => {
  const packet = decodeFrame(frame(0x30, 0, 4, 0xef, 0xbb, 0xbf, 0x61, 0), 5);
  assert.equal(packet.type === "publish" && packet.topic, "\uFEFFa");
});
