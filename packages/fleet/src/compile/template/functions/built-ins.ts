import { fieldOf, isTree, sameTree } from "@cortado/kinds/tree";
import { goKind, goText, isTrue, sprintf } from "../go-text.ts";
import { anyCount, type Arguments, type FunctionTable } from "./arguments.ts";

/** Functions of Go's text/template itself. `and` and `or` stand with the interpreter: they stop early. */
export const builtIns: FunctionTable = {
  not: [1, 1, (given) => !isTrue(given.any(0))],
  eq: [2, anyCount, (given) => given.rest(1).some((value) => isSame(given, value))],
  ne: [2, 2, (given) => !isSame(given, given.any(1))],
  lt: [2, 2, (given) => order(given) < 0],
  le: [2, 2, (given) => order(given) <= 0],
  gt: [2, 2, (given) => order(given) > 0],
  ge: [2, 2, (given) => order(given) >= 0],
  len: [1, 1, length],
  index: [1, anyCount, index],
  slice: [1, 4, slice],
  print: [0, anyCount, (given) => printed(given, false)],
  println: [0, anyCount, (given) => printed(given, true)],
  printf: [
    1,
    anyCount,
    (given) => {
      given.run.weigh(given.values);
      return sprintf(given.text(0), given.rest(1));
    },
  ],
  html: [
    1,
    1,
    (given) => goText(given.any(0)).replaceAll(/["&'<>]/g, (sign) => `&${htmlNames[sign] ?? ""};`),
  ],
  urlquery: [
    1,
    1,
    (given) =>
      encodeURIComponent(goText(given.any(0)))
        .replaceAll("%20", "+")
        .replaceAll(/[!'()*]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`),
  ],
};

const htmlNames: Readonly<Record<string, string>> = {
  '"': "#34",
  "'": "#39",
  "&": "amp",
  "<": "lt",
  ">": "gt",
};

function isSame(given: Arguments, other: unknown): boolean {
  const one = given.any(0) ?? null;
  const second = other ?? null;
  if (one === null || second === null) return one === second;
  const kinds = [family(one), family(second)];
  if (kinds[0] !== kinds[1])
    throw given.fault(`cannot compare ${goKind(one)} with ${goKind(second)}; make both text with toString`);
  if (kinds[0] === "tree") throw given.fault("compares no lists or maps; use deepEqual");
  return typeof one === "bigint" || typeof second === "bigint"
    ? BigInt(one as bigint) === BigInt(second as bigint)
    : sameTree(one, second);
}

function family(value: unknown): string {
  if (typeof value === "object") return "tree";
  return typeof value === "bigint" ? "number" : typeof value;
}

function order(given: Arguments): number {
  const [one, other] = [given.any(0), given.any(1)];
  const isNumber = (value: unknown): value is number | bigint =>
    typeof value === "number" || typeof value === "bigint";
  if (isNumber(one) && isNumber(other)) return one < other ? -1 : one > other ? 1 : 0;
  if (typeof one === "string" && typeof other === "string") return one < other ? -1 : one > other ? 1 : 0;
  throw given.fault(`cannot order ${goKind(one)} and ${goKind(other)}`);
}

function length(given: Arguments): number {
  const value = given.any(0);
  if (typeof value === "string") return new TextEncoder().encode(value).length;
  if (Array.isArray(value)) return value.length;
  if (isTree(value)) return Object.keys(value).length;
  throw given.fault(`wants text, a list or a map, not ${goKind(value)}`);
}

function index(given: Arguments): unknown {
  let value = given.any(0);
  for (const key of given.rest(1)) {
    if (Array.isArray(value)) {
      const at = typeof key === "number" ? key : -1;
      if (!Number.isInteger(at) || at < 0 || at >= value.length)
        throw given.fault(`finds no item ${goText(key)} in a list of ${value.length}`);
      value = value[at];
    } else if (isTree(value)) value = fieldOf(value, typeof key === "string" ? key : goText(key));
    else if (typeof value === "string" && typeof key === "number")
      value = new TextEncoder().encode(value)[key] ?? null;
    else throw given.fault(`wants a list or a map, not ${goKind(value)}`);
  }
  return value;
}

function slice(given: Arguments): unknown {
  const value = given.any(0);
  const bounds = given.rest(1).map((_bound, at) => given.whole(at + 1));
  const from = bounds[0] ?? 0;
  const items =
    typeof value === "string"
      ? new TextEncoder().encode(value)
      : Array.isArray(value)
        ? (value as unknown[])
        : undefined;
  if (items === undefined) throw given.fault(`wants text or a list, not ${goKind(value)}`);
  const to = bounds[1] ?? items.length;
  if (from < 0 || to > items.length || from > to)
    throw given.fault(`from ${from} to ${to} is outside of what has ${items.length}`);
  const cut = items.slice(from, to);
  return cut instanceof Uint8Array ? new TextDecoder().decode(cut) : cut;
}

/** Go puts blanks between values of which neither is text. */
function printed({ values, run }: Arguments, isLine: boolean): string {
  run.weigh(values);
  let text = "";
  for (const [at, value] of values.entries()) {
    const isApart = isLine || (typeof value !== "string" && typeof values[at - 1] !== "string");
    text += (at > 0 && isApart ? " " : "") + goText(value, true);
  }
  return isLine ? `${text}\n` : text;
}
