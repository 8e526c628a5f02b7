import assert from "node:assert/strict";
import { test } from "node:test";
import type { Client } from "@cortado/client";
import { applyBundle, ensureNamespace } from "@cortado/fleet/agent/apply";
import { KindFinder } from "@cortado/fleet/agent/apply/kind-finder";
import type { ApplyPorts, BundleToApply } from "@cortado/fleet/agent/apply/ports";
import { removeBundle } from "@cortado/fleet/agent/apply/prune";
import { Records } from "@cortado/fleet/agent/apply/record";
import * as types from "@cortado/kinds/resources";
import type { Tree } from "@cortado/kinds/tree";
import { hasReason, StatusError } from "@cortado/std/status";
import { silentLog } from "@cortado/std/testing/silent-log";
import { LoopWorld } from "./world.ts";

const agentNamespace = "cattle-fleet-system";
const configMap = (name: string, data: Tree = { a: "1" }, metadata: Tree = {}): Tree => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name, ...metadata },
  data,
});
const deployment = (name: string, image: string): Tree => ({
  apiVersion: "apps/v1",
  kind: "Deployment",
  metadata: { name, creationTimestamp: null },
  spec: {
    selector: { matchLabels: { app: name } },
    template: { metadata: { labels: { app: name } }, spec: { containers: [{ name: "c", image }] } },
  },
  status: {},
});
const definition: Tree = {
  apiVersion: "apiextensions.k8s.io/v1",
  kind: "CustomResourceDefinition",
  metadata: { name: "beans.shop.example" },
  spec: {
    group: "shop.example",
    scope: "Namespaced",
    names: { plural: "beans", singular: "bean", kind: "Bean", listKind: "BeanList" },
    versions: [
      {
        name: "v1",
        served: true,
        storage: true,
        schema: {
          openAPIV3Schema: {
            type: "object",
            properties: { spec: { type: "object", "x-kubernetes-preserve-unknown-fields": true } },
          },
        },
      },
    ],
  },
};
const bean: Tree = {
  apiVersion: "shop.example/v1",
  kind: "Bean",
  metadata: { name: "arabica" },
  spec: { roast: "dark" },
};
const beans: types.ResourceType = {
  group: "shop.example",
  version: "v1",
  plural: "beans",
  kind: "Bean",
  namespaced: true,
};

function portsOf(world: LoopWorld, client: Client = world.client): ApplyPorts {
  return {
    client,
    as: client,
    finder: new KindFinder(client),
    records: new Records(client, { namespace: agentNamespace }),
    clock: world.clock,
    log: silentLog,
  };
}

const bundle = (objects: readonly Tree[], more: Partial<BundleToApply> = {}): BundleToApply => ({
  name: "shop",
  deploymentId: "m1:o1",
  forceSyncGeneration: 0,
  options: { defaultNamespace: "coffee-shop" },
  objects,
  ...more,
});

async function start(): Promise<LoopWorld> {
  const world = await LoopWorld.start({ nodes: 0 });
  await ensureNamespace(world.client, agentNamespace, world.signal);
  await ensureNamespace(world.client, agentNamespace, world.signal);
  return world;
}

/** Lets held time pass while the work runs. */
async function run<Done>(world: LoopWorld, work: Promise<Done>): Promise<Done> {
  const ended = work.then(
    () => true,
    () => true,
  );
  let over = false;
  void ended.then(() => (over = true));
  for (let turn = 0; turn < 2_000 && !over; turn += 1) await world.clock.advance(20);
  return work;
}

const apply = (
  world: LoopWorld,
  wanted: BundleToApply,
  ports = portsOf(world),
): ReturnType<typeof applyBundle> => run(world, applyBundle(wanted, ports, { signal: world.signal }));

const names = async (world: LoopWorld, namespace = "coffee-shop"): Promise<readonly string[]> =>
  (await world.client.list(types.configMaps, { namespace, signal: world.signal })).items
    .map((one) => one.metadata.name)
    .filter((name) => name !== "kube-root-ca.crt")
    .toSorted();

test("a bundle comes in its order, and what it no longer has goes, and nothing else", async () => {
  await using world = await start();
  const sent: string[] = [];
  const listening = watched(world.client, (call) => sent.push(call));
  await apply(
    world,
    bundle([deployment("order", "shop:1"), bean, configMap("one"), configMap("two"), definition], {
      options: { defaultNamespace: "coffee-shop", namespaceLabels: { tier: "edge" } },
    }),
    portsOf(world, listening),
  );
  assert.deepEqual(
    sent.filter((call) => call.startsWith("patch")).map((call) => call.split(" ")[1]),
    [
      "secrets",
      "namespaces",
      "customresourcedefinitions",
      "configmaps",
      "configmaps",
      "deployments",
      "beans",
      "secrets",
    ],
  );
  await world.client.create(
    types.configMaps,
    { metadata: { name: "mine", namespace: "coffee-shop" } },
    world,
  );
  const space = await world.client.get(types.namespaces, { name: "coffee-shop", signal: world.signal });
  assert.equal(space.metadata.labels?.["tier"], "edge");
  assert.ok(
    await world.client.get(beans, { name: "arabica", namespace: "coffee-shop", signal: world.signal }),
  );

  const { record } = await apply(world, bundle([configMap("two", { a: "2" })], { deploymentId: "m2:o1" }));
  assert.deepEqual(await names(world), ["mine", "two"]);
  const kept = { name: "beans.shop.example", signal: world.signal };
  assert.ok(await world.client.get(types.customResourceDefinitions, kept), "definitions stay");
  assert.equal(
    (await world.client.get(types.namespaces, { name: "coffee-shop", signal: world.signal })).metadata
      .labels?.["tier"],
    undefined,
    "a label that the bundle no longer gives is taken back",
  );
  assert.deepEqual(
    record.owned.map(({ kind, name }) => `${kind} ${name}`),
    ["ConfigMap two"],
  );

  await removeBundle({ name: "shop", keepResources: false }, portsOf(world), world);
  assert.deepEqual(await names(world), ["mine"]);
  assert.deepEqual((await portsOf(world).records.list(world.signal)).length, 0);
});

test("a namespace that is forced takes every object, and refuses those of the cluster before any is touched", async () => {
  await using world = await start();
  const options = { namespace: "forced" };
  await apply(world, bundle([configMap("one", {}, { namespace: "elsewhere" })], { options }));
  assert.deepEqual(await names(world, "forced"), ["one"]);
  const role = { apiVersion: "rbac.authorization.k8s.io/v1", kind: "ClusterRole", metadata: { name: "r" } };
  await assert.rejects(apply(world, bundle([configMap("two"), role], { options })), {
    message:
      /^ClusterRole r belongs to the whole cluster and cannot go into namespace forced; use defaultNamespace/,
  });
  assert.deepEqual(await names(world, "forced"), ["one"], "nothing came and nothing went");
  for (const [objects, message] of [
    [[configMap("two"), configMap("two")], /ConfigMap forced\/two is in the bundle twice/],
    [[{ ...bean, kind: "Tea" }], /serves no kind Tea of shop.example\/v1; put its CustomResourceDefinition/],
    [[{ apiVersion: "v1", kind: "ConfigMap", metadata: { generateName: "x" } }], /has no metadata.name/],
  ] as const)
    await assert.rejects(apply(world, bundle(objects, { options })), { message });
});

test("what rules say of namespaces is heeded here: one that may not be made, and one whose labels are not those", async () => {
  await using world = await start();
  const options = { namespace: "forced", createNamespace: false as const };
  await assert.rejects(apply(world, bundle([configMap("one")], { options })), {
    message: /namespace forced is not there, and a Policy forbids to create it; create it in this cluster/,
  });
  await ensureNamespace(world.client, "forced", world.signal);
  await apply(world, bundle([configMap("one")], { options }));
  assert.deepEqual(await names(world, "forced"), ["one"]);
  const selecting = {
    namespace: "forced",
    allowedTargetNamespaceSelector: { matchLabels: { team: "coffee" } },
  };
  await assert.rejects(apply(world, bundle([configMap("two")], { options: selecting })), {
    message: /namespace forced does not have the labels that GitRepoRestriction/,
  });
  const body = { metadata: { labels: { team: "coffee" } } };
  await world.client.patch(types.namespaces, { name: "forced", type: "merge", body, signal: world.signal });
  await apply(world, bundle([configMap("two")], { options: selecting }));
  assert.deepEqual(await names(world, "forced"), ["two"]);
});

test("what belongs to another is refused, unless it may be taken; what was there before is never deleted", async () => {
  await using world = await start();
  await apply(world, bundle([configMap("one")]));
  const other = bundle([configMap("one", { b: "2" })], { name: "bar" });
  await assert.rejects(apply(world, other), {
    reason: "Conflict",
    message:
      /ConfigMap coffee-shop\/one is not owned by us: it belongs to bundle shop; set helm.takeOwnership/,
  });
  const taking = { ...other, options: { ...other.options, takeOwnership: true } };
  await apply(world, taking);
  // The former owner forgets it and deletes nothing.
  await apply(world, bundle([configMap("two")]));
  assert.deepEqual(await names(world), ["one", "two"]);

  await world.client.create(
    types.configMaps,
    { metadata: { name: "hand", namespace: "coffee-shop" } },
    world,
  );
  await assert.rejects(apply(world, bundle([configMap("hand")])), { message: /it was there before/ });
  await world.client.create(types.namespaces, { metadata: { name: "old-town" } }, world);
  const space = { apiVersion: "v1", kind: "Namespace", metadata: { name: "old-town", labels: { x: "1" } } };
  const fresh = { apiVersion: "v1", kind: "Namespace", metadata: { name: "new-town" } };
  await apply(world, bundle([space, fresh, configMap("in", {}, { namespace: "new-town" })]));
  await removeBundle({ name: "shop", keepResources: false }, portsOf(world), world);
  const left = await world.client.list(types.namespaces, world);
  const phases = new Map(left.items.map((one) => [one.metadata.name, one.metadata.deletionTimestamp]));
  assert.ok(phases.has("old-town") && phases.get("old-town") === undefined);
  await world.until("the new town is gone", async () =>
    (await world.client.list(types.namespaces, world)).items.every((one) => one.metadata.name !== "new-town"),
  );
});

test("what cannot be patched is refused, and made anew with helm.force or correctDrift.force", async () => {
  await using world = await start();
  const fixed = (data: Tree): Tree => ({ ...configMap("fixed", data), immutable: true });
  for (const [options, first, second] of [
    [{ force: true }, "1", "2"],
    [{ correctDrift: { force: true } }, "3", "4"],
  ] as const) {
    await apply(world, bundle([fixed({ a: first })], { options: { ...bundle([]).options, ...options } }));
    const next = fixed({ a: second });
    await assert.rejects(apply(world, bundle([next])), {
      reason: "Invalid",
      message:
        /ConfigMap coffee-shop\/fixed: .*; set helm\.force, or correctDrift\.force, to have it deleted/,
    });
    await apply(world, bundle([next], { options: { ...bundle([]).options, ...options } }));
    const where = { name: "fixed", namespace: "coffee-shop", signal: world.signal };
    assert.equal((await world.client.get(types.configMaps, where)).data?.["a"], second);
  }
});

test("keepResources leaves everything, and another bundle may have it then; deleteNamespace spares what others use", async () => {
  await using world = await start();
  const options = { namespace: "till", deleteNamespace: true };
  await apply(world, bundle([configMap("one")], { options }));
  await removeBundle({ name: "shop", keepResources: true }, portsOf(world), world);
  assert.deepEqual(await names(world, "till"), ["one"]);
  await apply(world, bundle([configMap("one")], { name: "heir", options }));
  await apply(world, bundle([configMap("guest")], { name: "guest", options }));
  await removeBundle({ name: "heir", keepResources: false }, portsOf(world), world);
  assert.deepEqual(await names(world, "till"), ["guest"]);
  await removeBundle({ name: "guest", keepResources: false }, portsOf(world), world);
  await world.until("the namespace is gone", async () =>
    (await world.client.list(types.namespaces, world)).items.every((one) => one.metadata.name !== "till"),
  );
  const protectedOptions = { namespace: "default", deleteNamespace: true };
  await apply(world, bundle([configMap("one")], { options: protectedOptions }));
  await removeBundle({ name: "shop", keepResources: false }, portsOf(world), world);
  const safe = await world.client.get(types.namespaces, { name: "default", signal: world.signal });
  assert.equal(safe.metadata.deletionTimestamp, undefined);
  assert.deepEqual(await names(world, "default"), []);
});

test("a definition goes with its bundle only when asked", async () => {
  await using world = await start();
  const options = { defaultNamespace: "coffee-shop", deleteCRDResources: true };
  await apply(world, bundle([bean, definition], { options }));
  await removeBundle({ name: "shop", keepResources: false }, portsOf(world), world);
  await world.until("the definition is gone", async () =>
    world.client
      .get(types.customResourceDefinitions, { name: "beans.shop.example", signal: world.signal })
      .then(() => false)
      .catch((error: unknown) => hasReason(error, "NotFound")),
  );
  // A record that names objects of a kind that is gone does no harm.
  await removeBundle({ name: "shop", keepResources: false }, portsOf(world), world);
});

const steps = [
  (): BundleToApply =>
    bundle([configMap("one"), configMap("two"), deployment("order", "shop:1"), definition, bean]),
  (): BundleToApply =>
    bundle([configMap("two", { a: "2" }), configMap("three"), deployment("order", "shop:2")], {
      deploymentId: "m2:o1",
    }),
] as const;

test("an agent that is killed at any call is finished by its next start", { timeout: 120_000 }, async () => {
  let deaths = 0;
  for (const when of ["before", "after"] as const)
    for (let at = 1, reached = true; reached; at += 1) {
      await using world = await start();
      const dying = { left: at, when };
      const killed = portsOf(world, mortal(world.client, dying));
      const life = async (): Promise<void> => {
        for (const step of steps) await applyBundle(step(), killed, world);
        await removeBundle({ name: "shop", keepResources: false }, killed, world);
      };
      await run(world, life()).catch((error: unknown) => {
        if (dying.left > 0) throw error;
      });
      reached = dying.left <= 0;
      if (reached) deaths += 1;
      // The next process knows nothing but what is in the cluster.
      await apply(world, steps[1]());
      assert.deepEqual(await names(world), ["three", "two"], `killed ${when} call ${at}`);
      const order = { name: "order", namespace: "coffee-shop", signal: world.signal };
      const live = await world.client.get(types.deployments, order);
      assert.equal(live.spec?.template.spec?.containers[0]?.image, "shop:2");
      const where = { name: "arabica", namespace: "coffee-shop", signal: world.signal };
      const gone = await world.client
        .get(beans, where)
        .catch((error: unknown) => hasReason(error, "NotFound"));
      assert.equal(gone, true, `killed ${when} call ${at}: the bean is pruned`);
      await removeBundle({ name: "shop", keepResources: false }, portsOf(world), world);
      assert.deepEqual(await names(world), [], `killed ${when} call ${at}`);
      assert.deepEqual((await portsOf(world).records.list(world.signal)).length, 0);
    }
  assert.ok(deaths > 60, `only ${deaths} places to die`);
});

/** A client whose process ends at its n-th call: before the server sees it, or after it did and before the answer. */
function mortal(client: Client, dying: { left: number; readonly when: "before" | "after" }): Client {
  const guard = async (call: () => Promise<unknown>): Promise<unknown> => {
    dying.left -= 1;
    if (dying.left < 0 || (dying.left === 0 && dying.when === "before")) throw new Error("killed");
    const answer = await call().catch((error: unknown) => error);
    if (dying.left <= 0) throw new Error("killed");
    if (answer instanceof StatusError) throw answer;
    return answer;
  };
  return wrapped(client, (_name, call) => guard(call));
}

function watched(client: Client, told: (call: string) => void): Client {
  return wrapped(client, (name, call) => {
    told(name);
    return call();
  });
}

function wrapped(
  client: Client,
  around: (name: string, call: () => Promise<unknown>) => Promise<unknown>,
): Client {
  return new Proxy(client, {
    get(target, property: keyof Client) {
      if (property === "watch") return target.watch;
      return (...words: readonly [{ plural?: string }, ...unknown[]]) => {
        const call = target[property] as (...words: readonly unknown[]) => Promise<unknown>;
        return around(`${property} ${words[0].plural ?? ""}`, () => call(...words));
      };
    },
  });
}
