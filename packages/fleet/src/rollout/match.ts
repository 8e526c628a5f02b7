import { selects } from "@cortado/kinds/label-selector";
import type { LabelSelector as KindsSelector } from "@cortado/kinds";
import type { LabelSelector, TargetMatch } from "../compile/bundle.ts";
import type { RolloutStore } from "./model.ts";

/** Label by which Rancher shows a cluster; Fleet takes it for the name, too. */
const DISPLAY_NAME = "management.cattle.io/cluster-display-name";

/** Is the store of this partition? All that is given must hold; a partition that gives nothing has no store (fleet.md 2.6). */
export function isOfPartition(partition: TargetMatch, store: RolloutStore): boolean {
  const { clusterName, clusterSelector, clusterGroup, clusterGroupSelector } = partition;
  const wanted = [clusterName, clusterSelector, clusterGroup, clusterGroupSelector];
  if (wanted.every((one) => one === undefined || one === "")) return false;
  const name = store.key.slice(store.key.indexOf("/") + 1);
  if (isGiven(clusterName) && clusterName !== name && clusterName !== store.labels[DISPLAY_NAME])
    return false;
  if (clusterSelector !== undefined && !matches(clusterSelector, store.labels)) return false;
  if (!isGiven(clusterGroup) && clusterGroupSelector === undefined) return true;
  // Both must hold for one group.
  return (store.groups ?? []).some(
    (group) =>
      (!isGiven(clusterGroup) || group.name === clusterGroup) &&
      (clusterGroupSelector === undefined || matches(clusterGroupSelector, group.labels)),
  );
}

function isGiven(text: string | undefined): text is string {
  return text !== undefined && text !== "";
}

function matches(selector: LabelSelector, labels: Readonly<Record<string, string>>): boolean {
  return selects(selector as KindsSelector, labels);
}
