import { copyTree, fieldOf, isTree, sameTree, setField, type Tree } from "@cortado/kinds/tree";
import { goKind, goText, isTrue, sortedKeys } from "../go-text.ts";
import { mergeValues } from "../../value-trees.ts";
import { anyCount, type Arguments, type FunctionTable } from "./arguments.ts";

/** sprig's functions for lists and maps, for defaults and for kinds of values. None changes what it was given. */
export const collections: FunctionTable = {
  list: [0, anyCount, (given) => given.values],
  tuple: [0, anyCount, (given) => given.values],
  first: [1, 1, (given) => given.list(0)[0]],
  last: [1, 1, (given) => given.list(0).at(-1)],
  rest: [1, 1, (given) => given.list(0).slice(1)],
  initial: [1, 1, (given) => given.list(0).slice(0, -1)],
  append: [2, 2, (given) => [...given.list(0), given.any(1)]],
  push: [2, 2, (given) => [...given.list(0), given.any(1)]],
  prepend: [2, 2, (given) => [given.any(1), ...given.list(0)]],
  concat: [0, anyCount, (given) => given.values.flatMap((_value, index) => given.list(index))],
  reverse: [1, 1, (given) => given.list(0).toReversed()],
  uniq: [1, 1, (given) => uniq(given)],
  without: [1, anyCount, (given) => given.list(0).filter((item) => !isIn(given, given.rest(1), item))],
  has: [2, 2, (given) => given.any(1) !== null && isIn(given, given.list(1), given.any(0))],
  compact: [1, 1, (given) => given.list(0).filter((item) => isTrue(item))],
  chunk: [2, 2, chunk],
  dict: [0, anyCount, dict],
  get: [2, 2, (given) => fieldOf(given.dict(0), given.text(1)) ?? ""],
  set: [3, 3, (given) => withField(given.dict(0), given.text(1), given.any(2))],
  unset: [2, 2, (given) => picked(given.dict(0), (key) => key !== given.text(1))],
  hasKey: [2, 2, (given) => Object.hasOwn(given.dict(0), given.text(1))],
  pluck: [1, anyCount, pluck],
  keys: [0, anyCount, (given) => given.values.flatMap((_value, index) => sortedKeys(given.dict(index)))],
  values: [1, 1, (given) => sortedKeys(given.dict(0)).map((key) => fieldOf(given.dict(0), key))],
  pick: [1, anyCount, (given) => picked(given.dict(0), (key) => given.rest(1).includes(key))],
  omit: [1, anyCount, (given) => picked(given.dict(0), (key) => !given.rest(1).includes(key))],
  merge: [1, anyCount, (given) => merged(given, -1)],
  mustMerge: [1, anyCount, (given) => merged(given, -1)],
  mergeOverwrite: [1, anyCount, (given) => merged(given, 1)],
  mustMergeOverwrite: [1, anyCount, (given) => merged(given, 1)],
  deepCopy: [1, 1, (given) => weighed(given, copyTree)],
  mustDeepCopy: [1, 1, (given) => weighed(given, copyTree)],
  dig: [3, anyCount, dig],
  default: [1, 2, (given) => (given.count === 2 && isTrue(given.any(1)) ? given.any(1) : given.any(0))],
  empty: [1, 1, (given) => !isTrue(given.any(0))],
  coalesce: [0, anyCount, (given) => given.values.find((value) => isTrue(value)) ?? null],
  all: [0, anyCount, (given) => given.values.every((value) => isTrue(value))],
  any: [0, anyCount, (given) => given.values.some((value) => isTrue(value))],
  ternary: [3, 3, (given) => (given.any(2) === true ? given.any(0) : given.any(1))],
  kindOf: [1, 1, (given) => goKind(given.any(0))],
  kindIs: [2, 2, (given) => goKind(given.any(1)) === given.text(0)],
  typeOf: [1, 1, (given) => goType(given.any(0))],
  typeIs: [2, 2, (given) => goType(given.any(1)) === given.text(0)],
  typeIsLike: [2, 2, (given) => goType(given.any(1)) === given.text(0).replace(/^\*/, "")],
  deepEqual: [2, 2, (given) => weighed(given, (one) => sameTree(one, given.any(1)))],
};

function goType(value: unknown): string {
  const kind = goKind(value);
  if (kind === "invalid") return "<nil>";
  if (kind === "slice") return "[]interface {}";
  return kind === "map" ? "map[string]interface {}" : kind;
}

function weighed(given: Arguments, work: (value: unknown) => unknown): unknown {
  given.run.weigh(given.values);
  return work(given.any(0));
}

function isIn(given: Arguments, list: readonly unknown[], item: unknown): boolean {
  return list.some((one) => {
    given.run.weigh(one);
    return sameTree(one, item);
  });
}

function uniq(given: Arguments): readonly unknown[] {
  const kept: unknown[] = [];
  for (const item of given.list(0)) if (!isIn(given, kept, item)) kept.push(item);
  return kept;
}

function chunk(given: Arguments): readonly unknown[] {
  const size = given.whole(0);
  if (size < 1) throw given.fault("wants a size of at least 1");
  const list = given.list(1);
  return Array.from({ length: Math.ceil(list.length / size) }, (_item, index) =>
    list.slice(index * size, (index + 1) * size),
  );
}

function dict(given: Arguments): Tree {
  const made: Tree = {};
  for (let index = 0; index < given.count; index += 2)
    setField(made, goText(given.any(index)), index + 1 < given.count ? given.any(index + 1) : "");
  return made;
}

function withField(tree: Tree, key: string, value: unknown): Tree {
  const made = picked(tree, () => true);
  setField(made, key, value);
  return made;
}

function picked(tree: Tree, wants: (key: string) => boolean): Tree {
  const made: Tree = {};
  for (const key of Object.keys(tree)) if (wants(key)) setField(made, key, tree[key]);
  return made;
}

function pluck(given: Arguments): readonly unknown[] {
  const key = given.text(0);
  return given.rest(1).flatMap((tree) => (isTree(tree) && Object.hasOwn(tree, key) ? [tree[key]] : []));
}

/** @param direction 1: later maps win; -1: earlier ones, where they hold something that is not empty */
function merged(given: Arguments, direction: 1 | -1): Tree {
  given.run.weigh(given.values);
  const trees = given.values.map((_value, index) => given.dict(index));
  let made: Tree = {};
  for (const tree of direction === 1 ? trees : trees.toReversed()) made = mergeValues(made, tree);
  return made;
}

function dig(given: Arguments): unknown {
  let value: unknown = given.dict(-1);
  for (const key of given.values.slice(0, -2)) {
    if (!isTree(value) || !Object.hasOwn(value, goText(key))) return given.any(-2);
    value = fieldOf(value, goText(key));
  }
  return value;
}
