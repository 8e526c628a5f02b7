import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { run } from "../clients/clients.ts";
import { call, DemoWorld, until, whyNoBoxes } from "./demo-world.ts";

const missing = await whyNoBoxes();
const skip = missing ?? false;
const world = new DemoWorld();

type Stock = { readonly items: readonly { readonly sku: string; readonly quantity: number }[] };
const milk = async (): Promise<number> => {
  const { items } = (await call(`${world.store.shop}/api/stock`)).json() as unknown as Stock;
  return items.find(({ sku }) => sku === "milk")?.quantity ?? Number.NaN;
};
const alerts = async (): Promise<readonly { readonly spec: Record<string, string> }[]> =>
  (
    JSON.parse(await world.mustKubectl("get", "alerts", "-A", "-o", "json")) as {
      items: { spec: Record<string, string> }[];
    }
  ).items;

before(async () => {
  if (missing === undefined) await world.start();
});
after(() => world.end());

test("demo.json says what is where, and only its owner may read it", { skip }, () => {
  const { ready, runtime, hub, stores } = world.file;
  assert.deepEqual(
    { ready, runtime, names: stores.map(({ name }) => name) },
    { ready: true, runtime: "containerd", names: ["store-042", "store-104"] },
  );
  assert.ok(hub.kubeconfig.startsWith("/") && existsSync(hub.kubeconfig));
  assert.match(hub.url, /^https:\/\/admin:[\w-]+@127\.0\.0\.1:\d+$/);
  assert.match(hub.git, /^http:\/\/admin:[\w-]+@127\.0\.0\.1:\d+\/.*[^/]$/);
  assert.match(readFileSync(`/proc/${hub.pid}/cmdline`, "utf8"), /cortado\.cjs\0hub/);
  const { kubeconfig, mqtt, gateway, shop, pid, uplink } = world.store;
  assert.ok(kubeconfig.startsWith("/") && existsSync(kubeconfig));
  assert.match(mqtt, /^mqtt:\/\/127\.0\.0\.1:\d+$/);
  for (const url of [gateway, shop]) assert.match(url, /^http:\/\/127\.0\.0\.1:\d+$/);
  assert.match(readFileSync(`/proc/${pid}/cmdline`, "utf8"), /cortado\.cjs\0server/);
  assert.equal(uplink, "up");
  assert.equal(statSync(join(world.folder, "demo.json")).mode & 0o777, 0o600);
});

test("the node is Ready at v1.36 and the shop's pods run in containerd", { skip }, async () => {
  const nodes = await world.mustKubectl("get", "nodes", "-o", "wide", "--no-headers");
  assert.match(nodes, /^store-042\s+Ready\s.*v1\.36\.\d+\S*\s.*containerd:\/\//);
  const pods = await world.mustKubectl("get", "pods", "-n", "coffee-shop", "--no-headers");
  for (const name of ["order", "payment", "inventory"])
    assert.match(pods, new RegExp(`^${name}-\\S+\\s+1/1\\s+Running`, "m"));
  const { out } = await run("ip", ["netns", "pids", `cortado-${world.id}-store-042`]);
  assert.ok(out.trim().split("\n").length >= 2, "our process and containerd live in the store's network");
});

test(
  "an order is taken once: 201, then 200 with the same order, 409 with another body; stock falls",
  { skip },
  async () => {
    const before = await milk();
    const id = randomUUID();
    const first = await world.order(1, id);
    assert.equal(first.status, 201, first.text);
    const again = await world.order(1, id);
    assert.equal(again.status, 200);
    assert.deepEqual(again.json(), first.json());
    assert.equal((await world.order(2, id)).status, 409);
    await until("stock to fall once", async () => (await milk()) === before - 200, 5_000);
    assert.equal((await call(`${world.store.shop}/api/orders/${id}`)).json()["id"], id);
    assert.equal((await call(`${world.store.shop}/api/orders/${randomUUID()}`)).status, 404);
  },
);

for (const { name, body, says } of [
  { name: "without an id", body: { items: [], payment: {} }, says: /UUID/ },
  {
    name: "of something unknown",
    body: { id: randomUUID(), items: [{ sku: "beer", quantity: 1 }], payment: { method: "cash" } },
    says: /beer.*menu/,
  },
  {
    name: "of nothing",
    body: { id: randomUUID(), items: [{ sku: "tea", quantity: 0 }], payment: { method: "cash" } },
    says: /quantity/,
  },
  {
    name: "with a card number",
    body: {
      id: randomUUID(),
      items: [{ sku: "tea", quantity: 1 }],
      payment: { method: "card", token: "4242 4242 4242 4242" },
    },
    says: /card number/,
  },
])
  test(`an order ${name} is refused by name`, { skip }, async () => {
    const reply = await call(`${world.store.shop}/api/orders`, body);
    assert.equal(reply.status, 422);
    assert.match(String(reply.json()["error"]), says);
  });

test("a declined card is a 402, and the same order paid anew is taken", { skip }, async () => {
  const body = (id: string, token: string) => ({
    id,
    items: [{ sku: "tea", quantity: 1 }],
    payment: { method: "card", token },
  });
  const declined = await call(`${world.store.shop}/api/orders`, body(randomUUID(), "tok_declined"));
  assert.equal(declined.status, 402);
  assert.equal((await call(`${world.store.shop}/api/orders`, body(randomUUID(), "tok_visa"))).status, 201);
});

test("a warm fridge raises one alert; normal readings raise none", { skip }, async () => {
  const before = (await alerts()).length;
  assert.equal((await world.publish("/store104/fridge/temp", '{"temp": 38.1, "unit": "F"}')).code, 0);
  assert.equal((await world.publish("/store104/fridge/temp", '{"temp": 97.4, "unit": "F"}')).code, 0);
  const found = await until(
    "the alert",
    async () => ((await alerts()).length > before ? alerts() : undefined),
    10_000,
  );
  assert.equal(found.length, before + 1);
  const alert = found.find(({ spec }) => spec["payload"] === '{"temp": 97.4, "unit": "F"}');
  assert.equal(alert?.spec["topic"], "/store104/fridge/temp");
  assert.equal(alert?.spec["store"], "store-042");
  assert.match(alert?.spec["text"] ?? "", /^Warning/);
});

test("functions answer, by the gateway's names", { skip }, async () => {
  const { gateway } = world.store;
  assert.equal((await call(`${gateway}/healthz`)).status, 200);
  const list = (await call(`${gateway}/system/functions`)).json() as unknown as { name: string }[];
  assert.ok(list.some(({ name }) => name === "temperature-check"));
  assert.match((await call(`${gateway}/function/temperature-check`, 97.4)).text, /^Warning: Too hot/);
  assert.match((await call(`${gateway}/function/temperature-check.openfaas-fn`, 38)).text, /^Temperature OK/);
  assert.equal((await call(`${gateway}/function/nobody`, {})).status, 404);
  assert.equal((await call(`${gateway}/async-function/temperature-check`, 38)).status, 202);
  assert.ok("provider" in (await call(`${gateway}/system/info`)).json());
});

test("deleting all shop pods loses nothing", { skip }, async () => {
  const id = randomUUID();
  assert.equal((await world.order(1, id)).status, 201);
  await world.mustKubectl("delete", "pods", "-n", "coffee-shop", "--all", "--wait=false");
  await until("the shop to sell again", async () => (await world.order()).status === 201, 60_000);
  assert.equal((await world.order(1, id)).status, 200);
});

test("with the uplink cut the store sells, stores payments up to its cap, and alarms", { skip }, async () => {
  await world.demo("unplug");
  assert.equal(world.store.uplink, "down");
  const paid = (await world.order()).json()["payment"] as { state: string };
  assert.equal(paid.state, "stored");
  assert.equal((await world.order(50)).status, 402, "over the limit of one payment");
  const before = (await alerts()).length;
  assert.equal((await world.publish("/store104/fridge/temp", "99")).code, 0);
  await until("an alert", async () => (await alerts()).length === before + 1, 10_000);
  const taken = await until(
    "the cap",
    async () => ((await world.order(20)).status === 402 ? true : undefined),
    60_000,
  );
  assert.ok(taken);
  await world.demo("plug");
  assert.equal(world.store.uplink, "up");
  await until(
    "the line to be found again",
    async () => ((await world.order()).json()["payment"] as { state: string } | undefined)?.state === "paid",
    15_000,
  );
});

test("a killed process leaves its containers running, and boot adopts them", { skip }, async () => {
  const pods = async (): Promise<string> =>
    world.mustKubectl(
      "get",
      "pods",
      "-n",
      "coffee-shop",
      "-o",
      'jsonpath={range .items[*]}{.metadata.uid} {.status.containerStatuses[*].containerID}{"\\n"}{end}',
    );
  const before = await pods();
  const id = randomUUID();
  assert.equal((await world.order(1, id)).status, 201);
  const { pid } = world.store;
  await world.demo("kill");
  assert.equal(world.store.pid, null);
  assert.ok(!existsSync(`/proc/${pid}`));
  await new Promise((resolve) => setTimeout(resolve, 2_000));
  assert.equal(world.store.pid, null, "nothing restarts what was killed");
  await world.demo("boot");
  assert.equal(await pods(), before);
  assert.equal((await world.order(1, id)).status, 200);
});

test("after a power cut with the uplink cut the first order is taken within 30 s", { skip }, async () => {
  const id = randomUUID();
  assert.equal((await world.order(1, id)).status, 201);
  await world.demo("unplug");
  await world.demo("cut-power");
  assert.equal((await world.order()).status, 0);
  const startMs = performance.now();
  await world.demo("boot");
  await until("the first order", async () => (await world.order()).status === 201, 30_000);
  assert.ok(performance.now() - startMs < 30_000);
  assert.equal((await world.order(1, id)).status, 200, "the order of before is known");
  assert.equal(world.store.uplink, "down", "cut stays cut");
  await world.demo("plug");
});

test("Ctrl-C leaves nothing behind, and a second start finds the data", { skip }, async () => {
  const id = randomUUID();
  await until("an order", async () => (await world.order(1, id)).status === 201, 15_000);
  const { shop } = world.store;
  const demoId = world.id;
  await world.stop();
  assert.ok(!existsSync(join(world.folder, "demo.json")));
  await nothingIsLeft(demoId);
  const tookMs = await world.start();
  assert.equal(world.store.shop, shop, "ports are kept");
  assert.equal((await world.order(1, id)).status, 200);
  assert.ok(tookMs < 30_000, `the second start took ${Math.round(tookMs)} ms`);
});

test("a start removes what a killed one left", { skip }, async () => {
  const demoId = world.id;
  await world.stop("SIGKILL");
  assert.match((await run("ip", ["netns", "list"])).out, new RegExp(`cortado-${demoId}-store-042`));
  await world.start();
  assert.equal(world.id, demoId);
  assert.equal((await world.order()).status, 201);
  await world.stop();
  await nothingIsLeft(demoId);
});

async function nothingIsLeft(demoId: string): Promise<void> {
  assert.doesNotMatch((await run("ip", ["netns", "list"])).out, new RegExp(demoId));
  assert.equal((await run("pgrep", ["-f", `cortado-${demoId}`])).out, "");
  assert.doesNotMatch(readFileSync("/proc/mounts", "utf8"), new RegExp(`${demoId}|${world.folder}`));
  const { out } = await run("find", ["/sys/fs/cgroup", "-maxdepth", "2", "-name", `cortado-${demoId}*`]);
  assert.equal(out, "");
  assert.ok(!existsSync(join("/tmp", `cortado-${demoId}`)));
}
