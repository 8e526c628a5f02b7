import assert from "node:assert/strict";
import { test } from "node:test";
import { startApiWorld, admin, type ApiWorld } from "@cortado/apiserver/testing";
import { newClient, type Client } from "@cortado/client";
import type { Transport } from "@cortado/client/transport";
import { applyCompiled } from "@cortado/fleet/hub/apply-compiled";
import { openBlobs } from "@cortado/fleet/hub/blobs";
import type { Compiled } from "@cortado/fleet/compile/bundle";
import { bundles, gitRepos } from "@cortado/kinds/fleet";
import { fleetDefinitions } from "@cortado/kinds/fleet-definitions";
import { namespaces } from "@cortado/kinds/resources";
import { MemoryFiles } from "@cortado/std/testing/memory-files";

const signal = new AbortController().signal;
const gitRepo = { namespace: "fleet-default", name: "coffee-shop" };

function clientOf(world: ApiWorld): Client {
  const transport: Transport = {
    async send({ method, path, query, contentType, body, signal: stop }) {
      const headers = contentType === undefined ? {} : { "content-type": contentType };
      const sent = await world.send(method, path, { query, headers, body, user: admin, signal: stop });
      return { status: sent.status, body: sent.object };
    },
    watch: () => assert.fail("nothing is watched here"),
  };
  return newClient(transport);
}

function compiledOf(names: readonly string[], content = "kind: ConfigMap\n"): Compiled {
  return {
    bundles: names.map((name) => ({
      name,
      path: name,
      labels: {},
      annotations: {},
      spec: { targets: [{ clusterSelector: { matchLabels: { location: "edge" } } }] },
      files: [{ name: "one.yaml", content: new TextEncoder().encode(content) }],
      warnings: [],
    })),
    problems: [],
  };
}

test("a repository's bundles are made, changed, left alone and removed through the real API", async () => {
  await using world = await startApiWorld({ definitions: fleetDefinitions });
  const client = clientOf(world);
  await client.create(namespaces, { metadata: { name: gitRepo.namespace } }, { signal });
  const repo = { metadata: gitRepo, spec: { repo: "https://127.0.0.1/coffee.git" } };
  await client.create(gitRepos, repo, { signal });
  const blobs = await openBlobs(new MemoryFiles(), "blobs");
  const apply = (compiled: Compiled, commit: string): ReturnType<typeof applyCompiled> =>
    applyCompiled({ client, blobs, gitRepo, compiled, commit, signal });

  assert.deepEqual((await apply(compiledOf(["order", "till"]), "c1")).made, ["order", "till"]);
  const again = await apply(compiledOf(["order", "till"]), "c1");
  assert.deepEqual(again, { made: [], changed: [], removed: [], kept: [] });

  const note = { metadata: { annotations: { "fleet.cortado.dev/rollout": "pause" } } };
  await client.patch(bundles, { ...gitRepo, name: "order", type: "merge", body: note, signal });
  const large = compiledOf(["order"], "x".repeat(300_000));
  const changed = await apply(large, "c2");
  assert.deepEqual([changed.changed, changed.removed], [["order"], ["till"]]);
  const order = await client.get(bundles, { ...gitRepo, name: "order", signal });
  assert.equal(order.metadata.annotations?.["fleet.cortado.dev/rollout"], "pause");
  assert.equal(order.spec?.resources, undefined);
  const kept = await blobs.get((order.spec?.contentsId ?? "").replace("s-", ""));
  assert(new TextDecoder().decode(kept).includes("x".repeat(300_000)));

  assert.equal((await apply({ bundles: [], problems: [] }, "c3")).kept[0]?.name, "order");
  await client.delete(gitRepos, { ...gitRepo, signal });
  await assert.rejects(apply(large, "c4"), /GitRepo fleet-default\/coffee-shop is deleted/);
});
