import assert from "node:assert/strict";
import { test } from "node:test";
import { fleetDefinitions } from "@cortado/kinds/fleet-definitions";
import { listAt, treeAt, type Tree } from "@cortado/kinds/tree";
import { hasReason } from "@cortado/std/status";
import { startApiWorld, type ApiWorld } from "../testing/api-world.ts";

const path = "/apis/fleet.cattle.io/v1alpha1/namespaces/default/clusters";
const own = {
  group: "fleet.cattle.io",
  version: "v1alpha1",
  plural: "clusters",
  namespace: "default",
  name: "store-1",
  manager: "hub",
};

async function withCluster(): Promise<ApiWorld> {
  const world = await startApiWorld({ definitions: fleetDefinitions });
  const metadata = { name: "store-1", labels: { location: "edge" } };
  const body = {
    apiVersion: "fleet.cattle.io/v1alpha1",
    kind: "Cluster",
    metadata,
    spec: { clientID: "one" },
  };
  assert.equal((await world.send("POST", path, { body })).status, 201);
  return world;
}

const read = async (world: ApiWorld): Promise<Tree> => (await world.send("GET", `${path}/store-1`)).object;

test("the owner of a status writes whole fields; the others, the spec and who wrote it stay", async () => {
  await using world = await withCluster();
  const before = await read(world);
  await world.server.writeOwnStatus({
    ...own,
    fields: { publicKey: "key", summary: { ready: 1, pending: 2 } },
  });
  await world.server.writeOwnStatus({ ...own, fields: { summary: { ready: 3 } } });
  const after = await read(world);
  assert.deepEqual(after["status"], { publicKey: "key", summary: { ready: 3 } });
  assert.deepEqual(after["spec"], before["spec"]);
  const [meta, old] = [treeAt(after, "metadata"), treeAt(before, "metadata")];
  assert.deepEqual([meta["uid"], meta["labels"], meta["generation"]], [old["uid"], old["labels"], 1]);
  assert.ok(Number(meta["resourceVersion"]) > Number(old["resourceVersion"]));
  assert.deepEqual(listAt(meta, "managedFields")[0], listAt(old, "managedFields")[0]);
});

test("of a status with one owner one entry says whose it is, also in place of what an earlier version noted field by field", async () => {
  await using world = await withCluster();
  const patch = { body: { status: { publicKey: "key" } }, query: { fieldManager: "hub" } };
  const headers = { "content-type": "application/merge-patch+json" };
  assert.equal((await world.send("PATCH", `${path}/store-1/status`, { ...patch, headers })).status, 200);
  await world.server.writeOwnStatus({ ...own, fields: { index: 4 } });
  const fields = (object: Tree): readonly unknown[] =>
    listAt(object, "metadata", "managedFields")
      .filter((one) => (one as Tree)["subresource"] === "status")
      .map((one) => (one as Tree)["fieldsV1"]);
  assert.deepEqual(fields(await read(world)), [{ "f:status": {} }]);
  const other = { body: { spec: { paused: true } }, headers };
  assert.equal((await world.send("PATCH", `${path}/store-1`, other)).status, 200);
  assert.deepEqual(fields(await read(world)), [{ "f:status": {} }], "another's change leaves it");
});

test("who writes a spec between the owner's read and write loses nothing", async () => {
  await using world = await withCluster();
  const headers = { "content-type": "application/merge-patch+json" };
  const writes = Array.from({ length: 10 }, (_, index) =>
    world.server.writeOwnStatus({ ...own, fields: { index } }),
  );
  const labels = Array.from({ length: 5 }, (_, at) =>
    world.send("PATCH", `${path}/store-1`, {
      headers,
      body: { metadata: { labels: { [`label-${at}`]: "yes" } } },
    }),
  );
  await Promise.all([...writes, ...labels]);
  assert.equal(Object.keys(treeAt(await read(world), "metadata", "labels")).length, 6);
});

test("a status of nothing that is there is not written", async () => {
  await using world = await withCluster();
  await assert.rejects(world.server.writeOwnStatus({ ...own, name: "none", fields: {} }), (error) =>
    hasReason(error, "NotFound"),
  );
  await assert.rejects(
    world.server.writeOwnStatus({ ...own, plural: "shops", fields: {} }),
    /shops.*not served/,
  );
});
