import { StatusError } from "@cortado/std/status";
import type { BundleTarget, TargetMatch } from "./bundle.ts";
import type { FleetYamlFile } from "./fleet-yaml/fleet-yaml.ts";
import type { Translated } from "./fleet-yaml/dialect.ts";

export type TargetList = {
  readonly targets: readonly BundleTarget[];
  readonly targetRestrictions?: readonly TargetMatch[];
};

/** The customization that keeps out whom no target of the guide's dialect names. */
export const ELSEWHERE = "no-target-of-fleet-yaml";

/** What Fleet takes for a GitRepo that names no target. */
export const defaultTargets: readonly TargetMatch[] = [{ name: "default", clusterGroup: "default" }];

export type TargetSources = {
  readonly file: FleetYamlFile;
  readonly translated: Translated;
  /** Of the GitRepo or of a targets file. */
  readonly given: readonly TargetMatch[];
  /** There is no GitRepo: `fleet apply` by hand, where targets of fleet.yaml are targets. */
  readonly isByHand: boolean;
};

/** Targets of a Bundle in Fleet's order: customizations first, then the real ones, which are also the restrictions (fleet.md 2.6). */
export function targetList({ file, translated, given, isByHand }: TargetSources): TargetList {
  const { targets, customizations, isDialect } = translated;
  const entries = [...targets, ...customizations].map(withName);
  const { overrideTargets } = file.value;
  if (isDialect && targets.length > 0) return dialectList({ file, entries, real: overrideTargets ?? given });
  const fallback = isByHand ? [] : defaultTargets;
  const real = overrideTargets ?? (given.length === 0 ? fallback : given);
  if (entries.length + real.length === 0) return { targets: defaultTargets };
  return { targets: [...entries, ...real], ...(real.length === 0 ? {} : { targetRestrictions: real }) };
}

function dialectList({
  file,
  entries,
  real,
}: {
  readonly file: FleetYamlFile;
  readonly entries: readonly BundleTarget[];
  readonly real: readonly TargetMatch[];
}): TargetList {
  if (real.length === 0) return { targets: entries };
  if (file.value.targetCustomizationMode === "AllMatches")
    throw new StatusError(
      "Invalid",
      file.at(
        ["targetCustomizationMode"],
        "AllMatches cannot stand beside a list of files in yaml when the GitRepo has targets; use FirstMatch",
      ),
    );
  const rest: BundleTarget = { name: ELSEWHERE, clusterSelector: {}, doNotDeploy: true };
  return { targets: [...entries, rest, ...real], targetRestrictions: real };
}

function withName<Target extends TargetMatch>(target: Target, index: number): Target {
  return target.name === undefined ? { ...target, name: `target${String(index).padStart(3, "0")}` } : target;
}
