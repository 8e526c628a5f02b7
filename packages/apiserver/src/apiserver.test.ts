import assert from "node:assert/strict";
import { test } from "node:test";
import { startApiWorld } from "./testing/api-world.ts";
import { at, listAt, textAt, type Tree } from "@cortado/kinds/tree";

const configMaps = "/api/v1/namespaces/default/configmaps";
const map = (name: string, data: Tree = {}): Tree => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name },
  data,
});

test("an object is created, read, updated and deleted", async () => {
  await using world = await startApiWorld();
  const made = await world.send("POST", configMaps, { body: map("menu", { latte: "4" }) });
  assert.equal(made.status, 201);
  assert.match(textAt(made.object, "metadata", "uid"), /^[0-9a-f-]{36}$/);
  assert.equal((await world.send("POST", configMaps, { body: map("menu") })).status, 409);
  const next = { ...made.object, data: { latte: "5" } };
  const updated = await world.send("PUT", `${configMaps}/menu`, { body: next });
  assert.equal(updated.status, 200);
  assert.ok(
    Number(textAt(updated.object, "metadata", "resourceVersion")) >
      Number(textAt(made.object, "metadata", "resourceVersion")),
  );
  const stale = await world.send("PUT", `${configMaps}/menu`, { body: next });
  assert.equal(stale.status, 409);
  assert.match(textAt(stale.object, "message"), /the object has been modified; please apply your changes/);
  assert.equal((await world.send("DELETE", `${configMaps}/menu`)).status, 200);
  const gone = await world.send("GET", `${configMaps}/menu`);
  assert.equal(gone.status, 404);
  assert.equal(gone.object["message"], 'configmaps "menu" not found');
});

test("a list comes in pages that are of one moment", async () => {
  await using world = await startApiWorld();
  for (const name of ["a", "b", "c"]) await world.send("POST", configMaps, { body: map(name) });
  const first = await world.send("GET", configMaps, { query: { limit: "2" } });
  assert.deepEqual(
    listAt(first.object, "items").map((one) => textAt(one, "metadata", "name")),
    ["a", "b"],
  );
  assert.equal(at(first.object, "metadata", "remainingItemCount"), 1);
  await world.send("POST", configMaps, { body: map("d") });
  const second = await world.send("GET", configMaps, {
    query: { limit: "2", continue: textAt(first.object, "metadata", "continue") },
  });
  assert.deepEqual(
    listAt(second.object, "items").map((one) => textAt(one, "metadata", "name")),
    ["c"],
  );
  assert.equal(textAt(second.object, "metadata", "continue"), "");
});

test("a watch tells what changes from a revision on, and a lost label is a deletion", async () => {
  await using world = await startApiWorld();
  const start = await world.send("GET", configMaps);
  const watch = await world.watch(configMaps, {
    resourceVersion: textAt(start.object, "metadata", "resourceVersion"),
    labelSelector: "kind=drink",
  });
  await world.send("POST", configMaps, { body: { ...map("tea"), metadata: { name: "tea" } } });
  await world.send("POST", configMaps, {
    body: { ...map("latte"), metadata: { name: "latte", labels: { kind: "drink" } } },
  });
  assert.equal((await watch.next())?.type, "ADDED");
  await world.send("PATCH", `${configMaps}/latte`, {
    headers: { "content-type": "application/merge-patch+json" },
    body: { metadata: { labels: { kind: null } } },
  });
  const lost = await watch.next();
  assert.equal(lost?.type, "DELETED");
  assert.equal(textAt(lost?.object, "metadata", "labels", "kind"), "drink");
  watch.stop();
  assert.equal(await watch.next(), undefined);
});

test("a watch from nothing tells the present state, and its end when asked", async () => {
  await using world = await startApiWorld();
  await world.send("POST", configMaps, { body: map("a") });
  const watch = await world.watch(configMaps, {
    sendInitialEvents: "true",
    resourceVersionMatch: "NotOlderThan",
    allowWatchBookmarks: "true",
  });
  assert.equal((await watch.next())?.type, "ADDED");
  const end = await watch.next();
  assert.equal(end?.type, "BOOKMARK");
  assert.equal(textAt(end?.object, "metadata", "annotations", "k8s.io/initial-events-end"), "true");
  const later = watch.next();
  await world.clock.advance(60_000);
  assert.equal((await later)?.type, "BOOKMARK");
  watch.stop();
});

test("a list over the wire is the stored bytes with their revision stitched in", async () => {
  await using world = await startApiWorld();
  await world.send("POST", configMaps, { body: map("a", { __proto__x: "1" }) });
  const { text } = await world.wire("GET", configMaps, { headers: { accept: "application/json" } });
  const list = JSON.parse(text) as Tree;
  assert.equal(list["kind"], "ConfigMapList");
  assert.match(textAt(listAt(list, "items")[0], "metadata", "resourceVersion"), /^\d+$/);
});

test("digits beyond a double and hostile keys come back as they went in", async () => {
  await using world = await startApiWorld();
  const body =
    '{"apiVersion":"openfaas.com/v1","kind":"Function","metadata":{"name":"f","annotations":{"constructor":"x"}},"spec":{"name":"f","image":"i"},"status":{"observedGeneration":1}}';
  const path = "/apis/openfaas.com/v1/namespaces/default/functions";
  const made = await world.wire("POST", path, { body, headers: { "content-type": "application/json" } });
  assert.equal(made.status, 201, made.text);
  const status = '{"status":{"observedGeneration":9223372036854775807}}';
  const patched = await world.wire("PATCH", `${path}/f/status`, {
    body: status,
    headers: { "content-type": "application/merge-patch+json" },
  });
  assert.equal(patched.status, 200, patched.text);
  assert.match((await world.wire("GET", `${path}/f`)).text, /"observedGeneration":9223372036854775807/);
  const hostile = '{"metadata":{"annotations":{"__proto__":"y"}}}';
  await world.wire("PATCH", `${path}/f`, {
    body: hostile,
    headers: { "content-type": "application/merge-patch+json" },
  });
  assert.equal(({} as Tree)["y"], undefined);
});

test("deleting waits for finalizers, then for nothing", async () => {
  await using world = await startApiWorld();
  await world.send("POST", configMaps, {
    body: { ...map("held"), metadata: { name: "held", finalizers: ["shop.example/hold"] } },
  });
  const asked = await world.send("DELETE", `${configMaps}/held`);
  assert.ok(textAt(asked.object, "metadata", "deletionTimestamp") !== "");
  await world.send("PATCH", `${configMaps}/held`, {
    headers: { "content-type": "application/json-patch+json" },
    body: [{ op: "remove", path: "/metadata/finalizers" }],
  });
  assert.equal((await world.send("GET", `${configMaps}/held`)).status, 404);
});

test("a user without a role is refused by name, and one with a role is not", async () => {
  await using world = await startApiWorld();
  const barista = { name: "barista", groups: ["system:authenticated"] };
  const refused = await world.send("GET", configMaps, { user: barista });
  assert.equal(refused.status, 403);
  assert.equal(
    refused.object["message"],
    'configmaps is forbidden: User "barista" cannot list resource "configmaps" in API group "" in the namespace "default"',
  );
  const binding = {
    metadata: { name: "barista" },
    roleRef: { kind: "ClusterRole", name: "view", apiGroup: "rbac.authorization.k8s.io" },
    subjects: [{ kind: "User", name: "barista" }],
  };
  assert.equal(
    (
      await world.send("POST", "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings", {
        body: binding,
      })
    ).status,
    201,
  );
  assert.equal((await world.send("GET", configMaps, { user: barista })).status, 200);
  assert.equal((await world.send("POST", configMaps, { user: barista, body: map("x") })).status, 403);
});

test("services get addresses and node ports, each once", async () => {
  await using world = await startApiWorld();
  const services = "/api/v1/namespaces/default/services";
  const service = (name: string, more: Tree = {}): Tree => ({
    metadata: { name },
    spec: { ports: [{ port: 80 }], ...more },
  });
  const one = await world.send("POST", services, { body: service("one", { type: "NodePort" }) });
  assert.match(textAt(one.object, "spec", "clusterIP"), /^10\.43\./);
  assert.ok(Number(at(listAt(one.object, "spec", "ports")[0], "nodePort")) >= 30000);
  const taken = await world.send("POST", services, {
    body: service("two", { clusterIP: textAt(one.object, "spec", "clusterIP") }),
  });
  assert.equal(taken.status, 422);
  assert.match(textAt(taken.object, "message"), /provided IP is already allocated/);
  const api = await world.send("GET", `${services}/kubernetes`);
  assert.equal(textAt(api.object, "spec", "clusterIP"), "10.43.0.1");
});

test("ephemeral containers are refused by name, so that nobody waits for one", async () => {
  await using world = await startApiWorld();
  await world.send("POST", "/api/v1/namespaces/default/serviceaccounts", {
    body: { metadata: { name: "default" } },
  });
  const pods = "/api/v1/namespaces/default/pods";
  await world.send("POST", pods, {
    body: { metadata: { name: "p" }, spec: { containers: [{ name: "c", image: "i" }] } },
  });
  const body = { spec: { ephemeralContainers: [{ name: "debugger", image: "i" }] } };
  const headers = { "content-type": "application/strategic-merge-patch+json" };
  const refused = await world.send("PATCH", `${pods}/p/ephemeralcontainers`, { body, headers });
  assert.equal(refused.status, 501, JSON.stringify(refused.object));
  assert.match(textAt(refused.object, "message"), /ephemeral containers are not served yet/);
  assert.equal((await world.send("GET", `${pods}/p/ephemeralcontainers`)).status, 200);
});
