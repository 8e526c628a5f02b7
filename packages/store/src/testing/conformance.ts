import assert from "node:assert/strict";
import { test } from "node:test";
import { hasReason } from "@cortado/std/status";
import {
  parseRevision,
  type Expectation,
  type KeyValue,
  type Revision,
  type Store,
  type StoreEvent,
} from "../store.ts";

const text = new TextEncoder();
const read = new TextDecoder();

/** What a test opens: `again` closes the store and opens another over the same disk. */
export type OpenStore = () => Promise<{ readonly store: Store; again(): Promise<Store> }>;

export function put(
  store: Store,
  key: string,
  value: string,
  expect: Expectation = { kind: "anything" },
): ReturnType<Store["write"]> {
  return store.write({ kind: "put", key, value: text.encode(value), expect });
}

export async function mustPut(store: Store, key: string, value: string): Promise<Revision> {
  const result = await put(store, key, value);
  assert.ok(result.written);
  return result.revision;
}

async function remove(store: Store, key: string): Promise<Revision> {
  const result = await store.write({ kind: "delete", key, expect: { kind: "anything" } });
  assert.ok(result.written);
  return result.revision;
}

function valueOf(found: KeyValue | undefined): string | undefined {
  return found === undefined ? undefined : read.decode(found.value);
}

async function collect(
  store: Store,
  query: { prefix: string; after: Revision },
  count: number,
): Promise<StoreEvent[]> {
  const stop = new AbortController();
  const events: StoreEvent[] = [];
  for await (const batch of store.watch({ ...query, signal: stop.signal })) {
    events.push(...batch);
    if (events.length >= count) stop.abort();
  }
  return events;
}

/** Proves that a driver keeps every promise of `Store`. */
export function storeConformance(name: string, open: OpenStore): void {
  readsAndWrites(name, open);
  lists(name, open);
  watches(name, open);
  restarts(name, open);
}

function readsAndWrites(name: string, open: OpenStore): void {
  test(`${name}: a value is read back with its revisions`, async () => {
    const { store } = await open();
    await using _ = store;
    const first = await mustPut(store, "/cups/1", "espresso");
    const second = await mustPut(store, "/cups/1", "cortado");
    const found = await store.get("/cups/1");
    assert.deepEqual([valueOf(found), found?.created, found?.modified], ["cortado", first, second]);
    assert.equal(await store.get("/cups/2"), undefined);
    assert.equal(store.revision, second);
  });
  for (const { title, expect, want } of [
    { title: "an absent key", expect: { kind: "absent" }, want: false },
    { title: "an old revision", expect: { kind: "modified", revision: parseRevision("1") }, want: false },
    { title: "the revision it has", expect: { kind: "modified", revision: parseRevision("2") }, want: true },
    { title: "anything", expect: { kind: "anything" }, want: true },
  ] satisfies { title: string; expect: Expectation; want: boolean }[])
    test(`${name}: a put that expects ${title} is ${want ? "taken" : "refused and changes nothing"}`, async () => {
      const { store } = await open();
      await using _ = store;
      await mustPut(store, "/cups/1", "espresso");
      await mustPut(store, "/cups/1", "cortado");
      const result = await put(store, "/cups/1", "latte", expect);
      assert.equal(result.written, want);
      if (!result.written) assert.equal(valueOf(result.current), "cortado");
      assert.equal(valueOf(await store.get("/cups/1")), want ? "latte" : "cortado");
      assert.equal(store.revision, want ? 3 : 2);
    });
  test(`${name}: of a hundred racing writers of one revision exactly one wins`, async () => {
    const { store } = await open();
    await using _ = store;
    const revision = await mustPut(store, "/cups/1", "start");
    const race = Array.from({ length: 100 }, (_unused, at) =>
      put(store, "/cups/1", String(at), { kind: "modified", revision }),
    );
    const results = await Promise.all(race);
    assert.equal(results.filter((result) => result.written).length, 1);
    assert.equal(store.revision, revision + 1);
  });
  test(`${name}: a delete answers once, and a key made again has a new creation`, async () => {
    const { store } = await open();
    await using _ = store;
    await mustPut(store, "/cups/1", "espresso");
    await remove(store, "/cups/1");
    const twice = await store.write({ kind: "delete", key: "/cups/1", expect: { kind: "anything" } });
    assert.deepEqual(twice, { written: false, current: undefined });
    const revision = await mustPut(store, "/cups/1", "again");
    assert.equal((await store.get("/cups/1"))?.created, revision);
  });
  test(`${name}: a value over the limit is refused by name`, async () => {
    const { store } = await open();
    await using _ = store;
    const value = new Uint8Array(2 * 1024 * 1024);
    const big = store.write({ kind: "put", key: "/cups/big", value, expect: { kind: "anything" } });
    await assert.rejects(
      big,
      (error) => hasReason(error, "RequestEntityTooLarge") && error.message.includes("/cups/big"),
    );
  });
}

function lists(name: string, open: OpenStore): void {
  test(`${name}: a list is in order, by prefix, in pages that agree with each other`, async () => {
    const { store } = await open();
    await using _ = store;
    for (const key of ["/b/2", "/a/1", "/b/1", "/b/3", "/bb/1", "/c/1"]) await mustPut(store, key, key);
    const page = await store.list({ prefix: "/b/", limit: 2 });
    assert.deepEqual(
      page.items.map((item) => item.key),
      ["/b/1", "/b/2"],
    );
    assert.equal(page.remaining, 1);
    await remove(store, "/b/3");
    await mustPut(store, "/b/4", "late");
    const rest = await store.list({ prefix: "/b/", after: "/b/2", at: page.revision });
    assert.deepEqual(
      rest.items.map((item) => item.key),
      ["/b/3"],
    );
    assert.equal(rest.remaining, 0);
    assert.deepEqual(
      (await store.list({ prefix: "/b/" })).items.map((item) => item.key),
      ["/b/1", "/b/2", "/b/4"],
    );
  });
  test(`${name}: a list of an earlier revision is what was true then`, async () => {
    const { store } = await open();
    await using _ = store;
    await mustPut(store, "/a/1", "one");
    const then = await mustPut(store, "/a/2", "two");
    await mustPut(store, "/a/1", "uno");
    await remove(store, "/a/2");
    await mustPut(store, "/a/3", "tres");
    const past = await store.list({ prefix: "/a/", at: then });
    assert.deepEqual(past.items.map(valueOf), ["one", "two"]);
    assert.equal(past.revision, then);
  });
  test(`${name}: a compacted revision is too old, a future one is not there yet`, async () => {
    const { store } = await open();
    await using _ = store;
    await mustPut(store, "/a/1", "one");
    const kept = await mustPut(store, "/a/1", "two");
    await store.compact(kept);
    await assert.rejects(store.list({ prefix: "/a/", at: parseRevision("1") }), (error) =>
      hasReason(error, "Expired"),
    );
    await assert.rejects(store.list({ prefix: "/a/", at: parseRevision("99") }), (error) =>
      hasReason(error, "Timeout"),
    );
    assert.equal((await store.list({ prefix: "/a/", at: kept })).items.length, 1);
    await assert.rejects(collect(store, { prefix: "/", after: parseRevision("1") }, 1), (error) =>
      hasReason(error, "Expired"),
    );
  });
}

function watches(name: string, open: OpenStore): void {
  test(`${name}: a watch tells each change after its revision, once, in order, with what was before`, async () => {
    const { store } = await open();
    await using _ = store;
    const start = await mustPut(store, "/a/1", "one");
    await mustPut(store, "/b/1", "other");
    await mustPut(store, "/a/1", "two");
    const seen = collect(store, { prefix: "/a/", after: start }, 3);
    await mustPut(store, "/a/2", "new");
    await remove(store, "/a/1");
    const events = await seen;
    assert.deepEqual(
      events.map(({ kind, key, value, revision }) => [kind, key, read.decode(value), revision]),
      [
        ["put", "/a/1", "two", 3],
        ["put", "/a/2", "new", 4],
        ["delete", "/a/1", "two", 5],
      ],
    );
    assert.deepEqual(
      events.map((event) => valueOf(event.previous)),
      ["one", undefined, "two"],
    );
  });
  test(`${name}: thirty watchers and thirty writers: all see the same, nothing missing, nothing twice`, async () => {
    const { store } = await open();
    await using _ = store;
    const watchers = Array.from({ length: 30 }, () =>
      collect(store, { prefix: "/", after: parseRevision("0") }, 900),
    );
    const writers = Array.from({ length: 30 }, async (_unused, writer) => {
      for (let at = 0; at < 30; at += 1) await mustPut(store, `/w/${writer}/${at % 5}`, String(at));
    });
    await Promise.all(writers);
    for (const events of await Promise.all(watchers))
      assert.deepEqual(
        events.map((event) => event.revision),
        Array.from({ length: 900 }, (_unused, at) => at + 1),
      );
  });
  test(`${name}: nothing is seen before it is committed`, async () => {
    const { store } = await open();
    await using _ = store;
    const writing = put(store, "/a/1", "one");
    assert.equal(await store.get("/a/1"), undefined);
    assert.equal(store.revision, 0);
    await writing;
    assert.equal(store.revision, 1);
  });
  test(`${name}: a watch ends with its signal`, async () => {
    const { store } = await open();
    await using _ = store;
    const stop = new AbortController();
    const watching = (async () => {
      for await (const batch of store.watch({ prefix: "/", after: store.revision, signal: stop.signal }))
        assert.fail(String(batch));
    })();
    stop.abort();
    await watching;
  });
}

function restarts(name: string, open: OpenStore): void {
  test(`${name}: after a restart values are there, revisions go on, and old ones are said to be too old`, async () => {
    const opened = await open();
    await mustPut(opened.store, "/a/1", "one");
    await mustPut(opened.store, "/a/2", "two");
    await remove(opened.store, "/a/1");
    await using store = await opened.again();
    assert.deepEqual(
      (await store.list({ prefix: "/" })).items.map((item) => [item.key, item.modified]),
      [["/a/2", 2]],
    );
    assert.ok(store.revision >= 3);
    await assert.rejects(collect(store, { prefix: "/", after: parseRevision("1") }, 1), (error) =>
      hasReason(error, "Expired"),
    );
    const revision = await mustPut(store, "/a/3", "three");
    assert.ok(revision > 3);
  });
  test(`${name}: volatile writes take revisions that are never given out again`, async () => {
    const opened = await open();
    await mustPut(opened.store, "/lease", "first");
    let newest = 0;
    for (let renewal = 0; renewal < 20; renewal += 1) {
      const value = text.encode(`renewal ${renewal}`);
      const result = await opened.store.write({
        kind: "put",
        key: "/lease",
        value,
        expect: { kind: "anything" },
        volatile: true,
      });
      assert.ok(result.written);
      newest = result.revision;
    }
    assert.equal(valueOf(await opened.store.get("/lease")), "renewal 19");
    await using store = await opened.again();
    assert.ok((await mustPut(store, "/a", "after")) > newest);
  });
}
