import { createHash, timingSafeEqual } from "node:crypto";
import { hostname } from "node:os";
import { join } from "node:path";
import { mkdir } from "node:fs/promises";
import type { ApiServer } from "@cortado/apiserver";
import type { FrontRoute } from "@cortado/apiserver/front/routes";
import type { PasswordReader } from "@cortado/apiserver/front/identity";
import type { HubWords } from "@cortado/cli/hub";
import type { Certificates } from "@cortado/cluster/certificates";
import type { KubeconfigOptions } from "@cortado/cluster/kubeconfig";
import { newClient, type Client } from "@cortado/client";
import { httpTransport } from "@cortado/client/node/http";
import { foreignKubeconfig } from "@cortado/client/node/kubeconfig";
import { newLoopMetrics, type LoopMetrics } from "@cortado/client/loop";
import { compile } from "@cortado/fleet/compile";
import type { ReadDocuments } from "@cortado/fleet/compile/bundle";
import { newStockRenderer } from "@cortado/fleet/compile/node";
import { readInThreads } from "@cortado/fleet/compile/node/manifest-thread";
import { systemGit } from "@cortado/fleet/git/node";
import { newGitHubApps } from "@cortado/fleet/git/node/github-apps";
import { followRepositories, type Repositories } from "@cortado/fleet/git/repositories";
import { newHub, type HubParts, type RunningHub } from "@cortado/fleet/hub";
import type { AuditTrail } from "@cortado/fleet/hub/audit";
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
import { openAudit } from "../audit/audit-file.ts";
import { toServerConfig, type ServerConfig } from "../config/server-config.ts";
import { ownSecret } from "../own-secret.ts";
import { writeText } from "../standard-output.ts";
import { readerThread } from "../threads.ts";
import { kubeconfigOptions, startApi, type Ports } from "./api.ts";
import { onPath } from "./fleet.ts";
import { startPart } from "./lifetime.ts";
import { clientOf } from "./clients.ts";
import { startLoops } from "./server.ts";
import { dashboardRoutes } from "./hub-dashboard.ts";
import { keepHubKubeconfig, type HubKubeconfig } from "./hub-kubeconfig.ts";
import { storesRoute } from "./hub-stores.ts";
import { startHubTelemetry, type HubTelemetry } from "./hub-telemetry.ts";
import { gitReader, gitRoute, startGit } from "./hub-repository.ts";
import { hubCharts } from "./hub-charts.ts";
import { sweepLeftFolders } from "./hub-sweep.ts";
import { webhookRoute } from "./hub-webhook.ts";

/** Where Clusters are, unless a registration token says otherwise. */
const NAMESPACE = "fleet-default";

/** A hub in one process: the API server with the fleet kinds and loops, Git, and the doors of stores. */
export async function startHubServer(words: HubWords): Promise<AsyncDisposable> {
  const config = toHubConfig(words);
  const write = (line: string): void => writeText(1, `${line}\n`);
  const log = jsonLog({ level: config.logLevel, clock: systemClock, write });
  const metrics = newMetrics();
  const ports: Ports = { clock: systemClock, random: systemRandom, files: systemFiles, log, metrics };
  await using stack = new AsyncDisposableStack();
  const stop = new AbortController();
  const { signal } = stop;
  await mkdir(join(config.dataDir, "server"), { recursive: true, mode: 0o700 });
  await sweepLeftFolders(log);
  const { readPassword, gitPassword } = await readPasswords(config, ports);
  const routes: FrontRoute[] = [];
  const hubParts = newHub();
  let isUp = false;
  let kept: HubKubeconfig | undefined;
  const { server, certificates, port } = await startApi(config, ports, stack, {
    partsCheck: { name: "hub-parts", of: ["ready"], check: () => (isUp ? undefined : "parts are starting") },
    definitions: fleetDefinitions,
    views: hubParts.views,
    routes,
    readPassword,
    kubeconfigRenewed: () => kept?.renew(),
    ...(words.localSocketDir === undefined ? {} : { plainSocket: join(words.localSocketDir, "hub.sock") }),
  });
  stack.defer(() => stop.abort(new Error("the hub stops")));
  const loopMetrics = newLoopMetrics(ports.metrics);
  startLoops({ config, ports, server, loopMetrics, signal }, certificates.serverCa, stack);
  const client = clientOf(server, "system:hub", "system:masters");
  await ensureNamespaces(client, signal);
  const url = words.url ?? `https://${hostname()}:${port}`;
  const telemetry = await startHubTelemetry({ config, ports, client, signal, forward: words.forward }, stack);
  const audit = await openAudit(words, ports, stack);
  const readDocuments = readInThreads(readerThread, ports.clock);
  const served = { server, url, telemetry, audit, readDocuments };
  const given = { hubParts, words, config, ports, certificates, client, ...served };
  const hub = await startPart(stack, { name: "hub", log, start: () => startFleet(given) });
  const repositories = startRepositories({ ...given, hub, loopMetrics, signal });
  const authority = certificates.serverCa;
  const git = await startGit({
    seed: words.seedRepository,
    folder: join(config.dataDir, "git", "repositories"),
    ports,
    repositories,
    own: { client, url, namespace: NAMESPACE, password: gitPassword, authority, signal },
  });
  routes.push(
    ...hubRoutes(hub),
    telemetry.route,
    storesRoute({ hub, client, ports, audit, signal }),
    gitRoute(git),
    webhookRoute({ ...ports, client, repositories, signal }),
    ...(await dashboardRoutes()),
  );
  const content = (): KubeconfigOptions => kubeconfigOptions(config, certificates, port);
  kept = stack.use(await keepHubKubeconfig({ ...ports, config, hub, content }));
  isUp = true;
  log.info("hub is up", { url });
  return stack.move();
}

/** Follows GitRepos by the system's git. */
function startRepositories(options: {
  readonly hub: RunningHub;
  readonly words: HubWords;
  readonly config: ServerConfig;
  readonly ports: Ports;
  readonly client: Client;
  readonly loopMetrics: LoopMetrics;
  readonly readDocuments: ReadDocuments;
  readonly signal: AbortSignal;
}): Repositories {
  const { hub, words, config, ports, client, loopMetrics, readDocuments, signal } = options;
  return followRepositories({
    ...ports,
    client,
    git: systemGit({ folder: join(config.dataDir, "git", "cache"), path: process.env["PATH"] ?? "/usr/bin" }),
    githubApps: newGitHubApps(ports),
    compile: (tree, compileOptions) => compile(tree, { ...compileOptions, readDocuments }),
    charts: hubCharts(words, config.dataDir),
    apply: (...applied) => hub.applyCompiled(...applied),
    loopMetrics,
    signal,
    isStrict: words.fleetStrict,
  });
}

/** The hub's loops and the doors of stores, with the stock programs that render. */
function startFleet(options: {
  readonly hubParts: HubParts;
  readonly words: HubWords;
  readonly config: ServerConfig;
  readonly ports: Ports;
  readonly certificates: Certificates;
  readonly client: Client;
  readonly server: ApiServer;
  readonly url: string;
  readonly telemetry: HubTelemetry;
  readonly audit: AuditTrail | undefined;
  readonly readDocuments: ReadDocuments;
}): Promise<RunningHub> {
  const { hubParts, words, config, ports, certificates, client, server, url, telemetry, audit } = options;
  const tools = { helm: words.helm ?? onPath("helm"), kubectl: words.kubectl ?? onPath("kubectl") };
  const renderer = { ...newStockRenderer(tools), readDocuments: options.readDocuments };
  return hubParts.start(
    {
      folder: join(config.dataDir, "fleet"),
      url,
      authority: certificates.serverCa,
      offlineAfterMs: secondsOf({ flag: "--offline-after", text: words.offlineAfter }) * 1_000,
      waveDeadlineMs: secondsOf({ flag: "--wave-deadline", text: words.waveDeadline }) * 1_000,
      isStrict: words.fleetStrict,
      agentImage: words.agentImage ?? "",
    },
    {
      ...ports,
      client,
      writeOwnStatus: (own) => server.writeOwnStatus(own),
      compiler: newCompiler({ renderer, strict: words.fleetStrict }),
      plan: planRollout,
      issue: ({ publicKey, cluster, days }) =>
        certificates.certifyClient({
          commonName: `${cluster.namespace}/${cluster.name}`,
          organizations: ["cortado:stores"],
          publicKey,
          days,
        }),
      takeEvents: telemetry.takeEvents,
      ...(audit === undefined ? {} : { audit }),
      async reachCluster(kubeconfig, about) {
        const transport = httpTransport(await foreignKubeconfig(kubeconfig, about));
        return { client: newClient(transport), [Symbol.dispose]: () => transport[Symbol.dispose]() };
      },
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
      ...(words.kubeconfigServer === undefined ? {} : { "kubeconfig-server": words.kubeconfigServer }),
      ...(words.localSocketDir === undefined ? {} : { "local-socket-dir": words.localSocketDir }),
    },
    hostname(),
  );
}

function secondsOf({ flag, text }: { readonly flag: string; readonly text: string }): number {
  const seconds = Number(text.replace(/s$/, ""));
  if (Number.isFinite(seconds) && seconds >= 1) return seconds;
  throw new StatusError("BadRequest", `${flag} ${JSON.stringify(text)} is not a number of seconds`);
}

type Account = { readonly name: string; readonly password: string; readonly groups: readonly string[] };

/** Who may come with a password: the one who runs the hub, and its own Git. */
async function readPasswords(
  config: ServerConfig,
  ports: Ports,
): Promise<{ readonly readPassword: PasswordReader; readonly gitPassword: string }> {
  const secret = (name: string): Promise<string> => ownSecret(join(config.dataDir, "server", name), ports);
  const gitPassword = await secret("git-password");
  const admin = {
    name: "admin",
    password: await secret("hub-password"),
    groups: ["system:masters"],
  };
  return { gitPassword, readPassword: passwordsOf([admin, { ...gitReader, password: gitPassword }]) };
}

function passwordsOf(accounts: readonly Account[]): PasswordReader {
  const digest = (text: string): Buffer => createHash("sha256").update(text).digest();
  const known = accounts.map(({ password, ...account }) => ({ ...account, wanted: digest(password) }));
  return (name, given) => {
    const account = known.find((one) => one.name === name);
    const isRight = account !== undefined && timingSafeEqual(digest(given), account.wanted);
    return Promise.resolve(
      isRight ? { name, groups: [...account.groups, "system:authenticated"] } : undefined,
    );
  };
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
      asksItself: true,
      handle(request: Parameters<FrontRoute["handle"]>[0]) {
        if (methods.includes(request.method)) return handle(request);
        throw new StatusError("MethodNotAllowed", `${path} takes ${methods.join(" and ")}`);
      },
    })),
    {
      path: "/fleet/v1/connect",
      asksItself: true,
      handle: () => Promise.reject(new StatusError("BadRequest", "stores come here by WebSocket")),
      upgrade: ({ request, socket, head }) => hub.upgrade(request, socket, Buffer.from(head)),
    },
  ];
}
