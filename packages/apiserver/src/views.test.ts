import assert from "node:assert/strict";
import { test } from "node:test";
import { HeldClock, settle } from "@cortado/std/testing/held-clock";
import { fleetDefinitions } from "@cortado/kinds/fleet-definitions";
import { textAt, treeAt, type Tree } from "@cortado/kinds/tree";
import type { View, ViewChange, ViewItem } from "./ports.ts";
import { startApiWorld, type ApiWorld } from "./testing/api-world.ts";

const clock = new HeldClock();

/** Rows of another kind shown as objects: what a hub does with its stores. */
class Rows implements View {
  readonly group = "fleet.cattle.io";
  readonly plural = "bundledeployments";
  readonly instead = "make a Bundle";
  readonly rows = new Map<string, { paused: boolean; revision: number }>();
  readonly #listeners = new Set<(change: ViewChange) => void>();

  get(key: string): ViewItem | undefined {
    const row = this.rows.get(key);
    if (row === undefined) return undefined;
    const [namespace = "", name = ""] = key.split("/");
    const metadata = { name, namespace, uid: `uid-${name}`, labels: { row: name } };
    const object = {
      apiVersion: "fleet.cattle.io/v1alpha1",
      kind: "BundleDeployment",
      metadata,
      spec: { paused: row.paused },
    };
    return { key, object, revision: row.revision };
  }

  list({
    prefix,
    after = "",
    limit,
  }: {
    prefix: string;
    after: string | undefined;
    limit: number | undefined;
  }): {
    items: readonly ViewItem[];
    remaining: number;
  } {
    const keys = [...this.rows.keys()].filter((key) => key.startsWith(prefix) && key > after).toSorted();
    const page = keys.slice(0, limit ?? keys.length);
    return { items: page.flatMap((key) => this.get(key) ?? []), remaining: keys.length - page.length };
  }

  put({ key, object }: { key: string; object: Tree }): Promise<number> {
    const row = this.rows.get(key);
    assert(row !== undefined);
    this.set(key, treeAt(object, "spec")["paused"] === true, row.revision + 1);
    return Promise.resolve(row.revision + 1);
  }

  changes(listener: (change: ViewChange) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  set(key: string, paused: boolean, revision: number): void {
    const kind = this.rows.has(key) ? "changed" : "added";
    this.rows.set(key, { paused, revision });
    for (const tell of this.#listeners) tell({ kind, key });
  }

  remove(key: string): void {
    const item = this.get(key);
    this.rows.delete(key);
    if (item !== undefined) for (const tell of this.#listeners) tell({ kind: "gone", key, item });
  }
}

const path = "/apis/fleet.cattle.io/v1alpha1";
const inside = `${path}/namespaces/cluster-a/bundledeployments`;

async function start(): Promise<{ world: ApiWorld; rows: Rows }> {
  const rows = new Rows();
  const world = await startApiWorld({ clock, definitions: fleetDefinitions, views: [rows] });
  const revision = world.store.revision;
  for (const key of ["cluster-a/order", "cluster-a/payment", "cluster-b/order"])
    rows.set(key, false, revision);
  return { world, rows };
}

test("a view is listed in pages, over all namespaces and in one", async () => {
  const { world } = await start();
  await using _ = world;
  const first = await world.send("GET", `${path}/bundledeployments`, { query: { limit: "2" } });
  const names = (list: Tree): string[] =>
    (list["items"] as Tree[]).map(
      (one) => `${textAt(one, "metadata", "namespace")}/${textAt(one, "metadata", "name")}`,
    );
  assert.deepEqual(names(first.object), ["cluster-a/order", "cluster-a/payment"]);
  assert.equal(treeAt(first.object, "metadata")["remainingItemCount"], 1);
  const rest = await world.send("GET", `${path}/bundledeployments`, {
    query: { limit: "2", continue: textAt(first.object, "metadata", "continue") },
  });
  assert.deepEqual(names(rest.object), ["cluster-b/order"]);
  assert.deepEqual(names((await world.send("GET", inside)).object), ["cluster-a/order", "cluster-a/payment"]);
  const chosen = await world.send("GET", inside, { query: { labelSelector: "row=payment" } });
  assert.deepEqual(names(chosen.object), ["cluster-a/payment"]);
});

test("an object of a view is patched and updated, and a stale version is refused", async () => {
  const { world, rows } = await start();
  await using _ = world;
  const before = await world.send("GET", `${inside}/order`);
  const patched = await world.send("PATCH", `${inside}/order`, {
    headers: { "content-type": "application/merge-patch+json" },
    body: { spec: { paused: true } },
  });
  assert.equal(patched.status, 200, JSON.stringify(patched.object));
  assert.equal(rows.rows.get("cluster-a/order")?.paused, true);
  const stale = await world.send("PUT", `${inside}/order`, { body: before.object });
  assert.equal(stale.status, 409);
  const made = await world.send("POST", inside, {
    body: { apiVersion: "fleet.cattle.io/v1alpha1", kind: "BundleDeployment", metadata: { name: "new" } },
  });
  assert.notEqual(made.status, 201);
  const gone = await world.send("DELETE", `${inside}/order`);
  assert.equal(gone.status, 405);
  assert.match(textAt(gone.object, "message"), /make a Bundle/);
  const { object: discovered } = await world.send("GET", path);
  const found = (discovered["resources"] as Tree[]).find((one) => one["name"] === "bundledeployments");
  assert.deepEqual(
    found?.["verbs"],
    ["get", "list", "patch", "update", "watch"],
    "it is said before it is tried",
  );
});

test("a watch from a list misses nothing, and one from the far past is told to list again", async () => {
  const { world, rows } = await start();
  await using _ = world;
  const list = await world.send("GET", `${path}/bundledeployments`);
  const resourceVersion = textAt(list.object, "metadata", "resourceVersion");
  rows.set("cluster-b/order", true, world.store.revision);
  const watch = await world.watch(`${path}/bundledeployments`, { resourceVersion });
  const seen: string[] = [];
  const read = async (): Promise<void> => {
    for (let event = await watch.next(); event !== undefined; event = await watch.next())
      seen.push(
        `${event.type} ${textAt(event.object, "metadata", "name")} ${String(treeAt(event.object, "spec")["paused"])}`,
      );
  };
  const reading = read();
  await settle();
  assert(seen.includes("MODIFIED order true"), seen.join(", "));
  rows.remove("cluster-a/payment");
  await settle();
  assert.equal(seen.at(-1), "DELETED payment false");
  watch.stop();
  await reading;
  for (let index = 0; index < 2_100; index += 1)
    rows.set("cluster-b/order", index % 2 === 0, world.store.revision);
  const old = await world.watch(`${path}/bundledeployments`, { resourceVersion });
  assert.equal((await old.next())?.type, "ERROR");
  old.stop();
});
