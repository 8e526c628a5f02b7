import type { StoreRow } from "../state/stores.ts";
import type { Windows } from "./windows.ts";

/** What people said of one bundle in one store, kept in its Cluster: a BundleDeployment is a view and keeps nothing. */
export const OVERRIDES_ANNOTATION = "fleet.cortado.dev/overrides";

export type Override = { readonly paused?: boolean };
export type Overrides = Readonly<Record<string, Override>>;

const none: Overrides = {};

/** Reads the annotation; what cannot be read says nothing. */
export function readOverrides(annotations: Readonly<Record<string, string>> | undefined): Overrides {
  // Asked for each store and bundle at each look: nearly all have none.
  const text = annotations?.[OVERRIDES_ANNOTATION];
  if (text === undefined) return none;
  try {
    const read = JSON.parse(text) as unknown;
    return typeof read === "object" && read !== null ? (read as Overrides) : none;
  } catch {
    return none;
  }
}

/** Why a store does nothing about a bundle for now, though it may be heard; empty: it does. */
export function whyHeld(row: StoreRow, bundle: string, windows: Windows): string {
  if (row.isPaused) return `Cluster ${row.cluster.name} is paused`;
  if (readOverrides(row.facts.annotations)[bundle]?.paused === true)
    return `BundleDeployment ${bundle} of this store is paused`;
  const { isClosed, schedules } = windows.of(row.key);
  return isClosed ? `outside of the window of Schedule ${schedules.join(", ")}` : "";
}
