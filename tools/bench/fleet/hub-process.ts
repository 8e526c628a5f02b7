import { spawn, fork, type ChildProcess } from "node:child_process";
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { newClient, type Client } from "@cortado/client";
import { httpTransport } from "@cortado/client/node/http";
import { readKubeconfig } from "@cortado/client/node/kubeconfig";
import { freePorts } from "@cortado/demo/doors";
import { bundles, clusterRegistrationTokens, gitRepos } from "@cortado/kinds/fleet";
import { secrets } from "@cortado/kinds/resources";
import type { StoreAnswer, StoreOrder } from "./stores-process.ts";

const top = join(import.meta.dirname, "..", "..", "..");
export const program: string = join(top, "dist", "cortado.cjs");
export const namespace = "fleet-default";

export async function until<Found>(
  what: string,
  look: () => Promise<Found | undefined> | Found | undefined,
  { withinMs = 120_000, everyMs = 50 }: { readonly withinMs?: number; readonly everyMs?: number } = {},
): Promise<Found> {
  const startMs = performance.now();
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (performance.now() - startMs > withinMs) throw new Error(`not within ${withinMs} ms: ${what}`);
    await sleep(everyMs);
  }
}

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** All garbage, and the memory that it lay in. */
const collect = 'gc({ type: "major", flavor: "last-resort" });';

/** The shipped program as a hub, with what BENCH_HUB_NODE says to its Node (to look into it), in a process of its own with a folder of its own. */
export class HubProcess implements AsyncDisposable {
  readonly folder: string;
  readonly url: string;
  readonly #words: readonly string[];
  readonly #stop: AbortController = new AbortController();
  #child: ChildProcess | undefined;
  #closing: Disposable | undefined;
  #client: Client | undefined;

  private constructor(folder: string, port: number, words: readonly string[]) {
    this.folder = folder;
    this.url = `https://127.0.0.1:${port}`;
    this.#words = ["--https-listen-port", String(port), "--url", this.url, ...words];
  }

  static async start(folder: string, repository: string, words: readonly string[] = []): Promise<HubProcess> {
    mkdirSync(folder, { recursive: true });
    const [port = 0] = await freePorts(1);
    const hub = new HubProcess(folder, port, ["--seed-repository", repository, ...words]);
    await hub.boot();
    await hub.#forgetShop();
    return hub;
  }

  /** The hub follows its own repository by itself; what is measured follows it with targets of its own. */
  async #forgetShop(): Promise<void> {
    const { client, signal } = this;
    const shop = { name: "coffee-shop", namespace, signal };
    const isThere = async (): Promise<boolean> =>
      await client.get(gitRepos, shop).then(
        () => true,
        () => false,
      );
    await until("the hub's own GitRepo", async () => ((await isThere()) ? true : undefined));
    await client.delete(gitRepos, shop);
    await until("its bundles to be gone", async () => {
      const { items } = await client.list(bundles, { namespace, signal });
      return items.length === 0 && !(await isThere()) ? true : undefined;
    });
  }

  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  get client(): Client {
    if (this.#client === undefined) throw new Error("the hub is not up");
    return this.#client;
  }

  get password(): string {
    return readFileSync(join(this.folder, "data", "server", "hub-password"), "utf8").trim();
  }

  /** Starts the process; answers in how many milliseconds it said that it was ready. */
  async boot(): Promise<number> {
    const startMs = performance.now();
    const kubeconfig = join(this.folder, "hub.yaml");
    const log = openSync(join(this.folder, "hub.log"), "a");
    // On SIGUSR2 the hub collects its garbage, so that what is measured is what it holds.
    const aid = join(this.folder, "collect.cjs");
    writeFileSync(
      aid,
      `process.on("SIGUSR2", () => { ${collect} ${collect} });
`,
    );
    const data = ["--data-dir", join(this.folder, "data"), "--write-kubeconfig", kubeconfig];
    const words = ["hub", ...data, "--bind-address", "127.0.0.1", ...this.#words];
    const more = (process.env["BENCH_HUB_NODE"] ?? "").split(" ").filter((word) => word !== "");
    const child = spawn(process.execPath, ["--expose-gc", "--require", aid, ...more, program, ...words], {
      stdio: ["ignore", log, log],
    });
    closeSync(log);
    this.#child = child;
    // A measurement that fails leaves no hub behind.
    process.once("exit", () => child.kill("SIGKILL"));
    await until("the hub", () => {
      if (child.exitCode !== null) throw new Error(`the hub ended; see ${this.folder}/hub.log`);
      return existsSync(kubeconfig) ? true : undefined;
    });
    const transport = httpTransport(await readKubeconfig(kubeconfig));
    this.#closing = transport;
    this.#client = newClient(transport);
    const ready = { method: "GET", path: "/readyz", query: {}, signal: this.signal } as const;
    await until("the hub to be ready", async () => {
      try {
        await this.client.raw(ready);
        return true;
      } catch {
        return undefined;
      }
    });
    return performance.now() - startMs;
  }

  async kill(): Promise<void> {
    const child = this.#child;
    this.#closing?.[Symbol.dispose]();
    this.#closing = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    await ended;
  }

  /** Resident bytes after garbage was collected. */
  async rssBytes(): Promise<number> {
    const pid = this.#child?.pid ?? 0;
    process.kill(pid, "SIGUSR2");
    await sleep(1_500);
    const [, kilobytes = "0"] = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
    return Number(kilobytes) * 1_024;
  }

  /** Seconds of processor that the hub has used. */
  get cpuSeconds(): number {
    const fields =
      readFileSync(`/proc/${this.#child?.pid ?? 0}/stat`, "utf8")
        .split(") ")[1]
        ?.split(" ") ?? [];
    return (Number(fields[11]) + Number(fields[12])) / 100;
  }

  async token(): Promise<string> {
    const { client, signal } = this;
    await client.create(clusterRegistrationTokens, { metadata: { name: "bench", namespace } }, { signal });
    return await until("the token", async () => {
      try {
        const secret = await client.get(secrets, { name: "bench", namespace, signal });
        return Buffer.from(secret.data?.["token"] ?? "", "base64").toString();
      } catch {
        return undefined;
      }
    });
  }

  /** A GitRepo of the hub's own repository. */
  async follow(name: string, spec: Readonly<Record<string, unknown>>): Promise<void> {
    const { client, signal } = this;
    const own = { metadata: { name: "own-git", namespace } };
    const data = { username: toBase64("admin"), password: toBase64(this.password) };
    await client.create(secrets, { ...own, data }, { signal }).catch(() => undefined);
    const where = { repo: `${this.url}/git/coffee-shop.git`, branch: "main", clientSecretName: "own-git" };
    await client.create(
      gitRepos,
      { metadata: { name, namespace }, spec: { ...where, insecureSkipTLSVerify: true, ...spec } },
      { signal },
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.kill();
  }
}

function toBase64(text: string): string {
  return Buffer.from(text).toString("base64");
}

/** Light stores in a process of their own. */
export class StoresProcess implements Disposable {
  readonly #child: ChildProcess = fork(join(import.meta.dirname, "stores-process.ts"), {
    stdio: ["ignore", "inherit", "inherit", "ipc"],
    // They share two cores with the hub: what V8 would do for less memory here, it would take from there.
    execArgv: ["--min-semi-space-size=16"],
  });

  constructor() {
    process.once("exit", () => this.#child.kill("SIGKILL"));
  }

  order(order: StoreOrder): Promise<StoreAnswer> {
    return new Promise((resolve, reject) => {
      const failed = (): void => reject(new Error("the process of the stores ended"));
      this.#child.once("exit", failed);
      this.#child.once("message", (answer) => {
        this.#child.off("exit", failed);
        resolve(answer as StoreAnswer);
      });
      this.#child.send(order);
    });
  }

  [Symbol.dispose](): void {
    this.#child.kill("SIGKILL");
  }
}
