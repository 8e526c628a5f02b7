import { hostname } from "node:os";
import { join } from "node:path";
import { mkdir, rm } from "node:fs/promises";
import type { HealthCheck } from "@cortado/apiserver/ports";
import { newLoopMetrics } from "@cortado/client/loop";
import { startControllers } from "@cortado/controllers";
import { startScheduler } from "@cortado/scheduler";
import { jsonLog } from "@cortado/std/log";
import { newMetrics } from "@cortado/std/metrics";
import { systemClock } from "@cortado/std/node/clock";
import { systemFiles } from "@cortado/std/node/files";
import { systemRandom } from "@cortado/std/node/random";
import {
  toServerConfig,
  readConfigFile,
  type ServerConfig,
  type SettingName,
} from "../config/server-config.ts";
import { followManifests } from "../manifests.ts";
import { applyFirstObjects } from "../first-objects.ts";
import { writeText } from "../standard-output.ts";
import { startApi, type Ports } from "./api.ts";
import { clientOf } from "./clients.ts";
import { startEdge } from "./edge.ts";
import { startPart } from "./lifetime.ts";
import type { Parts } from "./parts.ts";
import { watchProcess } from "./process-metrics.ts";
import { serverStreams, startPods, usageSource } from "./pods.ts";
import { startStoreAgent } from "./store-agent.ts";
import { startTraffic } from "./traffic.ts";

export type ServerWords = {
  readonly config?: string;
  readonly settings: Partial<Record<SettingName, unknown>>;
};

/** Reads the settings of a store from its file and command line. @throws StatusError naming what is wrong */
export function readServerConfig({ config, settings }: ServerWords): ServerConfig {
  const file = readConfigFile(config ?? "/etc/cortado/config.yaml", { mustExist: config !== undefined });
  return toServerConfig(file, settings, hostname());
}

/** All of a store in one process. Disposing it stops our own parts; containers run on. */
export async function startServer(config: ServerConfig): Promise<AsyncDisposable> {
  const write = (line: string): void => writeText(1, `${line}\n`);
  const log = jsonLog({ level: config.logLevel, clock: systemClock, write });
  const metrics = newMetrics();
  const ports: Ports = { clock: systemClock, random: systemRandom, files: systemFiles, log, metrics };
  await using stack = new AsyncDisposableStack();
  const stop = new AbortController();
  await mkdir(config.dataDir, { recursive: true, mode: 0o711 });
  stack.use(watchProcess(metrics));
  let isUp = false;
  const partsCheck: HealthCheck = {
    name: "store-parts",
    of: ["ready"],
    check: () => (isUp ? undefined : "parts are starting"),
  };
  const { server, certificates, port: apiPort } = await startApi(config, ports, stack, { partsCheck });
  stack.defer(() => stop.abort(new Error("the server stops")));
  const parts: Parts = { config, ports, server, loopMetrics: newLoopMetrics(metrics), signal: stop.signal };
  startLoops(parts, certificates.serverCa, stack);
  const admin = clientOf(server, "system:admin", "system:masters");
  await applyFirstObjects(admin, stop.signal);
  const telemetry = await startEdge({ ...parts, client: admin, certificates }, stack);
  const node = clientOf(server, `system:node:${config.nodeName}`, "system:nodes", "system:masters");
  const { node: running, address } = await startPods(
    config,
    { ...ports, client: node, loopMetrics: parts.loopMetrics, signal: stop.signal },
    stack,
  );
  server.setStreams(serverStreams(running));
  server.setUsage(usageSource(running, stop.signal));
  await startTraffic({ ...parts, client: admin, address, certificates, apiPort }, stack);
  const folder = join(config.dataDir, "server", "manifests");
  await mkdir(folder, { recursive: true });
  stack.use(followManifests({ folder, client: admin, clock: systemClock, log }));
  await startStoreAgent({ ...parts, client: admin, journal: telemetry.journal }, stack);
  isUp = true;
  log.info("store is up", { node: config.nodeName, address });
  return stack.move();
}

export function startLoops(
  { config, ports, server, loopMetrics }: Parts,
  clusterCa: string,
  stack: AsyncDisposableStack,
): void {
  const { clock, random, log } = ports;
  const client = clientOf(server, "system:kube-controller-manager", "system:masters");
  const localPath = {
    folder: join(config.dataDir, "storage"),
    removeFolder: (path: string) => rm(path, { recursive: true, force: true }),
  };
  void startPart(stack, {
    name: "controllers",
    log,
    start: () =>
      startControllers({ client, clock, random, log, loopMetrics, clusterCa: () => clusterCa, localPath }),
  });
  const scheduler = clientOf(server, "system:kube-scheduler", "system:masters");
  void startPart(stack, {
    name: "scheduler",
    log,
    start: () => startScheduler({ client: scheduler, clock, random, log, loopMetrics }),
  });
}
