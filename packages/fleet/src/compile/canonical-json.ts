import { isTree, setField, type Tree } from "@cortado/kinds/tree";
import { jsonText } from "@cortado/wire/json";

/** Keys sorted at every depth, by UTF-16 code units; what is undefined is left out. */
export function sortedTree(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortedTree);
  if (!isTree(value)) return value;
  const sorted: Tree = {};
  for (const key of Object.keys(value).toSorted())
    if (value[key] !== undefined) setField(sorted, key, sortedTree(value[key]));
  return sorted;
}

/** The one text of a value: keys sorted, no blanks. What is equal has an equal SHA-256. */
export function canonicalJson(value: unknown): string {
  // Keys that look like array indices stand first in any JavaScript object, in the order of their numbers: the text is still one.
  return jsonText(sortedTree(value));
}
