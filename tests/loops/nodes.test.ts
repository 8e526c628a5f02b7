import assert from "node:assert/strict";
import { test } from "node:test";
import type { Node, Pod } from "@cortado/kinds";
import * as types from "@cortado/kinds/resources";
import { hasReason } from "@cortado/std/status";
import { LoopWorld } from "./world.ts";

const namespace = "default";

async function podOn(world: LoopWorld, name: string, tolerations: readonly object[]): Promise<void> {
  const spec = { nodeName: "node-0", containers: [{ name: "c", image: "i" }], tolerations };
  await world.client.create<Pod>(types.pods, { metadata: { name, namespace }, spec } as never, {
    signal: world.signal,
  });
}

/** undefined: gone or ending. */
async function livingPod(world: LoopWorld, name: string): Promise<Pod | undefined> {
  const pod = await world.client
    .get(types.pods, { name, namespace, signal: world.signal })
    .catch(() => undefined);
  return pod?.metadata.deletionTimestamp === undefined ? pod : undefined;
}

async function change(world: LoopWorld, name: string, body: object, subresource?: string): Promise<void> {
  const sub = subresource === undefined ? {} : { subresource };
  await world.client.patch<Node>(types.nodes, { name, type: "merge", body, signal: world.signal, ...sub });
}

test("each node gets addresses for its pods, none the server's own, and those of a deleted node are given out again", async () => {
  await using world = await LoopWorld.start({ nodes: 3 });
  const shares = async (): Promise<readonly (string | undefined)[]> =>
    (await world.client.list(types.nodes, { signal: world.signal })).items.map(({ spec }) => spec?.podCIDR);
  await world.until("addresses", async () => !(await shares()).includes(undefined));
  assert.deepEqual((await shares()).toSorted(), ["10.42.1.0/24", "10.42.2.0/24", "10.42.3.0/24"]);
  const second = (await world.client.list(types.nodes, { signal: world.signal })).items.find(
    ({ spec }) => spec?.podCIDR === "10.42.2.0/24",
  );
  await world.client.delete(types.nodes, { name: second?.metadata.name ?? "", signal: world.signal });
  await world.addNode("late");
  await world.until(
    "the late one's",
    async () => (await shares()).length === 3 && (await shares()).includes("10.42.2.0/24"),
  );
});

test("a NoExecute taint ends the pods that do not bear it, and those that bear it for a time, when that is over", async () => {
  await using world = await LoopWorld.start({ nodes: 1 });
  await podOn(world, "meek", []);
  await podOn(world, "patient", [
    { key: "repair", operator: "Exists", effect: "NoExecute", tolerationSeconds: 60 },
  ]);
  await podOn(world, "stubborn", [{ operator: "Exists" }]);
  await change(world, "node-0", {
    spec: { taints: [{ key: "repair", value: "roof", effect: "NoExecute" }] },
  });
  await world.until("the meek to go", async () => (await livingPod(world, "meek")) === undefined, 2_000);
  assert.notEqual(await livingPod(world, "patient"), undefined);
  await world.clock.advance(50_000);
  assert.notEqual(await livingPod(world, "patient"), undefined);
  await world.until(
    "the patient to go",
    async () => (await livingPod(world, "patient")) === undefined,
    15_000,
  );
  await world.clock.advance(600_000);
  assert.notEqual(await livingPod(world, "stubborn"), undefined);
});

test("a taint that is taken off again in time ends nobody", async () => {
  await using world = await LoopWorld.start({ nodes: 1 });
  await podOn(world, "patient", [{ key: "repair", operator: "Exists", tolerationSeconds: 60 }]);
  const taints = [{ key: "repair", effect: "NoExecute" }];
  for (let time = 0; time < 3; time += 1) {
    await change(world, "node-0", { spec: { taints } });
    await world.clock.advance(40_000);
    await change(world, "node-0", { spec: { taints: null } });
    await world.clock.advance(10_000);
  }
  assert.notEqual(await livingPod(world, "patient"), undefined);
});

test("a node under pressure is tainted, and no more when it is over; taints of others stay", async () => {
  await using world = await LoopWorld.start({ nodes: 1 });
  await change(world, "node-0", { spec: { taints: [{ key: "mine", effect: "NoSchedule" }] } });
  const keys = async (): Promise<string> => {
    const { spec } = await world.client.get(types.nodes, { name: "node-0", signal: world.signal });
    return (spec?.taints ?? []).map(({ key, effect }) => `${key}:${effect}`).join();
  };
  const say = (status: string): Promise<void> =>
    change(
      world,
      "node-0",
      {
        status: {
          conditions: [
            { type: "Ready", status: "True" },
            { type: "DiskPressure", status },
          ],
        },
      },
      "status",
    );
  await say("True");
  await world.until(
    "the taint",
    async () => (await keys()) === "mine:NoSchedule,node.kubernetes.io/disk-pressure:NoSchedule",
  );
  await say("False");
  await world.until("its end", async () => (await keys()) === "mine:NoSchedule");
});

test("a deleted node takes its pods and its password with it", async () => {
  await using world = await LoopWorld.start({ nodes: 2 });
  const { client, signal } = world;
  await podOn(world, "orphan", [{ operator: "Exists" }]);
  const secret = { metadata: { name: "node-0.node-password.k3s", namespace: "kube-system" }, data: {} };
  await client.create(types.secrets, secret as never, { signal });
  await client.delete(types.nodes, { name: "node-0", signal });
  await world.until("the pod to go", async () => (await livingPod(world, "orphan")) === undefined);
  await world.until("the password to go", () =>
    client.get(types.secrets, { ...secret.metadata, signal }).then(
      () => false,
      (error: unknown) => hasReason(error, "NotFound"),
    ),
  );
});
