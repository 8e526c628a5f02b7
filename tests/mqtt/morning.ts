import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { freePorts } from "@cortado/demo/doors";
import { parseYaml } from "@cortado/wire/yaml";
import { LoopDisk } from "../crash/loop-disk.ts";
import { rssMb } from "./fuzz.ts";
import type { LatencyWork } from "./latency-worker.ts";
import { Client } from "./suite/client.ts";

// The morning after a power cut: every device of a store connects at once, to the process that also runs its API server.
export const SERVED_MS_MAX = 60_000;
const program = join(import.meta.dirname, "..", "..", "packages", "program", "src", "main.ts");

/** A whole store with simulated pods, as one process on a disk whose power can be cut. */
class Store {
  readonly #folder = mkdtempSync(join(tmpdir(), "reconnect-"));
  readonly #disk: LoopDisk = new LoopDisk(2_048);
  #child: ChildProcess | undefined;
  readonly #apiPort: number;

  constructor(apiPort: number) {
    this.#apiPort = apiPort;
  }

  /** Where a store with simulated pods serves MQTT. */
  get path(): string {
    return join(this.#folder, "run", "mqtt.sock");
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  async start(): Promise<void> {
    const words = [
      ...["server", "--data-dir", join(this.#disk.at, "data"), "--write-kubeconfig", this.#kubeconfig],
      ...["--runtime", "simulated", "--resolv-conf", "/dev/null", "--bind-address", "127.0.0.1"],
      ...["--https-listen-port", String(this.#apiPort), "--local-socket-dir", join(this.#folder, "run")],
    ];
    const log = openSync(join(this.#folder, "log"), "a");
    this.#child = spawn(process.execPath, [program, ...words], { stdio: ["ignore", log, log] });
    closeSync(log);
    for (const end = performance.now() + 60_000; !(await this.#isServing()); await sleep(50))
      if (performance.now() > end)
        throw new Error(readFileSync(join(this.#folder, "log"), "utf8").slice(-2_000));
  }

  async cutPower(): Promise<void> {
    await this.#end();
    this.#disk.cutPower();
  }

  latencies(): Worker {
    const tree = parseYaml(readFileSync(this.#kubeconfig, "utf8")).value as Kubeconfig;
    const plain = (text = ""): string => Buffer.from(text, "base64").toString();
    const user = tree.users[0]?.user;
    const workerData: LatencyWork = {
      server: `https://127.0.0.1:${this.#apiPort}`,
      ca: plain(tree.clusters[0]?.cluster["certificate-authority-data"]),
      cert: plain(user?.["client-certificate-data"]),
      key: plain(user?.["client-key-data"]),
      everyMs: 20,
    };
    return new Worker(join(import.meta.dirname, "latency-worker.ts"), { workerData });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#end();
    this.#disk[Symbol.dispose]();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  get #kubeconfig(): string {
    return join(this.#folder, "kubeconfig");
  }

  async #isServing(): Promise<boolean> {
    if (!existsSync(this.#kubeconfig)) return false;
    try {
      await using client = await Client.dial({ path: this.path }, 4);
      return (await client.connect({ clientId: "first" })).code === 0;
    } catch {
      return false;
    }
  }

  async #end(): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    await gone;
  }
}

type Kubeconfig = {
  readonly clusters: readonly { readonly cluster: Readonly<Record<string, string>> }[];
  readonly users: readonly { readonly user: Readonly<Record<string, string>> }[];
};

/** A listener's queue of 511 connections is full for a moment: who is refused tries again, as a device does. */
async function dial(path: string): Promise<Client> {
  for (;;)
    try {
      return await Client.dial({ path }, 4, SERVED_MS_MAX);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
      await sleep(20);
    }
}

/** One device comes back: its session is there, and what it says is heard by itself. Answers when it was served. */
async function device(path: string, number: number, swarm: AsyncDisposableStack): Promise<number> {
  const client = swarm.use(await dial(path));
  const { code, flags } = await client.connect({ clientId: `device-${number}`, clean: false });
  assert.equal(code, 0);
  const topic = `devices/${number}/state`;
  if (flags === 0) await client.subscribe([topic, 1]);
  await client.publish(topic, "here", { qos: 1 });
  assert.equal((await client.message(topic)).payload, "here");
  return performance.now();
}

const share = (sorted: readonly number[], part: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Infinity;

export type Morning = {
  /** When half of the devices and all of them had their first message, after the first one dialled. */
  readonly halfMs: number;
  readonly allMs: number;
  /** How long the API server took for a small object meanwhile. */
  readonly apiP50Ms: number;
  readonly apiP99Ms: number;
  readonly apiLongestMs: number;
  readonly apiAnswers: number;
  /** Asked and not answered with 200. */
  readonly apiFailures: number;
  readonly rssMb: number;
};

/** Cuts the power of a store that so many devices have sessions with, and lets all of them come back at once. */
export async function morningOf(devices: number): Promise<Morning> {
  await using store = new Store((await freePorts(1))[0] ?? 0);
  await store.start();
  for (let at = 0; at < devices; at += 500) {
    await using some = new AsyncDisposableStack();
    const numbers = Array.from({ length: Math.min(500, devices - at) }, (_, index) => at + index);
    await Promise.all(numbers.map((number) => device(store.path, number, some)));
  }
  await store.cutPower();
  await store.start();
  const worker = store.latencies();
  await once(worker, "message");
  const startMs = performance.now();
  await using swarm = new AsyncDisposableStack();
  const coming = Array.from({ length: devices }, (_, number) => device(store.path, number, swarm));
  const waits = (await Promise.all(coming)).map((atMs) => atMs - startMs).toSorted((a, b) => a - b);
  worker.postMessage("end");
  const [tookMs] = (await once(worker, "message")) as [number[]];
  const answers = tookMs.filter(Number.isFinite).toSorted((a, b) => a - b);
  return {
    halfMs: share(waits, 0.5),
    allMs: share(waits, 1),
    apiP50Ms: share(answers, 0.5),
    apiP99Ms: share(answers, 0.99),
    apiLongestMs: share(answers, 1),
    apiAnswers: answers.length,
    apiFailures: tookMs.length - answers.length,
    rssMb: rssMb(store.pid),
  };
}
