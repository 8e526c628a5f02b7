import assert from "node:assert/strict";
import { test } from "node:test";
import type { ConfigMap } from "@cortado/kinds";
import { configMaps } from "@cortado/kinds/resources";
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
