import { isTree, setField, type Tree } from "@cortado/kinds/tree";

/** Which fields somebody owns: a tree of path elements in the spelling of FieldsV1 (`f:name`, `k:{…}`, `v:…`). */
export type FieldSet = { readonly isOwned: boolean; readonly children: ReadonlyMap<string, FieldSet> };

export const noFields: FieldSet = { isOwned: false, children: new Map() };
export const leaf: FieldSet = { isOwned: true, children: new Map() };

export function isEmptySet(set: FieldSet): boolean {
  return !set.isOwned && set.children.size === 0;
}

/** A set from parts, empty ones left out. */
export function makeSet(isOwned: boolean, children: Iterable<readonly [string, FieldSet]>): FieldSet {
  const kept = new Map<string, FieldSet>();
  for (const [key, child] of children) if (!isEmptySet(child)) kept.set(key, child);
  return { isOwned, children: kept };
}

export function unionSets(one: FieldSet, other: FieldSet): FieldSet {
  const keys = new Set([...one.children.keys(), ...other.children.keys()]);
  return makeSet(
    one.isOwned || other.isOwned,
    [...keys].map(
      (key) =>
        [key, unionSets(one.children.get(key) ?? noFields, other.children.get(key) ?? noFields)] as const,
    ),
  );
}

export function subtractSets(one: FieldSet, other: FieldSet): FieldSet {
  return makeSet(
    one.isOwned && !other.isOwned,
    [...one.children].map(
      ([key, child]) => [key, subtractSets(child, other.children.get(key) ?? noFields)] as const,
    ),
  );
}

export function intersectSets(one: FieldSet, other: FieldSet): FieldSet {
  return makeSet(
    one.isOwned && other.isOwned,
    [...one.children].map(
      ([key, child]) => [key, intersectSets(child, other.children.get(key) ?? noFields)] as const,
    ),
  );
}

export function sameSets(one: FieldSet, other: FieldSet): boolean {
  if (one.isOwned !== other.isOwned || one.children.size !== other.children.size) return false;
  return [...one.children].every(([key, child]) => {
    const match = other.children.get(key);
    return match !== undefined && sameSets(child, match);
  });
}

export function readSet(fields: unknown): FieldSet {
  if (!isTree(fields)) return noFields;
  const children = new Map<string, FieldSet>();
  for (const [key, value] of Object.entries(fields)) if (key !== ".") children.set(key, readSet(value));
  return { isOwned: Object.hasOwn(fields, ".") || children.size === 0, children };
}

export function writeSet(set: FieldSet): Tree {
  const fields: Tree = {};
  if (set.isOwned && set.children.size > 0) setField(fields, ".", {});
  for (const key of [...set.children.keys()].toSorted())
    setField(fields, key, writeSet(set.children.get(key) ?? noFields));
  return fields;
}

/** Every owned path, as messages write it: `.spec.containers[name="web"].image`. */
export function pathTexts(set: FieldSet, prefix = ""): readonly string[] {
  const own = set.isOwned && prefix !== "" ? [prefix] : [];
  return [
    ...own,
    ...[...set.children].flatMap(([key, child]) => pathTexts(child, prefix + elementText(key))),
  ];
}

function elementText(key: string): string {
  const rest = key.slice(2);
  if (key.startsWith("f:")) return `.${rest}`;
  if (key.startsWith("v:")) return `[=${rest}]`;
  if (!key.startsWith("k:")) return `[${rest}]`;
  const parts = Object.entries(JSON.parse(rest) as Tree).map(
    ([name, value]) => `${name}=${JSON.stringify(value)}`,
  );
  return `[${parts.join(",")}]`;
}
