import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { newMetrics } from "@cortado/std/metrics";
import { systemClock } from "@cortado/std/node/clock";
import { systemFiles } from "@cortado/std/node/files";
import { systemNetwork } from "@cortado/std/node/net";
import { systemRandom } from "@cortado/std/node/random";
import { silentLog } from "@cortado/std/testing/silent-log";
import { bridgeDefaults, type BridgeSettings } from "../bridge/settings.ts";
import { startBroker, type Broker } from "../mqtt.ts";
import { leaveSession, publishNumbers, readSession } from "./load.ts";
import { freePort } from "./remote-brokers.ts";

const delay = (ms: number): Promise<void> => new Promise((resolve) => void setTimeout(resolve, ms));

type Side = {
  readonly folder: string;
  readonly port: number;
  /** Port of the broker that it bridges to. */
  readonly centralPort?: number;
};

async function startSide({ folder, port, centralPort }: Side): Promise<Broker> {
  const broker = await startBroker({
    files: systemFiles,
    folder,
    network: systemNetwork,
    clock: systemClock,
    random: systemRandom,
    log: silentLog,
    metrics: newMetrics(),
  });
  await broker.listen({ host: "127.0.0.1", port });
  if (centralPort === undefined) return broker;
  const settings: BridgeSettings = {
    ...bridgeDefaults,
    name: "hq",
    clientId: "store-104.hq",
    addresses: [{ host: "127.0.0.1", port: centralPort }],
    topics: [{ pattern: "/store104/#", direction: "out", qos: 1, localPrefix: "", remotePrefix: "" }],
    backoffFirstMs: 20,
    backoffMaxMs: 100,
  };
  await broker.bridges.put(settings);
  return broker;
}

/** What a test file does when it is started as one of the brokers: serves until it is killed. */
export async function serveSide(words: string): Promise<void> {
  await startSide(JSON.parse(words) as Side);
  console.log("serves");
}

type Running = { kill(): Promise<void> };

async function runSide(file: string, side: Side): Promise<Running> {
  const child: ChildProcess = spawn(process.execPath, [file, "side", JSON.stringify(side)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const gone = once(child, "exit");
  if (child.stdout === null) throw new Error("the child has no output");
  const lines = createInterface({ input: child.stdout });
  const serves = await Promise.race([once(lines, "line").then(() => true), gone.then(() => false)]);
  if (!serves) throw new Error("a side ended before it served");
  return {
    async kill() {
      child.kill("SIGKILL");
      await gone;
    },
  };
}

/** Where both keep their data: a folder, or a disk whose power can be cut. */
export interface Disk {
  /** The folder, from now until `end`. */
  begin(): string;
  /** Both are dead: what is there for the next round is decided now. */
  end(): void;
}

export type DeathsOptions = {
  /** A test file that calls `serveSide` when told "side". */
  readonly file: string;
  readonly disk: Disk;
  readonly rounds: number;
};

/**
 * Brokers with a bridge between them die again and again at full speed: both at once, and one without the other. In the end the
 * centre has each acknowledged message, once, and each topic's in order.
 */
export async function dieTogether({ file, disk, rounds }: DeathsOptions): Promise<void> {
  const ports = { store: await freePort(), central: await freePort() };
  const acknowledged = new Set<number>();
  for (let round = 0; round < rounds; round += 1) {
    const folder = disk.begin();
    const central = { folder: `${folder}/central`, port: ports.central };
    const store = { folder: `${folder}/store`, port: ports.store, centralPort: ports.central };
    let there = await runSide(file, central);
    const here = await runSide(file, store);
    if (round === 0) await leaveSession(ports.central);
    const load = await publishNumbers(ports.store, round * 1_000_000);
    await delay(300 + 100 * (round % 3));
    if (round % 2 === 1) {
      await there.kill(); // alone: the store goes on and bridges what has come meanwhile
      await delay(100);
      there = await runSide(file, central);
      await delay(400);
    }
    await Promise.all([here.kill(), there.kill()]);
    for (const number of load.acknowledged) acknowledged.add(number);
    load.stop();
    disk.end();
  }
  const folder = disk.begin();
  try {
    await using _central = await startSide({ folder: `${folder}/central`, port: ports.central });
    await using store = await startSide({
      folder: `${folder}/store`,
      port: ports.store,
      centralPort: ports.central,
    });
    for (
      let waited = 0;
      (store.bridges.status("hq")?.state !== "connected" ||
        store.bridges.status("hq")?.backlogMessages !== 0) &&
      waited < 60_000;
      waited += 50
    )
      await delay(50);
    assert.equal(store.bridges.status("hq")?.backlogMessages, 0, "it drains");
    check(acknowledged, await readSession(ports.central));
  } finally {
    disk.end();
  }
}

function check(acknowledged: ReadonlySet<number>, received: readonly number[]): void {
  const got = new Set(received);
  const lost = [...acknowledged].filter((number) => !got.has(number));
  assert.equal(lost.length, 0, `${lost.length} of ${acknowledged.size} lost`);
  assert.equal(received.length - got.size, 0, "came twice");
  assert.ok(acknowledged.size > 300, `only ${acknowledged.size} were acknowledged`);
  const last = new Map<number, number>();
  for (const number of received) {
    const topic = number % 7;
    assert.ok(number > (last.get(topic) ?? -1), `${number} comes behind ${last.get(topic)} of its topic`);
    last.set(topic, number);
  }
}
