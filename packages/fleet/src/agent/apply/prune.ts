import { namespaces } from "@cortado/kinds/resources";
import { textAt, type Tree } from "@cortado/kinds/tree";
import { hasReason } from "@cortado/std/status";
import { about, whereOf, type ApplyPorts } from "./ports.ts";
import { groupVersionOf } from "./kind-finder.ts";
import { AGENT_NAMESPACE, ownerOf } from "./marks.ts";
import { rankOf } from "./order.ts";
import { itemText } from "./place.ts";
import type { BundleRecord, Owned } from "./record.ts";

export type Pruning = {
  readonly bundle: string;
  /** Exactly these, and of these only what is still the bundle's. */
  readonly items: readonly Owned[];
  readonly deleteDefinitions: boolean;
};

/** Deletes what a bundle owns, last applied first. Deleting twice is deleting once. */
export async function prune(pruning: Pruning, ports: ApplyPorts, signal: AbortSignal): Promise<void> {
  const items = pruning.items.toSorted((one, other) => rankOf(other.kind) - rankOf(one.kind));
  for (const item of items) {
    const isOurs = item.found !== true && (pruning.deleteDefinitions || !isDefinitionItem(item));
    if (!isOurs) continue;
    try {
      await deleteOne(item, pruning.bundle, { ports, signal });
    } catch (error) {
      throw about(item, error);
    }
  }
}

function isDefinitionItem({ apiVersion, kind }: Owned): boolean {
  return kind === "CustomResourceDefinition" && groupVersionOf(apiVersion).group === "apiextensions.k8s.io";
}

type Deleting = { readonly ports: ApplyPorts; readonly signal: AbortSignal };

async function deleteOne(item: Owned, bundle: string, { ports, signal }: Deleting): Promise<void> {
  const type = await ports.finder.find(item, signal);
  // The cluster no longer serves the kind: its definition went, and all its objects with it.
  if (type === undefined) return;
  try {
    const live: Tree & { metadata: { uid: string } } = await ports.as.get(type, { ...whereOf(item), signal });
    const isKept = textAt(live, "metadata", "annotations", "helm.sh/resource-policy") === "keep";
    if (isKept || ownerOf(live) !== bundle || textAt(live, "metadata", "deletionTimestamp") !== "") return;
    const preconditions = { uid: live.metadata.uid };
    await ports.as.delete(type, {
      ...whereOf(item),
      propagationPolicy: "Background",
      preconditions,
      signal,
    });
    ports.log.info("object is deleted", { bundle, object: itemText(item) });
  } catch (error) {
    if (!hasReason(error, "NotFound")) throw error;
  }
}

/**
 * Takes a bundle out of the cluster: its objects, then its namespace if it asked for that, then its record.
 * @param keepResources leaves every object and only forgets the bundle
 */
export async function removeBundle(
  { name, keepResources }: { readonly name: string; readonly keepResources: boolean },
  ports: ApplyPorts,
  { signal }: { readonly signal: AbortSignal },
): Promise<void> {
  const { record } = await ports.records.read(name, signal);
  if (record !== undefined && !keepResources) {
    const { owned, deleteDefinitions } = record;
    await prune({ bundle: name, items: owned, deleteDefinitions }, ports, signal);
    if (record.deleteNamespace) await deleteNamespace(record, ports, signal);
  }
  await ports.records.remove(name, signal);
}

const systemNamespaces = /^(default|kube-.*|cattle-.*|fleet-.*)$/;

/** Neither of the system's namespaces nor of ours, whatever a bundle says. */
export function isProtected(namespace: string): boolean {
  return namespace === AGENT_NAMESPACE || systemNamespaces.test(namespace);
}

async function deleteNamespace(record: BundleRecord, ports: ApplyPorts, signal: AbortSignal): Promise<void> {
  const name = record.namespace;
  if (
    isProtected(name) ||
    name === ports.records.namespace ||
    record.owned.some((one) => one.found === true && one.name === name)
  )
    return;
  const others = (await ports.records.list(signal)).filter((one) => one.name !== record.bundle);
  const users = others.filter(
    (one) => one.problem !== undefined || (one.record?.owned ?? []).some((item) => item.namespace === name),
  );
  if (users.length > 0) {
    const bundles = users.map((one) => one.name);
    ports.log.warn("namespace is kept: other bundles are in it", { namespace: name, bundles });
    return;
  }
  try {
    await ports.as.delete(namespaces, { name, propagationPolicy: "Background", signal });
  } catch (error) {
    if (!hasReason(error, "NotFound")) throw error;
  }
}
