import type { Core } from "../core.ts";
import type { StoreRow } from "../state/stores.ts";

/**
 * The Bundle that a store means by a name: agents know bundles by name alone. One of the store's own namespace comes first; two of one
 * name never go to one store.
 */
export function toldBundle({ bundles, cells }: Core, row: StoreRow, name: string): string {
  const own = `${row.cluster.namespace}/${name}`;
  const number = bundles.find(own);
  if (number !== undefined && cells.find(row.index, number) !== 0) return own;
  for (const cell of cells.ofCluster(row.index)) {
    const key = bundles.keyOf(cells.read(cell).bundle);
    if (key.slice(key.indexOf("/") + 1) === name) return key;
  }
  return own;
}

/** Another Bundle of that name that the store has or is to have, and that comes first; undefined: none. */
export function clashingBundle(core: Core, row: StoreRow, key: string): string | undefined {
  const name = key.slice(key.indexOf("/") + 1);
  const own = `${row.cluster.namespace}/${name}`;
  if (key === own) return undefined;
  for (const cell of core.cells.ofCluster(row.index)) {
    const other = core.bundles.keyOf(core.cells.read(cell).bundle);
    const isNamesake = other !== key && other.slice(other.indexOf("/") + 1) === name;
    if (isNamesake && (other === own || other < key)) return other;
  }
  return undefined;
}
