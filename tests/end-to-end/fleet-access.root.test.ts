import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { run, stockClient } from "../clients/clients.ts";
import { Running } from "../clients/running.ts";
import { call, DemoWorld, until, whyNoBoxes } from "./demo-world.ts";

// What the hub of a demo hears of its stores and reaches in them: real boxes whose inbound traffic is dropped, real containers.
const missing = await whyNoBoxes();
const skip = missing ?? false;
const world = new DemoWorld();
const local = mkdtempSync(join(tmpdir(), "cortado-access-"));

before(async () => {
  if (missing === undefined) await world.start();
});
after(async () => {
  await world.end();
  rmSync(local, { recursive: true, force: true });
});

const at = (words: readonly string[]): readonly string[] => [
  ...["--kubeconfig", world.hub.kubeconfig, "--context", "store-104", "-n", "coffee-shop"],
  ...words,
];
const inStore = async (words: string): Promise<string> => {
  const { code, out, err } = await run(stockClient("kubectl"), at(words.split(" ")), { timeoutMs: 20_000 });
  assert.equal(code, 0, `kubectl ${words}: ${err}`);
  return out;
};
const atHub = async (words: string): Promise<string> =>
  (await run(stockClient("kubectl"), ["--kubeconfig", world.hub.kubeconfig, ...words.split(" ")])).out;

const statesOf = async (order: string): Promise<readonly unknown[]> =>
  (await world.events("store=store-104&kind=order"))
    .filter((line) => line["order"] === order)
    .map((line) => line["state"]);

test("an order is at the hub a moment after it was placed, without its token", { skip }, async () => {
  const store = world.storeNamed("store-104");
  const id = randomUUID();
  const placed = await world.order(2, id, "latte", store);
  assert.equal(placed.status, 201);
  await until("the order", async () => (await statesOf(id)).length > 0, 10_000);
  const lines = (await world.events("store=store-104&kind=order")).filter((line) => line["order"] === id);
  for (const line of lines) {
    assert.deepEqual(Object.keys(line).toSorted(), [
      "amount",
      "at",
      "id",
      "order",
      "sequence",
      "state",
      "store",
    ]);
    assert.equal(line["amount"], placed.json()["totalCents"]);
  }
  assert.doesNotMatch(JSON.stringify(await world.events("")), /tok_/);
});

test("what a store sold and raised in the dark is at the hub once when it is back", { skip }, async () => {
  const store = world.storeNamed("store-104");
  await world.demo("unplug", "store-104");
  const ids = Array.from({ length: 5 }, () => randomUUID());
  for (const id of ids) assert.equal((await world.order(1, id, "latte", store)).status, 201);
  const raised = await call(`${store.gateway}/function/temperature-check`, 97.4);
  assert.match(raised.text, /^Warning/);
  const said = await world.publishAt(store, "/store104/fridge/temp", "98.6");
  assert.equal(said.code, 0, said.err);
  const alertsAt = (kubeconfig: string): Promise<readonly string[]> =>
    world.alertsOf("store-104", kubeconfig);
  const raisedThere = await until(
    "the alert in the store",
    async () => {
      const alerts = await alertsAt(store.kubeconfig);
      return alerts.length > 0 && alerts;
    },
    20_000,
  );
  await new Promise((resolve) => setTimeout(resolve, 5_000));
  await world.demo("plug", "store-104");
  const plugged = performance.now();
  for (const id of ids) await until(`order ${id}`, async () => (await statesOf(id)).length > 0, 15_000);
  await until(
    "the alerts at the hub",
    async () => String(await alertsAt(world.hub.kubeconfig)) === String(raisedThere),
    15_000,
  );
  const tookMs = performance.now() - plugged;
  assert.ok(tookMs < 10_000, `${Math.round(tookMs)} ms`);
  const lines = await world.events("store=store-104");
  assert.equal(new Set(lines.map((line) => line["id"])).size, lines.length, "each event once");
});

test("logs, exec, cp and port-forward reach containers of a store through the hub", { skip }, async () => {
  assert.deepEqual((await atHub("config get-contexts -o name")).trim().split("\n").toSorted(), [
    "hub",
    "store-042",
    "store-104",
  ]);
  const pod = await until(
    "the pod",
    () =>
      inStore("get pods -l app=order -o name").then(
        (text) => text.trim(),
        () => undefined,
      ),
    10_000,
  );
  assert.match(pod, /^pod\/order-/);
  await inStore(`logs ${pod} --tail=1`);
  await using following = new Running(stockClient("kubectl"), at(["logs", "-f", pod, "--tail=5"]));
  for (const protocol of ["true", "false"]) {
    const env = { KUBECTL_REMOTE_COMMAND_WEBSOCKETS: protocol, KUBECTL_PORT_FORWARD_WEBSOCKETS: protocol };
    await using shell = new Running(stockClient("kubectl"), at(["exec", "-i", pod, "--", "sh"]), env);
    shell.type("echo $((6 * 7)); exit 3\n");
    assert.equal(await shell.code(20_000), 3);
    assert.match(shell.said, /42/);
    const refused = await run(stockClient("kubectl"), at(["exec", pod, "--", "no-such-program"]), { env });
    assert.notEqual(refused.code, 0);
    await using forward = new Running(
      stockClient("kubectl"),
      at(["port-forward", "svc/order", ":8080"]),
      env,
    );
    const door = await until(
      "the forwarding",
      () => /Forwarding from (127\.0\.0\.1:\d+) ->/.exec(forward.said)?.[1],
      20_000,
    );
    assert.equal((await call(`http://${door}/healthz`)).status, 200);
  }
  const big = join(local, "big");
  writeFileSync(big, Buffer.alloc(8 * 1_048_576, 7));
  const name = pod.replace("pod/", "");
  await inStore(`cp ${big} ${name}:/data/big`);
  await inStore(`cp ${name}:/data/big ${big}.back`);
  assert.deepEqual(readFileSync(`${big}.back`), readFileSync(big));
  assert.equal((await world.order(1, undefined, "latte", world.storeNamed("store-104"))).status, 201);
  assert.equal(await following.code(100), null, `the log is still followed: ${following.said}`);
});
