import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { toBundleRow } from "@cortado/dashboard/rows";
import { run, stockClient } from "../clients/clients.ts";
import { DemoWorld, until, whyNoBoxes } from "./demo-world.ts";

// A release that never becomes ready, in a demo as `npm start` runs it: real boxes, real containers, stock git and kubectl.
const missing = await whyNoBoxes();
const skip = missing ?? false;
const world = new DemoWorld();
const work = mkdtempSync(join(tmpdir(), "cortado-release-"));

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
  const path = join(work, "shop", "manifests", "order.yaml");
  writeFileSync(path, change(readFileSync(path, "utf8")));
  await git("-C", join(work, "shop"), "commit", "--quiet", "-am", "A release");
  await git("-C", join(work, "shop"), "push", "--quiet");
}

async function kubectl(kubeconfig: string, words: string): Promise<string> {
  const { code, out, err } = await run(
    stockClient("kubectl"),
    ["--kubeconfig", kubeconfig, ...words.split(" ")],
    { timeoutMs: 20_000 },
  );
  assert.equal(code, 0, `kubectl ${words}: ${err}`);
  return out;
}
const atHub = (words: string): Promise<string> => kubectl(world.hub.kubeconfig, words);
type Rollout = {
  readonly generation: number;
  readonly base: number;
  readonly phase: string;
  readonly waves: readonly { readonly name: string; readonly ready: number; readonly waiting: number }[];
};
type BundleNow = Parameters<typeof toBundleRow>[0] & { readonly status: { readonly rollout: Rollout } };
const bundleNow = async (): Promise<BundleNow> =>
  JSON.parse(await atHub("get bundles.fleet.cattle.io coffee-shop -n fleet-default -o json")) as BundleNow;
const rolloutNow = async (): Promise<Rollout> => (await bundleNow()).status.rollout;
const imageIn = (name: string): Promise<string> =>
  kubectl(
    world.storeNamed(name).kubeconfig,
    "get deployment order -n coffee-shop -o jsonpath={.spec.template.spec.containers[0].image}",
  );
const sellsIn = async (name: string): Promise<boolean> =>
  (await world.order(1, undefined, "latte", world.storeNamed(name))).status === 201;

const good = "cortado.local/order:1";
const bad = "cortado.local/order:never-built";
let halted: Rollout;

test("a release that never becomes ready stays with the canary and halts", { skip }, async () => {
  const { generation } = await rolloutNow();
  await push((text) => text.replace(`image: ${good}`, `image: ${bad}`));
  await until("the canary to have it", async () => (await imageIn("store-042")) === bad, 15_000);
  await until("the halt", async () => (await rolloutNow()).phase === "Halted", 100_000, 500);
  halted = await rolloutNow();
  assert.deepEqual([halted.generation, halted.base], [generation + 1, generation]);
  assert.deepEqual(
    halted.waves.map(({ name, ready, waiting }) => [name, ready, waiting]),
    [
      ["canary", 0, 1],
      ["rest", 0, 1],
    ],
  );
  assert.equal(await imageIn("store-104"), good, "the other store has the old release");
  assert.equal(await sellsIn("store-104"), true, "and sells");
});

test("what happened is told by kubectl describe and by the dashboard's row", { skip }, async () => {
  const described = await atHub("describe bundles.fleet.cattle.io coffee-shop -n fleet-default");
  for (const told of [
    /Phase:\s+Halted/,
    /not ready in time: store-042/,
    /mend it with a new commit, abort, or promote/,
    /never-built/,
    /Warning\s+RolloutHalted/,
    /To abort \(it goes back to generation \d+\): kubectl annotate bundles/,
  ])
    assert.match(described, told);
  const row = toBundleRow(await bundleNow());
  assert.equal(row.phase, "Halted");
  assert.match(row.message, /not ready in time: store-042/);
  assert.match(row.message, /never-built/);
});

test("abort brings the canary back, and a mended push goes to both", { skip }, async () => {
  const { generation, base } = halted;
  await atHub(
    `annotate bundles.fleet.cattle.io coffee-shop -n fleet-default --overwrite fleet.cortado.dev/rollout=abort=${generation}`,
  );
  await until("the old release", async () => (await imageIn("store-042")) === good, 10_000);
  await until("the canary to sell", () => sellsIn("store-042"), 30_000, 500);
  const aborted = await rolloutNow();
  assert.deepEqual([aborted.phase, aborted.base], ["Aborted", base]);
  await push((text) =>
    text
      .replace(`image: ${bad}`, `image: ${good}`)
      .replace(/(template:\n\s+metadata: \{ labels: \{ app: order)/, "$1, release: mended"),
  );
  const release = (name: string): Promise<string> =>
    kubectl(
      world.storeNamed(name).kubeconfig,
      "get pods -n coffee-shop -l release=mended -o jsonpath={.items[*].status.phase}",
    );
  for (const name of ["store-042", "store-104"])
    await until(
      `the mended release in ${name}`,
      async () => (await release(name)) === "Running",
      40_000,
      200,
    );
  await until("the end of the rollout", async () => (await rolloutNow()).phase === "Complete", 20_000, 200);
  for (const name of ["store-042", "store-104"])
    await until(`${name} to sell`, () => sellsIn(name), 20_000, 500);
});
