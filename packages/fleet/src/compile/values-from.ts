import { isTree, type Tree } from "@cortado/kinds/tree";
import { StatusError } from "@cortado/std/status";
import { parseYaml } from "@cortado/wire/yaml";
import type { ValuesNeed } from "../protocol/protocol.ts";
import type { BundleOptions } from "./bundle.ts";
import { mergeValues } from "./value-trees.ts";

const KEY = "values.yaml";

/** What a store has to read for a bundle, in the order in which it counts (fleet.md 1.3: helm.valuesFrom). */
export function valuesNeeds(options: BundleOptions): readonly ValuesNeed[] {
  const { helm, serviceAccount: account } = options;
  const place = options.namespace || options.defaultNamespace || "default";
  return (helm?.valuesFrom ?? []).flatMap(({ configMapKeyRef, secretKeyRef }) =>
    [
      { kind: "ConfigMap", reference: configMapKeyRef } as const,
      { kind: "Secret", reference: secretKeyRef } as const,
    ].flatMap(({ kind, reference }) => {
      if (reference === undefined) return [];
      const { name, namespace, key } = reference;
      const need = { kind, namespace: namespace || place, name, key: key || KEY };
      return [account === undefined ? need : { ...need, account }];
    }),
  );
}

export function keyOfNeed({ kind, namespace, name, key, account = "" }: ValuesNeed): string {
  return [kind, namespace, name, key, account].join("/");
}

/** `Secret shop/db, key values.yaml`. */
export function needText({ kind, namespace, name, key }: ValuesNeed): string {
  return `${kind} ${namespace}/${name}, key ${key}`;
}

/** Options with what the store has put over `helm.values`: the last one counts. @throws StatusError "Invalid" that tells nothing of a value */
export function withStoreValues(
  options: BundleOptions,
  told: readonly { readonly need: ValuesNeed; readonly text: string }[],
): { readonly options: BundleOptions; readonly own: Tree } {
  const { valuesFrom: _read, ...helm } = options.helm ?? {};
  const own = told.reduce<Tree>((values, { need, text }) => mergeValues(values, treeOf(need, text)), {});
  return { options: { ...options, helm: { ...helm, values: mergeValues(helm.values ?? {}, own) } }, own };
}

function treeOf(need: ValuesNeed, text: string): Tree {
  const wrong = (what: string, cause?: unknown): StatusError =>
    new StatusError("Invalid", `helm.valuesFrom: ${needText(need)}: ${what}`, { cause });
  let value: unknown;
  try {
    ({ value } = parseYaml(text));
  } catch (cause) {
    // The parser's words show what stands there.
    const { mark } = ((cause as Error).cause ?? {}) as { readonly mark?: { readonly line: number } };
    throw wrong(`this is not YAML${mark === undefined ? "" : `, from line ${mark.line + 1}`}`, cause);
  }
  if (value === null || value === undefined) return {};
  if (isTree(value)) return value;
  throw wrong("this is no map of values");
}

const HIDDEN_CHARS_MIN = 3;

/** A text that a tool said, without the values of a store that it may repeat. */
export function withoutValues(text: string, own: Readonly<Tree>): string {
  const texts: string[] = [];
  const walk = (value: unknown): void => {
    if (typeof value === "string") texts.push(value, ...value.split("\n"));
    else if (typeof value === "number" || typeof value === "bigint") texts.push(String(value));
    else if (typeof value === "object" && value !== null) for (const one of Object.values(value)) walk(one);
  };
  walk(own);
  // The longest first: a short one may be a part of it.
  const found = [...new Set(texts)].filter((one) => one.trim().length >= HIDDEN_CHARS_MIN);
  found.sort((one, other) => other.length - one.length);
  return found.reduce((hidden, one) => hidden.replaceAll(one, "…"), text);
}
