import { keyOfNeed } from "../../compile/values-from.ts";
import type { ValuesNeed } from "../../protocol/protocol.ts";
import type { Core } from "../core.ts";
import type { StoreRow } from "../state/stores.ts";
import type { Generation } from "./generations.ts";
import type { BundleRow } from "./row.ts";

/** What stores are to tell of their own ConfigMaps and Secrets, for every generation of their bundles that is open. */
export class Needs {
  readonly #core: Core;
  readonly #rows: ReadonlyMap<string, BundleRow>;

  constructor(core: Core, rows: ReadonlyMap<string, BundleRow>) {
    this.#core = core;
    this.#rows = rows;
  }

  of(store: StoreRow): readonly ValuesNeed[] {
    const found = new Map<string, ValuesNeed>();
    for (const { generation } of this.#openedFor(store))
      for (const need of generation.needsOf(store)) found.set(keyOfNeed(need), need);
    return [...found.values()];
  }

  /** Bundles that need this of a store. */
  usersOf(store: StoreRow, need: ValuesNeed): ReadonlySet<string> {
    const key = keyOfNeed(need);
    const users = [...this.#openedFor(store)].filter(({ generation }) =>
      generation.needsOf(store).some((one) => keyOfNeed(one) === key),
    );
    return new Set(users.map(({ bundle }) => bundle));
  }

  *#openedFor(store: StoreRow): Iterable<{ readonly bundle: string; readonly generation: Generation }> {
    const { cells, bundles: index } = this.#core;
    for (const cell of cells.ofCluster(store.index)) {
      const bundle = index.keyOf(cells.read(cell).bundle);
      for (const generation of this.#rows.get(bundle)?.opened.values() ?? []) yield { bundle, generation };
    }
  }
}
