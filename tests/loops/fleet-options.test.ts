import assert from "node:assert/strict";
import { test } from "node:test";
import type { BundleSpec, Compiled } from "@cortado/fleet/compile/bundle";
import { bundles } from "@cortado/kinds/fleet";
import { agentOf, begun, coffeeIn, compiledOf, namespace, repo, type HubWorld } from "./hub-and-stores.ts";
import { LoopWorld } from "./world.ts";

const [menu] = compiledOf("arabica").bundles;
assert.ok(menu !== undefined);

function compiledWith(
  spec: Partial<BundleSpec>,
  more: { warnings?: string[]; yaml?: string } = {},
): Compiled {
  const { warnings = [], yaml } = more;
  const files =
    yaml === undefined ? menu!.files : [{ name: "menu.yaml", content: new TextEncoder().encode(yaml) }];
  return { bundles: [{ ...menu!, spec: { ...menu!.spec, ...spec }, warnings, files }], problems: [] };
}

async function conditionOf(world: HubWorld, name: string, type: string) {
  const { status } = await world.client.get(bundles, { namespace, name, signal: world.signal });
  return status?.conditions?.find((one) => one.type === type);
}

test("what changes nothing is told in the Bundle's status, and makes it no less Ready", async () => {
  await using store = await LoopWorld.start();
  await using world = await begun(store);
  const warning = "fleet.yaml:2:3: helm.atomic changes nothing here: why";
  await world.hub.applyCompiled(repo, compiledWith({}, { warnings: [warning] }), "c1");
  await using _agent = agentOf(store, world, { name: "store-1", token: await world.token() });
  await store.until("it is there", async () => (await coffeeIn(store)) === "arabica");
  const ready = await store.until("it is Ready", async () => {
    const found = await conditionOf(world, "menu", "Ready");
    return found?.status === "True" && found;
  });
  assert.equal(ready.message, "");
  const warned = await conditionOf(world, "menu", "Warned");
  assert.deepEqual([warned?.status, warned?.message], ["True", warning]);
  const generation = async (): Promise<number | undefined> => {
    const { status } = await world.client.get(bundles, { namespace, name: "menu", signal: world.signal });
    return status?.rollout?.generation;
  };
  const before = await generation();
  await world.hub.applyCompiled(repo, compiledWith({}), "c2");
  await store.until("it is no longer told", async () => !(await conditionOf(world, "menu", "Warned")));
  assert.equal(await generation(), before, "a warning is no other wish");
});

test("a Bundle that was written by hand is looked at itself", async () => {
  await using store = await LoopWorld.start();
  await using world = await begun(store);
  const spec = { helm: { atomic: true }, correctDrift: { enabled: true, keepFailHistory: true } };
  await world.client.create(bundles, { metadata: { namespace, name: "hand" }, spec }, world);
  const found = await store.until("it is told", () => conditionOf(world, "hand", "Warned"));
  assert.match(found.message ?? "", /^helm\.atomic changes nothing here: .*; correctDrift\.keepFailHistory /);
});

const job = `apiVersion: batch/v1
kind: Job
metadata: {name: roast}
spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: roaster}]}}}
`;

test("with waitForJobs a Job that runs holds the rollout, which halts at the bundle's own deadline", async () => {
  await using store = await LoopWorld.start();
  await using world = await begun(store);
  const helm = { waitForJobs: true, timeoutSeconds: 20 };
  await world.hub.applyCompiled(repo, compiledWith({ helm }, { yaml: job }), "c1");
  await using _agent = agentOf(store, world, { name: "store-1", token: await world.token() });
  const startMs = store.clock.nowMs();
  const told = await store.until("the rollout halted", async () => {
    const found = await conditionOf(world, "menu", "RolledOut");
    return found?.reason === "Halted" && found;
  });
  assert.match(told.message ?? "", /store-1.*Job menu\/roast the Job is not complete yet/);
  const tookMs = store.clock.nowMs() - startMs;
  assert.ok(tookMs >= 20_000 && tookMs < 30_000, `${tookMs} ms`);
});
