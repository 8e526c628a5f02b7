import assert from "node:assert/strict";
import { createApiServer, type ApiServer } from "@cortado/apiserver";
import { newClient, type Client } from "@cortado/client";
import { startAgent } from "@cortado/fleet/agent";
import { machineKeys } from "@cortado/fleet/agent/node/keys";
import type { Agent, AgentPorts, HubDoor } from "@cortado/fleet/agent/ports";
import { newHub, type HubOptions, type HubParts, type HubPorts, type RunningHub } from "@cortado/fleet/hub";
import { newCompiler } from "@cortado/fleet/compile/compiler";
import type { Compiled } from "@cortado/fleet/compile/bundle";
import type { Renderer } from "@cortado/fleet/compile/render";
import { linkPair } from "@cortado/fleet/protocol/memory-link";
import type { AgentLink, RegisterAnswer } from "@cortado/fleet/protocol";
import { planRollout } from "@cortado/fleet/rollout";
import { clusterRegistrationTokens, clusters, gitRepos, type Cluster } from "@cortado/kinds/fleet";
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
import type { LoopWorld } from "./world.ts";

export const namespace: string = "fleet-default";
export const authority = "the authority of the hub\n";
export const repo: { readonly namespace: string; readonly name: string } = { namespace, name: "coffee" };

export const hex = (text: string | Uint8Array): string => createHash("sha256").update(text).digest("hex");

/** A hub over an API server of its own; stores' clusters are LoopWorlds on the same clock. */
export class HubWorld implements AsyncDisposable {
  readonly client: Client;
  readonly server: ApiServer;
  readonly clock: Clock;
  readonly files: MemoryFiles = new MemoryFiles();
  readonly events: unknown[] = [];
  readonly signal: AbortSignal = new AbortController().signal;
  hub!: RunningHub;
  /** The API of a cluster that a kubeconfig names; absent: none is reached. */
  reachCluster: HubPorts["reachCluster"];
  /** Stands for helm, where a test has charts. */
  helmTemplate: Renderer["helmTemplate"] = () => assert.fail("no chart is here");
  /** Public keys (PEM) by certificate. */
  readonly issued: Map<string, { readonly key: string; readonly name: string }> = new Map();
  readonly stack: AsyncDisposableStack = new AsyncDisposableStack();

  private constructor(clock: Clock, server: ApiServer) {
    this.clock = clock;
    this.server = server;
    const user = { name: "system:admin", groups: ["system:masters", "system:authenticated"] };
    this.client = newClient(inProcessTransport(server, user));
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
    const world = new HubWorld(clock, server);
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
    const renderer: Renderer = {
      helmTemplate: (...words) => this.helmTemplate(...words),
      kustomize: () => assert.fail("no kustomization is here"),
    };
    this.hub = await parts.start(
      { folder: "hub", url: "https://hub.example:8443", authority, ...more },
      {
        client: this.client,
        writeOwnStatus: (own) => this.server.writeOwnStatus(own),
        compiler: newCompiler({ renderer }),
        plan: planRollout,
        issue: ({ publicKey, cluster }) => {
          const certificate = `certificate ${this.issued.size + 1}`;
          this.issued.set(certificate, { key: publicKey, name: `${cluster.namespace}/${cluster.name}` });
          return Promise.resolve(certificate);
        },
        ...(this.reachCluster === undefined
          ? {}
          : { reachCluster: (...words) => this.reachCluster?.(...words) ?? assert.fail("it is there") }),
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

export const manifest = (value: string): string =>
  `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: menu}\ndata: {coffee: ${value}}\n`;

export function compiledOf(value: string, names: readonly string[] = ["menu"]): Compiled {
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

export const keys: AgentPorts["keys"] = {
  ...machineKeys,
  validity: () => ({ fromMs: Date.UTC(2026, 0, 1), untilMs: Date.UTC(2027, 0, 1) }),
};

export function agentOf(
  store: LoopWorld,
  world: HubWorld,
  more: {
    name: string;
    token?: string;
    hub?: HubDoor;
    serveStream?: (stream: Connection) => void;
    asServiceAccount?: AgentPorts["asServiceAccount"];
  },
): Agent {
  const { name, hub = world.door(), serveStream, asServiceAccount, ...token } = more;
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
      ...(asServiceAccount === undefined ? {} : { asServiceAccount }),
    },
  );
}

export const coffeeIn = async (store: LoopWorld): Promise<string | undefined> => {
  try {
    const where = { namespace: "menu", name: "menu", signal: store.signal };
    return (await store.client.get(configMaps, where)).data?.["coffee"];
  } catch (error) {
    if (hasReason(error, "NotFound")) return undefined;
    throw error;
  }
};

export async function begun(store: LoopWorld, more: Partial<HubOptions> = {}): Promise<HubWorld> {
  const world = await HubWorld.start(store.clock, more);
  const metadata = { namespace, name: "stores" };
  await world.client.create(clusterRegistrationTokens, { metadata }, world);
  await store.until("the token's Secret is there", () => world.token().catch(() => undefined));
  return world;
}
