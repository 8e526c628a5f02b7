import assert from "node:assert/strict";
import { test } from "node:test";
import { clusterRegistrationTokens, clusters, type Cluster } from "@cortado/kinds/fleet";
import { clusterRoleBindings, configMaps, deployments, secrets } from "@cortado/kinds/resources";
import { StatusError } from "@cortado/std/status";
import { agentOf, begun, coffeeIn, compiledOf, namespace, repo, type HubWorld } from "./hub-and-stores.ts";
import { LoopWorld } from "./world.ts";

const agentImage = "registry.example/cortado:1";
const place = "cattle-fleet-system";

/** A hub that reaches the cluster of a store by the kubeconfig "good". */
async function hubOf(store: LoopWorld): Promise<{ world: HubWorld; reached: string[] }> {
  const world = await begun(store);
  await world.hub[Symbol.asyncDispose]();
  const reached: string[] = [];
  world.reachCluster = (text, about) => {
    reached.push(`${about}: ${text}`);
    if (text === "dark")
      return Promise.reject(new StatusError("ServiceUnavailable", "https://dark does not answer"));
    const { client } =
      text === "good" ? store : { client: store.as({ name: "nobody", groups: ["system:authenticated"] }) };
    return Promise.resolve({ client, [Symbol.dispose]: () => undefined });
  };
  await world.startHub({ agentImage });
  return { world, reached };
}

async function putSecret(world: HubWorld, stringData: Record<string, string>): Promise<void> {
  const metadata = { name: "kubeconfig", namespace };
  await world.client.delete(secrets, { ...metadata, signal: world.signal }).catch(() => undefined);
  await world.client.create(secrets, { metadata, stringData }, world);
}

const importedIs = (store: LoopWorld, world: HubWorld, pattern: RegExp): Promise<unknown> =>
  store.until(
    String(pattern),
    async () => {
      const { status } = await world.cluster("store-1");
      const found = status?.conditions?.find((one) => one.type === "Imported");
      return pattern.test(`${found?.status} ${found?.reason} ${found?.message}`);
    },
    120_000,
  );

const put = (world: HubWorld, spec: Cluster["spec"]): Promise<unknown> =>
  world.client.create(
    clusters,
    { metadata: { namespace, name: "store-1", labels: { location: "edge" } }, spec: spec ?? {} },
    world,
  );

test("what keeps the hub from bringing a cluster in is told, and mended it goes on", async () => {
  await using store = await LoopWorld.start();
  const { world, reached } = await hubOf(store);
  await using _world = world;
  await put(world, { kubeConfigSecret: "kubeconfig" });
  await importedIs(
    store,
    world,
    /^False NotFound Secret fleet-default\/kubeconfig, which spec\.kubeConfigSecret names, is not there/,
  );
  await putSecret(world, { other: "good" });
  await importedIs(
    store,
    world,
    /^False Invalid Secret fleet-default\/kubeconfig has no kubeconfig under key value or config/,
  );
  await putSecret(world, { value: "dark" });
  await importedIs(store, world, /^False ServiceUnavailable https:\/\/dark does not answer/);
  await putSecret(world, { value: "poor" });
  await importedIs(
    store,
    world,
    /^False Forbidden the cluster of Secret fleet-default\/kubeconfig, key value: Namespace cattle-fleet-system: .*forbidden/,
  );
  await putSecret(world, { config: "good" });
  await importedIs(store, world, /^True AgentDeployed the agent is installed and is to register by itself/);
  assert.equal(reached.at(-1), "Secret fleet-default/kubeconfig, key config: good");
  const count = reached.length;
  await store.clock.advance(600_000);
  assert.equal(reached.length, count, "once it is installed the hub dials no more");
});

test("the agent is installed as the Cluster says, registers under its name, and the token for it goes", async () => {
  await using store = await LoopWorld.start();
  const { world, reached } = await hubOf(store);
  await using _world = world;
  await world.hub.applyCompiled(repo, compiledOf("arabica"), "c1");
  await putSecret(world, { value: "good" });
  const toleration = { key: "edge", operator: "Exists" };
  await put(world, {
    kubeConfigSecret: "kubeconfig",
    privateRepoURL: "mirror.example/",
    agentEnvVars: [{ name: "A", value: "b" }],
    agentTolerations: [toleration],
    hostNetwork: true,
  });
  await importedIs(store, world, /^True AgentDeployed/);
  const own = { name: "cortado-fleet-agent", namespace: place, signal: store.signal };
  const pod = (await store.client.get(deployments, own)).spec?.template.spec;
  const container = pod?.containers[0];
  assert.equal(container?.image, `mirror.example/${agentImage}`);
  const words = (container?.args ?? []).join(" ");
  assert.match(words, /--hub https:\/\/hub\.example:8443 .*--namespace cattle-fleet-system --name store-1$/);
  assert.deepEqual([pod?.tolerations, pod?.hostNetwork], [[toleration], true]);
  assert.deepEqual(
    container?.env?.map((one) => one.name),
    ["HUB_TOKEN", "A"],
  );
  await store.client.get(configMaps, own);
  await store.client.get(clusterRoleBindings, { name: own.name, signal: store.signal });
  const secret = await store.client.get(secrets, own);
  const token = Buffer.from(secret.data?.["token"] ?? "", "base64").toString();
  assert.match(token, /^K10[0-9a-f]{64}::fleet:/);
  // A hub that is begun anew meanwhile does not install it again.
  const count = reached.length;
  await world.hub[Symbol.asyncDispose]();
  await world.startHub({ agentImage });
  await store.clock.advance(60_000);
  assert.equal(reached.length, count);
  await using _agent = agentOf(store, world, { name: "store-1", token });
  await store.until("the menu is there", async () => (await coffeeIn(store)) === "arabica");
  await importedIs(store, world, /^True {2}$/);
  const left = await world.client.list(clusterRegistrationTokens, { namespace, signal: world.signal });
  assert.deepEqual(
    left.items.map((one) => one.metadata.name),
    ["stores"],
  );
  await store.clock.advance(600_000);
  assert.equal(reached.length, count);
  const redeploy = { spec: { redeployAgentGeneration: 1 } };
  const where = { namespace, name: "store-1", signal: world.signal };
  await world.client.patch(clusters, { ...where, type: "merge", body: redeploy });
  await store.until("it is installed anew", () => Promise.resolve(reached.length === count + 1));
  await importedIs(store, world, /^True {2}$/);
});

test("a token that ended before the agent came is made anew, and the agent with it", async () => {
  await using store = await LoopWorld.start();
  const { world, reached } = await hubOf(store);
  await using _world = world;
  await putSecret(world, { value: "good" });
  await put(world, { kubeConfigSecret: "kubeconfig" });
  await importedIs(store, world, /^True AgentDeployed/);
  const own = { name: "cortado-fleet-agent", namespace: place, signal: store.signal };
  const first = (await store.client.get(secrets, own)).data?.["token"];
  // As its end does, after half a day.
  const token = { namespace, name: "import-store-1", signal: world.signal };
  assert.equal((await world.client.get(clusterRegistrationTokens, token)).spec?.ttl, "12h");
  await world.client.delete(clusterRegistrationTokens, token);
  await store.until("another", () => Promise.resolve(reached.length === 2), 120_000);
  assert.notEqual((await store.client.get(secrets, own)).data?.["token"], first);
});
