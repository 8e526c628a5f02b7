import type { KindInfo } from "@cortado/kinds/kind-info";
import { parseQuantity, quantityText, type QuantityValue } from "@cortado/kinds/quantity";
import { at, listAt, textAt, treeAt, type Tree } from "@cortado/kinds/tree";
import { forbiddenObject } from "../errors.ts";
import type { Admission, AdmissionStep, Server } from "../server.ts";
import { objectOf, prefixOf, storedOf } from "../storage/records.ts";

// The short names that quotas have for counts.
const counted: Readonly<Record<string, string>> = {
  pods: "/pods",
  services: "/services",
  secrets: "/secrets",
  configmaps: "/configmaps",
  persistentvolumeclaims: "/persistentvolumeclaims",
  replicationcontrollers: "/replicationcontrollers",
  resourcequotas: "/resourcequotas",
};

/** Refuses what would pass a namespace's ResourceQuota: counts of objects, and what pods ask for (kubernetes, plugin/pkg/admission/resourcequota). */
export function quotaAdmission(server: () => Server): AdmissionStep {
  return {
    name: "ResourceQuota",
    async validate(admission) {
      const { operation, kind, object, namespace, subresource } = admission;
      const quotas = server().kinds.find({ group: "", version: "v1", plural: "resourcequotas" });
      if (
        operation !== "CREATE" ||
        object === undefined ||
        subresource !== "" ||
        !kind.namespaced ||
        quotas === undefined
      )
        return;
      const { items } = await server().store.list({ prefix: prefixOf(quotas, namespace) });
      for (const item of items) await checkQuota(server(), admission, objectOf(storedOf(item), quotas));
    },
  };
}

async function checkQuota(server: Server, admission: Admission, quota: Tree): Promise<void> {
  const { kind, object = {}, namespace, name } = admission;
  const hard = Object.entries(treeAt(quota, "spec", "hard")).filter(([resource]) => asks(kind, resource));
  if (hard.length === 0) return;
  const { items } = await server.store.list({ prefix: prefixOf(kind, namespace) });
  const others = items
    .map((item) => objectOf(storedOf(item), kind))
    .filter(
      (one) => !["Succeeded", "Failed"].includes(textAt(one, "status", "phase")) || kind.kind !== "Pod",
    );
  for (const [resource, limit] of hard) {
    const used = others.reduce((sum, one) => sum + usageOf(kind, one, resource), 0n);
    const asked = usageOf(kind, object, resource);
    const most = parseQuantity(limit)?.nano ?? 0n;
    if (asked === 0n || used + asked <= most) continue;
    const text = (nano: bigint): string => `${resource}=${quantityText({ nano, format: formatOf(limit) })}`;
    throw forbiddenObject(
      { ...kind, name },
      `exceeded quota: ${textAt(quota, "metadata", "name")}, requested: ${text(asked)}, used: ${text(used)}, limited: ${text(most)}`,
    );
  }
}

function formatOf(limit: unknown): QuantityValue["format"] {
  return parseQuantity(limit)?.format ?? "decimal";
}

const amounts = /^(?:(requests|limits)\.)?(cpu|memory|ephemeral-storage|storage)$/;

function asks(kind: KindInfo, resource: string): boolean {
  const name = `${kind.group}/${kind.plural}`;
  if (
    counted[resource] === name ||
    resource === `count/${kind.plural}${kind.group === "" ? "" : `.${kind.group}`}`
  )
    return true;
  const amount = amounts.exec(resource);
  if (amount === null) return false;
  return amount[2] === "storage" ? name === "/persistentvolumeclaims" : name === "/pods";
}

const one = 10n ** 9n;

function usageOf(kind: KindInfo, object: Tree, resource: string): bigint {
  const amount = amounts.exec(resource);
  if (amount === null) return one;
  const side = amount[1] ?? "requests";
  const name = amount[2] ?? "";
  if (kind.kind === "PersistentVolumeClaim")
    return parseQuantity(at(object, "spec", "resources", side, name))?.nano ?? 0n;
  return listAt(object, "spec", "containers").reduce<bigint>(
    (sum, container) => sum + (parseQuantity(at(container, "resources", side, name))?.nano ?? 0n),
    0n,
  );
}
