import assert from "node:assert/strict";
import { test } from "node:test";
import { settle } from "@cortado/std/testing/held-clock";
import { reasonCodes, type Properties, type Will } from "@cortado/wire/mqtt";
import { until, World } from "./testing/world.ts";

function willOf(text: string, properties?: Properties, retain = false): Will {
  const payload = new TextEncoder().encode(text);
  return { topic: "/wills", payload, qos: 1, retain, ...(properties === undefined ? {} : { properties }) };
}

/** A session that is away, on the wills' topic; what it has got when it is back. */
async function listen(world: World): Promise<void> {
  const listener = await world.client({ clientId: "listener", cleanSession: false });
  await listener.subscribed("/wills");
  listener.connection.destroy();
}

async function heard(world: World): Promise<readonly string[]> {
  const listener = await world.client({ clientId: "listener", cleanSession: false });
  await settle();
  await world.clock.advance(100); // its acknowledgements are on disk
  listener.connection.destroy();
  return listener.texts;
}

for (const end of ["cutPower", "restart"] as const)
  for (const level of [4, 5] as const)
    test(`the will of a client that was connected at a ${end} is published by the next broker, once (level ${level})`, async () => {
      await using world = await World.start();
      await listen(world);
      await world.client({ clientId: "connected", level, will: willOf("gone", undefined, true) });
      const polite = await world.client({ clientId: "polite", level, will: willOf("never") });
      polite.send({ type: "disconnect" });
      const lost = await world.client({ clientId: "lost", level, will: willOf("lost before") });
      lost.connection.destroy();
      await settle();
      await world[end]();
      assert.deepEqual(await heard(world), ["lost before", "gone"]);
      await world[end]();
      assert.deepEqual(await heard(world), [], "not again");
      const reader = await world.client({ clientId: "reader" });
      await reader.subscribed("/wills");
      await until(() => reader.texts.length === 1, "retained");
      assert.deepEqual(reader.texts, ["gone"]);
    });

test("a will of a client that was connected waits for its delay after a power cut; who comes back takes it along", async () => {
  await using world = await World.start();
  await listen(world);
  const properties = { sessionExpiryIntervalS: 3_600 };
  const will = willOf("too late", { willDelayIntervalS: 60, correlationData: new Uint8Array([1, 255]) });
  const connect = { level: 5, cleanSession: false, properties } as const;
  await world.client({ ...connect, clientId: "back", will });
  await world.client({ ...connect, clientId: "away", will });
  await world.cutPower();
  await world.clock.advance(30_000);
  await world.client({ ...connect, clientId: "back" });
  assert.deepEqual(await heard(world), []);
  await world.cutPower(); // the delay goes on, by broker time
  await world.clock.advance(31_000);
  const reader = await world.client({ clientId: "listener", cleanSession: false, level: 5 });
  await until(() => reader.messages.length > 0, "the will");
  assert.deepEqual(reader.texts, ["too late"]);
  assert.deepEqual([...(reader.messages[0]?.properties?.correlationData ?? [])], [1, 255]);
});

test("a delayed will whose client went before the power cut is due when it was due", async () => {
  await using world = await World.start();
  await listen(world);
  const away = await world.client({
    clientId: "away",
    level: 5,
    cleanSession: false,
    properties: { sessionExpiryIntervalS: 3_600 },
    will: willOf("due", { willDelayIntervalS: 100 }),
  });
  away.connection.destroy();
  await settle();
  await world.clock.advance(60_000);
  await world.cutPower();
  await world.clock.advance(30_000);
  assert.deepEqual(await heard(world), []);
  await world.clock.advance(12_000);
  assert.deepEqual(await heard(world), ["due"]);
});

test("wills survive the state file that takes the journal's place", async () => {
  await using world = await World.start({ limits: { segmentBytes: 4_096, diskBytesMax: 10_000_000 } });
  await listen(world);
  await world.client({ clientId: "connected", will: willOf("gone") });
  const sender = await world.client({ clientId: "sender" });
  for (let at = 0; at < 30; at += 1) {
    await sender.published("/kept", "x".repeat(1_000), { retain: true });
    await settle();
  }
  assert.ok((await world.files.read("/mqtt/state")) !== undefined);
  await world.cutPower();
  assert.deepEqual(await heard(world), ["gone"]);
});

test("while the disk is full a client with a will is not let in, as nobody could answer for its will", async () => {
  await using world = await World.start();
  world.files.fault = new Error("ENOSPC: no space left on device");
  const client = await world.dial();
  client.send({
    type: "connect",
    level: 4,
    clientId: "c",
    cleanSession: true,
    keepAliveS: 0,
    will: willOf("x"),
  });
  await world.clock.advance(2_000);
  assert.deepEqual(client.packets, []);
  world.files.fault = undefined;
  await world.clock.advance(3_000);
  await client.expect("connack");
});

test("a will may go only where its client may publish", async () => {
  await using world = await World.start({ authorize: ({ topic }) => topic !== "/secret" });
  const refused = async (topic: string): Promise<number | undefined> => {
    const client = await world.dial(true, 5);
    const will = { ...willOf("x"), topic };
    client.send({ type: "connect", level: 5, clientId: "c", cleanSession: true, keepAliveS: 0, will });
    await until(() => client.closed, "closed");
    return client.connack.code;
  };
  assert.equal(await refused("/secret"), reasonCodes.notAuthorized);
  assert.equal(await refused("$SYS/broker/uptime"), reasonCodes.topicNameInvalid);
});
