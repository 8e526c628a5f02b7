import assert from "node:assert/strict";
import { test } from "node:test";
import { newMetrics } from "@cortado/std/metrics";
import { settle } from "@cortado/std/testing/held-clock";
import { address, folder, until, World } from "./testing/world.ts";

const fridge = "/store104/fridge/temp";
const fridgeFilters = [
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
];
const otherFilters = ["store104/#", "+/fridge/temp", "+/+/+", "/store104/fridge", "/store104/fridge/temp/+"];
const reading = '{"temp": 97.4,"unit":"F"}';

for (const filter of fridgeFilters) {
  test(`${filter} gets ${fridge} live, offline and retained`, async () => {
    await using world = await World.start();
    const sensor = await world.client({ clientId: "sensor" });
    const live = await world.client({ clientId: "live" });
    await live.subscribed(filter);
    const away = await world.client({ clientId: "away", cleanSession: false });
    await away.subscribed(filter);
    away.send({ type: "disconnect" });
    await settle();
    await sensor.published(fridge, reading, { retain: true });
    await until(() => live.messages.length === 1, "live");
    const back = await world.client({ clientId: "away", cleanSession: false });
    await until(() => back.messages.length === 1, "offline");
    const late = await world.client({ clientId: "late" });
    await late.subscribed(filter);
    await until(() => late.messages.length === 1, "retained");
    for (const [client, retain] of [
      [live, false],
      [back, false],
      [late, true],
    ] as const)
      assert.deepEqual(
        client.messages.map(({ topic, retain: flag }) => ({ topic, flag })),
        [{ topic: fridge, flag: retain }],
      );
    assert.deepEqual(
      [...live.texts, ...back.texts, ...late.texts],
      [reading, reading, reading],
      "bytes pass unchanged",
    );
  });
}

test("filters that only look like it get nothing", async () => {
  await using world = await World.start();
  const sensor = await world.client({ clientId: "sensor" });
  const client = await world.client({ clientId: "other", cleanSession: false });
  await client.subscribed(...otherFilters);
  await sensor.published(fridge, reading, { retain: true });
  const late = await world.client({ clientId: "late" });
  await late.subscribed(...otherFilters);
  await settle();
  assert.equal(client.messages.length + late.messages.length, 0);
});

test("a persistent session gets what came while it was away, in order, also over a restart", async () => {
  await using world = await World.start();
  const away = await world.client({ clientId: "away", cleanSession: false });
  await away.subscribed("/orders/#");
  away.connection.destroy();
  const till = await world.client({ clientId: "till" });
  for (let at = 0; at < 250; at += 1) till.publish("/orders/new", String(at));
  await until(() => till.packets.filter(({ type }) => type === "puback").length === 250, "all acknowledged");
  await world.restart();
  const back = await world.client({ clientId: "away", cleanSession: false });
  assert.deepEqual(back.packets[0], { type: "connack", sessionPresent: true, code: 0 });
  await until(() => back.messages.length === 250, "all delivered");
  assert.deepEqual(
    back.texts,
    Array.from({ length: 250 }, (_, at) => String(at)),
  );
  await world.clock.advance(100); // the cursor is written
  await world.restart();
  const again = await world.client({ clientId: "away", cleanSession: false });
  await settle();
  assert.equal(again.messages.length, 0, "what was acknowledged does not come again");
});

test("what was not acknowledged comes again with DUP, the rest does not", async () => {
  await using world = await World.start();
  const slow = await world.client({ clientId: "slow", cleanSession: false, autoAck: false });
  await slow.subscribed("a");
  const sender = await world.client({ clientId: "sender" });
  for (const text of ["1", "2", "3"]) await sender.published("a", text);
  await until(() => slow.messages.length === 3, "three");
  slow.send({ type: "puback", id: slow.messages[1]?.id ?? 0 });
  slow.connection.destroy();
  const back = await world.client({ clientId: "slow", cleanSession: false });
  await until(() => back.messages.length === 2, "two");
  assert.deepEqual(
    back.messages.map(({ dup }) => dup),
    [true, true],
  );
  assert.deepEqual(back.texts, ["1", "3"]);
});

test("a clean session forgets the persistent one", async () => {
  await using world = await World.start();
  const first = await world.client({ clientId: "till", cleanSession: false });
  await first.subscribed("a");
  first.send({ type: "disconnect" });
  await settle();
  const clean = await world.client({ clientId: "till", cleanSession: true });
  assert.deepEqual(clean.packets[0], { type: "connack", sessionPresent: false, code: 0 });
  clean.send({ type: "disconnect" });
  await settle();
  await world.restart();
  const third = await world.client({ clientId: "till", cleanSession: false });
  assert.deepEqual(third.packets[0], { type: "connack", sessionPresent: false, code: 0 });
});

test("a will is published when a client is cut off, not when it says goodbye", async () => {
  await using world = await World.start();
  const watcher = await world.client({ clientId: "watcher" });
  await watcher.subscribed("/state/#");
  const will = (name: string) => ({
    topic: `/state/${name}`,
    payload: new TextEncoder().encode("gone"),
    qos: 1 as const,
    retain: true,
  });
  const polite = await world.client({ clientId: "polite", will: will("polite") });
  polite.send({ type: "disconnect" });
  const cut = await world.client({ clientId: "cut", will: will("cut") });
  cut.connection.destroy();
  await until(() => watcher.messages.length === 1, "will");
  const silent = await world.client({ clientId: "silent", keepAliveS: 10, will: will("silent") });
  await world.clock.advance(14_000);
  assert.equal(silent.closed, false);
  await world.clock.advance(3_000);
  await until(() => watcher.messages.length === 2, "will of the silent");
  const rude = await world.client({ clientId: "rude", will: will("rude") });
  rude.connection.write(Uint8Array.of(0x36, 3, 0, 1, 97));
  await until(() => watcher.messages.length === 3, "will of the rude");
  assert.deepEqual(
    watcher.messages.map(({ topic }) => topic),
    ["/state/cut", "/state/silent", "/state/rude"],
  );
});

test("a client that keeps its keep-alive stays", async () => {
  await using world = await World.start();
  const client = await world.client({ clientId: "a", keepAliveS: 10 });
  for (let at = 0; at < 5; at += 1) {
    await world.clock.advance(9_000);
    client.send({ type: "pingreq" });
    await client.expect("pingresp");
  }
  assert.equal(client.closed, false);
});

test("a stranger who says nothing is closed", async () => {
  await using world = await World.start();
  const silent = await world.dial();
  await world.clock.advance(12_000);
  assert.equal(silent.closed, true);
});

test("a second connection with a client id ends the first and takes the session over", async () => {
  await using world = await World.start();
  const first = await world.client({ clientId: "till", cleanSession: false });
  await first.subscribed("a");
  const second = await world.client({ clientId: "till", cleanSession: false });
  await until(() => first.closed, "first closed");
  const sender = await world.client({ clientId: "sender" });
  await sender.published("a", "x");
  await until(() => second.messages.length === 1, "delivered to the second");
});

test("overlapping filters bring one copy, at the highest QoS", async () => {
  await using world = await World.start();
  const client = await world.client({ clientId: "c", cleanSession: false });
  assert.deepEqual(await client.subscribed(["#", 0], ["a/+", 1], ["a/b", 2]), [0, 1, 2]);
  const sender = await world.client({ clientId: "s" });
  await sender.published("a/b", "x");
  await until(() => client.messages.length > 0, "delivered");
  await settle();
  assert.deepEqual(
    client.messages.map(({ qos }) => qos),
    [1],
  );
});

test("QoS 2 counts once, however often it is sent, also over a restart", async () => {
  await using world = await World.start();
  const reader = await world.client({ clientId: "reader", cleanSession: false });
  await reader.subscribed("a");
  const sender = await world.client({ clientId: "sender", cleanSession: false, autoAck: false });
  const packet = {
    type: "publish",
    topic: "a",
    payload: new Uint8Array(1),
    qos: 2,
    retain: false,
    id: 9,
  } as const;
  sender.send({ ...packet, dup: false });
  await until(() => sender.has("pubrec", 9), "PUBREC");
  sender.send({ ...packet, dup: true });
  await until(() => sender.packets.filter(({ type }) => type === "pubrec").length === 2, "PUBREC again");
  await world.restart();
  const back = await world.client({ clientId: "sender", cleanSession: false, autoAck: false });
  back.send({ ...packet, dup: true });
  await until(() => back.has("pubrec", 9), "PUBREC after the restart");
  back.send({ type: "pubrel", id: 9 });
  await until(() => back.has("pubcomp", 9), "PUBCOMP");
  const again = await world.client({ clientId: "reader", cleanSession: false });
  await settle();
  assert.equal(reader.messages.length + again.messages.length, 1);
  back.send({ ...packet, dup: false }); // released: the id is free for a new message
  await until(() => again.messages.length === 1, "the new message");
});

test("a version that is not known yet is refused by name", async () => {
  await using world = await World.start();
  const client = await world.dial(true, 5);
  client.connection.write(Uint8Array.of(0x10, 14, 0, 4, 77, 81, 84, 84, 6, 2, 0, 60, 0, 0, 1, 97));
  await until(() => client.closed, "closed");
  assert.equal(client.connack.code, 0x84);
  assert.ok(world.kept.lines.some(({ fields }) => /level 6 is not spoken/.test(String(fields["reason"]))));
});

test("an MQTT 3.1 client is served", async () => {
  await using world = await World.start();
  const old = await world.client({ clientId: "old", level: 3 });
  await old.subscribed("a");
  await old.published("a", "x");
  await until(() => old.messages.length === 1, "delivered");
});

test("a persistent session without a client id is refused, a clean one gets an id", async () => {
  await using world = await World.start();
  const refused = await world.dial();
  refused.connection.write(Uint8Array.of(0x10, 12, 0, 4, 77, 81, 84, 84, 4, 0, 0, 0, 0, 0));
  await until(() => refused.closed, "closed");
  assert.deepEqual(refused.packets, [{ type: "connack", sessionPresent: false, code: 2 }]);
  const anonymous = await world.client({ clientId: "" });
  assert.deepEqual(anonymous.packets[0], { type: "connack", sessionPresent: false, code: 0 });
});

test("each malformed packet closes its connection and harms nobody else", async () => {
  await using world = await World.start();
  const good = await world.client({ clientId: "good" });
  await good.subscribed("ok");
  const bad = [
    [0x36, 3, 0, 1, 97],
    [0x32, 5, 0, 1, 97, 0, 0],
    [0x30, 2, 0, 0],
    [0x82, 2, 0, 1],
    [0xc0, 1, 0],
    [0x00, 0],
    [0xf0, 0],
    [0x30, 0xff, 0xff, 0xff, 0xff],
    [0x30, 0xff, 0xff, 0xff, 0x7f],
    [0x10, 2, 0, 0],
    [0x20, 2, 0, 0],
    [0x90, 3, 0, 1, 0],
    [0x30, 4, 0, 2, 0xc3, 0x28],
  ];
  for (const [at, bytes] of bad.entries()) {
    const client = await world.client({ clientId: `bad${at}` });
    client.connection.write(Uint8Array.from(bytes));
    await until(() => client.closed, `closed after ${bytes.join(" ")}`);
  }
  const stranger = await world.dial();
  stranger.connection.write(Uint8Array.of(0xc0, 0));
  await until(() => stranger.closed, "who does not begin with CONNECT");
  await good.published("ok", "still here");
  await until(() => good.messages.length === 1, "delivered");
});

test("publishing to $SYS ends the connection; its topics tell of the broker", async () => {
  await using world = await World.start();
  const watcher = await world.client({ clientId: "watcher" });
  await watcher.subscribed("$SYS/broker/clients/connected");
  await until(() => watcher.messages.length === 1, "at once");
  const liar = await world.client({ clientId: "liar" });
  await world.clock.advance(11_000);
  await until(() => watcher.messages.length === 2, "at the interval");
  assert.deepEqual(watcher.texts, ["1", "2"]);
  liar.publish("$SYS/broker/uptime", "0");
  await until(() => liar.closed, "closed");
  assert.equal(
    watcher.messages.every(({ topic }) => topic === "$SYS/broker/clients/connected"),
    true,
  );
});

test("$SYS counts shared subscriptions and expired sessions", async () => {
  await using world = await World.start({ limits: { sessionExpiryMs: 5_000 } });
  const away = await world.client({ clientId: "away", cleanSession: false });
  away.connection.destroy();
  const member = await world.client({ clientId: "member" });
  await member.subscribed("$share/g/a", "$share/h/a", "b");
  await world.clock.advance(7_000);
  const watcher = await world.client({ clientId: "watcher" });
  await watcher.subscribed("$SYS/broker/+/count", "$SYS/broker/clients/expired");
  await until(() => watcher.messages.length > 3, "at once");
  const value = (name: string): string | undefined =>
    watcher.texts[watcher.messages.findIndex(({ topic }) => topic === `$SYS/broker/${name}`)];
  assert.equal(value("shared_subscriptions/count"), "2");
  assert.equal(value("subscriptions/count"), "5");
  assert.equal(value("clients/expired"), "1");
});

test("$SYS and metrics have mosquitto's counters, and averages over 1, 5 and 15 minutes", async () => {
  const metrics = newMetrics();
  await using world = await World.start({ metrics });
  const others = await Promise.all(["a", "b"].map((clientId) => world.client({ clientId })));
  for (const other of others) other.connection.destroy();
  const away = await world.client({ clientId: "away", cleanSession: false });
  await away.subscribed("/x");
  away.connection.destroy();
  const sender = await world.client({ clientId: "sender" });
  for (let at = 0; at < 20; at += 1) await sender.published("/x", "12345", { retain: at === 19 });
  await world.clock.advance(10_000);
  await sender.subscribed(["$SYS/#", 0]);
  await until(() => sender.messages.length > 40, "all");
  const { texts } = sender;
  const sys = new Map(sender.messages.map(({ topic }, at) => [topic.replace("$SYS/broker/", ""), texts[at]]));
  const wanted = {
    "clients/connected": "1",
    "clients/disconnected": "1",
    "clients/maximum": "1",
    "messages/inflight": "0",
    "messages/stored": "21",
    "publish/bytes/received": "100",
    "publish/messages/received": "20",
    "retained messages/count": "1",
    "store/messages/count": "21",
  };
  for (const [topic, value] of Object.entries(wanted)) assert.equal(sys.get(topic), value, topic);
  // 20 in 10 seconds are 120 a minute; of them the averages have taken up what exp(-10/60), exp(-10/300) and exp(-10/900) leave.
  for (const [span, value] of Object.entries({ "1min": "18.42", "5min": "3.93", "15min": "1.33" }))
    assert.equal(sys.get(`load/publish/received/${span}`), value);
  assert.ok(Number(sys.get("bytes/received")) > 20 * 10 && Number(sys.get("bytes/sent")) > 20 * 4);
  assert.ok(Number(sys.get("heap/current")) > 1_000_000);
  const text = metrics.text();
  assert.match(text, /^broker_store_messages_count 21$/m);
  assert.match(text, /^broker_retained_messages_count 1$/m);
  assert.match(text, /^broker_load_publish_received_5min 3\.9/m);
  assert.match(text, /^broker_heap_current \d{7,}$/m);
});

test("retained messages outlive a restart, and an empty one clears them", async () => {
  await using world = await World.start();
  const sensor = await world.client({ clientId: "sensor" });
  await sensor.published("/a", "1", { retain: true });
  await sensor.published("/a", "2", { retain: true });
  await sensor.published("/b", "3", { retain: true });
  await sensor.published("/b", "", { retain: true });
  sensor.publish("/c", "4", { retain: true, qos: 0 });
  await sensor.published("/d", "5");
  await world.restart();
  const late = await world.client({ clientId: "late" });
  await late.subscribed("#");
  await settle();
  assert.deepEqual(late.texts.toSorted(), ["2", "4"]);
});

test("credentials and rights are asked where somebody answers", async () => {
  const secret = (password: Uint8Array | undefined) => new TextDecoder().decode(password) === "beans";
  await using world = await World.start({
    authenticate: ({ username, password }) =>
      Promise.resolve(username !== undefined && secret(password) ? { user: username } : undefined),
    authorize: ({ user, topic }) => topic.startsWith(`/${user}/`),
  });
  const wrong = await world.dial();
  wrong.send({
    type: "connect",
    level: 4,
    clientId: "x",
    cleanSession: true,
    keepAliveS: 0,
    username: "till",
    password: new Uint8Array(1),
  });
  await until(() => wrong.closed, "closed");
  assert.deepEqual(wrong.packets, [{ type: "connack", sessionPresent: false, code: 4 }]);
  const password = new TextEncoder().encode("beans");
  const till = await world.client({ clientId: "till-1", username: "till", password, cleanSession: false });
  assert.deepEqual(await till.subscribed("/till/#", "/office/#"), [1, 128]);
  const thief = await world.dial();
  thief.send({
    type: "connect",
    level: 4,
    clientId: "till-1",
    cleanSession: true,
    keepAliveS: 0,
    username: "thief",
    password,
  });
  await until(() => thief.closed, "closed");
  assert.equal(till.closed, false, "a client id belongs to its user");
  till.publish("/office/pay", "x");
  await until(() => till.closed, "no right to publish there");
});

test("an idle broker writes nothing", async () => {
  await using world = await World.start();
  const client = await world.client({ clientId: "c", cleanSession: false, keepAliveS: 60 });
  await client.subscribed("$SYS/#", "a");
  await client.published("a", "x");
  await world.clock.advance(1_000);
  const before = await world.diskBytes();
  for (let at = 0; at < 30; at += 1) {
    await world.clock.advance(60_000);
    client.send({ type: "pingreq" });
    await settle();
  }
  assert.equal(await world.diskBytes(), before);
  assert.deepEqual((await world.files.list(folder)).length, 1);
});

test("a connection over the limit is refused, and room that is freed is used", async () => {
  await using world = await World.start({ limits: { connectionsMax: 2 } });
  const [first] = [await world.client({ clientId: "1" }), await world.client({ clientId: "2" })];
  const third = await world.network.dial(address);
  let closed = false;
  third.handle({ data() {}, drained() {}, closed: () => void (closed = true) });
  await until(() => closed, "refused");
  first.send({ type: "disconnect" });
  await settle();
  await world.client({ clientId: "3" });
});

test("nothing is kept of connections that have ended, however they did", async () => {
  const metrics = newMetrics();
  await using world = await World.start({ metrics });
  const ending = (): string | undefined => /^cortado_mqtt_clients_ending (\d+)$/m.exec(metrics.text())?.[1];
  for (let at = 0; at < 5; at += 1) {
    const gone = await world.client({ clientId: `gone-${at}` });
    gone.connection.destroy();
    const left = await world.client({ clientId: `left-${at}` });
    left.send({ type: "disconnect" });
    const rude = await world.client({ clientId: `rude-${at}` });
    rude.connection.write(Uint8Array.of(0xf0, 0));
    const stranger = await world.dial();
    stranger.connection.destroy();
    await until(() => left.closed && rude.closed, "closed");
  }
  await until(() => ending() === "0", `none, not ${ending()}`);
});
