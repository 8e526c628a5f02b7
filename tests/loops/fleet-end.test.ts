import assert from "node:assert/strict";
import { test } from "node:test";
import { createApiServer } from "@cortado/apiserver";
import { newClient, type Client } from "@cortado/client";
import { startAgent } from "@cortado/fleet/agent";
import { machineKeys } from "@cortado/fleet/agent/node/keys";
import type { Agent, AgentPorts, HubDoor } from "@cortado/fleet/agent/ports";
import { newHub, type HubOptions, type HubParts, type RunningHub } from "@cortado/fleet/hub";
import { newCompiler } from "@cortado/fleet/compile/compiler";
import type { Compiled } from "@cortado/fleet/compile/bundle";
import { linkPair } from "@cortado/fleet/protocol/memory-link";
import type { AgentLink, RegisterAnswer } from "@cortado/fleet/protocol";
import { planRollout } from "@cortado/fleet/rollout";
import {
  bundleDeployments,
  bundles,
  clusterRegistrationTokens,
  clusters,
  gitRepos,
  type Bundle,
  type Cluster,
} from "@cortado/kinds/fleet";
import { fleetDefinitions } from "@cortado/kinds/fleet-definitions";
import { configMaps, namespaces, secrets } from "@cortado/kinds/resources";
import { inProcessTransport } from "@cortado/program/transport";
import type { Clock } from "@cortado/std/clock";
import type { HttpRequest } from "@cortado/std/http";
import type { Connection } from "@cortado/std/net";
import { newMetrics } from "@cortado/std/metrics";
import { seededRandom } from "@cortado/std/random";
import { fromStatus, hasReason, StatusError } from "@cortado/std/status";
import { MemoryFiles } from "@cortado/std/testing/memory-files";
import { silentLog } from "@cortado/std/testing/silent-log";
import { openMemoryStore } from "@cortado/store/memory";
import { createHash, createPublicKey } from "node:crypto";
import { MemoryChunks } from "./fleet-hub.ts";
import { LoopWorld } from "./world.ts";

const namespace = "fleet-default";
const authority = "the authority of the hub\n";
const repo = { namespace, name: "coffee" };

const hex = (text: string | Uint8Array): string => createHash("sha256").update(text).digest("hex");

/** A hub over an API server of its own; stores' clusters are LoopWorlds on the same clock. */
class HubWorld implements AsyncDisposable {
  readonly client: Client;
  readonly clock: Clock;
  readonly files: MemoryFiles = new MemoryFiles();
  readonly events: unknown[] = [];
  readonly signal: AbortSignal = new AbortController().signal;
  hub!: RunningHub;
  /** Public keys (PEM) by certificate. */
  readonly issued: Map<string, { readonly key: string; readonly name: string }> = new Map();
  readonly stack: AsyncDisposableStack = new AsyncDisposableStack();

  private constructor(clock: Clock, client: Client) {
    this.clock = clock;
    this.client = client;
  }

  static async start(clock: Clock, more: Partial<HubOptions> = {}): Promise<HubWorld> {
    const store = await openMemoryStore();
    const parts = newHub();
    const random = seededRandom(11);
    const serviceNetwork = { cidr: "10.43.0.0/16", apiAddress: "10.43.0.1", port: 6443 };
    const server = await createApiServer({
      store,
      clock,
      random,
      log: silentLog,
      metrics: newMetrics(),
      serviceNetwork,
      definitions: fleetDefinitions,
      views: parts.views,
    });
    const user = { name: "system:admin", groups: ["system:masters", "system:authenticated"] };
    const world = new HubWorld(clock, newClient(inProcessTransport(server, user)));
    world.stack.use(store);
    world.stack.use(server);
    await world.client.create(namespaces, { metadata: { name: namespace } }, world);
    await world.client.create(
      gitRepos,
      { metadata: repo, spec: { repo: "https://127.0.0.1/coffee.git" } },
      world,
    );
    await world.startHub(more, parts);
    return world;
  }

  async startHub(more: Partial<HubOptions> = {}, parts: HubParts = newHub()): Promise<void> {
    const renderer = {
      helmTemplate: () => assert.fail("no chart is here"),
      kustomize: () => assert.fail("no kustomization is here"),
    };
    this.hub = await parts.start(
      { folder: "hub", url: "https://hub.example:8443", authority, ...more },
      {
        client: this.client,
        compiler: newCompiler({ renderer }),
        plan: planRollout,
        issue: ({ publicKey, cluster }) => {
          const certificate = `certificate ${this.issued.size + 1}`;
          this.issued.set(certificate, { key: publicKey, name: `${cluster.namespace}/${cluster.name}` });
          return Promise.resolve(certificate);
        },
        takeEvents: (_cluster, events) => {
          this.events.push(...events);
          return Promise.resolve((events.at(-1) as { sequence: number }).sequence);
        },
        files: this.files,
        clock: this.clock,
        random: seededRandom(5),
        log: silentLog,
      },
    );
  }

  async token(): Promise<string> {
    const secret = await this.client.get(secrets, { namespace, name: "stores", signal: this.signal });
    return Buffer.from(secret.data?.["token"] ?? "", "base64").toString();
  }

  async ask(method: string, path: string, body?: unknown): Promise<unknown> {
    const route = this.hub.routes.find((one) => one.path === path && one.methods.includes(method));
    assert.ok(route !== undefined, `the hub has a door ${path}`);
    const bytes = new TextEncoder().encode(JSON.stringify(body));
    const request = { method, path, headers: {}, body: () => Promise.resolve(bytes) };
    const answer = await route.handle(request as unknown as HttpRequest);
    const text = String(answer.body);
    if (answer.status >= 400) throw fromStatus(JSON.parse(text));
    return path === "/cacerts" ? text : (JSON.parse(text) as unknown);
  }

  /** The hub as an agent reaches it, without TLS: the certificate says who dials. */
  door(): HubDoor {
    return {
      readAuthority: async () => (await this.ask("GET", "/cacerts")) as string,
      register: async (request) => (await this.ask("POST", "/fleet/v1/register", request)) as RegisterAnswer,
      challenge: async () =>
        ((await this.ask("GET", "/fleet/v1/challenge")) as { challenge: string }).challenge,
      renew: async (request) =>
        (await this.ask("POST", "/fleet/v1/renew", request)) as { certificate: string },
      dial: ({ certificate }) => Promise.resolve(this.dial(certificate)),
    };
  }

  dial(certificate: string): AgentLink {
    const issued = this.issued.get(certificate);
    if (issued === undefined) throw new StatusError("Unauthorized", "the certificate is none");
    const { agent, hub } = linkPair();
    const [space = "", name = ""] = issued.name.split("/");
    const der = createPublicKey(issued.key).export({ type: "spki", format: "der" });
    void this.hub.serveLink(hub, {
      cluster: { namespace: space, name },
      keySha256: hex(der),
      isExpired: false,
      remote: "127.0.0.1:1",
    });
    return agent;
  }

  cluster(name: string): Promise<Cluster> {
    return this.client.get(clusters, { namespace, name, signal: this.signal });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.hub[Symbol.asyncDispose]();
    await this.stack.disposeAsync();
  }
}

const manifest = (value: string): string =>
  `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: menu}\ndata: {coffee: ${value}}\n`;

function compiledOf(value: string, names: readonly string[] = ["menu"]): Compiled {
  return {
    bundles: names.map((name) => ({
      name,
      path: name,
      labels: {},
      annotations: {},
      spec: {
        defaultNamespace: name,
        targets: [{ clusterSelector: { matchLabels: { location: "edge" } } }],
      },
      files: [{ name: "menu.yaml", content: new TextEncoder().encode(manifest(value)) }],
      warnings: [],
    })),
    problems: [],
  };
}

const keys: AgentPorts["keys"] = {
  ...machineKeys,
  validity: () => ({ fromMs: Date.UTC(2026, 0, 1), untilMs: Date.UTC(2027, 0, 1) }),
};

function agentOf(
  store: LoopWorld,
  world: HubWorld,
  more: { name: string; token?: string; hub?: HubDoor; serveStream?: (stream: Connection) => void },
): Agent {
  const { name, hub = world.door(), serveStream, ...token } = more;
  return startAgent(
    { version: "1.0.0", labels: { location: "edge" }, name, clientId: name, ...token },
    {
      client: store.client,
      hub,
      keys,
      chunks: new MemoryChunks(),
      clock: store.clock,
      random: seededRandom(3),
      log: silentLog,
      ...(serveStream === undefined ? {} : { serveStream }),
    },
  );
}

const coffeeIn = async (store: LoopWorld): Promise<string | undefined> => {
  try {
    const where = { namespace: "menu", name: "menu", signal: store.signal };
    return (await store.client.get(configMaps, where)).data?.["coffee"];
  } catch (error) {
    if (hasReason(error, "NotFound")) return undefined;
    throw error;
  }
};

async function begun(store: LoopWorld, more: Partial<HubOptions> = {}): Promise<HubWorld> {
  const world = await HubWorld.start(store.clock, more);
  const metadata = { namespace, name: "stores" };
  await world.client.create(clusterRegistrationTokens, { metadata }, world);
  await store.until("the token's Secret is there", () => world.token().catch(() => undefined));
  return world;
}

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
