import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePorts } from "@cortado/demo/doors";
import { run, stockClient, type Ran } from "../clients/clients.ts";
import { until } from "./demo-world.ts";

const program = join(import.meta.dirname, "..", "..", "packages", "program", "src", "main.ts");
const unused = ["mqtt", "mqtt-websocket", "gateway", "telemetry", "ingress", "ingress-tls"];

/** A hub and other programs of ours as processes on loopback, in one folder; all of it is gone afterwards. */
export class HubProcesses implements AsyncDisposable {
  readonly folder: string = mkdtempSync(join(tmpdir(), "cortado-hub-"));
  readonly kubectl: string = stockClient("kubectl");
  readonly #running: Map<string, ChildProcess> = new Map();
  readonly #ports: readonly number[];

  private constructor(ports: readonly number[]) {
    this.#ports = ports;
    mkdirSync(join(this.folder, "tmp"));
  }

  /** A hub that answers; `more` are words of `cortado hub`. */
  static async start(...more: readonly string[]): Promise<HubProcesses> {
    const all = new HubProcesses(await freePorts(3));
    all.startHub(...more);
    await all.answers("hub");
    return all;
  }

  get url(): string {
    return `https://127.0.0.1:${this.#ports[0]}`;
  }

  startHub(...more: readonly string[]): void {
    this.spawn("hub", [
      "hub",
      ...["--data-dir", join(this.folder, "hub"), "--write-kubeconfig", this.config("hub")],
      ...["--bind-address", "127.0.0.1", "--https-listen-port", String(this.#ports[0]), "--url", this.url],
      ...["--helm", stockClient("helm"), "--kubectl", this.kubectl, ...more],
    ]);
  }

  /** A Kubernetes on the simulated runtime, with no hub. */
  async startCluster(name: string, at: 1 | 2 = 1): Promise<void> {
    this.spawn(name, [
      "server",
      ...["--data-dir", join(this.folder, name), "--write-kubeconfig", this.config(name)],
      ...["--runtime", "simulated", "--node-name", name, "--resolv-conf", "/dev/null"],
      ...["--https-listen-port", String(this.#ports[at])],
      ...unused.flatMap((part) => [`--${part}-port`, "0"]),
    ]);
    await this.answers(name);
  }

  spawn(name: string, words: readonly string[], env: Readonly<Record<string, string>> = {}): void {
    const log = openSync(join(this.folder, `${name}.log`), "a");
    const child = spawn(process.execPath, [program, ...words], {
      stdio: ["ignore", log, log],
      // What a killed process leaves in its temporary folder goes with ours.
      env: { ...process.env, TMPDIR: join(this.folder, "tmp"), ...env },
    });
    closeSync(log);
    this.#running.set(name, child);
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

  config(name: string): string {
    return join(this.folder, `${name}.yaml`);
  }

  log(name: string): string {
    return readFileSync(join(this.folder, `${name}.log`), "utf8");
  }

  async answers(name: string): Promise<void> {
    await until(
      `${name} to answer`,
      async () =>
        existsSync(this.config(name)) && (await this.ask(name, "get", "--raw", "/readyz")).out === "ok",
      60_000,
    );
  }

  ask(name: string, ...words: readonly string[]): Promise<Ran> {
    return run(this.kubectl, ["--kubeconfig", this.config(name), ...words], { timeoutMs: 20_000 });
  }

  /** What stock kubectl answers; it must succeed. */
  async told(name: string, ...words: readonly string[]): Promise<string> {
    const { code, out, err } = await this.ask(name, ...words);
    assert.equal(code, 0, `kubectl ${words.join(" ")}: ${err}`);
    return out;
  }

  async apply(name: string, text: string): Promise<string> {
    const words = ["--kubeconfig", this.config(name), "apply", "-f", "-"];
    const { code, out, err } = await run(this.kubectl, words, { input: text, timeoutMs: 20_000 });
    assert.equal(code, 0, err);
    return out;
  }

  cortado(...words: readonly string[]): Promise<Ran> {
    return run(process.execPath, [program, ...words], { timeoutMs: 60_000 });
  }

  /** The secret of a registration token of `fleet-default`, made when it is not there. */
  async token(name = "stores"): Promise<string> {
    const kind = "apiVersion: fleet.cattle.io/v1alpha1\nkind: ClusterRegistrationToken\n";
    await this.apply("hub", `${kind}metadata: { name: ${name}, namespace: fleet-default }\n`);
    const words = ["get", "secret", name, "-n", "fleet-default", "-o", "jsonpath={.data.token}"];
    return await until(
      "the token",
      async () => {
        const { code, out } = await this.ask("hub", ...words);
        return code === 0 && out !== "" ? Buffer.from(out, "base64").toString() : undefined;
      },
      10_000,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const name of this.#running.keys()) await this.end(name, "SIGKILL");
    rmSync(this.folder, { recursive: true, force: true });
  }
}
