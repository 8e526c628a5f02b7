import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom, type Random } from "@cortado/std/random";
import { settle } from "@cortado/std/testing/held-clock";
import { MemoryFiles } from "@cortado/std/testing/memory-files";
import { keptLog } from "@cortado/std/testing/silent-log";
import { filterMatches } from "@cortado/wire/mqtt";
import { jsonRecord, messageRecord, recordKinds, type Message } from "../journal/records.ts";
import { folder, until, World, type TestClient } from "../testing/world.ts";
import { FilterRange, orderKey } from "./order.ts";
import { RetainedMessages } from "./retained.ts";
import { indexPath } from "./run-names.ts";

const filters = [
  "/store104/fridge/temp",
  "/store104/fridge/+",
  "/store104/#",
  "/#",
  "#",
  "+",
  "+/store104/fridge/temp",
  "/+/fridge/temp",
  "/+/+/+",
  "+/+/+/+",
  "+/#",
  "/store104/fridge/temp/#",
  "//#",
  "$own/#",
  "$own/+/x",
  "nobody/+",
];

function messageOf(topic: string, text: string, more: Partial<Message> = {}): Message {
  return {
    sequence: 1,
    atMs: 0,
    topic,
    payload: new TextEncoder().encode(text),
    qos: 1,
    retain: true,
    recipients: [],
    grants: undefined,
    carried: undefined,
    expiresAtMs: undefined,
    ...more,
  };
}

const pick = <Item>(random: Random, items: readonly Item[]): Item =>
  items[random.integer(items.length)] as Item;

function topicBy(random: Random): string {
  const levels = ["", "store104", "store1", "store1!", "fridge", "temp", "x", "ü", "😀", "$own"];
  return Array.from({ length: random.integer(4) + 1 }, () => pick(random, levels)).join("/") || "/";
}

async function open(files: MemoryFiles): Promise<RetainedMessages> {
  const { log } = keptLog();
  return (await RetainedMessages.open({ files, folder, log, nowMs: 0 })).retained;
}

async function textsFor(retained: RetainedMessages, filter: string): Promise<readonly string[]> {
  const found: string[] = [];
  const reader = retained.matching(filter);
  for (let messages = await reader.next(); messages !== undefined; messages = await reader.next())
    for (const { topic, payload } of messages) found.push(`${topic} ${new TextDecoder().decode(payload)}`);
  return found;
}

for (let seed = 1; seed <= 8; seed += 1)
  test(`runs and memory together are the last message of each topic, in order, seed ${seed}`, async () => {
    const random = seededRandom(seed);
    const files = new MemoryFiles();
    const model = new Map<string, string>();
    let retained = await open(files);
    for (let step = 1; step <= 3_000; step += 1) {
      const topic = topicBy(random);
      // Long ones, so that a run has many blocks.
      const text = random.integer(5) === 0 ? "" : `${step} ${"x".repeat(random.integer(2_000))}`;
      retained.keep(messageOf(topic, text, { sequence: step }));
      if (text === "") model.delete(topic);
      else model.set(topic, text);
      if (random.integer(150) === 0) {
        retained.freeze();
        const writing = retained.checkpoint();
        if (random.integer(2) === 0) await writing; // else while the next are kept
        else {
          retained.keep(messageOf("/while", String(step), { sequence: step }));
          model.set("/while", String(step));
          await writing;
        }
        if (random.integer(2) === 0) await retained.merge(0);
      }
      if (random.integer(600) !== 0) continue;
      // What was fresh comes from the journal again.
      retained.freeze();
      await retained.checkpoint();
      await retained[Symbol.asyncDispose]();
      files.cutPower();
      retained = await open(files);
    }
    assert.equal(retained.items, model.size);
    for (const filter of filters) {
      const wanted = [...model.keys()]
        .filter((topic) => filterMatches(filter, topic))
        .toSorted((one, other) => (orderKey(one) < orderKey(other) ? -1 : 1))
        .map((topic) => `${topic} ${model.get(topic)}`);
      assert.deepEqual(await textsFor(retained, filter), wanted, filter);
    }
    await retained[Symbol.asyncDispose]();
  });

test("a reader that stops goes on where it was, and sees each topic as it is then", async () => {
  const retained = await open(new MemoryFiles());
  const pad = "x".repeat(3_000);
  for (let at = 0; at < 100; at += 1)
    retained.keep(messageOf(`/t/${String(at).padStart(3, "0")}`, `old ${pad}`));
  retained.freeze();
  await retained.checkpoint();
  const seen: string[] = [];
  const reader = retained.matching("/t/+");
  for (let turn = 0; ; turn += 1) {
    const messages = await reader.next();
    if (messages === undefined) break;
    seen.push(...messages.map(({ topic, payload }) => `${topic} ${payload.byteLength < 10}`));
    reader.rest();
    if (turn > 0) continue;
    retained.keep(messageOf("/t/050", "new", { sequence: 2 }));
    retained.keep(messageOf("/t/051", "", { sequence: 3 }));
    retained.freeze();
    await retained.checkpoint();
    retained.keep(messageOf("/t/052", "", { sequence: 4 }));
  }
  const numbers = Array.from({ length: 100 }, (_, at) => at).filter((at) => at !== 51 && at !== 52);
  const wanted = numbers.map((at) => `/t/${String(at).padStart(3, "0")} ${at === 50}`);
  assert.deepEqual(seen, wanted);
});

test("blocks without a match are read once, however often the reader rests", async () => {
  const files = new MemoryFiles();
  let reads = 0;
  const openAppend = files.openAppend.bind(files);
  files.openAppend = async (path) => {
    const file = await openAppend(path);
    const readAt = file.readAt.bind(file);
    file.readAt = (part) => {
      reads += 1;
      return readAt(part);
    };
    return file;
  };
  const retained = await open(files);
  const pad = "x".repeat(1_000);
  for (const name of ["a", "b", "c"]) {
    for (let at = 0; at < 1_000; at += 1)
      retained.keep(messageOf(`/${String(at).padStart(4, "0")}/${name}`, pad));
    retained.freeze();
    await retained.checkpoint();
  }
  const reader = retained.matching("/+/a");
  let count = 0;
  for (let part = await reader.next(); part !== undefined; part = await reader.next()) {
    count += part.length;
    reader.rest();
  }
  assert.equal(count, 1_000);
  assert.ok(reads < 300, `some 190 blocks were read ${reads} times`);
});

test("a merge drops what is cleared or expired, and the count is right again", async () => {
  const files = new MemoryFiles();
  const retained = await open(files);
  const checkpoint = async (): Promise<void> => {
    retained.freeze();
    await retained.checkpoint();
  };
  for (let at = 0; at < 4; at += 1) {
    retained.keep(messageOf("/cleared", at === 3 ? "" : "text"));
    retained.keep(messageOf("/expired", "text", { expiresAtMs: 1_000, sequence: at }));
    retained.keep(messageOf("/kept", `text ${at}`, { sequence: at }));
    await checkpoint();
  }
  assert.equal(retained.items, 2);
  assert.equal(retained.wantsMerge, true);
  await retained.merge(2_000);
  assert.equal(retained.items, 1);
  assert.deepEqual(await textsFor(retained, "#"), ["/kept text 3"]);
  assert.equal((await files.list(folder)).filter((name) => name.endsWith(".run")).length, 1);
});

test("blocks are passed over only if no topic in them can match", () => {
  const random = seededRandom(7);
  for (let round = 0; round < 5_000; round += 1) {
    const keys = Array.from({ length: 3 }, () => orderKey(topicBy(random))).toSorted();
    const [first = "", middle = "", last = ""] = keys;
    for (const filter of filters) {
      const range = new FilterRange(filter);
      if (!range.matches(middle)) continue;
      assert.ok(range.mayMatchWithin(first, last), JSON.stringify([filter, keys]));
      assert.ok(!range.isBefore(middle), JSON.stringify([filter, middle]));
    }
  }
});

const small = { segmentBytes: 4_096, diskBytesMax: 10_000_000 };

async function fill(client: TestClient, count: number, text: string): Promise<void> {
  const before = client.packets.length;
  for (let at = 0; at < count; at += 1) {
    client.publish(`/fill/${at}/x`, text, { retain: true });
    if (at % 50 === 49) await settle(); // a group of its own, so that there are segments
  }
  await until(() => client.packets.length === before + count, "filled", 50_000);
  await settle();
}

for (let seed = 1; seed <= 6; seed += 1)
  test(`no acknowledged retained message is lost or comes back over power cuts, seed ${seed}`, async () => {
    await using world = await World.start({ seed, limits: small });
    const random = seededRandom(seed);
    /** What a topic may hold: the last that was acknowledged, or one that was sent after it. */
    const may = new Map<string, string[]>();
    for (let cut = 0; cut < 6; cut += 1) {
      const sender = await world.client({ clientId: "sender" });
      const sent = new Map<number, { readonly topic: string; readonly text: string }>();
      for (let at = random.integer(150); at > 0; at -= 1) {
        const topic = `/t/${random.integer(25)}`;
        const text = random.integer(5) === 0 ? "" : `${cut}-${at} ${"x".repeat(random.integer(200))}`;
        sent.set(sender.publish(topic, text, { retain: true }), { topic, text });
        may.set(topic, [...(may.get(topic) ?? [""]), text]);
        if (random.integer(3) === 0) await new Promise((resolve) => void setImmediate(resolve));
      }
      for (let turns = random.integer(30); turns > 0; turns -= 1)
        await new Promise((resolve) => void setImmediate(resolve));
      for (const packet of sender.packets) {
        const one = packet.type === "puback" ? sent.get(packet.id) : undefined;
        if (one === undefined) continue;
        const texts = may.get(one.topic) ?? [];
        may.set(one.topic, texts.slice(texts.indexOf(one.text)));
      }
      await world.cutPower();
      const reader = await world.client({ clientId: "reader" });
      await reader.subscribed("/t/#");
      await settle();
      const { texts: all } = reader;
      const got = new Map(reader.messages.map(({ topic }, at) => [topic, all[at] ?? ""]));
      for (const [topic, texts] of may)
        assert.ok(texts.includes(got.get(topic) ?? ""), `${topic}: ${got.get(topic)}, not ${texts.join()}`);
      for (const [topic, text] of got) may.set(topic, [text]);
      for (const topic of may.keys()) if (!got.has(topic)) may.set(topic, [""]);
    }
    const names = await world.files.list(folder);
    assert.ok(
      names.some((name) => name.endsWith(".run")),
      "there were checkpoints",
    );
  });

test("many retained messages come to a slow subscriber as it takes them, and it misses no live one", async () => {
  await using world = await World.start({ limits: small });
  const sender = await world.client({ clientId: "sender" });
  await fill(sender, 2_000, "before");
  const slow = await world.client({ clientId: "slow", autoAck: false });
  await slow.subscribed("/fill/#");
  await settle();
  const first = slow.messages.length;
  assert.ok(first > 0 && first < 500, `${first} were sent before any was acknowledged`);
  await sender.published("/fill/1999/x", "changed", { retain: true });
  await fill(sender, 100, "again"); // enough for checkpoints
  slow.autoAck = true;
  for (const { id } of slow.messages) slow.send({ type: "puback", id });
  const topics = (): number => new Set(slow.messages.map(({ topic }) => topic)).size;
  for (let turn = 0; turn < 200 && topics() < 2_000; turn += 1) await settle();
  const { texts } = slow;
  const last = new Map(slow.messages.map(({ topic }, at) => [topic, texts[at]]));
  assert.equal(last.size, 2_000);
  assert.equal(last.get("/fill/1999/x"), "changed", "an older one does not come behind it");
  assert.equal([...last.values()].filter((text) => text === "again").length, 100);
  assert.equal(slow.messages.filter(({ retain }) => !retain).length, 101);
});

test("so many new topics begin a checkpoint that memory never holds them all, and the broker stays awake", async () => {
  await using world = await World.start({ limits: { segmentBytes: 1_000_000, diskBytesMax: 100_000_000 } });
  const reader = await world.client({ clientId: "reader", cleanSession: false });
  await reader.subscribed("/many/#"); // segments end as it acknowledges, in the midst of checkpoints
  const sender = await world.client({ clientId: "sender" });
  for (let at = 0; at < 60_000; at += 1) {
    sender.publish(`/many/${at}`, "x", { retain: true });
    if (at % 2_000 === 1_999) await settle();
  }
  const acknowledged = (): number => sender.packets.filter(({ type }) => type === "puback").length;
  await until(() => acknowledged() === 60_000, "all", 5_000);
  await settle();
  const runs = (await world.files.list(folder)).filter((name) => name.endsWith(".run"));
  assert.ok(runs.length >= 2, runs.join());
});

test("a subscription's end ends what it is being sent", async () => {
  await using world = await World.start({ limits: small });
  const sender = await world.client({ clientId: "sender" });
  await fill(sender, 2_000, "text");
  const reader = await world.client({ clientId: "reader", autoAck: false });
  await reader.subscribed("/fill/#");
  await settle();
  const id = reader.nextId();
  reader.send({ type: "unsubscribe", id, filters: ["/fill/#"] });
  await until(() => reader.has("unsuback", id), "UNSUBACK");
  reader.autoAck = true;
  for (const { id: packetId } of reader.messages) reader.send({ type: "puback", id: packetId });
  await settle();
  assert.ok(reader.messages.length < 500, String(reader.messages.length));
  await reader.subscribed("/fill/+/x");
  await until(() => reader.messages.length >= 2_000, "anew", 50_000);
});

test("a damaged run is set aside and reported, what is sound in it stays", async () => {
  await using world = await World.start({ limits: small });
  const sender = await world.client({ clientId: "sender" });
  await fill(sender, 300, "text");
  await world.broker[Symbol.asyncDispose]();
  const name = (await world.files.list(folder)).find((one) => one.endsWith(".run"));
  const path = `${folder}/${name}`;
  const bytes = new Uint8Array((await world.files.read(path)) ?? []);
  bytes[Buffer.from(bytes).indexOf("text")] = 0;
  await world.files.replace(path, bytes);
  await world.files.remove(indexPath(path)); // so that all of it is read
  await world.boot();
  const { setAside, faults } = world.broker.health();
  assert.deepEqual(faults, []);
  assert.deepEqual(
    setAside.map((one) => one.replace(/\d+$/, "")),
    [`damaged-${name}-`],
  );
  assert.deepEqual(await world.files.read(`${folder}/${setAside[0]}`), bytes);
  assert.ok(world.kept.lines.some(({ level, message }) => level === "error" && /damaged/.test(message)));
  const reader = await world.client({ clientId: "reader" });
  await reader.subscribed("/fill/#");
  await until(() => reader.messages.length >= 299, "all but one", 20_000);
  await settle();
  assert.equal(reader.messages.length, 299);
  await world.restart();
  assert.deepEqual(world.broker.health().setAside, []);
});

test("a run that is damaged while the broker runs is told of, served as far as it is sound, and set aside by a merge", async () => {
  await using world = await World.start({ limits: small });
  const sender = await world.client({ clientId: "sender" });
  await fill(sender, 300, "text");
  const runs = async (): Promise<readonly string[]> =>
    (await world.files.list(folder)).filter((one) => one.endsWith(".run"));
  const [name = ""] = await runs();
  const bytes = (await world.files.read(`${folder}/${name}`)) ?? new Uint8Array();
  bytes[Buffer.from(bytes).indexOf("text")] = 0; // on the disk itself
  const reader = await world.client({ clientId: "reader" });
  await reader.subscribed("/fill/#");
  await until(() => reader.messages.length >= 299, "all but one", 20_000);
  assert.match(world.broker.health().faults.join(), new RegExp(`damaged in ${folder}/${name}`));
  assert.equal(world.broker.health().ready, true);
  for (let round = 0; round < 10 && (await runs()).includes(name); round += 1)
    await fill(sender, 300, `text ${round}`);
  const names = await world.files.list(folder);
  assert.ok(
    names.some((one) => one.startsWith(`damaged-${name}`)),
    names.join(),
  );
  assert.deepEqual(world.broker.health().faults, []);
});

test("retained messages of format 2, in the state file, are kept", async () => {
  const files = new MemoryFiles();
  const header = { version: 2, broker: "12345678", segment: 1, nextSequence: 500, nextSession: 1 };
  const records = [jsonRecord(recordKinds.header, header)];
  for (let at = 0; at < 100; at += 1)
    records.push(messageRecord(messageOf(`/old/${at}`, `text ${at}`), recordKinds.retained).record);
  await files.replace(`${folder}/state`, Buffer.concat(records));
  for (const round of [1, 2]) {
    await using world = await World.start({ files, limits: small });
    const client = await world.client({ clientId: "c" });
    await client.subscribed("/old/#");
    await until(() => client.messages.length === 100, `all, start ${round}`);
    await fill(client, 200, "text"); // until the state file is written anew
    await world.restart();
    const sys = await world.client({ clientId: "sys" });
    await sys.subscribed("$SYS/broker/retained messages/count");
    await until(() => sys.texts.length === 1, "count");
    assert.deepEqual(sys.texts, ["300"]);
  }
});

test("a disk that takes no run holds nothing up until memory is full, and goes on", async () => {
  await using world = await World.start({ limits: small });
  const sender = await world.client({ clientId: "sender" });
  const rename = world.files.rename.bind(world.files);
  world.files.rename = () => Promise.reject(new Error("EIO: i/o error, rename"));
  await fill(sender, 300, "text");
  assert.ok(world.kept.lines.some(({ message }) => /state file could not be written/.test(message)));
  assert.equal((await world.files.list(folder)).filter((name) => /retained/.test(name)).length, 0);
  world.files.rename = rename;
  await world.clock.advance(5_000);
  await fill(sender, 100, "more");
  assert.equal((await world.files.list(folder)).filter((name) => name.endsWith(".run")).length, 1);
  await world.cutPower();
  const reader = await world.client({ clientId: "reader" });
  await reader.subscribed("/fill/#");
  await until(() => reader.messages.length === 300, "all", 20_000);
});
