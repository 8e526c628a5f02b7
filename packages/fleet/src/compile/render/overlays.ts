import { copyTree, growTree, isTree, setField, textAt, type Tree } from "@cortado/kinds/tree";
import { StatusError } from "@cortado/std/status";
import { yamlText } from "@cortado/wire/yaml";
import type { BundleFile } from "../bundle.ts";
import { parseManifest } from "../manifest-check.ts";
import { jsonPatch, mergePatch } from "./json-patch.ts";
import { readObjects } from "./objects.ts";
import type { Renderer } from "./renderer.ts";

const PATCH = /_patch(\.[^./]+)$/;

/**
 * Files with overlays laid over them, in order: a file of an overlay stands for the one of its name, `NAME_patch.yaml` changes `NAME.yaml`
 * (fleet.md 2.7). What is below `overlays/` is not content any more.
 * @throws StatusError "Invalid" for an overlay or a patched file that is not there
 */
export async function withOverlays(
  files: readonly BundleFile[],
  overlays: readonly string[],
  renderer: Renderer,
): Promise<readonly BundleFile[]> {
  const byName = new Map(files.map((file) => [file.name, file.content]));
  for (const overlay of overlays) {
    const prefix = `overlays/${overlay.replace(/^\/+|\/+$/g, "")}/`;
    const own = files.filter(({ name }) => name.startsWith(prefix));
    if (own.length === 0)
      throw new StatusError("Invalid", `yaml.overlays: there is no file below ${prefix}; check its name`);
    for (const { name, content } of own)
      if (!PATCH.test(name)) byName.set(name.slice(prefix.length), content);
    for (const { name, content } of own) {
      if (!PATCH.test(name)) continue;
      const target = name.slice(prefix.length).replace(PATCH, "$1");
      const base = byName.get(target);
      if (base === undefined)
        throw new StatusError("Invalid", `${name} is a patch of ${target}, which is not there`);
      byName.set(target, await patched({ target, base, name, patch: content }, renderer));
    }
  }
  return Array.from(byName, ([name, content]) => ({ name, content }));
}

type Patching = {
  readonly target: string;
  readonly base: Uint8Array;
  readonly name: string;
  readonly patch: Uint8Array;
};

async function patched({ target, base, name, patch }: Patching, renderer: Renderer): Promise<Uint8Array> {
  const { readDocuments } = renderer;
  const objects: (Tree | undefined)[] = [...(await readObjects(target, base, readDocuments))];
  for (const { value } of await parseManifest(name, patch, readDocuments)) {
    if (value === null || value === undefined) continue;
    if (!isTree(value) && !Array.isArray(value))
      throw new StatusError("Invalid", `${name}: a patch is an object, or a list of operations`);
    for (const index of chosen(objects, value, { target, name }))
      objects[index] = await patchedObject(objects[index] as Tree, value, { name, renderer });
  }
  const kept = objects.filter((object) => object !== undefined);
  return new TextEncoder().encode(kept.map((object) => `---\n${yamlText(object)}`).join(""));
}

/** Which objects of the file a patch is for: those of its kind and name, or the only one. */
function chosen(
  objects: readonly (Tree | undefined)[],
  patch: Tree | readonly unknown[],
  { target, name }: { readonly target: string; readonly name: string },
): readonly number[] {
  const [kind, wanted] = [textAt(patch, "kind"), textAt(patch, "metadata", "name")];
  const found = [...objects.keys()].filter((index) => {
    const object = objects[index];
    if (object === undefined) return false;
    return (
      (kind === "" || textAt(object, "kind") === kind) &&
      (wanted === "" || textAt(object, "metadata", "name") === wanted)
    );
  });
  if (found.length === 0) throw new StatusError("Invalid", `${name}: ${target} has no object that it is for`);
  if (found.length > 1)
    throw new StatusError(
      "Invalid",
      `${name}: ${target} has ${found.length} objects that it may be for; give the patch a kind and a metadata.name`,
    );
  return found;
}

async function patchedObject(
  object: Tree,
  patch: Tree | readonly unknown[],
  { name, renderer }: { readonly name: string; readonly renderer: Renderer },
): Promise<Tree | undefined> {
  try {
    if (Array.isArray(patch)) return jsonPatch(object, patch) as Tree;
    if (!isBuiltIn(object)) return mergePatch(object, patch) as Tree;
    return await strategicMerge(object, patch as Tree, renderer);
  } catch (error) {
    if (!(error instanceof StatusError) || error.reason !== "Invalid") throw error;
    throw new StatusError("Invalid", `${name}: ${error.message}`, { cause: error });
  }
}

const builtInGroups = new Set(["apps", "autoscaling", "batch", "extensions", "policy"]);

/** Kubernetes' own types, whose lists merge by their keys. Groups of *.k8s.io with a dot before it are of projects beside it. */
function isBuiltIn(object: Tree): boolean {
  const [group, version] = textAt(object, "apiVersion").split("/");
  return (
    version === undefined ||
    builtInGroups.has(group ?? "") ||
    /^[a-z]+(\.[a-z]+)?\.k8s\.io$/.test(group ?? "")
  );
}

async function strategicMerge(object: Tree, patch: Tree, renderer: Renderer): Promise<Tree | undefined> {
  const whole = copyTree(patch);
  setField(whole, "apiVersion", object["apiVersion"]);
  setField(whole, "kind", object["kind"]);
  const metadata = growTree(whole, "metadata");
  setField(metadata, "name", textAt(object, "metadata", "name"));
  const namespace = textAt(object, "metadata", "namespace");
  if (namespace !== "") setField(metadata, "namespace", namespace);
  const file = (name: string, value: unknown): BundleFile => ({
    name,
    content: new TextEncoder().encode(yamlText(value)),
  });
  const files = [
    file("object.yaml", object),
    file("patch.yaml", whole),
    file("kustomization.yaml", { resources: ["object.yaml"], patches: [{ path: "patch.yaml" }] }),
  ];
  const [merged] = await readObjects("the patched object", await renderer.kustomize(files, { dir: "" }));
  return merged;
}
