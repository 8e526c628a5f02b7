import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "@cortado/std/random";
import { settle } from "@cortado/std/testing/held-clock";
import { reasonCodes } from "@cortado/wire/mqtt";
import { newMetrics } from "@cortado/std/metrics";
import { folder, until, World, type TestClient } from "./testing/world.ts";

const authenticate = ({ username = "" }): Promise<{ user: string }> => Promise.resolve({ user: username });
const pad = "x".repeat(900);

async function leave(world: World, clientId: string, username: string): Promise<void> {
  const client = await world.client({ clientId, username, cleanSession: false });
  await client.subscribed(`/for/${username}`);
  client.connection.destroy();
}

const pubacks = (client: TestClient): number => client.packets.filter(({ type }) => type === "puback").length;

/** Codes of the PUBACKs of so many publishes. */
async function codesOf(client: TestClient, topic: string, count: number): Promise<readonly number[]> {
  const from = client.packets.length;
  for (let at = 0; at < count; at += 1) client.publish(topic, `${at} ${pad}`);
  await until(() => client.packets.length === from + count, "answers");
  return client.packets.slice(from).map((packet) => (packet.type === "puback" ? (packet.code ?? 0) : -1));
}

test("a tenant's quota is one for all its sessions: 0x97 to MQTT 5, over restarts, and nobody else is harmed", async () => {
  await using world = await World.start({ authenticate, limits: { tenantBytesMax: 20_000 } });
  for (const clientId of ["a1", "a2"]) await leave(world, clientId, "anna");
  await leave(world, "b1", "bert");
  const sender = await world.client({ clientId: "sender", level: 5, username: "sender" });
  const codes = await codesOf(sender, "/for/anna", 30);
  const admitted = codes.filter((code) => code === 0).length;
  assert.ok(admitted >= 8 && admitted <= 10, `each counts for two sessions: ${admitted} fit`);
  assert.equal(codes.filter((code) => code === reasonCodes.quotaExceeded).length, 30 - admitted);
  assert.ok((await codesOf(sender, "/for/bert", 15)).every((code) => code === 0));
  await world.restart();
  const again = await world.client({ clientId: "again", level: 5, username: "sender" });
  assert.deepEqual(await codesOf(again, "/for/anna", 2), [0x97, 0x97]);
  for (const clientId of ["a1", "a2"]) {
    const back = await world.client({ clientId, username: "anna", cleanSession: false });
    await until(() => back.messages.length === admitted, "all that was acknowledged");
  }
  assert.deepEqual(await codesOf(again, "/for/anna", 2), [0, 0]);
});

test("a tenant's full quota holds the socket of a client of 3.1.1 until there is room", async () => {
  const tenantOf = (user: string): string => user.split("-")[0] ?? "";
  await using world = await World.start({ authenticate, tenantOf, limits: { tenantBytesMax: 20_000 } });
  await leave(world, "one", "store-1");
  await leave(world, "two", "store-2");
  const sender = await world.client({ clientId: "sender", username: "sender" });
  for (let at = 0; at < 15; at += 1) sender.publish("/for/store-1", `${at} ${pad}`);
  for (let at = 0; at < 15; at += 1) sender.publish("/for/store-2", `${at} ${pad}`);
  await settle();
  assert.ok(pubacks(sender) < 22, `${pubacks(sender)} are acknowledged`);
  assert.equal(sender.closed, false);
  assert.ok(world.kept.lines.some(({ fields }) => /sessions of store have/.test(String(fields["full"]))));
  const one = await world.client({ clientId: "one", username: "store-1", cleanSession: false });
  await until(() => one.messages.length === 15, "the first");
  const two = await world.client({ clientId: "two", username: "store-2", cleanSession: false });
  await until(() => two.messages.length === 15 && pubacks(sender) === 30, "all");
});

test("full quotas of retained messages and of the journal refuse, and take again what makes room", async () => {
  await using world = await World.start({
    limits: { retainedItemsMax: 5, segmentBytes: 4_096, diskBytesMax: 20_000 },
  });
  const sender = await world.client({ clientId: "sender", level: 5 });
  const retained = async (at: number, text: string): Promise<number> => {
    const id = sender.publish(`/r/${at}`, text, { retain: true });
    await until(() => sender.has("puback", id), "PUBACK");
    const ack = sender.packets.find((packet) => packet.type === "puback" && packet.id === id);
    return ack?.type === "puback" ? (ack.code ?? 0) : -1;
  };
  const fine: readonly number[] = [0, reasonCodes.noMatchingSubscribers];
  for (let at = 0; at < 5; at += 1) assert.ok(fine.includes(await retained(at, "text")));
  assert.equal(await retained(5, "one too many"), reasonCodes.quotaExceeded);
  assert.ok(fine.includes(await retained(4, "in the place of another")));
  assert.ok(fine.includes(await retained(3, "")));
  assert.ok(fine.includes(await retained(5, "room")));
  await leave(world, "away", "u");
  const codes = await codesOf(sender, "/for/u", 40);
  assert.ok(codes.includes(reasonCodes.quotaExceeded), "the journal is full");
  const away = await world.client({ clientId: "away", username: "u", cleanSession: false });
  await until(() => away.messages.length === codes.filter((code) => code === 0).length, "acknowledged");
  await settle();
  await world.clock.advance(5_000);
  assert.ok((await codesOf(sender, "/for/u", 2)).every((code) => code === 0));
});

for (const fault of ["ENOSPC: no space left on device", "EROFS: read-only file system", "EIO: i/o error"])
  test(`a disk that says ${fault.split(":")[0]} acknowledges nothing, and metric, log and health tell`, async () => {
    const metrics = newMetrics();
    await using world = await World.start({ metrics });
    const reader = await world.client({ clientId: "reader", cleanSession: false });
    await reader.subscribed("/a");
    const sender = await world.client({ clientId: "sender", level: 5 });
    await sender.published("/a", "before");
    await sender.published("/kept", "before", { retain: true });
    const writable = (): string | undefined => /^cortado_mqtt_writable (\d)$/m.exec(metrics.text())?.[1];
    assert.equal(writable(), "1");
    world.files.fault = new Error(`${fault}, write`);
    for (const topic of ["/a", "/b"]) sender.publish(topic, "during", { retain: topic === "/b" });
    await world.clock.advance(10_000);
    assert.equal(pubacks(sender), 2);
    assert.equal(writable(), "0");
    const { ready, faults } = world.broker.health();
    assert.equal(ready, false);
    assert.match(faults.join(), new RegExp(fault));
    assert.ok(
      world.kept.lines.some(({ level, message }) => level === "error" && /nothing is ack/.test(message)),
    );
    const late = await world.client({ clientId: "late" });
    await late.subscribed("/kept");
    await until(() => late.texts.length === 1, "what is retained can be read all the same");
    world.files.fault = undefined;
    await world.clock.advance(5_000);
    await until(() => pubacks(sender) === 4, "acknowledged");
    assert.equal(writable(), "1");
    assert.equal(world.broker.health().ready, true);
  });

for (let seed = 1; seed <= 20; seed += 1)
  test(`damage anywhere keeps no broker from starting, and costs only what it hit, seed ${seed}`, async () => {
    const random = seededRandom(seed);
    await using world = await World.start({ seed, limits: { segmentBytes: 2_048, diskBytesMax: 1_000_000 } });
    await leave(world, "away", "u");
    const sender = await world.client({ clientId: "sender" });
    for (let at = 0; at < 60; at += 1) {
      await sender.published("/for/u", `${at} ${"y".repeat(200)}`);
      await sender.published(`/kept/${at}`, "kept", { retain: true });
      await settle();
    }
    await world.broker[Symbol.asyncDispose]();
    const all = await world.files.list(folder);
    const newest = all.findLast((name) => name.startsWith("journal")); // its end may be torn
    const names = all.filter((name) => /^journal|\.(run|index)$/.test(name) && name !== newest);
    const name = names[random.integer(names.length)] ?? "";
    const bytes = new Uint8Array((await world.files.read(`${folder}/${name}`)) ?? []);
    const from = random.integer(bytes.byteLength - 60) + 1;
    const length = random.integer(50) + 10;
    for (let at = from; at < Math.min(from + length, bytes.byteLength); at += 1)
      bytes[at] = random.integer(256);
    await world.files.replace(`${folder}/${name}`, bytes);
    await world.boot();
    const setAside = world.broker.health().setAside.length;
    assert.equal(setAside, name.startsWith("journal") ? 1 : 0, name);
    const away = await world.client({ clientId: "away", username: "u", cleanSession: false });
    await away.subscribed("/kept/#");
    await until(() => away.messages.length >= 2 * 57, "what is left");
    await settle();
    const numbers = away.messages
      .filter(({ topic }) => topic === "/for/u")
      .map(({ payload }) => Number(new TextDecoder().decode(payload).split(" ")[0]));
    const kept = away.messages.filter(({ retain }) => retain).length;
    // What a start has no need to read is told of when it is read.
    assert.equal(world.broker.health().faults.length, name.endsWith(".run") ? 1 : 0, name);
    assert.ok(numbers.length >= 57 && kept >= 57, `${numbers.length} and ${kept} of 60 are left`);
    assert.deepEqual(
      numbers,
      numbers.toSorted((a, b) => a - b),
    );
    await sender.connection.destroy();
    const writer = await world.client({ clientId: "sender" });
    await writer.published("/for/u", "more");
  });
