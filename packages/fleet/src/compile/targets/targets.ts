import { StatusError } from "@cortado/std/status";
import { bundleOptionsOf } from "../compile-bundle.ts";
import type { BundleOptions, BundleSpec, BundleTarget, ClusterFacts, TargetResult } from "../bundle.ts";
import { matchesCluster } from "./match.ts";
import { mergeOptions } from "./merge.ts";
import { newFiller, type Filler } from "./fill.ts";

export type TargeterOptions = {
  /** As Fleet: its quirks too. A cluster without labels gets its templates unfilled, an absent value is `<no value>`. */
  readonly strict?: boolean;
};

export type Targeter = (cluster: ClusterFacts) => TargetResult;

/**
 * Says for each cluster what a bundle is for it. All that does not depend on the cluster is done once for the bundle, and what two
 * clusters share is one object: options without a template are equal by reference.
 */
export function newTargeter(spec: BundleSpec, { strict = false }: TargeterOptions = {}): Targeter {
  const targets = (spec.targets ?? []).map((target, index) => ({ target, index }));
  const restrictions = spec.targetRestrictions ?? [];
  // Which entries are customizations is a matter of position (fleet.md 2.6).
  const customizationCount =
    restrictions.length === 0 ? 0 : Math.max(targets.length - restrictions.length, 0);
  const customizations = targets.slice(0, customizationCount);
  const real = targets.slice(customizationCount);
  const variants = newVariants(spec, strict);
  return (cluster) => {
    const found = real.find(
      ({ target }) =>
        matchesCluster(target, cluster) &&
        (restrictions.length === 0 || restrictions.some((entry) => matchesCluster(entry, cluster))),
    );
    if (found === undefined) return { deploys: false, why: "no target matches it" };
    if (found.target.doNotDeploy === true) return kept(found.target, found.index);
    const chosen = choose(customizations, cluster, spec.targetCustomizationMode === "AllMatches");
    const stop = chosen.find(({ target }) => target.doNotDeploy === true);
    if (stop !== undefined) return kept(stop.target, stop.index);
    const isAll = spec.targetCustomizationMode === "AllMatches";
    const merged = isAll || chosen.length === 0 ? [found, ...chosen] : chosen;
    const target = found.target.name ?? `target${String(found.index).padStart(3, "0")}`;
    return filled(variants(merged), { cluster, target });
  };
}

type Entry = { readonly target: BundleTarget; readonly index: number };

function choose(entries: readonly Entry[], cluster: ClusterFacts, isAll: boolean): readonly Entry[] {
  if (isAll) return entries.filter(({ target }) => matchesCluster(target, cluster));
  const first = entries.find(({ target }) => matchesCluster(target, cluster));
  return first === undefined ? [] : [first];
}

function kept(target: BundleTarget, index: number): TargetResult {
  return { deploys: false, why: `${target.name ?? `target ${index}`} says doNotDeploy` };
}

function filled(
  fill: Filler,
  { cluster, target }: { readonly cluster: ClusterFacts; readonly target: string },
): TargetResult {
  try {
    return { deploys: true, target, options: fill(cluster) };
  } catch (error) {
    if (!(error instanceof StatusError)) throw error;
    return { deploys: "failed", message: `cluster ${cluster.namespace}/${cluster.name}: ${error.message}` };
  }
}

/** Merged options by the entries that they come of, made when the first cluster wants them. */
function newVariants(spec: BundleSpec, strict: boolean): (entries: readonly Entry[]) => Filler {
  const variants = new Map<string, Filler>();
  const base = strict ? withEveryNamespaceMark(spec) : bundleOptionsOf(spec);
  return (entries) => {
    const key = entries.map(({ index }) => index).join(",");
    const known = variants.get(key);
    if (known !== undefined) return known;
    let over: BundleOptions = {};
    for (const { target } of entries) over = mergeOptions(over, customizable(target), { strict });
    const fill = newFiller(mergeOptions(base, over, { strict }), { strict });
    variants.set(key, fill);
    return fill;
  };
}

/** What a target may set; the rest of its options is Fleet's to ignore. */
function customizable(target: BundleTarget): BundleOptions {
  const {
    deleteNamespace: _deleteNamespace,
    deleteCRDResources: _deleteCRDResources,
    ignore: _ignore,
    helm,
    ...options
  } = bundleOptionsOf(target);
  if (helm === undefined) return options;
  const {
    maxHistory: _maxHistory,
    skipSchemaValidation: _skipSchemaValidation,
    disableDependencyUpdate: _disableDependencyUpdate,
    ...rest
  } = helm;
  return { ...options, helm: rest };
}

/** Fleet's quirk: labels and annotations of the namespace come of every entry, whether it matches or not (fleet.md 2.3). */
function withEveryNamespaceMark(spec: BundleSpec): BundleOptions {
  const options = bundleOptionsOf(spec);
  const all = [spec, ...(spec.targets ?? [])];
  const marks = (key: "namespaceLabels" | "namespaceAnnotations"): object => {
    if (all.every((one) => one[key] === undefined)) return {};
    return { [key]: Object.assign({}, ...all.map((one) => one[key])) as Record<string, string> };
  };
  return { ...options, ...marks("namespaceLabels"), ...marks("namespaceAnnotations") };
}
