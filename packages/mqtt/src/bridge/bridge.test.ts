import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { settle } from "@cortado/std/testing/held-clock";
import type { PublishPacket } from "@cortado/wire/mqtt";
import { Chain, connected, out, reader, settings, textOf, textsOn } from "../testing/bridge-world.ts";
import { until, World } from "../testing/world.ts";
import { marksOf } from "./mark.ts";
import type { BridgeTopic } from "./settings.ts";

test("what is published here arrives there under its prefix, with what it carries, and the other way", async () => {
  await using both = await Chain.start();
  const { store, central } = both;
  const there = await reader(central);
  await store.broker.bridges.put(
    settings(central, {
      topics: [
        out,
        { pattern: "orders/#", direction: "in", qos: 2, localPrefix: "shop/", remotePrefix: "hq/104/" },
      ],
    }),
  );
  await connected(store);
  const sensor = await store.client({ clientId: "sensor", level: 5 });
  sensor.send({
    type: "publish",
    topic: "/store104/fridge/temp",
    payload: new TextEncoder().encode('{"temp": 97.4,"unit":"F"}'),
    qos: 1,
    retain: true,
    dup: false,
    id: 7,
    properties: { contentType: "application/json", userProperties: [{ name: "a", value: "b" }] },
  });
  await until(() => textsOn(there, "hq/store104/fridge/temp").length === 1, "arrived");
  const [message] = there.messages.filter(({ topic }) => topic.startsWith("hq"));
  assert.equal(textOf(message as PublishPacket), '{"temp": 97.4,"unit":"F"}');
  assert.equal(message?.properties?.contentType, "application/json");
  assert.deepEqual(message?.properties?.userProperties?.[0], { name: "a", value: "b" });
  const [mark] = marksOf(message?.properties?.userProperties);
  assert.match(mark?.id ?? "", /^[0-9a-f]{8}\.hq$/);
  const late = await central.client({ clientId: "late" });
  await late.subscribed("hq/#");
  await until(() => late.messages.length === 1, "retained there as it was here");
  assert.equal(late.messages[0]?.retain, true);

  const here = await store.client({ clientId: "here" });
  await here.subscribed(["#", 2]);
  const head = await central.client({ clientId: "head" });
  head.publish("hq/104/orders/1", "two lattes", { qos: 2 });
  await until(() => textsOn(here, "shop/orders/1").length === 1, "order");
  assert.equal(here.messages.find(({ topic }) => topic === "shop/orders/1")?.qos, 2);
});

test("an acknowledgement of the remote is what moves the queue; without one it is sent again", async () => {
  await using both = await Chain.start();
  const { store, central } = both;
  await both.bridge();
  await both.connected();
  const sensor = await store.client({ clientId: "sensor" });
  const there = await reader(central);
  central.files.fault = new Error("its disk is full");
  for (let at = 0; at < 5; at += 1) await sensor.published("/store104/a", String(at));
  await settle();
  assert.equal(store.broker.bridges.status("hq")?.backlogMessages, 5, "nothing is acknowledged there");
  both.cut();
  both.heal();
  central.files.fault = undefined;
  await both.drained();
  await until(() => textsOn(there, "hq/store104/a").length >= 1, "delivered");
});

test("topics of both directions do not come back, by version and by mark", async () => {
  for (const level of [4, 5] as const) {
    await using both = await Chain.start();
    const { store, central } = both;
    const topics: readonly BridgeTopic[] = [
      { pattern: "shared/#", direction: "both", qos: 1, localPrefix: "", remotePrefix: "" },
    ];
    await store.broker.bridges.put(settings(central, { level, topics }));
    await connected(store);
    const here = await store.client({ clientId: "here" });
    const there = await central.client({ clientId: "there" });
    await here.subscribed("shared/#");
    await there.subscribed("shared/#");
    await here.published("shared/a", "from here");
    await there.published("shared/b", "from there");
    await until(() => here.texts.length === 2 && there.texts.length === 2, "each has both");
    await store.clock.advance(5_000);
    assert.deepEqual(here.texts.toSorted(), ["from here", "from there"]);
    assert.deepEqual(there.texts.toSorted(), ["from here", "from there"]);
  }
});

test("a ring of bridges ends by the marks", async () => {
  await using both = await Chain.start();
  const { store, central } = both;
  const third = await World.start({ seed: 21, beside: store, host: "third" });
  const all: BridgeTopic = { pattern: "ring/#", direction: "out", qos: 1, localPrefix: "", remotePrefix: "" };
  const ring = [store, central, third];
  for (const [at, world] of ring.entries()) {
    const next = ring[(at + 1) % 3] as World;
    const clientId = `ring-${at}`;
    await world.broker.bridges.put(settings(next, { clientId, topics: [all] }));
  }
  for (const world of ring) await connected(world);
  const here = await store.client({ clientId: "here" });
  await here.subscribed("ring/#");
  await here.published("ring/a", "once");
  await until(() => here.texts.length === 2, "its own, and once round");
  await store.clock.advance(5_000);
  assert.equal(here.texts.length, 2);
  assert.equal(
    store.broker.bridges.status("hq")?.counts.skipped,
    1,
    "what came over this bridge does not go again",
  );
  await third[Symbol.asyncDispose]();
});

test("connected and not is told on both sides, retained, also when the line dies", async () => {
  await using both = await Chain.start();
  const { store, central } = both;
  const state = "$SYS/broker/connection/store-104.hq/state";
  await both.bridge();
  await both.connected();
  const here = await store.client({ clientId: "here" });
  const there = await central.client({ clientId: "there" });
  await here.subscribed("$SYS/broker/connection/+/state");
  await there.subscribed("$SYS/broker/connection/+/state");
  await until(() => textsOn(here, state).at(-1) === "1" && textsOn(there, state).at(-1) === "1", "1");
  assert.equal(there.messages[0]?.retain, true);
  const refused = await central.client({ clientId: "liar", level: 5 });
  refused.publish("$SYS/broker/uptime", "x");
  await until(() => refused.packets.some((one) => one.type === "puback" && one.code === 0x90), "0x90");
  both.cut();
  both.heal();
  const [again, far] = [await store.client({ clientId: "a" }), await central.client({ clientId: "b" })];
  await again.subscribed("$SYS/broker/connection/+/state");
  await far.subscribed("$SYS/broker/connection/+/state");
  await until(() => textsOn(again, state).at(-1) === "0" && textsOn(far, state).at(-1) === "0", "0");
  await connected(store);
  await until(() => textsOn(far, state).at(-1) === "1", "1 again");
  await store.broker.bridges.remove("hq");
  await until(() => textsOn(far, state).at(-1) === "0", "said goodbye");
});

test("QoS 2 counts once over cuts of the line in each phase", async () => {
  await using both = await Chain.start();
  const { store, central } = both;
  const there = await reader(central);
  await store.broker.bridges.put(settings(central, { topics: [{ ...out, qos: 2 }], ids: false }));
  await connected(store);
  const sensor = await store.client({ clientId: "sensor" });
  for (let at = 0; at < 40; at += 1) {
    sensor.publish("/store104/a", String(at), { qos: 2 });
    // A cut after a growing number of turns meets PUBLISH, PUBREC, PUBREL and PUBCOMP on their way.
    for (let turn = 0; turn < at % 8; turn += 1)
      await new Promise<void>((resolve) => void setImmediate(resolve));
    if (at % 2 === 0) both.cut();
    both.heal();
    await both.connected();
  }
  await both.drained();
  await until(() => textsOn(there, "hq/store104/a").length >= 40, "all");
  await settle();
  assert.deepEqual(
    textsOn(there, "hq/store104/a"),
    Array.from({ length: 40 }, (_, at) => String(at)),
  );
});

test("QoS 2 from the remote counts once over cuts of the line and of the power here", async () => {
  await using both = await Chain.start();
  const { store, central } = both;
  const more = { topics: [{ ...out, direction: "in", qos: 2 }] as const, ids: false };
  const absent = await reader(store, "/store104/#");
  absent.connection.end();
  await both.bridge(more);
  await both.connected();
  const head = await central.client({ clientId: "head" });
  for (let at = 0; at < 40; at += 1) {
    head.publish("hq/store104/a", String(at), { qos: 2 });
    for (let turn = 0; turn < at % 8; turn += 1)
      await new Promise<void>((resolve) => void setImmediate(resolve));
    if (at % 4 === 0) both.cut();
    both.heal();
    if (at % 4 === 2) {
      await store.cutPower();
      await both.bridge(more);
    }
    await both.connected();
  }
  const expected = Array.from({ length: 40 }, (_, at) => String(at));
  await store.clock.until(() => both.status.state === "connected", { withinMs: 60_000 });
  await store.clock.advance(5_000);
  const here = await reader(store, "/store104/#");
  await until(() => here.messages.length >= 40, "all");
  await settle();
  assert.deepEqual(textsOn(here, "/store104/a"), expected);
});

test("what was retained before a topic is bridged goes over once, also what was published with QoS 0", async () => {
  await using both = await Chain.start();
  const { store, central } = both;
  const sensor = await store.client({ clientId: "sensor" });
  await sensor.published("/store104/a", "kept", { retain: true });
  sensor.publish("/store104/b", "kept too", { qos: 0, retain: true });
  await sensor.published("/store104/c", "gone");
  const there = await reader(central, "hq/#");
  await both.bridge();
  await both.connected();
  await until(() => there.messages.length === 2, "both");
  await both.drained();
  await store.restart();
  await both.bridge();
  await both.connected();
  await settle();
  assert.deepEqual(there.texts.toSorted(), ["kept", "kept too"]);
  assert.ok(
    there.messages.every(({ retain }) => !retain),
    "there they are news",
  );
  const late = await central.client({ clientId: "late" });
  await late.subscribed("hq/#");
  await until(() => late.messages.length === 2, "retained there");
});

for (const turns of [0, 2, 4, 6, 8, 10, 13, 16, 20, 25, 30, 40])
  test(`a power cut ${turns} turns after a topic is bridged: all that was retained goes over`, async () => {
    await using both = await Chain.start();
    const { store, central } = both;
    const there = await reader(central, "hq/#");
    both.cut();
    const sensor = await store.client({ clientId: "sensor" });
    const topics = Array.from({ length: 1_500 }, (_, at) => `/store104/${at}`);
    for (const topic of topics) sensor.publish(topic, "old", { retain: true });
    await sensor.published("/store104/0", "kept", { retain: true });
    const bridging = both.bridge();
    for (let at = 0; at < turns; at += 1) await turn();
    sensor.publish("/store104/live", "live", { retain: true });
    for (let at = 0; at < turns % 5; at += 1) await turn();
    await store.cutPower();
    await bridging;
    both.heal();
    await both.bridge();
    await both.connected();
    await both.drained();
    await settle();
    const came = new Map<string, number>();
    for (const { topic } of there.messages) came.set(topic.slice(2), (came.get(topic.slice(2)) ?? 0) + 1);
    assert.deepEqual(
      [...topics].filter((topic) => !came.has(topic)),
      [],
    );
    const twice = [...came.values()].filter((times) => times > 1).length;
    assert.ok(twice <= 200, `${twice} of ${topics.length} came twice`);
    await store.restart();
    await both.bridge();
    await both.connected();
    await settle();
    assert.equal(
      there.messages.length,
      topics.length + twice + (came.has("/store104/live") ? 1 : 0),
      "and once",
    );
  });

test("a bridge that gets other settings while what was retained goes into its queue loses and doubles none", async () => {
  for (const turns of [1, 3, 8, 20, 40]) {
    await using both = await Chain.start();
    const { store, central } = both;
    const there = await reader(central, "hq/#");
    both.cut();
    const sensor = await store.client({ clientId: "sensor" });
    for (let at = 1; at < 1_000; at += 1) sensor.publish(`/store104/${at}`, "old", { retain: true });
    await sensor.published("/store104/0", "kept", { retain: true });
    for (const keepAliveS of [20, 30, 40]) {
      await both.bridge({ keepAliveS });
      for (let turn = 0; turn < turns; turn += 1) await settle();
    }
    both.heal();
    await both.connected();
    await both.drained();
    await settle();
    assert.equal(new Set(there.messages.map(({ topic }) => topic)).size, 1_000, `${turns} turns`);
    assert.equal(there.messages.length, 1_000, `${turns} turns`);
  }
});

test("a message expires here as it would anywhere, and the rest of its time goes with it", async () => {
  await using both = await Chain.start();
  const { store, central } = both;
  await both.bridge();
  await both.connected();
  both.cut();
  const sensor = await store.client({ clientId: "sensor", level: 5 });
  for (const [id, messageExpiryIntervalS] of [
    [1, 30],
    [2, 600],
  ] as const)
    sensor.send({
      type: "publish",
      topic: "/store104/a",
      payload: new TextEncoder().encode(String(id)),
      qos: 1,
      retain: false,
      dup: false,
      id,
      properties: { messageExpiryIntervalS },
    });
  await settle();
  await store.clock.advance(100_000);
  const there = await reader(central, "hq/#");
  both.heal();
  await both.connected();
  await both.drained();
  await until(() => there.messages.length === 1, "the one that lives");
  assert.equal(there.texts[0], "2");
  const left = there.messages[0]?.properties?.messageExpiryIntervalS ?? 0;
  assert.ok(left > 300 && left <= 500, `${left} s are left`);
});

test("a mark that somebody else passes on neither hides his message nor harms its owner", async () => {
  await using world = await World.start({
    authenticate: ({ username = "" }) => Promise.resolve({ user: username }),
  });
  const there = await reader(world, "#", { username: "reader" });
  const userProperties = [{ name: "cortado-bridge", value: "b0b0b0b0.hq 5 0" }];
  const publish = async (username: string, text: string): Promise<void> => {
    const client = await world.client({ clientId: `${username}-1`, username, level: 5 });
    client.send({
      type: "publish",
      topic: "a",
      payload: new TextEncoder().encode(text),
      qos: 1,
      retain: false,
      dup: false,
      id: 1,
      properties: { userProperties },
    });
    await until(() => client.has("puback", 1), "acknowledged");
  };
  await publish("store", "1");
  await publish("other", "2");
  await publish("store", "1 again");
  await settle();
  assert.deepEqual(there.texts, ["1", "2"]);
  await world.cutPower();
  await publish("store", "1 after a power cut");
  await publish("other", "3");
  const back = await reader(world, "#", { username: "reader" });
  await until(() => back.texts.includes("3"), "3");
  assert.ok(!back.texts.some((text) => text.includes("again") || text.includes("power")));
});
