import assert from "node:assert/strict";
import { test } from "node:test";
import { settle } from "@cortado/std/testing/held-clock";
import { MemoryFiles } from "@cortado/std/testing/memory-files";
import { keptLog } from "@cortado/std/testing/silent-log";
import type { Message } from "../journal/records.ts";
import { folder, until, World } from "../testing/world.ts";
import { RetainedMessages } from "./retained.ts";
import { indexPath } from "./run-names.ts";

const ITEMS = 1_200;
const topicOf = (at: number): string => `/store${at % 37}/dévice${at}/temp`;

function messageOf(topic: string, text: string, sequence: number): Message {
  return {
    ...{ sequence, atMs: 0, topic, payload: new TextEncoder().encode(text), qos: 1, retain: true },
    ...{ recipients: [], grants: undefined, carried: undefined, expiresAtMs: undefined },
  };
}

/** A disk that tells what is read of runs. */
class CountingFiles extends MemoryFiles {
  runBytesRead = 0;

  override async openAppend(path: string): ReturnType<MemoryFiles["openAppend"]> {
    const file = await super.openAppend(path);
    const { readAt } = file;
    if (path.endsWith(".run"))
      file.readAt = (span) => {
        this.runBytesRead += span.length;
        return readAt.call(file, span);
      };
    return file;
  }
}

const { log } = keptLog();
const open = (files: MemoryFiles) => RetainedMessages.open({ files, folder, log, nowMs: 0 });

async function allOf(retained: RetainedMessages): Promise<readonly string[]> {
  const found: string[] = [];
  const reader = retained.matching("#");
  for (let part = await reader.next(); part !== undefined; part = await reader.next())
    for (const { topic, sequence } of part) found.push(`${topic} ${sequence}`);
  return found;
}

/** Three runs: one of all, one of changes, one that clears. */
async function fill(files: MemoryFiles): Promise<void> {
  await using retained = (await open(files)).retained;
  const checkpoint = async (numbers: readonly number[], text: string, from: number): Promise<void> => {
    for (const at of numbers) retained.keep(messageOf(topicOf(at), text, from + at));
    retained.freeze();
    await retained.checkpoint();
  };
  const all = Array.from({ length: ITEMS }, (_, at) => at);
  await checkpoint(all, "x".repeat(40), 1);
  await checkpoint(
    all.filter((at) => at % 3 === 0),
    "newer",
    10_000,
  );
  await checkpoint(
    all.filter((at) => at % 7 === 0),
    "",
    20_000,
  );
}

const wanted = Array.from({ length: ITEMS }, (_, at) => at)
  .filter((at) => at % 7 !== 0)
  .map((at) => `${topicOf(at)} ${at % 3 === 0 ? 10_000 + at : 1 + at}`)
  .toSorted();

async function check(files: MemoryFiles): Promise<void> {
  const { retained, setAside } = await open(files);
  assert.deepEqual(setAside, []);
  assert.equal(retained.items, wanted.length);
  assert.deepEqual((await allOf(retained)).toSorted(), wanted);
  assert.equal((await retained.get(topicOf(8)))?.sequence, 9);
  assert.equal(await retained.get(topicOf(7)), undefined);
  await retained[Symbol.asyncDispose]();
}

const indexes = async (files: MemoryFiles): Promise<readonly string[]> =>
  (await files.list(folder)).filter((name) => name.endsWith(".index")).map((name) => `${folder}/${name}`);

test("a start reads no run, and all is there and is found", async () => {
  const files = new CountingFiles();
  await fill(files);
  assert.equal((await indexes(files)).length, 3);
  files.runBytesRead = 0;
  const { retained } = await open(files);
  assert.equal(files.runBytesRead, 0);
  assert.equal(retained.items, wanted.length);
  await retained.get(topicOf(8));
  assert.ok(files.runBytesRead < 60_000, "a block of each run at most");
  await retained[Symbol.asyncDispose]();
  await check(files);
  // Merges leave each run with its index, and no index without a run.
  const again = (await open(files)).retained;
  for (let at = 0; at < 6; at += 1) {
    again.keep(messageOf("/more", at === 5 ? "" : "text", 30_000 + at));
    again.freeze();
    await again.checkpoint();
    await again.merge(0);
  }
  assert.ok(again.runs.length < 9, "there was a merge");
  const paths = again.runs.map(({ path }) => indexPath(path));
  await again[Symbol.asyncDispose]();
  assert.deepEqual(await indexes(files), paths.toSorted());
  await check(files);
});

test("an index that is damaged, cut off, absent or of another run is made anew out of the run", async () => {
  const files = new CountingFiles();
  await fill(files);
  const [first = "", second = ""] = await indexes(files);
  const whole = new Uint8Array((await files.read(first)) ?? []);
  const places = [0, 4, 8, 12, 20, 24, 28, 40, Math.floor(whole.length / 2), whole.length - 1];
  const bad: (readonly [string, Uint8Array | undefined])[] = [
    ["absent", undefined],
    ["empty", new Uint8Array(0)],
    ["cut off in its head", whole.slice(0, 20)],
    ["cut off", whole.slice(0, -3)],
    ["longer", Buffer.concat([whole, new Uint8Array(5)])],
    ["of another run", new Uint8Array((await files.read(second)) ?? [])],
    ...places.map(
      (at) => [`damaged at ${at}`, whole.map((byte, i) => (i === at ? byte ^ 0x10 : byte))] as const,
    ),
  ];
  for (const [what, bytes] of bad) {
    if (bytes === undefined) await files.remove(first);
    else await files.replace(first, bytes);
    files.runBytesRead = 0;
    await check(files);
    assert.ok(files.runBytesRead > 60_000, what);
    assert.deepEqual(new Uint8Array((await files.read(first)) ?? []), whole, `${what}: made anew`);
  }
});

test("a disk that takes no index keeps nobody from starting, nor a checkpoint", async () => {
  const files = new MemoryFiles();
  files.strikes = (path) => path.endsWith(".index");
  files.fault = new Error("full");
  await fill(files);
  assert.deepEqual(await indexes(files), []);
  await check(files);
  files.fault = undefined;
  await check(files);
  assert.equal((await indexes(files)).length, 3);
});

test("an index whose run has gone goes too, and its number does not come again", async () => {
  const files = new MemoryFiles();
  await fill(files);
  const [first = ""] = await indexes(files);
  const lost = `${folder}/retained-0000000009.run`;
  await files.replace(indexPath(lost), (await files.read(first)) ?? new Uint8Array());
  const { retained } = await open(files);
  assert.equal(await files.read(indexPath(lost)), undefined);
  retained.keep(messageOf("/new", "x", 40_000));
  retained.freeze();
  await retained.checkpoint();
  assert.equal(retained.runs.at(-1)?.number, 10);
  await retained[Symbol.asyncDispose]();
});

test("a run that was damaged while nobody looked is told of when it is read, and set aside by the next start", async () => {
  const small = { segmentBytes: 4_096, diskBytesMax: 10_000_000 };
  await using world = await World.start({ limits: small });
  const sender = await world.client({ clientId: "sender" });
  const count = 300;
  for (let at = 0; at < count; at += 1) {
    sender.publish(`/fill/${at}/x`, "text", { retain: true });
    if (at % 50 === 49) await settle();
  }
  await until(() => sender.packets.length >= count, "filled", 50_000);
  await settle();
  await world.broker[Symbol.asyncDispose]();
  const runs = (await world.files.list(folder)).filter((name) => name.endsWith(".run"));
  const [name = ""] = runs;
  const path = `${folder}/${name}`;
  const bytes = new Uint8Array((await world.files.read(path)) ?? []);
  bytes[Buffer.from(bytes).indexOf("text")] = 0;
  await world.files.replace(path, bytes);
  await world.boot();
  assert.deepEqual(world.broker.health().setAside, []);
  const reader = await world.client({ clientId: "reader" });
  await reader.subscribed("/fill/#");
  await until(() => reader.messages.length >= count - 1, "all but one", 20_000);
  assert.match(world.broker.health().faults.join(), new RegExp(`damaged in ${path}`));
  await world.restart();
  assert.match(world.broker.health().setAside.join(), new RegExp(`^damaged-${name}-`));
  assert.deepEqual(world.broker.health().faults, []);
});
