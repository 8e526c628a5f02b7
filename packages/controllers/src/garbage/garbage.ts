import { keyOf } from "@cortado/client/informer";
import type { Stored } from "@cortado/client";
import { startInformer, type Informer } from "@cortado/client/informer";
import { done, startLoop, type Loop, type Outcome } from "@cortado/client/loop";
import type { KubeObject, OwnerReference } from "@cortado/kinds";
import { customResourceDefinitions, type ResourceType } from "@cortado/kinds/resources";
import { every } from "@cortado/std/clock";
import { hasReason } from "@cortado/std/status";
import type { Context } from "../context.ts";
import { listedResources } from "../discovery.ts";
import { GARBAGE_SCAN_MS, GARBAGE_START_MS, GARBAGE_WORDS_MAX } from "../limits.ts";

/**
 * Of a kind's first list, until all kinds that began with it are listed: whose owners were listed too need not be asked for one by one.
 */
type Start = { uids: Set<string>; readonly owned: string[]; isOver: boolean };
type Kept = { readonly resource: ResourceType; readonly cache: Informer<KubeObject>; readonly start: Start };
const foreground = "foregroundDeletion";
const orphan = "orphan";

/**
 * Deletes what its owners left behind, and carries out foreground and orphaning deletions. Watches every kind that the server
 * has, but for events, leases and what the server computes.
 */
export function startGarbageLoop(context: Context): Loop {
  const { clock, signal, log } = context;
  const kinds = new Map<string, Kept>();
  const words = new Words();
  const loop = startLoop({
    ...context,
    name: "garbage_collector",
    metrics: context.loopMetrics,
    workers: 3,
    reconcile: (key) => reconcile(key, context, kinds),
  });
  const follow = (): void => {
    followKinds({ context, kinds, loop, words }).catch((error: unknown) => {
      if (!signal.aborted) log.warn("kinds could not be listed for garbage collection", { error });
    });
  };
  follow();
  const crds = startInformer(context.client, customResourceDefinitions, { clock, log, signal });
  crds.subscribe(follow);
  const scan = every(clock, GARBAGE_SCAN_MS, follow);
  signal.addEventListener("abort", () => scan[Symbol.dispose](), { once: true });
  return loop;
}

const unowned = new Set(["events", "leases", "nodes", "namespaces"]);

type Following = {
  readonly context: Context;
  readonly kinds: Map<string, Kept>;
  readonly loop: Loop;
  readonly words: Words;
};

async function followKinds({ context, kinds, loop, words }: Following): Promise<void> {
  const { client, clock, log, signal } = context;
  const begun: Kept[] = [];
  for (const resource of await listedResources(client, signal)) {
    const id = idOf(resource);
    if (kinds.has(id) || unowned.has(resource.plural) || resource.group === "metrics.k8s.io") continue;
    const start: Start = { uids: new Set(), owned: [], isOver: false };
    const cache = startInformer(client, resource, {
      clock,
      log,
      signal,
      indexes: { owner: ownerUids },
      keep: (object) => onlyOwnership(object, words),
      forget: isItsOwn,
      listed(uids) {
        if (start.isOver) wakeAbandoned({ owners: resource, uids }, kinds, loop);
        else start.uids = new Set(uids);
      },
    });
    const kept = { resource, cache, start };
    kinds.set(id, kept);
    begun.push(kept);
    cache.subscribe(({ key, old, now }) => {
      if (now !== undefined && needsLook(now)) {
        if (cache.isSynced || now.metadata.deletionTimestamp !== undefined) loop.add(`${id}|${key}`);
        else start.owned.push(key);
      }
      if (now === undefined && old !== undefined) {
        start.uids.delete(old.metadata.uid);
        wakeDependents(old.metadata.uid, kinds, loop);
      }
      if (now?.metadata.deletionTimestamp !== undefined) wakeDependents(now.metadata.uid, kinds, loop);
      // An owner that waits for its dependents looks again when one of them is gone.
      if (now === undefined)
        for (const owner of old?.metadata.ownerReferences ?? []) wakeOwner(owner, old, kinds, loop);
    });
  }
  const synced = Promise.all(begun.map(({ cache }) => cache.synced));
  await Promise.race([synced, clock.sleep(GARBAGE_START_MS, { signal })]);
  for (const { resource, cache, start } of begun) {
    start.isOver = true;
    for (const key of start.owned.splice(0)) {
      const owners = cache.get(key)?.metadata.ownerReferences ?? [];
      if (!owners.every((owner) => findKind(owner, kinds)?.start.uids.has(owner.uid) === true))
        loop.add(`${idOf(resource)}|${key}`);
    }
  }
  for (const { start } of begun) start.uids = new Set();
}

/**
 * Of every object there is, only what says whose it is and whether it goes: the rest would be a second copy of the store. Words that
 * thousands have in common are held once.
 */
function onlyOwnership({ metadata }: Stored<KubeObject>, words: Words): Stored<KubeObject> {
  const { name, namespace, uid, resourceVersion, ownerReferences, finalizers, deletionTimestamp } = metadata;
  return {
    metadata: {
      name,
      ...(namespace === undefined ? {} : { namespace: words.one(namespace) }),
      uid,
      resourceVersion,
      ...(ownerReferences === undefined
        ? {}
        : { ownerReferences: ownerReferences.map((owner) => words.inReference(owner)) }),
      ...(finalizers === undefined ? {} : { finalizers }),
      ...(deletionTimestamp === undefined ? {} : { deletionTimestamp }),
    },
  } as Stored<KubeObject>;
}

/** Nobody's, and not going: nothing of it is needed until it goes. Most objects are such. */
function isItsOwn({ metadata }: KubeObject): boolean {
  const { ownerReferences = [], finalizers = [], deletionTimestamp } = metadata;
  return ownerReferences.length === 0 && finalizers.length === 0 && deletionTimestamp === undefined;
}

/** Owners of one kind were listed anew: of those that went unseen the dependents look. */
function wakeAbandoned(
  { owners, uids }: { readonly owners: ResourceType; readonly uids: ReadonlySet<string> },
  kinds: ReadonlyMap<string, Kept>,
  loop: Loop,
): void {
  for (const [id, { cache }] of kinds)
    for (const object of cache.list())
      for (const owner of object.metadata.ownerReferences ?? [])
        if (!uids.has(owner.uid) && findKind(owner, kinds)?.resource === owners)
          loop.add(`${id}|${keyOf(object)}`);
}

/** Words of references and namespaces: kinds and namespaces are few. */
class Words {
  readonly #known: Map<string, string> = new Map();

  one(word: string): string {
    const known = this.#known.get(word);
    if (known !== undefined) return known;
    if (this.#known.size >= GARBAGE_WORDS_MAX) this.#known.clear();
    this.#known.set(word, word);
    return word;
  }

  inReference({ apiVersion, kind, name, uid, ...more }: OwnerReference): OwnerReference {
    const reference = { apiVersion: this.one(apiVersion), kind: this.one(kind), name, uid };
    return Object.keys(more).length === 0 ? reference : { ...reference, ...more };
  }
}

function ownerUids(object: KubeObject): readonly string[] {
  return (object.metadata.ownerReferences ?? []).map((owner) => owner.uid);
}

function idOf(resource: { readonly group: string; readonly plural: string }): string {
  return resource.group === "" ? resource.plural : `${resource.plural}.${resource.group}`;
}

function needsLook(object: KubeObject): boolean {
  return (
    (object.metadata.ownerReferences?.length ?? 0) > 0 || object.metadata.deletionTimestamp !== undefined
  );
}

function wakeDependents(uid: string, kinds: ReadonlyMap<string, Kept>, loop: Loop): void {
  for (const { id, object } of dependentsOf(uid, kinds)) loop.add(`${id}|${keyOf(object)}`);
}

function* dependentsOf(
  uid: string,
  kinds: ReadonlyMap<string, Kept>,
): Iterable<Kept & { id: string; object: Stored<KubeObject> }> {
  for (const [id, kept] of kinds)
    for (const object of kept.cache.byIndex("owner", uid)) yield { ...kept, id, object };
}

function wakeOwner(
  owner: OwnerReference,
  dependent: KubeObject | undefined,
  kinds: ReadonlyMap<string, Kept>,
  loop: Loop,
): void {
  const kept = findKind(owner, kinds);
  if (kept === undefined) return;
  const namespace = kept.resource.namespaced ? `${dependent?.metadata.namespace}/` : "";
  loop.add(`${idOf(kept.resource)}|${namespace}${owner.name}`);
}

function findKind(owner: OwnerReference, kinds: ReadonlyMap<string, Kept>): Kept | undefined {
  const group = owner.apiVersion.includes("/") ? owner.apiVersion.split("/")[0] : "";
  for (const kept of kinds.values())
    if (kept.resource.kind === owner.kind && kept.resource.group === group) return kept;
  return undefined;
}

async function reconcile(key: string, context: Context, kinds: ReadonlyMap<string, Kept>): Promise<Outcome> {
  const bar = key.indexOf("|");
  const kept = kinds.get(key.slice(0, bar));
  const object = kept?.cache.get(key.slice(bar + 1));
  if (kept === undefined || object === undefined) return done;
  const finalizers = object.metadata.finalizers ?? [];
  if (object.metadata.deletionTimestamp !== undefined) {
    if (finalizers.includes(orphan)) await letDependentsGo(object, kept.resource, context, kinds);
    else if (finalizers.includes(foreground)) await endDependents(object, kept.resource, context, kinds);
    return done;
  }
  await endIfAbandoned(object, kept.resource, context, kinds);
  return done;
}

/** Deletes an object none of whose owners is left; the server is asked, as a cache may be behind. */
async function endIfAbandoned(
  object: Stored<KubeObject>,
  resource: ResourceType,
  context: Context,
  kinds: ReadonlyMap<string, Kept>,
): Promise<void> {
  const owners = object.metadata.ownerReferences ?? [];
  const states = await Promise.all(owners.map((owner) => stateOf(owner, object, context, kinds)));
  if (states.length === 0 || states.some((state) => state === "there" || state === "unknown")) return;
  const { client, signal } = context;
  const waits = states.includes("waiting");
  const propagationPolicy = waits ? "Foreground" : "Background";
  const { name, namespace, uid } = object.metadata;
  const where = { name, ...(namespace === undefined ? {} : { namespace }) };
  await ignoringGone(() =>
    client.delete(resource, { ...where, propagationPolicy, preconditions: { uid }, signal }),
  );
}

type OwnerState = "there" | "waiting" | "gone" | "unknown";

async function stateOf(
  owner: OwnerReference,
  dependent: KubeObject,
  { client, signal }: Context,
  kinds: ReadonlyMap<string, Kept>,
): Promise<OwnerState> {
  const kept = findKind(owner, kinds);
  if (kept === undefined) return "unknown"; // a kind that this server does not have: never delete on a guess
  const { namespace } = dependent.metadata;
  const where = {
    name: owner.name,
    ...(kept.resource.namespaced && namespace !== undefined ? { namespace } : {}),
  };
  try {
    const found = await client.get(kept.resource, { ...where, signal });
    if (found.metadata.uid !== owner.uid) return "gone";
    const isWaiting =
      found.metadata.deletionTimestamp !== undefined &&
      (found.metadata.finalizers ?? []).includes(foreground);
    return isWaiting ? "waiting" : "there";
  } catch (error) {
    if (hasReason(error, "NotFound")) return "gone";
    throw error;
  }
}

async function letDependentsGo(
  owner: Stored<KubeObject>,
  resource: ResourceType,
  context: Context,
  kinds: ReadonlyMap<string, Kept>,
): Promise<void> {
  const { client, signal } = context;
  for (const { object, resource: type } of dependentsOf(owner.metadata.uid, kinds)) {
    const { name, namespace, uid } = object.metadata;
    const ownerReferences = (object.metadata.ownerReferences ?? []).filter(
      (reference) => reference.uid !== owner.metadata.uid,
    );
    const body = {
      metadata: { uid, ownerReferences: ownerReferences.length === 0 ? null : ownerReferences },
    };
    const where = { name, ...(namespace === undefined ? {} : { namespace }) };
    await ignoringGone(() => client.patch(type, { ...where, type: "merge", body, signal }));
  }
  await dropFinalizer(owner, { resource, finalizer: orphan }, context);
}

async function endDependents(
  owner: Stored<KubeObject>,
  resource: ResourceType,
  context: Context,
  kinds: ReadonlyMap<string, Kept>,
): Promise<void> {
  const { client, signal } = context;
  let blocking = 0;
  for (const { object, resource: type } of dependentsOf(owner.metadata.uid, kinds)) {
    const reference = (object.metadata.ownerReferences ?? []).find(({ uid }) => uid === owner.metadata.uid);
    if (reference?.blockOwnerDeletion === true) blocking += 1;
    if (object.metadata.deletionTimestamp !== undefined) continue;
    const { name, namespace, uid } = object.metadata;
    const where = { name, ...(namespace === undefined ? {} : { namespace }) };
    await ignoringGone(() =>
      client.delete(type, { ...where, propagationPolicy: "Foreground", preconditions: { uid }, signal }),
    );
  }
  if (blocking === 0) await dropFinalizer(owner, { resource, finalizer: foreground }, context);
}

async function dropFinalizer(
  object: Stored<KubeObject>,
  { resource, finalizer }: { readonly resource: ResourceType; readonly finalizer: string },
  { client, signal }: Context,
): Promise<void> {
  const { name, namespace, resourceVersion } = object.metadata;
  const finalizers = (object.metadata.finalizers ?? []).filter((one) => one !== finalizer);
  const body = { metadata: { resourceVersion, finalizers: finalizers.length === 0 ? null : finalizers } };
  const where = { name, ...(namespace === undefined ? {} : { namespace }) };
  await ignoringGone(() => client.patch(resource, { ...where, type: "merge", body, signal }));
}

async function ignoringGone(act: () => Promise<unknown>): Promise<void> {
  try {
    await act();
  } catch (error) {
    if (!hasReason(error, "NotFound")) throw error;
  }
}
