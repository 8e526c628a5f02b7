import type { Stored } from "@cortado/client";
import type { Pod, StatefulSet } from "@cortado/kinds";

export type StatefulAction =
  | { readonly kind: "create"; readonly ordinal: number; readonly revision: string }
  | { readonly kind: "delete"; readonly pod: Stored<Pod> };

export type StatefulView = {
  readonly set: Stored<StatefulSet>;
  readonly pods: readonly Stored<Pod>[];
  readonly update: string;
  readonly current: string;
  readonly available: (pod: Pod) => boolean;
};

/**
 * Next steps of a StatefulSet. Pure. OrderedReady does one thing at a time and waits for each pod to be available; Parallel
 * makes and ends at once. Updates go from the highest ordinal down, one at a time.
 */
export function planStatefulSet(view: StatefulView): readonly StatefulAction[] {
  const { set, pods, available } = view;
  const start = set.spec?.ordinals?.start ?? 0;
  const end = start + (set.spec?.replicas ?? 1);
  const parallel = set.spec?.podManagementPolicy === "Parallel";
  const byOrdinal = new Map(pods.map((pod) => [ordinalOf(set, pod), pod] as const));
  const actions: StatefulAction[] = [];
  for (let ordinal = start; ordinal < end; ordinal += 1) {
    const pod = byOrdinal.get(ordinal);
    if (pod === undefined) actions.push({ kind: "create", ordinal, revision: revisionFor(view, ordinal) });
    else if (isFinished(pod) && !isTerminating(pod)) actions.push({ kind: "delete", pod });
    else if (available(pod) && !isTerminating(pod)) continue;
    else if (parallel) continue;
    else return brokenUpdate(view, pod) ?? actions;
    if (!parallel) return actions;
  }
  if (actions.length > 0) return actions;
  const surplus = pods.filter((pod) => ordinalOf(set, pod) >= end || ordinalOf(set, pod) < start);
  if (surplus.length > 0) return planSurplus(set, surplus, parallel);
  return planUpdate(view, start);
}

/** A pod that never becomes ready may be the old template's fault: it is replaced when the wanted one differs. */
function brokenUpdate(
  { set, update }: StatefulView,
  pod: Stored<Pod>,
): readonly StatefulAction[] | undefined {
  const partition = set.spec?.updateStrategy?.rollingUpdate?.partition ?? 0;
  const old = pod.metadata.labels?.["controller-revision-hash"] !== update;
  const mayReplace = set.spec?.updateStrategy?.type !== "OnDelete" && ordinalOf(set, pod) >= partition;
  return old && mayReplace && !isTerminating(pod) ? [{ kind: "delete", pod }] : undefined;
}

function planSurplus(
  set: StatefulSet,
  surplus: readonly Stored<Pod>[],
  parallel: boolean,
): readonly StatefulAction[] {
  const ordered = surplus.toSorted((one, other) => ordinalOf(set, other) - ordinalOf(set, one));
  const ending = ordered
    .filter((pod) => !isTerminating(pod))
    .map((pod): StatefulAction => ({ kind: "delete", pod }));
  if (parallel) return ending;
  return ordered.some(isTerminating) ? [] : ending.slice(0, 1);
}

function planUpdate(
  { set, pods, update, available }: StatefulView,
  start: number,
): readonly StatefulAction[] {
  if (set.spec?.updateStrategy?.type === "OnDelete") return [];
  const partition = Math.max(start, set.spec?.updateStrategy?.rollingUpdate?.partition ?? 0);
  for (const pod of pods.toSorted((one, other) => ordinalOf(set, other) - ordinalOf(set, one))) {
    if (ordinalOf(set, pod) < partition) return [];
    if (pod.metadata.labels?.["controller-revision-hash"] !== update)
      return isTerminating(pod) ? [] : [{ kind: "delete", pod }];
    if (!available(pod)) return [];
  }
  return [];
}

/** Below the partition a pod made again keeps the revision that the set had. */
function revisionFor({ set, update, current }: StatefulView, ordinal: number): string {
  const partition = set.spec?.updateStrategy?.rollingUpdate?.partition ?? 0;
  return ordinal < partition ? current : update;
}

export function ordinalOf(set: StatefulSet, pod: Pod): number {
  const text = pod.metadata.name.slice(set.metadata.name.length + 1);
  return /^\d+$/.test(text) ? Number(text) : Number.POSITIVE_INFINITY;
}

function isTerminating(pod: Pod): boolean {
  return pod.metadata.deletionTimestamp !== undefined;
}

function isFinished(pod: Pod): boolean {
  return pod.status?.phase === "Succeeded" || pod.status?.phase === "Failed";
}
