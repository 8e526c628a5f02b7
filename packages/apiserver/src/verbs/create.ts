import { textAt, growTree, setField, type Tree } from "@cortado/kinds/tree";
import { alreadyExists, badRequest } from "../errors.ts";
import { GENERATED_NAME_ATTEMPTS_MAX } from "../limits.ts";
import { manageUpdate, resetManaged } from "../patch/managed-fields.ts";
import { isDryRun, managerName, type Admission, type Call } from "../server.ts";
import { keyOf, putObject } from "../storage/records.ts";
import { admitMutating, admitValidating, settle } from "./admit.ts";
import { checkKind, readBody } from "./body.ts";
import { checkFields } from "./field-check.ts";
import type { Outcome } from "./outcome.ts";
import { generatedName, namespaceProblem, prepareNew, validateNew } from "./prepare.ts";

export async function createOne(call: Call): Promise<Outcome> {
  const { value, duplicates } = readBody(call, { takesProtobuf: !call.kind.custom });
  checkKind(value, call.kind);
  checkFields(call, { object: value, duplicates, kind: call.kind });
  resetManaged(value);
  return createObject(call, value);
}

export type CreateOptions = {
  /** Notes who owns which fields; an apply notes them itself. */
  readonly manage?: (object: Tree) => void;
};

/** Creates an object that was read already: from a body, or by an update or apply of what was not there. */
export async function createObject(call: Call, object: Tree, options: CreateOptions = {}): Promise<Outcome> {
  const { kind, server, info } = call;
  const problem = namespaceProblem(call, object);
  if (problem !== undefined) throw badRequest(problem);
  const meta = growTree(object, "metadata");
  if (kind.namespaced) setField(meta, "namespace", info.namespace);
  else delete meta["namespace"];
  if (textAt(meta, "resourceVersion") !== "" && textAt(meta, "resourceVersion") !== "0")
    throw badRequest("resourceVersion should not be set on objects to be created");
  const isGenerated = textAt(meta, "name") === "" && textAt(meta, "generateName") !== "";
  prepareNew(server, kind, object);
  const admission: Admission = {
    call,
    operation: "CREATE",
    kind,
    subresource: "",
    namespace: info.namespace,
    name: textAt(meta, "name"),
    object,
    current: undefined,
    isDryRun: isDryRun(call),
  };
  let isWritten = false;
  try {
    await admitMutating(server, admission);
    (
      options.manage ??
      ((made: Tree) =>
        manageUpdate({
          kind,
          next: made,
          current: undefined,
          manager: managerName(call),
          subresource: "",
          nowMs: server.clock.nowMs(),
        }))
    )(object);
    validateNew(kind, object);
    await admitValidating(server, admission);
    if (isDryRun(call)) return await dryCreate(call, object);
    const outcome = await writeNew(call, object, isGenerated);
    isWritten = true;
    return outcome;
  } finally {
    settle(server, admission, isWritten);
  }
}

async function dryCreate(call: Call, object: Tree): Promise<Outcome> {
  const { store } = call.server;
  const name = textAt(object, "metadata", "name");
  if ((await store.get(keyOf(call.kind, { namespace: call.info.namespace, name }))) !== undefined)
    throw alreadyExists({ ...call.kind, name });
  return { kind: "object", code: 201, object };
}

async function writeNew(call: Call, object: Tree, isGenerated: boolean): Promise<Outcome> {
  const { kind, server } = call;
  const meta = growTree(object, "metadata");
  for (let attempt = 1; ; attempt += 1) {
    const result = await putObject(server.store, kind, { object, expect: { kind: "absent" } });
    if (result.put) return { kind: "object", code: 201, object: result.object, stored: result.stored };
    if (!isGenerated || attempt >= GENERATED_NAME_ATTEMPTS_MAX)
      throw alreadyExists({ ...kind, name: textAt(meta, "name") });
    setField(meta, "name", generatedName(server, textAt(meta, "generateName")));
  }
}
