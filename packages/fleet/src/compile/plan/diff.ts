import { at, isTree, type Tree } from "@cortado/kinds/tree";
import { canonicalJson } from "../canonical-json.ts";
import { objectName } from "../render/objects.ts";
import type { Plan } from "./plan.ts";
import { counted, problemLines, told, type Report } from "./report.ts";

/** Objects of a bundle by their names. */
export type ObjectsByName = ReadonlyMap<string, Readonly<Tree>>;
/** What clusters (`NAMESPACE/NAME`) have or get, by bundle. */
export type StoreObjects = ReadonlyMap<string, ReadonlyMap<string, ObjectsByName>>;

export function byName(objects: readonly Readonly<Tree>[]): ObjectsByName {
  return new Map(objects.map((object) => [objectName(object), object]));
}

export function storeObjects({ bundles }: Plan): StoreObjects {
  const stores = new Map<string, Map<string, ObjectsByName>>();
  for (const { name, variants } of bundles)
    for (const { rendered, clusters } of variants)
      for (const cluster of clusters) {
        const own = stores.get(cluster) ?? new Map<string, ObjectsByName>();
        stores.set(cluster, own.set(name, byName(rendered)));
      }
  return stores;
}

/** What would change in each store, those in which the same changes together. A bundle that fails changes nothing. */
export function diffReport(before: StoreObjects, plan: Plan): Report {
  const now = storeObjects(plan);
  const unseen = plan.bundles.map(({ name, variants, unknown }) => ({
    name,
    clusters: [...variants.filter(({ needs }) => needs.length > 0), ...unknown].flatMap(
      (one) => one.clusters,
    ),
  }));
  const keeps = new Set(
    [
      ...plan.bundles.flatMap(({ name, failed }) => failed.map(({ clusters }) => ({ name, clusters }))),
      ...unseen,
    ].flatMap(({ name, clusters }) => clusters.map((cluster) => `${cluster}\n${name}`)),
  );
  const lines: string[] = [];
  const names = new Set([...before.values(), ...now.values()].flatMap((bundles) => [...bundles.keys()]));
  for (const name of [...names].toSorted()) {
    const same = new Map<string, string[]>();
    for (const cluster of [...new Set([...before.keys(), ...now.keys()])].toSorted()) {
      if (keeps.has(`${cluster}\n${name}`)) continue;
      const text = bundleLines(before.get(cluster)?.get(name), now.get(cluster)?.get(name)).join("\n");
      if (text !== "") same.set(text, [...(same.get(text) ?? []), cluster]);
    }
    for (const [text, clusters] of same) lines.push(`${name}  ${told(clusters)}`, text);
  }
  for (const { name, failed } of plan.bundles)
    for (const { message, clusters } of failed)
      lines.push(`${name}  failed, and kept as it is  ${told(clusters)}`, `  ${message}`);
  for (const { name, clusters } of unseen)
    if (clusters.length > 0)
      lines.push(`${name}  not compared, as it has values that only the cluster has  ${told(clusters)}`);
  lines.push(...problemLines(plan.problems));
  const isWell = plan.problems.length === 0 && plan.bundles.every(({ failed }) => failed.length === 0);
  if (lines.length === 0) lines.push("nothing changes in any cluster");
  return { text: `${lines.join("\n")}\n`, isWell };
}

function bundleLines(before: ObjectsByName | undefined, now: ObjectsByName | undefined): readonly string[] {
  if (before === undefined && now !== undefined)
    return [
      `  + the bundle comes, with ${counted(now.size, "object")}`,
      ...[...now.keys()].map((name) => `  + ${name}`),
    ];
  if (before !== undefined && now === undefined)
    return [
      `  - the bundle goes, with ${counted(before.size, "object")}`,
      ...[...before.keys()].map((name) => `  - ${name}`),
    ];
  const lines: string[] = [];
  for (const [name, object] of now ?? []) {
    const old = before?.get(name);
    if (old === undefined) lines.push(`  + ${name}`);
    else if (canonicalJson(old) !== canonicalJson(object))
      lines.push(`  ~ ${name}`, ...fieldLines(old, object).map((line) => `      ${line}`));
  }
  for (const name of before?.keys() ?? []) if (now?.has(name) !== true) lines.push(`  - ${name}`);
  return lines;
}

const FIELDS_SHOWN = 40;
const VALUE_CHARS = 120;

function fieldLines(old: Readonly<Tree>, now: Readonly<Tree>): readonly string[] {
  const isSecret = now["kind"] === "Secret";
  const lines: string[] = [];
  const walk = (one: unknown, other: unknown, path: string): void => {
    if (canonicalJson(one ?? null) === canonicalJson(other ?? null)) return;
    if (isTree(one) && isTree(other)) {
      for (const key of new Set([...Object.keys(one), ...Object.keys(other)]))
        walk(at(one, key), at(other, key), path === "" ? key : `${path}.${key}`);
    } else if (Array.isArray(one) && Array.isArray(other)) {
      for (let index = 0; index < Math.max(one.length, other.length); index += 1)
        walk(one[index], other[index], `${path}[${index}]`);
    } else if (isSecret && /^(data|stringData)\b/.test(path)) lines.push(`${path}: another value`);
    else lines.push(`${path}: ${shown(one)} -> ${shown(other)}`);
  };
  walk(old, now, "");
  const more = lines.length - FIELDS_SHOWN;
  return more > 0 ? [...lines.slice(0, FIELDS_SHOWN), `and ${more} more`] : lines;
}

function shown(value: unknown): string {
  if (value === undefined) return "none";
  const text = JSON.stringify(value);
  return text.length > VALUE_CHARS ? `${text.slice(0, VALUE_CHARS)}…` : text;
}
