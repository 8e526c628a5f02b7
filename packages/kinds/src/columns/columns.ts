import { ageText } from "../age.ts";
import type { Cell, Column, TableInfo } from "../kind-info.ts";
import { at, fieldOf, listAt, textAt, treeAt, type Tree } from "../tree.ts";

export type Cells = (object: Tree, age: (time: unknown) => string, nowMs: number) => readonly Cell[];

/** A table from column names: `+IP` shows with -o wide only, `Ready:integer` is a number. The first column is always the name. */
export function table(names: readonly string[], cells: Cells): TableInfo {
  return {
    columns: names.map(column),
    cells: (object, { nowMs }) => cells(object, (time) => ageText(time, nowMs), nowMs),
  };
}

function column(spec: string, index: number): Column {
  const isWide = spec.startsWith("+");
  const [name = "", type = "string"] = spec.replace("+", "").split(":");
  return {
    name,
    type: type as Column["type"],
    format: index === 0 && name === "Name" ? "name" : "",
    description: descriptions.get(name) ?? `${name} of the object.`,
    priority: isWide ? 1 : 0,
  };
}

const descriptions = new Map([
  ["Name", "Name must be unique within a namespace."],
  ["Age", "CreationTimestamp is the time when this object was created; RFC 3339, in UTC."],
  ["Created At", "CreationTimestamp is the time when this object was created; RFC 3339, in UTC."],
]);

export function nameOf(object: unknown): string {
  return textAt(object, "metadata", "name");
}

export function created(object: unknown): unknown {
  return at(object, "metadata", "creationTimestamp");
}

export function numberAt(object: unknown, ...path: readonly string[]): number {
  const found = at(object, ...path);
  return typeof found === "number" ? found : 0;
}

export function orNone(text: unknown): string {
  return text === undefined || text === null || text === "" ? "<none>" : String(text);
}

export function containersText(podSpec: unknown): { readonly names: string; readonly images: string } {
  const containers = listAt(podSpec, "containers");
  return {
    names: containers.map((one) => textAt(one, "name")).join(","),
    images: containers.map((one) => textAt(one, "image")).join(","),
  };
}

/** A LabelSelector or a plain map as kubectl writes it. */
export function selectorText(selector: unknown): string {
  const labels = treeAt(selector, "matchLabels");
  const expressions = listAt(selector, "matchExpressions");
  const plain =
    fieldOf(selector, "matchLabels") === undefined && expressions.length === 0
      ? treeAt({ selector }, "selector")
      : labels;
  const parts = Object.keys(plain)
    .toSorted()
    .map((key) => `${key}=${String(fieldOf(plain, key))}`);
  for (const expression of expressions) parts.push(expressionText(expression));
  return parts.length === 0 ? "<none>" : parts.join(",");
}

function expressionText(expression: unknown): string {
  const key = textAt(expression, "key");
  const values = listAt(expression, "values").join(",");
  const operator = textAt(expression, "operator");
  if (operator === "Exists") return key;
  if (operator === "DoesNotExist") return `!${key}`;
  return `${key} ${operator === "NotIn" ? "notin" : "in"} (${values})`;
}

/** What a kind without columns of its own shows. */
export const plainTable: TableInfo = table(["Name", "Created At:date"], (object) => [
  nameOf(object),
  String(created(object) ?? ""),
]);

export const ageTable: TableInfo = table(["Name", "Age"], (object, age) => [
  nameOf(object),
  age(created(object)),
]);
