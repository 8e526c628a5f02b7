import { setField, type Tree } from "@cortado/kinds/tree";
import type { ClusterFacts } from "../bundle.ts";

/** Labels that Fleet and Rancher give for templates; others of theirs are hidden. */
const shownPrefixes = ["fleet.cattle.io/", "management.cattle.io/"];

/** What a template sees of a cluster (fleet.md 2.7). */
export function templateContext(cluster: ClusterFacts, strict: boolean): Tree {
  const labels = cleaned(cluster.labels);
  for (const [key, value] of Object.entries(cluster.labels))
    if (shownPrefixes.some((prefix) => key.startsWith(prefix))) setField(labels, key, value);
  return {
    ClusterName: cluster.name,
    ClusterNamespace: cluster.namespace,
    ClusterLabels: labels,
    ClusterAnnotations: cleaned(cluster.annotations),
    ClusterValues: strict && Object.keys(labels).length === 0 ? {} : cluster.templateValues,
  };
}

function cleaned(marks: Readonly<Record<string, string>>): Tree {
  const kept: Tree = {};
  for (const [key, value] of Object.entries(marks))
    if (!key.includes("cattle.io/") && !key.startsWith("kubectl.kubernetes.io/")) setField(kept, key, value);
  return kept;
}
