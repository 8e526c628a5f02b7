import {
  duplicate,
  forbidden,
  invalid,
  notSupported,
  required,
  tooLong,
  type FieldError,
} from "../field-errors.ts";
import type { KindInfo } from "../kind-info.ts";
import { labelValueProblems, qualifiedNameProblems, subdomainProblems } from "../names.ts";
import { at, fieldOf, isTree, listAt, sameTree, textAt, treeAt, type Tree } from "../tree.ts";

/** Bytes that all annotations of an object may take (apimachinery, TotalAnnotationSizeLimitB). */
export const ANNOTATIONS_BYTES_MAX: number = 256 * 1024;

/** Checks metadata of any kind (apimachinery, pkg/api/validation/objectmeta.go). */
export function validateMeta(object: Tree, kind: KindInfo): readonly FieldError[] {
  const errors: FieldError[] = [];
  const meta = treeAt(object, "metadata");
  const nameProblems = kind.rules.nameProblems ?? subdomainProblems;
  const name = textAt(meta, "name");
  if (name === "") errors.push(required("metadata.name", "name or generateName is required"));
  else for (const problem of nameProblems(name)) errors.push(invalid("metadata.name", name, problem));
  const namespace = textAt(meta, "namespace");
  if (kind.namespaced && namespace === "") errors.push(required("metadata.namespace"));
  if (!kind.namespaced && namespace !== "")
    errors.push(forbidden("metadata.namespace", "not allowed on this type"));
  errors.push(
    ...validateLabels(fieldOf(meta, "labels"), "metadata.labels"),
    ...validateAnnotations(treeAt(meta, "annotations")),
  );
  errors.push(...validateOwners(meta), ...validateFinalizers(meta));
  return errors;
}

export function validateLabels(labels: unknown, path: string): readonly FieldError[] {
  const errors: FieldError[] = [];
  if (!isTree(labels)) return errors;
  for (const [key, value] of Object.entries(labels)) {
    for (const problem of qualifiedNameProblems(key)) errors.push(invalid(path, key, problem));
    for (const problem of labelValueProblems(String(value))) errors.push(invalid(path, value, problem));
  }
  return errors;
}

function validateAnnotations(annotations: Tree): readonly FieldError[] {
  const errors: FieldError[] = [];
  let bytes = 0;
  for (const [key, value] of Object.entries(annotations)) {
    for (const problem of qualifiedNameProblems(key.toLowerCase()))
      errors.push(invalid("metadata.annotations", key, problem));
    bytes += key.length + String(value).length;
  }
  if (bytes > ANNOTATIONS_BYTES_MAX) errors.push(tooLong("metadata.annotations", ANNOTATIONS_BYTES_MAX));
  return errors;
}

function validateOwners(meta: Tree): readonly FieldError[] {
  const errors: FieldError[] = [];
  let controllers = 0;
  for (const [index, owner] of listAt(meta, "ownerReferences").entries()) {
    const path = `metadata.ownerReferences[${index}]`;
    if (textAt(owner, "apiVersion") === "")
      errors.push(invalid(`${path}.apiVersion`, "", "version must not be empty"));
    if (textAt(owner, "kind") === "") errors.push(invalid(`${path}.kind`, "", "kind must not be empty"));
    if (textAt(owner, "name") === "") errors.push(invalid(`${path}.name`, "", "name must not be empty"));
    if (textAt(owner, "uid") === "") errors.push(invalid(`${path}.uid`, "", "uid must not be empty"));
    if (at(owner, "controller") === true) controllers += 1;
  }
  if (controllers > 1)
    errors.push(
      invalid(
        "metadata.ownerReferences",
        listAt(meta, "ownerReferences"),
        "Only one reference can have Controller set to true.",
      ),
    );
  return errors;
}

const standardFinalizers = ["foregroundDeletion", "orphan", "kubernetes"];

function validateFinalizers(meta: Tree): readonly FieldError[] {
  const errors: FieldError[] = [];
  for (const [index, finalizer] of listAt(meta, "finalizers").entries()) {
    const path = `metadata.finalizers[${index}]`;
    for (const problem of qualifiedNameProblems(String(finalizer)))
      errors.push(invalid(path, finalizer, problem));
    if (!String(finalizer).includes("/") && !standardFinalizers.includes(String(finalizer)))
      errors.push(
        invalid(path, finalizer, "name is neither a standard finalizer name nor is it fully qualified"),
      );
  }
  return errors;
}

/** What may never change of an object's metadata. */
export function validateMetaUpdate(next: Tree, current: Tree): readonly FieldError[] {
  const errors: FieldError[] = [];
  for (const field of ["name", "namespace", "uid", "creationTimestamp", "deletionTimestamp"])
    if (!sameTree(at(next, "metadata", field), at(current, "metadata", field)))
      errors.push(invalid(`metadata.${field}`, at(next, "metadata", field), "field is immutable"));
  if (at(current, "metadata", "deletionTimestamp") !== undefined) {
    const had = listAt(current, "metadata", "finalizers");
    const added = listAt(next, "metadata", "finalizers").filter((finalizer) => !had.includes(finalizer));
    if (added.length > 0)
      errors.push(
        forbidden(
          "metadata.finalizers",
          `no new finalizers can be added if the object is being deleted, found new finalizers []string{${added.map((one) => JSON.stringify(one)).join(", ")}}`,
        ),
      );
  }
  return errors;
}

const operators = ["In", "NotIn", "Exists", "DoesNotExist"];

export function validateSelector(selector: unknown, path: string): readonly FieldError[] {
  const errors: FieldError[] = [...validateLabels(fieldOf(selector, "matchLabels"), `${path}.matchLabels`)];
  for (const [index, expression] of listAt(selector, "matchExpressions").entries()) {
    const here = `${path}.matchExpressions[${index}]`;
    const operator = textAt(expression, "operator");
    const values = listAt(expression, "values");
    if (!operators.includes(operator))
      errors.push(invalid(`${here}.operator`, operator, "not a valid selector operator"));
    if ((operator === "In" || operator === "NotIn") && values.length === 0)
      errors.push(required(`${here}.values`, "must be specified when `operator` is 'In' or 'NotIn'"));
    if ((operator === "Exists" || operator === "DoesNotExist") && values.length > 0)
      errors.push(
        forbidden(`${here}.values`, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"),
      );
    for (const problem of qualifiedNameProblems(textAt(expression, "key")))
      errors.push(invalid(`${here}.key`, textAt(expression, "key"), problem));
  }
  return errors;
}

/** Each name in a list once. */
export function uniqueNames(list: readonly unknown[], path: string): readonly FieldError[] {
  const seen = new Set<string>();
  const errors: FieldError[] = [];
  for (const [index, item] of list.entries()) {
    const name = textAt(item, "name");
    if (name !== "" && seen.has(name)) errors.push(duplicate(`${path}[${index}].name`, name));
    seen.add(name);
  }
  return errors;
}

/** One of these words. */
export function oneOf(value: unknown, path: string, words: readonly string[]): readonly FieldError[] {
  return typeof value === "string" && words.includes(value) ? [] : [notSupported(path, value, words)];
}
