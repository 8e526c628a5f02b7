import { fieldSchema, follow, type Schema, type SchemaLookup } from "@cortado/kinds/schema";
import { copyTree, fieldOf, isTree, sameTree, setField, type Tree } from "@cortado/kinds/tree";
import { badRequest } from "../errors.ts";

const deleteList = "$deleteFromPrimitiveList/";
const setOrder = "$setElementOrder/";

export type PatchSchema = { readonly schema: Schema | undefined; readonly lookup: SchemaLookup };

/**
 * Kubernetes' strategic merge patch (apimachinery, pkg/util/strategicpatch): lists merge by the key that the schema names; `$patch`,
 * `$deleteFromPrimitiveList`, `$setElementOrder` and `$retainKeys` direct it. Changes `target` in place.
 */
export function applyStrategicPatch(target: Tree, patch: Tree, { schema, lookup }: PatchSchema): Tree {
  const here = follow(schema, lookup);
  const directive = fieldOf(patch, "$patch");
  if (directive === "replace") return withoutDirectives(patch);
  if (directive === "delete") return {};
  if (directive !== undefined && directive !== "merge")
    throw badRequest(`Unknown patch type: ${JSON.stringify(directive)}`);
  retainKeys(target, patch);
  for (const key of Object.keys(patch)) {
    if (key === "$patch" || key === "$retainKeys" || key.startsWith(setOrder)) continue;
    if (key.startsWith(deleteList)) {
      removeValues(target, key.slice(deleteList.length), fieldOf(patch, key));
      continue;
    }
    mergeField(target, {
      key,
      value: fieldOf(patch, key),
      below: fieldSchema(here, key),
      order: fieldOf(patch, setOrder + key),
      lookup,
    });
  }
  for (const key of Object.keys(patch))
    if (key.startsWith(setOrder)) orderOnly(target, { key: key.slice(setOrder.length), patch, here, lookup });
  return target;
}

function withoutDirectives(patch: Tree): Tree {
  const copy = copyTree(patch);
  delete copy["$patch"];
  return copy;
}

function retainKeys(target: Tree, patch: Tree): void {
  const kept = fieldOf(patch, "$retainKeys");
  if (!Array.isArray(kept)) return;
  for (const key of Object.keys(target)) if (!kept.includes(key)) delete target[key];
}

function removeValues(target: Tree, key: string, values: unknown): void {
  const list = fieldOf(target, key);
  if (!Array.isArray(list) || !Array.isArray(values)) return;
  setField(
    target,
    key,
    list.filter((item) => !values.some((value) => sameTree(item, value))),
  );
}

type Merging = {
  readonly key: string;
  readonly value: unknown;
  readonly below: Schema | undefined;
  readonly order: unknown;
  readonly lookup: SchemaLookup;
};

function mergeField(target: Tree, { key, value, below, order, lookup }: Merging): void {
  const current = fieldOf(target, key);
  if (value === null) delete target[key];
  else if (isTree(value)) {
    const start = isTree(current) ? current : {};
    setField(target, key, applyStrategicPatch(start, value, { schema: below, lookup }));
  } else if (Array.isArray(value) && isMergeList(below)) {
    const list = Array.isArray(current) ? current : [];
    const mergeKey = below?.["x-kubernetes-patch-merge-key"];
    const merged =
      mergeKey === undefined
        ? mergeValues(list, value)
        : mergeItems(list, value, { mergeKey, items: below?.items, lookup });
    setField(
      target,
      key,
      Array.isArray(order)
        ? inOrder(merged, order, mergeKey)
        : inPatchOrder(merged, { list, patch: value, mergeKey }),
    );
  } else setField(target, key, copyTree(value));
}

function isMergeList(schema: Schema | undefined): boolean {
  return (schema?.["x-kubernetes-patch-strategy"] ?? "").split(",").includes("merge");
}

function mergeValues(list: readonly unknown[], patch: readonly unknown[]): unknown[] {
  return [...list, ...patch.filter((value) => !list.some((item) => sameTree(item, value)))];
}

type ItemRules = {
  readonly mergeKey: string;
  readonly items: Schema | undefined;
  readonly lookup: SchemaLookup;
};

function mergeItems(
  list: readonly unknown[],
  patch: readonly unknown[],
  { mergeKey, items, lookup }: ItemRules,
): unknown[] {
  if (patch.some((item) => fieldOf(item, "$patch") === "replace" && fieldOf(item, mergeKey) === undefined))
    return patch.filter((item) => fieldOf(item, "$patch") !== "replace").map(copyTree);
  let merged = [...list];
  for (const item of patch) {
    if (!isTree(item)) throw badRequest(`a list that merges by ${mergeKey} holds objects`);
    const key = fieldOf(item, mergeKey);
    if (key === undefined)
      throw badRequest(`map: ${JSON.stringify(item)} does not contain declared merge key: ${mergeKey}`);
    const index = merged.findIndex((one) => sameTree(fieldOf(one, mergeKey), key));
    const found = merged[index];
    if (fieldOf(item, "$patch") === "delete")
      merged = merged.filter((one) => !sameTree(fieldOf(one, mergeKey), key));
    else if (isTree(found)) merged[index] = applyStrategicPatch(found, item, { schema: items, lookup });
    else merged.push(applyStrategicPatch({}, item, { schema: items, lookup }));
  }
  return merged;
}

type Ordering = {
  readonly key: string;
  readonly patch: Tree;
  readonly here: Schema | undefined;
  readonly lookup: SchemaLookup;
};

function orderOnly(target: Tree, { key, patch, here }: Ordering): void {
  const list = fieldOf(target, key);
  const order = fieldOf(patch, setOrder + key);
  if (Object.hasOwn(patch, key) || !Array.isArray(list) || !Array.isArray(order)) return;
  setField(target, key, inOrder(list, order, fieldSchema(here, key)?.["x-kubernetes-patch-merge-key"]));
}

// What the order names comes in that order; the server's own items stay behind the one that they followed.
function inOrder(
  list: readonly unknown[],
  order: readonly unknown[],
  mergeKey: string | undefined,
): unknown[] {
  const keyOf = (item: unknown): unknown => (mergeKey === undefined ? item : fieldOf(item, mergeKey));
  const rank = (item: unknown): number => order.findIndex((one) => sameTree(keyOf(one), keyOf(item)));
  const named = list.filter((item) => rank(item) >= 0).toSorted((one, other) => rank(one) - rank(other));
  const result = [...named];
  for (const [index, item] of list.entries()) {
    if (rank(item) >= 0) continue;
    const before = list[index - 1];
    const position =
      before === undefined ? 0 : result.findIndex((one) => sameTree(keyOf(one), keyOf(before))) + 1;
    result.splice(position, 0, item);
  }
  return result;
}

type PatchOrder = {
  readonly list: readonly unknown[];
  readonly patch: readonly unknown[];
  readonly mergeKey: string | undefined;
};

// Without an order given, what the patch names comes in the patch's order, before what it does not name, unless the list had it
// behind (strategicpatch, normalizeElementOrder and mergeSortedSlice): a new container comes first.
function inPatchOrder(merged: readonly unknown[], { list, patch, mergeKey }: PatchOrder): unknown[] {
  const keyOf = (item: unknown): unknown => (mergeKey === undefined ? item : fieldOf(item, mergeKey));
  const rankIn = (items: readonly unknown[], item: unknown): number =>
    items.findIndex((one) => sameTree(keyOf(one), keyOf(item)));
  const named = merged
    .filter((item) => rankIn(patch, item) >= 0)
    .toSorted((one, other) => rankIn(patch, one) - rankIn(patch, other));
  const rest = merged.filter((item) => rankIn(patch, item) < 0);
  const result: unknown[] = [];
  for (const item of named) {
    const place = rankIn(list, item);
    while (rest.length > 0 && place >= 0 && rankIn(list, rest[0]) < place) result.push(rest.shift());
    result.push(item);
  }
  return [...result, ...rest];
}
