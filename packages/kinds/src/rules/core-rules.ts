import { forbidden, invalid, required, type FieldError } from "../field-errors.ts";
import type { KindRules } from "../kind-info.ts";
import { configKeyProblems, label1035Problems, labelProblems, portNameProblems } from "../names.ts";
import {
  at,
  copyTree,
  fieldOf,
  growTree,
  isTree,
  listAt,
  sameTree,
  setDefault,
  setField,
  textAt,
  treeAt,
  type Tree,
} from "../tree.ts";
import { canonicalAmounts, defaultClaimSpec, defaultPodSpec, qosClass, trees } from "./pod-defaults.ts";
import { portRange, validateAmounts, validatePodSpec } from "./pod-validation.ts";
import { oneOf } from "./meta-validation.ts";

/** What of a pod's spec may change after its making, as upstream's message says it. */
const podImmutable =
  "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`," +
  "`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was " +
  "previously negative)";

export const podRules: KindRules = {
  defaults(pod) {
    defaultPodSpec(growTree(pod, "spec"));
    setDefault(growTree(pod, "spec"), "enableServiceLinks", true);
  },
  prepareForCreate(pod) {
    setField(pod, "status", { phase: "Pending", qosClass: qosClass(treeAt(pod, "spec")) });
  },
  validate: (pod) => validatePodSpec(treeAt(pod, "spec"), "spec"),
  validateUpdate(next, current, { subresource }) {
    if (subresource === "status" || subresource === "binding") return [];
    const mayChange =
      subresource === "ephemeralcontainers"
        ? "ephemeralContainers"
        : subresource === "resize"
          ? "resources"
          : "";
    return sameTree(withoutMutable(next, mayChange), withoutMutable(current, mayChange))
      ? []
      : [forbidden("spec", podImmutable)];
  },
  fields: {
    "spec.nodeName": (pod) => textAt(pod, "spec", "nodeName"),
    "spec.restartPolicy": (pod) => textAt(pod, "spec", "restartPolicy"),
    "spec.schedulerName": (pod) => textAt(pod, "spec", "schedulerName"),
    "spec.serviceAccountName": (pod) => textAt(pod, "spec", "serviceAccountName"),
    "spec.hostNetwork": (pod) => String(at(pod, "spec", "hostNetwork") === true),
    "status.phase": (pod) => textAt(pod, "status", "phase"),
    "status.podIP": (pod) => textAt(pod, "status", "podIP"),
    "status.podIPs": (pod) =>
      listAt(pod, "status", "podIPs")
        .map((one) => textAt(one, "ip"))
        .join(","),
    "status.nominatedNodeName": (pod) => textAt(pod, "status", "nominatedNodeName"),
  },
  graceSeconds(pod) {
    if (
      textAt(pod, "spec", "nodeName") === "" ||
      ["Succeeded", "Failed"].includes(textAt(pod, "status", "phase"))
    )
      return 0;
    const seconds = at(pod, "spec", "terminationGracePeriodSeconds");
    return typeof seconds === "number" ? Math.max(0, seconds) : 30;
  },
};

function withoutMutable(pod: Tree, mayChange: string): Tree {
  const spec = copyTree(treeAt(pod, "spec"));
  for (const field of [
    "activeDeadlineSeconds",
    "tolerations",
    "terminationGracePeriodSeconds",
    "schedulingGates",
    "nodeSelector",
    "affinity",
  ]) {
    if (field !== "nodeSelector" && field !== "affinity") delete spec[field];
    else if (listAt(pod, "spec", "schedulingGates").length > 0) delete spec[field];
  }
  if (mayChange === "ephemeralContainers") delete spec["ephemeralContainers"];
  for (const list of ["containers", "initContainers"])
    for (const container of trees(listAt(spec, list))) {
      delete container["image"];
      if (mayChange === "resources") {
        delete container["resources"];
        delete container["resizePolicy"];
      }
    }
  return spec;
}

export const podTemplateRules: KindRules = {
  defaults(object) {
    const spec = at(object, "template", "spec");
    if (isTree(spec)) defaultPodSpec(spec);
  },
};

export const serviceRules: KindRules = {
  nameProblems: label1035Problems,
  defaults(service) {
    const spec = growTree(service, "spec");
    setDefault(spec, "type", "ClusterIP");
    setDefault(spec, "sessionAffinity", "None");
    if (spec["sessionAffinity"] === "ClientIP")
      setDefault(growTree(growTree(spec, "sessionAffinityConfig"), "clientIP"), "timeoutSeconds", 10800);
    const type = textAt(spec, "type");
    if (type !== "ExternalName") setDefault(spec, "internalTrafficPolicy", "Cluster");
    if (type === "NodePort" || type === "LoadBalancer") setDefault(spec, "externalTrafficPolicy", "Cluster");
    if (type === "LoadBalancer") setDefault(spec, "allocateLoadBalancerNodePorts", true);
    for (const port of trees(listAt(spec, "ports"))) {
      setDefault(port, "protocol", "TCP");
      if (
        fieldOf(port, "targetPort") === undefined ||
        fieldOf(port, "targetPort") === 0 ||
        fieldOf(port, "targetPort") === ""
      )
        setField(port, "targetPort", fieldOf(port, "port"));
    }
    setDefault(growTree(service, "status"), "loadBalancer", {});
  },
  validate(service) {
    const spec = treeAt(service, "spec");
    const type = textAt(spec, "type");
    const errors: FieldError[] = [
      ...oneOf(type, "spec.type", ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"]),
      ...oneOf(at(spec, "sessionAffinity"), "spec.sessionAffinity", ["ClientIP", "None"]),
    ];
    const ports = listAt(spec, "ports");
    if (ports.length === 0 && type !== "ExternalName" && textAt(spec, "clusterIP") !== "None")
      errors.push(required("spec.ports"));
    if (type === "ExternalName" && textAt(spec, "externalName") === "")
      errors.push(required("spec.externalName"));
    return [...errors, ...validateServicePorts(ports)];
  },
  validateUpdate(next, current) {
    const wasFixed =
      textAt(current, "spec", "type") !== "ExternalName" && textAt(next, "spec", "type") !== "ExternalName";
    const before = textAt(current, "spec", "clusterIP");
    if (!wasFixed || before === "" || before === textAt(next, "spec", "clusterIP")) return [];
    return [invalid("spec.clusterIPs[0]", listAt(next, "spec", "clusterIPs"), "may not change once set")];
  },
  fields: {
    "spec.clusterIP": (service) => textAt(service, "spec", "clusterIP"),
    "spec.type": (service) => textAt(service, "spec", "type"),
  },
};

function validateServicePorts(ports: readonly unknown[]): readonly FieldError[] {
  const errors: FieldError[] = [];
  const names = new Set<string>();
  const numbers = new Set<string>();
  for (const [index, port] of ports.entries()) {
    const path = `spec.ports[${index}]`;
    const name = textAt(port, "name");
    if (name === "" && ports.length > 1) errors.push(required(`${path}.name`));
    else if (name !== "")
      for (const problem of labelProblems(name)) errors.push(invalid(`${path}.name`, name, problem));
    if (name !== "" && names.has(name))
      errors.push({ type: "Duplicate", field: `${path}.name`, value: name });
    names.add(name);
    const number = at(port, "port");
    if (typeof number !== "number" || number < 1 || number > 65535)
      errors.push(invalid(`${path}.port`, number, portRange));
    const target = at(port, "targetPort");
    if (typeof target === "number" && (target < 1 || target > 65535))
      errors.push(invalid(`${path}.targetPort`, target, portRange));
    if (typeof target === "string")
      for (const problem of portNameProblems(target))
        errors.push(invalid(`${path}.targetPort`, target, problem));
    errors.push(...oneOf(at(port, "protocol"), `${path}.protocol`, ["TCP", "UDP", "SCTP"]));
    const key = `${String(number)}/${textAt(port, "protocol")}`;
    if (numbers.has(key)) errors.push({ type: "Duplicate", field: path, value: port });
    numbers.add(key);
  }
  return errors;
}

export const namespaceRules: KindRules = {
  nameProblems: labelProblems,
  defaults(object) {
    // Upstream labels each namespace with its own name, so that selectors can name it.
    const name = textAt(object, "metadata", "name");
    if (name !== "")
      setField(growTree(growTree(object, "metadata"), "labels"), "kubernetes.io/metadata.name", name);
  },
  prepareForCreate(object) {
    setField(object, "spec", { finalizers: ["kubernetes"] });
    setField(object, "status", { phase: "Active" });
  },
  prepareForUpdate(next, current, { subresource }) {
    if (subresource === "finalize") return;
    if (fieldOf(current, "spec") !== undefined) setField(next, "spec", copyTree(fieldOf(current, "spec")));
  },
  fields: { "status.phase": (object) => textAt(object, "status", "phase") },
};

export const nodeRules: KindRules = {
  defaults(node) {
    growTree(node, "spec");
    canonicalAmounts(treeAt(node, "status"), "capacity");
    canonicalAmounts(treeAt(node, "status"), "allocatable");
  },
  validateUpdate(next, current) {
    const errors: FieldError[] = [];
    for (const field of ["podCIDR", "providerID"]) {
      const before = textAt(current, "spec", field);
      if (before !== "" && textAt(next, "spec", field) !== before)
        errors.push(
          forbidden(`spec.${field}`, "node updates may not change " + field + ' except from "" to valid'),
        );
    }
    return errors;
  },
  fields: { "spec.unschedulable": (node) => String(at(node, "spec", "unschedulable") === true) },
};

export const configMapRules: KindRules = {
  validate(object) {
    return [
      ...keyErrors(treeAt(object, "data"), "data"),
      ...keyErrors(treeAt(object, "binaryData"), "binaryData"),
    ];
  },
  validateUpdate: (next, current) => frozenData(next, current, ["data", "binaryData"]),
};

function keyErrors(data: Tree, path: string): readonly FieldError[] {
  return Object.keys(data).flatMap((key) =>
    configKeyProblems(key).map((problem) => invalid(`${path}[${key}]`, key, problem)),
  );
}

function frozenData(next: Tree, current: Tree, fields: readonly string[]): readonly FieldError[] {
  if (at(current, "immutable") !== true) return [];
  const errors: FieldError[] = [];
  if (at(next, "immutable") !== true)
    errors.push(forbidden("immutable", "field is immutable when `immutable` is set"));
  for (const field of fields)
    if (!sameTree(at(next, field), at(current, field)))
      errors.push(forbidden(field, "field is immutable when `immutable` is set"));
  return errors;
}

const typedSecrets: Readonly<Record<string, readonly string[]>> = {
  "kubernetes.io/dockerconfigjson": [".dockerconfigjson"],
  "kubernetes.io/dockercfg": [".dockercfg"],
  "kubernetes.io/ssh-auth": ["ssh-privatekey"],
  "kubernetes.io/tls": ["tls.crt", "tls.key"],
};

export const secretRules: KindRules = {
  defaults(secret) {
    if (textAt(secret, "type") === "") setField(secret, "type", "Opaque");
    // stringData is for writing only: it becomes data and is never read back.
    const plain = fieldOf(secret, "stringData");
    if (!isTree(plain)) return;
    const data = growTree(secret, "data");
    for (const [key, value] of Object.entries(plain)) setField(data, key, base64(String(value)));
    delete secret["stringData"];
  },
  validate(secret) {
    const data = treeAt(secret, "data");
    const errors = [...keyErrors(data, "data")];
    const type = textAt(secret, "type");
    for (const key of Object.hasOwn(typedSecrets, type) ? (typedSecrets[type] ?? []) : [])
      if (fieldOf(data, key) === undefined) errors.push(required(`data[${key}]`));
    return errors;
  },
  validateUpdate(next, current) {
    const typeErrors =
      textAt(next, "type") === textAt(current, "type")
        ? []
        : [invalid("type", textAt(next, "type"), "field is immutable")];
    return [...typeErrors, ...frozenData(next, current, ["data"])];
  },
  fields: { type: (secret) => textAt(secret, "type") },
};

function base64(text: string): string {
  let binary = "";
  for (const byte of new TextEncoder().encode(text)) binary += String.fromCharCode(byte);
  return btoa(binary);
}

export const eventRules: KindRules = {
  fields: Object.fromEntries(
    [
      "involvedObject.kind",
      "involvedObject.namespace",
      "involvedObject.name",
      "involvedObject.uid",
      "involvedObject.apiVersion",
      "involvedObject.resourceVersion",
      "involvedObject.fieldPath",
      "reason",
      "reportingComponent",
      "source",
      "type",
    ].map((field) => [
      field,
      (event: Tree): string =>
        field === "source"
          ? textAt(event, "source", "component") || textAt(event, "reportingComponent")
          : textAt(event, ...field.split(".")),
    ]),
  ),
};

export const volumeRules: KindRules = {
  defaults(object) {
    const spec = growTree(object, "spec");
    setDefault(spec, "persistentVolumeReclaimPolicy", "Retain");
    setDefault(spec, "volumeMode", "Filesystem");
    canonicalAmounts(spec, "capacity");
    const hostPath = fieldOf(spec, "hostPath");
    if (isTree(hostPath)) setDefault(hostPath, "type", "");
  },
  prepareForCreate: (object) => setField(object, "status", { phase: "Pending" }),
  validate(object) {
    const spec = treeAt(object, "spec");
    const errors: FieldError[] = [...validateAmounts(at(spec, "capacity"), "spec.capacity")];
    if (listAt(spec, "accessModes").length === 0) errors.push(required("spec.accessModes"));
    if (at(spec, "capacity", "storage") === undefined) errors.push(required("spec.capacity"));
    return errors;
  },
};

export const claimRules: KindRules = {
  defaults: (object) => defaultClaimSpec(growTree(object, "spec")),
  prepareForCreate: (object) => setField(object, "status", { phase: "Pending" }),
  validate(object) {
    const spec = treeAt(object, "spec");
    const errors: FieldError[] = [
      ...validateAmounts(at(spec, "resources", "requests"), "spec.resources.requests"),
    ];
    if (listAt(spec, "accessModes").length === 0)
      errors.push(required("spec.accessModes", "at least 1 access mode is required"));
    if (at(spec, "resources", "requests", "storage") === undefined)
      errors.push(required("spec.resources[storage]"));
    return errors;
  },
  validateUpdate(next, current) {
    const rest = (object: Tree): Tree => ({
      ...treeAt(object, "spec"),
      resources: undefined,
      volumeAttributesClassName: undefined,
      volumeName: undefined,
    });
    const boundTo = textAt(current, "spec", "volumeName");
    const isSame =
      sameTree(rest(next), rest(current)) &&
      (boundTo === "" || boundTo === textAt(next, "spec", "volumeName"));
    if (isSame) return [];
    return [
      forbidden(
        "spec",
        "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims",
      ),
    ];
  },
};

export const serviceAccountRules: KindRules = {};

export const limitRangeRules: KindRules = {
  defaults(object) {
    for (const limit of trees(listAt(object, "spec", "limits")))
      for (const field of ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"])
        canonicalAmounts(limit, field);
    for (const limit of trees(listAt(object, "spec", "limits"))) {
      if (textAt(limit, "type") !== "Container") continue;
      for (const [from, to] of [
        ["max", "default"],
        ["default", "defaultRequest"],
        ["min", "defaultRequest"],
      ] as const)
        for (const [name, amount] of Object.entries(treeAt(limit, from)))
          setDefault(growTree(limit, to), name, amount);
    }
  },
};

export const quotaRules: KindRules = {
  defaults: (object) => canonicalAmounts(growTree(object, "spec"), "hard"),
  validate: (object) => validateAmounts(at(object, "spec", "hard"), "spec.hard"),
};
