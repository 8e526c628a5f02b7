import { copyTree, fieldOf, isTree, setField, type Tree } from "@cortado/kinds/tree";

/** Merges values as Helm and Fleet do: objects key by key, everything else is replaced. Neither is changed. */
export function mergeValues(under: Readonly<Tree>, over: Readonly<Tree>): Tree {
  const merged: Tree = {};
  for (const key of Object.keys(under)) setField(merged, key, fieldOf(under, key));
  for (const key of Object.keys(over)) {
    const [below, above] = [fieldOf(merged, key), fieldOf(over, key)];
    setField(merged, key, isTree(below) && isTree(above) ? mergeValues(below, above) : copyTree(above));
  }
  return merged;
}
