import assert from "node:assert/strict";
import { test } from "node:test";
import { newHub } from "@cortado/fleet/hub";
import { clusters } from "@cortado/kinds/fleet";
import type { FromHub } from "@cortado/fleet/protocol";
import { agentOf, begun, coffeeIn, compiledOf, repo, type HubWorld } from "./hub-and-stores.ts";
import { LoopWorld } from "./world.ts";

async function readyStore(store: LoopWorld, world: HubWorld): Promise<AsyncDisposable> {
  await world.hub.applyCompiled(repo, compiledOf("arabica"), "c1");
  const agent = agentOf(store, world, { name: "store-1", token: await world.token() });
  await store.until("the menu is there", async () => (await coffeeIn(store)) === "arabica");
  const isReady = async (): Promise<boolean> =>
    (await world.cluster("store-1")).status?.display?.state === "Ready";
  await store.until("it is Ready", isReady);
  await store.clock.advance(20_000); // what is written lazily is written
  return agent;
}

async function* firstOf<Item>(items: AsyncIterable<Item>): AsyncGenerator<Item, void, void> {
  for await (const item of items) return yield item;
}

test("a hub that was away for a moment writes nothing of stores that are as they were, and shows what they have", async () => {
  await using store = await LoopWorld.start();
  await using world = await begun(store);
  await using agent = await readyStore(store, world);
  await agent[Symbol.asyncDispose]();
  await world.hub[Symbol.asyncDispose]();
  const before = await world.cluster("store-1");
  const parts = newHub();
  await world.startHub({}, parts);
  await world.hub.ready;
  await store.clock.advance(15_000);
  const after = await world.cluster("store-1");
  assert.deepEqual(after.status, before.status);
  assert.equal(after.metadata.resourceVersion, before.metadata.resourceVersion);
  const [deployments] = parts.views;
  const page = await deployments?.list({ prefix: "", after: undefined, limit: undefined });
  assert.deepEqual(
    page?.items.map(({ object, revision }) => [(object["metadata"] as { name: string }).name, revision]),
    [["menu", Number(after.metadata.resourceVersion)]],
  );
});

test("a welcome is one write, and its time goes along", async () => {
  await using store = await LoopWorld.start();
  await using world = await begun(store);
  await using agent = await readyStore(store, world);
  await agent[Symbol.asyncDispose]();
  await store.clock.advance(5_000);
  const before = await world.cluster("store-1");
  let writes = 0;
  const stop = new AbortController();
  const { resourceVersion = "" } = before.metadata;
  const watching = (async () => {
    const changes = world.client.watch(clusters, { resourceVersion, signal: stop.signal });
    for await (const { type } of changes) if (type === "MODIFIED") writes += 1;
  })();
  await using link = world.dial([...world.issued.keys()].at(-1) ?? "");
  const { confirmed = "", offered = "" } = before.status?.session ?? {};
  const session = offered === "" ? confirmed : offered;
  const versions = { agent: "1.0.0", kubernetes: before.status?.agent?.kubernetes ?? "" };
  await link.send({ type: "hello", protocol: 1, session, after: 0, has: {}, versions });
  const [first] = await Array.fromAsync(firstOf(link.messages()));
  assert.equal((first as FromHub).type, "welcome");
  await store.clock.advance(10_000);
  stop.abort();
  await watching.catch(() => undefined);
  assert.equal(writes, 1);
  const { status } = await world.cluster("store-1");
  assert.ok(Date.parse(status?.agent?.lastSeen ?? "") > Date.parse(before.status?.agent?.lastSeen ?? ""));
});
