import assert from "node:assert/strict";
import { test } from "node:test";
import { machineKeys } from "@cortado/fleet/agent/node/keys";
import type { HubDoor } from "@cortado/fleet/agent/ports";
import type { AgentLink } from "@cortado/fleet/protocol";
import { bundleDeployments, bundles, clusters, gitRepos, type Bundle } from "@cortado/kinds/fleet";
import { configMaps, events } from "@cortado/kinds/resources";
import type { Connection } from "@cortado/std/net";
import { hasReason, StatusError } from "@cortado/std/status";
import {
  agentOf,
  authority,
  begun,
  coffeeIn,
  compiledOf,
  hex,
  manifest,
  namespace,
  repo,
} from "./hub-and-stores.ts";
import { LoopWorld } from "./world.ts";

test("a bundle goes from the hub to a store and its state comes back; a new one follows, and a gone one goes", async () => {
  await using store = await LoopWorld.start();
  await using world = await begun(store);
  await world.hub.applyCompiled(repo, compiledOf("arabica", ["menu", "till"]), "c1");
  await using agent = agentOf(store, world, { name: "store-1", token: await world.token() });
  await store.until(
    `the menu is there: ${agent.state.message}`,
    async () => (await coffeeIn(store)) === "arabica",
  );
  const cluster = await store.until("the cluster is ready", async () => {
    const found = await world.cluster("store-1");
    return found.status?.display?.state === "Ready" && found.status.display.readyBundles === "2/2" && found;
  });
  assert.deepEqual(cluster.metadata.labels?.["location"], "edge");
  assert.equal(cluster.status?.conditions?.find((one) => one.type === "Offline")?.status, "False");
  await store.until("the bundle's rollout is complete", async () => {
    const { status } = await world.client.get(bundles, { namespace, name: "menu", signal: world.signal });
    return status?.rollout?.phase === "Complete" && status.display?.readyClusters === "1/1";
  });
  await store.until("the repository counts it", async () => {
    const { status } = await world.client.get(gitRepos, { ...repo, signal: world.signal });
    return status?.display?.readyBundleDeployments === "2/2" && status.readyClusters === 1;
  });
  const { items } = await world.client.list(bundleDeployments, { signal: world.signal });
  assert.deepEqual(
    items.map((one) => [one.metadata.namespace, one.metadata.name, one.status?.["ready"]]),
    ["menu", "till"].map((name) => [cluster.status?.namespace, name, true]),
  );
  const [shown] = items;
  const [report] = cluster.status?.reports?.filter((one) => one.bundle === "menu") ?? [];
  const [manifest = "", options = ""] = report?.applied.split(":") ?? [];
  assert.match(shown?.spec.deploymentID ?? "", new RegExp(`^${manifest}[0-9a-f]+:${options}[0-9a-f]+$`));
  assert.equal(shown?.status?.["appliedDeploymentID"], shown?.spec.deploymentID);
  await world.hub.applyCompiled(repo, compiledOf("robusta"), "c2");
  await store.until("the new menu is there", async () => (await coffeeIn(store)) === "robusta");
  await store.until(
    "the till is gone",
    async () => (await world.cluster("store-1")).status?.display?.readyBundles === "1/1",
  );
  await store.until("its objects are gone", async () => {
    const found = await store.client.list(configMaps, { namespace: "till", signal: store.signal });
    return found.items.every((one) => one.metadata.name !== "menu");
  });
});

test("a store that falls silent is Offline, one that was revoked is refused, and a restart of the hub forgets nothing", async () => {
  await using store = await LoopWorld.start();
  await using world = await begun(store);
  await world.hub.applyCompiled(repo, compiledOf("arabica"), "c1");
  let isCut = false;
  const door = world.door();
  const links: AgentLink[] = [];
  const hub: HubDoor = {
    ...door,
    async dial(...words) {
      if (isCut) throw new StatusError("ServiceUnavailable", "the line is cut");
      const link = await door.dial(...words);
      links.push(link);
      return link;
    },
  };
  await using agent = agentOf(store, world, { name: "store-1", token: await world.token(), hub });
  const stateIs = (state: string): Promise<unknown> =>
    store.until(
      state,
      async () => (await world.cluster("store-1").catch(() => undefined))?.status?.display?.state === state,
      120_000,
    );
  await stateIs("Ready");
  isCut = true;
  await links.at(-1)?.[Symbol.asyncDispose]();
  await stateIs("Offline");
  const offline = (await world.cluster("store-1")).status?.conditions?.find((one) => one.type === "Offline");
  assert.match(offline?.message ?? "", /last heard at 2026-/);
  await world.hub.applyCompiled(repo, compiledOf("robusta"), "c2");
  await world.hub[Symbol.asyncDispose]();
  await world.startHub();
  isCut = false;
  await store.until(
    "it has jumped to the newest",
    async () => (await coffeeIn(store)) === "robusta",
    120_000,
  );
  await stateIs("Ready");
  const note = { metadata: { annotations: { "fleet.cortado.dev/revoked": "true" } } };
  await world.client.patch(clusters, {
    namespace,
    name: "store-1",
    type: "merge",
    body: note,
    signal: world.signal,
  });
  await store.until("it is refused", () => Promise.resolve(/revoked/.test(agent.state.message)), 120_000);
});

test("words, sequences and chunks: what is out of date, told twice or another's is refused", async () => {
  await using store = await LoopWorld.start();
  await using world = await begun(store);
  await world.hub.applyCompiled(repo, compiledOf("arabica"), "c1");
  const { privateKey } = machineKeys.make();
  const secret = (await world.token()).replace(/^K10[0-9a-f]{64}::fleet:/, "");
  const proof = machineKeys.sign(privateKey, `register\nid-1\n${hex(secret)}`);
  const publicKey = machineKeys.publicOf(privateKey);
  const asked = {
    token: secret,
    clientId: "id-1",
    name: "store-1",
    labels: { location: "edge" },
    publicKey,
    proof,
  };
  await assert.rejects(world.door().register({ ...asked, token: "x" }, { authority, signal: world.signal }), {
    reason: "Unauthorized",
  });
  await assert.rejects(
    world.door().register({ ...asked, proof: "AA==" }, { authority, signal: world.signal }),
    {
      reason: "Unauthorized",
    },
  );
  const { certificate } = await world.door().register(asked, { authority, signal: world.signal });
  await store.clock.advance(1_000);

  const heard = async (link: AgentLink, count: number): Promise<readonly unknown[]> => {
    const messages: unknown[] = [];
    const read = async (): Promise<void> => {
      for await (const message of link.messages()) {
        messages.push(message);
        if (messages.length >= count) return;
      }
    };
    void read();
    await store.until(`${count} messages, not ${JSON.stringify(messages)}`, () =>
      Promise.resolve(messages.length >= count),
    );
    return messages;
  };
  const hello = {
    type: "hello",
    protocol: 1,
    after: 0,
    has: {},
    versions: { agent: "1", kubernetes: "v1" },
  } as const;
  const first = world.dial(certificate);
  await first.send({ ...hello, session: "" });
  const [welcome, desired, chunk] = await heard(first, 3);
  const word = (welcome as { session: string }).session;
  assert.match(word, /^[0-9a-f]{32}$/);
  const told = desired as {
    full: boolean;
    bundles: { name: string; deploymentId: string; chunks: unknown[] }[];
  };
  assert.equal(told.full, true);
  assert.deepEqual(
    told.bundles.map(({ name, chunks }) => [name, chunks.length]),
    [["menu", 1]],
  );
  assert.ok(chunk instanceof Uint8Array);
  await first.send({ type: "want", chunks: ["0".repeat(64)] });
  const [none] = await heard(first, 1);
  assert.equal((none as { type: string }).type, "noChunk");
  const counts = { desired: 1, ready: 1, notReady: 0, modified: 0, missing: 0 };
  const id = told.bundles[0]?.deploymentId ?? "";
  const report = {
    name: "menu",
    appliedId: id,
    wantedId: id,
    state: "Ready",
    message: "",
    counts,
    resources: [],
  } as const;
  await first.send({ type: "status", sequence: 5, bundles: [report] });
  const [ack] = await heard(first, 1);
  assert.deepEqual(ack, { type: "statusAck", sequence: 5 });
  assert.equal(
    (await world.cluster("store-1")).status?.session?.sequence,
    5,
    "it is durable before it is told",
  );
  await first.send({ type: "status", sequence: 5, bundles: [report] });
  const [refused] = await heard(first, 1);
  assert.deepEqual(
    [(refused as { type: string }).type, (refused as { reason: string }).reason],
    ["refusal", "Conflict"],
  );

  // The word before is taken as long as the last was not used; then it shows a copy.
  const again = world.dial(certificate);
  await again.send({ ...hello, session: "" });
  assert.equal(((await heard(again, 1))[0] as { type: string }).type, "welcome");
  await again[Symbol.asyncDispose]();
  const copy = world.dial(certificate);
  await copy.send({ ...hello, session: word });
  const [answer] = await heard(copy, 1);
  assert.equal((answer as { reason: string }).reason, "Conflict");
});

test("what cannot be rendered keeps what runs and says so; a release that never gets ready halts, and abort brings the store back", async () => {
  await using store = await LoopWorld.start();
  await using world = await begun(store, { waveDeadlineMs: 20_000 });
  await world.hub.applyCompiled(repo, compiledOf("arabica"), "c1");
  await using agent = agentOf(store, world, { name: "store-1", token: await world.token() });
  await store.until("the menu is there", async () => (await coffeeIn(store)) === "arabica");
  const statusOf = async (): Promise<NonNullable<Bundle["status"]>> =>
    (await world.client.get(bundles, { namespace, name: "menu", signal: world.signal })).status ?? {};
  await store.until("generation 1 is complete", async () => (await statusOf()).rollout?.phase === "Complete");

  await world.hub.applyCompiled(repo, compiledOf("{ broken: ["), "c2");
  const broken = await store.until("it says why", async () => {
    const status = await statusOf();
    return status.display?.state === "ErrApplied" && status;
  });
  assert.match(JSON.stringify(broken.summary?.nonReadyResources), /cannot be rendered.*menu.yaml/);
  await store.clock.advance(60_000);
  assert.equal(await coffeeIn(store), "arabica");

  const stuck = compiledOf("robusta");
  const claim = `${manifest("robusta")}---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: never}\nspec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: x}]}}}\n`;
  const [first] = stuck.bundles;
  assert.ok(first !== undefined);
  const files = [{ name: "menu.yaml", content: new TextEncoder().encode(claim) }];
  await world.hub.applyCompiled(repo, { ...stuck, bundles: [{ ...first, files }] }, "c3");
  const halted = await store.until(
    "it halts",
    async () => {
      const { rollout } = await statusOf();
      return rollout?.phase === "Halted" && rollout;
    },
    120_000,
  );
  assert.match(halted.reason, /store-1/);
  const told = (await statusOf()).conditions ?? [];
  const story = told.find((one) => one.type === "RolledOut");
  assert.deepEqual([story?.status, story?.reason], ["False", "Halted"]);
  for (const { message } of told.filter((one) => one.type === "RolledOut" || one.type === "Ready"))
    assert.match(
      message ?? "",
      new RegExp(
        `generation ${halted.generation}: halted with wave 1 of 1 .*store-1.*kubectl annotate bundles.fleet.cattle.io menu -n fleet-default --overwrite fleet.cortado.dev/rollout=abort=${halted.generation}`,
      ),
    );
  const chapters = (await world.client.list(events, { namespace, signal: world.signal })).items.filter(
    (one) => one.involvedObject.name === "menu",
  );
  assert.ok(chapters.some((one) => one.reason === "RolloutHalted" && one.type === "Warning"));
  assert.ok(chapters.some((one) => one.reason === "RolloutComplete"));
  assert.equal(await coffeeIn(store), "robusta");
  const note = { metadata: { annotations: { "fleet.cortado.dev/rollout": `abort=${halted.generation}` } } };
  await world.client.patch(bundles, {
    namespace,
    name: "menu",
    type: "merge",
    body: note,
    signal: world.signal,
  });
  await store.until("the store is back", async () => (await coffeeIn(store)) === "arabica", 120_000);
  assert.equal((await statusOf()).rollout?.phase, "Aborted");
  assert.equal(agent.state.isConnected, true);
});

test("a Cluster that is deleted and registered again keeps what runs; labels choose what a store gets", async () => {
  await using store = await LoopWorld.start();
  await using world = await begun(store);
  await world.hub.applyCompiled(repo, compiledOf("arabica"), "c1");
  await using agent = agentOf(store, world, { name: "store-1", token: await world.token() });
  await store.until("the menu is there", async () => (await coffeeIn(store)) === "arabica");
  const relabel = (location: string): Promise<unknown> => {
    const body = { metadata: { labels: { location } } };
    return world.client.patch(clusters, {
      namespace,
      name: "store-1",
      type: "merge",
      body,
      signal: world.signal,
    });
  };
  await relabel("cloud");
  await store.until("the menu is gone", async () => (await coffeeIn(store)) === undefined);
  await relabel("edge");
  await store.until("the menu is back", async () => (await coffeeIn(store)) === "arabica");
  const old = await world.cluster("store-1");
  await world.client.delete(clusters, { namespace, name: "store-1", signal: world.signal });
  await store.until("the agent is told", () =>
    Promise.resolve(/deleted|not known/.test(agent.state.message)),
  );
  const { publicKey = "" } = old.status ?? {};
  const metadata = { namespace, name: "store-1", labels: { location: "edge" } };
  await world.client.create(clusters, { metadata, spec: { clientID: "store-1" } }, world);
  const body = { status: { publicKey } };
  const where = { namespace, name: "store-1", subresource: "status" };
  await world.client.patch(clusters, { ...where, type: "merge", body, signal: world.signal });
  for (let passed = 0; passed < 120; passed += 1) {
    await store.clock.advance(1_000);
    assert.equal(await coffeeIn(store), "arabica", `after ${passed} s`);
  }
  await store.until(
    "it is back",
    async () => (await world.cluster("store-1")).status?.display?.state === "Ready",
    120_000,
  );
});

test("the hub opens streams into a store that is there, and says of one that is not since when", async () => {
  await using store = await LoopWorld.start();
  await using world = await begun(store);
  let heard = "";
  const listed: string[][] = [];
  using _following = world.hub.onClusters(() => listed.push([...world.hub.clusters].map(({ name }) => name)));
  const unknown = { namespace, name: "store-9" };
  await assert.rejects(world.hub.openStream(unknown, world), (error) => hasReason(error, "NotFound"));
  const serveStream = (stream: Connection): void =>
    stream.handle({
      data: (bytes) => void stream.write(Buffer.from(`heard ${Buffer.from(bytes).toString()}`)),
      drained: () => undefined,
      closed: () => undefined,
    });
  {
    await using agent = agentOf(store, world, { name: "store-1", token: await world.token(), serveStream });
    await store.until("connected", () => Promise.resolve(agent.state.isConnected));
    const stream = await world.hub.openStream({ namespace, name: "store-1" }, world);
    stream.handle({
      data: (bytes) => void (heard += Buffer.from(bytes).toString()),
      drained: () => undefined,
      closed: () => void (heard += " and it ended"),
    });
    stream.write(Buffer.from("the hub"));
    await store.until("an answer", () => Promise.resolve(heard === "heard the hub"));
  }
  await store.until("the end", () => Promise.resolve(heard === "heard the hub and it ended"));
  // It was heard a moment ago, and may be calling again.
  const key = { namespace, name: "store-1" };
  const refused = assert.rejects(
    world.hub.openStream(key, world),
    (error) => hasReason(error, "ServiceUnavailable") && /store-1 was last heard at/.test(error.message),
  );
  await store.clock.advance(6_000);
  await refused;
  const waiting = world.hub.openStream(key, world);
  {
    await using agent = agentOf(store, world, { name: "store-1", serveStream });
    await store.until("connected", () => Promise.resolve(agent.state.isConnected), 4_000);
    await store.clock.advance(200);
    (await waiting).destroy();
  }
  await store.clock.advance(60_000);
  await assert.rejects(
    world.hub.openStream(key, world),
    (error) =>
      hasReason(error, "ServiceUnavailable") &&
      /store store-1 is Offline since 2026-01-01T/.test(error.message),
  );
  assert.deepEqual(listed, [["store-1"]]);
});
