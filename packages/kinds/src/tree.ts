/** JSON values as trees. Every key is plain data here, `__proto__` and `constructor` too. */
export type Tree = { [key: string]: unknown };

export function isTree(value: unknown): value is Tree {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** An own field, or undefined: never what a prototype has. */
export function fieldOf(value: unknown, key: string): unknown {
  return isTree(value) && Object.hasOwn(value, key) ? value[key] : undefined;
}

/** Follows own fields: `at(pod, "spec", "nodeName")`. */
export function at(value: unknown, ...path: readonly string[]): unknown {
  let here = value;
  for (const key of path) here = fieldOf(here, key);
  return here;
}

export function textAt(value: unknown, ...path: readonly string[]): string {
  const found = at(value, ...path);
  return typeof found === "string" ? found : "";
}

export function treeAt(value: unknown, ...path: readonly string[]): Tree {
  const found = at(value, ...path);
  return isTree(found) ? found : {};
}

export function listAt(value: unknown, ...path: readonly string[]): readonly unknown[] {
  const found = at(value, ...path);
  return Array.isArray(found) ? found : [];
}

/** Sets an own field, whatever its name. */
export function setField(tree: Tree, key: string, value: unknown): void {
  if (key === "__proto__")
    Object.defineProperty(tree, key, { value, writable: true, enumerable: true, configurable: true });
  else tree[key] = value;
}

/** The tree at a field, made when absent. */
export function growTree(tree: Tree, key: string): Tree {
  const found = fieldOf(tree, key);
  if (isTree(found)) return found;
  const grown: Tree = {};
  setField(tree, key, grown);
  return grown;
}

/** Sets a field that is absent or null. */
export function setDefault(tree: Tree, key: string, value: unknown): void {
  if (fieldOf(tree, key) === undefined || fieldOf(tree, key) === null) setField(tree, key, value);
}

export function copyTree<Value>(value: Value): Value {
  if (Array.isArray(value)) return value.map(copyTree) as Value;
  if (typeof value !== "object" || value === null) return value;
  const copy: Tree = {};
  for (const key of Object.keys(value)) setField(copy, key, copyTree((value as Tree)[key]));
  return copy as Value;
}

export function freezeTree<Value>(value: Value): Value {
  if (typeof value !== "object" || value === null || Object.isFrozen(value)) return value;
  for (const child of Object.values(value)) freezeTree(child);
  return Object.freeze(value);
}

export function sameTree(one: unknown, other: unknown): boolean {
  if (Object.is(one, other)) return true;
  if (typeof one !== "object" || typeof other !== "object" || one === null || other === null) return false;
  if (Array.isArray(one) || Array.isArray(other)) return sameLists(one, other);
  const keys = Object.keys(one);
  if (keys.length !== Object.keys(other).length) return false;
  return keys.every((key) => Object.hasOwn(other, key) && sameTree((one as Tree)[key], (other as Tree)[key]));
}

function sameLists(one: unknown, other: unknown): boolean {
  if (!Array.isArray(one) || !Array.isArray(other) || one.length !== other.length) return false;
  return one.every((item, index) => sameTree(item, other[index]));
}
