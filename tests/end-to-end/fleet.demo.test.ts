import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { run, stockClient, type Ran } from "../clients/clients.ts";
import { DemoWorld, until, whyNoBoxes } from "./demo-world.ts";

// A hub and two stores as `npm start` runs them: real boxes, real containers, stock git and kubectl.
const missing = await whyNoBoxes();
const skip = missing ?? false;
const world = new DemoWorld();
const work = mkdtempSync(join(tmpdir(), "cortado-push-"));
const names = ["store-042", "store-104"] as const;

before(async () => {
  if (missing !== undefined) return;
  await world.start();
  await git("clone", "--quiet", world.hub.git, join(work, "shop"));
});
after(async () => {
  await world.end();
  rmSync(work, { recursive: true, force: true });
});

async function git(...words: readonly string[]): Promise<void> {
  const who = ["-c", "user.name=Someone", "-c", "user.email=someone@example.test"];
  const { code, err } = await run("git", [...who, ...words], { timeoutMs: 30_000 });
  assert.equal(code, 0, `git ${words[0]}: ${err}`);
}

async function push(change: (text: string) => string): Promise<void> {
  const path = join(work, "shop", "manifests", "inventory.yaml");
  writeFileSync(path, change(readFileSync(path, "utf8")));
  await git("-C", join(work, "shop"), "commit", "--quiet", "-am", "A change");
  await git("-C", join(work, "shop"), "push", "--quiet");
}

const kubectl = (kubeconfig: string, words: string): Promise<Ran> =>
  run(stockClient("kubectl"), ["--kubeconfig", kubeconfig, ...words.split(" ")], { timeoutMs: 15_000 });
const atHub = async (words: string): Promise<string> => (await kubectl(world.hub.kubeconfig, words)).out;
const inStore = async (name: string, words: string): Promise<string> =>
  (await kubectl(world.storeNamed(name).kubeconfig, `-n coffee-shop ${words}`)).out;
const stateOf = (name: string): Promise<string> =>
  atHub(`get clusters.fleet.cattle.io ${name} -n fleet-default -o jsonpath={.status.display.state}`);
const note = (value: string) => (text: string) =>
  text.includes("\n  name: note\n")
    ? text.replace(/said: .*/, `said: "${value}"`)
    : `${text}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: note\n  namespace: coffee-shop\ndata:\n  said: "${value}"\n`;
const orderOf = (line: string): string | undefined => line.split(" ")[0];
const noteIn = (name: string): Promise<string> =>
  inStore(name, "get configmap note -o jsonpath={.data.said}");

test("both stores joined, got the shop from Git and are Ready at the hub", { skip }, async () => {
  for (const name of names) {
    await until(`${name} to be Ready`, async () => (await stateOf(name)) === "Ready", 60_000, 500);
    const labels = await atHub(`get clusters.fleet.cattle.io ${name} -n fleet-default --show-labels`);
    assert.match(labels, /location=edge/);
    assert.equal((await world.order(1, undefined, "latte", world.storeNamed(name))).status, 201);
  }
  const repo = await atHub("get gitrepo coffee-shop -n fleet-default -o jsonpath={.spec.branch}");
  assert.equal(repo, "main");
});

test("nothing comes into a store by its uplink", { skip }, async () => {
  const wan = `--net=/run/netns/cortado-${world.id}-wan`;
  const ask = (url: string): Promise<Ran> =>
    run("nsenter", [wan, "curl", "--silent", "--insecure", "--max-time", "2", url]);
  assert.equal((await ask("https://100.64.0.1:6443/readyz")).out, "ok", "the hub is there");
  for (const port of ["https://100.64.0.2:6443/readyz", "http://100.64.0.2:80/", "http://100.64.0.3:8080/"])
    assert.equal((await ask(port)).code, 28, `${port} does not answer at all`);
});

test("a push runs in both stores, one that restarts pods too", { skip }, async () => {
  await push(note("one"));
  for (const name of names) await until(name, async () => (await noteIn(name)) === "one", 15_000);
  const grace = "get pods -l app=inventory -o jsonpath={.items[*].spec.terminationGracePeriodSeconds}";
  await push((text) => text.replace("terminationGracePeriodSeconds: 5", "terminationGracePeriodSeconds: 4"));
  for (const name of names)
    await until(name, async () => (await inStore(name, grace)).trim() === "4", 30_000, 200);
});

test(
  "a store without its line sells, is Offline at the hub, and is up to date when it is back",
  { skip },
  async () => {
    const dark = world.storeNamed("store-104");
    const raisedBefore = (await world.alertsOf("store-104", world.hub.kubeconfig)).length;
    await world.demo("unplug", "store-104");
    await push(note("two"));
    const orders: readonly string[] = Array.from({ length: 5 }, () => randomUUID());
    for (const id of orders) assert.equal((await world.order(1, id, "latte", dark)).status, 201);
    assert.equal((await world.publishAt(dark, "/store104/fridge/temp", "97.4")).code, 0);
    const raised = (): Promise<readonly string[]> => world.alertsOf("store-104", dark.kubeconfig);
    await until("the alarm in the store", async () => (await raised()).length === raisedBefore + 1, 20_000);
    await until("store-042", async () => (await noteIn("store-042")) === "two", 15_000);
    await until("Offline", async () => (await stateOf("store-104")) === "Offline", 60_000, 500);
    const since = await atHub(
      'get clusters.fleet.cattle.io store-104 -n fleet-default -o jsonpath={.status.conditions[?(@.type=="Offline")]}',
    );
    assert.match(since, /"status":"True"/);
    assert.match(since, /\d{4}-\d\d-\d\dT/);
    const phase =
      "get bundles.fleet.cattle.io coffee-shop -n fleet-default -o jsonpath={.status.rollout.phase}";
    // Its rollout is looked at a moment after it is found dark; that holds nothing up.
    await until("the rollout without it", async () => (await atHub(phase)) === "Complete", 15_000);
    const linesOf = async (): Promise<readonly string[]> =>
      (await world.events("store=store-104&kind=order"))
        .filter((line) => orders.includes(String(line["order"])))
        .map((line) => `${String(line["order"])} ${String(line["state"])}`);
    assert.deepEqual(await linesOf(), [], "nothing gets out");
    await world.demo("plug", "store-104");
    const pluggedMs = performance.now();
    await until("store-104", async () => (await noteIn("store-104")) === "two", 15_000);
    const all = async (): Promise<boolean> => new Set((await linesOf()).map(orderOf)).size === orders.length;
    await until("its orders", all, 15_000);
    const alertsAtHub = (): Promise<readonly string[]> => world.alertsOf("store-104", world.hub.kubeconfig);
    await until("its alarm", async () => (await alertsAtHub()).length === raisedBefore + 1, 15_000);
    const tookMs = performance.now() - pluggedMs;
    console.log(`# up to date, orders and alarm at the hub ${Math.round(tookMs)} ms after the line was back`);
    assert.ok(tookMs < 10_000, `${Math.round(tookMs)} ms`);
    await until("Ready", async () => (await stateOf("store-104")) === "Ready", 30_000, 200);
    // Whatever would come twice has come by now.
    const lines = await linesOf();
    assert.deepEqual(lines.toSorted(), [...new Set(lines)].toSorted(), "each change of an order once");
    assert.deepEqual(await alertsAtHub(), await raised(), "each alarm once");
  },
);

test("the hub dies and is booted again; stores sell without it and follow it after", { skip }, async () => {
  await world.demo("kill", "hub");
  assert.equal(world.hub.pid, null);
  assert.equal(world.file.ready, true, "the shop sells without a hub");
  for (const name of names)
    assert.equal((await world.order(1, undefined, "latte", world.storeNamed(name))).status, 201);
  await world.demo("boot", "hub");
  assert.notEqual(world.hub.pid, null);
  await push(note("three"));
  for (const name of names) await until(name, async () => (await noteIn(name)) === "three", 60_000);
  const refused = await world.askDemo("unplug", "hub");
  assert.equal(refused.code, 1);
  assert.match(refused.err, /the hub has no uplink/);
});
