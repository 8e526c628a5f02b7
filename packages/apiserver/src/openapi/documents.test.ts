import assert from "node:assert/strict";
import { test } from "node:test";
import { builtInKinds } from "@cortado/kinds/built-in";
import { messageOf, schemaOf } from "@cortado/kinds/generated-schemas";
import { at, fieldOf, isTree, textAt, treeAt, type Tree } from "@cortado/kinds/tree";
import { startApiWorld } from "../testing/api-world.ts";

function* refsIn(value: unknown): Generator<string> {
  if (Array.isArray(value)) for (const item of value) yield* refsIn(item);
  if (!isTree(value)) return;
  for (const [key, child] of Object.entries(value)) {
    if (key === "$ref" && typeof child === "string") yield child;
    else yield* refsIn(child);
  }
}

test("every built-in kind has its schema, and its protobuf form when clients send one", () => {
  for (const kind of builtInKinds) {
    assert.ok(
      "ref" in kind.schema && schemaOf(kind.schema.ref) !== undefined,
      `${kind.kind} in ${kind.group}/${kind.version} has a schema`,
    );
    if (
      ["", "apps", "batch", "rbac.authorization.k8s.io", "policy", "networking.k8s.io"].includes(kind.group)
    )
      assert.ok(messageOf(kind.schema.ref) !== undefined, `${kind.kind} has a message`);
  }
});

test("every document of the index is there and no reference leads nowhere", async () => {
  await using world = await startApiWorld();
  const index = await world.send("GET", "/openapi/v3");
  const places = Object.keys(treeAt(index.object, "paths"));
  for (const place of ["api/v1", "apis/apps/v1", "apis/openfaas.com/v1", "apis/autoscaling/v2"])
    assert.ok(places.includes(place), place);
  for (const place of places) {
    const { status, object } = await world.send("GET", `/openapi/v3/${place}`);
    assert.equal(status, 200, place);
    const known = new Set(
      Object.keys(treeAt(object, "components", "schemas")).map((name) => `#/components/schemas/${name}`),
    );
    for (const ref of refsIn(object)) assert.ok(known.has(ref), `${place} refers to ${ref}`);
  }
});

test("kubectl finds what it looks for: fieldValidation on PATCH, kinds on components, merge keys", async () => {
  await using world = await startApiWorld();
  const { object } = await world.send("GET", "/openapi/v3/apis/apps/v1");
  const patch = treeAt(
    treeAt(object, "paths")["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"],
    "patch",
  );
  assert.ok((patch["parameters"] as Tree[]).some((one) => one["name"] === "fieldValidation"));
  const schemas = treeAt(object, "components", "schemas");
  assert.deepEqual(fieldOf(schemas["io.k8s.api.apps.v1.Deployment"], "x-kubernetes-group-version-kind"), [
    { group: "apps", kind: "Deployment", version: "v1" },
  ]);
  const containers = at(schemas["io.k8s.api.core.v1.PodSpec"], "properties", "containers");
  assert.equal(textAt(containers, "x-kubernetes-patch-merge-key"), "name");
  assert.match(textAt(containers, "description"), /List of containers/);
});

test("a definition's kind is in the documents and in discovery as soon as it is made, and goes with it", async () => {
  await using world = await startApiWorld();
  const schema = {
    type: "object",
    properties: { spec: { type: "object", properties: { size: { type: "string", default: "small" } } } },
  };
  const definition = {
    metadata: { name: "cups.shop.io" },
    spec: {
      group: "shop.io",
      scope: "Namespaced",
      names: { plural: "cups", kind: "Cup" },
      versions: [{ name: "v1", served: true, storage: true, schema: { openAPIV3Schema: schema } }],
    },
  };
  const made = await world.send("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", {
    body: definition,
  });
  assert.equal(made.status, 201, JSON.stringify(made.object));
  assert.equal((await world.send("GET", "/apis/shop.io/v1")).status, 200);
  const cup = await world.send("POST", "/apis/shop.io/v1/namespaces/default/cups", {
    body: { apiVersion: "shop.io/v1", kind: "Cup", metadata: { name: "c" }, spec: {} },
  });
  assert.equal(textAt(cup.object, "spec", "size"), "small");
  assert.equal(
    (await world.send("DELETE", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/cups.shop.io"))
      .status,
    200,
  );
  assert.equal((await world.send("GET", "/apis/shop.io/v1")).status, 404);
});

test("what the program measures is metrics.k8s.io", async () => {
  await using world = await startApiWorld();
  assert.equal((await world.send("GET", "/apis/metrics.k8s.io/v1beta1/nodes")).status, 404);
  const usage = {
    atMs: world.clock.nowMs(),
    windowMs: 15_000,
    cpuNanoCores: 250_000_000,
    memoryBytes: 128 * 1024 * 1024,
  };
  world.server.setUsage({
    nodes: () => Promise.resolve([{ name: "n", ...usage }]),
    pods: () => Promise.resolve([]),
  });
  const { object } = await world.send("GET", "/apis/metrics.k8s.io/v1beta1/nodes/n");
  assert.deepEqual(object["usage"], { cpu: "250000000n", memory: "131072Ki" });
  assert.equal((await world.send("GET", "/openapi/v3/apis/metrics.k8s.io/v1beta1")).status, 200);
});

test("v2 in protobuf is a document without kinds: kubectl asks for it about a kind that nobody knows", async () => {
  await using world = await startApiWorld();
  const accept = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
  const { response } = await world.send("GET", "/openapi/v2", { headers: { accept } });
  assert.deepEqual([response.status, response.headers?.["content-type"]], [200, accept.replace("@", ".")]);
});
