import type { Client } from "@cortado/client";
import { namespaces } from "@cortado/kinds/resources";
import { listAt, textAt, type Tree } from "@cortado/kinds/tree";
import { hasReason, StatusError } from "@cortado/std/status";
import { ESTABLISHED_LOOK_MS, ESTABLISHED_MS_MAX } from "../limits.ts";
import { FIELD_MANAGER, MADE_ANNOTATION, ownerOf } from "./marks.ts";
import { applyNamespace, needsNamespace } from "./namespace.ts";
import { isDefinition, itemKey, itemText, placeObjects, targetNamespace, type Placed } from "./place.ts";
import { about, whereOf, type ApplyPorts, type BundleToApply } from "./ports.ts";
import { prune } from "./prune.ts";
import type { BundleRecord, Owned } from "./record.ts";

export type Applied = { readonly record: BundleRecord; readonly placed: readonly Placed[] };

/**
 * Brings a bundle's objects into the cluster and takes away those that it no longer has. May be called again after any end, also
 * one in the middle: the record is written before the first object of a new set and names everything that may be there.
 * @throws StatusError with the object and why: what was applied before it stays, nothing is taken away
 */
export async function applyBundle(
  bundle: BundleToApply,
  ports: ApplyPorts,
  { signal }: { readonly signal: AbortSignal },
): Promise<Applied> {
  const { name, options } = bundle;
  const { records, finder } = ports;
  const old = (await records.read(name, signal)).record;
  const placed = await placeObjects(bundle.objects, { bundle: name, options, finder, signal });
  const owned = await claim({ bundle, placed, old }, ports, signal);
  const next = recordOf(bundle, owned);
  const wanted = new Set(owned.map(itemKey));
  const former = (old?.owned ?? []).filter((item) => !wanted.has(itemKey(item)));
  const union: BundleRecord = {
    ...next,
    appliedId: old?.appliedId ?? "",
    generation: old?.generation ?? 0,
    owned: [...former, ...owned],
    marksNamespace: next.marksNamespace || (old?.marksNamespace ?? false),
  };
  if (!sameOwned(old, union)) await records.writeRecord(union, signal);
  if (needsNamespace(placed, union)) await applyNamespace({ bundle, record: union }, ports, signal);
  await applyInOrder(placed, { bundle, ports, signal });
  await prune({ bundle: name, items: former, deleteDefinitions: next.deleteDefinitions }, ports, signal);
  await records.writeRecord(next, signal);
  return { record: next, placed };
}

function recordOf(
  { name, deploymentId, forceSyncGeneration, options }: BundleToApply,
  owned: readonly Owned[],
) {
  return {
    version: 1,
    bundle: name,
    appliedId: deploymentId,
    generation: forceSyncGeneration,
    owned,
    namespace: targetNamespace(options),
    deleteNamespace: options.deleteNamespace === true && options.namespace !== undefined,
    deleteDefinitions: options.deleteCRDResources === true,
    marksNamespace: options.namespaceLabels !== undefined || options.namespaceAnnotations !== undefined,
  } as const satisfies BundleRecord;
}

// Applying the same set again (drift, a restart) costs no write of the record before it.
function sameOwned(old: BundleRecord | undefined, union: BundleRecord): boolean {
  return old !== undefined && JSON.stringify(old) === JSON.stringify(union);
}

type Claim = {
  readonly bundle: BundleToApply;
  readonly placed: readonly Placed[];
  readonly old: BundleRecord | undefined;
};

/**
 * Looks at every object that is not yet recorded before any is touched: what belongs to somebody else is refused, unless the
 * bundle may take it. A namespace may have been there before: it is used, and never deleted.
 */
async function claim(
  { bundle, placed, old }: Claim,
  ports: ApplyPorts,
  signal: AbortSignal,
): Promise<Owned[]> {
  const recorded = new Map((old?.owned ?? []).map((item) => [itemKey(item), item]));
  const owned: Owned[] = [];
  for (const one of placed) {
    const known = recorded.get(itemKey(one.item));
    const live = await readLive(one, { ports, signal });
    const owner = live === undefined ? bundle.name : ownerOf(live);
    const isShared = one.item.kind === "Namespace" && one.type.group === "";
    const isFree =
      owner === ""
        ? known !== undefined
        : bundle.replaces?.includes(owner) === true || (await isGone(owner, { ports, signal }));
    const mine = owner === bundle.name || isFree;
    if (!mine && !isShared && bundle.options.takeOwnership !== true)
      throw notOurs(one, { owner, live: live ?? {} });
    const found = known === undefined ? !mine && isShared : known.found === true;
    owned.push(found ? { ...one.item, found } : one.item);
  }
  return owned;
}

/** A bundle that went and left its objects leaves them to whoever wants them next. */
async function isGone(
  owner: string,
  { ports, signal }: { readonly ports: ApplyPorts; readonly signal: AbortSignal },
): Promise<boolean> {
  const { record, wanted } = await ports.records.read(owner, signal);
  return record === undefined && wanted === undefined;
}

function notOurs(one: Placed, { owner, live }: { readonly owner: string; readonly live: Tree }): StatusError {
  const release = textAt(live, "metadata", "annotations", "meta.helm.sh/release-name");
  const whose =
    owner !== ""
      ? `it belongs to bundle ${owner}`
      : release === ""
        ? "it was there before and belongs to no bundle"
        : `it belongs to Helm release ${release}`;
  return new StatusError(
    "Conflict",
    `${itemText(one.item)} is not owned by us: ${whose}; set helm.takeOwnership to take it over, or rename it`,
  );
}

async function readLive(
  { type, item }: Placed,
  { ports, signal }: { readonly ports: ApplyPorts; readonly signal: AbortSignal },
): Promise<Tree | undefined> {
  try {
    return await ports.as.get(type, { ...whereOf(item), signal });
  } catch (error) {
    // The resource itself may be missing: its definition comes with this very bundle.
    if (hasReason(error, "NotFound")) return undefined;
    throw about(item, error);
  }
}

type Applying = { readonly bundle: BundleToApply; readonly ports: ApplyPorts; readonly signal: AbortSignal };

async function applyInOrder(placed: readonly Placed[], applying: Applying): Promise<void> {
  const definitions = placed.filter(({ body }) => isDefinition(body));
  for (const one of placed) {
    await applyOne(one, applying);
    if (one === definitions.at(-1)) await established(definitions, applying);
  }
}

async function applyOne(one: Placed, applying: Applying): Promise<void> {
  const { ports, signal, bundle } = applying;
  const patch = { ...whereOf(one.item), type: "apply", fieldManager: FIELD_MANAGER, force: true } as const;
  const send = (): Promise<unknown> => ports.as.patch(one.type, { ...patch, body: one.body, signal });
  try {
    await send();
  } catch (error) {
    const isFixed =
      hasReason(error, "Invalid") && /immutable|may not be (changed|updated)/.test(error.message);
    if (!isFixed) throw about(one.item, error);
    if (bundle.options.correctDrift?.force !== true && bundle.options.force !== true)
      throw about(
        one.item,
        error,
        "; set helm.force, or correctDrift.force, to have it deleted and made anew",
      );
    ports.log.info("object is replaced", { bundle: bundle.name, object: itemText(one.item) });
    await ports.as.delete(one.type, { ...whereOf(one.item), propagationPolicy: "Background", signal });
    await send().catch((again: unknown) => {
      throw about(one.item, again);
    });
  }
}

async function established(definitions: readonly Placed[], { ports, signal }: Applying): Promise<void> {
  const endMs = ports.clock.monotonicMs() + ESTABLISHED_MS_MAX;
  for (const { type, item, body } of definitions) {
    while (!isEstablished(await ports.as.get(type, { ...whereOf(item), signal }))) {
      if (ports.clock.monotonicMs() > endMs)
        throw new StatusError("Timeout", `${itemText(item)} is not established; see its conditions`);
      await ports.clock.sleep(ESTABLISHED_LOOK_MS, { signal });
    }
    ports.finder.forget(textAt(body, "spec", "group"));
  }
}

function isEstablished(live: unknown): boolean {
  return listAt(live, "status", "conditions").some(
    (one) => textAt(one, "type") === "Established" && textAt(one, "status") === "True",
  );
}

/** The agent's own namespace has to be there before any record. */
export async function ensureNamespace(client: Client, name: string, signal: AbortSignal): Promise<void> {
  try {
    const annotations = { [MADE_ANNOTATION]: "true" };
    await client.create(
      namespaces,
      { metadata: { name, annotations } },
      { signal, fieldManager: FIELD_MANAGER },
    );
  } catch (error) {
    if (!hasReason(error, "AlreadyExists")) throw error;
  }
}
