import assert from "node:assert/strict";
import { test } from "node:test";
import type { Agent, HubDoor } from "@cortado/fleet/agent/ports";
import type { BundleSpec, Compiled } from "@cortado/fleet/compile/bundle";
import type { AgentLink, FromHub } from "@cortado/fleet/protocol";
import type { HubOptions } from "@cortado/fleet/hub";
import { bundleDeployments, bundles, clusters, contents } from "@cortado/kinds/fleet";
import { configMaps, namespaces, secrets, serviceAccounts } from "@cortado/kinds/resources";
import { HeldClock } from "@cortado/std/testing/held-clock";
import { StatusError } from "@cortado/std/status";
import { agentOf, begun, coffeeIn, compiledOf, namespace, repo, type HubWorld } from "./hub-and-stores.ts";
import { LoopWorld } from "./world.ts";

const valuesFrom = [
  { configMapKeyRef: { name: "taste" } },
  { secretKeyRef: { name: "recipe", namespace: "vault", key: "extra.yaml" } },
];
const files = [{ name: "Chart.yaml", content: new TextEncoder().encode("name: menu\nversion: 1.0.0\n") }];

/** The menu as a chart, beside a bundle that needs nothing of the store. */
function compiledWith(spec: Partial<BundleSpec>, names: readonly string[] = ["menu", "till"]): Compiled {
  const [menu, ...others] = compiledOf("arabica", names).bundles;
  assert.ok(menu !== undefined);
  return { bundles: [{ ...menu, spec: { ...menu.spec, ...spec }, files }, ...others], problems: [] };
}

const needing = (values = {}, names?: readonly string[]): Compiled =>
  compiledWith({ helm: { values, valuesFrom } }, names);

async function hubOf(store: LoopWorld, more: Partial<HubOptions> = {}): Promise<HubWorld> {
  const world = await begun(store, more);
  world.helmTemplate = (_files, { values }) => {
    if (values["fails"] === true) throw new StatusError("Invalid", `helm: bad ${JSON.stringify(values)}`);
    const data = { coffee: String(values["coffee"]), milk: String(values["milk"]) };
    const metadata = { name: "menu" };
    return Promise.resolve(JSON.stringify({ apiVersion: "v1", kind: "ConfigMap", metadata, data }));
  };
  return world;
}

async function putTaste(store: LoopWorld, text: string, key = "values.yaml"): Promise<void> {
  const metadata = { name: "taste", namespace: "menu" };
  await store.client.create(namespaces, { metadata: { name: "menu" } }, store).catch(() => undefined);
  await store.client.delete(configMaps, { ...metadata, signal: store.signal }).catch(() => undefined);
  await store.client.create(configMaps, { metadata, data: { [key]: text } }, store);
}

async function putRecipe(store: LoopWorld, text: string): Promise<void> {
  const metadata = { name: "recipe", namespace: "vault" };
  await store.client.create(namespaces, { metadata: { name: "vault" } }, store).catch(() => undefined);
  await store.client.delete(secrets, { ...metadata, signal: store.signal }).catch(() => undefined);
  await store.client.create(secrets, { metadata, stringData: { "extra.yaml": text } }, store);
}

const tillIn = async (store: LoopWorld): Promise<boolean> => {
  const where = { namespace: "till", name: "menu", signal: store.signal };
  return store.client.get(configMaps, where).then(
    () => true,
    () => false,
  );
};

const brings = (store: LoopWorld, coffee: string, withinMs?: number): Promise<unknown> =>
  store.until(`${coffee} is there`, async () => (await coffeeIn(store)) === coffee, withinMs);

const stateOf = async (world: HubWorld): Promise<{ state: string; message: string }> => {
  const { status } = await world.client.get(bundles, { namespace, name: "menu", signal: world.signal });
  const ready = status?.conditions?.find((one) => one.type === "Ready");
  return { state: status?.display?.state ?? "", message: ready?.message ?? "" };
};

/** A line that a test cuts. */
function lineTo(world: HubWorld): { door: HubDoor; cut: () => Promise<void>; mend: () => void } {
  const door = world.door();
  let isCut = false;
  const links: AgentLink[] = [];
  return {
    door: {
      ...door,
      async dial(...words) {
        if (isCut) throw new StatusError("ServiceUnavailable", "the line is cut");
        const link = await door.dial(...words);
        links.push(link);
        return link;
      },
    },
    cut: async () => {
      isCut = true;
      await links.at(-1)?.[Symbol.asyncDispose]();
    },
    mend: () => {
      isCut = false;
    },
  };
}

test("values of ConfigMaps and Secrets of the store count last and in their order, follow their changes, and are shown nowhere", async () => {
  await using store = await LoopWorld.start();
  await using world = await hubOf(store);
  await putTaste(store, "coffee: robusta\nmilk: oat\n");
  await putRecipe(store, "coffee: secret-blend\n");
  await world.hub.applyCompiled(repo, needing({ coffee: "arabica" }), "c1");
  await using _agent = agentOf(store, world, { name: "store-1", token: await world.token() });
  await brings(store, "secret-blend");
  const where = { namespace: "menu", name: "menu", signal: store.signal };
  assert.equal((await store.client.get(configMaps, where)).data?.["milk"], "oat");
  await store.until("it is Ready", async () => (await stateOf(world)).state === "Ready");
  await putRecipe(store, "coffee: other-blend\n");
  await brings(store, "other-blend");
  await putTaste(store, "milk: soy\n");
  await store.until(
    "the milk, too",
    async () => (await store.client.get(configMaps, where)).data?.["milk"] === "soy",
  );
  const { client, signal } = world;
  const shown = await Promise.all([
    client.list(bundles, { signal }),
    client.list(clusters, { signal }),
    client.list(bundleDeployments, { signal }),
  ]);
  assert.doesNotMatch(JSON.stringify(shown), /blend/);
  const { items } = await client.list(contents, { signal });
  assert.equal(items.length, 1, "the till alone is shown");
});

test("what is missing is told by name, harms no other bundle and nothing that runs, and is taken up when it comes", async () => {
  await using store = await LoopWorld.start();
  await using world = await hubOf(store);
  await world.hub.applyCompiled(repo, needing(), "c1");
  await using _agent = agentOf(store, world, { name: "store-1", token: await world.token() });
  const tells = (pattern: RegExp): Promise<unknown> =>
    store.until(String(pattern), async () => {
      const { state, message } = await stateOf(world);
      const { status } = await world.cluster("store-1").catch(() => ({ status: undefined }));
      const ready = status?.conditions?.find((one) => one.type === "Ready")?.message ?? "";
      return state === "ErrApplied" && pattern.test(message) && pattern.test(ready);
    });
  await tells(/helm\.valuesFrom: ConfigMap menu\/taste is not there in this store; make it/);
  await store.until("the till is there all the same", () => tillIn(store));
  await putTaste(store, "coffee: robusta", "taste.yaml");
  await tells(/helm\.valuesFrom: ConfigMap menu\/taste has no key values\.yaml in this store; add it/);
  await putTaste(store, "- coffee");
  await tells(/helm\.valuesFrom: Secret vault\/recipe is not there/);
  await putRecipe(store, "coffee: [");
  await tells(/ConfigMap menu\/taste, key values\.yaml: this is no map of values/);
  await putTaste(store, "coffee: robusta");
  await tells(/Secret vault\/recipe, key extra\.yaml: this is not YAML/);
  await putRecipe(store, "coffee: blend");
  await brings(store, "blend");
  await store.until("it is Ready", async () => (await stateOf(world)).state === "Ready");
  await store.client.delete(secrets, { namespace: "vault", name: "recipe", signal: store.signal });
  await tells(/Secret vault\/recipe is not there/);
  await store.clock.advance(120_000);
  assert.equal(await coffeeIn(store), "blend", "it stays");
  assert.equal(await tillIn(store), true);
  await putRecipe(store, "fails: true\npassword: hunter22");
  await tells(/cannot be rendered: helm: bad \{.*"fails":true,"password":"…"\}/);
  assert.equal(await coffeeIn(store), "blend");
});

test("a hub that begins anew while values are missing prunes nothing of that bundle, and another goes when it is gone", async () => {
  await using store = await LoopWorld.start();
  await using world = await hubOf(store);
  await putTaste(store, "coffee: robusta");
  await putRecipe(store, "{}");
  await world.hub.applyCompiled(repo, needing(), "c1");
  await using agent = agentOf(store, world, { name: "store-1", token: await world.token() });
  await brings(store, "robusta");
  await store.until("the till is there", () => tillIn(store));
  await world.hub[Symbol.asyncDispose]();
  await store.client.delete(secrets, { namespace: "vault", name: "recipe", signal: store.signal });
  await world.startHub();
  await store.until(
    "it is told",
    async () => /recipe is not there/.test((await stateOf(world)).message),
    120_000,
  );
  assert.equal(agent.state.isConnected, true);
  await world.hub.applyCompiled(repo, needing({}, ["menu"]), "c2");
  await store.until("the till goes", async () => !(await tillIn(store)));
  await store.clock.advance(60_000);
  assert.equal(await coffeeIn(store), "robusta", "the menu stays");
  await putRecipe(store, "coffee: blend");
  await brings(store, "blend");
});

test("a store that was dark gets what was pushed meanwhile with its own values, also from a hub that was begun anew", async () => {
  await using store = await LoopWorld.start();
  await using world = await hubOf(store);
  await putTaste(store, "milk: oat");
  await putRecipe(store, "coffee: blend-1");
  await world.hub.applyCompiled(repo, needing(), "c1");
  const { door, cut, mend } = lineTo(world);
  await using _agent = agentOf(store, world, { name: "store-1", token: await world.token(), hub: door });
  await brings(store, "blend-1");
  await store.until("it is Ready", async () => (await stateOf(world)).state === "Ready");
  await cut();
  await world.hub.applyCompiled(repo, needing({ more: 1 }), "c2");
  await store.until("it waits for the store", async () =>
    /waits until the store tells ConfigMap menu\/taste, key values\.yaml/.test(
      (await stateOf(world)).message,
    ),
  );
  assert.equal((await stateOf(world)).state, "OutOfSync");
  await putRecipe(store, "coffee: blend-2");
  mend();
  await brings(store, "blend-2", 120_000);
  await store.until("it is Ready", async () => (await stateOf(world)).state === "Ready");
  await cut();
  await world.hub[Symbol.asyncDispose]();
  await world.startHub();
  await store.clock.advance(60_000);
  assert.equal((await stateOf(world)).state, "Pending");
  await putRecipe(store, "coffee: blend-3");
  mend();
  await brings(store, "blend-3", 120_000);
  await store.until("it is Ready", async () => (await stateOf(world)).state === "Ready");
});

test("an agent that is ended at any moment goes on with the values as they are then", async () => {
  await using store = await LoopWorld.start();
  await using world = await hubOf(store);
  await putTaste(store, "milk: oat");
  await putRecipe(store, "coffee: blend-0");
  await world.hub.applyCompiled(repo, needing(), "c1");
  let agent: Agent = agentOf(store, world, { name: "store-1", token: await world.token() });
  try {
    await brings(store, "blend-0");
    for (let round = 1; round <= 8; round += 1) {
      await putRecipe(store, `coffee: blend-${round}`);
      await store.clock.advance(round * 40);
      await agent[Symbol.asyncDispose]();
      agent = agentOf(store, world, { name: "store-1" });
      if (round % 3 === 0) await brings(store, `blend-${round}`, 120_000);
    }
    await brings(store, "blend-8", 120_000);
    await store.until("it is Ready", async () => (await stateOf(world)).state === "Ready");
  } finally {
    await agent[Symbol.asyncDispose]();
  }
});

test("stores have their own values, and none may read what is another's", async () => {
  const clock = new HeldClock();
  await using one = await LoopWorld.start({ clock });
  await using other = await LoopWorld.start({ clock });
  await using world = await hubOf(one);
  for (const [store, blend] of [
    [one, "blend-one"],
    [other, "blend-other"],
  ] as const) {
    await putTaste(store, "milk: oat");
    await putRecipe(store, `coffee: ${blend}`);
  }
  await world.hub.applyCompiled(repo, needing(), "c1");
  await using _one = agentOf(one, world, { name: "store-1", token: await world.token() });
  let link: AgentLink | undefined;
  const said: (FromHub | Uint8Array)[] = [];
  const door = world.door();
  const hub: HubDoor = {
    ...door,
    async dial(...words) {
      const own = await door.dial(...words);
      link = own;
      async function* messages(): AsyncIterable<FromHub | Uint8Array> {
        for await (const message of own.messages()) {
          said.push(message);
          yield message;
        }
      }
      return { ...own, messages };
    },
  };
  await using _other = agentOf(other, world, { name: "store-2", token: await world.token(), hub });
  await brings(one, "blend-one");
  await brings(other, "blend-other");
  const [theirs, own] = [await chunkWith(world, "blend-one"), await chunkWith(world, "blend-other")];
  said.length = 0;
  await link?.send({ type: "want", chunks: [theirs, own] });
  const answers = await one.until("both are answered", () => Promise.resolve(said.length >= 2 && [...said]));
  const [refused, given] = answers as [FromHub, Uint8Array];
  assert.ok(refused.type === "noChunk" && refused.sha256 === theirs, JSON.stringify(refused));
  assert.match(refused.message, /not of a bundle that is for this store/);
  assert.ok(given instanceof Uint8Array);
});

async function chunkWith(world: HubWorld, text: string): Promise<string> {
  for (const name of await world.files.list("hub/chunks")) {
    const bytes = await world.files.read(`hub/chunks/${name}`);
    if (bytes !== undefined && new TextDecoder().decode(bytes).includes(text)) return name;
  }
  return assert.fail(`no chunk holds ${text}`);
}

test("an agent that is too old to read values is told to be updated, and keeps what it has", async () => {
  await using store = await LoopWorld.start();
  await using world = await hubOf(store);
  await putTaste(store, "coffee: robusta");
  await putRecipe(store, "{}");
  await world.hub.applyCompiled(repo, needing(), "c1");
  const door = world.door();
  let isOld = false;
  const hub: HubDoor = {
    ...door,
    async dial(...words) {
      const own = await door.dial(...words);
      const send: AgentLink["send"] = (message) => {
        if (message.type !== "hello") return own.send(message);
        const { knows: _knows, ...old } = message;
        return own.send(isOld ? old : message);
      };
      return { ...own, send };
    },
  };
  const agent = agentOf(store, world, { name: "store-1", token: await world.token(), hub });
  await brings(store, "robusta");
  await agent[Symbol.asyncDispose]();
  isOld = true;
  await world.hub.applyCompiled(repo, needing({ more: 1 }), "c2");
  await using _older = agentOf(store, world, { name: "store-1", hub });
  await store.until("it is told", async () =>
    /agent of this store is too old to read ConfigMap menu\/taste.*update it/.test(
      (await stateOf(world)).message,
    ),
  );
  await store.clock.advance(60_000);
  assert.equal(await coffeeIn(store), "robusta");
  assert.equal(await tillIn(store), true);
});

test("content with values of a store leaves the hub's disk when the store has other", async () => {
  await using store = await LoopWorld.start();
  await using world = await hubOf(store, { sweepEveryMs: 60_000 });
  await putTaste(store, "milk: oat");
  await putRecipe(store, "coffee: blend-1");
  await world.hub.applyCompiled(repo, needing(), "c1");
  await using _agent = agentOf(store, world, { name: "store-1", token: await world.token() });
  await brings(store, "blend-1");
  await putRecipe(store, "coffee: blend-2");
  await brings(store, "blend-2");
  for (let minute = 0; minute < 5; minute += 1) await store.clock.advance(60_000);
  await assert.rejects(chunkWith(world, "blend-1"), /no chunk holds blend-1/);
  await chunkWith(world, "blend-2");
  await putRecipe(store, "coffee: blend-1");
  await brings(store, "blend-1");
});

test("values are read with the rights of the bundle's account", async () => {
  await using store = await LoopWorld.start();
  await using world = await hubOf(store);
  await putTaste(store, "coffee: robusta");
  await putRecipe(store, "{}");
  await world.hub.applyCompiled(
    repo,
    compiledWith({ helm: { valuesFrom }, serviceAccount: "barista" }),
    "c1",
  );
  const agentNamespace = "cattle-fleet-system";
  const asServiceAccount = (account: { readonly namespace: string; readonly name: string }) =>
    store.as({
      name: `system:serviceaccount:${account.namespace}:${account.name}`,
      groups: [
        "system:serviceaccounts",
        `system:serviceaccounts:${account.namespace}`,
        "system:authenticated",
      ],
    });
  await using _agent = agentOf(store, world, {
    name: "store-1",
    token: await world.token(),
    asServiceAccount,
  });
  await store.until("it may not be read", async () =>
    /ConfigMap menu\/taste cannot be read in this store: .*barista/.test((await stateOf(world)).message),
  );
  assert.equal(await coffeeIn(store), undefined);
  const metadata = { name: "barista", namespace: agentNamespace };
  await store.client.create(serviceAccounts, { metadata }, store);
  await store.client.create(
    {
      group: "rbac.authorization.k8s.io",
      version: "v1",
      plural: "clusterrolebindings",
      kind: "ClusterRoleBinding",
      namespaced: false,
    },
    {
      metadata: { name: "barista" },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "cluster-admin" },
      subjects: [{ kind: "ServiceAccount", ...metadata }],
    } as never,
    store,
  );
  await brings(store, "robusta", 120_000);
});
