// What one store costs on the wire: the shipped hub and the real agent, alone in a network namespace. Prints what it measured as JSON.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createApiServer } from "@cortado/apiserver";
import { newClient } from "@cortado/client";
import { startAgent } from "@cortado/fleet/agent";
import { openHubDoor } from "@cortado/fleet/agent/node/hub-door";
import { machineKeys } from "@cortado/fleet/agent/node/keys";
import type { Agent, ChunkStore } from "@cortado/fleet/agent/ports";
import { bundles } from "@cortado/kinds/fleet";
import { inProcessTransport } from "@cortado/program/transport";
import { newMetrics } from "@cortado/std/metrics";
import { systemClock } from "@cortado/std/node/clock";
import { systemRandom } from "@cortado/std/node/random";
import { silentLog } from "@cortado/std/testing/silent-log";
import { openMemoryStore } from "@cortado/store/memory";
import { HubProcess, namespace, sleep, until } from "./hub-process.ts";
import { writeRepository } from "./repository.ts";

export type Wire = {
  /** Bytes of IP packets, both ways. */
  readonly beatBytes: number;
  readonly callBytes: number;
  readonly changeBytes: number;
};

/** The store reaches the hub by this address, and nobody else does. */
const STORE_SIDE = "127.0.0.2";
const BEATS = 10;

const nft = (...words: readonly string[]): string => execFileSync("nft", words, { encoding: "utf8" });

function countPackets(): void {
  nft("add", "table", "ip", "bench");
  nft("add", "chain", "ip", "bench", "in", "{ type filter hook input priority 0 ; }");
  for (const side of ["saddr", "daddr"])
    nft("add", "rule", "ip", "bench", "in", "ip", side, STORE_SIDE, "counter");
}

function countedBytes(): number {
  const counters = nft("list", "table", "ip", "bench").matchAll(/counter packets \d+ bytes (\d+)/g);
  // A packet within the address is seen by both rules when both of its ends are that address; ours have one end at 127.0.0.1.
  return [...counters].reduce((sum, [, bytes]) => sum + Number(bytes), 0);
}

async function measured(work: () => Promise<void>): Promise<number> {
  const before = countedBytes();
  await work();
  return countedBytes() - before;
}

async function agentOf(hub: HubProcess, token: string): Promise<Agent> {
  const serviceNetwork = { cidr: "10.43.0.0/16", apiAddress: "10.43.0.1", port: 6443 };
  const common = { clock: systemClock, random: systemRandom, log: silentLog, metrics: newMetrics() };
  const server = await createApiServer({ store: await openMemoryStore(), ...common, serviceNetwork });
  const chunks = new Map<string, Uint8Array>();
  const store: ChunkStore = {
    read: (sha256) => Promise.resolve(chunks.get(sha256)),
    put: (sha256, bytes) => {
      chunks.set(sha256, bytes);
      return Promise.resolve();
    },
  };
  const user = { name: "system:admin", groups: ["system:masters", "system:authenticated"] };
  return startAgent(
    { version: "0.1.0", name: "store-1", labels: { location: "edge" }, token },
    {
      client: newClient(inProcessTransport(server, user)),
      hub: openHubDoor({ url: hub.url.replace("127.0.0.1", STORE_SIDE) }),
      keys: machineKeys,
      chunks: store,
      ...common,
    },
  );
}

const configMap = (value: string): string =>
  `apiVersion: v1\nkind: ConfigMap\nmetadata: { name: menu }\ndata: { value: "${value}" }\n`;

async function run(folder: string): Promise<Wire> {
  const repository = join(folder, "repository");
  writeRepository(repository, 1);
  const words = ["--offline-after", "3", "--bind-address", "0.0.0.0", "--tls-san", STORE_SIDE];
  await using hub = await HubProcess.start(join(folder, "hub"), repository, words);
  await using agent = await agentOf(hub, await hub.token());
  const { client, signal } = hub;
  const isConnected = (): true | undefined => (agent.state.isConnected ? true : undefined);
  await until("the store", isConnected);
  const spec = (value: string) => ({
    defaultNamespace: "bench",
    resources: [{ name: "menu.yaml", content: configMap(value) }],
    targets: [{ clusterSelector: {} }],
  });
  await client.create(bundles, { metadata: { name: "menu", namespace }, spec: spec("1") }, { signal });
  const isReady = (): true | undefined => (agent.state.bundles[0]?.state === "Ready" ? true : undefined);
  await until("the bundle", isReady);
  await sleep(3_000);
  const beatBytes = (await measured(() => sleep(BEATS * 2_000))) / BEATS;
  const changeMs = 4_000;
  const all = await measured(async () => {
    await client.patch(bundles, {
      name: "menu",
      namespace,
      type: "merge",
      body: { spec: spec("2") },
      signal,
    });
    await sleep(changeMs);
  });
  const revision = agent.state.bundles[0]?.appliedId;
  const callBytes = await measured(async () => {
    await hub.kill();
    await hub.boot();
    await until("the store again", isConnected, { withinMs: 60_000 });
    await sleep(1_000);
  });
  if (revision === undefined || isReady() !== true) throw new Error("the change did not arrive");
  return { beatBytes, changeBytes: all - (beatBytes * changeMs) / 2_000, callBytes };
}

countPackets();
const folder = mkdtempSync(join(tmpdir(), "bench-wire-"));
try {
  console.log(JSON.stringify(await run(folder)));
} finally {
  rmSync(folder, { recursive: true, force: true });
}
process.exit(0);
