import {
  defineMappingTag,
  defineScalarTag,
  dump,
  FAILSAFE_SCHEMA,
  loadAll,
  mergeTag,
  NOT_RESOLVED,
  type Schema,
} from "js-yaml";
import { StatusError, messageOf } from "@cortado/std/status";
import { JSON_DEPTH_MAX } from "../json/json.ts";

/** Aliases that a document may use: more is a bomb. */
export const YAML_ALIASES_MAX = 100;

/** Values that a document may hold once its aliases are written out: aliases of aliases grow without bound. */
export const YAML_VALUES_MAX = 500_000;

export type YamlDocument = {
  readonly value: unknown;
  /** Keys given twice in one mapping; the last one counts. */ readonly duplicates: readonly string[];
};

/**
 * Reads YAML as Kubernetes does (go-yaml's 1.1 dialect through sigs.k8s.io/yaml): `0644` is 420, `yes` is true, dates stay text,
 * keys become text, whole numbers keep every digit.
 * @throws StatusError "BadRequest"
 */
export function parseYaml(text: string): YamlDocument {
  return parseYamlDocuments(text)[0] ?? { value: null, duplicates: [] };
}

/** All documents of a stream. @throws StatusError "BadRequest" */
export function parseYamlDocuments(text: string): readonly YamlDocument[] {
  const duplicates: string[] = [];
  // With merge keys a later key overrides on purpose, so nothing is called a duplicate then.
  const schema = kubernetesSchema(text.includes("<<") ? [] : duplicates);
  try {
    const values = loadAll(text, {
      schema,
      json: true,
      maxDepth: JSON_DEPTH_MAX,
      maxAliases: YAML_ALIASES_MAX,
    });
    countValues(values, { left: YAML_VALUES_MAX });
    return values.map((value) => ({ value, duplicates }));
  } catch (error) {
    if (error instanceof StatusError) throw error;
    throw new StatusError("BadRequest", `error converting YAML to JSON: yaml: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

/**
 * A value as YAML that Kubernetes and go-yaml read back as the same value: keys sorted when asked, no anchors, no folded lines, words that
 * YAML 1.1 takes for booleans in quotes.
 */
export function yamlText(value: unknown, options: { readonly sortKeys?: boolean } = {}): string {
  return dump(value, {
    schema: kubernetesSchema([]),
    noRefs: true,
    lineWidth: -1,
    sortKeys: options.sortKeys ?? false,
    seqNoIndent: true,
  });
}

function countValues(value: unknown, budget: { left: number }): void {
  budget.left -= 1;
  if (budget.left < 0)
    throw new StatusError(
      "BadRequest",
      `the YAML document holds more than ${YAML_VALUES_MAX} values when its aliases are written out`,
    );
  if (typeof value !== "object" || value === null) return;
  for (const child of Object.values(value)) countValues(child, budget);
}

const booleans = new Map<string, boolean>();
for (const word of ["y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"])
  booleans.set(word, true);
for (const word of ["n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"])
  booleans.set(word, false);

const nullTag = defineScalarTag<null>("tag:yaml.org,2002:null", {
  implicit: true,
  resolve: (source) => (["", "~", "null", "Null", "NULL"].includes(source) ? null : NOT_RESOLVED),
  identify: (data) => data === null,
});
const boolTag = defineScalarTag<boolean>("tag:yaml.org,2002:bool", {
  implicit: true,
  resolve: (source) => booleans.get(source) ?? NOT_RESOLVED,
  identify: (data) => typeof data === "boolean",
});
const intTag = defineScalarTag<number | bigint>("tag:yaml.org,2002:int", {
  implicit: true,
  resolve: (source) => readInteger(source) ?? NOT_RESOLVED,
  identify: (data) => typeof data === "bigint" || Number.isInteger(data),
});
const floatTag = defineScalarTag<number>("tag:yaml.org,2002:float", {
  implicit: true,
  resolve: (source) => readFloat(source) ?? NOT_RESOLVED,
  identify: (data) => typeof data === "number",
});

function readInteger(source: string): number | bigint | undefined {
  const parts = /^([-+]?)(0x[0-9a-fA-F]+|0o?[0-7]+|0b[01]+|0|[1-9][0-9]*)$/.exec(source.replaceAll("_", ""));
  if (parts === null || source.startsWith("_")) return undefined;
  const digits = parts[2] ?? "";
  const literal = /^0[0-7]+$/.test(digits) ? `0o${digits.slice(1)}` : digits;
  const value = BigInt(literal) * (parts[1] === "-" ? -1n : 1n);
  if (value > 2n ** 64n - 1n || value < -(2n ** 63n)) return undefined;
  return value <= Number.MAX_SAFE_INTEGER && value >= Number.MIN_SAFE_INTEGER ? Number(value) : value;
}

function readFloat(source: string): number | undefined {
  const plain = source.replaceAll("_", "");
  if (/^[-+]?\.(inf|Inf|INF)$|^\.(nan|NaN|NAN)$/.test(plain))
    throw new StatusError("BadRequest", `${source} has no form in JSON`);
  if (!/^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$/.test(plain)) return undefined;
  return Number(plain);
}

function kubernetesSchema(duplicates: string[]): Schema {
  const mapping = defineMappingTag<Record<string, unknown>>("tag:yaml.org,2002:map", {
    create: () => ({}),
    addPair(carrier, key, value) {
      if (typeof key === "object" && key !== null) return "a mapping's keys are scalars";
      const name = String(key);
      if (Object.hasOwn(carrier, name)) duplicates.push(name);
      Object.defineProperty(carrier, name, { value, writable: true, enumerable: true, configurable: true });
      return "";
    },
    has: (carrier, key) => Object.hasOwn(carrier, String(key)),
    keys: (result) => Object.keys(result),
    get: (result, key) => (Object.hasOwn(result, String(key)) ? result[String(key)] : undefined),
    identify: (data) => typeof data === "object" && data !== null && !Array.isArray(data),
    represent: (data: object) => new Map<unknown, unknown>(Object.entries(data)),
  });
  return FAILSAFE_SCHEMA.withTags(nullTag, boolTag, intTag, floatTag, mergeTag, mapping);
}
