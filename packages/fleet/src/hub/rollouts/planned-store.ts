import type { RolloutStore } from "../../rollout/rollout.ts";
import type { Core } from "../core.ts";
import { whyHeld } from "../holds/holds.ts";
import type { StoreRow } from "../state/stores.ts";
import type { BundleRow } from "./row.ts";
import type { Variant } from "./variants.ts";

/** A store as the plan sees it; `released` is the generation that it may run. */
export function plannedStore(
  { cells, heard, windows }: Core,
  bundle: BundleRow,
  of: {
    readonly row: StoreRow;
    readonly cell: number;
    readonly released: number;
    /** Of the newest generation; undefined: it waits for what the store tells. */
    readonly variant: Variant | undefined;
  },
): RolloutStore {
  const { row: store, cell, released, variant } = of;
  const now = cells.read(cell);
  const isApplied = now.released !== 0 && now.applied === now.released && now.generation === released;
  const isReady = isApplied && (now.state === "Ready" || now.state === "OutOfSync");
  // Who may do nothing now is nobody's delay: as a dark store, and with its full time once it may.
  const held = whyHeld(store, bundle.name, windows);
  const { timeoutSeconds = 0 } = variant?.options ?? {};
  const told = now.message === "" ? now.state : now.message;
  return {
    key: store.key,
    labels: store.labels,
    isHeard: heard.isHeard(store.index) && held === "",
    released,
    ready: isReady ? released : 0,
    message: held === "" ? told : held,
    groups: store.facts.groups,
    ...(timeoutSeconds > 0 ? { deadlineMs: timeoutSeconds * 1_000 } : {}),
    isNew: bundle.newcomers.has(store.key),
    heardSinceMs: Math.max(store.heardSinceMs, windows.of(store.key).openSinceMs),
  };
}
