import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "@cortado/std/random";
import { settle } from "@cortado/std/testing/held-clock";
import { MemoryFiles } from "@cortado/std/testing/memory-files";
import { folder, until, World, type TestClient } from "./testing/world.ts";

const pubacks = (client: TestClient): number => client.packets.filter(({ type }) => type === "puback").length;

for (let seed = 1; seed <= 12; seed += 1)
  test(`no acknowledged message is lost in five power cuts, seed ${seed}`, async () => {
    await using world = await World.start({
      seed,
      limits: { segmentBytes: 4_096, diskBytesMax: 10_000_000 },
    });
    const random = seededRandom(seed);
    const acknowledged = new Set<string>();
    const received: string[] = [];
    let made = 0;
    const setUp = await world.client({ clientId: "away", cleanSession: false });
    await setUp.subscribed("/store104/#");
    setUp.connection.destroy();
    for (let cut = 0; cut < 5; cut += 1) {
      const sender = await world.client({ clientId: "sender" });
      const texts = new Map<number, string>();
      const turns = random.integer(60) + 5;
      for (let at = 0; at < turns; at += 1) {
        for (let burst = random.integer(4); burst > 0; burst -= 1) {
          const text = `${cut}-${(made += 1)}`;
          texts.set(sender.publish("/store104/x", text, { retain: random.integer(5) === 0 }), text);
        }
        await new Promise((resolve) => void setImmediate(resolve));
      }
      for (const packet of sender.packets)
        if (packet.type === "puback") acknowledged.add(texts.get(packet.id) ?? "");
      if (cut % 2 === 1) {
        const reader = await world.client({ clientId: "away", cleanSession: false });
        for (let at = random.integer(20); at > 0; at -= 1)
          await new Promise((resolve) => void setImmediate(resolve));
        received.push(...reader.texts);
      }
      await world.cutPower();
    }
    const reader = await world.client({ clientId: "away", cleanSession: false });
    assert.deepEqual(reader.packets[0], { type: "connack", sessionPresent: true, code: 0 });
    await settle();
    await until(
      () => [...acknowledged].every((text) => received.includes(text) || reader.texts.includes(text)),
      "all acknowledged ones",
    );
    const numbers = reader.texts.map((text) => Number(text.split("-")[1]));
    assert.deepEqual(
      numbers,
      numbers.toSorted((a, b) => a - b),
      "in order",
    );
    assert.equal(new Set(numbers).size, numbers.length, "none twice on one connection");
    assert.ok(acknowledged.size > 20, "there was something to lose");
  });

test("subscriptions and retained messages that were acknowledged survive a power cut", async () => {
  await using world = await World.start({ seed: 3 });
  const client = await world.client({ clientId: "c", cleanSession: false });
  await client.subscribed("/a", "/b");
  const id = client.nextId();
  client.send({ type: "unsubscribe", id, filters: ["/b"] });
  await until(() => client.has("unsuback", id), "UNSUBACK");
  await client.published("/r", "kept", { retain: true });
  await world.cutPower();
  const sender = await world.client({ clientId: "s" });
  await sender.published("/a", "1");
  await sender.published("/b", "2");
  await sender.subscribed("/r");
  const back = await world.client({ clientId: "c", cleanSession: false });
  await settle();
  assert.deepEqual(back.texts, ["1"]);
  assert.deepEqual(sender.texts, ["kept"]);
});

test("what a killed broker wrote and never synced is durable once the next one has found it", async () => {
  const files = new MemoryFiles();
  {
    await using world = await World.start();
    const client = await world.client({ clientId: "sender" });
    await client.published("/store104/x", "news", { retain: true });
    for (const name of await world.files.list(folder)) {
      const file = await files.openAppend(`${folder}/${name}`);
      await file.append((await world.files.read(`${folder}/${name}`)) as Uint8Array); // and was killed before its sync
    }
  }
  const found = async (): Promise<readonly string[]> => {
    await using world = await World.start({ files });
    const client = await world.client({ clientId: "reader" });
    await client.subscribed("/store104/#");
    await settle();
    return client.texts;
  };
  assert.deepEqual(await found(), ["news"]);
  files.cutPower();
  assert.deepEqual(await found(), ["news"]);
});

test("a full disk acknowledges nothing, says so, and goes on when there is room", async () => {
  await using world = await World.start();
  const reader = await world.client({ clientId: "reader", cleanSession: false });
  await reader.subscribed("a");
  const sender = await world.client({ clientId: "sender" });
  await sender.published("a", "before");
  world.files.fault = new Error("ENOSPC: no space left on device");
  sender.publish("a", "during");
  await world.clock.advance(5_000);
  assert.equal(pubacks(sender), 1);
  assert.deepEqual(reader.texts, ["before"]);
  assert.match(world.broker.health().faults.join(), /cannot write to \/mqtt: ENOSPC/);
  sender.send({ type: "pingreq" });
  await sender.expect("pingresp"); // it still answers
  world.files.fault = undefined;
  await world.clock.advance(3_000);
  await until(() => pubacks(sender) === 2 && reader.texts.length === 2, "goes on");
  assert.deepEqual(reader.texts, ["before", "during"]);
  assert.deepEqual(world.broker.health(), { ready: true, faults: [], setAside: [] });
  await world.restart();
  const back = await world.client({ clientId: "reader", cleanSession: false });
  await settle();
  assert.deepEqual(
    back.texts.filter((text) => text !== "during"),
    [],
    "only what could not be marked as read may come again",
  );
});

test("a full quota holds the publisher and loses nothing", async () => {
  await using world = await World.start({ limits: { sessionItemsMax: 10 } });
  const reader = await world.client({ clientId: "reader", cleanSession: false });
  await reader.subscribed("a");
  reader.connection.destroy();
  const sender = await world.client({ clientId: "sender", keepAliveS: 5 });
  for (let at = 0; at < 300; at += 1) sender.publish("a", String(at));
  await settle();
  assert.equal(pubacks(sender), 10);
  await world.clock.advance(60_000);
  assert.equal(sender.closed, false, "who is held is not silent");
  const other = await world.client({ clientId: "other" });
  await other.published("b", "unharmed");
  const back = await world.client({ clientId: "reader", cleanSession: false });
  await until(() => back.texts.length === 300 && pubacks(sender) === 300, "all through");
  assert.deepEqual(
    back.texts,
    Array.from({ length: 300 }, (_, at) => String(at)),
  );
});

test("who is held can still acknowledge what frees its own quota", async () => {
  await using world = await World.start({ limits: { sessionItemsMax: 10 } });
  const both = await world.client({ clientId: "both", cleanSession: false });
  await both.subscribed("a");
  for (let at = 0; at < 60; at += 1) both.publish("a", String(at));
  await until(() => both.texts.length === 60 && pubacks(both) === 60, "all through");
});

test("a slow subscriber with a clean session is disconnected, the others get everything", async () => {
  await using world = await World.start();
  const slow = await world.client({ clientId: "slow", autoAck: false });
  await slow.subscribed("a");
  const quick = await world.client({ clientId: "quick" });
  await quick.subscribed("a");
  const sender = await world.client({ clientId: "sender" });
  const text = "x".repeat(100_000);
  for (let at = 0; at < 200; at += 1) await sender.published("a", text);
  await until(() => slow.closed && quick.messages.length === 200, "slow closed");
});

test("a queue longer than memory is read from disk, in order, while new messages come", async () => {
  await using world = await World.start({ limits: { segmentBytes: 65_536 } });
  const reader = await world.client({ clientId: "reader", cleanSession: false });
  await reader.subscribed("a/#");
  const rare = await world.client({ clientId: "rare", cleanSession: false });
  await rare.subscribed("a/rare");
  for (const client of [reader, rare]) client.connection.destroy();
  const sender = await world.client({ clientId: "sender" });
  const pad = "x".repeat(400);
  for (let at = 0; at < 9_000; at += 1) {
    sender.publish(at % 1_000 === 7 ? "a/rare" : "a/b", `${at} ${pad}`);
    if (at % 500 === 0) await settle();
  }
  await until(() => pubacks(sender) === 9_000, "acknowledged", 20_000);
  const back = await world.client({ clientId: "reader", cleanSession: false });
  await until(() => back.messages.length > 500, "under way");
  for (let at = 9_000; at < 9_100; at += 1) sender.publish("a/b", `${at} ${pad}`);
  await until(() => back.messages.length >= 9_100, "all", 50_000);
  assert.deepEqual(
    back.texts.map((text) => Number(text.split(" ")[0])),
    Array.from({ length: 9_100 }, (_, at) => at),
  );
  const rareBack = await world.client({ clientId: "rare", cleanSession: false });
  await until(() => rareBack.messages.length === 9, "the rare ones", 20_000);
});

test("the journal stays small: read segments go, sparse ones are written anew, nothing waiting is lost", async () => {
  await using world = await World.start({ limits: { segmentBytes: 100_000, diskBytesMax: 20_000_000 } });
  const sleeper = await world.client({ clientId: "sleeper", cleanSession: false });
  await sleeper.subscribed("rare");
  sleeper.connection.destroy();
  const reader = await world.client({ clientId: "reader", cleanSession: false });
  await reader.subscribed("often");
  const sender = await world.client({ clientId: "sender" });
  const pad = "x".repeat(1_000);
  for (let at = 0; at < 6_000; at += 1) {
    await sender.published("often", pad);
    if (at % 200 === 0) await sender.published("rare", `rare ${at} ${pad}`);
    if (at % 100 === 0) await world.clock.advance(60);
  }
  await settle();
  const bytes = await world.diskBytes();
  assert.ok(bytes < 800_000, `6 MB went through, ${bytes} are left`);
  for (const step of ["restart", "cutPower"] as const) await world[step]();
  const back = await world.client({ clientId: "sleeper", cleanSession: false });
  await until(() => back.messages.length === 30, "all rare ones");
  assert.deepEqual(
    back.texts.map((text) => Number(text.split(" ")[1])),
    Array.from({ length: 30 }, (_, at) => at * 200),
  );
});

test("a damaged segment is set aside and reported, the broker starts with all that is sound", async () => {
  await using world = await World.start();
  const reader = await world.client({ clientId: "reader", cleanSession: false });
  await reader.subscribed("a");
  reader.connection.destroy();
  const sender = await world.client({ clientId: "sender" });
  for (let at = 0; at < 20; at += 1) await sender.published("a", `message ${at}`);
  const [name] = await world.files.list(folder);
  const path = `${folder}/${name}`;
  const bytes = new Uint8Array((await world.files.read(path)) ?? []);
  const at = Buffer.from(bytes).indexOf("message 7");
  bytes[at] = 0;
  await world.broker[Symbol.asyncDispose]();
  await world.files.replace(path, bytes);
  await world.boot();
  assert.equal(world.broker.health().setAside.length, 1);
  assert.ok(world.kept.lines.some(({ level, message }) => level === "error" && /damaged/.test(message)));
  const back = await world.client({ clientId: "reader", cleanSession: false });
  await until(() => back.messages.length === 19, "all but one");
  assert.ok(!back.texts.includes("message 7"));
  await world.restart();
  assert.equal(world.broker.health().setAside.length, 0);
});

test("files full of nothing do not keep a broker from starting", async () => {
  await using world = await World.start();
  const sender = await world.client({ clientId: "sender", cleanSession: false });
  await sender.published("a", "x", { retain: true });
  await world.broker[Symbol.asyncDispose]();
  for (const name of [...(await world.files.list(folder)), "state"])
    await world.files.replace(`${folder}/${name}`, new Uint8Array(5_000));
  await world.boot();
  const client = await world.client({ clientId: "c", cleanSession: false });
  await client.subscribed("a");
  await client.published("a", "works");
  await until(() => client.messages.length === 1, "delivered");
});

test("a journal of a newer release is not touched", async () => {
  await using world = await World.start();
  const { jsonRecord, recordKinds } = await import("./journal/records.ts");
  await world.files.replace(`${folder}/state`, jsonRecord(recordKinds.header, { version: 99, broker: "x" }));
  await world.broker[Symbol.asyncDispose]();
  await assert.rejects(world.boot(), /format 99/);
  await world.files.remove(`${folder}/state`);
  await world.boot();
});

test("sessions that nobody comes back to expire, with a line in the log", async () => {
  await using world = await World.start({ limits: { sessionExpiryMs: 3_600_000 } });
  const away = await world.client({ clientId: "away", cleanSession: false });
  await away.subscribed("a");
  away.connection.destroy();
  await world.clock.advance(3_700_000);
  assert.ok(world.kept.lines.some(({ message }) => /expired/.test(message)));
  const back = await world.client({ clientId: "away", cleanSession: false });
  assert.deepEqual(back.packets[0], { type: "connack", sessionPresent: false, code: 0 });
});
