import { toTime } from "@cortado/std/clock";
import { StatusError } from "@cortado/std/status";
import { copyTree, growTree, listAt, setField, textAt, treeAt, type Tree } from "@cortado/kinds/tree";
import { badRequest, conflict, notFound } from "../errors.ts";
import { isDryRun, type Admission, type Call } from "../server.ts";
import { keyOf, objectOf, putObject, storedOf, type StoredObject } from "../storage/records.ts";
import { admitValidating } from "./admit.ts";
import { readBody } from "./body.ts";
import { successStatus, type Outcome } from "./outcome.ts";
import { breathe, listMany } from "./read.ts";

type DeleteOptions = {
  readonly graceSeconds: number | undefined;
  readonly policy: "Orphan" | "Background" | "Foreground" | undefined;
  readonly uid: string | undefined;
  readonly resourceVersion: string | undefined;
};

export async function deleteOne(call: Call): Promise<Outcome> {
  const options = readOptions(call);
  const outcome = await deleteNamed(call, call.info.name, options);
  if (outcome === undefined) throw notFound({ ...call.kind, name: call.info.name });
  return outcome;
}

export async function deleteMany(call: Call): Promise<Outcome> {
  const options = readOptions(call);
  const list = await listMany(call);
  if (list.kind !== "list") return list;
  for (const stored of list.items) {
    const object = objectOf(stored, call.kind);
    const info = {
      ...call.info,
      namespace: textAt(object, "metadata", "namespace"),
      name: textAt(object, "metadata", "name"),
    };
    await deleteNamed({ ...call, info }, info.name, options);
    await breathe();
  }
  return list;
}

function readOptions(call: Call): DeleteOptions {
  const hasBody =
    call.request.body instanceof Uint8Array
      ? call.request.body.byteLength > 0
      : call.request.body !== undefined;
  const body = hasBody ? readBody(call, { takesProtobuf: true }).value : {};
  const { query } = call;
  const dryRun = listAt(body, "dryRun").map(String);
  if (dryRun.length > 0 && !query.getAll("dryRun").includes("All")) query.append("dryRun", dryRun[0] ?? "");
  const grace =
    body["gracePeriodSeconds"] ??
    (query.has("gracePeriodSeconds") ? Number(query.get("gracePeriodSeconds")) : undefined);
  if (
    grace !== undefined &&
    grace !== null &&
    (typeof grace !== "number" || !Number.isInteger(grace) || grace < 0)
  )
    throw badRequest(
      `gracePeriodSeconds: Invalid value: ${String(grace)}: must be a whole number that is not negative`,
    );
  const policy = textAt(body, "propagationPolicy") || query.get("propagationPolicy") || undefined;
  if (policy !== undefined && !["Orphan", "Background", "Foreground"].includes(policy))
    throw badRequest(
      `DeleteOptions.meta.k8s.io "" is invalid: propagationPolicy: Unsupported value: ${JSON.stringify(policy)}: supported values: "Background", "Foreground", "Orphan", "nil"`,
    );
  const orphans = body["orphanDependents"] === true || query.get("orphanDependents") === "true";
  return {
    graceSeconds: typeof grace === "number" ? grace : undefined,
    policy: (policy as DeleteOptions["policy"]) ?? (orphans ? "Orphan" : undefined),
    uid: textAt(body, "preconditions", "uid") || undefined,
    resourceVersion: textAt(body, "preconditions", "resourceVersion") || undefined,
  };
}

async function deleteNamed(call: Call, name: string, options: DeleteOptions): Promise<Outcome | undefined> {
  const { kind, server, info } = call;
  let isFirst = true;
  for (;;) {
    const found = await server.store.get(keyOf(kind, { namespace: info.namespace, name }));
    if (found === undefined)
      return isFirst ? undefined : { kind: "status", status: successStatus({ name, kind: kind.plural }) };
    const stored = storedOf(found);
    const current = objectOf(stored, kind);
    checkPreconditions(call, current, options);
    if (isFirst) await admitDeletion(call, current);
    isFirst = false;
    const outcome = await tryDelete(call, { current, stored, options });
    if (outcome !== undefined) return outcome;
  }
}

function checkPreconditions(call: Call, current: Tree, { uid, resourceVersion }: DeleteOptions): void {
  const meta = treeAt(current, "metadata");
  const what = { ...call.kind, name: call.info.name };
  if (uid !== undefined && uid !== meta["uid"])
    throw conflict(
      what,
      `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${String(meta["uid"])}`,
    );
  if (resourceVersion !== undefined && resourceVersion !== meta["resourceVersion"])
    throw conflict(
      what,
      `Precondition failed: ResourceVersion in precondition: ${resourceVersion}, ResourceVersion in object meta: ${String(meta["resourceVersion"])}`,
    );
}

async function admitDeletion(call: Call, current: Tree): Promise<void> {
  const { kind, info, server } = call;
  const admission: Admission = {
    call,
    operation: "DELETE",
    kind,
    subresource: "",
    namespace: info.namespace,
    name: info.name,
    object: undefined,
    current,
    isDryRun: isDryRun(call),
  };
  await admitValidating(server, admission);
}

type Deleting = { readonly current: Tree; readonly stored: StoredObject; readonly options: DeleteOptions };

/** Marks or removes; undefined when somebody else wrote in between. */
async function tryDelete(call: Call, { current, stored, options }: Deleting): Promise<Outcome | undefined> {
  const { kind, server } = call;
  const next = copyTree(current);
  const waits = markDeleted(call, next, options);
  if (isDryRun(call)) return waits ? { kind: "object", code: 200, object: next } : statusOf(call, current);
  if (!waits) return removeForGood(call, { object: next, stored });
  if (JSON.stringify(next["metadata"]) === JSON.stringify(current["metadata"]))
    return { kind: "object", code: 200, object: current, stored };
  const result = await putObject(server.store, kind, {
    object: next,
    current,
    expect: { kind: "modified", revision: stored.revision },
  });
  return result.put ? { kind: "object", code: 200, object: result.object, stored: result.stored } : undefined;
}

/** Sets what a deletion sets; true when the object stays for now, for its grace or its finalizers. */
function markDeleted(call: Call, next: Tree, options: DeleteOptions): boolean {
  const { kind, server } = call;
  const meta = growTree(next, "metadata");
  const finalizers = wantedFinalizers(listAt(meta, "finalizers").map(String), options.policy);
  if (finalizers.length > 0) setField(meta, "finalizers", finalizers);
  else delete meta["finalizers"];
  const grace = graceOf(call, next, options);
  const isHeld =
    finalizers.length > 0 ||
    (kind.group === "" && kind.kind === "Namespace" && listAt(next, "spec", "finalizers").length > 0);
  if (grace === 0 && !isHeld) return false;
  const before = meta["deletionGracePeriodSeconds"];
  const isMarked = meta["deletionTimestamp"] !== undefined;
  if (isMarked && typeof before === "number" && grace >= before) return true;
  if (!isMarked && typeof meta["generation"] === "number" && kind.hasGeneration)
    setField(meta, "generation", meta["generation"] + 1);
  setField(meta, "deletionTimestamp", toTime(server.clock.nowMs() + grace * 1_000));
  setField(meta, "deletionGracePeriodSeconds", grace);
  if (kind.group === "" && kind.kind === "Namespace")
    setField(growTree(next, "status"), "phase", "Terminating");
  return true;
}

function graceOf(call: Call, object: Tree, options: DeleteOptions): number {
  const own = call.kind.rules.graceSeconds?.(object);
  if (own === undefined) return 0;
  return own === 0 ? 0 : (options.graceSeconds ?? own);
}

function wantedFinalizers(held: readonly string[], policy: DeleteOptions["policy"]): readonly string[] {
  const others = held.filter((name) => name !== "orphan" && name !== "foregroundDeletion");
  if (policy === "Orphan") return [...others, "orphan"];
  if (policy === "Foreground") return [...others, "foregroundDeletion"];
  return policy === "Background" ? others : held;
}

/** Takes the object out of the store; undefined when somebody else wrote in between. */
export async function removeForGood(
  call: Call,
  { object, stored }: { readonly object: Tree; readonly stored: StoredObject },
): Promise<Outcome | undefined> {
  const { kind, server } = call;
  const place = {
    namespace: textAt(object, "metadata", "namespace"),
    name: textAt(object, "metadata", "name"),
  };
  const result = await server.store.write({
    kind: "delete",
    key: keyOf(kind, place),
    expect: { kind: "modified", revision: stored.revision },
  });
  if (!result.written) return result.current === undefined ? statusOf(call, object) : undefined;
  for (const step of server.admission) await step.removed?.({ kind, object });
  // Pods answer as themselves, as upstream's graceful kinds do; kubectl waits by their uid.
  if (kind.rules.graceSeconds === undefined) return statusOf(call, object);
  const last = {
    ...object,
    metadata: { ...treeAt(object, "metadata"), resourceVersion: String(result.revision) },
  };
  return { kind: "object", code: 200, object: last };
}

function statusOf({ kind }: Call, object: Tree): Outcome {
  const details = {
    name: textAt(object, "metadata", "name"),
    ...(kind.group === "" ? {} : { group: kind.group }),
    kind: kind.plural,
    uid: textAt(object, "metadata", "uid"),
  };
  return { kind: "status", status: successStatus(details) };
}

/** For verbs that a kind does not have. */
export function notBuilt(what: string): StatusError {
  return new StatusError("NotImplemented", `${what} is not built yet`);
}
