import { createHash } from "node:crypto";
import { copyTree, growTree, isTree, listAt, setField, textAt, treeAt, type Tree } from "@cortado/kinds/tree";
import { StatusError } from "@cortado/std/status";
import type { BundleOptions, ReadDocuments } from "../bundle.ts";
import { parseManifest } from "../manifest-check.ts";

/** Objects of a YAML stream: lists taken apart, what has no kind left out, as Fleet does. @throws StatusError "Invalid" with the place */
export async function readObjects(
  path: string,
  content: string | Uint8Array,
  readDocuments?: ReadDocuments,
): Promise<readonly Tree[]> {
  const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
  const documents = await parseManifest(path, bytes, readDocuments);
  return documents.flatMap(({ value }) => objectsOf(value));
}

function objectsOf(value: unknown): readonly Tree[] {
  if (!isTree(value) || textAt(value, "kind") === "") return [];
  const isList = textAt(value, "kind").endsWith("List") && Array.isArray(value["items"]);
  return isList ? listAt(value, "items").flatMap((item) => objectsOf(item)) : [value];
}

export function objectName(object: Readonly<Tree>): string {
  const namespace = textAt(object, "metadata", "namespace");
  const name = textAt(object, "metadata", "name");
  return `${textAt(object, "kind")} ${namespace === "" ? "" : `${namespace}/`}${name}`;
}

const HOOK = "helm.sh/hook";

/**
 * Takes out Helm's tests. Hooks of an install or an upgrade stay, as ordinary objects.
 * @throws StatusError "Invalid" for hooks that run at an end: an agent runs none, and applied at once they would do harm
 */
export function withoutTests(objects: readonly Tree[]): readonly Tree[] {
  return objects.filter((object) => {
    const hooks = textAt(object, "metadata", "annotations", HOOK)
      .split(",")
      .map((hook) => hook.trim());
    if (hooks[0] === "") return true;
    if (hooks.every((hook) => hook.startsWith("test"))) return false;
    if (hooks.some((hook) => /^((pre|post)-(install|upgrade)|crd-install)$/.test(hook))) return true;
    throw new StatusError(
      "Invalid",
      `${objectName(object)} is a hook of Helm for ${hooks.join(", ")}, and stores run no such hooks; leave it out by the chart's values`,
    );
  });
}

export type MarkOptions = {
  readonly bundle: { readonly name: string; readonly idPrefix?: string };
  readonly options: BundleOptions;
};

/** Label and annotation of the set, and Helm's keep policy of CRDs (fleet.md 2.7). @throws StatusError "Invalid" for what cannot be applied */
export function marked(objects: readonly Tree[], { bundle, options }: MarkOptions): readonly Tree[] {
  const id = `${bundle.idPrefix ?? ""}-${bundle.name}`;
  const hash = createHash("sha1").update(id).digest("hex");
  const seen = new Set<string>();
  return objects.map((given) => {
    checkObject(given, seen, options);
    const object = copyTree(given);
    const metadata = growTree(object, "metadata");
    setField(growTree(metadata, "labels"), "objectset.rio.cattle.io/hash", hash);
    setField(growTree(metadata, "annotations"), "objectset.rio.cattle.io/id", id);
    if (textAt(object, "kind") === "CustomResourceDefinition" && options.deleteCRDResources !== true)
      setField(growTree(metadata, "annotations"), "helm.sh/resource-policy", "keep");
    return object;
  });
}

function checkObject(object: Tree, seen: Set<string>, options: BundleOptions): void {
  const told = objectName(object);
  const [apiVersion, kind] = [textAt(object, "apiVersion"), textAt(object, "kind")];
  if (apiVersion === "") throw new StatusError("Invalid", `${told} has no apiVersion`);
  const name = textAt(object, "metadata", "name");
  if (name === "")
    throw new StatusError(
      "Invalid",
      `an object of kind ${kind} has no metadata.name; give it one, for what is applied again needs a name that stays`,
    );
  for (const key of ["labels", "annotations"]) {
    const marks = treeAt(object, "metadata")[key];
    if (marks !== undefined && marks !== null && !isTree(marks))
      throw new StatusError("Invalid", `${told}: metadata.${key} is no map`);
  }
  const namespace =
    options.namespace || textAt(object, "metadata", "namespace") || options.defaultNamespace || "default";
  const group = apiVersion.includes("/") ? (apiVersion.split("/")[0] ?? "") : "";
  const identity = JSON.stringify([group, kind, namespace, name]);
  if (seen.has(identity))
    throw new StatusError(
      "Invalid",
      `${told} is there twice; leave one of them out, or give it another name`,
    );
  seen.add(identity);
}
