import { createHash, timingSafeEqual } from "node:crypto";
import { hostname } from "node:os";
import { join } from "node:path";
import { mkdir } from "node:fs/promises";
import type { FrontRoute } from "@cortado/apiserver/front/routes";
import type { PasswordReader } from "@cortado/apiserver/front/identity";
import type { HubWords } from "@cortado/cli/hub";
import type { Certificates } from "@cortado/cluster/certificates";
import type { Client } from "@cortado/client";
import { newLoopMetrics } from "@cortado/client/loop";
import { compile } from "@cortado/fleet/compile";
import { newStockRenderer } from "@cortado/fleet/compile/node";
import { systemGit } from "@cortado/fleet/git/node";
import { followRepositories, type Repositories } from "@cortado/fleet/git/repositories";
import { GitServer } from "@cortado/fleet/git/server";
import { newHub, type HubParts, type RunningHub } from "@cortado/fleet/hub";
import { newCompiler } from "@cortado/fleet/compile/compiler";
import { planRollout } from "@cortado/fleet/rollout";
import { fleetDefinitions } from "@cortado/kinds/fleet-definitions";
import { namespaces } from "@cortado/kinds/resources";
import { jsonLog } from "@cortado/std/log";
import { newMetrics } from "@cortado/std/metrics";
import { systemClock } from "@cortado/std/node/clock";
import { systemFiles } from "@cortado/std/node/files";
import { systemRandom } from "@cortado/std/node/random";
import { hasReason, StatusError } from "@cortado/std/status";
import { toServerConfig, type ServerConfig } from "../config/server-config.ts";
import { ownSecret } from "../own-secret.ts";
import { writeText } from "../standard-output.ts";
import { startApi, type Ports } from "./api.ts";
import { onPath } from "./fleet.ts";
import { startPart } from "./lifetime.ts";
import { clientOf } from "./clients.ts";
import { startLoops } from "./server.ts";
import { hubCharts } from "./hub-charts.ts";
import { webhookRoute } from "./hub-webhook.ts";

/** The repository that a hub serves itself. */
const OWN_REPOSITORY = "coffee-shop.git";
/** Where Clusters are, unless a registration token says otherwise. */
const NAMESPACE = "fleet-default";

/** A hub in one process: the API server with the fleet kinds and loops, Git, and the doors of stores. */
export async function startHubServer(words: HubWords): Promise<AsyncDisposable> {
  const config = toHubConfig(words);
  const log = jsonLog({
    level: config.logLevel,
    clock: systemClock,
    write: (line) => writeText(1, `${line}\n`),
  });
  const ports: Ports = {
    clock: systemClock,
    random: systemRandom,
    files: systemFiles,
    log,
    metrics: newMetrics(),
  };
  await using stack = new AsyncDisposableStack();
  const stop = new AbortController();
  const { signal } = stop;
  await mkdir(join(config.dataDir, "server"), { recursive: true, mode: 0o700 });
  const password = await ownSecret(join(config.dataDir, "server", "hub-password"), ports);
  const routes: FrontRoute[] = [];
  const hubParts = newHub();
  let isUp = false;
  const { server, certificates, port } = await startApi(config, ports, stack, {
    partsCheck: { name: "hub-parts", of: ["ready"], check: () => (isUp ? undefined : "parts are starting") },
    definitions: fleetDefinitions,
    views: hubParts.views,
    routes,
    readPassword: adminBy(password),
    ...(words.localSocketDir === undefined ? {} : { plainSocket: join(words.localSocketDir, "hub.sock") }),
  });
  stack.defer(() => stop.abort(new Error("the hub stops")));
  const loopMetrics = newLoopMetrics(ports.metrics);
  startLoops({ config, ports, server, loopMetrics, signal }, certificates.serverCa, stack);
  const client = clientOf(server, "system:hub", "system:masters");
  await ensureNamespaces(client, signal);
  const url = words.url ?? `https://${hostname()}:${port}`;
  const hub = await startPart(stack, {
    name: "hub",
    log,
    start: () => startFleet({ hubParts, words, config, ports, certificates, client, url }),
  });
  const repositories = followRepositories({
    ...ports,
    client,
    git: systemGit({ folder: join(config.dataDir, "git", "cache"), path: process.env["PATH"] ?? "/usr/bin" }),
    compile,
    charts: hubCharts(words, config.dataDir),
    apply: (...applied) => hub.applyCompiled(...applied),
    loopMetrics,
    signal,
    isStrict: words.fleetStrict,
  });
  const git = await startGit({ words, config, ports, repositories, url, signal });
  routes.push(...hubRoutes(hub), gitRoute(git), webhookRoute({ ...ports, client, repositories, signal }));
  isUp = true;
  log.info("hub is up", { url });
  return stack.move();
}

/** The hub's loops and the doors of stores, with the stock programs that render. */
function startFleet(options: {
  readonly hubParts: HubParts;
  readonly words: HubWords;
  readonly config: ServerConfig;
  readonly ports: Ports;
  readonly certificates: Certificates;
  readonly client: Client;
  readonly url: string;
}): Promise<RunningHub> {
  const { hubParts, words, config, ports, certificates, client, url } = options;
  const renderer = newStockRenderer({
    helm: words.helm ?? onPath("helm"),
    kubectl: words.kubectl ?? onPath("kubectl"),
  });
  return hubParts.start(
    {
      folder: join(config.dataDir, "fleet"),
      url,
      authority: certificates.serverCa,
      offlineAfterMs: secondsOf(words.offlineAfter) * 1_000,
      isStrict: words.fleetStrict,
    },
    {
      ...ports,
      client,
      compiler: newCompiler({ renderer, strict: words.fleetStrict }),
      plan: planRollout,
      issue: ({ publicKey, cluster, days }) =>
        certificates.certifyClient({
          commonName: `${cluster.namespace}/${cluster.name}`,
          organizations: ["cortado:stores"],
          publicKey,
          days,
        }),
      takeEvents: () =>
        Promise.reject(new StatusError("NotImplemented", "this hub does not take telemetry yet")),
    },
  );
}

function toHubConfig(words: HubWords): ServerConfig {
  const host = words.url === undefined ? [] : [new URL(words.url).hostname];
  return toServerConfig(
    {},
    {
      "data-dir": words.dataDir,
      "bind-address": words.bindAddress,
      "https-listen-port": words.httpsListenPort,
      "tls-san": [...words.tlsSan, ...host, hostname()],
      "write-kubeconfig": words.writeKubeconfig,
      "node-name": "hub",
      ...(words.localSocketDir === undefined ? {} : { "local-socket-dir": words.localSocketDir }),
    },
    hostname(),
  );
}

function secondsOf(text: string): number {
  const seconds = Number(text.replace(/s$/, ""));
  if (Number.isFinite(seconds) && seconds >= 1) return seconds;
  throw new StatusError("BadRequest", `--offline-after ${JSON.stringify(text)} is not a number of seconds`);
}

/** The one who runs the hub: user `admin`. */
function adminBy(password: string): PasswordReader {
  const digest = (text: string): Buffer => createHash("sha256").update(text).digest();
  const wanted = digest(password);
  return (name, given) =>
    Promise.resolve(
      name === "admin" && timingSafeEqual(digest(given), wanted)
        ? { name, groups: ["system:masters", "system:authenticated"] }
        : undefined,
    );
}

async function ensureNamespaces(client: Client, signal: AbortSignal): Promise<void> {
  for (const name of [NAMESPACE, "fleet-local", "cattle-fleet-system"])
    await client.create(namespaces, { metadata: { name } }, { signal }).catch((error: unknown) => {
      if (!hasReason(error, "AlreadyExists")) throw error;
    });
}

function hubRoutes(hub: RunningHub): readonly FrontRoute[] {
  return [
    ...hub.routes.map(({ path, methods, handle }) => ({
      path,
      handle(request: Parameters<FrontRoute["handle"]>[0]) {
        if (methods.includes(request.method)) return handle(request);
        throw new StatusError("MethodNotAllowed", `${path} takes ${methods.join(" and ")}`);
      },
    })),
    {
      path: "/fleet/v1/connect",
      handle: () => Promise.reject(new StatusError("BadRequest", "stores come here by WebSocket")),
      upgrade: ({ request, socket, head }) => hub.upgrade(request, socket, Buffer.from(head)),
    },
  ];
}

async function startGit(options: {
  readonly words: HubWords;
  readonly config: ServerConfig;
  readonly ports: Ports;
  readonly repositories: Repositories;
  readonly url: string;
  readonly signal: AbortSignal;
}): Promise<GitServer> {
  const { words, config, ports, repositories, url, signal } = options;
  const git = new GitServer({
    folder: join(config.dataDir, "git", "repositories"),
    path: process.env["PATH"] ?? "/usr/bin",
    log: ports.log,
    pushed: (repository) => void repositories.wake(`${url}/git/${repository}`),
  });
  if (words.seedRepository !== undefined)
    await git.seed({
      repository: OWN_REPOSITORY,
      from: words.seedRepository,
      message: "The coffee shop",
      signal,
    });
  return git;
}

/** `/git/NAME.git`, for the one who runs the hub. */
function gitRoute(git: GitServer): FrontRoute {
  return {
    path: "/git/",
    handle(request, { user }) {
      if (user.groups.includes("system:masters"))
        return git.handle(request, { path: request.path.slice("/git".length), user: user.name });
      return Promise.resolve({
        status: 401,
        headers: { "www-authenticate": 'Basic realm="cortado hub"' },
        body: "say who you are\n",
      });
    },
  };
}
