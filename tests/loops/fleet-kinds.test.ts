import assert from "node:assert/strict";
import { test } from "node:test";
import { isDeepStrictEqual } from "node:util";
import {
  bundles,
  clusterGroups,
  clusterRegistrations,
  clusterRegistrationTokens,
  clusters,
  fleetPolicies,
  gitRepos,
  helmOps,
  imageScans,
} from "@cortado/kinds/fleet";
import type { ResourceType } from "@cortado/kinds/resources";
import { agentOf, begun, coffeeIn, compiledOf, namespace, repo } from "./hub-and-stores.ts";
import { LoopWorld } from "./world.ts";

test("an ImageScan and a HelmOp say that they come later, and what to do until then", async () => {
  await using store = await LoopWorld.start();
  await using world = await begun(store);
  const metadata = { namespace, name: "later" };
  for (const [type, spec, condition, instead] of [
    [
      imageScans,
      { image: "coffee", interval: "5m" },
      "ImageScanned",
      /write the new tag into the repository/,
    ],
    [helmOps, { helm: { chart: "coffee" } }, "Ready", /helm\.chart, helm\.repo and helm\.version/],
  ] as const) {
    await world.client.create(type as ResourceType<never>, { metadata, spec } as never, world);
    const where = { namespace, name: "later", signal: world.signal };
    const found = await store.until(`${type.kind} says so`, async () => {
      const { status } = await world.client.get(type as unknown as typeof helmOps, where);
      return status?.conditions?.find((one) => one.type === condition);
    });
    assert.deepEqual([found.status, found.reason], ["False", "NotServed"]);
    assert.match(found.message ?? "", new RegExp(`^${type.kind} is not served by this hub yet`));
    assert.match(found.message ?? "", instead);
  }
});

test("a ClusterGroup counts its clusters as they come, change, fall silent and go", async () => {
  await using store = await LoopWorld.start();
  await using world = await begun(store);
  const selector = { matchLabels: { location: "edge" } };
  await world.client.create(
    clusterGroups,
    { metadata: { namespace, name: "edge" }, spec: { selector } },
    world,
  );
  const statusIs = (what: string, wanted: object): Promise<unknown> =>
    store.until(
      what,
      async () => {
        const { status } = await world.client.get(clusterGroups, {
          namespace,
          name: "edge",
          signal: world.signal,
        });
        const { clusterCount, nonReadyClusterCount, nonReadyClusters, display } = status ?? {};
        return isDeepStrictEqual(
          { clusterCount, nonReadyClusterCount, nonReadyClusters, ...display },
          wanted,
        );
      },
      120_000,
    );
  await statusIs("an empty group", {
    clusterCount: 0,
    nonReadyClusterCount: 0,
    nonReadyClusters: [],
    readyClusters: "0/0",
    readyBundles: "0/0",
    state: "Ready",
  });
  await world.hub.applyCompiled(repo, compiledOf("arabica", ["menu", "till"]), "c1");
  await using agent = agentOf(store, world, { name: "store-1", token: await world.token() });
  assert.equal(agent.state.isConnected, false);
  await statusIs("one store", {
    clusterCount: 1,
    nonReadyClusterCount: 0,
    nonReadyClusters: [],
    readyClusters: "1/1",
    readyBundles: "2/2",
    state: "Ready",
  });
  const other = { metadata: { namespace, name: "store-9", labels: { location: "edge" } }, spec: {} };
  await world.client.create(clusters, other, world);
  await statusIs("one that never came", {
    clusterCount: 2,
    nonReadyClusterCount: 1,
    nonReadyClusters: ["store-9"],
    readyClusters: "1/2",
    readyBundles: "2/4",
    state: "WaitCheckIn",
  });
  await world.client.delete(clusters, { namespace, name: "store-9", signal: world.signal });
  const where = { namespace, name: "store-1", signal: world.signal };
  const body = { metadata: { labels: { location: "cloud" } } };
  await world.client.patch(clusters, { ...where, type: "merge", body });
  await statusIs("none is left", {
    clusterCount: 0,
    nonReadyClusterCount: 0,
    nonReadyClusters: [],
    readyClusters: "0/0",
    readyBundles: "0/0",
    state: "Ready",
  });
});

test("a registration is written down and goes with its Cluster; a token ends, and one that cannot be read says so", async () => {
  await using store = await LoopWorld.start();
  await using world = await begun(store);
  await using agent = agentOf(store, world, { name: "store-1", token: await world.token() });
  const found = await store.until("it is written down", async () => {
    const { items } = await world.client.list(clusterRegistrations, { namespace, signal: world.signal });
    return items.find((one) => one.status?.granted === true);
  });
  assert.equal(agent.state.message.includes("refused"), false);
  assert.deepEqual(
    [found.status?.clusterName, found.spec?.clientID, found.spec?.clusterLabels],
    ["store-1", "store-1", { location: "edge" }],
  );
  assert.equal(found.metadata.ownerReferences?.[0]?.name, "store-1");
  const create = (name: string, ttl: string): Promise<unknown> =>
    world.client.create(clusterRegistrationTokens, { metadata: { namespace, name }, spec: { ttl } }, world);
  await create("short", "10s");
  await create("odd", "soon");
  const tokens = async (): Promise<Readonly<Record<string, string>>> => {
    const { items } = await world.client.list(clusterRegistrationTokens, { namespace, signal: world.signal });
    return Object.fromEntries(
      items.map(({ metadata, status }) => [
        metadata.name,
        `${status?.expires === undefined ? "" : "ends "}${status?.conditions?.[0]?.status} ${status?.conditions?.[0]?.message}`,
      ]),
    );
  };
  const said = await store.until("both say what they are", async () => {
    const all = await tokens();
    return !JSON.stringify(all).includes("undefined") && all;
  });
  assert.match(said["short"] ?? "", /^ends True stores join with what Secret short holds/);
  assert.match(said["odd"] ?? "", /^False spec\.ttl soon of token odd is no duration; write 240h/);
  await store.until("the short one is gone", async () => !("short" in (await tokens())));
});

test("a GitRepo of which nothing was applied is not Ready; a Policy refuses a Bundle by hand, and what runs stays", async () => {
  await using store = await LoopWorld.start();
  await using world = await begun(store);
  await using agent = agentOf(store, world, { name: "store-1", token: await world.token() });
  assert.equal(agent.state.isConnected, false);
  const first = await store.until("the GitRepo says so", async () => {
    const { status } = await world.client.get(gitRepos, { ...repo, signal: world.signal });
    return status?.conditions?.find((one) => one.type === "Ready");
  });
  assert.deepEqual([first.status, first.message], ["False", "no commit was applied yet"]);
  await world.hub.applyCompiled(repo, compiledOf("arabica"), "c1");
  await store.until("the menu is there", async () => (await coffeeIn(store)) === "arabica");
  await world.client.create(
    fleetPolicies,
    { metadata: { namespace, name: "accounts" }, requireServiceAccount: true },
    world,
  );
  await world.hub.applyCompiled(repo, compiledOf("robusta"), "c2");
  const refused = await store.until("the Bundle says why", async () => {
    const { status } = await world.client.get(bundles, { namespace, name: "menu", signal: world.signal });
    const ready = status?.conditions?.find((one) => one.type === "Ready");
    return ready?.status === "False" && /Policy/.test(ready.message ?? "") && ready;
  });
  assert.match(refused.message ?? "", /serviceAccount is empty, and Policy accounts wants one/);
  await store.clock.advance(60_000);
  assert.equal(await coffeeIn(store), "arabica");
  await world.client.delete(fleetPolicies, { namespace, name: "accounts", signal: world.signal });
  await store.until("it goes on", async () => (await coffeeIn(store)) === "robusta");
});
