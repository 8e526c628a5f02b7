import assert from "node:assert/strict";
import { test } from "node:test";
import { gunzipSync } from "node:zlib";
import { isDeepStrictEqual } from "node:util";
import {
  bundleDeployments,
  bundleNamespaceMappings,
  bundles,
  clusterGroups,
  clusterRegistrations,
  clusterRegistrationTokens,
  clusters,
  contents,
  fleetPolicies,
  gitRepos,
  helmOps,
  imageScans,
  schedules,
} from "@cortado/kinds/fleet";
import { readHubClusters, readHubObjects, readHubRepo } from "@cortado/fleet/desk/hub-stores";
import { namespaces, secrets, type ResourceType } from "@cortado/kinds/resources";
import { agentOf, begun, coffeeIn, compiledOf, hex, manifest, namespace, repo } from "./hub-and-stores.ts";
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

test("a store that is paused or outside of its window gets nothing and halts nobody; then it gets the newest", async () => {
  await using first = await LoopWorld.start();
  await using world = await begun(first, { waveDeadlineMs: 20_000 });
  await world.hub.applyCompiled(repo, compiledOf("arabica"), "c1");
  await using agent = agentOf(first, world, { name: "store-1", token: await world.token() });
  assert.equal(agent.state.isConnected, false);
  await first.until("the menu is there", async () => (await coffeeIn(first)) === "arabica");
  const views = async () => {
    const { items } = await world.client.list(bundleDeployments, { signal: world.signal });
    assert.ok(items[0] !== undefined);
    return items[0];
  };
  const phaseIs = (phase: string): Promise<unknown> =>
    first.until(
      `the rollout is ${phase}`,
      async () => {
        const { status } = await world.client.get(bundles, { namespace, name: "menu", signal: world.signal });
        return status?.rollout?.phase === phase;
      },
      120_000,
    );
  await phaseIs("Complete");
  const pause = async (paused: boolean): Promise<unknown> => {
    const { name, namespace: where = "" } = (await views()).metadata;
    const body = { spec: { paused } };
    return await world.client.patch(bundleDeployments, {
      name,
      namespace: where,
      type: "merge",
      body,
      signal: world.signal,
    });
  };
  await pause(true);
  await first.until("its view says so", async () => (await views()).spec.paused === true);
  await world.hub.applyCompiled(repo, compiledOf("robusta"), "c2");
  await first.clock.advance(120_000);
  assert.equal(await coffeeIn(first), "arabica");
  await phaseIs("Progressing");
  await pause(false);
  await first.until("it has the newest", async () => (await coffeeIn(first)) === "robusta");
  await phaseIs("Complete");
  const { name, namespace: where = "" } = (await views()).metadata;
  const refused = { name, namespace: where, type: "merge", signal: world.signal } as const;
  for (const [body, message] of [
    [
      { spec: { deploymentID: "x" } },
      /spec\.deploymentID of BundleDeployment .*menu is computed and cannot be changed/,
    ],
    [
      { metadata: { labels: { a: "b" } } },
      /metadata\.labels of BundleDeployment .*only spec\.paused is kept/,
    ],
  ] as const)
    await assert.rejects(world.client.patch(bundleDeployments, { ...refused, body }), { message });

  // A window that opens each day at 02:00 for an hour: it is noon.
  const spec = {
    schedule: "0 0 2 * * ?",
    duration: "1h",
    location: "UTC",
    targets: { clusters: [{ clusterSelector: { matchLabels: { location: "edge" } } }] },
  };
  await world.client.create(schedules, { metadata: { namespace, name: "night" }, spec }, world);
  const night = await first.until("the Schedule is read", async () => {
    const { status } = await world.client.get(schedules, { namespace, name: "night", signal: world.signal });
    return (status?.matchingClusters ?? []).length > 0 && status;
  });
  assert.equal(night.active, false);
  assert.match(night.nextStartTime ?? "", /T02:00:00Z$/);
  await first.until("the cluster says so", async () => {
    const { status } = await world.cluster("store-1");
    return status?.scheduled === true && status.activeSchedule === false;
  });
  assert.equal((await views()).spec["offSchedule"], true);
  await world.hub.applyCompiled(repo, compiledOf("excelsa"), "c3");
  await first.clock.advance(300_000);
  assert.equal(await coffeeIn(first), "robusta");
  await phaseIs("Progressing");
  const untilMs = Date.parse(night.nextStartTime ?? "");
  while (first.clock.nowMs() < untilMs) await first.clock.advance(60_000);
  await first.until("the window opens and it comes", async () => (await coffeeIn(first)) === "excelsa");
  await phaseIs("Complete");
});

test("a Cluster made beforehand is the first store's that asks for it; one to be dialled says what the hub lacks for it", async () => {
  await using store = await LoopWorld.start();
  await using world = await begun(store);
  const labels = { location: "edge", region: "north" };
  const spec = { kubeConfigSecret: "their-kubeconfig" };
  await world.client.create(clusters, { metadata: { namespace, name: "store-1", labels }, spec }, world);
  const imported = await store.until("it says so", async () =>
    (await world.cluster("store-1")).status?.conditions?.find((one) => one.type === "Imported"),
  );
  assert.deepEqual([imported.status, imported.reason], ["False", "NotImplemented"]);
  assert.match(imported.message ?? "", /this hub has no image for it; start it with --agent-image IMAGE/);
  await world.hub.applyCompiled(repo, compiledOf("arabica"), "c1");
  await using agent = agentOf(store, world, { name: "store-1", token: await world.token() });
  await store.until("the menu is there", async () => (await coffeeIn(store)) === "arabica");
  assert.equal(agent.state.isConnected, true);
  const cluster = await world.cluster("store-1");
  assert.deepEqual([cluster.metadata.labels, cluster.spec?.clientID], [labels, "store-1"]);
  await using other = await LoopWorld.start();
  await using thief = agentOf(other, world, { name: "store-1", token: await world.token() });
  await other.until("another is refused", () =>
    Promise.resolve(/another key|another store's|refused/.test(thief.state.message)),
  );
});

test("a BundleNamespaceMapping lets bundles reach clusters of other namespaces, for as long as it is there", async () => {
  await using store = await LoopWorld.start();
  await using world = await begun(store);
  const labels = { team: "shops" };
  await world.client.create(namespaces, { metadata: { name: "shops", labels } }, world);
  await world.client.create(
    clusterRegistrationTokens,
    { metadata: { namespace: "shops", name: "shops" } },
    world,
  );
  const token = await store.until("the token's Secret is there", async () => {
    const found = await world.client
      .get(secrets, { namespace: "shops", name: "shops", signal: world.signal })
      .catch(() => undefined);
    return found === undefined ? undefined : Buffer.from(found.data?.["token"] ?? "", "base64").toString();
  });
  const compiled = compiledOf("arabica");
  await world.hub.applyCompiled(
    repo,
    { ...compiled, bundles: compiled.bundles.map((one) => ({ ...one, labels: { share: "yes" } })) },
    "c1",
  );
  await using agent = agentOf(store, world, { name: "store-1", token });
  await store.until("it is connected", () => Promise.resolve(agent.state.isConnected));
  await store.clock.advance(10_000);
  assert.equal(await coffeeIn(store), undefined);
  const mapping = {
    metadata: { namespace, name: "to-shops" },
    bundleSelector: { matchLabels: { share: "yes" } },
    namespaceSelector: { matchLabels: labels },
  };
  await world.client.create(bundleNamespaceMappings, mapping, world);
  await store.until("the menu is there", async () => (await coffeeIn(store)) === "arabica");
  const state = await store.until("the cluster counts it", async () => {
    const { status } = await world.client.get(clusters, {
      namespace: "shops",
      name: "store-1",
      signal: world.signal,
    });
    return status?.display?.readyBundles === "1/1" && status.display.state;
  });
  assert.equal(state, "Ready");
  const { items } = await world.client.list(bundleDeployments, { signal: world.signal });
  assert.deepEqual(
    items.map(({ metadata }) => [metadata.name, metadata.labels?.["fleet.cattle.io/bundle-namespace"]]),
    [["menu", namespace]],
  );
  // One of its own namespace and of that name comes first, and the other says so.
  const own = { ...mapping, metadata: { namespace: "shops", name: "menu" } };
  const targets = [{ clusterSelector: {} }];
  const resources = [{ name: "menu.yaml", content: manifest("own") }];
  await world.client.create(
    bundles,
    { metadata: own.metadata, spec: { defaultNamespace: "menu", targets, resources } },
    world,
  );
  await store.until("its own menu is there", async () => (await coffeeIn(store)) === "own", 60_000);
  await store.until("the other says so", async () => {
    const { status } = await world.client.get(bundles, { namespace, name: "menu", signal: world.signal });
    return /has Bundle shops\/menu of the same name/.test(status?.conditions?.[0]?.message ?? "");
  });
  await world.client.delete(bundles, { ...own.metadata, signal: world.signal });
  await store.until("the shared one is back", async () => (await coffeeIn(store)) === "arabica", 60_000);
  await world.client.delete(bundleNamespaceMappings, { ...mapping.metadata, signal: world.signal });
  await store.until("the menu is gone", async () => (await coffeeIn(store)) === undefined);
});

test("Contents show what a deploymentID names: listed by name and use, whole when asked for, and not to be written", async () => {
  await using store = await LoopWorld.start();
  await using world = await begun(store);
  await world.hub.applyCompiled(repo, compiledOf("arabica", ["menu", "till"]), "c1");
  await using agent = agentOf(store, world, { name: "store-1", token: await world.token() });
  await store.until("the menu is there", async () => (await coffeeIn(store)) === "arabica");
  assert.equal(agent.state.isConnected, true);
  const { items } = await world.client.list(contents, { signal: world.signal });
  assert.deepEqual(
    items.map((one) => [one.status?.referenceCount, one.content]),
    [
      [1, undefined],
      [1, undefined],
    ],
  );
  const deploymentID = await store.until("the view names it", async () => {
    const shown = await world.client.list(bundleDeployments, { signal: world.signal });
    return shown.items[0]?.spec.deploymentID || undefined;
  });
  const name = deploymentID.split(":")[0] ?? "";
  assert.ok(items.some((one) => one.metadata.name === name));
  const whole = await world.client.get(contents, { name, signal: world.signal });
  const read = gunzipSync(Buffer.from(whole.content ?? "", "base64"));
  assert.equal(hex(read), whole.sha256sum);
  const { resources } = JSON.parse(read.toString()) as { resources: { content: string }[] };
  const object = JSON.parse(resources[0]?.content ?? "") as { kind: string; data: object };
  assert.deepEqual([object.kind, object.data], ["ConfigMap", { coffee: "arabica" }]);
  // What `cortado fleet diff --kubeconfig` compares with.
  const query = { client: world.client, namespace, signal: world.signal };
  const now = await readHubObjects(query, repo.name);
  assert.deepEqual([...(now.get(`${namespace}/store-1`)?.get("menu")?.keys() ?? [])], ["ConfigMap menu"]);
  assert.deepEqual(
    (await readHubClusters(query)).map((one) => [one.name, one.labels]),
    [["store-1", { location: "edge" }]],
  );
  assert.equal((await readHubRepo(query)).metadata.name, repo.name);
  await assert.rejects(world.client.delete(contents, { name, signal: world.signal }), {
    reason: "MethodNotAllowed",
    message: /it is made of Bundles and goes with them/,
  });
});
