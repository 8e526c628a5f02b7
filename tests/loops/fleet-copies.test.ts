import assert from "node:assert/strict";
import { test } from "node:test";
import type { Compiled } from "@cortado/fleet/compile/bundle";
import { bundles, contents } from "@cortado/kinds/fleet";
import { configMaps, secrets } from "@cortado/kinds/resources";
import { agentOf, begun, coffeeIn, compiledOf, namespace, repo, type HubWorld } from "./hub-and-stores.ts";
import { LoopWorld } from "./world.ts";

const downstreamResources = [
  { kind: "Secret", name: "pull" },
  { kind: "ConfigMap", name: "brand" },
];

function compiledWith(names: readonly string[] = ["menu", "till"]): Compiled {
  const [menu, ...others] = compiledOf("arabica", names).bundles;
  assert.ok(menu !== undefined);
  return {
    bundles: [{ ...menu, spec: { ...menu.spec, downstreamResources } }, ...others],
    problems: [],
  };
}

const secretIn = async (store: LoopWorld): Promise<string | undefined> => {
  const where = { namespace: "menu", name: "pull", signal: store.signal };
  const found = await store.client.get(secrets, where).catch(() => undefined);
  const text = found?.data?.["word"];
  return text === undefined ? undefined : `${found?.type ?? ""} ${Buffer.from(text, "base64").toString()}`;
};

async function putSecret(world: HubWorld, word: string): Promise<void> {
  const metadata = { name: "pull", namespace };
  const body = { stringData: { word } };
  const { client, signal } = world;
  await client
    .create(secrets, { metadata, type: "shop.example/login", ...body }, world)
    .catch(() => client.patch(secrets, { ...metadata, type: "merge", body, signal }));
}

test("Secrets and ConfigMaps beside the Bundle go along to its stores, follow their changes, and are not shown", async () => {
  await using store = await LoopWorld.start();
  await using world = await begun(store);
  await world.hub.applyCompiled(repo, compiledWith(), "c1");
  await using _agent = agentOf(store, world, { name: "store-1", token: await world.token() });
  const told = (pattern: RegExp): Promise<unknown> =>
    store.until(String(pattern), async () => {
      const { status } = await world.client.get(bundles, { namespace, name: "menu", signal: world.signal });
      const ready = status?.conditions?.find((one) => one.type === "Ready");
      return pattern.test(`${ready?.status} ${ready?.message}`);
    });
  await told(/downstreamResources: Secret fleet-default\/pull is not at the hub; make it there/);
  assert.equal(await coffeeIn(store), undefined);
  await store.until("the till is there all the same", async () => {
    const where = { namespace: "till", name: "menu", signal: store.signal };
    return store.client.get(configMaps, where).catch(() => undefined);
  });
  await putSecret(world, "one");
  await told(/downstreamResources: ConfigMap fleet-default\/brand is not at the hub/);
  const brand = { name: "brand", namespace };
  await world.client.create(configMaps, { metadata: brand, data: { name: "Cortado" } }, world);
  await told(/^True /);
  assert.equal(await secretIn(store), "shop.example/login one");
  const copy = { namespace: "menu", name: "brand", signal: store.signal };
  assert.equal((await store.client.get(configMaps, copy)).data?.["name"], "Cortado");
  await putSecret(world, "two");
  await store.until("the change", async () => (await secretIn(store))?.endsWith("two"));
  const { items } = await world.client.list(contents, { signal: world.signal });
  assert.equal(items.length, 1, "the till alone is shown");
  await world.client.delete(secrets, { namespace, name: "pull", signal: world.signal });
  await told(/pull is not at the hub/);
  await store.clock.advance(60_000);
  assert.equal(await secretIn(store), "shop.example/login two", "what runs stays");
  await putSecret(world, "three");
  await store.until("it is back", async () => (await secretIn(store))?.endsWith("three"));
  await world.hub.applyCompiled(repo, compiledOf("arabica", ["menu", "till"]), "c2");
  await store.until("the copy goes with its wish", async () => (await secretIn(store)) === undefined);
});

test("a change of what is copied while the hub was away comes with it", async () => {
  await using store = await LoopWorld.start();
  await using world = await begun(store);
  await putSecret(world, "one");
  await world.client.create(configMaps, { metadata: { name: "brand", namespace }, data: {} }, world);
  await world.hub.applyCompiled(repo, compiledWith(), "c1");
  await using _agent = agentOf(store, world, { name: "store-1", token: await world.token() });
  await store.until("it is there", async () => (await secretIn(store))?.endsWith("one"));
  await world.hub[Symbol.asyncDispose]();
  await putSecret(world, "two");
  await world.startHub();
  await store.until("the change", async () => (await secretIn(store))?.endsWith("two"), 120_000);
});
