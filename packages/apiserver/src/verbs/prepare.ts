import { toTime } from "@cortado/std/clock";
import { nameSuffix } from "@cortado/std/random";
import { invalidObject, type FieldError } from "@cortado/kinds/field-errors";
import { validateMeta, validateMetaUpdate } from "@cortado/kinds/meta-validation";
import {
  copyTree,
  fieldOf,
  growTree,
  sameTree,
  setField,
  textAt,
  treeAt,
  type Tree,
} from "@cortado/kinds/tree";
import type { KindInfo } from "@cortado/kinds/kind-info";
import type { Call, Server } from "../server.ts";
import { GENERATED_PREFIX_MAX } from "../limits.ts";
import { validateBySchema } from "./schema-validation.ts";

const systemFields = [
  "uid",
  "creationTimestamp",
  "deletionTimestamp",
  "deletionGracePeriodSeconds",
  "resourceVersion",
  "selfLink",
  "generation",
];

/** Gives a new object what only the server may give. */
export function prepareNew(server: Server, kind: KindInfo, object: Tree): void {
  const meta = growTree(object, "metadata");
  for (const field of systemFields) delete meta[field];
  if (textAt(meta, "name") === "" && textAt(meta, "generateName") !== "")
    setField(meta, "name", generatedName(server, textAt(meta, "generateName")));
  setField(meta, "uid", server.random.uuid());
  setField(meta, "creationTimestamp", toTime(server.clock.nowMs()));
  if (kind.hasGeneration) setField(meta, "generation", 1);
  if (kind.hasStatus) resetStatus(object, undefined);
  kind.rules.defaults?.(object);
  kind.rules.prepareForCreate?.(object);
}

export function generatedName(server: Server, prefix: string): string {
  return prefix.slice(0, GENERATED_PREFIX_MAX) + nameSuffix(server.random);
}

function resetStatus(object: Tree, current: Tree | undefined): void {
  const status = fieldOf(current, "status");
  if (status === undefined) delete object["status"];
  else setField(object, "status", copyTree(status));
}

type Updating = {
  readonly kind: KindInfo;
  readonly subresource: string;
  readonly next: Tree;
  readonly current: Tree;
};

/** Keeps of the current object what an update may not write. Changes `next` in place. */
export function prepareChanged({ kind, subresource, next, current }: Updating): void {
  if (subresource === "status") keepAllButStatus({ kind, next, current });
  else if (kind.hasStatus && subresource === "") resetStatus(next, current);
  const meta = growTree(next, "metadata");
  const old = treeAt(current, "metadata");
  for (const field of [...systemFields, "generateName"]) keepField(meta, old, field);
  kind.rules.defaults?.(next);
  kind.rules.prepareForUpdate?.(next, current, { subresource });
  if (kind.hasGeneration && typeof old["generation"] === "number" && wantsOther(next, current))
    setField(meta, "generation", old["generation"] + 1);
}

function keepField(meta: Tree, old: Tree, field: string): void {
  const value = fieldOf(old, field);
  if (value === undefined) delete meta[field];
  else setField(meta, field, value);
}

function keepAllButStatus({ kind, next, current }: Pick<Updating, "kind" | "next" | "current">): void {
  for (const key of Object.keys(next))
    if (!["apiVersion", "kind", "metadata", "status"].includes(key)) delete next[key];
  for (const [key, value] of Object.entries(current))
    if (!["apiVersion", "kind", "metadata", "status"].includes(key)) setField(next, key, copyTree(value));
  const meta = growTree(next, "metadata");
  const old = treeAt(current, "metadata");
  keepField(meta, old, "ownerReferences");
  if (kind.custom) for (const field of ["labels", "annotations", "finalizers"]) keepField(meta, old, field);
}

// Everything but metadata and status is what somebody wants.
function wantsOther(next: Tree, current: Tree): boolean {
  const keys = new Set([...Object.keys(next), ...Object.keys(current)]);
  for (const ignored of ["metadata", "status", "apiVersion", "kind"]) keys.delete(ignored);
  return [...keys].some((key) => !sameTree(fieldOf(next, key), fieldOf(current, key)));
}

/** @throws StatusError "Invalid" with every problem of a new object */
export function validateNew(kind: KindInfo, object: Tree): void {
  refuse(kind, object, [
    ...validateMeta(object, kind),
    ...validateBySchema(kind, object, undefined),
    ...(kind.rules.validate?.(object) ?? []),
  ]);
}

/** @throws StatusError "Invalid" with every problem of a change */
export function validateChanged({ kind, subresource, next, current }: Updating): void {
  refuse(kind, next, [
    ...validateMeta(next, kind),
    ...validateMetaUpdate(next, current),
    ...validateBySchema(kind, next, current),
    ...(subresource === "status" ? [] : (kind.rules.validate?.(next) ?? [])),
    ...(kind.rules.validateUpdate?.(next, current, { subresource }) ?? []),
  ]);
}

function refuse(kind: KindInfo, object: Tree, errors: readonly FieldError[]): void {
  if (errors.length > 0)
    throw invalidObject(
      kind,
      textAt(object, "metadata", "name") || textAt(object, "metadata", "generateName"),
      errors,
    );
}

/** A new object's namespace comes from the path; another one in the body is a mistake. */
export function namespaceProblem(call: Call, object: Tree): string | undefined {
  const given = textAt(object, "metadata", "namespace");
  const wanted = call.kind.namespaced ? call.info.namespace : "";
  if (given === "" || given === wanted) return undefined;
  if (!call.kind.namespaced) return undefined;
  return `the namespace of the provided object does not match the namespace sent on the request`;
}
