import { assert } from "@cortado/std/assert";
import { backoffMs } from "@cortado/std/backoff";
import type { Clock } from "@cortado/std/clock";
import type { Log } from "@cortado/std/log";
import { flatText } from "@cortado/std/flat-text";
import { hasReason } from "@cortado/std/status";
import type { KubeObject } from "@cortado/kinds";
import type { ResourceType } from "@cortado/kinds/resources";
import type { Change, Client, ListOf, Selection, Stored } from "./client.ts";
import { LIST_PAGE, RELIST_FIRST_MS, RELIST_MAX_MS, SEEN_MAX_MS } from "./limits.ts";

/** "namespace/name", or "name" of a kind without namespaces. */
export type Key = string;

export function keyOf(object: {
  readonly metadata?: { readonly name?: string; readonly namespace?: string };
}): Key {
  const { name = "", namespace } = object.metadata ?? {};
  return namespace === undefined || namespace === "" ? name : `${namespace}/${name}`;
}

export function splitKey(key: Key): { readonly name: string; readonly namespace: string } {
  const slash = key.indexOf("/");
  return { namespace: key.slice(0, Math.max(0, slash)), name: key.slice(slash + 1) };
}

export type InformerOptions<Kind extends KubeObject> = Selection & {
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
  /**
   * What the cache keeps of an object, where the whole is too much to hold; it has the same name. A listener is told the whole as it
   * changes; `old`, `get` and `list` answer what is kept.
   */
  readonly keep?: (object: Stored<Kind>) => Stored<Kind>;
  /**
   * Objects that the cache need not hold: they are told as they come, change (`old` is undefined) and go (`old` is the last there was).
   * Which of them went while no watch was up only `listed` can say.
   */
  readonly forget?: (object: Stored<Kind>) => boolean;
  /** Called after each list, with the uids of all that there is. */
  readonly listed?: (uids: ReadonlySet<string>) => void;
  /** Named functions from an object to the values it is found by. */
  readonly indexes?: Readonly<Record<string, (object: Stored<Kind>) => readonly string[]>>;
};

export type Notice<Kind extends KubeObject> = {
  readonly key: Key;
  readonly old: Stored<Kind> | undefined;
  readonly now: Stored<Kind> | undefined;
};

/**
 * A cache of one kind, kept true by list and watch. What it hands out is shared and frozen; a reader copies before changing.
 * After a failed watch it lists again, with back-off, and tells subscribers only what differs.
 */
export interface Informer<Kind extends KubeObject> {
  /** Resolves after the first list. Rejects only when the signal aborts before that. */
  readonly synced: Promise<void>;
  readonly isSynced: boolean;
  get(key: Key): Stored<Kind> | undefined;
  list(): Iterable<Stored<Kind>>;
  readonly size: number;
  /** Objects that the named index gives this value. */
  byIndex(index: string, value: string): readonly Stored<Kind>[];
  /**
   * Resolves when the cache has seen the write that gave this resourceVersion, so that a loop reads its own writes; also after
   * SEEN_MAX_MS, as the object may be outside the selection.
   */
  seen(resourceVersion: string): Promise<void>;
  /** Tells each change after it is in the cache, and first what is kept of each object already there. */
  subscribe(listener: (notice: Notice<Kind>) => void): Disposable;
}

export function startInformer<Kind extends KubeObject>(
  client: Client,
  type: ResourceType<Kind>,
  options: InformerOptions<Kind>,
): Informer<Kind> {
  const cache = new Cache<Kind>(options);
  let isSynced = false;
  const synced = new Promise<void>((resolve, reject) => {
    options.signal.addEventListener("abort", () => reject(options.signal.reason as Error), { once: true });
    void follow(client, type, options, cache, () => {
      isSynced = true;
      resolve();
    });
  });
  synced.catch(() => undefined); // a caller that stops before the first list need not wait for it
  return {
    synced,
    get isSynced() {
      return isSynced;
    },
    get: (key) => cache.objects.get(key),
    list: () => cache.objects.values(),
    get size() {
      return cache.objects.size;
    },
    byIndex: (index, value) => cache.byIndex(index, value),
    subscribe: (listener) => cache.subscribe(listener),
    seen: (resourceVersion) => cache.seen(Number(resourceVersion), options.clock),
  };
}

async function follow<Kind extends KubeObject>(
  client: Client,
  type: ResourceType<Kind>,
  options: InformerOptions<Kind>,
  cache: Cache<Kind>,
  onSynced: () => void,
): Promise<void> {
  const { signal, clock, log } = options;
  let failures = 0;
  while (!signal.aborted) {
    try {
      let resourceVersion = await relist(client, type, options, cache);
      onSynced();
      failures = 0;
      while (!signal.aborted)
        resourceVersion = await watchOnce(client, type, { ...options, resourceVersion }, cache);
    } catch (error) {
      if (signal.aborted) return;
      if (!hasReason(error, "Expired", "Gone"))
        log.warn("informer lists again", { resource: type.plural, error });
      const waitMs = backoffMs(failures, { firstMs: RELIST_FIRST_MS, maxMs: RELIST_MAX_MS });
      failures += 1;
      await clock.sleep(waitMs, { signal }).catch(() => undefined);
    }
  }
}

async function relist<Kind extends KubeObject>(
  client: Client,
  type: ResourceType<Kind>,
  options: InformerOptions<Kind>,
  cache: Cache<Kind>,
): Promise<string> {
  const { namespace, labelSelector, fieldSelector, signal } = options;
  const selection = {
    ...(namespace === undefined ? {} : { namespace }),
    ...(labelSelector === undefined ? {} : { labelSelector }),
    ...(fieldSelector === undefined ? {} : { fieldSelector }),
  };
  const listed = { keys: new Set<Key>(), uids: new Set<string>() };
  // In pages: of ten thousand objects the whole ones of one page are in memory at once, and what is kept of the others.
  let page: ListOf<Kind> | undefined;
  do {
    const from: string = page?.continue ?? "";
    const next = from === "" ? {} : { continue: from };
    page = await client.list(type, { ...selection, limit: LIST_PAGE, ...next, signal });
    for (const item of page.items) {
      listed.keys.add(cache.listed(item));
      if (options.listed !== undefined) listed.uids.add(item.metadata.uid);
    }
  } while ((page.continue ?? "") !== "");
  cache.keepOnly(listed.keys);
  options.listed?.(listed.uids);
  cache.reached(page.resourceVersion);
  return page.resourceVersion;
}

async function watchOnce<Kind extends KubeObject>(
  client: Client,
  type: ResourceType<Kind>,
  options: InformerOptions<Kind> & { readonly resourceVersion: string },
  cache: Cache<Kind>,
): Promise<string> {
  let { resourceVersion } = options;
  const { namespace, labelSelector, fieldSelector, signal } = options;
  const changes = client.watch(type, {
    resourceVersion,
    signal,
    ...(namespace === undefined ? {} : { namespace }),
    ...(labelSelector === undefined ? {} : { labelSelector }),
    ...(fieldSelector === undefined ? {} : { fieldSelector }),
  });
  for await (const change of changes) {
    resourceVersion = change.object.metadata.resourceVersion;
    cache.apply(change);
    cache.reached(resourceVersion);
  }
  return resourceVersion;
}

class Cache<Kind extends KubeObject> {
  readonly objects = new Map<Key, Stored<Kind>>();
  readonly #indexers: Readonly<Record<string, (object: Stored<Kind>) => readonly string[]>>;
  /** A value that one object has, as most do, is that object's key alone. */
  readonly #indexes = new Map<string, Map<string, Key | Set<Key>>>();
  readonly #keep: (object: Stored<Kind>) => Stored<Kind>;
  readonly #forget: (object: Stored<Kind>) => boolean;
  readonly #listeners = new Set<(notice: Notice<Kind>) => void>();
  readonly #waiters = new Set<{ readonly revision: number; readonly done: () => void }>();
  #reached = 0;

  constructor({
    indexes = {},
    keep = (object) => object,
    forget = () => false,
  }: Pick<InformerOptions<Kind>, "indexes" | "keep" | "forget">) {
    this.#indexers = indexes;
    this.#keep = keep;
    this.#forget = forget;
    for (const name of Object.keys(indexes)) this.#indexes.set(name, new Map());
  }

  /** Everything up to this resourceVersion is in the cache. */
  reached(resourceVersion: string): void {
    this.#reached = Math.max(this.#reached, Number(resourceVersion));
    for (const waiter of [...this.#waiters]) if (waiter.revision <= this.#reached) waiter.done();
  }

  seen(revision: number, clock: Clock): Promise<void> {
    if (revision <= this.#reached) return Promise.resolve();
    return new Promise((resolve) => {
      const waiter = { revision, done: () => settle() };
      const alarm = clock.after(SEEN_MAX_MS, () => settle());
      const settle = (): void => {
        alarm[Symbol.dispose]();
        this.#waiters.delete(waiter);
        resolve();
      };
      this.#waiters.add(waiter);
    });
  }

  subscribe(listener: (notice: Notice<Kind>) => void): Disposable {
    for (const [key, now] of this.objects) listener({ key, old: undefined, now });
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  byIndex(index: string, value: string): readonly Stored<Kind>[] {
    const values = this.#indexes.get(index);
    assert(values !== undefined, `the informer was made with an index ${index}`);
    return keysIn(values.get(value)).map((key) => this.objects.get(key) as Stored<Kind>);
  }

  /** Takes over an object of a list; answers its key. */
  listed(item: Stored<Kind>): Key {
    const key = keyOf(item);
    if (this.objects.get(key)?.metadata.resourceVersion !== item.metadata.resourceVersion)
      this.#set(key, item);
    return key;
  }

  /** The list is whole: what it did not have is gone. */
  keepOnly(listed: ReadonlySet<Key>): void {
    for (const key of [...this.objects.keys()]) if (!listed.has(key)) this.#set(key, undefined);
  }

  apply(change: Change<Kind>): void {
    if (change.type === "BOOKMARK") return;
    const key = keyOf(change.object);
    if (change.type !== "DELETED") this.#set(key, change.object);
    else this.#set(key, undefined, deepFreeze(this.#keep(deepFreeze(change.object))));
  }

  #set(key: Key, now: Stored<Kind> | undefined, last?: Stored<Kind>): void {
    const held = this.objects.get(key);
    // Of one that is not held the end is told with the last that is known of it.
    const old = held ?? (last !== undefined && this.#forget(last) ? last : undefined);
    if (old === undefined && now === undefined) return;
    const kept = now === undefined ? undefined : deepFreeze(this.#keep(deepFreeze(now)));
    // One text for all places that it is held in.
    const own = held === undefined ? flatText(key) : key;
    if (kept === undefined || this.#forget(kept)) this.objects.delete(key);
    else this.objects.set(own, kept);
    this.#reindex(own, held, now);
    for (const listener of this.#listeners) listener({ key: own, old, now });
  }

  #reindex(key: Key, old: Stored<Kind> | undefined, now: Stored<Kind> | undefined): void {
    for (const [name, indexer] of Object.entries(this.#indexers)) {
      const index = this.#indexes.get(name) as Map<string, Key | Set<Key>>;
      for (const value of old === undefined ? [] : indexer(old)) {
        const keys = index.get(value);
        if (keys === key) index.delete(value);
        if (keys === undefined || typeof keys === "string") continue;
        keys.delete(key);
        if (keys.size === 0) index.delete(value);
      }
      for (const value of now === undefined ? [] : indexer(now)) {
        const keys = index.get(value);
        if (keys === undefined) index.set(value, key);
        else if (typeof keys !== "string") keys.add(key);
        else if (keys !== key) index.set(value, new Set([keys, key]));
      }
    }
  }
}

function keysIn(keys: Key | ReadonlySet<Key> | undefined): readonly Key[] {
  if (keys === undefined) return [];
  return typeof keys === "string" ? [keys] : [...keys];
}

// Two loops of one process share what a cache hands out, so a write into it must fail at the writer, not at the reader.
function deepFreeze<Value>(value: Value): Value {
  if (typeof value !== "object" || value === null || Object.isFrozen(value)) return value;
  Object.freeze(value);
  for (const inner of Object.values(value)) deepFreeze(inner);
  return value;
}
