import { schemaOf } from "@cortado/kinds/generated-schemas";
import type { KindInfo } from "@cortado/kinds/kind-info";
import { fieldSchema, follow, type Schema } from "@cortado/kinds/schema";
import { copyTree, fieldOf, isTree, sameTree, setField, type Tree } from "@cortado/kinds/tree";
import { schemaFor } from "../verbs/field-check.ts";
import { leaf, makeSet, noFields, unionSets, type FieldSet } from "./field-set.ts";

/** A kind's schema as apply walks it: metadata has the built-in form whatever a CRD says. */
export function rootSchema(kind: KindInfo): Schema {
  const own = follow(schemaFor(kind), schemaOf) ?? {};
  if (!kind.custom) return own;
  return {
    ...own,
    properties: { ...own.properties, metadata: { $ref: "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta" } },
  };
}

type Shape = "tree" | "list-map" | "list-set" | "whole";

/** How a value is owned: field by field, item by item, or as a whole. */
function shapeOf(value: unknown, schema: Schema | undefined): Shape {
  if (isTree(value)) return schema?.["x-kubernetes-map-type"] === "atomic" ? "whole" : "tree";
  if (!Array.isArray(value)) return "whole";
  const type = schema?.["x-kubernetes-list-type"];
  if (type === "map" && value.every(isTree)) return "list-map";
  return type === "set" ? "list-set" : "whole";
}

export function itemKey(item: unknown, schema: Schema | undefined): string {
  const items = follow(schema?.items, schemaOf);
  const keys: Tree = {};
  for (const key of (schema?.["x-kubernetes-list-map-keys"] ?? []).toSorted()) {
    const value = fieldOf(item, key) ?? fieldSchema(items, key)?.default;
    if (value !== undefined) setField(keys, key, value);
  }
  return `k:${JSON.stringify(keys)}`;
}

function valueKey(item: unknown): string {
  return `v:${JSON.stringify(item)}`;
}

function below(schema: Schema | undefined, key: string): Schema | undefined {
  return follow(fieldSchema(schema, key), schemaOf);
}

type SetOptions = {
  /** Also own the containers that are new, as an update does. */ readonly withContainers: boolean;
  readonly depth?: number;
};

/** The fields that a value has. */
export function setOf(value: unknown, schema: Schema | undefined, options: SetOptions): FieldSet {
  const depth = options.depth ?? 0;
  const deeper = { ...options, depth: depth + 1 };
  const ownsSelf = options.withContainers && depth > 1;
  switch (shapeOf(value, schema)) {
    case "tree": {
      const tree = value as Tree;
      const children = Object.keys(tree).map(
        (key) => [`f:${key}`, setOf(tree[key], below(schema, key), deeper)] as const,
      );
      return makeSet(ownsSelf || children.length === 0, children);
    }
    case "list-map": {
      const items = follow(schema?.items, schemaOf);
      const children = (value as readonly unknown[]).map(
        (item) => [itemKey(item, schema), { ...setOf(item, items, deeper), isOwned: true }] as const,
      );
      return makeSet(ownsSelf || children.length === 0, children);
    }
    case "list-set": {
      const children = (value as readonly unknown[]).map((item) => [valueKey(item), leaf] as const);
      return makeSet(ownsSelf || children.length === 0, children);
    }
    case "whole":
      return leaf;
  }
}

export type Difference = {
  /** Added or with another value. */ readonly changed: FieldSet;
  readonly removed: FieldSet;
};

const same: Difference = { changed: noFields, removed: noFields };

/** Which fields differ between two objects. */
export function compare(before: unknown, after: unknown, schema: Schema | undefined): Difference {
  return compareAt({ key: "", one: before, other: after, schema }, 0);
}

function compareAt({ one: before, other: after, schema }: Part, depth: number): Difference {
  if (sameTree(before, after)) return same;
  const options = { withContainers: true, depth };
  if (before === undefined) return { changed: setOf(after, schema, options), removed: noFields };
  if (after === undefined) return { changed: noFields, removed: setOf(before, schema, options) };
  const shape = shapeOf(after, schema);
  if (shape === "whole" || shapeOf(before, schema) !== shape) return { changed: leaf, removed: noFields };
  const parts =
    shape === "tree"
      ? treeParts(before as Tree, after as Tree, schema)
      : listParts(before as unknown[], after as unknown[], { schema, shape });
  const differences = parts.map((part) => [part.key, compareAt(part, depth + 1)] as const);
  return {
    changed: makeSet(
      false,
      differences.map(([key, difference]) => [key, difference.changed] as const),
    ),
    removed: makeSet(
      false,
      differences.map(([key, difference]) => [key, difference.removed] as const),
    ),
  };
}

type Part = {
  readonly key: string;
  readonly one: unknown;
  readonly other: unknown;
  readonly schema: Schema | undefined;
};

function treeParts(before: Tree, after: Tree, schema: Schema | undefined): readonly Part[] {
  const keys = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...keys].map((key) => ({
    key: `f:${key}`,
    one: fieldOf(before, key),
    other: fieldOf(after, key),
    schema: below(schema, key),
  }));
}

function listParts(
  before: readonly unknown[],
  after: readonly unknown[],
  { schema, shape }: { readonly schema: Schema | undefined; readonly shape: Shape },
): readonly Part[] {
  const keyOf = (item: unknown): string => (shape === "list-map" ? itemKey(item, schema) : valueKey(item));
  const [ones, others] = [
    new Map(before.map((item) => [keyOf(item), item])),
    new Map(after.map((item) => [keyOf(item), item])),
  ];
  const items = follow(schema?.items, schemaOf);
  return [...new Set([...ones.keys(), ...others.keys()])].map((key) => ({
    key,
    one: ones.get(key),
    other: others.get(key),
    schema: items,
  }));
}

/** What an applied configuration makes of the live object. */
export function mergeApplied(live: unknown, applied: unknown, schema: Schema | undefined): unknown {
  const shape = shapeOf(applied, schema);
  if (live === undefined || shape === "whole" || shapeOf(live, schema) !== shape) return copyTree(applied);
  if (shape === "tree") {
    const merged = copyTree(live) as Tree;
    for (const [key, value] of Object.entries(applied as Tree))
      setField(merged, key, mergeApplied(fieldOf(live, key), value, below(schema, key)));
    return merged;
  }
  const keyOf = (item: unknown): string => (shape === "list-map" ? itemKey(item, schema) : valueKey(item));
  const wanted = new Map((applied as unknown[]).map((item) => [keyOf(item), item]));
  const items = follow(schema?.items, schemaOf);
  const merged = (live as unknown[]).map((item) =>
    wanted.has(keyOf(item)) ? mergeApplied(item, wanted.get(keyOf(item)), items) : copyTree(item),
  );
  const known = new Set((live as unknown[]).map(keyOf));
  for (const [key, item] of wanted) if (!known.has(key)) merged.push(copyTree(item));
  return merged;
}

export type Pruning = {
  /** Fields that were applied before and are not now, and that nobody else owns. */
  readonly gone: FieldSet;
  /** What anybody owns. */
  readonly owned: FieldSet;
};

/** Takes fields out of a merged value; undefined when nothing of it is left. */
export function pruneFields(value: unknown, schema: Schema | undefined, { gone, owned }: Pruning): unknown {
  if (gone.isOwned && isUnowned(owned)) return undefined;
  const shape = shapeOf(value, schema);
  if (shape === "whole" || gone.children.size === 0) return value;
  if (shape === "tree") {
    const tree = value as Tree;
    for (const [element, child] of gone.children) {
      const key = element.slice(2);
      const found = fieldOf(tree, key);
      if (found === undefined) continue;
      const left = pruneFields(found, below(schema, key), {
        gone: child,
        owned: owned.children.get(element) ?? noFields,
      });
      if (left === undefined || isEmptied(left, schema, key)) delete tree[key];
      else setField(tree, key, left);
    }
    return tree;
  }
  const items = follow(schema?.items, schemaOf);
  const keyOf = (item: unknown): string => (shape === "list-map" ? itemKey(item, schema) : valueKey(item));
  const left = (value as unknown[]).flatMap((item) => {
    const child = gone.children.get(keyOf(item));
    if (child === undefined) return [item];
    const kept = pruneFields(item, items, {
      gone: child,
      owned: owned.children.get(keyOf(item)) ?? noFields,
    });
    return kept === undefined ? [] : [kept];
  });
  return left;
}

function isUnowned(owned: FieldSet): boolean {
  return !owned.isOwned && owned.children.size === 0;
}

// Go leaves empty maps and lists out; a struct that lost its last field stays.
function isEmptied(left: unknown, schema: Schema | undefined, key: string): boolean {
  if (Array.isArray(left)) return left.length === 0;
  const own = below(schema, key);
  return isTree(left) && Object.keys(left).length === 0 && own?.properties === undefined;
}

/** Both sets in one. */
export function changedOrRemoved({ changed, removed }: Difference): FieldSet {
  return unionSets(changed, removed);
}
