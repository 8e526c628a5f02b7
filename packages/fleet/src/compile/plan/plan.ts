import type { Tree } from "@cortado/kinds/tree";
import { hasReason, messageOf } from "@cortado/std/status";
import type { BundleOptions, ClusterFacts, Compiled, CompiledBundle } from "../bundle.ts";
import { canonicalJson } from "../canonical-json.ts";
import { toContent } from "../content.ts";
import { objectName } from "../render/objects.ts";
import { render, type Renderer } from "../render/render.ts";
import { needText, valuesNeeds, withStoreValues } from "../values-from.ts";
import { newTargeter } from "../targets/targets.ts";

/** What a bundle is for one group of clusters that all get the same. */
export type PlannedVariant = {
  readonly deploymentId: string;
  /** `Deployment shop/till`, in the order of the files. */
  readonly objects: readonly string[];
  readonly rendered: readonly Readonly<Tree>[];
  readonly bytes: number;
  /** What each of the clusters has of its own, or takes along from the hub, and is not in it here. */
  readonly needs: readonly string[];
  /** `NAMESPACE/NAME`. */
  readonly clusters: readonly string[];
};

export type PlannedBundle = {
  readonly name: string;
  readonly path: string;
  readonly warnings: readonly string[];
  readonly variants: readonly PlannedVariant[];
  /** Clusters that get nothing, by why. */
  readonly kept: readonly { readonly why: string; readonly clusters: readonly string[] }[];
  /** Clusters for which it fails: they keep what they have. */
  readonly failed: readonly { readonly message: string; readonly clusters: readonly string[] }[];
  /** Clusters for which it can be rendered only with what they have of their own. */
  readonly unknown: readonly {
    readonly message: string;
    readonly needs: readonly string[];
    readonly clusters: readonly string[];
  }[];
};

export type Plan = { readonly bundles: readonly PlannedBundle[]; readonly problems: Compiled["problems"] };

export type PlanOptions = { readonly renderer: Renderer; readonly strict?: boolean };

/** What every cluster would get of a repository, with each variant rendered once. No server is asked. */
export async function plan(
  compiled: Compiled,
  clusters: readonly ClusterFacts[],
  options: PlanOptions,
): Promise<Plan> {
  const bundles: PlannedBundle[] = [];
  for (const bundle of compiled.bundles) bundles.push(await planBundle(bundle, clusters, options));
  return { bundles, problems: compiled.problems };
}

type Found = { readonly options: BundleOptions; readonly clusters: string[] };

async function planBundle(
  bundle: CompiledBundle,
  clusters: readonly ClusterFacts[],
  { renderer, strict = false }: PlanOptions,
): Promise<PlannedBundle> {
  const target = newTargeter(bundle.spec, { strict });
  const found = new Map<string, Found>();
  const kept = new Map<string, string[]>();
  const failed = new Map<string, string[]>();
  for (const cluster of clusters) {
    const name = `${cluster.namespace}/${cluster.name}`;
    const result = target(cluster);
    if (result.deploys === false) add(kept, result.why, name);
    else if (result.deploys === "failed")
      add(failed, withoutPrefix(result.message, `cluster ${name}: `), name);
    else {
      const key = canonicalJson(result.options);
      const same = found.get(key) ?? { options: result.options, clusters: [] };
      same.clusters.push(name);
      found.set(key, same);
    }
  }
  const variants: PlannedVariant[] = [];
  const unknown: PlannedBundle["unknown"][number][] = [];
  for (const { options: given, clusters: names } of found.values()) {
    const needs = needsOf(given);
    try {
      const options = valuesNeeds(given).length === 0 ? given : withStoreValues(given, []).options;
      const objects = await render(bundle.files, options, { renderer, bundle });
      const { deploymentId, chunks } = toContent(objects, options);
      const bytes = chunks.reduce((sum, chunk) => sum + chunk.bytes, 0);
      variants.push({
        deploymentId,
        bytes,
        needs,
        objects: objects.map(objectName),
        rendered: objects,
        clusters: names,
      });
    } catch (error) {
      if (!hasReason(error, "Invalid", "Timeout", "RequestEntityTooLarge")) throw error;
      const message = messageOf(error);
      if (valuesNeeds(given).length > 0) unknown.push({ message, needs, clusters: names });
      else for (const name of names) add(failed, message, name);
    }
  }
  return {
    name: bundle.name,
    path: bundle.path,
    warnings: bundle.warnings,
    variants,
    kept: Array.from(kept, ([why, names]) => ({ why, clusters: names })),
    failed: Array.from(failed, ([message, names]) => ({ message, clusters: names })),
    unknown,
  };
}

/** What is known in a cluster, or at the hub, and nowhere else. */
function needsOf(options: BundleOptions): readonly string[] {
  return [
    ...valuesNeeds(options).map((need) => `values of ${needText(need)}, in the cluster`),
    ...(options.downstreamResources ?? []).map(({ kind, name }) => `a copy of ${kind} ${name} at the hub`),
  ];
}

/** The clusters are named beside it, and many may fail for the same reason. */
function withoutPrefix(text: string, prefix: string): string {
  return text.startsWith(prefix) ? text.slice(prefix.length) : text;
}

function add(groups: Map<string, string[]>, key: string, name: string): void {
  const names = groups.get(key) ?? [];
  names.push(name);
  groups.set(key, names);
}
