import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { freePorts } from "@cortado/demo/doors";
import { parseYaml } from "@cortado/wire/yaml";
import { LoopDisk, whyNoLoopDisk } from "../crash/loop-disk.ts";
import type { LatencyWork } from "./latency-worker.ts";
import { Client } from "./suite/client.ts";

// The morning after a power cut: every device of a store connects at once, to the process that also runs its API server.
const DEVICES = Number(process.env["CORTADO_DEVICES"] ?? 10_000);
const SERVED_MS_MAX = 60_000;
const API_P99_MS_MAX = 50;
const program = join(import.meta.dirname, "..", "..", "packages", "program", "src", "main.ts");
const skip = whyNoLoopDisk() ?? false;

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

test(
  `${DEVICES} devices come back at once after a power cut, and the API server hardly feels it`,
  { skip },
  async () => {
    await using store = new Store((await freePorts(1))[0] ?? 0);
    await store.start();
    for (let at = 0; at < DEVICES; at += 500) {
      await using some = new AsyncDisposableStack();
      const numbers = Array.from({ length: Math.min(500, DEVICES - at) }, (_, index) => at + index);
      await Promise.all(numbers.map((number) => device(store.path, number, some)));
    }
    await store.cutPower();
    await store.start();
    const worker = store.latencies();
    await once(worker, "message");
    const startMs = performance.now();
    await using swarm = new AsyncDisposableStack();
    const devices = Array.from({ length: DEVICES }, (_, number) => device(store.path, number, swarm));
    const waits = (await Promise.all(devices)).map((atMs) => atMs - startMs).toSorted((a, b) => a - b);
    worker.postMessage("end");
    const [latencies] = (await once(worker, "message")) as [number[]];
    latencies.sort((a, b) => a - b);
    const rss = Number(readFileSync(`/proc/${store.pid}/statm`, "utf8").split(" ")[1]) * 4_096;
    console.log(
      `served: half after ${Math.round(share(waits, 0.5))} ms, all after ${Math.round(share(waits, 1))} ms; API p50 ${share(latencies, 0.5).toFixed(1)} ms, p99 ${share(latencies, 0.99).toFixed(1)} ms, longest ${share(latencies, 1).toFixed(0)} ms of ${latencies.length}; RSS ${Math.round(rss / 2 ** 20)} MB`,
    );
    assert.ok(share(waits, 1) < SERVED_MS_MAX, "all are served");
    assert.ok(share(latencies, 0.99) < API_P99_MS_MAX, `p99 ${share(latencies, 0.99)} ms`);
  },
);
