import type { Stored } from "@cortado/client";
import type { DaemonSet, IntOrString, Node, Pod, Toleration } from "@cortado/kinds";
import { isAvailable } from "../owned/owned.ts";

export type DaemonAction =
  | { readonly kind: "create"; readonly node: string }
  | { readonly kind: "delete"; readonly pod: Stored<Pod> };

export type DaemonView = {
  readonly set: Stored<DaemonSet>;
  readonly nodes: readonly Stored<Node>[];
  readonly pods: readonly Stored<Pod>[];
  readonly hash: string;
  readonly nowMs: number;
};

/** Which pods to make and end so that each fitting node has one of the wanted template. Pure. */
export function planDaemonSet(view: DaemonView): readonly DaemonAction[] {
  const { set, nodes, pods } = view;
  const wanted = new Set(nodes.filter((node) => shouldRun(set, node)).map((node) => node.metadata.name));
  const byNode = new Map<string, Stored<Pod>[]>();
  const actions: DaemonAction[] = [];
  for (const pod of pods) {
    const node = nodeOf(pod);
    if (node === undefined || !wanted.has(node) || pod.status?.phase === "Failed") {
      if (pod.metadata.deletionTimestamp === undefined) actions.push({ kind: "delete", pod });
    } else byNode.set(node, [...(byNode.get(node) ?? []), pod]);
  }
  for (const node of wanted) {
    const [, ...extra] = (byNode.get(node) ?? []).toSorted((one, other) =>
      (one.metadata.creationTimestamp ?? "").localeCompare(other.metadata.creationTimestamp ?? ""),
    );
    for (const pod of extra)
      if (pod.metadata.deletionTimestamp === undefined) actions.push({ kind: "delete", pod });
    if (!byNode.has(node)) actions.push({ kind: "create", node });
  }
  return [...actions, ...planUpdate(view, byNode, wanted.size)];
}

function planUpdate(
  view: DaemonView,
  byNode: ReadonlyMap<string, readonly Stored<Pod>[]>,
  wanted: number,
): readonly DaemonAction[] {
  const { set, hash, nowMs } = view;
  if (set.spec?.updateStrategy?.type === "OnDelete") return [];
  const allowed = resolve(set.spec?.updateStrategy?.rollingUpdate?.maxUnavailable ?? 1, wanted);
  const minReadySeconds = set.spec?.minReadySeconds ?? 0;
  const placed = [...byNode.values()].flat();
  const available = placed.filter(
    (pod) => pod.metadata.deletionTimestamp === undefined && isAvailable(pod, { minReadySeconds, nowMs }),
  );
  let room = allowed - (wanted - available.length);
  const actions: DaemonAction[] = [];
  for (const pod of placed) {
    if (
      pod.metadata.labels?.["controller-revision-hash"] === hash ||
      pod.metadata.deletionTimestamp !== undefined
    )
      continue;
    const broken = !available.includes(pod);
    if (!broken && room <= 0) continue;
    if (!broken) room -= 1;
    actions.push({ kind: "delete", pod });
  }
  return actions;
}

function resolve(value: IntOrString, of: number): number {
  if (typeof value === "number") return value;
  return Math.max(1, Math.ceil((Number(value.replace("%", "")) * of) / 100));
}

/** Does the template's node selector fit the node, and does it bear the node's taints? */
export function shouldRun(set: DaemonSet, node: Node): boolean {
  const { nodeSelector = {}, tolerations = [] } = set.spec?.template.spec ?? {};
  if (Object.entries(nodeSelector).some(([name, value]) => node.metadata.labels?.[name] !== value))
    return false;
  return (node.spec?.taints ?? []).every(
    (taint) =>
      taint.effect === "PreferNoSchedule" ||
      taint.key.startsWith("node.kubernetes.io/") ||
      tolerations.some((one) => bears(one, taint)),
  );
}

function bears(
  toleration: Toleration,
  taint: { readonly key: string; readonly value?: string; readonly effect: string },
): boolean {
  if (toleration.effect !== undefined && toleration.effect !== taint.effect) return false;
  if (toleration.key !== undefined && toleration.key !== taint.key) return false;
  return toleration.operator === "Exists" || (toleration.value ?? "") === (taint.value ?? "");
}

/** Where a daemon's pod is, or will be by its affinity. */
export function nodeOf(pod: Pod): string | undefined {
  const terms =
    pod.spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms;
  return pod.spec?.nodeName ?? terms?.[0]?.matchFields?.[0]?.values?.[0];
}
