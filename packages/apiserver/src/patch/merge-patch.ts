import { copyTree, fieldOf, isTree, setField, type Tree } from "@cortado/kinds/tree";

/** RFC 7386. Changes `target` in place. */
export function applyMergePatch(target: Tree, patch: Tree): Tree {
  for (const key of Object.keys(patch)) {
    const value = fieldOf(patch, key);
    if (value === null) delete target[key];
    else if (isTree(value)) {
      const below = fieldOf(target, key);
      setField(target, key, applyMergePatch(isTree(below) ? below : {}, value));
    } else setField(target, key, copyTree(value));
  }
  return target;
}
