import type { Stored } from "@cortado/client";
import type { GitRepo } from "@cortado/kinds/fleet";
import type { CompileOptions } from "../compile/bundle.ts";
import { REPO_LABEL } from "../hub/sources/bundle-plan.ts";

/** What a GitRepo says of how its repository is compiled. */
export function compileOptions(
  { spec, metadata }: Stored<GitRepo>,
  { commit, strict }: { readonly commit: string; readonly strict: boolean },
): CompileOptions {
  return {
    repo: metadata.name,
    commit,
    strict,
    labels: { ...withoutFleet(metadata.labels ?? {}), [REPO_LABEL]: metadata.name },
    paths: spec.paths ?? [],
    bundles: (spec.bundles ?? []).map(({ base = "", options }) =>
      options === undefined ? { base } : { base, options },
    ),
    targets: (spec.targets ?? []) as NonNullable<CompileOptions["targets"]>,
    paused: spec.paused === true,
    keepResources: spec.keepResources === true,
    deleteNamespace: spec.deleteNamespace === true,
    forceSyncGeneration: spec.forceSyncGeneration ?? 0,
    ...(spec.targetNamespace === undefined ? {} : { targetNamespace: spec.targetNamespace }),
    ...(spec.serviceAccount === undefined ? {} : { serviceAccount: spec.serviceAccount }),
    ...(spec.correctDrift === undefined ? {} : { correctDrift: spec.correctDrift }),
  };
}

function withoutFleet(labels: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(labels).filter(([name]) => !name.includes("cattle.io")));
}
