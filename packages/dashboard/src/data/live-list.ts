import { AGAIN_FIRST_MS, AGAIN_MAX_MS, FIRST_PAGE, NEXT_PAGES, SHOW_EVERY_MS } from "../limits.ts";
import { keyOf, type Api, type ApiObject, type Timing } from "./api.ts";

export type ListState =
  | { readonly kind: "loading"; readonly known: number; readonly total: number }
  | { readonly kind: "live" }
  | { readonly kind: "lost"; readonly sinceMs: number; readonly why: string };

type Page = {
  readonly metadata: {
    readonly resourceVersion: string;
    readonly continue?: string;
    readonly remainingItemCount?: number;
  };
  readonly items: readonly ApiObject[];
};
type Change = {
  readonly type: "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK" | "ERROR";
  readonly object: ApiObject & { readonly message?: string };
};

export type LiveOptions<Row> = {
  readonly api: Api;
  readonly timing: Timing;
  /** Such as "/apis/fleet.cattle.io/v1alpha1/clusters". */
  readonly path: string;
  /** Only what is shown is kept of an object: ten thousand of them are looked at. */
  readonly toRow: (object: ApiObject) => Row;
  readonly changed: () => void;
  readonly signal: AbortSignal;
};

/** Rows of one kind, kept true by list and watch. The first page is shown while the others come. */
export class LiveList<Row> {
  readonly #options: LiveOptions<Row>;
  #rows: Map<string, Row> = new Map();
  #state: ListState = { kind: "loading", known: 0, total: 0 };
  #version = 0;
  #isTelling = false;

  constructor(options: LiveOptions<Row>) {
    this.#options = options;
    void this.#run();
  }

  get rows(): ReadonlyMap<string, Row> {
    return this.#rows;
  }

  get state(): ListState {
    return this.#state;
  }

  /** Counts up with each change of a row: what is made of all rows is made anew only then. */
  get version(): number {
    return this.#version;
  }

  async #run(): Promise<void> {
    const { timing, signal } = this.#options;
    for (let failures = 0; !signal.aborted; failures += 1) {
      try {
        let resourceVersion = await this.#list();
        failures = 0;
        while (!signal.aborted) resourceVersion = await this.#watch(resourceVersion);
      } catch (error) {
        if (signal.aborted) return;
        const why = error instanceof Error ? error.message : String(error);
        if (this.#state.kind !== "lost") this.#state = { kind: "lost", sinceMs: timing.nowMs(), why };
        this.#tell();
        const waitMs = Math.min(AGAIN_MAX_MS, AGAIN_FIRST_MS * 2 ** failures);
        await timing.sleep(waitMs, signal).catch(() => undefined);
      }
    }
  }

  /** What was known stays to be seen until the new list is whole. */
  async #list(): Promise<string> {
    const { api, path, toRow } = this.#options;
    const isFirst = this.#rows.size === 0;
    const rows = isFirst ? this.#rows : new Map<string, Row>();
    let more: string | undefined;
    for (;;) {
      const limit = String(more === undefined ? FIRST_PAGE : NEXT_PAGES);
      const query = more === undefined ? { limit } : { limit, continue: more };
      const { metadata, items } = (await api.get(path, query)) as Page;
      for (const item of items) rows.set(keyOf(item), toRow(item));
      more = metadata.continue;
      const isLast = more === undefined || more === "";
      this.#rows = isFirst || isLast ? rows : this.#rows;
      this.#state = isLast
        ? { kind: "live" }
        : { kind: "loading", known: rows.size, total: rows.size + (metadata.remainingItemCount ?? 0) };
      this.#changed();
      if (isLast) return metadata.resourceVersion;
    }
  }

  async #watch(from: string): Promise<string> {
    const { api, path, toRow, signal } = this.#options;
    let resourceVersion = from;
    const query = { watch: "1", resourceVersion, allowWatchBookmarks: "true" };
    for await (const line of api.lines(path, query, signal)) {
      const { type, object } = line as Change;
      if (type === "ERROR") throw new Error(object.message ?? "the watch ended with an error");
      resourceVersion = object.metadata.resourceVersion ?? resourceVersion;
      if (type === "BOOKMARK") continue;
      if (type === "DELETED") this.#rows.delete(keyOf(object));
      else this.#rows.set(keyOf(object), toRow(object));
      this.#changed();
    }
    return resourceVersion;
  }

  #changed(): void {
    this.#version += 1;
    this.#tell();
  }

  #tell(): void {
    if (this.#isTelling) return;
    this.#isTelling = true;
    const { timing, signal, changed } = this.#options;
    const wait = this.#version <= 1 ? 0 : SHOW_EVERY_MS;
    void timing
      .sleep(wait, signal)
      .then(() => {
        this.#isTelling = false;
        changed();
      })
      .catch(() => undefined);
  }
}
