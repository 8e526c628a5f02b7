import type { Bundle, BundleRollout } from "@cortado/kinds/fleet";
import type { RolloutPlan, RolloutRecord } from "../../rollout/rollout.ts";
import { toBitmap } from "./bitmap.ts";
import { controlOf } from "./control.ts";

export type RolloutRow = {
  readonly entries: BundleRollout["generations"];
  /** Generations of stores that are not at the base, by index. */
  readonly released: ReadonlyMap<number, number>;
};

export function keyOfBundle({ metadata }: Bundle): string {
  return `${metadata.namespace ?? ""}/${metadata.name ?? ""}`;
}

/** The record as it was kept. */
export function recordOf(rollout: BundleRollout): RolloutRecord {
  const { generation, base, open, openedAtMs, reason, drawn } = rollout;
  const phase = rollout.phase as RolloutRecord["phase"];
  return { generation, base, open, openedAtMs, phase, reason, ...(drawn === undefined ? {} : { drawn }) };
}

/** What is kept of a rollout in its Bundle. */
export function rolloutOf(
  row: RolloutRow,
  { record, waves, message }: RolloutPlan,
  bundle: Bundle,
): BundleRollout {
  const byGeneration = new Map<number, number[]>();
  for (const [index, generation] of row.released)
    byGeneration.set(generation, [...(byGeneration.get(generation) ?? []), index]);
  const { drawn, ...rest } = record;
  return {
    ...rest,
    ...(drawn === undefined ? {} : { drawn: { ...drawn, bounds: [...drawn.bounds] } }),
    message,
    waves: [...waves],
    generations: [...row.entries],
    released: [...byGeneration].map(([generation, stores]) => ({ generation, stores: toBitmap(stores) })),
    control: controlOf(bundle).text,
  };
}
