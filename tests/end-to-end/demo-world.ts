import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { randomUUID } from "node:crypto";
import { request } from "node:https";
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readState } from "@cortado/demo/state";
import { sweep } from "@cortado/demo/sweep";
import { run, stockClient, type Ran } from "../clients/clients.ts";
import { Running } from "../clients/running.ts";

const top = join(import.meta.dirname, "..", "..");
export const bundle: string = join(top, "dist", "cortado.cjs");

export type StoreEntry = {
  readonly name: string;
  readonly kubeconfig: string;
  readonly mqtt: string;
  readonly gateway: string;
  readonly shop: string;
  readonly pid: number | null;
  readonly uplink: "up" | "down";
};
export type HubEntry = {
  readonly kubeconfig: string;
  readonly url: string;
  readonly dashboard: string | null;
  readonly git: string;
  readonly pid: number | null;
};
export type DemoFile = {
  readonly ready: boolean;
  readonly runtime: string;
  readonly hub: HubEntry;
  readonly stores: readonly StoreEntry[];
};

/** A command line: split at blanks, or word by word where a word has one. */
export type Words = string | readonly string[];
export type Asking = {
  readonly minor?: "34" | "35";
  readonly input?: string;
  readonly env?: Record<string, string>;
  readonly timeoutMs?: number;
};

export type EventLine = Readonly<Record<string, unknown>>;

export type Reply = {
  readonly status: number;
  readonly text: string;
  readonly json: () => Record<string, unknown>;
};

/** A demo of its own in a temporary folder, run as `npm start` runs it. */
export class DemoWorld {
  readonly folder: string;
  readonly #said: string;
  #child: ChildProcess | undefined;

  /** `parent`: a disk to live on. */
  constructor(parent: string = tmpdir()) {
    this.folder = mkdtempSync(join(parent, "cdemo-"));
    // Beside it, where a bad disk of the demo does not reach.
    this.#said = join(mkdtempSync(join(tmpdir(), "cdemo-said-")), "said.log");
  }

  get file(): DemoFile {
    return JSON.parse(readFileSync(join(this.folder, "demo.json"), "utf8")) as DemoFile;
  }

  get store(): StoreEntry {
    return this.file.stores[0] as StoreEntry;
  }

  /** The hub's. */
  get hub(): HubEntry {
    return this.file.hub;
  }

  storeNamed(name: string): StoreEntry {
    const found = this.file.stores.find((one) => one.name === name);
    assert.ok(found, `demo.json has ${name}`);
    return found;
  }

  get id(): string {
    return (JSON.parse(readFileSync(join(this.folder, "state.json"), "utf8")) as { id: string }).id;
  }

  get said(): string {
    return readFileSync(this.#said, "utf8");
  }

  /** Starts the demo and waits until it is ready. Answers how long that took. */
  async start(...words: readonly string[]): Promise<number> {
    const startMs = performance.now();
    rmSync(join(this.folder, "demo.json"), { force: true }); // of one that was killed
    const said = openSync(this.#said, "w");
    const child = spawn(process.execPath, [bundle, "demo", "start", "--folder", this.folder, ...words], {
      stdio: ["ignore", said, said],
    });
    closeSync(said);
    this.#child = child;
    await until(
      "the demo to be ready",
      () => {
        assert.equal(child.exitCode, null, `the demo ended: ${this.said}`);
        return existsSync(join(this.folder, "demo.json")) && this.file.ready;
      },
      150_000,
    );
    return performance.now() - startMs;
  }

  /** Ctrl-C, and the end of it. */
  async stop(signal: NodeJS.Signals = "SIGINT"): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null) return;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill(signal);
    await ended;
    this.#child = undefined;
  }

  /** Ends the demo whatever became of it: a test that failed in the middle must leave nothing behind either. */
  async end(): Promise<void> {
    await Promise.race([this.stop(), new Promise((resolve) => setTimeout(resolve, 30_000).unref())]);
    this.#child?.kill("SIGKILL");
    const state = await readState(this.folder).catch(() => undefined);
    if (state !== undefined) await sweep({ folder: this.folder, socketsRoot: tmpdir() }, state);
    for (const folder of [this.folder, join(this.#said, "..")])
      rmSync(folder, { recursive: true, force: true });
  }

  async demo(action: string, name = "store-042"): Promise<Ran> {
    const ran = await this.askDemo(action, name);
    assert.equal(ran.code, 0, `demo ${action} ${name}: ${ran.err}`);
    return ran;
  }

  /** The same, whatever comes of it. */
  askDemo(action: string, name: string): Promise<Ran> {
    const words = [bundle, "demo", action, name, "--folder", this.folder];
    return run(process.execPath, words, { timeoutMs: 150_000 });
  }

  kubectl(...words: readonly string[]): Promise<Ran> {
    return run(stockClient("kubectl"), ["--kubeconfig", this.store.kubeconfig, ...words]);
  }

  async mustKubectl(...words: readonly string[]): Promise<string> {
    const { code, out, err } = await this.kubectl(...words);
    assert.equal(code, 0, `kubectl ${words.join(" ")}: ${err}`);
    return out;
  }

  /** kubectl in a namespace, whatever comes of it. */
  ask(namespace: string, words: Words, { minor = "35", ...options }: Asking = {}): Promise<Ran> {
    return run(
      stockClient("kubectl", minor),
      ["--kubeconfig", this.store.kubeconfig, "-n", namespace, ...split(words)],
      options,
    );
  }

  /** kubectl in a namespace, which must succeed; answers what it printed. */
  async tell(namespace: string, words: Words, options: Asking = {}): Promise<string> {
    const { code, out, err } = await this.ask(namespace, words, options);
    assert.equal(code, 0, `kubectl ${split(words).join(" ")}: ${err}${out}`);
    return out;
  }

  /** kubectl in a namespace, left running. */
  running(namespace: string, words: Words): Running {
    return new Running(stockClient("kubectl"), [
      "--kubeconfig",
      this.store.kubeconfig,
      "-n",
      namespace,
      ...split(words),
    ]);
  }

  /** The shop sells and the broker takes messages: whatever was done before harmed nobody. */
  async isWell(): Promise<void> {
    const order = await this.order();
    assert.equal(order.status, 201, `an order after it: ${order.text}`);
    const { code, err } = await this.publish("machines/check", "1");
    assert.equal(code, 0, `a publish after it: ${err}`);
  }

  order(quantity = 1, id: string = randomUUID(), sku = "latte", at: StoreEntry = this.store): Promise<Reply> {
    return call(`${at.shop}/api/orders`, {
      id,
      items: [{ sku, quantity }],
      payment: { method: "card", token: "tok_visa" },
    });
  }

  publish(topic: string, message: string, ...words: readonly string[]): Promise<Ran> {
    return this.publishAt(this.store, topic, message, ...words);
  }

  publishAt(at: StoreEntry, topic: string, ...[message = "", ...words]: readonly string[]): Promise<Ran> {
    const { port } = new URL(at.mqtt);
    return run(
      "mosquitto_pub",
      ["-h", "127.0.0.1", "-p", port, "-t", topic, "-m", message, "-q", "1", ...words],
      { timeoutMs: 10_000 },
    );
  }

  /** Rows that the hub has of what stores did: `store=S&kind=order`. */
  events(query: string): Promise<readonly EventLine[]> {
    const { origin, username, password } = new URL(this.hub.url);
    const authorization = `Basic ${Buffer.from(`${username}:${decodeURIComponent(password)}`).toString("base64")}`;
    return new Promise((resolve, reject) => {
      const path = `${origin}/telemetry/v1/events?${query}`;
      const asking = request(path, { headers: { authorization }, rejectUnauthorized: false }, (answer) => {
        let text = "";
        answer.setEncoding("utf8");
        answer.on("data", (piece: string) => (text += piece));
        answer.on("end", () => {
          assert.equal(answer.statusCode, 200, text);
          resolve(text.split("\n").flatMap((line) => (line === "" ? [] : [JSON.parse(line) as EventLine])));
        });
      });
      asking.on("error", reject);
      asking.end();
    });
  }

  /** Names of the alerts of one store, as a hub or the store itself lists them. */
  async alertsOf(store: string, kubeconfig: string): Promise<readonly string[]> {
    const words = ["--kubeconfig", kubeconfig, "get", "alerts", "-A", "-o", "json"];
    const { code, out, err } = await run(stockClient("kubectl"), words);
    assert.equal(code, 0, err);
    const { items } = JSON.parse(out) as {
      readonly items: readonly { readonly spec: { readonly store: string; readonly payload: string } }[];
    };
    return items
      .filter(({ spec }) => spec.store === store)
      .map(({ spec }) => spec.payload)
      .toSorted();
  }
}

function split(words: Words): readonly string[] {
  return typeof words === "string" ? words.split(/\s+/) : words;
}

/** One HTTP call; a body is sent as JSON. A refused connection is status 0. */
export async function call(url: string, body?: unknown): Promise<Reply> {
  try {
    const init =
      body === undefined
        ? {}
        : { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
    const response = await fetch(url, { ...init, signal: AbortSignal.timeout(20_000) });
    const text = await response.text();
    return { status: response.status, text, json: () => JSON.parse(text) as Record<string, unknown> };
  } catch (error) {
    return { status: 0, text: String(error), json: () => ({}) };
  }
}

/** Waits for a state with a limit. */
export async function until<Found>(
  what: string,
  look: () => Promise<Found> | Found,
  withinMs: number,
  everyMs = 100,
): Promise<NonNullable<Found>> {
  const endMs = performance.now() + withinMs;
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== null && found !== false) return found;
    if (performance.now() > endMs) assert.fail(`not reached within ${withinMs / 1_000} s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
}

/** Why a demo with real containers cannot run here; undefined when it can. */
export async function whyNoBoxes(): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return "needs root";
  for (const program of ["containerd", "runc", "nft", "ip", "mosquitto_pub"])
    if ((await run("sh", ["-c", `command -v ${program}`])).code !== 0) return `needs ${program}`;
  return existsSync(bundle) ? undefined : "needs the bundle: npm run bundle";
}
