import { selects } from "@cortado/kinds/label-selector";
import { topologyOf, type FilterInput } from "../filters/filter.ts";
import { tolerates } from "../filters/filters.ts";
import { matchesNodeTerm } from "../filters/node-terms.ts";
import { countNear } from "../filters/pod-terms.ts";
import { DEFAULT_MEMORY_BYTES, DEFAULT_MILLI_CPU } from "../limits.ts";
import { allocatable, requestsOf, used } from "../plan/snapshot.ts";

/** How good a node is for a pod: higher is better. The parts are of one size, about 0 to 100 each. */
export function scoreNode(input: FilterInput): number {
  return (
    leastAllocated(input) + preferredNode(input) + preferredPods(input) + spread(input) - softTaints(input)
  );
}

function leastAllocated({ pod, view }: FilterInput): number {
  const free = allocatable(view.node);
  const taken = used(view);
  const asked = requestsOf(pod);
  const share = (name: string, least: number): number => {
    const whole = free[name] ?? 0;
    if (whole === 0) return 0;
    return Math.max(0, (whole - (taken[name] ?? 0) - Math.max(asked[name] ?? 0, least)) / whole);
  };
  return 50 * (share("cpu", DEFAULT_MILLI_CPU) + share("memory", DEFAULT_MEMORY_BYTES));
}

function preferredNode({ pod, view }: FilterInput): number {
  const terms = pod.spec?.affinity?.nodeAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? [];
  return terms
    .filter(({ preference }) => matchesNodeTerm(preference, view.node))
    .reduce((total, { weight }) => total + weight, 0);
}

function preferredPods(input: FilterInput): number {
  const { podAffinity, podAntiAffinity } = input.pod.spec?.affinity ?? {};
  let total = 0;
  for (const { weight, podAffinityTerm } of podAffinity?.preferredDuringSchedulingIgnoredDuringExecution ??
    [])
    total += weight * countNear(podAffinityTerm, input);
  for (const {
    weight,
    podAffinityTerm,
  } of podAntiAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? [])
    total -= weight * countNear(podAffinityTerm, input);
  return total;
}

/** Pods alike are spread over nodes, and over the domains that ScheduleAnyway constraints name. */
function spread({ pod, view, snapshot }: FilterInput): number {
  const owner = pod.metadata.ownerReferences?.[0]?.uid;
  const siblings = view.pods.filter(
    (other) => owner !== undefined && other.metadata.ownerReferences?.[0]?.uid === owner,
  ).length;
  let total = -20 * siblings;
  for (const { topologyKey, labelSelector, whenUnsatisfiable } of pod.spec?.topologySpreadConstraints ?? []) {
    if (whenUnsatisfiable !== "ScheduleAnyway") continue;
    const domain = topologyOf(view.node, topologyKey);
    for (const { node, pods } of snapshot.nodes)
      if (topologyOf(node, topologyKey) === domain)
        total -= 10 * pods.filter(({ metadata }) => selects(labelSelector, metadata.labels)).length;
  }
  return total;
}

function softTaints({ pod, view }: FilterInput): number {
  const soft = (view.node.spec?.taints ?? []).filter(({ effect }) => effect === "PreferNoSchedule");
  return 100 * soft.filter((taint) => !tolerates(pod, taint)).length;
}
