import { spawn, type ChildProcess } from "node:child_process";
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePorts } from "@cortado/demo/doors";
import { run, stockClient, type Ran } from "../clients/clients.ts";
import { until } from "./demo-world.ts";

const sources = join(import.meta.dirname, "..", "..", "packages", "program", "src", "main.ts");

/** A hub and stores as processes of their own, with simulated pods, and stock kubectl for them. */
export class FleetProcesses implements AsyncDisposable {
  readonly folder: string = mkdtempSync(join(tmpdir(), "cortado-fleet-"));
  readonly kubectl: string = stockClient("kubectl");
  readonly #running: Map<string, ChildProcess> = new Map();
  readonly #ports: Map<string, number> = new Map();
  readonly #program: string;
  #token = "";

  /** `program`: the bundle, for what lies beside it. */
  constructor(program: string = sources) {
    this.#program = program;
  }

  get hubUrl(): string {
    return `https://127.0.0.1:${this.#ports.get("hub") ?? 0}`;
  }

  /** Of the hub's user `admin`. */
  get password(): string {
    return readFileSync(join(this.folder, "hub", "server", "hub-password"), "utf8");
  }

  kubeconfig(name: string): string {
    return join(this.folder, `${name}.yaml`);
  }

  /** Where a store's Unix sockets are. */
  sockets(name: string): string {
    return join(this.folder, `${name}.run`);
  }

  async startHub(...more: readonly string[]): Promise<void> {
    await this.#portOf("hub");
    this.#start("hub", [
      "hub",
      ...["--data-dir", join(this.folder, "hub"), "--write-kubeconfig", this.kubeconfig("hub")],
      ...["--bind-address", "127.0.0.1", "--https-listen-port", String(this.#ports.get("hub"))],
      ...["--url", this.hubUrl, "--offline-after", "5", ...more],
    ]);
    await until(
      "the hub",
      async () => existsSync(this.kubeconfig("hub")) && (await this.ask("hub", "get --raw /readyz")) === "ok",
      30_000,
    );
  }

  /** A ClusterRegistrationToken's secret, as stores are given it. */
  async token(): Promise<string> {
    if (this.#token !== "") return this.#token;
    const wish = "apiVersion: fleet.cattle.io/v1alpha1\nkind: ClusterRegistrationToken\n";
    await this.ask("hub", "apply -f -", `${wish}metadata: { name: stores, namespace: fleet-default }\n`);
    this.#token = await until(
      "the token",
      async () => {
        const text = await this.ask("hub", "get secret stores -n fleet-default -o jsonpath={.data.token}");
        return text.startsWith("failed") || text === "" ? undefined : Buffer.from(text, "base64").toString();
      },
      10_000,
    );
    return this.#token;
  }

  /** A store of the hub; without one, a store alone. */
  async startStore(name: string): Promise<void> {
    const port = await this.#portOf(name);
    const hub = this.#running.has("hub") ? ["--hub", this.hubUrl, "--hub-token", await this.token()] : [];
    const parts = ["mqtt", "mqtt-websocket", "gateway", "telemetry", "ingress", "ingress-tls"];
    this.#start(name, [
      "server",
      ...["--data-dir", join(this.folder, name), "--write-kubeconfig", this.kubeconfig(name)],
      ...["--resolv-conf", "/dev/null", "--runtime", "simulated", "--node-name", name],
      ...["--node-label", "location=edge", "--local-socket-dir", this.sockets(name)],
      ...parts.flatMap((part) => [`--${part}-port`, "0"]),
      ...["--https-listen-port", String(port), ...hub],
    ]);
  }

  async end(name: string, signal: NodeJS.Signals): Promise<void> {
    const child = this.#running.get(name);
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill(signal);
    await ended;
  }

  /** What kubectl says; what went wrong begins with "failed: ". */
  async ask(name: string, words: string, input?: string): Promise<string> {
    const { code, out, err } = await this.run(
      ["--kubeconfig", this.kubeconfig(name), ...words.split(" ")],
      input,
    );
    return code === 0 ? out : `failed: ${err}`;
  }

  run(words: readonly string[], input?: string): Promise<Ran> {
    return run(this.kubectl, words, { timeoutMs: 20_000, ...(input === undefined ? {} : { input }) });
  }

  log(name: string): string {
    return readFileSync(join(this.folder, `${name}.log`), "utf8");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const name of this.#running.keys()) await this.end(name, "SIGKILL");
    rmSync(this.folder, { recursive: true, force: true });
  }

  async #portOf(name: string): Promise<number> {
    const known = this.#ports.get(name) ?? (await freePorts(1))[0] ?? 0;
    this.#ports.set(name, known);
    return known;
  }

  #start(name: string, words: readonly string[]): void {
    const log = openSync(join(this.folder, `${name}.log`), "a");
    const child = spawn(process.execPath, [this.#program, ...words], { stdio: ["ignore", log, log] });
    closeSync(log);
    this.#running.set(name, child);
  }
}
