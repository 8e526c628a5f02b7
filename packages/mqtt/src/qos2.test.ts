import assert from "node:assert/strict";
import { test } from "node:test";
import { settle } from "@cortado/std/testing/held-clock";
import type { PublishPacket } from "@cortado/wire/mqtt";
import { folder, until, World, type TestClient } from "./testing/world.ts";

/** A subscriber that takes QoS 2 as the standard says: a message counts when its id is new. */
async function exactly(world: World, got: string[], known: Set<number>): Promise<TestClient> {
  const client = await world.client({ clientId: "exact", cleanSession: false, autoAck: false });
  let seen = 0;
  const take = (): void => {
    for (; seen < client.packets.length; seen += 1) {
      const packet = client.packets[seen];
      if (packet?.type === "publish") {
        if (!known.has(packet.id)) got.push(new TextDecoder().decode((packet as PublishPacket).payload));
        known.add(packet.id);
        client.send({ type: "pubrec", id: packet.id });
      } else if (packet?.type === "pubrel") {
        known.delete(packet.id);
        client.send({ type: "pubcomp", id: packet.id });
      }
    }
  };
  Object.assign(client, { take });
  return client;
}
const take = (client: TestClient): void => (client as TestClient & { take(): void }).take();

for (let seed = 1; seed <= 8; seed += 1)
  test(`QoS 2 to a subscriber counts once over power cuts, seed ${seed}`, async () => {
    await using world = await World.start({ seed, limits: { segmentBytes: 4_096, inflightMax: 5 } });
    const got: string[] = [];
    const known = new Set<number>();
    const setUp = await exactly(world, got, known);
    await setUp.subscribed(["a", 2]);
    const acknowledged: string[] = [];
    for (let cut = 0; cut < 6; cut += 1) {
      const sender = await world.client({ clientId: "sender" });
      const reader = await exactly(world, got, known);
      for (let at = 0; at < 8; at += 1) {
        const text = `${cut}-${at}`;
        const id = sender.publish("a", text, { qos: 2 });
        for (let turn = 0; turn < (seed + at + cut) % 7; turn += 1) {
          await new Promise<void>((resolve) => void setImmediate(resolve));
          take(reader);
        }
        if (sender.has("pubrec", id)) acknowledged.push(text);
      }
      await world.cutPower();
    }
    const last = await exactly(world, got, known);
    for (let quiet = 0, before = 0; quiet < 5; quiet = got.length === before ? quiet + 1 : 0) {
      before = got.length;
      await settle();
      take(last);
    }
    assert.equal(new Set(got).size, got.length, "none twice");
    assert.deepEqual(
      acknowledged.filter((text) => !got.includes(text)),
      [],
    );
    assert.equal(known.size, 0, "each was completed");
    assert.ok(got.length > 10, `only ${got.length} came`);
  });

test("a retained message of QoS 2 comes to a persistent session once, with its retain flag, over a restart", async () => {
  await using world = await World.start();
  const sender = await world.client({ clientId: "sender" });
  sender.publish("a", "kept", { qos: 2, retain: true });
  await until(() => sender.packets.some(({ type }) => type === "pubcomp"), "published");
  const client = await world.client({ clientId: "c", cleanSession: false, autoAck: false });
  await client.subscribed(["a", 2]);
  await until(() => client.messages.length === 1, "delivered");
  const [first] = client.messages;
  client.send({ type: "pubrec", id: first?.id ?? 0 });
  await until(() => client.has("pubrel", first?.id ?? 0), "PUBREL");
  await world.restart();
  const back = await world.client({ clientId: "c", cleanSession: false });
  await until(() => back.has("pubrel", first?.id ?? 0), "PUBREL again");
  await settle();
  assert.equal(back.messages.length, 0);
  assert.equal(first?.retain, true);
});

/** Publishes again what was not answered, as a client does that came back, and ends the exchange. */
async function sentAgain(world: World, { id, text }: { id: number; text: string }): Promise<void> {
  const sender = await world.client({ clientId: "sender", cleanSession: false });
  const payload = new TextEncoder().encode(text);
  sender.send({ type: "publish", topic: "a", payload, qos: 2, retain: false, dup: true, id });
  await until(() => sender.has("pubcomp", id), "PUBCOMP");
}

test("a state file that is written while a QoS 2 publish is on its way to the disk does not make its resend a duplicate", async () => {
  let statesBehind = 0;
  // How far the journal gets after its fault, in writes: between two of them the group before the publish is on disk, its own not.
  for (let writes = 0; writes < 12; writes += 1) {
    await using world = await World.start({ limits: { segmentBytes: 1_024 } });
    const reader = await world.client({ clientId: "reader", cleanSession: false });
    await reader.subscribed(["a", 2]);
    reader.connection.end();
    const sender = await world.client({ clientId: "sender", cleanSession: false, autoAck: false });
    await sender.published("a", "large enough for a state file".repeat(100));
    const { files, clock } = world;
    files.fault = new Error("no space");
    files.strikes = (path) => path.includes("/journal-");
    sender.publish("a", "the group before");
    await settle();
    const id = sender.publish("a", "once", { qos: 2 });
    await settle();
    let left = writes;
    files.strikes = (path) => path.includes("/journal-") && (left -= 1) < 0;
    await clock.advance(60_000);
    const isAnswered = sender.has("pubrec", id);
    if (!isAnswered && (await files.read(`${folder}/state`)) !== undefined) statesBehind += 1;
    files.strikes = () => true;
    await world.cutPower();
    await sentAgain(world, { id, text: "once" });
    const back = await world.client({ clientId: "reader", cleanSession: false });
    await settle();
    assert.deepEqual(
      back.texts.filter((text) => text === "once"),
      ["once"],
      `after ${writes} writes of the journal`,
    );
  }
  assert.ok(statesBehind > 0, "a state file was written in between");
});
