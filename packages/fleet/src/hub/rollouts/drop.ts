import { nextRevision, type Core } from "../core.ts";
import type { StoreRow } from "../state/stores.ts";
import type { BundleRow } from "./row.ts";

/** Takes a bundle from a store: what a full message does not name, it removes. */
export function dropCell(core: Core, { name }: BundleRow, store: StoreRow, cell: number): void {
  core.cells.remove(cell);
  store.fullFrom = nextRevision(core, store);
  store.status = {
    ...store.status,
    reports: (store.status.reports ?? []).filter((one) => one.bundle !== name),
  };
  store.connected?.tellDesired();
  void core.writeStore(store).catch(() => undefined);
}

/** Takes it from the clusters of namespaces that no mapping names any more. */
export function dropBeyond(core: Core, row: BundleRow, within: ReadonlySet<number>): void {
  const { cells, stores, bundles } = core;
  for (const cell of [...cells.ofBundle(bundles.numberOf(row.key))]) {
    const { cluster } = cells.read(cell);
    const store = stores.at(cluster);
    if (within.has(cluster) || store === undefined) continue;
    dropCell(core, row, store, cell);
    row.released.delete(cluster);
  }
}
