import assert from "node:assert/strict";
import { test } from "node:test";
import type { AppendFile } from "@cortado/std/files";
import { settle } from "@cortado/std/testing/held-clock";
import { until, World } from "../testing/world.ts";
import { Marks } from "./segment.ts";

/** Counts what is read of files, and how many reads are under way at most. */
function watchReads(world: World): { bytes: number; most: number } {
  const seen = { bytes: 0, most: 0 };
  let now = 0;
  const open = world.files.openAppend.bind(world.files);
  world.files.openAppend = async (path) => {
    const file = await open(path);
    const readAt: AppendFile["readAt"] = async (options) => {
      now += 1;
      seen.most = Math.max(seen.most, now);
      const bytes = await file.readAt(options);
      now -= 1;
      seen.bytes += bytes.byteLength;
      return bytes;
    };
    return new Proxy(file, {
      get: (of, name) => {
        if (name === "readAt") return readAt;
        const value: unknown = Reflect.get(of, name, of);
        return typeof value === "function" ? (value as () => unknown).bind(of) : value;
      },
    });
  };
  return seen;
}

test("sessions whose messages lie far apart on disk read a little each, and few at a time", async () => {
  await using world = await World.start();
  const sessions = 200;
  const names = Array.from({ length: sessions }, (_, at) => `device-${at}`);
  for (const clientId of [...names, "filler"]) {
    const client = await world.client({ clientId, cleanSession: false });
    await client.subscribed(clientId);
    client.connection.destroy();
  }
  const sender = await world.client({ clientId: "sender" });
  for (const name of names) {
    sender.publish("filler", "x".repeat(12_000));
    await sender.published(name, `for ${name}`);
  }
  await world.broker[Symbol.asyncDispose]();
  const seen = watchReads(world);
  await world.boot();
  const clients = await Promise.all(names.map((clientId) => world.client({ clientId, cleanSession: false })));
  await until(() => clients.every(({ texts }) => texts.length === 1), "each has its message");
  await settle();
  assert.deepEqual(
    clients.map(({ texts }) => texts[0]),
    names.map((name) => `for ${name}`),
  );
  assert.ok(seen.most > 1 && seen.most <= 8, `${seen.most} reads at once`);
  const perSession = seen.bytes / sessions;
  // The segment has 2.4 MB: from its start each would have read half of it.
  assert.ok(perSession > 0 && perSession < 100_000, `${perSession} bytes for each`);
});

test("marks never lead behind a message, whatever lies between them", () => {
  const marks = new Marks();
  const placed: { readonly sequence: number; readonly offset: number }[] = [];
  let offset = 100;
  for (let sequence = 5; sequence < 20_000; sequence += 1 + (sequence % 3)) {
    placed.push({ sequence, offset });
    marks.note(sequence, offset);
    offset += 40 + (sequence % 977);
  }
  assert.equal(marks.offsetFor(0), 0);
  let far = 0;
  for (const { sequence, offset: at } of placed) {
    const found = marks.offsetFor(sequence);
    assert.ok(found <= at, `${sequence} lies at ${at}, its mark at ${found}`);
    far = Math.max(far, at - found);
  }
  assert.ok(far > 0 && far < 2 * 16_384, `${far} bytes are read in vain`);
});
