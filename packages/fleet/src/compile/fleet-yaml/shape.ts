import type { YamlPath } from "@cortado/wire/yaml/place";
import { fieldOf, isTree, setField, type Tree } from "@cortado/kinds/tree";

/** What a value of fleet.yaml has to be. */
export type Shape =
  | "text"
  | "bool"
  | "whole"
  | "whole or percent"
  | "any"
  | "tree"
  | { readonly oneOf: readonly string[] }
  | { readonly mapOf: Shape }
  | { readonly listOf: Shape }
  | { readonly fields: Readonly<Record<string, Shape>> }
  /** A list is read by the first, anything else by the second. */
  | { readonly list: Shape; readonly else: Shape };

export type Fault = {
  readonly path: YamlPath;
  readonly message: string;
  /** An unknown key does not stop anything. */
  readonly isWarning: boolean;
};

/** Reads a value by its shape: what it does not name is left out and told. A null is an absent value, as in Go. */
export function readShape(value: unknown, shape: Shape, faults: Fault[]): unknown {
  return read(value, shape, { path: [], faults });
}

type Reading = { readonly path: YamlPath; readonly faults: Fault[] };

function read(value: unknown, shape: Shape, reading: Reading): unknown {
  if (shape === "any") return value;
  if (value === null || value === undefined) return undefined;
  if (typeof shape === "string") return readScalar(value, shape, reading);
  if ("oneOf" in shape) {
    if (typeof value === "string" && shape.oneOf.includes(value)) return value;
    return wrong(reading, `is ${told(value)}; it is one of ${shape.oneOf.join(", ")}`);
  }
  if ("else" in shape) return read(value, Array.isArray(value) ? shape.list : shape.else, reading);
  if ("listOf" in shape) {
    if (!Array.isArray(value)) return wrong(reading, `must be a list, not ${told(value)}`);
    return value.flatMap((item, index) => {
      const one = read(item, shape.listOf, below(reading, index));
      return one === undefined ? [] : [one];
    });
  }
  if (!isTree(value)) return wrong(reading, `must be an object${keysOf(shape)}, not ${told(value)}`);
  return "mapOf" in shape ? readMap(value, shape.mapOf, reading) : readFields(value, shape.fields, reading);
}

function readScalar(value: unknown, shape: string, reading: Reading): unknown {
  if (shape === "tree")
    return isTree(value) ? value : wrong(reading, `must be an object, not ${told(value)}`);
  if (shape === "bool")
    return typeof value === "boolean" ? value : wrong(reading, `must be true or false, not ${told(value)}`);
  if (shape === "text") return readText(value, reading);
  if (typeof value === "number" && Number.isInteger(value)) return value;
  if (shape === "whole or percent" && typeof value === "string" && /^-?\d{1,9}%?$/.test(value)) return value;
  return wrong(
    reading,
    `must be a ${shape === "whole" ? "whole number" : "whole number or a percentage"}, not ${told(value)}`,
  );
}

function readText(value: unknown, reading: Reading): string | undefined {
  if (typeof value === "string") return value;
  // sigs.k8s.io/yaml makes text of a scalar where text is wanted.
  if (typeof value === "bigint") return String(value);
  if (typeof value === "number" || typeof value === "boolean") {
    reading.faults.push({
      path: reading.path,
      isWarning: true,
      message: `${pathText(reading.path)} is read as ${value}; put it in quotes, so that it stays as it is written`,
    });
    return String(value);
  }
  return wrong(reading, `must be text, not ${told(value)}`) as undefined;
}

function readMap(value: Tree, shape: Shape, reading: Reading): Tree {
  const map: Tree = {};
  for (const key of Object.keys(value)) {
    // A null where text is wanted is empty text to Go.
    const given = fieldOf(value, key) ?? (shape === "text" ? "" : undefined);
    const one = read(given, shape, below(reading, key));
    if (one !== undefined) setField(map, key, one);
  }
  return map;
}

function readFields(value: Tree, fields: Readonly<Record<string, Shape>>, reading: Reading): Tree {
  const tree: Tree = {};
  for (const key of Object.keys(value)) {
    const shape = Object.hasOwn(fields, key) ? fields[key] : undefined;
    if (shape === undefined) {
      const near = nearest(key, Object.keys(fields));
      const path = [...reading.path, key];
      const message = `${pathText(path)} is not known and changes nothing${near === undefined ? "" : `; did you mean ${near}?`}`;
      reading.faults.push({ path, isWarning: true, message });
      continue;
    }
    const one = read(fieldOf(value, key), shape, below(reading, key));
    if (one !== undefined) setField(tree, key, one);
  }
  return tree;
}

function below({ path, faults }: Reading, step: string | number): Reading {
  return { path: [...path, step], faults };
}

function wrong({ path, faults }: Reading, message: string): undefined {
  faults.push({ path, isWarning: false, message: `${pathText(path) || "the document"} ${message}` });
  return undefined;
}

function keysOf(shape: Shape): string {
  if (typeof shape === "string" || !("fields" in shape)) return "";
  const keys = Object.keys(shape.fields);
  return keys.length > 4 ? "" : ` with ${keys.map((key) => JSON.stringify(key)).join(", ")}`;
}

function told(value: unknown): string {
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "an object";
  const text = typeof value === "string" ? JSON.stringify(value) : String(value);
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}

/** `targets[0].yaml`. */
export function pathText(path: YamlPath): string {
  let text = "";
  for (const step of path) text += typeof step === "number" ? `[${step}]` : text === "" ? step : `.${step}`;
  return text;
}

/** The known word that is a letter or two, or its case, away. */
function nearest(word: string, known: readonly string[]): string | undefined {
  const lower = word.toLowerCase();
  return (
    known.find((one) => one.toLowerCase() === lower) ??
    known.find((one) => distance(lower, one.toLowerCase()) <= 2)
  );
}

function distance(one: string, other: string): number {
  if (Math.abs(one.length - other.length) > 2) return 3;
  let row = Array.from({ length: other.length + 1 }, (_, index) => index);
  for (let at = 1; at <= one.length; at += 1) {
    const next = [at];
    for (let to = 1; to <= other.length; to += 1)
      next.push(
        Math.min(
          (row[to] ?? 0) + 1,
          (next[to - 1] ?? 0) + 1,
          (row[to - 1] ?? 0) + (one[at - 1] === other[to - 1] ? 0 : 1),
        ),
      );
    row = next;
  }
  return row.at(-1) ?? 3;
}
