import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "@cortado/std/random";
import { settle } from "@cortado/std/testing/held-clock";
import { address, until, World } from "../testing/world.ts";
import { connectMqtt, type ConnectMqttOptions, type MqttClient, type MqttMessage } from "./client.ts";

type Started = { readonly client: MqttClient; readonly messages: MqttMessage[] };

function start(world: World, more: Partial<ConnectMqttOptions> = {}): Started {
  const messages: MqttMessage[] = [];
  const client = connectMqtt({
    dial: () => world.broker.dialLocal("functions"),
    stamped: true,
    clientId: "functions",
    cleanSession: false,
    clock: world.clock,
    random: seededRandom(9),
    log: world.kept.log,
    onMessage: (message) => void messages.push(message),
    ...more,
  });
  return { client, messages };
}

test("a message keeps its id over redelivery, reconnect and restart until it is acknowledged", async () => {
  await using world = await World.start();
  {
    const { client, messages } = start(world);
    assert.deepEqual(await client.subscribe([{ filter: "/+/fridge/temp", qos: 1 }]), [1]);
    await client.publish({
      topic: "/store104/fridge/temp",
      payload: new TextEncoder().encode("97.4"),
      qos: 1,
    });
    await client.publish({ topic: "/store104/fridge/temp", payload: new TextEncoder().encode("3"), qos: 1 });
    await until(() => messages.length === 2, "two");
    messages[1]?.ack();
    await settle();
    await world.restart();
    await world.clock.until(() => messages.length >= 3, { withinMs: 20_000 });
    await settle();
    const [first, , third] = messages;
    assert.equal(messages.length, 3, "the acknowledged one does not come again");
    assert.equal(third?.id, first?.id);
    assert.equal(new TextDecoder().decode(third?.payload), "97.4");
    assert.equal(third?.atMs, first?.atMs);
    assert.notEqual(messages[1]?.id, first?.id);
    first?.ack(); // of a connection that is gone: does nothing
    await client[Symbol.asyncDispose]();
  }
  const { client, messages } = start(world);
  await until(() => messages.length === 1, "once more, as nobody acknowledged it");
  messages[0]?.ack();
  await settle();
  await client[Symbol.asyncDispose]();
  const last = start(world);
  await settle();
  assert.equal(last.messages.length, 0);
  await last.client[Symbol.asyncDispose]();
});

test("a publish waits for the connection and is acknowledged once", async () => {
  await using world = await World.start();
  const reader = await world.client({ clientId: "reader", cleanSession: false });
  await reader.subscribed("a");
  let refuse = true;
  const { client } = start(world, {
    stamped: false,
    dial: (options) =>
      refuse
        ? Promise.reject(new Error("no line"))
        : world.network.dial(address, ...([options] as unknown as [])),
  });
  const done = client.publish({ topic: "a", payload: new Uint8Array(1), qos: 1 });
  await assert.rejects(client.publish({ topic: "a", payload: new Uint8Array(1), qos: 0 }), /not connected/);
  await world.clock.advance(1_000);
  refuse = false;
  await world.clock.until(() => client.connected, { withinMs: 20_000 });
  await done;
  await until(() => reader.messages.length === 1, "delivered");
  await client[Symbol.asyncDispose]();
});

test("what waits fails by name when the client is closed, and too much is refused", async () => {
  await using world = await World.start();
  const { client } = start(world, { dial: () => Promise.reject(new Error("no line")) });
  const waiting = Array.from({ length: 1_000 }, () =>
    client.publish({ topic: "a", payload: new Uint8Array(1), qos: 1 }).catch((error: Error) => error.message),
  );
  await assert.rejects(client.publish({ topic: "a", payload: new Uint8Array(1), qos: 1 }), /try again later/);
  await client[Symbol.asyncDispose]();
  assert.ok((await Promise.all(waiting)).every((text) => /client functions is closed/.test(String(text))));
});

test("an idle client pings within its keep-alive", async () => {
  await using world = await World.start();
  const { client } = start(world, { keepAliveS: 10 });
  await until(() => client.connected, "connected");
  for (let at = 0; at < 20; at += 1) await world.clock.advance(5_000);
  assert.equal(client.connected, true);
  assert.ok(!world.kept.lines.some(({ fields }) => /silent/.test(String(fields["reason"]))));
  await client[Symbol.asyncDispose]();
});

test("a retained message is marked as such", async () => {
  await using world = await World.start();
  const { client, messages } = start(world);
  await client.publish({ topic: "a", payload: new Uint8Array(1), qos: 1, retain: true });
  await client.subscribe([{ filter: "#", qos: 1 }]);
  await until(() => messages.length === 1, "retained");
  assert.equal(messages[0]?.retain, true);
  await client[Symbol.asyncDispose]();
});
