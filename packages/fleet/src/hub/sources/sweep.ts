import type { Informer } from "@cortado/client/informer";
import type { Bundle } from "@cortado/kinds/fleet";
import { hasReason } from "@cortado/std/status";
import type { Core } from "../core.ts";
import type { Rollouts } from "../rollouts/rollouts.ts";
import type { Blobs } from "./blobs.ts";

export type SweepParts = {
  readonly core: Core;
  readonly blobs: Blobs;
  readonly rollouts: Rollouts;
  readonly bundles: Informer<Bundle>;
};

/**
 * Removes from the hub's disk what no generation, no store and no Bundle needs any more. Does nothing until every bundle was looked at, and
 * nothing when a source cannot be read: what is not known to be unneeded stays.
 */
export async function sweepContent({
  core,
  blobs,
  rollouts,
  bundles,
}: SweepParts): Promise<{ readonly removed: number }> {
  if (!rollouts.isWhole) return { removed: 0 };
  const needed = new Set<string>();
  for (const { source } of [...rollouts.entries()]) {
    needed.add(source);
    const files = await filesOf(blobs, source);
    if (files !== undefined) needed.add(files);
  }
  for (const { spec } of bundles.list())
    if (spec?.contentsId?.startsWith("s-") === true) needed.add(spec.contentsId.slice(2));
  // Asked at the moment they count: generations and stores go on meanwhile.
  const isKept = (bundle: string, sum: string): boolean => rollouts.hasGeneration(bundle, sum);
  for (const chunk of await core.variants.sweep({ isKept, inUse: () => variantsInUse(core) }))
    needed.add(chunk);
  return { removed: await blobs.sweep((name) => needed.has(name)) };
}

/** Where the files of a generation are that were too many for its Bundle. */
async function filesOf(blobs: Blobs, source: string): Promise<string | undefined> {
  try {
    const { spec } = JSON.parse(new TextDecoder().decode(await blobs.get(source))) as {
      readonly spec: { readonly contentsId?: string };
    };
    return spec.contentsId?.startsWith("s-") === true ? spec.contentsId.slice(2) : undefined;
  } catch (error) {
    if (hasReason(error, "NotFound")) return undefined;
    throw error;
  }
}

function variantsInUse({ cells, stores }: Core): ReadonlySet<number> {
  const inUse = new Set<number>();
  for (const row of stores.all())
    for (const cell of cells.ofCluster(row.index)) {
      const { wanted, released, applied } = cells.read(cell);
      for (const number of [wanted, released, applied]) inUse.add(number);
    }
  return inUse;
}
