import type { TargetMatch } from "../compile/bundle.ts";
import { matchesCluster } from "../compile/targets/match.ts";
import type { RolloutStore } from "./model.ts";

/** Is the store of this partition? As a target and its clusters. */
export function isOfPartition(partition: TargetMatch, { key, labels, groups = [] }: RolloutStore): boolean {
  return matchesCluster(partition, { name: key.slice(key.indexOf("/") + 1), labels, groups });
}
