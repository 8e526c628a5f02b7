import assert from "node:assert/strict";
import { test } from "node:test";
import { settle } from "@cortado/std/testing/held-clock";
import { reasonCodes, type Properties, type QoS, type Subscription } from "@cortado/wire/mqtt";
import { until, World, type TestClient } from "./testing/world.ts";

const utf8 = new TextEncoder();
const five = { level: 5 } as const;

type Publishing = {
  readonly qos?: QoS;
  readonly retain?: boolean;
  readonly properties?: Properties;
  readonly dup?: boolean;
};

function publish(client: TestClient, topic: string, text: string, options: Publishing = {}): number {
  const { qos = 1, retain = false, properties, dup = false } = options;
  const id = qos === 0 ? 0 : client.nextId();
  client.send({
    type: "publish",
    topic,
    payload: utf8.encode(text),
    qos,
    retain,
    dup,
    id,
    ...(properties === undefined ? {} : { properties }),
  });
  return id;
}

/** Publishes and answers the reason code that came back. */
async function published(
  client: TestClient,
  topic: string,
  text: string,
  options: Publishing = {},
): Promise<number> {
  const id = publish(client, topic, text, options);
  const type = options.qos === 2 ? "pubrec" : "puback";
  const answer = () => client.packets.find((packet) => packet.type === type && packet.id === id);
  await until(() => answer() !== undefined || client.closed, `${type} ${id}`);
  const found = answer();
  return found?.type === type ? (found.code ?? 0) : -1;
}

async function subscribe(
  client: TestClient,
  subscriptions: readonly Subscription[],
  identifier?: number,
): Promise<readonly number[]> {
  const properties =
    identifier === undefined ? {} : { properties: { subscriptionIdentifiers: [identifier] } };
  client.send({ type: "subscribe", id: client.nextId(), subscriptions, ...properties });
  const suback = await client.expect("suback");
  return suback.type === "suback" ? suback.granted : [];
}

test("CONNACK says what the broker takes, and names a client that has no name", async () => {
  await using world = await World.start({ limits: { keepAliveMaxS: 60, receiveMax: 5 } });
  const client = await world.client({
    clientId: "",
    ...five,
    keepAliveS: 600,
    properties: { requestResponseInformation: 1 },
  });
  const { properties = {}, code } = client.connack;
  assert.equal(code, 0);
  assert.equal(properties.receiveMaximum, 5);
  assert.equal(properties.topicAliasMaximum, 64);
  assert.equal(properties.serverKeepAliveS, 60);
  assert.match(properties.assignedClientIdentifier ?? "", /^auto-/);
  assert.equal(properties.responseInformation, `responses/${properties.assignedClientIdentifier}/`);
  await world.clock.advance(95_000);
  assert.equal((await client.ended()).code, reasonCodes.keepAliveTimeout);
});

test("properties of a message pass from publisher to readers, live, offline and retained, in their order", async () => {
  await using world = await World.start();
  const properties = {
    payloadFormatIndicator: 1,
    contentType: "application/json",
    responseTopic: "answers/1",
    correlationData: Uint8Array.of(1, 0, 255),
    userProperties: [
      { name: "z", value: "1" },
      { name: "a", value: "2" },
      { name: "z", value: "3" },
    ],
  };
  const away = await world.client({
    clientId: "away",
    ...five,
    cleanSession: false,
    properties: { sessionExpiryIntervalS: 3_600 },
  });
  await subscribe(away, [{ filter: "/a/#", qos: 2 }]);
  away.connection.destroy();
  const live = await world.client({ clientId: "live", ...five });
  await subscribe(live, [{ filter: "/a/+", qos: 1 }]);
  const old = await world.client({ clientId: "old" });
  await old.subscribed("/a/b");
  const sender = await world.client({ clientId: "sender", ...five });
  assert.equal(await published(sender, "/a/b", "{}", { retain: true, properties }), 0);
  await world.restart();
  const back = await world.client({
    clientId: "away",
    ...five,
    cleanSession: false,
    properties: { sessionExpiryIntervalS: 3_600 },
  });
  assert.equal(back.connack.sessionPresent, true);
  const late = await world.client({ clientId: "late", ...five });
  await subscribe(late, [{ filter: "/a/b", qos: 0 }]);
  await until(() => back.messages.length === 1 && late.messages.length === 1, "delivered");
  for (const client of [live, back, late]) {
    const got = client.messages[0]?.properties ?? {};
    assert.deepEqual(
      { ...got, correlationData: [...(got.correlationData ?? [])] },
      {
        ...properties,
        correlationData: [1, 0, 255],
      },
    );
  }
  assert.deepEqual(old.texts, ["{}"]);
});

test("session expiry: survives a restart by wall time, may change at DISCONNECT, and a jump of the clock ends nothing", async () => {
  await using world = await World.start();
  const come = (clientId: string, sessionExpiryIntervalS: number, cleanSession = false) =>
    world.client({ clientId, ...five, cleanSession, properties: { sessionExpiryIntervalS } });
  const none = await come("none", 0);
  none.send({ type: "disconnect", properties: { sessionExpiryIntervalS: 5 } });
  assert.equal((await none.ended()).code, reasonCodes.protocolError);
  for (const [clientId, expiryS] of [
    ["short", 60],
    ["long", 600],
    ["ever", 0xffffffff],
  ] as const)
    (await come(clientId, expiryS)).send({ type: "disconnect" });
  (await come("shortened", 600)).send({ type: "disconnect", properties: { sessionExpiryIntervalS: 10 } });
  await settle();
  await world.broker[Symbol.asyncDispose]();
  world.clock.jump(120_000);
  await world.boot();
  await world.clock.advance(2_000);
  assert.equal((await come("short", 60)).connack.sessionPresent, false);
  assert.equal((await come("shortened", 60)).connack.sessionPresent, false);
  assert.equal((await come("long", 600)).connack.sessionPresent, true);
  for (const name of ["long"]) (await come(name, 600)).send({ type: "disconnect" });
  await settle();
  world.clock.jump(40 * 365 * 86_400_000); // a dead clock battery
  await world.restart();
  await world.clock.advance(2_000);
  assert.equal((await come("long", 600)).connack.sessionPresent, true);
  assert.equal((await come("ever", 600)).connack.sessionPresent, true);
  assert.equal((await come("ever", 600, true)).connack.sessionPresent, false, "clean start");
});

test("a session of expiry 0 ends with its connection", async () => {
  await using world = await World.start();
  const first = await world.client({
    clientId: "c",
    ...five,
    cleanSession: false,
    properties: { sessionExpiryIntervalS: 60 },
  });
  first.send({ type: "disconnect", properties: { sessionExpiryIntervalS: 0 } });
  await until(() => first.closed, "closed");
  await settle();
  const second = await world.client({ clientId: "c", ...five, cleanSession: false });
  assert.equal(second.connack.sessionPresent, false);
});

test("receive maximum holds both ways", async () => {
  await using world = await World.start({ limits: { receiveMax: 3 } });
  const slow = await world.client({
    clientId: "slow",
    ...five,
    autoAck: false,
    properties: { receiveMaximum: 2 },
  });
  await subscribe(slow, [{ filter: "a", qos: 2 }]);
  const sender = await world.client({ clientId: "sender", ...five, autoAck: false });
  for (let at = 0; at < 4; at += 1) assert.equal(await published(sender, "a", String(at)), 0);
  await settle();
  assert.equal(slow.messages.length, 2);
  slow.send({ type: "puback", id: slow.messages[0]?.id ?? 0 });
  await until(() => slow.messages.length === 3, "one more");
  for (let at = 0; at < 4; at += 1) publish(sender, "b", "x", { qos: 2 });
  assert.equal((await sender.ended()).code, reasonCodes.receiveMaximumExceeded);
});

test("topic aliases both ways; one that stands for nothing or is too large ends the connection", async () => {
  await using world = await World.start();
  const reader = await world.client({ clientId: "reader", ...five, properties: { topicAliasMaximum: 1 } });
  await subscribe(reader, [{ filter: "#", qos: 1 }]);
  const sender = await world.client({ clientId: "sender", ...five });
  await published(sender, "/a", "1", { properties: { topicAlias: 7 } });
  await published(sender, "", "2", { properties: { topicAlias: 7 } });
  await published(sender, "/b", "3", { properties: { topicAlias: 7 } });
  await published(sender, "", "4", { properties: { topicAlias: 7 } });
  await until(() => reader.messages.length === 4, "four");
  assert.deepEqual(
    reader.messages.map(({ topic, properties }) => [topic, properties?.topicAlias]),
    [
      ["/a", 1],
      ["", 1],
      ["/b", undefined],
      ["/b", undefined],
    ],
  );
  publish(sender, "", "x", { properties: { topicAlias: 8 } });
  assert.equal((await sender.ended()).code, reasonCodes.protocolError);
  const other = await world.client({ clientId: "other", ...five });
  publish(other, "a", "x", { properties: { topicAlias: 65 } });
  assert.equal((await other.ended()).code, reasonCodes.topicAliasInvalid);
});

test("maximum packet size both ways", async () => {
  await using world = await World.start({ limits: { packetBytesMax: 1_000 } });
  const small = await world.client({
    clientId: "small",
    ...five,
    cleanSession: false,
    properties: { maximumPacketSizeBytes: 100, sessionExpiryIntervalS: 60 },
  });
  await subscribe(small, [{ filter: "a", qos: 1 }]);
  const sender = await world.client({ clientId: "sender", ...five });
  await published(sender, "a", "x".repeat(200));
  await published(sender, "a", "fits");
  await until(() => small.messages.length === 1, "the one that fits");
  assert.deepEqual(small.texts, ["fits"]);
  publish(sender, "a", "x".repeat(1_100));
  assert.equal((await sender.ended()).code, reasonCodes.packetTooLarge);
});

test("message expiry: counted down for who was away, too late is never, also over a restart and for 3.1.1", async () => {
  await using world = await World.start();
  const away = await world.client({
    clientId: "away",
    ...five,
    cleanSession: false,
    properties: { sessionExpiryIntervalS: 9_999 },
  });
  await subscribe(away, [{ filter: "a", qos: 1 }]);
  const old = await world.client({ clientId: "old", cleanSession: false });
  await old.subscribed("a");
  for (const client of [away, old]) client.connection.destroy();
  const sender = await world.client({ clientId: "sender", ...five });
  await published(sender, "a", "short", { properties: { messageExpiryIntervalS: 10 }, retain: true });
  await published(sender, "a", "long", { properties: { messageExpiryIntervalS: 100 } });
  await world.clock.advance(40_000);
  await world.restart();
  const back = await world.client({ clientId: "away", ...five, cleanSession: false });
  const oldBack = await world.client({ clientId: "old", cleanSession: false });
  await until(() => back.messages.length === 1 && oldBack.messages.length === 1, "the long one");
  assert.deepEqual([...back.texts, ...oldBack.texts], ["long", "long"]);
  assert.equal(back.messages[0]?.properties?.messageExpiryIntervalS, 60);
  const late = await world.client({ clientId: "late", ...five });
  await subscribe(late, [{ filter: "a", qos: 1 }]);
  await settle();
  assert.equal(late.messages.length, 0);
});

test("subscription options: no local, retain as published, retain handling", async () => {
  await using world = await World.start();
  const client = await world.client({ clientId: "c", ...five });
  const other = await world.client({ clientId: "o", ...five });
  await published(other, "a", "kept", { retain: true });
  assert.deepEqual(
    await subscribe(client, [
      { filter: "a", qos: 1, noLocal: true, retainAsPublished: true, retainHandling: 2 },
    ]),
    [1],
  );
  await subscribe(other, [{ filter: "a", qos: 1, retainHandling: 1 }]);
  await until(() => other.messages.length === 1, "new subscription");
  await subscribe(other, [{ filter: "a", qos: 1, retainHandling: 1 }]);
  assert.equal(await published(client, "a", "mine"), 0);
  await published(other, "a", "theirs", { retain: true });
  await until(() => client.messages.length === 1 && other.messages.length === 3, "live");
  assert.deepEqual(
    client.messages.map(({ retain }) => retain),
    [true],
  );
  assert.deepEqual(client.texts, ["theirs"]);
  assert.deepEqual(other.texts, ["kept", "mine", "theirs"]);
  assert.deepEqual(
    other.messages.map(({ retain }) => retain),
    [true, false, false],
  );
});

test("subscription identifiers: all that match, also for who was away", async () => {
  await using world = await World.start();
  const client = await world.client({
    clientId: "c",
    ...five,
    cleanSession: false,
    properties: { sessionExpiryIntervalS: 60 },
  });
  await subscribe(client, [{ filter: "a/#", qos: 1 }], 1);
  await subscribe(client, [{ filter: "a/+", qos: 2 }], 268_435_455);
  await subscribe(client, [{ filter: "b", qos: 1 }]);
  client.connection.destroy();
  const sender = await world.client({ clientId: "s", ...five });
  await published(sender, "a/b", "x");
  await published(sender, "b", "y");
  await world.restart();
  const back = await world.client({ clientId: "c", ...five, cleanSession: false });
  await until(() => back.messages.length === 2, "both");
  assert.deepEqual(back.messages[0]?.properties?.subscriptionIdentifiers?.toSorted(), [1, 268_435_455]);
  assert.equal(back.messages[1]?.properties, undefined);
});

for (const level of [4, 5] as const)
  test(`a shared subscription gives each message to one member, whoever lives (level ${level})`, async () => {
    await using world = await World.start();
    const one = await world.client({ clientId: "one", level });
    const two = await world.client({ clientId: "two", level });
    for (const client of [one, two]) await client.subscribed("$share/g//store104/#");
    const alone = await world.client({ clientId: "alone", level });
    await alone.subscribed("$share/h//store104/#");
    const sender = await world.client({ clientId: "sender" });
    for (let at = 0; at < 10; at += 1) await sender.published("/store104/fridge/temp", String(at));
    await until(
      () => one.messages.length + two.messages.length === 10 && alone.messages.length === 10,
      "all",
    );
    assert.equal(one.messages.length, 5);
    two.autoAck = false;
    for (let at = 10; at < 20; at += 1) await sender.published("/store104/fridge/temp", String(at));
    await until(() => one.messages.length + two.messages.length === 20, "delivered, a half not acknowledged");
    two.connection.destroy();
    await until(
      () => new Set(one.texts).size === 15,
      "what the dead one had not acknowledged comes to the other",
    );
    assert.deepEqual(
      await one.subscribed("$share//a", "$share/+/a"),
      level === 4 ? [128, 128] : [0x8f, 0x8f],
    );
  });

for (const persistent of [false, true])
  test(`a member whose session ends before its message is on disk leaves it to the others (persistent: ${persistent})`, async () => {
    await using world = await World.start();
    const writer = await world.client({ clientId: "writer", ...five });
    const keeping = persistent ? { properties: { sessionExpiryIntervalS: 60 } } : {};
    const one = await world.client({ clientId: "one", ...five, ...keeping });
    const two = await world.client({ clientId: "two", ...five });
    for (const client of [one, two]) await client.subscribed("$share/g/a");
    // What is published now waits for the disk, with the first member as its reader.
    world.files.fault = new Error("no disk");
    const id = publish(writer, "a", "x");
    await settle();
    if (persistent) one.send({ type: "disconnect", code: 0, properties: { sessionExpiryIntervalS: 0 } });
    one.connection.destroy();
    await settle();
    world.files.fault = undefined;
    await world.clock.advance(5_000);
    await until(() => writer.has("puback", id), "PUBACK");
    await until(() => two.texts.length > 0, "the message");
    assert.deepEqual([one.texts, two.texts], [[], ["x"]]);
  });

test("a shared subscription of persistent sessions: who is there first, and a session's end hands over what it held", async () => {
  await using world = await World.start();
  const options = (clientId: string) =>
    ({ clientId, ...five, cleanSession: false, properties: { sessionExpiryIntervalS: 60 } }) as const;
  const one = await world.client(options("one"));
  const two = await world.client(options("two"));
  for (const client of [one, two]) await client.subscribed("$share/g/a");
  for (const client of [one, two]) client.connection.destroy();
  await settle();
  const sender = await world.client({ clientId: "sender" });
  for (let at = 0; at < 6; at += 1) await sender.published("a", String(at));
  await world.restart();
  const back = await world.client(options("one"));
  await until(() => back.messages.length === 3, "its half");
  await world.clock.advance(62_000); // two never comes back
  await until(() => back.messages.length === 6, "the rest");
  assert.equal(new Set(back.texts).size, 6);
});

test("reason codes: nobody subscribes, no such subscription, no right, no filter, a payload that is no text", async () => {
  await using world = await World.start({
    authorize: ({ topic }) => !topic.startsWith("secret"),
  });
  const client = await world.client({ clientId: "c", ...five });
  assert.equal(await published(client, "nobody", "x"), reasonCodes.noMatchingSubscribers);
  assert.equal(await published(client, "nobody", "x", { qos: 2 }), reasonCodes.noMatchingSubscribers);
  assert.equal(await published(client, "secret", "x"), reasonCodes.notAuthorized);
  assert.equal(await published(client, "$SYS/x", "x"), reasonCodes.topicNameInvalid);
  assert.deepEqual(
    await subscribe(client, [
      { filter: "a", qos: 2 },
      { filter: "secret/#", qos: 1 },
      { filter: "a#", qos: 0 },
    ]),
    [2, reasonCodes.notAuthorized, reasonCodes.topicFilterInvalid],
  );
  client.send({ type: "unsubscribe", id: 900, filters: ["a", "b"] });
  const unsuback = await client.expect("unsuback");
  assert.deepEqual(unsuback.type === "unsuback" && unsuback.codes, [0, reasonCodes.noSubscriptionExisted]);
  client.send({
    type: "publish",
    topic: "a",
    payload: Uint8Array.of(0xff),
    qos: 1,
    retain: false,
    dup: false,
    id: 901,
    properties: { payloadFormatIndicator: 1 },
  });
  await until(() => client.has("puback", 901), "PUBACK");
  const puback = client.packets.find((packet) => packet.type === "puback" && packet.id === 901);
  assert.ok(puback?.type === "puback" && puback.code === reasonCodes.payloadFormatInvalid);
  assert.match(puback.properties?.reasonString ?? "", /UTF-8/);
});

test("a client that does not want reasons gets none with its acknowledgements", async () => {
  await using world = await World.start({ authorize: ({ topic }) => topic !== "secret" });
  const client = await world.client({ clientId: "c", ...five, properties: { requestProblemInformation: 0 } });
  assert.equal(await published(client, "secret", "x"), reasonCodes.notAuthorized);
  const puback = client.packets.find(({ type }) => type === "puback");
  assert.ok(puback?.type === "puback" && puback.properties === undefined);
});

test("a full quota is told by 0x97, and the client may go on", async () => {
  await using world = await World.start({ limits: { sessionItemsMax: 2 } });
  const away = await world.client({ clientId: "away", cleanSession: false });
  await away.subscribed(["a", 2]);
  away.connection.destroy();
  const sender = await world.client({ clientId: "sender", ...five });
  assert.equal(await published(sender, "a", "1"), 0);
  assert.equal(await published(sender, "a", "2", { qos: 2 }), 0);
  assert.equal(await published(sender, "a", "3"), reasonCodes.quotaExceeded);
  assert.equal(await published(sender, "a", "4", { qos: 2 }), reasonCodes.quotaExceeded);
  assert.equal(await published(sender, "b", "5"), reasonCodes.noMatchingSubscribers);
  const back = await world.client({ clientId: "away", cleanSession: false });
  await until(() => back.messages.length === 2, "what was acknowledged");
  assert.deepEqual(back.texts, ["1", "2"]);
});

test("a will waits for its delay, or the session's end; who comes back takes it along", async () => {
  await using world = await World.start();
  const watcher = await world.client({ clientId: "watcher", ...five });
  await subscribe(watcher, [{ filter: "will/#", qos: 1 }]);
  const come = (clientId: string, sessionExpiryIntervalS: number) =>
    world.client({
      clientId,
      ...five,
      cleanSession: false,
      properties: { sessionExpiryIntervalS },
      will: {
        topic: `will/${clientId}`,
        payload: utf8.encode("gone"),
        qos: 1,
        retain: false,
        properties: { willDelayIntervalS: 30, contentType: "text/plain" },
      },
    });
  for (const [clientId, expiryS] of [
    ["late", 600],
    ["short", 5],
    ["back", 600],
  ] as const)
    (await come(clientId, expiryS)).connection.destroy();
  (await come("polite", 600)).send({ type: "disconnect", code: 4 });
  (await come("silent", 600)).send({ type: "disconnect" });
  await world.clock.advance(8_000);
  assert.deepEqual(
    watcher.messages.map(({ topic }) => topic),
    ["will/short"],
  );
  assert.deepEqual(watcher.messages[0]?.properties, { contentType: "text/plain" });
  await come("back", 600);
  await world.clock.advance(30_000);
  assert.deepEqual(watcher.messages.map(({ topic }) => topic).toSorted(), [
    "will/late",
    "will/polite",
    "will/short",
  ]);
});

test("a client that is taken over, and one whose broker shuts down, are told so", async () => {
  await using world = await World.start();
  const first = await world.client({ clientId: "c", ...five });
  const second = await world.client({ clientId: "c", ...five });
  assert.equal((await first.ended()).code, reasonCodes.sessionTakenOver);
  await world.restart();
  assert.equal((await second.ended()).code, reasonCodes.serverShuttingDown);
});

test("what may not be at CONNECT is told by CONNACK", async () => {
  await using world = await World.start({
    authenticate: ({ username }) => Promise.resolve(username === "ok" ? { user: "ok" } : undefined),
    redirect: ({ clientId }) =>
      clientId === "elsewhere" ? { server: "other:1883", forGood: false } : undefined,
  });
  const code = async (options: object): Promise<number> => {
    const client = await world.client({ clientId: "x", ...five, ...options });
    await until(() => client.closed, "closed");
    return client.connack.code;
  };
  assert.equal(await code({}), reasonCodes.notAuthorized);
  assert.equal(await code({ username: "bad" }), reasonCodes.badCredentials);
  assert.equal(
    await code({ properties: { authenticationMethod: "GS2-KRB5" } }),
    reasonCodes.badAuthenticationMethod,
  );
  const moved = await world.client({ clientId: "elsewhere", ...five });
  assert.equal(moved.connack.code, reasonCodes.useAnotherServer);
  assert.equal(moved.connack.properties?.serverReference, "other:1883");
  const broken = await world.dial(true, 5);
  broken.connection.write(Uint8Array.of(0x10, 14, 0, 4, 77, 81, 84, 84, 5, 2, 0, 0, 3, 0x21, 0, 0));
  await until(() => broken.closed, "closed");
  assert.equal(broken.connack.code, reasonCodes.protocolError);
  const auth = await world.client({ clientId: "y", ...five, username: "ok" });
  auth.send({ type: "auth", code: 0x19, properties: { authenticationMethod: "m" } });
  assert.equal((await auth.ended()).code, reasonCodes.protocolError);
});

const faults: readonly { readonly bytes: readonly number[]; readonly code: number }[] = [
  { bytes: [0x36, 4, 0, 1, 97, 0], code: reasonCodes.malformedPacket },
  { bytes: [0x30, 6, 0, 3, 97, 47, 43, 0], code: reasonCodes.malformedPacket },
  { bytes: [0x30, 3, 0, 0, 0], code: reasonCodes.protocolError },
  { bytes: [0x30, 7, 0, 1, 97, 3, 0x23, 0, 0], code: reasonCodes.topicAliasInvalid },
  { bytes: [0x30, 0xff, 0xff, 0xff, 0x7f], code: reasonCodes.packetTooLarge },
  { bytes: [0x10, 2, 0, 0], code: reasonCodes.malformedPacket },
  { bytes: [0x20, 3, 0, 0, 0], code: reasonCodes.protocolError },
  { bytes: [0x30, 6, 0, 1, 97, 2, 0x0b, 1], code: reasonCodes.protocolError },
];
test("each fault ends the connection with its code", async () => {
  await using world = await World.start();
  for (const { bytes, code } of faults) {
    const client = await world.client({ clientId: "bad", ...five });
    client.connection.write(Uint8Array.from(bytes));
    assert.equal((await client.ended()).code, code, bytes.join(" "));
  }
});
