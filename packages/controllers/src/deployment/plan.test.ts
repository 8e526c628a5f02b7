import assert from "node:assert/strict";
import { test } from "node:test";
import type { Stored } from "@cortado/client";
import type { Deployment, ReplicaSet } from "@cortado/kinds";
import { limitsOf, planRollout } from "./plan.ts";

type Set = { readonly name: string; readonly replicas: number; readonly available: number };

function set({ name, replicas, available }: Set): Stored<ReplicaSet> {
  return {
    metadata: { name },
    spec: { replicas },
    status: { availableReplicas: available },
  } as unknown as Stored<ReplicaSet>;
}

function deployment(spec: object): Stored<Deployment> {
  return { metadata: { name: "order" }, spec } as unknown as Stored<Deployment>;
}

const rolling = (maxSurge: number | string, maxUnavailable: number | string): object => ({
  strategy: { type: "RollingUpdate", rollingUpdate: { maxSurge, maxUnavailable } },
});

for (const { name, spec, fresh, old, oldPods = 0, want } of [
  {
    name: "a first rollout goes up at once",
    spec: { replicas: 3, ...rolling(1, 0) },
    fresh: { name: "new", replicas: 0, available: 0 },
    old: [],
    want: { new: 3 },
  },
  {
    name: "with a surge of one, one new pod comes before an old one goes",
    spec: { replicas: 3, ...rolling(1, 0) },
    fresh: { name: "new", replicas: 0, available: 0 },
    old: [{ name: "old", replicas: 3, available: 3 }],
    want: { new: 1 },
  },
  {
    name: "an old pod goes when the new one is available",
    spec: { replicas: 3, ...rolling(1, 0) },
    fresh: { name: "new", replicas: 1, available: 1 },
    old: [{ name: "old", replicas: 3, available: 3 }],
    want: { old: 2 },
  },
  {
    name: "nothing moves while the new pod is not available",
    spec: { replicas: 3, ...rolling(1, 0) },
    fresh: { name: "new", replicas: 1, available: 0 },
    old: [{ name: "old", replicas: 3, available: 3 }],
    want: {},
  },
  {
    name: "without a surge an old pod goes first",
    spec: { replicas: 3, ...rolling(0, 1) },
    fresh: { name: "new", replicas: 0, available: 0 },
    old: [{ name: "old", replicas: 3, available: 3 }],
    want: { old: 2 },
  },
  {
    name: "broken old pods go before healthy ones",
    spec: { replicas: 3, ...rolling(1, 1) },
    fresh: { name: "new", replicas: 1, available: 1 },
    old: [
      { name: "broken", replicas: 2, available: 0 },
      { name: "old", replicas: 1, available: 1 },
    ],
    want: { broken: 0 },
  },
  {
    name: "Recreate ends the old before it makes the new",
    spec: { replicas: 2, strategy: { type: "Recreate" } },
    fresh: { name: "new", replicas: 0, available: 0 },
    old: [{ name: "old", replicas: 2, available: 2 }],
    oldPods: 2,
    want: { old: 0 },
  },
  {
    name: "Recreate waits for the last old pod to be gone",
    spec: { replicas: 2, strategy: { type: "Recreate" } },
    fresh: { name: "new", replicas: 0, available: 0 },
    old: [{ name: "old", replicas: 0, available: 0 }],
    oldPods: 1,
    want: {},
  },
  {
    name: "a paused rollout follows a scale and nothing else",
    spec: { replicas: 5, paused: true, ...rolling(1, 0) },
    fresh: { name: "new", replicas: 1, available: 1 },
    old: [{ name: "old", replicas: 3, available: 3 }],
    want: { old: 4 },
  },
  {
    name: "a paused rollout whose template changed has no new set, and still follows a scale",
    spec: { replicas: 2, paused: true, ...rolling(1, 0) },
    old: [{ name: "old", replicas: 3, available: 3 }],
    want: { old: 2 },
  },
  {
    name: "scaled to none",
    spec: { replicas: 0, ...rolling(1, 0) },
    fresh: { name: "new", replicas: 3, available: 3 },
    old: [],
    want: { new: 0 },
  },
] satisfies { name: string; spec: object; fresh?: Set; old: Set[]; oldPods?: number; want: object }[])
  test(name, () => {
    const steps = planRollout({
      deployment: deployment(spec),
      fresh: fresh === undefined ? undefined : set(fresh),
      old: old.map(set),
      oldPods,
    });
    assert.deepEqual(Object.fromEntries(steps.map((step) => [step.name, step.replicas])), want);
  });

for (const { replicas, surge, missing, want } of [
  { replicas: 4, surge: "25%", missing: "25%", want: { maxSurge: 1, maxUnavailable: 1 } },
  { replicas: 1, surge: "25%", missing: "25%", want: { maxSurge: 1, maxUnavailable: 0 } },
  { replicas: 10, surge: "0%", missing: "5%", want: { maxSurge: 0, maxUnavailable: 1 } },
  { replicas: 2, surge: 0, missing: 9, want: { maxSurge: 0, maxUnavailable: 2 } },
])
  test(`${replicas} replicas, surge ${surge}, unavailable ${missing}`, () => {
    assert.deepEqual(limitsOf(deployment({ replicas, ...rolling(surge, missing) })), want);
  });
