import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { freePorts } from "@cortado/demo/doors";
import { run, stockClient } from "../clients/clients.ts";
import { until } from "./demo-world.ts";

// A hub and two stores as processes of their own: stock git pushes, and stock kubectl sees what became of it. Pods are simulated.
const program = join(import.meta.dirname, "..", "..", "packages", "program", "src", "main.ts");
const seed = join(import.meta.dirname, "..", "..", "examples", "coffee-shop", "repository");
const folder = mkdtempSync(join(tmpdir(), "cortado-fleet-"));
const kubectl = stockClient("kubectl");
const names = ["store-042", "store-104"] as const;
const running = new Map<string, ChildProcess>();
let ports: readonly number[] = [];
let token = "";

const at = (name: string): string => join(folder, `${name}.yaml`);
const hubUrl = (): string => `https://127.0.0.1:${ports[0]}`;

function start(name: string, ...words: readonly string[]): void {
  const log = openSync(join(folder, `${name}.log`), "a");
  const child = spawn(process.execPath, [program, ...words], { stdio: ["ignore", log, log] });
  closeSync(log);
  running.set(name, child);
}

async function end(name: string, signal: NodeJS.Signals): Promise<void> {
  const child = running.get(name);
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once("exit", resolve));
  child.kill(signal);
  await ended;
}

function startHub(): void {
  const data = ["--data-dir", join(folder, "hub"), "--write-kubeconfig", at("hub")];
  const where = ["--bind-address", "127.0.0.1", "--https-listen-port", String(ports[0]), "--url", hubUrl()];
  const tools = ["--helm", stockClient("helm"), "--kubectl", kubectl];
  start("hub", "hub", ...data, ...where, ...tools, "--seed-repository", seed, "--offline-after", "5");
}

function startStore(name: string): void {
  const port = String(ports[1 + names.indexOf(name as (typeof names)[number])]);
  const none = ["mqtt", "mqtt-websocket", "gateway", "telemetry", "ingress", "ingress-tls"].flatMap(
    (part) => [`--${part}-port`, "0"],
  );
  const data = [
    "--data-dir",
    join(folder, name),
    "--write-kubeconfig",
    at(name),
    "--resolv-conf",
    "/dev/null",
  ];
  const who = ["--runtime", "simulated", "--node-name", name, "--node-label", "location=edge"];
  start(
    name,
    "server",
    ...data,
    ...who,
    ...none,
    "--https-listen-port",
    port,
    "--hub",
    hubUrl(),
    "--hub-token",
    token,
  );
}

async function ask(name: string, words: string, input?: string): Promise<string> {
  const options = { timeoutMs: 15_000, ...(input === undefined ? {} : { input }) };
  const { code, out, err } = await run(kubectl, ["--kubeconfig", at(name), ...words.split(" ")], options);
  return code === 0 ? out : `failed: ${err}`;
}

/** What a store's order service is to be: its replicas. */
const wanted = (name: string): Promise<string> =>
  ask(name, "get deployment order -n coffee-shop -o jsonpath={.spec.replicas}");
const stateOf = (name: string): Promise<string> =>
  ask("hub", `get clusters.fleet.cattle.io ${name} -n fleet-default -o jsonpath={.status.display.state}`);

async function git(...words: readonly string[]): Promise<string> {
  const who = [
    "-c",
    "user.name=Someone",
    "-c",
    "user.email=someone@example.test",
    "-c",
    "http.sslVerify=false",
  ];
  const { code, out, err } = await run("git", [...who, ...words], { timeoutMs: 20_000 });
  assert.equal(code, 0, `git ${words[0]}: ${err}`);
  return out;
}

async function push(change: (text: string) => string): Promise<void> {
  const path = join(folder, "work", "manifests", "order.yaml");
  writeFileSync(path, change(readFileSync(path, "utf8")));
  await git("-C", join(folder, "work"), "commit", "--quiet", "-am", "A change");
  await git("-C", join(folder, "work"), "push", "--quiet");
}

before(async () => {
  ports = await freePorts(3);
  startHub();
  await until(
    "the hub",
    async () => existsSync(at("hub")) && (await ask("hub", "get --raw /readyz")) === "ok",
    30_000,
  );
  const wish = "apiVersion: fleet.cattle.io/v1alpha1\nkind: ClusterRegistrationToken\n";
  await ask("hub", "apply -f -", `${wish}metadata: { name: stores, namespace: fleet-default }\n`);
  token = await until(
    "the token",
    async () => {
      const text = await ask("hub", "get secret stores -n fleet-default -o jsonpath={.data.token}");
      return text.startsWith("failed") || text === "" ? undefined : Buffer.from(text, "base64").toString();
    },
    10_000,
  );
  for (const name of names) startStore(name);
});

after(async () => {
  for (const name of running.keys()) await end(name, "SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

test("a GitRepo of the hub's own repository makes every store run the coffee shop", async () => {
  const password = readFileSync(join(folder, "hub", "server", "hub-password"), "utf8");
  const url = `${hubUrl()}/git/coffee-shop.git`;
  const words = "get gitrepo coffee-shop -n fleet-default -o jsonpath={.spec.repo}";
  assert.equal(await ask("hub", words), url, "the hub watches the repository that it was given");
  for (const name of names) {
    await until(`${name} to be Ready`, async () => (await stateOf(name)) === "Ready", 60_000);
    await until(`the shop in ${name}`, async () => (await wanted(name)) === "1", 30_000);
    const functions = "get functions -n openfaas-fn -o name";
    await until(
      `functions in ${name}`,
      async () => /temperature-check/.test(await ask(name, functions)),
      30_000,
    );
  }
  const views = async (): Promise<number> =>
    (await ask("hub", "get bundledeployments -A --no-headers")).trim().split("\n").length;
  await until("a BundleDeployment for each store and bundle", async () => (await views()) === 4, 10_000);
  await git("clone", "--quiet", url.replace("https://", `https://admin:${password}@`), join(folder, "work"));
});

test("a git push reaches both stores, and one that is broken changes nothing and says where", async () => {
  await push((text) => text.replace("replicas: 1", "replicas: 2"));
  for (const name of names) await until(`2 in ${name}`, async () => (await wanted(name)) === "2", 20_000);
  await push((text) => `${text}\n  this: [is not: yaml\n`);
  const stalled =
    'get gitrepo coffee-shop -n fleet-default -o jsonpath={.status.conditions[?(@.type=="Stalled")]}';
  await until("the problem", async () => /manifests\/order\.yaml/.test(await ask("hub", stalled)), 20_000);
  for (const name of names) assert.equal(await wanted(name), "2");
  await push((text) => text.replace("\n  this: [is not: yaml\n", ""));
});

test("a dark store is Offline, blocks nobody, and is up to date when it is back", async () => {
  await end("store-104", "SIGKILL");
  await until("Offline", async () => (await stateOf("store-104")) === "Offline", 20_000);
  await push((text) => text.replace("replicas: 2", "replicas: 3"));
  await until("3 in store-042", async () => (await wanted("store-042")) === "3", 20_000);
  startStore("store-104");
  await until("3 in store-104", async () => (await wanted("store-104")) === "3", 30_000);
  await until("Ready again", async () => (await stateOf("store-104")) === "Ready", 30_000);
});

test("a killed hub comes back with its stores, and they go on without it meanwhile", async () => {
  await end("hub", "SIGKILL");
  assert.equal(await wanted("store-042"), "3");
  startHub();
  await until("the hub", async () => (await ask("hub", "get --raw /readyz")) === "ok", 30_000);
  for (const name of names)
    await until(`${name} to be Ready`, async () => (await stateOf(name)) === "Ready", 60_000);
  await push((text) => text.replace("replicas: 3", "replicas: 1"));
  for (const name of names) await until(`1 in ${name}`, async () => (await wanted(name)) === "1", 20_000);
});
