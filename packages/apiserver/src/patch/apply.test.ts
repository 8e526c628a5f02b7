import assert from "node:assert/strict";
import { test } from "node:test";
import { at, listAt, textAt, type Tree } from "@cortado/kinds/tree";
import { startApiWorld, type ApiWorld } from "../testing/api-world.ts";

const path = "/apis/apps/v1/namespaces/default/deployments/web";
const applyType = { "content-type": "application/apply-patch+yaml" };
const web = (more: { labels?: Tree; replicas?: number; containers?: readonly Tree[] } = {}): Tree => ({
  apiVersion: "apps/v1",
  kind: "Deployment",
  metadata: { name: "web", ...(more.labels === undefined ? {} : { labels: more.labels }) },
  spec: {
    ...(more.replicas === undefined ? {} : { replicas: more.replicas }),
    selector: { matchLabels: { app: "web" } },
    template: {
      metadata: { labels: { app: "web" } },
      spec: { containers: more.containers ?? [{ name: "web", image: "nginx:1" }] },
    },
  },
});

async function apply(
  world: ApiWorld,
  body: Tree,
  options: { manager?: string; force?: boolean } = {},
): Promise<{ status: number; object: Tree }> {
  const query = {
    fieldManager: options.manager ?? "barista",
    ...(options.force === true ? { force: "true" } : {}),
  };
  return world.send("PATCH", path, { body, headers: applyType, query });
}

test("apply makes what is absent and owns just what it said", async () => {
  await using world = await startApiWorld();
  const made = await apply(world, web({ replicas: 2 }));
  assert.equal(made.status, 201);
  const [entry] = listAt(made.object, "metadata", "managedFields");
  assert.equal(textAt(entry, "operation"), "Apply");
  assert.deepEqual(at(entry, "fieldsV1", "f:spec", "f:replicas"), {});
  assert.equal(at(entry, "fieldsV1", "f:spec", "f:strategy"), undefined);
});

test("applying the same again writes nothing", async () => {
  await using world = await startApiWorld();
  const made = await apply(world, web());
  const again = await apply(world, web());
  assert.equal(
    textAt(again.object, "metadata", "resourceVersion"),
    textAt(made.object, "metadata", "resourceVersion"),
  );
});

test("what another manager owns is a conflict that names it, and force takes it", async () => {
  await using world = await startApiWorld();
  await apply(world, web({ replicas: 2 }), { manager: "one" });
  const refused = await apply(world, web({ replicas: 3 }), { manager: "two" });
  assert.equal(refused.status, 409);
  assert.equal(
    refused.object["message"],
    'Apply failed with 1 conflict: conflict with "one": .spec.replicas',
  );
  assert.deepEqual(listAt(refused.object, "details", "causes"), [
    { reason: "FieldManagerConflict", message: 'conflict with "one"', field: ".spec.replicas" },
  ]);
  const forced = await apply(world, web({ replicas: 3 }), { manager: "two", force: true });
  assert.equal(at(forced.object, "spec", "replicas"), 3);
  const one = listAt(forced.object, "metadata", "managedFields").find(
    (entry) => textAt(entry, "manager") === "one",
  );
  assert.equal(at(one, "fieldsV1", "f:spec", "f:replicas"), undefined);
});

test("what an applier no longer says goes, unless somebody else owns it", async () => {
  await using world = await startApiWorld();
  await apply(world, web({ labels: { a: "1", b: "2" } }), { manager: "one" });
  await apply(world, web({ labels: { b: "2" } }), { manager: "two" });
  const side = { name: "side", image: "x:1" };
  await apply(
    world,
    web({ labels: { a: "1", b: "2" }, containers: [{ name: "web", image: "nginx:1" }, side] }),
    { manager: "one" },
  );
  const left = await apply(world, web(), { manager: "one" });
  assert.deepEqual(at(left.object, "metadata", "labels"), { b: "2" });
  assert.deepEqual(
    listAt(left.object, "spec", "template", "spec", "containers").map((one) => textAt(one, "name")),
    ["web"],
  );
});

test("an update takes the fields that it changes from the applier", async () => {
  await using world = await startApiWorld();
  await apply(world, web({ replicas: 2 }));
  const headers = { "content-type": "application/merge-patch+json", "user-agent": "kubectl/v1" };
  const changed = await world.send("PATCH", path, { body: { spec: { replicas: 5 } }, headers });
  const entries = listAt(changed.object, "metadata", "managedFields");
  assert.deepEqual(
    entries.map((entry) => [textAt(entry, "manager"), textAt(entry, "operation")]),
    [
      ["barista", "Apply"],
      ["kubectl", "Update"],
    ],
  );
  assert.equal(at(entries[0], "fieldsV1", "f:spec", "f:replicas"), undefined);
  assert.deepEqual(at(entries[1], "fieldsV1"), { "f:spec": { "f:replicas": {} } });
});

test("status is another subresource's, and apply without a manager is refused", async () => {
  await using world = await startApiWorld();
  await apply(world, web());
  const status = await world.send("PATCH", `${path}/status`, {
    body: { status: { replicas: 1 } },
    headers: { "content-type": "application/merge-patch+json" },
  });
  const entry = listAt(status.object, "metadata", "managedFields").find(
    (one) => textAt(one, "subresource") === "status",
  );
  assert.deepEqual(at(entry, "fieldsV1"), { "f:status": { "f:replicas": {} } });
  assert.equal((await world.send("PATCH", path, { body: web(), headers: applyType })).status, 422);
});
