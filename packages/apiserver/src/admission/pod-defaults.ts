import {
  fieldOf,
  growTree,
  listAt,
  setDefault,
  setField,
  textAt,
  treeAt,
  type Tree,
} from "@cortado/kinds/tree";
import type { KindInfo } from "@cortado/kinds/kind-info";
import { compareQuantities } from "@cortado/kinds/quantity";
import { qosClass } from "@cortado/kinds/pod-defaults";
import { forbiddenObject } from "../errors.ts";
import type { AdmissionStep, Server } from "../server.ts";
import { objectOf, prefixOf, readObject, storedOf } from "../storage/records.ts";

async function allOf(server: Server, kind: KindInfo, namespace: string): Promise<readonly Tree[]> {
  const { items } = await server.store.list({ prefix: prefixOf(kind, namespace) });
  return items.map((item) => objectOf(storedOf(item), kind));
}

function isNewPod(admission: { operation: string; kind: KindInfo; subresource: string }): boolean {
  return (
    admission.operation === "CREATE" &&
    admission.kind.group === "" &&
    admission.kind.kind === "Pod" &&
    admission.subresource === ""
  );
}

/** Containers get the defaults of the namespace's LimitRanges, and may not pass their bounds. */
export function limitRanger(server: () => Server): AdmissionStep {
  return {
    name: "LimitRanger",
    async mutate(admission) {
      const ranges = server().kinds.find({ group: "", version: "v1", plural: "limitranges" });
      if (!isNewPod(admission) || admission.object === undefined || ranges === undefined) return;
      for (const range of await allOf(server(), ranges, admission.namespace))
        for (const limit of listAt(range, "spec", "limits"))
          if (textAt(limit, "type") === "Container") applyRange(admission.object, limit, admission);
      setField(growTree(admission.object, "status"), "qosClass", qosClass(treeAt(admission.object, "spec")));
    },
  };
}

function applyRange(
  pod: Tree,
  limit: unknown,
  { kind, name }: { readonly kind: KindInfo; readonly name: string },
): void {
  for (const list of ["initContainers", "containers"])
    for (const container of listAt(pod, "spec", list) as readonly Tree[]) {
      const resources = growTree(container, "resources");
      for (const [amountName, amount] of Object.entries(treeAt(limit, "default")))
        setDefault(growTree(resources, "limits"), amountName, amount);
      for (const [amountName, amount] of Object.entries(treeAt(limit, "defaultRequest")))
        setDefault(growTree(resources, "requests"), amountName, amount);
      for (const [amountName, most] of Object.entries(treeAt(limit, "max"))) {
        const asked = fieldOf(treeAt(resources, "limits"), amountName);
        if (asked === undefined)
          throw forbiddenObject(
            { ...kind, name },
            `maximum ${amountName} usage per Container is ${String(most)}.  No limit is specified`,
          );
        if (compareQuantities(asked, most) > 0)
          throw forbiddenObject(
            { ...kind, name },
            `maximum ${amountName} usage per Container is ${String(most)}, but limit is ${String(asked)}`,
          );
      }
      for (const [amountName, least] of Object.entries(treeAt(limit, "min"))) {
        const asked = fieldOf(treeAt(resources, "requests"), amountName) ?? "0";
        if (compareQuantities(asked, least) < 0)
          throw forbiddenObject(
            { ...kind, name },
            `minimum ${amountName} usage per Container is ${String(least)}, but request is ${String(asked)}`,
          );
      }
    }
}

/** A pod's priority comes from its class (kubernetes, plugin/pkg/admission/priority). */
export function priorityAdmission(server: () => Server): AdmissionStep {
  return {
    name: "Priority",
    async mutate(admission) {
      const classes = server().kinds.find({
        group: "scheduling.k8s.io",
        version: "v1",
        plural: "priorityclasses",
      });
      const { object, name, kind } = admission;
      if (!isNewPod(admission) || object === undefined || classes === undefined) return;
      const spec = growTree(object, "spec");
      const given = textAt(spec, "priorityClassName");
      const found =
        given === ""
          ? (await allOf(server(), classes, "")).find((one) => fieldOf(one, "globalDefault") === true)
          : await readObject(server().store, classes, { namespace: "", name: given });
      if (given !== "" && found === undefined)
        throw forbiddenObject({ ...kind, name }, `no PriorityClass with name ${given} was found`);
      if (found !== undefined) setField(spec, "priorityClassName", textAt(found, "metadata", "name"));
      setField(spec, "priority", fieldOf(found, "value") ?? 0);
      setDefault(spec, "preemptionPolicy", fieldOf(found, "preemptionPolicy") ?? "PreemptLowerPriority");
    },
  };
}

/** Every pod outlives a node's short absence (kubernetes, plugin/pkg/admission/defaulttolerationseconds). */
export const defaultTolerations: AdmissionStep = {
  name: "DefaultTolerationSeconds",
  mutate(admission) {
    if (!isNewPod(admission) || admission.object === undefined) return;
    const spec = growTree(admission.object, "spec");
    const held = listAt(spec, "tolerations");
    const added = ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"]
      .filter(
        (key) =>
          !held.some(
            (one) =>
              (textAt(one, "key") === key || textAt(one, "key") === "") &&
              ["NoExecute", ""].includes(textAt(one, "effect")),
          ),
      )
      .map((key) => ({ key, operator: "Exists", effect: "NoExecute", tolerationSeconds: 300 }));
    if (added.length > 0) setField(spec, "tolerations", [...held, ...added]);
  },
};

/** A claim that names no class gets the default one. */
export function defaultStorageClass(server: () => Server): AdmissionStep {
  return {
    name: "DefaultStorageClass",
    async mutate({ operation, kind, object, subresource }) {
      if (
        operation !== "CREATE" ||
        kind.kind !== "PersistentVolumeClaim" ||
        subresource !== "" ||
        object === undefined
      )
        return;
      const spec = growTree(object, "spec");
      const classes = server().kinds.find({
        group: "storage.k8s.io",
        version: "v1",
        plural: "storageclasses",
      });
      if (fieldOf(spec, "storageClassName") !== undefined || classes === undefined) return;
      const mark = "storageclass.kubernetes.io/is-default-class";
      const found = (await allOf(server(), classes, "")).find(
        (one) => treeAt(one, "metadata", "annotations")[mark] === "true",
      );
      if (found !== undefined) setField(spec, "storageClassName", textAt(found, "metadata", "name"));
    },
  };
}

/** An ingress that names no class gets the default one. */
export function defaultIngressClass(server: () => Server): AdmissionStep {
  return {
    name: "DefaultIngressClass",
    async mutate({ operation, kind, object, subresource }) {
      if (operation !== "CREATE" || kind.kind !== "Ingress" || subresource !== "" || object === undefined)
        return;
      const spec = growTree(object, "spec");
      const classes = server().kinds.find({
        group: "networking.k8s.io",
        version: "v1",
        plural: "ingressclasses",
      });
      if (fieldOf(spec, "ingressClassName") !== undefined || classes === undefined) return;
      if (treeAt(object, "metadata", "annotations")["kubernetes.io/ingress.class"] !== undefined) return;
      const mark = "ingressclass.kubernetes.io/is-default-class";
      const found = (await allOf(server(), classes, "")).find(
        (one) => treeAt(one, "metadata", "annotations")[mark] === "true",
      );
      if (found !== undefined) setField(spec, "ingressClassName", textAt(found, "metadata", "name"));
    },
  };
}
