import { selects } from "@cortado/kinds/label-selector";
import { topologyOf, type FilterInput } from "./filter.ts";

/** Topology spread with DoNotSchedule: the pod may not make one domain fuller than the emptiest by more than maxSkew. */
export function spreadRefuses({ pod, view, snapshot }: FilterInput): string | undefined {
  for (const constraint of pod.spec?.topologySpreadConstraints ?? []) {
    if (constraint.whenUnsatisfiable !== "DoNotSchedule") continue;
    const domain = topologyOf(view.node, constraint.topologyKey);
    if (domain === undefined)
      return "node(s) didn't match pod topology spread constraints (missing required label)";
    const counts = new Map<string, number>();
    for (const { node, pods } of snapshot.nodes) {
      const at = topologyOf(node, constraint.topologyKey);
      if (at === undefined) continue;
      const alike = pods.filter(
        (other) =>
          other.metadata.namespace === pod.metadata.namespace &&
          selects(constraint.labelSelector, other.metadata.labels),
      );
      counts.set(at, (counts.get(at) ?? 0) + alike.length);
    }
    const self = selects(constraint.labelSelector, pod.metadata.labels) ? 1 : 0;
    const skew = (counts.get(domain) ?? 0) + self - Math.min(...counts.values());
    if (skew > constraint.maxSkew) return "node(s) didn't match pod topology spread constraints";
  }
  return undefined;
}
