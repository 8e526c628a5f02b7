import type { Bundle } from "@cortado/kinds/fleet";
import type { Desired, DesiredBundle, DependsOn } from "../../protocol/protocol.ts";
import { applyLimits, type ApplyLimits } from "../../rules/rules.ts";
import type { Core } from "../core.ts";
import { REPLACES_ANNOTATION, REPO_LABEL } from "../sources/bundle-plan.ts";
import { whyHeld } from "../holds/holds.ts";
import type { StoreRow } from "../state/stores.ts";

export type DesiredPorts = {
  readonly core: Core;
  readonly bundleAt: (key: string) => Bundle | undefined;
  /** Whether the cells of the namespace are all that there is. */
  readonly isComplete: (namespace: string) => boolean;
};

/**
 * What a store should have, as far as it changed after a revision; undefined: nothing did. Everything is told to a store that
 * knows another past, and only when the hub knows all of it: what a full message does not name is removed.
 */
export function desiredFor(
  { core, bundleAt, isComplete }: DesiredPorts,
  row: StoreRow,
  after: number,
): Desired | undefined {
  const { cells, bundles, variants } = core;
  const knowsPast = after >= row.fullFrom && after <= row.revision && after > 0;
  if (knowsPast && after === row.revision) return undefined;
  const told: DesiredBundle[] = [];
  const kept: string[] = [];
  let isWhole = row.unlooked.size === 0 && isComplete(row.cluster.namespace);
  for (const cell of cells.ofCluster(row.index)) {
    const { released, bundle } = cells.read(cell);
    const key = bundles.keyOf(bundle);
    const variant = variants.get(released);
    const object = bundleAt(key);
    if (variant === undefined && object !== undefined && row.knows?.includes("kept") === true) {
      kept.push(object.metadata.name ?? "");
      continue;
    }
    if (variant === undefined || object === undefined) {
      isWhole = false;
      continue;
    }
    if (knowsPast && cells.changedAt(cell) <= after) continue;
    told.push({
      name: object.metadata.name ?? "",
      namespace: object.metadata.namespace ?? "",
      labels: object.metadata.labels ?? {},
      deploymentId: variant.deploymentId,
      options: { ...variant.options, ...limitsOf(core, object) },
      dependsOn: (object.spec?.["dependsOn"] ?? []) as readonly DependsOn[],
      paused: object.spec?.paused === true || whyHeld(row, object.metadata.name ?? "", core.windows) !== "",
      chunks: variant.chunks,
      forceSyncGeneration: variant.forceSyncGeneration,
      ...replacing(object),
    });
  }
  if (!knowsPast) begin(row, isWhole);
  return {
    type: "desired",
    revision: row.revision,
    full: !knowsPast && isWhole,
    bundles: told,
    gone: [],
    ...(kept.length === 0 ? {} : { kept }),
  };
}

function replacing({ metadata }: Bundle): Pick<DesiredBundle, "replaces"> {
  const name = metadata.annotations?.[REPLACES_ANNOTATION];
  return name === undefined ? {} : { replaces: [name] };
}

/** What rules say of a bundle is for the store to heed, and makes it no other bundle. */
function limitsOf(core: Core, { metadata }: Bundle): ApplyLimits {
  return applyLimits(core.rules.of(metadata.namespace ?? ""), metadata.labels?.[REPO_LABEL] !== undefined);
}

/** A past that was told only in part is told again. */
function begin(row: StoreRow, isWhole: boolean): void {
  if (!isWhole) row.fullFrom = row.revision + 1;
  else if (row.revision < row.fullFrom) row.revision = row.fullFrom;
}
