import type { Stored } from "@cortado/client";
import type { Deployment, IntOrString, ReplicaSet } from "@cortado/kinds";

/** How many replicas each ReplicaSet of a Deployment should have next; only changes are named. */
export type Scaling = { readonly name: string; readonly replicas: number };

export type RolloutView = {
  readonly deployment: Stored<Deployment>;
  /** The set with the wanted template; a paused Deployment makes none. */
  readonly fresh: Stored<ReplicaSet> | undefined;
  readonly old: readonly Stored<ReplicaSet>[];
  /** Pods of old sets that are not finished: "Recreate" waits for them to go. */
  readonly oldPods: number;
};

/** Next step of a rollout. Pure; each step keeps between (replicas - maxUnavailable) available and (replicas + maxSurge) pods. */
export function planRollout(view: RolloutView): readonly Scaling[] {
  const { deployment, fresh, old } = view;
  const wanted = deployment.spec?.replicas ?? 1;
  if (deployment.spec?.paused === true || fresh === undefined) return planPaused(view, wanted);
  if (deployment.spec?.strategy?.type === "Recreate") return planRecreate({ ...view, fresh }, wanted);
  const { maxSurge, maxUnavailable } = limitsOf(deployment);
  const upward = planFresh({ wanted, maxSurge, fresh, old });
  if (upward !== undefined) return [upward];
  return planOld({ wanted, maxUnavailable, fresh, old });
}

// A paused Deployment still follows `scale`: the largest set takes the difference (upstream shares it out; a store has few pods).
function planPaused({ fresh, old }: RolloutView, wanted: number): readonly Scaling[] {
  const sets = fresh === undefined ? old : [fresh, ...old];
  const total = sets.reduce((sum, set) => sum + replicasOf(set), 0);
  const [largest] = sets.toSorted((one, other) => replicasOf(other) - replicasOf(one));
  if (largest === undefined) return [];
  const replicas = Math.max(0, replicasOf(largest) + wanted - total);
  return replicas === replicasOf(largest) ? [] : [{ name: largest.metadata.name, replicas }];
}

function planRecreate(
  { fresh, old, oldPods }: RolloutView & { readonly fresh: Stored<ReplicaSet> },
  wanted: number,
): readonly Scaling[] {
  const running = old.filter((set) => replicasOf(set) > 0);
  if (running.length > 0) return running.map((set) => ({ name: set.metadata.name, replicas: 0 }));
  if (oldPods > 0 || replicasOf(fresh) === wanted) return [];
  return [{ name: fresh.metadata.name, replicas: wanted }];
}

type Upward = {
  readonly wanted: number;
  readonly maxSurge: number;
  readonly fresh: Stored<ReplicaSet>;
  readonly old: readonly Stored<ReplicaSet>[];
};

function planFresh({ wanted, maxSurge, fresh, old }: Upward): Scaling | undefined {
  const have = replicasOf(fresh);
  const { name } = fresh.metadata;
  if (have > wanted) return { name, replicas: wanted };
  const total = have + old.reduce((sum, set) => sum + replicasOf(set), 0);
  const room = Math.max(0, wanted + maxSurge - total);
  const replicas = Math.min(wanted, have + room);
  return replicas === have ? undefined : { name, replicas };
}

type Downward = {
  readonly wanted: number;
  readonly maxUnavailable: number;
  readonly fresh: Stored<ReplicaSet>;
  readonly old: readonly Stored<ReplicaSet>[];
};

/** Ends old pods: first those that are not available anyway, then as many as may be missing. */
function planOld({ wanted, maxUnavailable, fresh, old }: Downward): readonly Scaling[] {
  const leastAvailable = wanted - maxUnavailable;
  const freshUnavailable = replicasOf(fresh) - (fresh.status?.availableReplicas ?? 0);
  const total = replicasOf(fresh) + old.reduce((sum, set) => sum + replicasOf(set), 0);
  let removable = total - leastAvailable - freshUnavailable;
  const next = new Map<string, number>();
  for (const set of old) {
    const broken = replicasOf(set) - (set.status?.availableReplicas ?? 0);
    const take = Math.max(0, Math.min(broken, removable, replicasOf(set)));
    removable -= take;
    next.set(set.metadata.name, replicasOf(set) - take);
  }
  const available = [fresh, ...old].reduce((sum, set) => sum + (set.status?.availableReplicas ?? 0), 0);
  let spare = available - leastAvailable;
  for (const set of old) {
    const left = next.get(set.metadata.name) ?? 0;
    const take = Math.max(0, Math.min(left, spare));
    spare -= take;
    next.set(set.metadata.name, left - take);
  }
  return old
    .filter((set) => next.get(set.metadata.name) !== replicasOf(set))
    .map((set) => ({ name: set.metadata.name, replicas: next.get(set.metadata.name) ?? 0 }));
}

export function replicasOf(set: ReplicaSet): number {
  return set.spec?.replicas ?? 0;
}

/** Surge rounds up, unavailable rounds down, and they are never both zero (kubernetes, ResolveFenceposts). */
export function limitsOf(deployment: Deployment): {
  readonly maxSurge: number;
  readonly maxUnavailable: number;
} {
  const wanted = deployment.spec?.replicas ?? 1;
  const { maxSurge: surge = "25%", maxUnavailable: missing = "25%" } =
    deployment.spec?.strategy?.rollingUpdate ?? {};
  const maxSurge = resolve(surge, wanted, Math.ceil);
  const maxUnavailable = resolve(missing, wanted, Math.floor);
  return {
    maxSurge,
    maxUnavailable: maxSurge === 0 && maxUnavailable === 0 ? 1 : Math.min(maxUnavailable, wanted),
  };
}

function resolve(value: IntOrString, of: number, round: (number: number) => number): number {
  if (typeof value === "number") return value;
  return value.endsWith("%") ? round((Number(value.slice(0, -1)) * of) / 100) : Number(value);
}
