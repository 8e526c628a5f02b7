import type { TableInfo } from "../kind-info.ts";
import { at, listAt, textAt, treeAt, type Tree } from "../tree.ts";
import { created, nameOf, numberAt, orNone, selectorText, table } from "./columns.ts";

export const nodeTable: TableInfo = table(
  [
    "Name",
    "Status",
    "Roles",
    "Age",
    "Version",
    "+Internal-IP",
    "+External-IP",
    "+OS-Image",
    "+Kernel-Version",
    "+Container-Runtime",
  ],
  (node, age) => {
    const address = (type: string): string =>
      orNone(
        textAt(
          listAt(node, "status", "addresses").find((one) => textAt(one, "type") === type),
          "address",
        ),
      );
    const known = (name: string): string => textAt(node, "status", "nodeInfo", name) || "<unknown>";
    return [
      nameOf(node),
      nodeStatus(node),
      orNone(nodeRoles(node)),
      age(created(node)),
      textAt(node, "status", "nodeInfo", "kubeletVersion"),
      address("InternalIP"),
      address("ExternalIP"),
      known("osImage"),
      known("kernelVersion"),
      known("containerRuntimeVersion"),
    ];
  },
);

function nodeStatus(node: Tree): string {
  const ready = listAt(node, "status", "conditions").find((one) => textAt(one, "type") === "Ready");
  const words = [ready === undefined ? "Unknown" : textAt(ready, "status") === "True" ? "Ready" : "NotReady"];
  if (at(node, "spec", "unschedulable") === true) words.push("SchedulingDisabled");
  return words.join(",");
}

function nodeRoles(node: Tree): string {
  const roles = new Set<string>();
  for (const [key, value] of Object.entries(treeAt(node, "metadata", "labels"))) {
    const prefix = "node-role.kubernetes.io/";
    if (key.startsWith(prefix) && key.length > prefix.length) roles.add(key.slice(prefix.length));
    else if (key === "kubernetes.io/role" && value !== "") roles.add(String(value));
  }
  return [...roles].toSorted().join(",");
}

export const namespaceTable: TableInfo = table(["Name", "Status", "Age"], (object, age) => [
  nameOf(object),
  textAt(object, "status", "phase"),
  age(created(object)),
]);

export const secretTable: TableInfo = table(["Name", "Type", "Data:integer", "Age"], (object, age) => [
  nameOf(object),
  textAt(object, "type"),
  Object.keys(treeAt(object, "data")).length,
  age(created(object)),
]);

export const configMapTable: TableInfo = table(["Name", "Data:integer", "Age"], (object, age) => [
  nameOf(object),
  Object.keys(treeAt(object, "data")).length + Object.keys(treeAt(object, "binaryData")).length,
  age(created(object)),
]);

export const serviceAccountTable: TableInfo = table(["Name", "Secrets:integer", "Age"], (object, age) => [
  nameOf(object),
  listAt(object, "secrets").length,
  age(created(object)),
]);

const modeLetters = new Map([
  ["ReadWriteOnce", "RWO"],
  ["ReadOnlyMany", "ROX"],
  ["ReadWriteMany", "RWX"],
  ["ReadWriteOncePod", "RWOP"],
]);

function modes(list: readonly unknown[]): string {
  return [...new Set(list.map((mode) => modeLetters.get(String(mode)) ?? String(mode)))].join(",");
}

export const volumeTable: TableInfo = table(
  [
    "Name",
    "Capacity",
    "Access Modes",
    "Reclaim Policy",
    "Status",
    "Claim",
    "StorageClass",
    "VolumeAttributesClass",
    "Reason",
    "Age",
    "+VolumeMode",
  ],
  (object, age) => {
    const claim = treeAt(object, "spec", "claimRef");
    const phase = textAt(object, "status", "phase");
    return [
      nameOf(object),
      textAt(object, "spec", "capacity", "storage"),
      modes(listAt(object, "spec", "accessModes")),
      textAt(object, "spec", "persistentVolumeReclaimPolicy"),
      at(object, "metadata", "deletionTimestamp") === undefined ? phase : "Terminating",
      textAt(claim, "name") === "" ? "" : `${textAt(claim, "namespace")}/${textAt(claim, "name")}`,
      textAt(object, "spec", "storageClassName"),
      textAt(object, "spec", "volumeAttributesClassName") || "<unset>",
      textAt(object, "status", "reason"),
      age(created(object)),
      textAt(object, "spec", "volumeMode") || "<unset>",
    ];
  },
);

export const claimTable: TableInfo = table(
  [
    "Name",
    "Status",
    "Volume",
    "Capacity",
    "Access Modes",
    "StorageClass",
    "VolumeAttributesClass",
    "Age",
    "+VolumeMode",
  ],
  (object, age) => {
    const isBound = textAt(object, "spec", "volumeName") !== "";
    return [
      nameOf(object),
      at(object, "metadata", "deletionTimestamp") === undefined
        ? textAt(object, "status", "phase")
        : "Terminating",
      textAt(object, "spec", "volumeName"),
      isBound ? textAt(object, "status", "capacity", "storage") : "",
      isBound ? modes(listAt(object, "status", "accessModes")) : "",
      textAt(object, "spec", "storageClassName"),
      textAt(object, "spec", "volumeAttributesClassName") || "<unset>",
      age(created(object)),
      textAt(object, "spec", "volumeMode") || "<unset>",
    ];
  },
);

export const storageClassTable: TableInfo = table(
  ["Name", "Provisioner", "ReclaimPolicy", "VolumeBindingMode", "AllowVolumeExpansion", "Age"],
  (object, age) => {
    const notes = treeAt(object, "metadata", "annotations");
    const isDefault = notes["storageclass.kubernetes.io/is-default-class"] === "true";
    return [
      nameOf(object) + (isDefault ? " (default)" : ""),
      textAt(object, "provisioner"),
      textAt(object, "reclaimPolicy") || "Delete",
      textAt(object, "volumeBindingMode") || "Immediate",
      at(object, "allowVolumeExpansion") === true,
      age(created(object)),
    ];
  },
);

export const eventTable: TableInfo = table(
  [
    "Last Seen",
    "Type",
    "Reason",
    "Object",
    "+Subobject",
    "+Source",
    "Message",
    "+First Seen",
    "+Count:integer",
    "+Name",
  ],
  (event, age) => {
    const first = at(event, "firstTimestamp") ?? at(event, "eventTime");
    const series = at(event, "series", "lastObservedTime");
    const last = series ?? at(event, "lastTimestamp") ?? first;
    const about = treeAt(event, "involvedObject");
    const source = textAt(event, "source", "component") || textAt(event, "reportingComponent");
    const host = textAt(event, "source", "host") || textAt(event, "reportingInstance");
    return [
      age(last),
      textAt(event, "type"),
      textAt(event, "reason"),
      `${textAt(about, "kind").toLowerCase()}/${textAt(about, "name")}`,
      textAt(about, "fieldPath"),
      host === "" ? source : `${source}, ${host}`,
      textAt(event, "message").trim(),
      age(first),
      numberAt(event, "series", "count") || numberAt(event, "count") || 1,
      nameOf(event),
    ];
  },
);

export const roleBindingTable: TableInfo = table(
  ["Name", "Role", "Age", "+Users", "+Groups", "+ServiceAccounts"],
  (object, age) => {
    const of = (kind: string): readonly unknown[] =>
      listAt(object, "subjects").filter((one) => textAt(one, "kind") === kind);
    return [
      nameOf(object),
      `${textAt(object, "roleRef", "kind")}/${textAt(object, "roleRef", "name")}`,
      age(created(object)),
      of("User")
        .map((one) => textAt(one, "name"))
        .join(", "),
      of("Group")
        .map((one) => textAt(one, "name"))
        .join(", "),
      of("ServiceAccount")
        .map((one) => `${textAt(one, "namespace")}/${textAt(one, "name")}`)
        .join(", "),
    ];
  },
);

export const autoscalerTable: TableInfo = table(
  ["Name", "Reference", "Targets", "MinPods", "MaxPods:integer", "Replicas:integer", "Age"],
  (object, age) => [
    nameOf(object),
    `${textAt(object, "spec", "scaleTargetRef", "kind")}/${textAt(object, "spec", "scaleTargetRef", "name")}`,
    autoscalerTargets(object),
    String(at(object, "spec", "minReplicas") ?? "<unset>"),
    numberAt(object, "spec", "maxReplicas"),
    numberAt(object, "status", "currentReplicas"),
    age(created(object)),
  ],
);

function autoscalerTargets(object: Tree): string {
  const metrics = listAt(object, "spec", "metrics");
  if (metrics.length === 0) return "<none>";
  const current = listAt(object, "status", "currentMetrics");
  const texts = metrics.map((metric, index) => {
    const target = at(metric, "resource", "target", "averageUtilization");
    const now = at(current[index], "resource", "current", "averageUtilization");
    const value = at(metric, "resource", "target", "averageValue");
    const wanted = target === undefined ? String(value ?? "<auto>") : `${String(target)}%`;
    return `${textAt(metric, "resource", "name") || textAt(metric, "type")}: ${now === undefined ? "<unknown>" : `${String(now)}%`}/${wanted}`;
  });
  return texts.length > 2
    ? `${texts.slice(0, 2).join(", ")} + ${texts.length - 2} more...`
    : texts.join(", ");
}

export const disruptionTable: TableInfo = table(
  ["Name", "Min Available", "Max Unavailable", "Allowed Disruptions:integer", "Age"],
  (object, age) => [
    nameOf(object),
    String(at(object, "spec", "minAvailable") ?? "N/A"),
    String(at(object, "spec", "maxUnavailable") ?? "N/A"),
    numberAt(object, "status", "disruptionsAllowed"),
    age(created(object)),
  ],
);

export const leaseTable: TableInfo = table(["Name", "Holder", "Age"], (object, age) => [
  nameOf(object),
  textAt(object, "spec", "holderIdentity"),
  age(created(object)),
]);

export const priorityClassTable: TableInfo = table(
  ["Name", "Value:integer", "Global-Default:boolean", "Age", "+PreemptionPolicy"],
  (object, age) => [
    nameOf(object),
    numberAt(object, "value"),
    at(object, "globalDefault") === true,
    age(created(object)),
    textAt(object, "preemptionPolicy"),
  ],
);

export const runtimeClassTable: TableInfo = table(["Name", "Handler", "Age"], (object, age) => [
  nameOf(object),
  textAt(object, "handler"),
  age(created(object)),
]);

export const quotaTable: TableInfo = table(["Name", "Request", "Limit", "Age"], (object, age) => {
  const hard = treeAt(object, "status", "hard");
  const used = treeAt(object, "status", "used");
  const text = (isLimit: boolean): string =>
    Object.keys(hard)
      .filter((key) => key.startsWith("limits.") === isLimit)
      .toSorted()
      .map((key) => `${key}: ${String(used[key] ?? 0)}/${String(hard[key])}`)
      .join(", ");
  return [nameOf(object), text(false), text(true), age(created(object))];
});

export const signingTable: TableInfo = table(
  ["Name", "Age", "SignerName", "Requestor", "RequestedDuration", "Condition"],
  (object, age) => {
    const types = listAt(object, "status", "conditions").map((one) => textAt(one, "type"));
    const state = types.includes("Denied") ? "Denied" : types.includes("Approved") ? "Approved" : "Pending";
    const issued = textAt(object, "status", "certificate") === "" ? "" : ",Issued";
    const seconds = at(object, "spec", "expirationSeconds");
    return [
      nameOf(object),
      age(created(object)),
      textAt(object, "spec", "signerName"),
      textAt(object, "spec", "username"),
      typeof seconds === "number" ? `${seconds}s` : "<none>",
      state + (types.includes("Failed") ? ",Failed" : "") + issued,
    ];
  },
);

export const apiServiceTable: TableInfo = table(["Name", "Service", "Available", "Age"], (object, age) => {
  const service = treeAt(object, "spec", "service");
  const available = listAt(object, "status", "conditions").find((one) => textAt(one, "type") === "Available");
  const isLocal = textAt(service, "name") === "";
  const status = textAt(available, "status") || "Unknown";
  return [
    nameOf(object),
    isLocal ? "Local" : `${textAt(service, "namespace")}/${textAt(service, "name")}`,
    status === "True" ? status : `${status} (${textAt(available, "reason")})`,
    age(created(object)),
  ];
});

export const networkPolicyTable: TableInfo = table(["Name", "Pod-Selector", "Age"], (object, age) => [
  nameOf(object),
  selectorText({ matchLabels: {}, ...treeAt(object, "spec", "podSelector") }),
  age(created(object)),
]);
