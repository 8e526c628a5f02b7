import assert from "node:assert/strict";
import { test } from "node:test";
import type { ConfigMap } from "@cortado/kinds";
import { configMaps } from "@cortado/kinds/resources";
import { StatusError } from "@cortado/std/status";
import { HeldClock, settle } from "@cortado/std/testing/held-clock";
import { silentLog } from "@cortado/std/testing/silent-log";
import type { Change, Client, Stored } from "./client.ts";
import { startInformer } from "./informer.ts";

const object = (version: string, data: Record<string, string>): Stored<ConfigMap> =>
  ({
    metadata: { name: "menu", namespace: "shop", uid: "1", resourceVersion: version },
    data,
  }) as Stored<ConfigMap>;

test("a cache that keeps less still tells the whole of what changes", async () => {
  const stop = new AbortController();
  const changes: Change<ConfigMap>[] = [];
  let wake: () => void = () => undefined;
  const client = {
    list: () => Promise.resolve({ items: [object("1", { coffee: "black" })], resourceVersion: "1" }),
    async *watch() {
      while (!stop.signal.aborted) {
        for (let next = changes.shift(); next !== undefined; next = changes.shift()) yield next;
        await new Promise<void>((resolve) => (wake = resolve));
      }
    },
  } as unknown as Client;
  const informer = startInformer(client, configMaps, {
    clock: new HeldClock(),
    log: silentLog,
    signal: stop.signal,
    keep: ({ metadata }) => ({ metadata }) as Stored<ConfigMap>,
  });
  const told: unknown[] = [];
  informer.subscribe(({ old, now }) => told.push([old?.data, now?.data]));
  await informer.synced;
  changes.push({ type: "MODIFIED", object: object("2", { coffee: "white" }) });
  wake();
  await settle();
  assert.deepEqual(told, [
    [undefined, { coffee: "black" }],
    [undefined, { coffee: "white" }],
  ]);
  assert.equal(informer.get("shop/menu")?.data, undefined, "and holds only what it was told to keep");
  assert.equal(informer.get("shop/menu")?.metadata.resourceVersion, "2");
  stop.abort();
  wake();
});

const named = (name: string, version: string): Stored<ConfigMap> =>
  ({
    metadata: { name, namespace: "shop", uid: `uid-${name}`, resourceVersion: version },
  }) as Stored<ConfigMap>;

test("a cache is filled page by page, and what the whole list does not have is gone", async () => {
  const stop = new AbortController();
  const asked: unknown[] = [];
  let round = 0;
  const pages = [
    [
      { items: [named("a", "1"), named("b", "2")], resourceVersion: "9", continue: "more" },
      { items: [named("c", "3")], resourceVersion: "9" },
    ],
    [
      { items: [named("a", "1")], resourceVersion: "12", continue: "more" },
      { items: [named("c", "11")], resourceVersion: "12", continue: "" },
    ],
  ];
  const client = {
    list: (_type: unknown, { continue: from, limit }: { continue?: string; limit?: number }) => {
      asked.push([round, from, limit !== undefined]);
      return Promise.resolve(pages[round]?.[from === undefined ? 0 : 1]);
    },
    async *watch() {
      if (round++ === 0) throw new StatusError("Expired", "too old");
      await new Promise<void>((resolve) => stop.signal.addEventListener("abort", () => resolve()));
    },
  } as unknown as Client;
  const clock = new HeldClock();
  const lists: string[][] = [];
  const told: unknown[] = [];
  const informer = startInformer(client, configMaps, {
    clock,
    log: silentLog,
    signal: stop.signal,
    listed: (uids) => lists.push([...uids]),
  });
  informer.subscribe(({ key, old, now }) =>
    told.push([key, old?.metadata.resourceVersion, now?.metadata.resourceVersion]),
  );
  await informer.synced;
  await settle();
  await clock.advance(1_000);
  await settle();
  assert.deepEqual(told, [
    ["shop/a", undefined, "1"],
    ["shop/b", undefined, "2"],
    ["shop/c", undefined, "3"],
    ["shop/c", "3", "11"],
    ["shop/b", "2", undefined],
  ]);
  assert.deepEqual(
    [...informer.list()].map((one) => one.metadata.name),
    ["a", "c"],
  );
  assert.deepEqual(lists, [
    ["uid-a", "uid-b", "uid-c"],
    ["uid-a", "uid-c"],
  ]);
  assert.deepEqual(asked.slice(0, 2), [
    [0, undefined, true],
    [0, "more", true],
  ]);
  stop.abort();
});

test("what need not be held is told as it comes, changes and goes, and is not held", async () => {
  const stop = new AbortController();
  const changes: Change<ConfigMap>[] = [];
  let wake: () => void = () => undefined;
  const client = {
    list: () => Promise.resolve({ items: [named("plain", "1"), named("kept", "1")], resourceVersion: "1" }),
    async *watch() {
      while (!stop.signal.aborted) {
        for (let next = changes.shift(); next !== undefined; next = changes.shift()) yield next;
        await new Promise<void>((resolve) => (wake = resolve));
      }
    },
  } as unknown as Client;
  const informer = startInformer(client, configMaps, {
    clock: new HeldClock(),
    log: silentLog,
    signal: stop.signal,
    forget: ({ metadata }) => metadata.name === "plain",
    indexes: { name: ({ metadata }) => [metadata.name ?? ""] },
  });
  const told: unknown[] = [];
  informer.subscribe(({ key, old, now }) => told.push([key, old?.metadata.uid, now?.metadata.uid]));
  await informer.synced;
  assert.deepEqual(
    [...informer.list()].map((one) => one.metadata.name),
    ["kept"],
  );
  changes.push(
    { type: "MODIFIED", object: named("plain", "2") },
    { type: "DELETED", object: named("plain", "3") },
  );
  changes.push(
    { type: "DELETED", object: named("kept", "4") },
    { type: "DELETED", object: named("kept", "5") },
  );
  wake();
  await settle();
  assert.deepEqual(told, [
    ["shop/plain", undefined, "uid-plain"],
    ["shop/kept", undefined, "uid-kept"],
    ["shop/plain", undefined, "uid-plain"],
    ["shop/plain", "uid-plain", undefined],
    ["shop/kept", "uid-kept", undefined],
  ]);
  assert.equal(informer.size, 0);
  stop.abort();
  wake();
});
