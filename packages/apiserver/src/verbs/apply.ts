import { StatusError, hasReason } from "@cortado/std/status";
import {
  copyTree,
  fieldOf,
  growTree,
  isTree,
  listAt,
  setField,
  textAt,
  type Tree,
} from "@cortado/kinds/tree";
import { badRequest, conflict } from "../errors.ts";
import { applyOver, type Applied } from "../patch/managed-fields.ts";
import { managerName, type Call } from "../server.ts";
import { keyOf } from "../storage/records.ts";
import { checkKind } from "./body.ts";
import { createObject } from "./create.ts";
import { checkFields } from "./field-check.ts";
import type { Outcome } from "./outcome.ts";
import { namespaceProblem } from "./prepare.ts";
import { changeObject } from "./update.ts";

/** Server-side apply: the client says all that it wants, and the server notes that it wants it. */
export async function applyOneObject(
  call: Call,
  patch: unknown,
  duplicates: readonly string[] = [],
): Promise<Outcome> {
  const applied = readApplied(call, patch, duplicates);
  for (;;) {
    const found = await call.server.store.get(keyOf(call.kind, call.info));
    if (found !== undefined) return applyToLive(call, applied);
    if (call.info.subresource !== "") return applyToLive(call, applied);
    if (textAt(applied, "metadata", "uid") !== "")
      throw conflict(
        { ...call.kind, name: call.info.name },
        `uid mismatch: the provided object specified uid ${textAt(applied, "metadata", "uid")}, and no existing object was found`,
      );
    try {
      return await applyNew(call, applied);
    } catch (error) {
      // Somebody made it in between, so it is a live object now.
      if (!hasReason(error, "AlreadyExists")) throw error;
    }
  }
}

function readApplied(call: Call, patch: unknown, duplicates: readonly string[]): Tree {
  if (!isTree(patch)) throw badRequest("error decoding YAML: the applied configuration is not an object");
  if ((call.query.get("fieldManager") ?? "") === "")
    throw new StatusError(
      "Invalid",
      'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch',
    );
  if (textAt(patch, "apiVersion") === "" || textAt(patch, "kind") === "")
    throw badRequest("the applied configuration names its apiVersion and kind");
  checkKind(patch, call.kind);
  const name = textAt(patch, "metadata", "name");
  if (name !== "" && name !== call.info.name)
    throw badRequest(
      `the name of the object (${name}) does not match the name on the URL (${call.info.name})`,
    );
  const problem = namespaceProblem(call, patch);
  if (problem !== undefined) throw badRequest(problem);
  if (listAt(patch, "metadata", "managedFields").length > 0)
    throw badRequest("metadata.managedFields must be nil");
  checkFields(call, { object: patch, duplicates, kind: call.kind });
  const meta = growTree(patch, "metadata");
  setField(meta, "name", call.info.name);
  for (const field of ["managedFields", "creationTimestamp"]) delete meta[field];
  keepPart(call, patch);
  return patch;
}

// A configuration for the object says nothing of its status, and one for the status says nothing else.
function keepPart({ kind, info }: Call, patch: Tree): void {
  if (info.subresource === "status") {
    for (const key of Object.keys(patch))
      if (!["apiVersion", "kind", "metadata", "status"].includes(key)) delete patch[key];
  } else if (kind.hasStatus) delete patch["status"];
}

function applying(call: Call, live: Tree, applied: Tree): Applied {
  const { kind, query, info, server } = call;
  const force = query.get("force") === "true" || query.get("force") === "1";
  return applyOver({
    kind,
    live,
    applied,
    manager: managerName(call),
    subresource: info.subresource,
    force,
    nowMs: server.clock.nowMs(),
  });
}

function applyNew(call: Call, applied: Tree): Promise<Outcome> {
  const result = applying(call, {}, applied);
  const object = copyTree(result.object);
  return createObject(call, object, { manage: (stored) => result.note(stored) });
}

function applyToLive(call: Call, applied: Tree): Promise<Outcome> {
  let result: Applied | undefined;
  return changeObject(call, {
    subresource: call.info.subresource,
    produce(current) {
      result = applying(call, current, applied);
      const given = fieldOf(fieldOf(applied, "metadata"), "resourceVersion");
      if (given !== undefined) setField(growTree(result.object, "metadata"), "resourceVersion", given);
      return result.object;
    },
    manage: (next) => result?.note(next),
  });
}
