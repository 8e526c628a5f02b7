import type { Node, Pod, Taint, Toleration } from "@cortado/kinds";

export const notReadyTaint = "node.kubernetes.io/not-ready";
export const unreachableTaint = "node.kubernetes.io/unreachable";

/** Taints that say what a node's conditions say (kubernetes, pkg/controller/nodelifecycle); NoExecute ones end pods. */
const pressures = [
  { condition: "MemoryPressure", key: "node.kubernetes.io/memory-pressure" },
  { condition: "DiskPressure", key: "node.kubernetes.io/disk-pressure" },
  { condition: "PIDPressure", key: "node.kubernetes.io/pid-pressure" },
] as const;

const ours: ReadonlySet<string> = new Set([
  notReadyTaint,
  unreachableTaint,
  ...pressures.map(({ key }) => key),
]);

/** The taints that a node should have: those of others, and ours after its conditions. Pure. */
export function wantedTaints(
  node: Node,
  { isLost, now }: { readonly isLost: boolean; readonly now: string },
): readonly Taint[] {
  const conditions = node.status?.conditions ?? [];
  const stateOf = (type: string): string | undefined => conditions.find((one) => one.type === type)?.status;
  const ready = stateOf("Ready");
  const before = node.spec?.taints ?? [];
  const stamped = (key: string, effect: Taint["effect"]): Taint => ({
    key,
    effect,
    timeAdded: before.find((one) => one.key === key && one.effect === effect)?.timeAdded ?? now,
  });
  // One that has not said anything yet keeps what it was made with.
  const isUnready = ready === undefined ? before.some(({ key }) => key === notReadyTaint) : ready !== "True";
  const main = isLost || ready === "Unknown" ? unreachableTaint : isUnready ? notReadyTaint : undefined;
  return [
    ...before.filter(({ key }) => !ours.has(key)),
    ...(main === undefined ? [] : [stamped(main, "NoSchedule"), stamped(main, "NoExecute")]),
    ...pressures
      .filter(({ condition }) => stateOf(condition) === "True")
      .map(({ key }) => stamped(key, "NoSchedule")),
  ];
}

/** For how long a pod bears a NoExecute taint: infinite for ever, 0 not at all. Pure. */
export function bearsMs(pod: Pod, taint: Taint): number {
  const bearing = (pod.spec?.tolerations ?? []).filter((toleration) => bears(toleration, taint));
  if (bearing.length === 0) return 0;
  const times = bearing.map(({ tolerationSeconds: seconds }) =>
    seconds === undefined ? Number.POSITIVE_INFINITY : Math.max(0, seconds) * 1_000,
  );
  return Math.min(...times);
}

function bears({ key, operator = "Equal", value = "", effect }: Toleration, taint: Taint): boolean {
  if (effect !== undefined && effect !== taint.effect) return false;
  if (key !== undefined && key !== "" && key !== taint.key) return false;
  return operator === "Exists" || (key !== undefined && key !== "" && value === (taint.value ?? ""));
}
