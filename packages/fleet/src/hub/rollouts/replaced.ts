import { bundles, type Bundle } from "@cortado/kinds/fleet";
import { hasReason } from "@cortado/std/status";
import type { Core } from "../core.ts";
import { REPLACED_BY_ANNOTATION, REPLACES_ANNOTATION } from "../sources/bundle-plan.ts";
import type { StoreRow } from "../state/stores.ts";

/** The Bundle that takes the place of this one; undefined: none. */
export function successorOf({ metadata }: Bundle): string | undefined {
  const name = metadata.annotations?.[REPLACED_BY_ANNOTATION];
  return name === undefined ? undefined : `${metadata.namespace ?? ""}/${name}`;
}

/** The Bundle whose place this one takes; undefined: none. */
export function predecessorOf({ metadata }: Bundle): string | undefined {
  const name = metadata.annotations?.[REPLACES_ANNOTATION];
  return name === undefined ? undefined : `${metadata.namespace ?? ""}/${name}`;
}

/** Whether the other has come to the store, so that this one goes from there; one that is not for the store at all has, too. */
export function isHandedOver({ bundles: index, cells }: Core, row: StoreRow, successor: string): boolean {
  const number = index.find(successor);
  const cell = number === undefined ? 0 : cells.find(row.index, number);
  return cell === 0 || cells.read(cell).released !== 0;
}

/** Removes it, as every store has the other in its place. */
export async function retire({ ports, signal }: Core, { metadata }: Bundle): Promise<void> {
  const { namespace = "", name = "", uid = "" } = metadata;
  await ports.client
    .delete(bundles, { namespace, name, preconditions: { uid }, signal })
    .catch((error: unknown) => {
      if (!hasReason(error, "NotFound", "Conflict")) throw error;
    });
}
