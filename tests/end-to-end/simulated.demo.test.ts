import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { get } from "node:https";
import { text } from "node:stream/consumers";
import { after, before, test } from "node:test";
import { call, DemoWorld, until } from "./demo-world.ts";

const skip = existsSync(new URL("../../dist/cortado.cjs", import.meta.url))
  ? false
  : "needs the bundle: npm run bundle";
const world = new DemoWorld();

before(async () => {
  if (skip === false) await world.start("--simulated");
});
after(() => world.end());

test(
  "the simulated runtime says so in the first line, in demo.json and in the node's status",
  { skip },
  async () => {
    assert.match(world.said.split("\n")[0] ?? "", /simulated/);
    const { ready, runtime, stores } = world.file;
    assert.deepEqual(
      { ready, runtime, names: stores.map(({ name }) => name) },
      { ready: true, runtime: "simulated", names: ["store-042", "store-104"] },
    );
    assert.equal(world.store.shop, null, "what does not serve has no URL");
    assert.match(
      await world.mustKubectl(
        "get",
        "node",
        "store-042",
        "-o",
        "jsonpath={.status.nodeInfo.containerRuntimeVersion}",
      ),
      /^simulated:/,
    );
  },
);

test("the API, the broker and functions are the real ones", { skip }, async () => {
  assert.match(
    await world.mustKubectl("get", "pods", "-n", "coffee-shop", "--no-headers"),
    /^order-\S+\s+1\/1\s+Running/m,
  );
  await world.mustKubectl("create", "deployment", "web", "--image=example.test/web:1", "--replicas=2");
  await world.mustKubectl("rollout", "status", "deployment/web", "--timeout=30s");
  assert.match((await call(`${world.store.gateway}/function/temperature-check`, 97.4)).text, /^Warning/);
  assert.equal((await world.publish("/store104/fridge/temp", "99")).code, 0);
  await until(
    "the alert",
    async () => (await world.mustKubectl("get", "alerts", "-A", "--no-headers")).trim() !== "",
    10_000,
  );
});

test("a killed store comes back with what it acknowledged", { skip }, async () => {
  await world.mustKubectl("create", "configmap", "kept", "--from-literal=a=b");
  await world.demo("kill");
  assert.equal(world.store.pid, null);
  const firstReady = untilReady(world);
  await world.demo("boot");
  assert.match(await firstReady, /\[\+\]store-parts ok/, "not ready while parts are still starting");
  assert.equal(await world.mustKubectl("get", "configmap", "kept", "-o", "jsonpath={.data.a}"), "b");
});

/** The first `/readyz` of a store that boots which is 200. */
async function untilReady({ store }: DemoWorld): Promise<string> {
  const { clusters } = JSON.parse(readFileSync(store.kubeconfig, "utf8")) as {
    readonly clusters: readonly { readonly cluster: { readonly server: string } }[];
  };
  const url = `${clusters[0]?.cluster.server}/readyz?verbose`;
  return until(
    "/readyz",
    () =>
      new Promise<string | undefined>((resolve) => {
        get(url, { rejectUnauthorized: false, agent: false }, async (response) => {
          const body = await text(response);
          resolve(response.statusCode === 200 ? body : undefined);
        }).on("error", () => resolve(undefined));
      }),
    60_000,
    1,
  );
}
