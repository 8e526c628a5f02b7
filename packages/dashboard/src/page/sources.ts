import type { Api, ApiObject, Timing } from "../data/api.ts";
import { LiveList } from "../data/live-list.ts";
import {
  toAlertRow,
  toBundleRow,
  toRepoRow,
  toStoreRow,
  type AlertRow,
  type BundleRow,
  type RepoRow,
  type StoreRow,
} from "../data/rows.ts";

const fleet = "/apis/fleet.cattle.io/v1alpha1";

/** The lists that pages show, each followed from the first time it is asked for. */
export class Sources {
  readonly api: Api;
  readonly timing: Timing;
  readonly #changed: () => void;
  readonly #lists: Map<string, LiveList<unknown>> = new Map();

  constructor(api: Api, timing: Timing, changed: () => void) {
    this.api = api;
    this.timing = timing;
    this.#changed = changed;
  }

  get stores(): LiveList<StoreRow> {
    return this.#list(`${fleet}/clusters`, toStoreRow);
  }

  get repos(): LiveList<RepoRow> {
    return this.#list(`${fleet}/gitrepos`, toRepoRow);
  }

  get bundles(): LiveList<BundleRow> {
    return this.#list(`${fleet}/bundles`, toBundleRow);
  }

  get alerts(): LiveList<AlertRow> {
    return this.#list("/apis/telemetry.cortado.dev/v1alpha1/alerts", toAlertRow);
  }

  #list<Row>(path: string, toRow: (object: ApiObject) => Row): LiveList<Row> {
    const known = this.#lists.get(path);
    if (known !== undefined) return known as LiveList<Row>;
    const { api, timing } = this;
    // For as long as the page is open.
    const { signal } = new AbortController();
    const list = new LiveList<Row>({ api, timing, path, toRow, changed: this.#changed, signal });
    this.#lists.set(path, list as LiveList<unknown>);
    return list;
  }
}
