import { fieldOf, isTree } from "@cortado/kinds/tree";

type Step =
  | { readonly kind: "field"; readonly name: string }
  | { readonly kind: "index"; readonly index: number }
  | { readonly kind: "all" }
  | {
      readonly kind: "filter";
      readonly path: readonly Step[];
      readonly operator: string;
      readonly value: unknown;
    };

const compiled = new Map<string, readonly Step[]>();
/** Paths come from definitions, so there are few; past this the table starts again. */
const PATHS_MAX = 1_000;

/** The values at a JSONPath of printer columns: `.spec.x`, `.a[0]`, `.a[*].b`, `.conditions[?(@.type=="Ready")].status`. */
export function readPath(object: unknown, path: string): readonly unknown[] {
  let steps = compiled.get(path);
  if (steps === undefined) {
    steps = parsePath(path);
    if (compiled.size >= PATHS_MAX) compiled.clear();
    compiled.set(path, steps);
  }
  return walk(object, steps);
}

function walk(object: unknown, steps: readonly Step[]): readonly unknown[] {
  let values: readonly unknown[] = [object];
  for (const step of steps) values = values.flatMap((value) => take(value, step));
  return values;
}

function take(value: unknown, step: Step): readonly unknown[] {
  switch (step.kind) {
    case "field": {
      const found = fieldOf(value, step.name);
      return found === undefined ? [] : [found];
    }
    case "index":
      return Array.isArray(value) && value.at(step.index) !== undefined ? [value.at(step.index)] : [];
    case "all":
      return Array.isArray(value) ? value : isTree(value) ? Object.values(value) : [];
    case "filter":
      return Array.isArray(value) ? value.filter((item) => passes(item, step)) : [];
  }
}

function passes(item: unknown, { path, operator, value }: Step & { kind: "filter" }): boolean {
  const found = walk(item, path)[0];
  if (operator === "") return found !== undefined;
  if (operator === "==") return found === value;
  if (operator === "!=") return found !== value;
  if (typeof found !== "number" || typeof value !== "number") return false;
  return operator === ">"
    ? found > value
    : operator === "<"
      ? found < value
      : operator === ">="
        ? found >= value
        : found <= value;
}

function parsePath(path: string): readonly Step[] {
  const steps: Step[] = [];
  let rest = path
    .trim()
    .replace(/^\{(.*)\}$/, "$1")
    .replace(/^\$/, "");
  if (rest !== "" && !rest.startsWith(".") && !rest.startsWith("[")) rest = `.${rest}`;
  while (rest !== "") {
    const field = /^\.((?:\\.|[^.[\]\\])+)/.exec(rest);
    const quoted = /^\[(?:'((?:\\.|[^'])*)'|"((?:\\.|[^"])*)")\]/.exec(rest);
    const index = /^\[(-?\d+)\]/.exec(rest);
    const all = /^(?:\[\*\]|\.\*)/.exec(rest);
    const filter =
      /^\[\?\(@((?:\.[^=!<>)\s]+)+)\s*(?:(==|!=|>=|<=|>|<)\s*("[^"]*"|'[^']*'|[^)\s]+))?\s*\)\]/.exec(rest);
    const match = all ?? field ?? quoted ?? index ?? filter;
    if (match === null) return [{ kind: "field", name: rest }];
    if (all !== null) steps.push({ kind: "all" });
    else if (field !== null) steps.push({ kind: "field", name: (field[1] ?? "").replace(/\\(.)/g, "$1") });
    else if (quoted !== null)
      steps.push({ kind: "field", name: (quoted[1] ?? quoted[2] ?? "").replace(/\\(.)/g, "$1") });
    else if (index !== null) steps.push({ kind: "index", index: Number(index[1]) });
    else if (filter !== null)
      steps.push({
        kind: "filter",
        path: parsePath(filter[1] ?? ""),
        operator: filter[2] ?? "",
        value: literal(filter[3] ?? ""),
      });
    rest = rest.slice(match[0].length);
  }
  return steps;
}

function literal(text: string): unknown {
  if (/^["'].*["']$/.test(text)) return text.slice(1, -1);
  if (text === "true" || text === "false") return text === "true";
  return text !== "" && !Number.isNaN(Number(text)) ? Number(text) : text;
}
