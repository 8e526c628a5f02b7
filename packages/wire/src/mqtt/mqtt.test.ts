import assert from "node:assert/strict";
import { test } from "node:test";
import {
  connectHead,
  decodeFrame,
  encodePacket,
  filterMatches,
  FrameReader,
  publishFrame,
  topicFilterFault,
  withId,
} from "./mqtt.ts";
import type { Packet } from "./mqtt.ts";

const text = (value: string): number[] => [
  value.length >> 8,
  value.length & 255,
  ...new TextEncoder().encode(value),
];
const frame = (first: number, ...body: number[]): Uint8Array => Uint8Array.of(first, body.length, ...body);
const utf8 = new TextEncoder();

const whole: readonly Packet[] = [
  {
    type: "connect",
    level: 4,
    clientId: "till-1",
    cleanSession: false,
    keepAliveS: 60,
    username: "barista",
    password: utf8.encode("s3cret"),
    will: { topic: "/store104/till/state", payload: utf8.encode("gone"), qos: 1, retain: true },
  },
  { type: "connect", level: 3, clientId: "old", cleanSession: true, keepAliveS: 0 },
  { type: "connack", sessionPresent: true, code: 0 },
  {
    type: "publish",
    topic: "/store104/fridge/temp",
    payload: utf8.encode('{"temp": 97.4,"unit":"F"}'),
    qos: 1,
    retain: false,
    dup: true,
    id: 7,
  },
  { type: "publish", topic: "a", payload: new Uint8Array(0), qos: 0, retain: true, dup: false, id: 0 },
  { type: "puback", id: 65_535 },
  { type: "pubrec", id: 1 },
  { type: "pubrel", id: 1 },
  { type: "pubcomp", id: 1 },
  {
    type: "subscribe",
    id: 2,
    subscriptions: [
      { filter: "/+/fridge/#", qos: 1 },
      { filter: "$SYS/#", qos: 2 },
    ],
  },
  { type: "suback", id: 2, granted: [1, 128] },
  { type: "unsubscribe", id: 3, filters: ["/#", "#"] },
  { type: "unsuback", id: 3 },
  { type: "pingreq" },
  { type: "pingresp" },
  { type: "disconnect" },
];
for (const packet of whole)
  test(`${packet.type} survives the way to bytes and back`, () => {
    const read = decodeFrame(encodePacket(packet));
    assert.deepEqual(JSON.parse(plain(read)), JSON.parse(plain(packet)));
  });

function plain(packet: Packet): string {
  const hex = (bytes: Uint8Array | undefined): string | undefined =>
    bytes === undefined ? undefined : Buffer.from(bytes).toString("hex");
  if (packet.type === "publish") return JSON.stringify({ ...packet, payload: hex(packet.payload) });
  if (packet.type !== "connect") return JSON.stringify(packet);
  const will = packet.will === undefined ? undefined : { ...packet.will, payload: hex(packet.will.payload) };
  return JSON.stringify({ ...packet, password: hex(packet.password), will });
}

const connectHeadBytes = [...text("MQTT"), 4];
const malformedFrames: readonly { name: string; bytes: Uint8Array; says: RegExp }[] = [
  { name: "QoS 3", bytes: frame(0x36, ...text("a"), 0, 1), says: /QoS/ },
  { name: "QoS 1 with packet id 0", bytes: frame(0x32, ...text("a"), 0, 0), says: /2\.3\.1-1/ },
  { name: "DUP on QoS 0", bytes: frame(0x38, ...text("a")), says: /DUP/ },
  { name: "a topic with +", bytes: frame(0x30, ...text("a/+")), says: /wildcard/ },
  { name: "a topic with #", bytes: frame(0x30, ...text("#")), says: /wildcard/ },
  { name: "an empty topic", bytes: frame(0x30, ...text("")), says: /at least one/ },
  { name: "a topic with NUL", bytes: frame(0x30, ...text("a\u0000b")), says: /NUL/ },
  { name: "a topic that is no UTF-8", bytes: frame(0x30, 0, 2, 0xc3, 0x28), says: /UTF-8/ },
  { name: "a topic with a surrogate", bytes: frame(0x30, 0, 3, 0xed, 0xa0, 0x80), says: /UTF-8/ },
  { name: "a topic longer than its packet", bytes: frame(0x30, 0, 9, 97), says: /topic/ },
  { name: "a PUBLISH of two bytes", bytes: frame(0x32, 0, 0), says: /./ },
  { name: "PUBACK with four bytes", bytes: frame(0x40, 0, 1, 0, 0), says: /two bytes/ },
  { name: "PUBACK with no id", bytes: frame(0x40), says: /./ },
  { name: "PUBREL with wrong flags", bytes: frame(0x60, 0, 1), says: /./ },
  { name: "SUBSCRIBE with wrong flags", bytes: frame(0x80, 0, 1, ...text("a"), 0), says: /./ },
  { name: "SUBSCRIBE with no filter", bytes: frame(0x82, 0, 1), says: /./ },
  { name: "SUBSCRIBE with id 0", bytes: frame(0x82, 0, 0, ...text("a"), 0), says: /./ },
  { name: "SUBSCRIBE with reserved bits", bytes: frame(0x82, 0, 1, ...text("a"), 4), says: /./ },
  { name: "SUBSCRIBE with QoS 3", bytes: frame(0x82, 0, 1, ...text("a"), 3), says: /QoS/ },
  { name: "SUBSCRIBE without its QoS byte", bytes: frame(0x82, 0, 1, ...text("a")), says: /./ },
  { name: "the filter a#", bytes: frame(0x82, 0, 1, ...text("a#"), 0), says: /level of its own/ },
  { name: "the filter #/a", bytes: frame(0x82, 0, 1, ...text("#/a"), 0), says: /last level/ },
  { name: "the filter a+/b", bytes: frame(0x82, 0, 1, ...text("a+/b"), 0), says: /level of its own/ },
  { name: "UNSUBSCRIBE with no filter", bytes: frame(0xa2, 0, 1), says: /./ },
  { name: "PINGREQ with a payload", bytes: frame(0xc0, 1), says: /payload/ },
  { name: "DISCONNECT with a payload", bytes: frame(0xe0, 0), says: /./ },
  { name: "packet type 0", bytes: frame(0x00), says: /./ },
  { name: "packet type 15", bytes: frame(0xf0, 0), says: /./ },
  {
    name: "CONNECT with its reserved flag",
    bytes: frame(0x10, ...connectHeadBytes, 3, 0, 0, ...text("a")),
    says: /flag/,
  },
  {
    name: "CONNECT with will QoS and no will",
    bytes: frame(0x10, ...connectHeadBytes, 0x0a, 0, 0, ...text("a")),
    says: /Will/,
  },
  {
    name: "CONNECT with will QoS 3",
    bytes: frame(0x10, ...connectHeadBytes, 0x1e, 0, 0, ...text("a"), ...text("w"), ...text("")),
    says: /QoS/,
  },
  {
    name: "CONNECT with a password and no user",
    bytes: frame(0x10, ...connectHeadBytes, 0x42, 0, 0, ...text("a"), ...text("p")),
    says: /user name/,
  },
  {
    name: "CONNECT with bytes behind",
    bytes: frame(0x10, ...connectHeadBytes, 2, 0, 0, ...text("a"), 1),
    says: /after/,
  },
  { name: "CONNECT that ends early", bytes: frame(0x10, ...connectHeadBytes, 2), says: /./ },
];
for (const { name, bytes, says } of malformedFrames)
  test(`malformed: ${name}`, () => {
    assert.throws(
      () => decodeFrame(bytes),
      (error: Error) => /malformed MQTT packet/.test(error.message) && says.test(error.message),
    );
    assert.equal(
      decodeFrame(Uint8Array.of(0xc0, 0)).type,
      "pingreq",
      "the next frame is read as if nothing had been",
    );
  });

test("a character that looks like a decoding fault but was sent as such passes", () => {
  const packet = decodeFrame(frame(0x30, 0, 3, 0xef, 0xbf, 0xbd));
  assert.equal(packet.type === "publish" && packet.topic, "\uFFFD");
});

test("the head of a CONNECT of any version is read", () => {
  assert.deepEqual(connectHead(frame(0x10, ...text("MQTT"), 5, 2, 0, 0, 0)), { protocol: "MQTT", level: 5 });
  assert.deepEqual(connectHead(frame(0x10, ...text("MQTT"), 0x84)), { protocol: "MQTT", level: 4 });
  assert.throws(() => connectHead(frame(0x10, 0, 9)));
});

test("frames come whole out of any cut of the stream", () => {
  const stream = Buffer.concat(whole.map((packet) => encodePacket(packet)));
  for (const size of [1, 2, 3, 7, 64, stream.byteLength]) {
    const reader = new FrameReader({ frameBytesMax: 1_000 });
    const types: string[] = [];
    for (let at = 0; at < stream.byteLength; at += size) {
      reader.push(stream.subarray(at, at + size));
      for (let next = reader.next(); next !== undefined; next = reader.next())
        types.push(decodeFrame(next).type);
    }
    assert.deepEqual(
      types,
      whole.map(({ type }) => type),
    );
    assert.equal(reader.heldBytes, 0);
  }
});

test("a frame that would be too long is refused by its length, before its bytes come", () => {
  const reader = new FrameReader({ frameBytesMax: 1_000 });
  reader.push(Uint8Array.of(0x30, 0xff, 0xff, 0xff, 0x7f));
  assert.throws(() => reader.next(), /over the limit of 1000/);
  const endless = new FrameReader({ frameBytesMax: 1_000 });
  endless.push(Uint8Array.of(0x30, 0xff, 0xff, 0xff, 0xff, 0x01));
  assert.throws(() => endless.next(), /longer than four bytes/);
});

test("one frame serves many receivers", () => {
  const shared = publishFrame({
    topic: "/a/b",
    payload: new Uint8Array(300).fill(7),
    qos: 1,
    retain: false,
    dup: false,
    id: 1,
  });
  const copy = decodeFrame(withId(shared, { id: 513, dup: true }));
  assert.ok(
    copy.type === "publish" &&
      copy.id === 513 &&
      copy.dup &&
      copy.topic === "/a/b" &&
      copy.payload.byteLength === 300,
  );
  const original = decodeFrame(shared);
  assert.ok(original.type === "publish" && original.id === 1 && !original.dup);
});

// The thirteen filters of the fridge, and those that must not match: a leading slash is an empty level.
const fridge = "/store104/fridge/temp";
for (const filter of [
  fridge,
  "/store104/fridge/+",
  "/store104/#",
  "/#",
  "#",
  "+/store104/fridge/temp",
  "/+/fridge/temp",
  "/+/+/+",
  "+/+/+/+",
  "+/#",
  "/store104/fridge/temp/#",
  "/store104/+/temp",
  "+/+/fridge/#",
])
  test(`${filter} matches ${fridge}`, () => assert.ok(filterMatches(filter, fridge)));
for (const filter of [
  "store104/#",
  "+/fridge/temp",
  "+/+/+",
  "/store104/fridge",
  "/store104/fridge/temp/+",
  "/store104/fridge/tem",
])
  test(`${filter} does not match ${fridge}`, () => assert.ok(!filterMatches(filter, fridge)));

test("a wildcard at the front does not match a topic that begins with $", () => {
  assert.ok(!filterMatches("#", "$SYS/broker/uptime"));
  assert.ok(!filterMatches("+/broker/uptime", "$SYS/broker/uptime"));
  assert.ok(filterMatches("$SYS/#", "$SYS/broker/uptime"));
  assert.ok(filterMatches("a/+", "a/$b"));
  assert.ok(filterMatches("a/#", "a"));
});

test("a filter of too many levels is refused", () => {
  assert.match(topicFilterFault("/".repeat(300)) ?? "", /levels/);
  assert.equal(topicFilterFault("/".repeat(100)), undefined);
});

test("long texts that are nearly UTF-8 are told apart without looking at each byte for each byte", () => {
  // A client id of 60,000 characters U+FFFD, and a will of bytes that nearly are the same: the worst for a plain search.
  const replaced = Buffer.from("\uFFFD".repeat(20_000));
  const field = (bytes: Uint8Array): number[] => [bytes.length >> 8, bytes.length & 255, ...bytes];
  const broken = Buffer.concat([replaced.subarray(0, -3), Uint8Array.of(0xff)]);
  const body = [
    ...[...text("MQTT"), 4, 2 | 4, 0, 0],
    ...[...field(broken), ...text("w"), ...field(replaced.subarray(0, -3))],
  ];
  const length = [(body.length & 127) | 128, ((body.length >> 7) & 127) | 128, body.length >> 14];
  const connect = Uint8Array.of(0x10, ...length, ...body);
  for (let times = 0; times < 300; times += 1)
    assert.throws(() => decodeFrame(connect), /client id is not UTF-8/);
});
