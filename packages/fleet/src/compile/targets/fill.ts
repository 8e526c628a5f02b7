import { fieldOf, isTree, setField, type Tree } from "@cortado/kinds/tree";
import { messageOf, StatusError } from "@cortado/std/status";
import { parseYaml, yamlText } from "@cortado/wire/yaml";
import { LITERAL_DEPTH_MAX } from "../../limits.ts";
import type { BundleOptions, ClusterFacts, HelmOptions } from "../bundle.ts";
import { newTemplate, type Filling } from "../template/template.ts";
import { templateContext } from "./context.ts";

/** Options of a variant for one cluster. @throws StatusError "Invalid" that names the value, the action and the fault */
export type Filler = (cluster: ClusterFacts) => BundleOptions;

export type FillOptions = { readonly strict: boolean };

const LITERAL = "global.fleet.clusterLabels.";

/** Reads the templates of a variant once. Options without any are the same object for every cluster. */
export function newFiller(options: BundleOptions, { strict }: FillOptions): Filler {
  const helm = options.helm ?? {};
  const values = helm.values ?? {};
  const templateValues = Object.entries(helm.templateValues ?? {});
  const hasLiterals = hasLiteral(values, 0);
  const isTemplate = helm.disablePreProcess !== true && yamlText(values).includes("${");
  const isFilled = hasLiterals || isTemplate || templateValues.length > 0;
  if (!isFilled || (helm.disablePreProcess === true && !hasLiterals)) return () => options;
  // A template is read when it is first wanted: a fault in it is then told for each cluster that it keeps out.
  const read = newTemplates(strict);
  return (cluster) => {
    const context = templateContext(cluster, strict);
    // Fleet leaves everything as it is for a cluster without labels.
    if (strict && Object.keys(context["ClusterLabels"] as Tree).length === 0) return options;
    const literal = hasLiterals ? (withLabels(values, cluster.labels, 0) as Tree) : values;
    if (helm.disablePreProcess === true) return withHelm(options, { values: literal });
    const filled = isTemplate ? fillValues(literal, { context, read, isKept: !hasLiterals }) : { ...literal };
    for (const [key, text] of templateValues) setField(filled, key, fillOne(key, text, { context, read }));
    return withHelm(options, { values: filled });
  };
}

/** Templates were filled in: what is left is values. */
function withHelm(options: BundleOptions, over: Pick<HelmOptions, "values">): BundleOptions {
  const { templateValues: _filled, ...helm } = options.helm ?? {};
  return { ...options, helm: { ...helm, ...over } };
}

type Templates = (text: string, isKept: boolean) => Filling;

function newTemplates(strict: boolean): Templates {
  const known = new Map<string, Filling>();
  return (text, isKept) => {
    const found = known.get(text);
    if (found !== undefined) return found;
    const made = newTemplate(text, { strict });
    if (isKept) known.set(text, made);
    return made;
  };
}

type Filled = { readonly context: Tree; readonly read: Templates };

/** The whole tree as one template over its YAML, as Fleet does: keys are filled in too, and a type may change. */
function fillValues(values: Tree, { context, read, isKept }: Filled & { readonly isKept: boolean }): Tree {
  let text: string;
  try {
    text = read(yamlText(values, { sortKeys: true }), isKept).fill(context);
  } catch (error) {
    throw placed(error, (action) => pathTo(values, action) ?? "helm.values");
  }
  return asTree(text, "helm.values");
}

function fillOne(key: string, text: string, { context, read }: Filled): unknown {
  const place = `helm.templateValues.${key}`;
  let filled: string;
  try {
    filled = read(text, true).fill(context);
  } catch (error) {
    throw placed(error, () => place);
  }
  return parsed(filled, place);
}

function parsed(text: string, place: string): unknown {
  try {
    return parseYaml(text).value;
  } catch (error) {
    throw new StatusError(
      "Invalid",
      `${place}: with its templates filled in it is not YAML: ${messageOf(error)}; put quotes around the action`,
      { cause: error },
    );
  }
}

function asTree(text: string, place: string): Tree {
  const value = parsed(text, place);
  if (value === null || value === undefined) return {};
  if (isTree(value)) return value;
  throw new StatusError("Invalid", `${place}: with its templates filled in it is no map of values`);
}

function placed(error: unknown, placeOf: (action: string) => string): unknown {
  if (!(error instanceof StatusError)) return error;
  const place = placeOf(error.details?.name ?? "");
  return new StatusError("Invalid", `${place}: ${error.message}`, { cause: error });
}

/** Path of the first value that holds the action. */
function pathTo(values: Tree, action: string): string | undefined {
  const wanted = action.split("\n")[0] ?? "";
  const find = (value: unknown, path: string): string | undefined => {
    if (typeof value === "string") return wanted !== "" && value.includes(wanted) ? path : undefined;
    if (typeof value !== "object" || value === null) return undefined;
    for (const [key, child] of Object.entries(value)) {
      const here = Array.isArray(value) ? `${path}[${key}]` : `${path}.${key}`;
      const found = wanted !== "" && key.includes(wanted) ? here : find(child, here);
      if (found !== undefined) return found;
    }
    return undefined;
  };
  return find(values, "helm.values");
}

function hasLiteral(value: unknown, depth: number): boolean {
  if (depth > LITERAL_DEPTH_MAX || typeof value !== "object" || value === null) return false;
  return Object.values(value).some(
    (child) =>
      (!Array.isArray(value) && typeof child === "string" && child.startsWith(LITERAL)) ||
      hasLiteral(child, depth + 1),
  );
}

/** The older form: a text of a map that is a label's place. In a list only maps are looked into, as Fleet does. */
function withLabels(value: unknown, labels: Readonly<Record<string, string>>, depth: number): unknown {
  if (depth > LITERAL_DEPTH_MAX) return value;
  if (Array.isArray(value))
    return value.map((item) => (isTree(item) ? withLabels(item, labels, depth + 1) : item));
  if (!isTree(value)) return value;
  const made: Tree = {};
  for (const key of Object.keys(value)) {
    const child = fieldOf(value, key);
    const isLabel = typeof child === "string" && child.startsWith(LITERAL);
    const told = isLabel ? (fieldOf(labels, child.slice(LITERAL.length)) ?? "") : undefined;
    setField(made, key, isLabel ? told : withLabels(child, labels, depth + 1));
  }
  return made;
}
