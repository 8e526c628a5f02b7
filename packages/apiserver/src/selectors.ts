import { fieldOf, textAt, treeAt, type Tree } from "@cortado/kinds/tree";
import type { KindInfo } from "@cortado/kinds/kind-info";
import { labelValueProblems, qualifiedNameProblems } from "@cortado/kinds/names";
import { badRequest } from "./errors.ts";

export type LabelRequirement = {
  readonly key: string;
  readonly operator: "in" | "notin" | "exists" | "absent" | "gt" | "lt";
  readonly values: readonly string[];
};

/** Reads `a=b,c!=d,e in (f,g),h,!i`. @throws StatusError "BadRequest" */
export function parseLabelSelector(text: string): readonly LabelRequirement[] {
  return splitOutside(text)
    .filter((part) => part !== "")
    .map(readRequirement);
}

function splitOutside(text: string): readonly string[] {
  const parts: string[] = [];
  let depth = 0;
  let start = 0;
  for (const [index, letter] of [...text].entries()) {
    if (letter === "(") depth += 1;
    else if (letter === ")") depth -= 1;
    else if (letter === "," && depth === 0) {
      parts.push(text.slice(start, index).trim());
      start = index + 1;
    }
  }
  parts.push(text.slice(start).trim());
  return parts;
}

function readRequirement(part: string): LabelRequirement {
  const set = /^(\S+)\s+(in|notin)\s*\(([^()]*)\)$/.exec(part);
  if (set !== null)
    return checked(
      set[1] ?? "",
      set[2] as "in" | "notin",
      (set[3] ?? "").split(",").map((value) => value.trim()),
    );
  const equal = /^([^\s!=<>]+)\s*(==|!=|=|<|>)\s*(\S*)$/.exec(part);
  if (equal !== null) return checked(equal[1] ?? "", operators[equal[2] ?? ""] ?? "in", [equal[3] ?? ""]);
  const word = /^(!?)\s*([^\s!=<>()]+)$/.exec(part);
  if (word !== null) return checked(word[2] ?? "", word[1] === "!" ? "absent" : "exists", []);
  throw badRequest(`unable to parse requirement: ${JSON.stringify(part)} is not a label selector`);
}

const operators: Readonly<Record<string, LabelRequirement["operator"]>> = {
  "=": "in",
  "==": "in",
  "!=": "notin",
  ">": "gt",
  "<": "lt",
};

function checked(
  key: string,
  operator: LabelRequirement["operator"],
  values: readonly string[],
): LabelRequirement {
  const problem = qualifiedNameProblems(key)[0];
  if (problem !== undefined)
    throw badRequest(`unable to parse requirement: <nil>: Invalid value: ${JSON.stringify(key)}: ${problem}`);
  for (const value of operator === "in" || operator === "notin" ? values : []) {
    const wrong = labelValueProblems(value)[0];
    if (wrong !== undefined)
      throw badRequest(
        `unable to parse requirement: values[0][${key}]: Invalid value: ${JSON.stringify(value)}: ${wrong}`,
      );
  }
  return { key, operator, values };
}

export function labelsMatch(labels: Tree, requirements: readonly LabelRequirement[]): boolean {
  return requirements.every(({ key, operator, values }) => {
    const value = fieldOf(labels, key);
    if (operator === "exists") return value !== undefined;
    if (operator === "absent") return value === undefined;
    if (operator === "notin") return value === undefined || !values.includes(String(value));
    if (value === undefined) return false;
    if (operator === "in") return values.includes(String(value));
    return operator === "gt" ? Number(value) > Number(values[0]) : Number(value) < Number(values[0]);
  });
}

export type FieldRequirement = { readonly field: string; readonly isEqual: boolean; readonly value: string };

/** Reads `a=b,c!=d` for one kind. @throws StatusError "BadRequest" for a field that the kind does not select by */
export function parseFieldSelector(text: string, kind: KindInfo): readonly FieldRequirement[] {
  return text
    .split(",")
    .filter((part) => part.trim() !== "")
    .map((part) => {
      const match = /^([^!=]+)(!=|==|=)(.*)$/.exec(part.trim());
      if (match === null)
        throw badRequest(
          `invalid selector: ${JSON.stringify(part)}; can't understand ${JSON.stringify(part)}`,
        );
      const [, field = "", operator = "", value = ""] = match;
      if (!fieldNames(kind).includes(field)) throw badRequest(`field label not supported: ${field}`);
      return { field, isEqual: operator !== "!=", value: value.replace(/\\([,=\\])/g, "$1") };
    });
}

function fieldNames(kind: KindInfo): readonly string[] {
  return [
    "metadata.name",
    ...(kind.namespaced ? ["metadata.namespace"] : []),
    ...Object.keys(kind.rules.fields ?? {}),
  ];
}

export function fieldsMatch(
  object: Tree,
  requirements: readonly FieldRequirement[],
  kind: KindInfo,
): boolean {
  return requirements.every(
    ({ field, isEqual, value }) => (fieldValue(object, field, kind) === value) === isEqual,
  );
}

function fieldValue(object: Tree, field: string, kind: KindInfo): string {
  if (field === "metadata.name") return textAt(object, "metadata", "name");
  if (field === "metadata.namespace") return textAt(object, "metadata", "namespace");
  return kind.rules.fields?.[field]?.(object) ?? "";
}

export type Selection = {
  readonly labels: readonly LabelRequirement[];
  readonly fields: readonly FieldRequirement[];
};

export function readSelection(query: URLSearchParams, kind: KindInfo): Selection {
  return {
    labels: parseLabelSelector(query.get("labelSelector") ?? ""),
    fields: parseFieldSelector(query.get("fieldSelector") ?? "", kind),
  };
}

export function selectsAll(selection: Selection): boolean {
  return selection.labels.length === 0 && selection.fields.length === 0;
}

export function selected(object: Tree, selection: Selection, kind: KindInfo): boolean {
  return (
    labelsMatch(treeAt(object, "metadata", "labels"), selection.labels) &&
    fieldsMatch(object, selection.fields, kind)
  );
}
