import { RE2JS } from "@bufbuild/re2";
import { at, copyTree, fieldOf, growTree, isTree, listAt, setField, textAt } from "@cortado/kinds/tree";
import type { Tree } from "@cortado/kinds/tree";
import { StatusError } from "@cortado/std/status";
import type { ComparePatch } from "../../protocol/protocol.ts";

export type DriftOptions = {
  readonly comparePatches?: readonly ComparePatch[];
  /** HorizontalPodAutoscalers of the bundle: what they scale may have any number of replicas in their range. */
  readonly scalers?: readonly Tree[];
};

type Both = { readonly wanted: Tree; readonly live: Tree };

/** Copies of both sides without what is not compared; undefined: the object is not compared at all. */
export function normalized(wanted: Tree, live: Tree, options: DriftOptions): Both | undefined {
  const both = { wanted: copyTree(wanted), live: copyTree(live) };
  delete both.wanted["status"];
  const { labels, annotations } = { ...(isTree(both.wanted["metadata"]) ? both.wanted["metadata"] : {}) };
  both.wanted["metadata"] = {
    ...(labels === undefined ? {} : { labels }),
    ...(annotations === undefined ? {} : { annotations }),
  };
  delete both.wanted["apiVersion"];
  delete both.wanted["kind"];
  secretText(both.wanted);
  forgetAuthorities(wanted, both);
  const replicas = at(live, "spec", "replicas");
  if (isScaled(wanted, replicas, options.scalers ?? [])) remove(both, ["spec", "replicas"]);
  for (const patch of options.comparePatches ?? []) {
    if (!isFor(patch, wanted)) continue;
    if ((patch.operations ?? []).some(({ op }) => op === "ignore")) return undefined;
    for (const pointer of patch.jsonPointers ?? []) remove(both, pathOf(pointer));
    for (const operation of patch.operations ?? []) operate(both, operation);
  }
  return both;
}

// The server writes stringData into data.
function secretText(wanted: Tree): void {
  const text = wanted["stringData"];
  if (!isTree(text)) return;
  const data = growTree(wanted, "data");
  for (const [key, value] of Object.entries(text))
    setField(data, key, Buffer.from(String(value)).toString("base64"));
  delete wanted["stringData"];
}

// Certificate managers write their authority into webhooks and definitions.
function forgetAuthorities(object: Tree, both: Both): void {
  if (textAt(object, "kind").endsWith("WebhookConfiguration"))
    for (const side of [both.wanted, both.live])
      for (const webhook of listAt(side, "webhooks")) {
        const config = fieldOf(webhook, "clientConfig");
        if (isTree(config)) delete config["caBundle"];
      }
  if (textAt(object, "kind") === "CustomResourceDefinition")
    remove(both, ["spec", "conversion", "webhook", "clientConfig", "caBundle"]);
}

/** Is this object scaled by one of these autoscalers, and within its range? */
function isScaled(object: Tree, replicas: unknown, scalers: readonly Tree[]): boolean {
  return scalers.some((scaler) => {
    const target = at(scaler, "spec", "scaleTargetRef");
    const isTarget =
      textAt(target, "kind") === textAt(object, "kind") &&
      textAt(target, "name") === textAt(object, "metadata", "name") &&
      textAt(scaler, "metadata", "namespace") === textAt(object, "metadata", "namespace");
    const [least, most] = [at(scaler, "spec", "minReplicas") ?? 1, at(scaler, "spec", "maxReplicas")];
    return isTarget && typeof replicas === "number" && replicas >= Number(least) && replicas <= Number(most);
  });
}

/** A field that a patch does not name fits every object; the name may be a pattern where the whole object is left out. */
function isFor(patch: ComparePatch, object: Tree): boolean {
  const fits = (wanted: string | undefined, has: string): boolean =>
    wanted === undefined || wanted === "" || wanted === has;
  const name = textAt(object, "metadata", "name");
  const isWhole = (patch.operations ?? []).some(({ op }) => op === "ignore");
  return (
    fits(patch.apiVersion, textAt(object, "apiVersion")) &&
    fits(patch.kind, textAt(object, "kind")) &&
    fits(patch.namespace, textAt(object, "metadata", "namespace")) &&
    (fits(patch.name, name) || (isWhole && isPattern(patch.name ?? "", name)))
  );
}

function isPattern(pattern: string, name: string): boolean {
  try {
    return RE2JS.compile(pattern).test(name);
  } catch (cause) {
    throw new StatusError(
      "BadRequest",
      `diff.comparePatches: name ${JSON.stringify(pattern)} is no pattern; mend it in fleet.yaml`,
      { cause },
    );
  }
}

type Operation = NonNullable<ComparePatch["operations"]>[number];

function operate(both: Both, { op, path = "", value }: Operation): void {
  if (op === "remove") remove(both, pathOf(path));
  else if (op === "add" || op === "replace")
    for (const side of [both.wanted, both.live]) put(side, pathOf(path), value);
  else
    throw new StatusError(
      "BadRequest",
      `diff.comparePatches: operation ${JSON.stringify(op)} is not one of remove, replace, add, ignore; mend it in fleet.yaml`,
    );
}

/** The parts of a JSON pointer (RFC 6901, section 3). */
function pathOf(pointer: string): readonly string[] {
  if (!pointer.startsWith("/"))
    throw new StatusError(
      "BadRequest",
      `diff.comparePatches: ${JSON.stringify(pointer)} is no JSON pointer; it begins with a slash, as /spec/replicas`,
    );
  return pointer
    .slice(1)
    .split("/")
    .map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));
}

function remove({ wanted, live }: Both, path: readonly string[]): void {
  for (const side of [wanted, live]) {
    const holder = childOf(side, path.slice(0, -1));
    const last = path.at(-1) ?? "";
    if (Array.isArray(holder)) holder.splice(Number(last), /^\d+$/.test(last) ? 1 : 0);
    else if (isTree(holder)) delete holder[last];
  }
}

function put(side: Tree, path: readonly string[], value: unknown): void {
  const holder = childOf(side, path.slice(0, -1));
  const last = path.at(-1) ?? "";
  if (Array.isArray(holder) && /^\d+$/.test(last)) holder[Number(last)] = value;
  else if (isTree(holder)) setField(holder, last, value);
}

function childOf(side: unknown, path: readonly string[]): unknown {
  let here = side;
  for (const part of path)
    here = Array.isArray(here) && /^\d+$/.test(part) ? here[Number(part)] : fieldOf(here, part);
  return here;
}
