import { RE2JS } from "@bufbuild/re2";
import { invalid, notSupported, required, tooLong, type FieldError } from "../field-errors.ts";
import { canonicalQuantity } from "../quantity.ts";
import { copyTree, fieldOf, isTree, sameTree, setField, type Tree } from "../tree.ts";
import { fieldSchema, follow, type Schema, type SchemaLookup } from "./schema.ts";

export type ShapeOptions = {
  readonly lookup: SchemaLookup;
  /** A custom resource keeps its nulls for defaulting, and its types are validated with paths of their own. */
  readonly isCustom: boolean;
  readonly structName: string;
};

export type Shape = {
  /** Paths of fields that the schema does not have; they were taken out. */
  readonly unknown: readonly string[];
  /** The first value of a wrong type, in the words of Go's decoder. */
  readonly wrong: string | undefined;
};

type Walk = { readonly options: ShapeOptions; readonly unknown: string[]; wrong: string | undefined };

const metaRef: Schema = { $ref: "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta" };
const rootFields = ["apiVersion", "kind", "metadata"];

/** Brings an object into its schema's shape: unknown fields and nulls go, quantities get their one form. Changes it in place. */
export function checkShape(object: Tree, schema: Schema, options: ShapeOptions): Shape {
  const walk: Walk = { options, unknown: [], wrong: undefined };
  // Metadata has the built-in form for every kind, whatever a CRD says about it.
  const meta = fieldOf(object, "metadata");
  if (isTree(meta))
    shapeTree(meta, options.lookup(metaRef.$ref ?? ""), {
      walk: { ...walk, options: { ...options, isCustom: false } },
      path: "metadata",
    });
  shapeTree(object, follow(schema, options.lookup), { walk, path: "" });
  return { unknown: walk.unknown, wrong: walk.wrong };
}

type Place = { readonly walk: Walk; readonly path: string };

function shapeTree(tree: Tree, schema: Schema | undefined, { walk, path }: Place): void {
  if (
    schema === undefined ||
    (schema.properties === undefined && schema.additionalProperties === undefined)
  ) {
    const isFree =
      schema === undefined ||
      schema["x-kubernetes-preserve-unknown-fields"] === true ||
      schema.type === undefined;
    if (!isFree && walk.options.isCustom && path !== "")
      for (const key of Object.keys(tree)) dropField(tree, key, { walk, path });
    return;
  }
  for (const key of Object.keys(tree)) {
    const here = path === "" ? key : `${path}.${key}`;
    if (walk.options.isCustom && path === "" && rootFields.includes(key)) continue;
    const below = fieldSchema(schema, key);
    const value = tree[key];
    if (below === undefined) {
      if (schema["x-kubernetes-preserve-unknown-fields"] !== true && schema.additionalProperties !== true)
        dropField(tree, key, { walk, path });
    } else if (value === null && !walk.options.isCustom) dropNull(tree, key, schema);
    else setField(tree, key, shapeValue(value, below, { walk, path: here }));
  }
}

// In Go a null is the zero value: no field, and for a map of texts the empty text.
function dropNull(tree: Tree, key: string, schema: Schema): void {
  const isMapOfTexts =
    typeof schema.additionalProperties === "object" && schema.additionalProperties.type === "string";
  if (isMapOfTexts) setField(tree, key, "");
  else delete tree[key];
}

function dropField(tree: Tree, key: string, { walk, path }: Place): void {
  walk.unknown.push(path === "" ? key : `${path}.${key}`);
  delete tree[key];
}

function shapeValue(value: unknown, given: Schema, { walk, path }: Place): unknown {
  const schema = follow(given, walk.options.lookup);
  if (schema === undefined || value === null) return value;
  if (Array.isArray(value)) {
    if (schema.type !== undefined && schema.type !== "array") return wrongType(value, schema, { walk, path });
    return value.map((item, index) =>
      shapeValue(item, schema.items ?? {}, { walk, path: `${path}[${index}]` }),
    );
  }
  if (isTree(value)) {
    if (schema.type !== undefined && schema.type !== "object")
      return wrongType(value, schema, { walk, path });
    if (schema["x-kubernetes-embedded-resource"] === true && schema.properties === undefined) return value;
    shapeTree(value, schema, { walk, path });
    return value;
  }
  return shapeScalar(value, schema, { walk, path });
}

function shapeScalar(value: unknown, schema: Schema, place: Place): unknown {
  if (schema.format === "quantity") return quantityValue(value, place);
  if (schema["x-kubernetes-int-or-string"] === true)
    return typeof value === "string" || isWhole(value) ? value : wrongType(value, schema, place);
  switch (schema.type) {
    case "string":
      return typeof value === "string" ? value : wrongType(value, schema, place);
    case "boolean":
      return typeof value === "boolean" ? value : wrongType(value, schema, place);
    case "integer":
      return isWhole(value) ? value : wrongType(value, schema, place);
    case "number":
      return typeof value === "number" || typeof value === "bigint" ? value : wrongType(value, schema, place);
    case undefined:
      return value;
    default:
      return wrongType(value, schema, place);
  }
}

function isWhole(value: unknown): boolean {
  return typeof value === "bigint" || (typeof value === "number" && Number.isInteger(value));
}

function quantityValue(value: unknown, place: Place): unknown {
  const text = canonicalQuantity(value);
  if (text !== undefined) return text;
  place.walk.wrong ??=
    typeof value === "string" || typeof value === "number"
      ? "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
      : `json: cannot unmarshal ${jsonType(value)} into Go value of type resource.Quantity (${place.path})`;
  return value;
}

const goTypes: Readonly<Record<string, string>> = {
  string: "string",
  boolean: "bool",
  integer: "int32",
  number: "float64",
  array: "slice",
  object: "struct",
};

function jsonType(value: unknown): string {
  if (Array.isArray(value)) return "array";
  if (typeof value === "boolean") return "bool";
  return typeof value === "bigint" ? "number" : typeof value;
}

function wrongType(value: unknown, schema: Schema, { walk, path }: Place): unknown {
  if (walk.options.isCustom) return value;
  const goType = schema.format === "int64" ? "int64" : (goTypes[schema.type ?? ""] ?? "intstr.IntOrString");
  const shown = typeof value === "number" && schema.type === "integer" ? `number ${value}` : jsonType(value);
  walk.wrong ??= `json: cannot unmarshal ${shown} into Go struct field ${walk.options.structName}.${path.replace(/\[\d+\]/g, "")} of type ${goType}`;
  return value;
}

/** Fills what a CRD's schema has defaults for, in objects that are there. Changes the object in place. */
export function fillDefaults(value: unknown, schema: Schema | undefined): void {
  if (schema === undefined) return;
  if (Array.isArray(value)) for (const item of value) fillDefaults(item, schema.items);
  if (!isTree(value)) return;
  for (const [key, below] of Object.entries(schema.properties ?? {})) {
    const found = fieldOf(value, key);
    const isMissing = found === undefined || (found === null && below.nullable !== true);
    if (isMissing && below.default !== undefined) setField(value, key, copyTree(below.default));
    else if (found === null && below.nullable !== true) delete value[key];
  }
  for (const key of Object.keys(value)) fillDefaults(value[key], fieldSchema(schema, key));
}

type Check = { readonly errors: FieldError[]; readonly lookup: SchemaLookup };

/** Every way in which an object breaks a CRD's schema, in upstream's words. */
export function validateSchema(object: Tree, schema: Schema, lookup: SchemaLookup): readonly FieldError[] {
  const check: Check = { errors: [], lookup };
  validateValue(object, schema, { check, path: "" });
  return check.errors;
}

type Spot = { readonly check: Check; readonly path: string };

function validateValue(value: unknown, given: Schema, spot: Spot): void {
  const schema = follow(given, spot.check.lookup) ?? {};
  const { errors } = spot.check;
  const path = spot.path === "" ? "<nil>" : spot.path;
  if (value === null && schema.nullable === true) return;
  const problem = typeProblem(value, schema);
  if (problem !== undefined) {
    errors.push({
      type: "TypeInvalid",
      field: path,
      value: shownType(value),
      detail: `${spot.path} in body must be of type ${problem}: ${JSON.stringify(shownType(value))}`,
    });
    return;
  }
  if (schema.enum !== undefined && !schema.enum.some((one) => sameTree(one, value)))
    errors.push(notSupported(path, value, schema.enum.map(String)));
  if (typeof value === "string") validateText(value, schema, spot);
  else if (typeof value === "number" || typeof value === "bigint")
    validateNumber(Number(value), schema, spot);
  else if (Array.isArray(value)) validateList(value, schema, spot);
  else if (isTree(value)) validateTree(value, schema, spot);
  validateCombined(value, schema, spot);
}

function shownType(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  if (typeof value === "number" || typeof value === "bigint")
    return Number.isInteger(Number(value)) ? "integer" : "number";
  return typeof value;
}

function typeProblem(value: unknown, schema: Schema): string | undefined {
  if (schema["x-kubernetes-int-or-string"] === true)
    return typeof value === "string" || isWhole(value) ? undefined : "integer,string";
  const shown = shownType(value);
  if (schema.type === undefined || schema.type === shown) return undefined;
  return schema.type === "number" && shown === "integer" ? undefined : schema.type;
}

const patterns = new Map<string, RE2JS>();
/** Patterns come from definitions; past this the table starts again. */
const PATTERNS_MAX = 1_000;

function patternOf(text: string): RE2JS {
  let pattern = patterns.get(text);
  if (pattern === undefined) {
    pattern = RE2JS.compile(text);
    if (patterns.size >= PATTERNS_MAX) patterns.clear();
    patterns.set(text, pattern);
  }
  return pattern;
}

function validateText(value: string, schema: Schema, { check, path }: Spot): void {
  const length = [...value].length;
  if (schema.maxLength !== undefined && length > schema.maxLength)
    check.errors.push(tooLong(path, schema.maxLength));
  if (schema.minLength !== undefined && length < schema.minLength)
    check.errors.push(
      invalid(path, value, `${path} in body should be at least ${schema.minLength} chars long`),
    );
  if (schema.pattern !== undefined && !patternOf(schema.pattern).test(value))
    check.errors.push(invalid(path, value, `${path} in body should match '${schema.pattern}'`));
  if (
    schema.format === "date-time" &&
    (Number.isNaN(Date.parse(value)) || !/^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d/.test(value))
  )
    check.errors.push(
      invalid(path, value, `${path} in body must be of type date-time: ${JSON.stringify(value)}`),
    );
}

function validateNumber(value: number, schema: Schema, { check, path }: Spot): void {
  const { minimum, maximum, multipleOf } = schema;
  if (maximum !== undefined && (schema.exclusiveMaximum === true ? value >= maximum : value > maximum))
    check.errors.push(
      invalid(
        path,
        value,
        `${path} in body should be less than ${schema.exclusiveMaximum === true ? "" : "or equal to "}${maximum}`,
      ),
    );
  if (minimum !== undefined && (schema.exclusiveMinimum === true ? value <= minimum : value < minimum))
    check.errors.push(
      invalid(
        path,
        value,
        `${path} in body should be greater than ${schema.exclusiveMinimum === true ? "" : "or equal to "}${minimum}`,
      ),
    );
  if (multipleOf !== undefined && !Number.isInteger(value / multipleOf))
    check.errors.push(invalid(path, value, `${path} in body should be a multiple of ${multipleOf}`));
}

function validateList(value: readonly unknown[], schema: Schema, { check, path }: Spot): void {
  if (schema.maxItems !== undefined && value.length > schema.maxItems)
    check.errors.push({
      type: "TooMany",
      field: path,
      value: value.length,
      detail: `must have at most ${schema.maxItems} items`,
    });
  if (schema.minItems !== undefined && value.length < schema.minItems)
    check.errors.push(
      invalid(path, value.length, `${path} in body should have at least ${schema.minItems} items`),
    );
  const keys = schema["x-kubernetes-list-map-keys"];
  const listType = schema["x-kubernetes-list-type"];
  const seen = new Set<string>();
  for (const [index, item] of value.entries()) {
    if (schema.items !== undefined) validateValue(item, schema.items, { check, path: `${path}[${index}]` });
    if (listType !== "set" && listType !== "map") continue;
    const shown =
      listType === "set" ? item : Object.fromEntries((keys ?? []).map((key) => [key, fieldOf(item, key)]));
    const key = JSON.stringify(shown, (_name, inner: unknown) =>
      typeof inner === "bigint" ? inner.toString() : inner,
    );
    if (seen.has(key)) check.errors.push({ type: "Duplicate", field: `${path}[${index}]`, value: shown });
    seen.add(key);
  }
}

function validateTree(value: Tree, schema: Schema, { check, path }: Spot): void {
  for (const key of schema.required ?? [])
    if (fieldOf(value, key) === undefined)
      check.errors.push(required(path === "" ? key : `${path}.${key}`, ""));
  const count = Object.keys(value).length;
  if (schema.maxProperties !== undefined && count > schema.maxProperties)
    check.errors.push({
      type: "TooMany",
      field: path,
      value: count,
      detail: `must have at most ${schema.maxProperties} items`,
    });
  if (schema.minProperties !== undefined && count < schema.minProperties)
    check.errors.push(
      invalid(path, count, `${path} in body should have at least ${schema.minProperties} properties`),
    );
  for (const key of Object.keys(value)) {
    if (path === "" && rootFields.includes(key)) continue;
    const below = fieldSchema(schema, key);
    if (below !== undefined)
      validateValue(value[key], below, { check, path: path === "" ? key : `${path}.${key}` });
  }
}

function validateCombined(value: unknown, schema: Schema, { check, path }: Spot): void {
  const count = (schemas: readonly Schema[]): number =>
    schemas.filter((one) => passes(value, one, { check, path })).length;
  const where = path === "" ? "<nil>" : path;
  for (const one of schema.allOf ?? []) validateValue(value, one, { check, path });
  if (
    schema.anyOf !== undefined &&
    schema["x-kubernetes-int-or-string"] !== true &&
    count(schema.anyOf) === 0
  )
    check.errors.push(invalid(where, value, `${path} in body must validate at least one schema (anyOf)`));
  if (
    schema.oneOf !== undefined &&
    schema["x-kubernetes-int-or-string"] !== true &&
    count(schema.oneOf) !== 1
  )
    check.errors.push(invalid(where, value, `${path} in body must validate one and only one schema (oneOf)`));
  if (schema.not !== undefined && passes(value, schema.not, { check, path }))
    check.errors.push(invalid(where, value, `${path} in body must not validate the schema (not)`));
}

function passes(value: unknown, schema: Schema, { check, path }: Spot): boolean {
  const inner: Check = { errors: [], lookup: check.lookup };
  validateValue(value, schema, { check: inner, path });
  return inner.errors.length === 0;
}
