import { invalid, invalidObject } from "@cortado/kinds/field-errors";
import { parseRevision, type Revision } from "@cortado/store";
import {
  copyTree,
  growTree,
  listAt,
  sameTree,
  setField,
  textAt,
  treeAt,
  type Tree,
} from "@cortado/kinds/tree";
import { badRequest, conflict, notFound } from "../errors.ts";
import { PATCH_ATTEMPTS_MAX } from "../limits.ts";
import { manageUpdate } from "../patch/managed-fields.ts";
import { isDryRun, managerName, type Admission, type Call } from "../server.ts";
import { keyOf, objectOf, putObject, storedOf, type StoredObject } from "../storage/records.ts";
import { admitMutating, admitValidating, settle } from "./admit.ts";
import { checkKind, readBody } from "./body.ts";
import { createObject } from "./create.ts";
import { removeForGood } from "./delete.ts";
import { checkFields } from "./field-check.ts";
import type { Outcome } from "./outcome.ts";
import { namespaceProblem, prepareChanged, validateChanged } from "./prepare.ts";

/** PUT of an object, or of one of its parts that has the kind's own form. */
export async function updateOne(call: Call): Promise<Outcome> {
  const { value, duplicates } = readBody(call, { takesProtobuf: !call.kind.custom });
  checkKind(value, call.kind);
  checkFields(call, { object: value, duplicates, kind: call.kind });
  const { info } = call;
  const name = textAt(value, "metadata", "name");
  if (name !== "" && name !== info.name)
    throw badRequest(`the name of the object (${name}) does not match the name on the URL (${info.name})`);
  const problem = namespaceProblem(call, value);
  if (problem !== undefined) throw badRequest(problem);
  setField(growTree(value, "metadata"), "name", info.name);
  if (!call.kind.updatesWithoutVersion && textAt(value, "metadata", "resourceVersion") === "")
    throw invalidObject(call.kind, info.name, [
      invalid("metadata.resourceVersion", 0, "must be specified for an update"),
    ]);
  return changeObject(call, {
    produce: () => copyTree(value),
    subresource: info.subresource,
    mayCreate: call.kind.createsOnUpdate && info.subresource === "",
  });
}

export type Change = {
  /** The wanted object from the current one, which it may change; runs again when a race was lost. */
  produce(current: Tree): Tree | Promise<Tree>;
  readonly subresource: string;
  readonly mayCreate?: boolean;
  /** Notes who owns which fields; default: as an update. */
  manage?(next: Tree, current: Tree): void;
  /** True: a race that was lost is told and not tried again. */
  readonly triesOnce?: boolean;
};

/** Reads, changes and writes one object, again when somebody else wrote it in between and the caller named no version. */
export async function changeObject(call: Call, change: Change): Promise<Outcome> {
  const { kind, server, info } = call;
  for (let attempt = 1; ; attempt += 1) {
    const found = await server.store.get(keyOf(kind, info));
    if (found === undefined && change.mayCreate === true) return createObject(call, await change.produce({}));
    if (found === undefined) throw notFound({ ...kind, name: info.name });
    const outcome = await tryChange(call, change, storedOf(found));
    if (outcome.kind === "done") return outcome.outcome;
    if (outcome.kind === "stale" || attempt >= PATCH_ATTEMPTS_MAX * 4 || change.triesOnce === true)
      throw conflict({ ...kind, name: info.name });
  }
}

type Tried =
  | { readonly kind: "done"; readonly outcome: Outcome }
  | { readonly kind: "stale" }
  | { readonly kind: "again" };

async function tryChange(call: Call, change: Change, stored: StoredObject): Promise<Tried> {
  const { kind, server, info } = call;
  const current = objectOf(stored, kind);
  const next = await change.produce(copyTree(current));
  const asked = askedRevision(next, current);
  if (asked !== undefined && asked !== stored.revision) return { kind: "stale" };
  const uid = textAt(next, "metadata", "uid");
  if (uid !== "" && uid !== textAt(current, "metadata", "uid"))
    throw conflict(
      { ...kind, name: info.name },
      `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${textAt(current, "metadata", "uid")}`,
    );
  if (kind.namespaced) setField(growTree(next, "metadata"), "namespace", info.namespace);
  prepareChanged({ kind, subresource: change.subresource, next, current });
  const admission: Admission = {
    call,
    operation: "UPDATE",
    kind,
    subresource: change.subresource,
    namespace: info.namespace,
    name: info.name,
    object: next,
    current,
    isDryRun: isDryRun(call),
  };
  let isWritten = false;
  try {
    await admitMutating(server, admission);
    noteManagers(call, change, { next, current });
    validateChanged({ kind, subresource: change.subresource, next, current });
    await admitValidating(server, admission);
    const outcome = await write(call, { next, current, stored });
    isWritten = outcome !== undefined;
    if (outcome !== undefined) return { kind: "done", outcome };
    return asked === undefined ? { kind: "again" } : { kind: "stale" };
  } finally {
    settle(server, admission, isWritten);
  }
}

function askedRevision(next: Tree, current: Tree): Revision | undefined {
  const text = textAt(next, "metadata", "resourceVersion");
  // A patch starts from the current object, so its version is there without the client having named it.
  if (text === "" || text === "0" || text === textAt(current, "metadata", "resourceVersion"))
    return undefined;
  return parseRevision(text);
}

function noteManagers(
  call: Call,
  change: Change,
  { next, current }: { readonly next: Tree; readonly current: Tree },
): void {
  if (change.manage !== undefined) change.manage(next, current);
  else
    manageUpdate({
      kind: call.kind,
      next,
      current,
      manager: managerName(call),
      subresource: change.subresource,
      nowMs: call.server.clock.nowMs(),
    });
}

type Writing = { readonly next: Tree; readonly current: Tree; readonly stored: StoredObject };

async function write(call: Call, { next, current, stored }: Writing): Promise<Outcome | undefined> {
  const { kind, server } = call;
  if (sameTree(next, current)) return { kind: "object", code: 200, object: current, stored };
  if (isDryRun(call)) return { kind: "object", code: 200, object: next };
  if (isFinished(next)) return removeForGood(call, { object: next, stored });
  const result = await putObject(server.store, kind, {
    object: next,
    current,
    expect: { kind: "modified", revision: stored.revision },
  });
  return result.put ? { kind: "object", code: 200, object: result.object, stored: result.stored } : undefined;
}

/** Deletion was asked for, nothing holds the object any more, and its time of grace is not being waited for. */
function isFinished(object: Tree): boolean {
  const meta = treeAt(object, "metadata");
  const waits =
    typeof meta["deletionGracePeriodSeconds"] === "number" && meta["deletionGracePeriodSeconds"] > 0;
  return (
    meta["deletionTimestamp"] !== undefined &&
    !waits &&
    listAt(meta, "finalizers").length === 0 &&
    listAt(object, "spec", "finalizers").length === 0
  );
}
