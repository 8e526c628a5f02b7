import { invalid, invalidObject } from "@cortado/kinds/field-errors";
import type { KindInfo, Scale } from "@cortado/kinds/kind-info";
import { copyTree, fieldOf, growTree, setField, textAt, treeAt, type Tree } from "@cortado/kinds/tree";
import { badRequest, conflict } from "../errors.ts";
import { readPath } from "../render/json-path.ts";
import type { Call } from "../server.ts";
import { mediaType, readBody } from "../verbs/body.ts";
import type { Outcome } from "../verbs/outcome.ts";
import { patcherOf, readPatch } from "../verbs/patch.ts";
import { getOne } from "../verbs/read.ts";
import { changeObject } from "../verbs/update.ts";

/** autoscaling/v1 Scale as a kind, for what is answered. */
function scaleKind(kind: KindInfo): KindInfo {
  return {
    ...kind,
    group: "autoscaling",
    version: "v1",
    kind: "Scale",
    table: undefined,
    custom: false,
    schema: { ref: "io.k8s.api.autoscaling.v1.Scale" },
    storedAs: undefined,
  };
}

/** `/scale`: the number of replicas of anything that has one, in one form. */
export async function serveScale(call: Call): Promise<Outcome> {
  const { scale } = call.kind.rules;
  if (scale === undefined) throw badRequest(`${call.kind.plural} have no scale`);
  if (call.info.verb === "get") return scaleOutcome(await getOne(call), call.kind, scale);
  const change = call.info.verb === "patch" ? patchScale(call, scale) : updateScale(call, scale);
  const outcome = await changeObject(call, { produce: change, subresource: "scale" });
  return scaleOutcome(outcome, call.kind, scale);
}

function updateScale(call: Call, scale: Scale): (current: Tree) => Tree {
  const { value } = readBody(call, { takesProtobuf: true });
  return (current) => withReplicas(call, current, { scale, wanted: value });
}

function patchScale(call: Call, scale: Scale): (current: Tree) => Tree {
  const type = mediaType(call.request.headers?.["content-type"] ?? "");
  const isApply = type === "application/apply-patch+yaml";
  const { patch } = readPatch(call, isApply ? "yaml" : "json");
  const patcher = patcherOf(
    { ...call, kind: scaleKind(call.kind) },
    isApply ? "application/merge-patch+json" : type,
    patch,
  );
  return (current) => withReplicas(call, current, { scale, wanted: patcher(scaleOf(current, scale)) });
}

function withReplicas(
  call: Call,
  current: Tree,
  { scale, wanted }: { readonly scale: Scale; readonly wanted: Tree },
): Tree {
  const replicas = fieldOf(treeAt(wanted, "spec"), "replicas") ?? 0;
  const name = textAt(current, "metadata", "name");
  if (typeof replicas !== "number" || replicas < 0)
    throw invalidObject({ group: "autoscaling", kind: "Scale" }, name, [
      invalid("spec.replicas", replicas, "must be greater than or equal to 0"),
    ]);
  const version = textAt(wanted, "metadata", "resourceVersion");
  if (version !== "" && version !== textAt(current, "metadata", "resourceVersion"))
    throw conflict({ ...call.kind, name });
  const next = copyTree(current);
  const path = scale.specReplicas.split(".").filter((part) => part !== "");
  const last = path.pop() ?? "replicas";
  let here = next;
  for (const part of path) here = growTree(here, part);
  setField(here, last, replicas);
  return next;
}

function scaleOf(object: Tree, scale: Scale): Tree {
  const meta = treeAt(object, "metadata");
  const kept = Object.fromEntries(
    ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"]
      .map((field) => [field, meta[field]])
      .filter(([, value]) => value !== undefined),
  );
  const selector = scale.selector(object);
  const replicas = readPath(object, scale.specReplicas)[0];
  return {
    kind: "Scale",
    apiVersion: "autoscaling/v1",
    metadata: kept,
    spec: typeof replicas === "number" && replicas !== 0 ? { replicas } : {},
    status: {
      replicas: readPath(object, scale.statusReplicas)[0] ?? 0,
      ...(selector === "" ? {} : { selector }),
    },
  };
}

function scaleOutcome(outcome: Outcome, kind: KindInfo, scale: Scale): Outcome {
  if (outcome.kind !== "object") return outcome;
  return { kind: "object", code: outcome.code, object: scaleOf(outcome.object, scale), of: scaleKind(kind) };
}
