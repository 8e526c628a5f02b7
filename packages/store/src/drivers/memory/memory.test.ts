import assert from "node:assert/strict";
import { test } from "node:test";
import { hasReason, StatusError } from "@cortado/std/status";
import { mustPut, put, storeConformance } from "../../testing/conformance.ts";
import { MemoryDisk, openMemoryStore } from "./memory.ts";

storeConformance("memory", async () => {
  const disk = new MemoryDisk();
  const store = await openMemoryStore({ disk });
  return { store, again: () => openMemoryStore({ disk }) };
});

test("memory: a crash forgets volatile values, never a revision", async () => {
  const disk = new MemoryDisk();
  const store = await openMemoryStore({ disk });
  await mustPut(store, "/lease", "durable");
  const renewed = await store.write({
    kind: "put",
    key: "/lease",
    value: new Uint8Array(1),
    expect: { kind: "anything" },
    volatile: true,
  });
  assert.ok(renewed.written);
  await using after = await openMemoryStore({ disk }); // the first is never closed: a kill
  assert.equal((await after.get("/lease"))?.modified, 1);
  assert.ok((await mustPut(after, "/a", "x")) > renewed.revision);
});

test("memory: a commit that fails turns its writers away, shows nothing, and the next one mends the disk", async () => {
  const disk = new MemoryDisk();
  await using store = await openMemoryStore({ disk });
  await mustPut(store, "/a", "one");
  disk.fault = new StatusError("InsufficientStorage", "the disk is full");
  await assert.rejects(put(store, "/a", "two"), (error) => hasReason(error, "InsufficientStorage"));
  assert.equal(new TextDecoder().decode((await store.get("/a"))?.value), "one");
  // What a failing disk really wrote is unknown: pretend that the refused value reached it.
  disk.values.set("/a", {
    key: "/a",
    value: new TextEncoder().encode("two"),
    modified: 2 as never,
    created: 1 as never,
  });
  disk.fault = undefined;
  const revision = await mustPut(store, "/b", "fine");
  assert.ok(revision > 2, "the failed revision is not given out again");
  assert.equal(new TextDecoder().decode(disk.values.get("/a")?.value), "one");
});

test("memory: a history over its limit forgets the oldest and tells a slow watcher so", async () => {
  await using store = await openMemoryStore({ history: { eventsMax: 10, bytesMax: 1_000_000 } });
  const stop = new AbortController();
  const slow = store
    .watch({ prefix: "/", after: store.revision, signal: stop.signal })
    [Symbol.asyncIterator]();
  await mustPut(store, "/a", "0");
  assert.equal((await slow.next()).value?.length, 1);
  for (let at = 0; at < 50; at += 1) await mustPut(store, "/a", String(at));
  await assert.rejects(slow.next(), (error) => hasReason(error, "Expired"));
  assert.equal(store.compacted, store.revision - 10);
});
