import { selects } from "@cortado/kinds/label-selector";
import type { LabelSelector as KindsSelector } from "@cortado/kinds";
import type { LabelSelector } from "../../protocol/protocol.ts";
import type { ClusterFacts, TargetMatch } from "../bundle.ts";

/** What is looked at of a cluster. */
export type MatchedCluster = Pick<ClusterFacts, "name" | "labels" | "groups">;

/** Label by which Rancher shows a cluster; Fleet takes it for the name, too. */
const DISPLAY_NAME = "management.cattle.io/cluster-display-name";

/** Is the cluster of this entry? All that is given must hold; an entry that gives nothing has no cluster (fleet.md 2.6). */
export function matchesCluster(entry: TargetMatch, cluster: MatchedCluster): boolean {
  const { clusterName, clusterSelector, clusterGroup, clusterGroupSelector } = entry;
  const isByName = isGiven(clusterName);
  const isByGroup = isGiven(clusterGroup) || clusterGroupSelector !== undefined;
  if (!isByName && !isByGroup && clusterSelector === undefined) return false;
  if (isByName && clusterName !== cluster.name && clusterName !== labelOf(cluster, DISPLAY_NAME))
    return false;
  if (clusterSelector !== undefined && !isSelected(clusterSelector, cluster.labels)) return false;
  if (!isByGroup) return true;
  // Both must hold for one group.
  return cluster.groups.some(
    (group) =>
      (!isGiven(clusterGroup) || group.name === clusterGroup) &&
      (clusterGroupSelector === undefined || isSelected(clusterGroupSelector, group.labels)),
  );
}

function labelOf({ labels }: MatchedCluster, key: string): string | undefined {
  return Object.hasOwn(labels, key) ? labels[key] : undefined;
}

function isGiven(text: string | undefined): text is string {
  return text !== undefined && text !== "";
}

function isSelected(selector: LabelSelector, labels: Readonly<Record<string, string>>): boolean {
  return selects(selector as KindsSelector, labels);
}
