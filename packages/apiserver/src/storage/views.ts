import type { KeyValue, ListQuery, ListResult, Revision, Store, StoreEvent } from "@cortado/store";
import type { WatchQuery, Write, WriteResult } from "@cortado/store";
import { StatusError } from "@cortado/std/status";
import { decodeJson, encodeJson } from "@cortado/wire/json";
import type { Tree } from "@cortado/kinds/tree";
import { VIEW_EVENTS_KEPT, VIEW_EVENTS_READ, VIEW_EVENTS_WAITING_MAX } from "../limits.ts";
import type { View, ViewChange, ViewItem } from "../ports.ts";

/**
 * A store in which some prefixes are computed by views and the rest is stored. Verbs see no difference: a view's objects get,
 * list, watch, patch and update. Its resourceVersions are revisions of the store beneath, so that all of them compare.
 */
export function withViews(store: Store, views: readonly View[]): Store {
  return views.length === 0 ? store : new ViewedStore(store, views);
}

class ViewedStore implements Store {
  readonly #store: Store;
  readonly #views: readonly Viewed[];

  constructor(store: Store, views: readonly View[]) {
    this.#store = store;
    this.#views = views.map((view) => new Viewed(store, view));
  }

  get revision(): Revision {
    return this.#store.revision;
  }

  get compacted(): Revision {
    return this.#store.compacted;
  }

  #of(key: string): Viewed | undefined {
    return this.#views.find((view) => key.startsWith(view.prefix));
  }

  get(key: string): Promise<KeyValue | undefined> {
    return this.#of(key)?.get(key) ?? this.#store.get(key);
  }

  list(query: ListQuery): Promise<ListResult> {
    return this.#of(query.prefix)?.list(query) ?? this.#store.list(query);
  }

  write(write: Write): Promise<WriteResult> {
    return this.#of(write.key)?.write(write) ?? this.#store.write(write);
  }

  watch(query: WatchQuery): AsyncIterable<readonly StoreEvent[]> {
    return this.#of(query.prefix)?.watch(query) ?? this.#store.watch(query);
  }

  compact(revision: Revision): Promise<void> {
    return this.#store.compact(revision);
  }

  /** The store beneath is its owner's to close. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const view of this.#views) view[Symbol.dispose]();
    await Promise.resolve();
  }
}

/** A change and the store's revision when it was told: whoever listed at that revision or before has not seen it. */
type Told = { readonly at: Revision; readonly change: ViewChange };

class Viewed implements Disposable {
  readonly prefix: string;
  readonly #store: Store;
  readonly #view: View;
  readonly #told: Told[] = [];
  readonly #watchers = new Set<(change: ViewChange) => void>();
  readonly #following: Disposable;
  #floor: Revision;

  constructor(store: Store, view: View) {
    this.prefix = `/registry/${view.group}/${view.plural}/`;
    this.#store = store;
    this.#view = view;
    this.#floor = store.revision;
    this.#following = view.changes((change) => this.#tell(change));
  }

  // Objects are computed when somebody reads the change: most are told to nobody.
  #tell(change: ViewChange): void {
    this.#told.push({ at: this.#store.revision, change });
    if (this.#told.length > VIEW_EVENTS_KEPT)
      this.#floor = ((this.#told.shift()?.at ?? this.#floor) + 1) as Revision;
    for (const tell of this.#watchers) tell(change);
  }

  async #events(changes: readonly ViewChange[]): Promise<readonly StoreEvent[]> {
    const events: StoreEvent[] = [];
    for (const change of changes) {
      const item = change.kind === "gone" ? change.item : await this.#view.get(change.key);
      if (item === undefined) continue; // gone since; that is told too
      const now = this.#keyValue(item);
      const previous = change.kind === "added" ? undefined : now;
      const { key, value, modified: revision, created } = now;
      events.push({
        kind: change.kind === "gone" ? "delete" : "put",
        key,
        value,
        revision,
        created,
        previous,
      });
    }
    return events;
  }

  #keyValue(item: ViewItem): KeyValue {
    const revision = Math.max(1, item.revision) as Revision;
    const { apiVersion, kind, metadata, ...rest } = item.object;
    const { resourceVersion: _version, ...meta } = metadata as Tree;
    const value = encodeJson({ apiVersion, kind, metadata: meta, ...rest });
    return { key: this.prefix + item.key, value, modified: revision, created: revision };
  }

  async get(key: string): Promise<KeyValue | undefined> {
    const item = await this.#view.get(key.slice(this.prefix.length));
    return item === undefined ? undefined : this.#keyValue(item);
  }

  /** A view has no past: pages of an older revision answer what is true now, and the watch from there tells what changed. */
  async list({ prefix, after, limit, at }: ListQuery): Promise<ListResult> {
    const revision = at ?? this.#store.revision;
    const page = await this.#view.list({
      prefix: prefix.slice(this.prefix.length),
      after: after === undefined ? undefined : after.slice(this.prefix.length),
      limit,
    });
    return { items: page.items.map((item) => this.#keyValue(item)), revision, remaining: page.remaining };
  }

  async write(write: Write): Promise<WriteResult> {
    const key = write.key.slice(this.prefix.length);
    const about = `${this.#view.plural}.${this.#view.group}`;
    const current = await this.#view.get(key);
    if (write.kind === "delete" || current === undefined || write.expect.kind === "absent")
      throw new StatusError(
        "MethodNotAllowed",
        `${about} are computed and cannot be ${write.kind === "delete" ? "deleted" : "created"}: ${this.#view.instead}`,
      );
    if (write.expect.kind === "modified" && write.expect.revision !== Math.max(1, current.revision))
      return { written: false, current: this.#keyValue(current) };
    const revision = await this.#view.put({
      key,
      object: decodeJson(write.value) as Tree,
      current: current.object,
    });
    return { written: true, revision: revision as Revision };
  }

  async *watch({ prefix, after, signal }: WatchQuery): AsyncGenerator<readonly StoreEvent[], void, void> {
    if (after < this.#floor)
      throw new StatusError("Expired", `revision ${after} of ${this.#view.plural} is forgotten; list again`);
    const inside = prefix.slice(this.prefix.length);
    const missed = this.#told.filter((one) => one.at >= after && one.change.key.startsWith(inside));
    const waiting = missed.map((one) => one.change);
    let wake: (() => void) | undefined;
    let isBehind = false;
    const tell = (change: ViewChange): void => {
      if (!change.key.startsWith(inside)) return;
      if (waiting.length >= VIEW_EVENTS_WAITING_MAX) isBehind = true;
      else waiting.push(change);
      wake?.();
    };
    const stop = (): void => wake?.();
    this.#watchers.add(tell);
    signal.addEventListener("abort", stop, { once: true });
    try {
      while (!signal.aborted) {
        if (isBehind)
          throw new StatusError("Expired", `the watch of ${this.#view.plural} fell behind; list again`);
        const events = await this.#events(waiting.splice(0, VIEW_EVENTS_READ));
        if (events.length > 0) yield events;
        else if (waiting.length === 0) await new Promise<void>((resolve) => (wake = resolve));
        wake = undefined;
      }
    } finally {
      this.#watchers.delete(tell);
      signal.removeEventListener("abort", stop);
    }
  }

  [Symbol.dispose](): void {
    this.#following[Symbol.dispose]();
  }
}
