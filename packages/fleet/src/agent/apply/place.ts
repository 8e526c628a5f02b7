import type { ResourceType } from "@cortado/kinds/resources";
import { copyTree, fieldOf, growTree, setField, textAt, type Tree } from "@cortado/kinds/tree";
import { StatusError } from "@cortado/std/status";
import type { DeployOptions } from "../../protocol/protocol.ts";
import { definedTypes, groupVersionOf, type KindFinder } from "./kind-finder.ts";
import { BUNDLE_ANNOTATION, OBJECTSET_LABEL, objectsetOf } from "./marks.ts";
import { rankOf } from "./order.ts";

/** One object of a bundle where it goes. */
export type Placed = {
  readonly type: ResourceType;
  readonly item: Item;
  /** As it is applied: with its namespace and our marks, without what only a server sets. */
  readonly body: Tree;
};

/** What names an object; the namespace is empty for one of the cluster. */
export type Item = {
  readonly apiVersion: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
};

/** Two items with one key are one object, in whatever version they are written. */
export function itemKey({ apiVersion, kind, namespace, name }: Item): string {
  return `${groupVersionOf(apiVersion).group}/${kind}/${namespace}/${name}`;
}

/** As messages name it: `Deployment coffee-shop/order`. */
export function itemText({ kind, namespace, name }: Item): string {
  return `${kind} ${namespace === "" ? "" : `${namespace}/`}${name}`;
}

/** Where objects go that name no namespace. */
export function targetNamespace(options: DeployOptions): string {
  return options.namespace ?? options.defaultNamespace ?? "default";
}

export type PlaceOptions = {
  readonly bundle: string;
  readonly options: DeployOptions;
  readonly finder: KindFinder;
  readonly signal: AbortSignal;
};

/**
 * Gives every object of a bundle its resource and its namespace, in the order in which they are applied.
 * @throws StatusError "Invalid" with the object and why it cannot be applied; nothing was changed then
 */
export async function placeObjects(
  objects: readonly Tree[],
  options: PlaceOptions,
): Promise<readonly Placed[]> {
  const ownTypes = objects.filter(isDefinition).flatMap(definedTypes);
  const placed: Placed[] = [];
  const seen = new Set<string>();
  for (const [index, object] of objects.entries()) {
    const one = await place(object, { ...options, ownTypes, index });
    const key = itemKey(one.item);
    if (seen.has(key)) throw refused(`${itemText(one.item)} is in the bundle twice; leave one of them out`);
    seen.add(key);
    placed.push(one);
  }
  return placed.toSorted((one, other) => rankOf(one.item.kind) - rankOf(other.item.kind));
}

type PlaceOne = PlaceOptions & { readonly ownTypes: readonly ResourceType[]; readonly index: number };

async function place(object: Tree, options: PlaceOne): Promise<Placed> {
  const { bundle, options: deploy, finder, signal, ownTypes, index } = options;
  const [apiVersion, kind] = [textAt(object, "apiVersion"), textAt(object, "kind")];
  const name = textAt(object, "metadata", "name");
  if (apiVersion === "" || kind === "")
    throw refused(`object ${index} of the bundle has no apiVersion or kind; give it both`);
  if (name === "")
    throw refused(`${kind} (object ${index}) has no metadata.name; a bundle names what it owns`);
  const { group, version } = groupVersionOf(apiVersion);
  const type =
    ownTypes.find((one) => one.kind === kind && one.group === group && one.version === version) ??
    (await finder.find({ apiVersion, kind }, signal));
  if (type === undefined)
    throw refused(
      `${kind} ${name}: this cluster serves no kind ${kind} of ${apiVersion}; ` +
        "put its CustomResourceDefinition into the bundle or one that it depends on, or mend apiVersion",
    );
  const asked = textAt(object, "metadata", "namespace");
  if (!type.namespaced && deploy.namespace !== undefined)
    throw refused(
      `${kind} ${name} belongs to the whole cluster and cannot go into namespace ${deploy.namespace}; ` +
        "use defaultNamespace instead of namespace, or take it out of the bundle",
    );
  const fallback = asked === "" ? targetNamespace(deploy) : asked;
  const namespace = type.namespaced ? (deploy.namespace ?? fallback) : "";
  return { type, item: { apiVersion, kind, namespace, name }, body: bodyOf(object, { bundle, namespace }) };
}

const serverFields = [
  "uid",
  "resourceVersion",
  "generation",
  "creationTimestamp",
  "managedFields",
  "selfLink",
] as const;

function bodyOf(
  object: Tree,
  { bundle, namespace }: { readonly bundle: string; readonly namespace: string },
) {
  const body = copyTree(object);
  delete body["status"];
  const metadata = growTree(body, "metadata");
  for (const field of serverFields) delete metadata[field];
  delete metadata["namespace"];
  if (namespace !== "") metadata["namespace"] = namespace;
  setField(growTree(metadata, "labels"), OBJECTSET_LABEL, objectsetOf(bundle));
  setField(growTree(metadata, "annotations"), BUNDLE_ANNOTATION, bundle);
  return body;
}

export function isDefinition(object: Tree): boolean {
  return (
    fieldOf(object, "kind") === "CustomResourceDefinition" &&
    groupVersionOf(textAt(object, "apiVersion")).group === "apiextensions.k8s.io"
  );
}

function refused(message: string): StatusError {
  return new StatusError("Invalid", message);
}
