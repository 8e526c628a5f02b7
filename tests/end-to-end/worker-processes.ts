import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePorts } from "@cortado/demo/doors";
import { run, stockClient, type Ran } from "../clients/clients.ts";
import { until } from "./demo-world.ts";

const program = join(import.meta.dirname, "..", "..", "packages", "program", "src", "main.ts");
const unused = ["mqtt", "mqtt-websocket", "gateway", "telemetry", "ingress", "ingress-tls"];

/** A server and its agents as processes with simulated pods, and stock kubectl; all of it is gone afterwards. */
export class WorkerProcesses implements AsyncDisposable {
  readonly folder: string = mkdtempSync(join(tmpdir(), "cortado-worker-"));
  readonly kubectl: string = stockClient("kubectl");
  readonly port: number;
  readonly #running: Map<string, ChildProcess> = new Map();

  private constructor(port: number) {
    this.port = port;
  }

  static async start(...more: readonly string[]): Promise<WorkerProcesses> {
    const all = new WorkerProcesses((await freePorts(1))[0] ?? 0);
    try {
      await all.startServer(...more);
      return all;
    } catch (error) {
      const log = all.log("server");
      await all[Symbol.asyncDispose]();
      throw new Error(`the server did not come up: ${log.slice(-2_000)}`, { cause: error });
    }
  }

  get url(): string {
    return `https://127.0.0.1:${this.port}`;
  }

  /** The server's token in its secure form. */
  get token(): string {
    return readFileSync(join(this.folder, "server", "server", "token"), "utf8").trim();
  }

  get kubeconfig(): string {
    return join(this.folder, "kubeconfig.yaml");
  }

  async startServer(...more: readonly string[]): Promise<void> {
    this.spawn("server", [
      "server",
      ...["--data-dir", join(this.folder, "server"), "--write-kubeconfig", this.kubeconfig],
      ...["--runtime", "simulated", "--node-name", "counter", "--resolv-conf", "/dev/null"],
      ...["--https-listen-port", String(this.port)],
      ...unused.flatMap((part) => [`--${part}-port`, "0"]),
      ...more,
    ]);
    await until(
      "the server",
      async () => existsSync(this.kubeconfig) && (await this.ask("get", "--raw", "/readyz")).out === "ok",
      60_000,
    );
  }

  /** An agent by the server's token, unless `more` says otherwise. */
  startAgent(name: string, ...more: readonly string[]): void {
    this.spawn(name, this.agentWords(name, "--server", this.url, "--token", this.token, ...more));
  }

  agentWords(name: string, ...more: readonly string[]): readonly string[] {
    return [
      "agent",
      ...["--data-dir", join(this.folder, name), "--node-name", name, "--runtime", "simulated"],
      ...["--resolv-conf", "/dev/null", ...more],
    ];
  }

  spawn(name: string, words: readonly string[]): void {
    const log = openSync(join(this.folder, `${name}.log`), "a");
    const child = spawn(process.execPath, [program, ...words], { stdio: ["ignore", log, log] });
    closeSync(log);
    this.#running.set(name, child);
  }

  /** Runs an agent that is expected to end by itself. */
  runAgent(words: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ran> {
    return run(process.execPath, [program, ...words], { timeoutMs: 20_000, env });
  }

  pid(name: string): number {
    return this.#running.get(name)?.pid ?? assert.fail(`${name} was never started`);
  }

  async end(name: string, signal: NodeJS.Signals): Promise<void> {
    const child = this.#running.get(name);
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill(signal);
    await ended;
  }

  log(name: string): string {
    return readFileSync(join(this.folder, `${name}.log`), "utf8");
  }

  ask(...words: readonly string[]): Promise<Ran> {
    return run(this.kubectl, ["--kubeconfig", this.kubeconfig, ...words], { timeoutMs: 30_000 });
  }

  /** What stock kubectl answers; it must succeed. */
  async told(...words: readonly string[]): Promise<string> {
    const { code, out, err } = await this.ask(...words);
    assert.equal(code, 0, `kubectl ${words.join(" ")}: ${err}`);
    return out;
  }

  async apply(...objects: readonly object[]): Promise<void> {
    const input = JSON.stringify({ apiVersion: "v1", kind: "List", items: objects });
    const { code, err } = await run(this.kubectl, ["--kubeconfig", this.kubeconfig, "apply", "-f", "-"], {
      input,
      timeoutMs: 30_000,
    });
    assert.equal(code, 0, err);
  }

  async untilReady(node: string): Promise<void> {
    const path = '-o=jsonpath={.status.conditions[?(@.type=="Ready")].status}';
    await until(
      `node ${node} Ready`,
      async () => (await this.ask("get", "node", node, path)).out === "True",
      20_000,
    );
  }

  async untilRunning(pod: string): Promise<void> {
    const words = ["get", "pod", pod, "-o=jsonpath={.status.phase}"];
    await until(`pod ${pod} to run`, async () => (await this.ask(...words)).out === "Running", 20_000);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const name of this.#running.keys()) await this.end(name, "SIGKILL");
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** A pod for one node. */
export function podOn(name: string, node: string, more: object = {}): object {
  return {
    ...{ apiVersion: "v1", kind: "Pod", metadata: { name, labels: { app: name } } },
    spec: {
      nodeSelector: { "kubernetes.io/hostname": node },
      containers: [{ name: "c", image: "i" }],
      ...more,
    },
  };
}
