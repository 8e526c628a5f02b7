import { canonicalQuantity } from "../quantity.ts";
import {
  at,
  fieldOf,
  growTree,
  isTree,
  listAt,
  setDefault,
  setField,
  textAt,
  treeAt,
  type Tree,
} from "../tree.ts";

/** Upstream's defaults of a pod's spec (kubernetes, pkg/apis/core/v1/defaults.go). Changes `spec` in place. */
export function defaultPodSpec(spec: Tree): void {
  setDefault(spec, "restartPolicy", "Always");
  setDefault(spec, "terminationGracePeriodSeconds", 30);
  setDefault(spec, "dnsPolicy", "ClusterFirst");
  setDefault(spec, "securityContext", {});
  setDefault(spec, "schedulerName", "default-scheduler");
  // The old name follows the new one; clients of both kinds exist.
  if (textAt(spec, "serviceAccountName") === "" && textAt(spec, "serviceAccount") !== "")
    setField(spec, "serviceAccountName", textAt(spec, "serviceAccount"));
  if (textAt(spec, "serviceAccountName") !== "")
    setField(spec, "serviceAccount", textAt(spec, "serviceAccountName"));
  for (const list of ["initContainers", "containers", "ephemeralContainers"])
    for (const container of trees(listAt(spec, list)))
      defaultContainer(container, fieldOf(spec, "hostNetwork") === true);
  for (const volume of trees(listAt(spec, "volumes"))) defaultVolume(volume);
  canonicalAmounts(spec, "overhead");
  for (const rule of trees(listAt(spec, "topologySpreadConstraints"))) {
    setDefault(rule, "nodeAffinityPolicy", "Honor");
    setDefault(rule, "nodeTaintsPolicy", "Ignore");
    if (fieldOf(rule, "nodeAffinityPolicy") === "Honor") delete rule["nodeAffinityPolicy"];
    if (fieldOf(rule, "nodeTaintsPolicy") === "Ignore") delete rule["nodeTaintsPolicy"];
  }
}

export function trees(list: readonly unknown[]): readonly Tree[] {
  return list.filter(isTree);
}

function defaultContainer(container: Tree, isHostNetwork: boolean): void {
  setDefault(container, "terminationMessagePath", "/dev/termination-log");
  setDefault(container, "terminationMessagePolicy", "File");
  if (textAt(container, "imagePullPolicy") === "")
    setField(container, "imagePullPolicy", pullPolicy(textAt(container, "image")));
  setDefault(container, "resources", {});
  for (const port of trees(listAt(container, "ports"))) {
    setDefault(port, "protocol", "TCP");
    if (isHostNetwork && !fieldOf(port, "hostPort"))
      setField(port, "hostPort", fieldOf(port, "containerPort"));
  }
  for (const name of ["livenessProbe", "readinessProbe", "startupProbe"]) {
    const probe = fieldOf(container, name);
    if (isTree(probe)) defaultProbe(probe);
  }
  for (const name of ["postStart", "preStop"]) defaultHttpGet(at(container, "lifecycle", name));
  for (const variable of trees(listAt(container, "env"))) {
    const field = at(variable, "valueFrom", "fieldRef");
    if (isTree(field)) setDefault(field, "apiVersion", "v1");
  }
  defaultResources(container);
}

function pullPolicy(image: string): string {
  const name = image.slice(image.lastIndexOf("/") + 1);
  if (image.includes("@")) return "IfNotPresent";
  const tag = name.includes(":") ? name.slice(name.indexOf(":") + 1) : "latest";
  return tag === "latest" ? "Always" : "IfNotPresent";
}

function defaultProbe(probe: Tree): void {
  setDefault(probe, "timeoutSeconds", 1);
  setDefault(probe, "periodSeconds", 10);
  setDefault(probe, "successThreshold", 1);
  setDefault(probe, "failureThreshold", 3);
  defaultHttpGet(probe);
  const grpc = fieldOf(probe, "grpc");
  if (isTree(grpc)) setDefault(grpc, "service", "");
}

function defaultHttpGet(handler: unknown): void {
  const get = at(handler, "httpGet");
  if (!isTree(get)) return;
  setDefault(get, "path", "/");
  setDefault(get, "scheme", "HTTP");
}

function defaultResources(container: Tree): void {
  const resources = treeAt(container, "resources");
  canonicalAmounts(resources, "limits");
  canonicalAmounts(resources, "requests");
  const limits = treeAt(resources, "limits");
  if (Object.keys(limits).length === 0) return;
  const requests = growTree(resources, "requests");
  for (const [name, amount] of Object.entries(limits)) setDefault(requests, name, amount);
}

/** Writes each quantity of a map in its one form; what is none stays for validation to name. */
export function canonicalAmounts(owner: Tree, field: string): void {
  const amounts = fieldOf(owner, field);
  if (!isTree(amounts)) return;
  for (const [name, amount] of Object.entries(amounts))
    setField(amounts, name, canonicalQuantity(amount) ?? amount);
}

const volumeModes: Readonly<Record<string, number>> = {
  secret: 0o644,
  configMap: 0o644,
  downwardAPI: 0o644,
  projected: 0o644,
};

function defaultVolume(volume: Tree): void {
  if (Object.keys(volume).every((key) => key === "name")) setField(volume, "emptyDir", {});
  for (const [source, mode] of Object.entries(volumeModes)) {
    const found = fieldOf(volume, source);
    if (isTree(found)) setDefault(found, "defaultMode", mode);
  }
  const hostPath = fieldOf(volume, "hostPath");
  if (isTree(hostPath)) setDefault(hostPath, "type", "");
  const emptyDir = fieldOf(volume, "emptyDir");
  if (isTree(emptyDir) && fieldOf(emptyDir, "sizeLimit") !== undefined)
    setField(
      emptyDir,
      "sizeLimit",
      canonicalQuantity(fieldOf(emptyDir, "sizeLimit")) ?? fieldOf(emptyDir, "sizeLimit"),
    );
  for (const source of trees(listAt(volume, "projected", "sources"))) {
    const token = fieldOf(source, "serviceAccountToken");
    if (isTree(token)) setDefault(token, "expirationSeconds", 3600);
    for (const item of trees(listAt(source, "downwardAPI", "items"))) defaultFieldRef(item);
  }
  for (const item of trees(listAt(volume, "downwardAPI", "items"))) defaultFieldRef(item);
  const claim = at(volume, "ephemeral", "volumeClaimTemplate", "spec");
  if (isTree(claim)) defaultClaimSpec(claim);
}

function defaultFieldRef(item: Tree): void {
  const ref = fieldOf(item, "fieldRef");
  if (isTree(ref)) setDefault(ref, "apiVersion", "v1");
}

export function defaultClaimSpec(spec: Tree): void {
  setDefault(spec, "volumeMode", "Filesystem");
  const resources = treeAt(spec, "resources");
  canonicalAmounts(resources, "requests");
  canonicalAmounts(resources, "limits");
}

/** Guaranteed, Burstable or BestEffort, from what the containers ask for. */
export function qosClass(spec: Tree): string {
  const containers = [...trees(listAt(spec, "initContainers")), ...trees(listAt(spec, "containers"))];
  let asksSomething = false;
  let isGuaranteed = containers.length > 0;
  for (const container of containers) {
    for (const name of ["cpu", "memory"]) {
      const request = at(container, "resources", "requests", name);
      const limit = at(container, "resources", "limits", name);
      const isAsked = (amount: unknown): boolean => amount !== undefined && canonicalQuantity(amount) !== "0";
      if (isAsked(request) || isAsked(limit)) asksSomething = true;
      if (!isAsked(limit) || canonicalQuantity(request ?? limit) !== canonicalQuantity(limit))
        isGuaranteed = false;
    }
  }
  if (!asksSomething) return "BestEffort";
  return isGuaranteed ? "Guaranteed" : "Burstable";
}
