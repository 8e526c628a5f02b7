import { toTime } from "@cortado/std/clock";
import { StatusError } from "@cortado/std/status";
import {
  at,
  fieldOf,
  growTree,
  isTree,
  listAt,
  setField,
  textAt,
  treeAt,
  type Tree,
} from "@cortado/kinds/tree";
import { badRequest, conflict, notFound } from "../errors.ts";
import { labelsMatch, type LabelRequirement } from "../selectors.ts";
import type { Call } from "../server.ts";
import { objectOf, prefixOf, readObject, storedOf } from "../storage/records.ts";
import { readBody } from "../verbs/body.ts";
import { deleteOne } from "../verbs/delete.ts";
import { successStatus, type Outcome } from "../verbs/outcome.ts";
import { changeObject } from "../verbs/update.ts";

/** `pods/binding` and `bindings`: a scheduler says where a pod runs; once. */
export async function bindPod(call: Call): Promise<Outcome> {
  const { value } = readBody(call, { takesProtobuf: true });
  const node = textAt(value, "target", "name");
  const kind = textAt(value, "target", "kind");
  if (node === "" || (kind !== "" && kind !== "Node"))
    throw badRequest('Binding "" is invalid: target: a binding names a Node by its name');
  const pods = call.server.kinds.find({ group: "", version: "v1", plural: "pods" }) ?? call.kind;
  const name = call.info.plural === "bindings" ? textAt(value, "metadata", "name") : call.info.name;
  const uid = textAt(value, "metadata", "uid");
  const nowMs = call.server.clock.nowMs();
  await changeObject(
    { ...call, kind: pods, info: { ...call.info, plural: "pods", name, subresource: "binding" } },
    {
      subresource: "binding",
      produce(pod) {
        if (uid !== "" && uid !== textAt(pod, "metadata", "uid"))
          throw conflict(
            { group: "", plural: "pods", name },
            `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${textAt(pod, "metadata", "uid")}`,
          );
        if (at(pod, "metadata", "deletionTimestamp") !== undefined)
          throw conflict(
            { group: "", plural: "pods/binding", name },
            `pod ${name} is being deleted, cannot be assigned to a host`,
          );
        const before = textAt(pod, "spec", "nodeName");
        if (before !== "")
          throw conflict(
            { group: "", plural: "pods/binding", name },
            `pod ${name} is already assigned to node ${JSON.stringify(before)}`,
          );
        setField(growTree(pod, "spec"), "nodeName", node);
        for (const [key, note] of Object.entries(treeAt(value, "metadata", "annotations")))
          setField(growTree(growTree(pod, "metadata"), "annotations"), key, note);
        setCondition(pod, {
          type: "PodScheduled",
          status: "True",
          lastProbeTime: null,
          lastTransitionTime: toTime(nowMs),
        });
        return pod;
      },
    },
  );
  return { kind: "status", status: { ...successStatus(undefined), code: 201 } };
}

function setCondition(pod: Tree, condition: Tree): void {
  const status = growTree(pod, "status");
  const others = listAt(status, "conditions").filter((one) => textAt(one, "type") !== condition["type"]);
  setField(status, "conditions", [...others, condition]);
}

/** `pods/eviction`: a deletion that keeps disruption budgets. */
export async function evictPod(call: Call): Promise<Outcome> {
  const { value } = readBody(call, { takesProtobuf: true });
  const pod = await readObject(call.server.store, call.kind, call.info);
  if (pod === undefined) throw notFound({ ...call.kind, name: call.info.name });
  const isGone =
    ["Succeeded", "Failed", "Pending"].includes(textAt(pod, "status", "phase")) ||
    at(pod, "metadata", "deletionTimestamp") !== undefined;
  if (!isGone) await spendBudget(call, pod);
  const options = fieldOf(value, "deleteOptions");
  const body = { apiVersion: "v1", kind: "DeleteOptions", ...(isTree(options) ? options : {}) };
  await deleteOne({
    ...call,
    request: { ...call.request, body },
    info: { ...call.info, verb: "delete", subresource: "" },
  });
  return { kind: "status", status: { ...successStatus(undefined), code: 201 } };
}

async function spendBudget(call: Call, pod: Tree): Promise<void> {
  const { store, kinds, clock } = call.server;
  const budgets = kinds.find({ group: "policy", version: "v1", plural: "poddisruptionbudgets" });
  if (budgets === undefined) return;
  const { items } = await store.list({ prefix: prefixOf(budgets, call.info.namespace) });
  const mine = items.filter((item) => selectsPod(objectOf(storedOf(item), budgets), pod));
  if (mine.length > 1)
    throw new StatusError(
      "InternalError",
      "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
    );
  const [found] = mine;
  if (found === undefined) return;
  const budget = objectOf(storedOf(found), budgets);
  const name = textAt(budget, "metadata", "name");
  const allowed = at(budget, "status", "disruptionsAllowed");
  if (typeof allowed !== "number" || allowed < 1) {
    const causes = [
      {
        reason: "DisruptionBudget",
        message: `The disruption budget ${name} needs ${String(at(budget, "status", "desiredHealthy") ?? 0)} healthy pods and has ${String(at(budget, "status", "currentHealthy") ?? 0)} currently`,
      },
    ];
    throw new StatusError(
      "TooManyRequests",
      "Cannot evict pod as it would violate the pod's disruption budget.",
      { details: { causes, retryAfterSeconds: 10 } },
    );
  }
  await changeObject(
    {
      ...call,
      kind: budgets,
      info: { ...call.info, plural: budgets.plural, group: budgets.group, name, subresource: "status" },
    },
    {
      subresource: "status",
      produce(next) {
        const status = growTree(next, "status");
        const left = at(next, "status", "disruptionsAllowed");
        setField(status, "disruptionsAllowed", Math.max(0, (typeof left === "number" ? left : 0) - 1));
        setField(growTree(status, "disruptedPods"), call.info.name, toTime(clock.nowMs()));
        return next;
      },
    },
  );
}

function selectsPod(budget: Tree, pod: Tree): boolean {
  const selector = at(budget, "spec", "selector");
  if (!isTree(selector)) return false;
  const equal = Object.entries(treeAt(selector, "matchLabels")).map(([key, value]): LabelRequirement => ({
    key,
    operator: "in",
    values: [String(value)],
  }));
  const operators = { In: "in", NotIn: "notin", Exists: "exists", DoesNotExist: "absent" } as const;
  const set = listAt(selector, "matchExpressions").map((one): LabelRequirement => ({
    key: textAt(one, "key"),
    operator: operators[textAt(one, "operator") as keyof typeof operators] ?? "in",
    values: listAt(one, "values").map(String),
  }));
  return labelsMatch(treeAt(pod, "metadata", "labels"), [...equal, ...set]);
}
