import { selects } from "@cortado/kinds/label-selector";
import type { LabelSelector } from "@cortado/kinds";
import { at, isTree, textAt, treeAt, type Tree } from "@cortado/kinds/tree";
import { StatusError } from "@cortado/std/status";
import type { ClusterFacts, CompileOptions, TargetMatch } from "../bundle.ts";
import { correctDrift, targetMatchShape } from "../fleet-yaml/fields.ts";
import { readShape, type Fault, type Shape } from "../fleet-yaml/shape.ts";
import { readObjects } from "../render/objects.ts";

const GROUP = "fleet.cattle.io/";
const NAMESPACE = "fleet-default";

/**
 * Clusters of a file, as `kubectl get clusters.fleet.cattle.io,clustergroups.fleet.cattle.io -A -o yaml` gives it.
 * @throws StatusError "Invalid" that names file and place, or when it holds no Cluster
 */
export async function readClusters(path: string, content: Uint8Array): Promise<readonly ClusterFacts[]> {
  const objects = (await readObjects(path, content)).filter((object) =>
    textAt(object, "apiVersion").startsWith(GROUP),
  );
  const groups = objects.filter((object) => object["kind"] === "ClusterGroup");
  const clusters = objects.filter((object) => object["kind"] === "Cluster");
  if (clusters.length === 0)
    throw new StatusError(
      "Invalid",
      `${path} holds no Cluster of ${GROUP}v1alpha1; write one, or take the hub's by kubectl get clusters.fleet.cattle.io,clustergroups.fleet.cattle.io -A -o yaml`,
    );
  return clusters.map((cluster) => factsOf(cluster, groups));
}

/** A Cluster as targets see it. */
export function factsOf(cluster: Tree, groups: readonly Tree[]): ClusterFacts {
  const namespace = namespaceOf(cluster);
  const labels = texts(treeAt(cluster, "metadata", "labels"));
  const own = groups.filter(
    (group) =>
      namespaceOf(group) === namespace &&
      selects(at(group, "spec", "selector") as LabelSelector | undefined, labels),
  );
  return {
    namespace,
    name: textAt(cluster, "metadata", "name"),
    labels,
    annotations: texts(treeAt(cluster, "metadata", "annotations")),
    templateValues: treeAt(cluster, "spec", "templateValues"),
    groups: own.map((group) => ({
      name: textAt(group, "metadata", "name"),
      labels: texts(treeAt(group, "metadata", "labels")),
    })),
  };
}

function namespaceOf(object: Tree): string {
  return textAt(object, "metadata", "namespace") || NAMESPACE;
}

function texts(tree: Tree): Record<string, string> {
  return Object.fromEntries(Object.entries(tree).map(([key, value]) => [key, String(value)]));
}

const gitRepoShape: Shape = {
  fields: {
    paths: { listOf: "text" },
    bundles: { listOf: { fields: { base: "text", options: "text" } } },
    targets: { listOf: targetMatchShape },
    targetNamespace: "text",
    serviceAccount: "text",
    paused: "bool",
    keepResources: "bool",
    deleteNamespace: "bool",
    correctDrift,
    forceSyncGeneration: "whole",
  },
};

/** What a GitRepo says of how its repository is compiled. @throws StatusError "Invalid" that names file and field */
export async function readGitRepo(path: string, content: Uint8Array): Promise<CompileOptions> {
  const objects = await readObjects(path, content);
  const repos = objects.filter((object) => object["kind"] === "GitRepo");
  const [repo, second] = repos;
  if (repo === undefined || second !== undefined)
    throw new StatusError("Invalid", `${path} holds ${repos.length} objects of kind GitRepo; it takes one`);
  const faults: Fault[] = [];
  const spec = readShape(treeAt(repo, "spec"), gitRepoShape, faults);
  const errors = faults.filter(({ isWarning }) => !isWarning);
  if (errors.length > 0)
    throw new StatusError("Invalid", errors.map(({ message }) => `${path}: spec: ${message}`).join("\n"));
  const read = (isTree(spec) ? spec : {}) as Omit<CompileOptions, "repo" | "targets"> & {
    readonly targets?: readonly TargetMatch[];
  };
  return { ...read, repo: textAt(repo, "metadata", "name") };
}
