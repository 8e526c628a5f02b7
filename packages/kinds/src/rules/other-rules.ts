import { duplicate, forbidden, invalid, required, type FieldError } from "../field-errors.ts";
import type { KindRules } from "../kind-info.ts";
import { pathSegmentProblems } from "../names.ts";
import {
  at,
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
import { canonicalAmounts, trees } from "./pod-defaults.ts";
import { oneOf, validateSelector } from "./meta-validation.ts";

const rbacGroup = "rbac.authorization.k8s.io";

export const roleRules: KindRules = {
  nameProblems: pathSegmentProblems,
  defaults(object) {
    if (fieldOf(object, "rules") === undefined) setField(object, "rules", null);
  },
  validate(object) {
    const errors: FieldError[] = [];
    for (const [index, rule] of listAt(object, "rules").entries()) {
      const path = `rules[${index}]`;
      const urls = listAt(rule, "nonResourceURLs");
      if (listAt(rule, "verbs").length === 0)
        errors.push(required(`${path}.verbs`, "verbs must contain at least one value"));
      if (urls.length > 0 && textAt(object, "metadata", "namespace") !== "")
        errors.push(
          invalid(`${path}.nonResourceURLs`, urls, "namespaced rules cannot apply to non-resource URLs"),
        );
      else if (
        urls.length > 0 &&
        listAt(rule, "apiGroups").length +
          listAt(rule, "resources").length +
          listAt(rule, "resourceNames").length >
          0
      )
        errors.push(
          invalid(
            `${path}.nonResourceURLs`,
            urls,
            "rules cannot apply to both regular resources and non-resource URLs",
          ),
        );
      else if (urls.length === 0 && listAt(rule, "apiGroups").length === 0)
        errors.push(required(`${path}.apiGroups`, "resource rules must supply at least one api group"));
      else if (urls.length === 0 && listAt(rule, "resources").length === 0)
        errors.push(required(`${path}.resources`, "resource rules must supply at least one resource"));
    }
    return errors;
  },
};

export const roleBindingRules: KindRules = {
  nameProblems: pathSegmentProblems,
  defaults(object) {
    const ref = fieldOf(object, "roleRef");
    if (isTree(ref)) setDefault(ref, "apiGroup", rbacGroup);
    for (const subject of trees(listAt(object, "subjects"))) {
      if (textAt(subject, "apiGroup") !== "" || textAt(subject, "kind") === "ServiceAccount") continue;
      setField(subject, "apiGroup", rbacGroup);
    }
  },
  validate(object) {
    const errors: FieldError[] = [];
    const kinds = textAt(object, "metadata", "namespace") === "" ? ["ClusterRole"] : ["Role", "ClusterRole"];
    errors.push(...oneOf(at(object, "roleRef", "kind"), "roleRef.kind", kinds));
    if (textAt(object, "roleRef", "name") === "") errors.push(required("roleRef.name"));
    for (const [index, subject] of listAt(object, "subjects").entries()) {
      const path = `subjects[${index}]`;
      if (textAt(subject, "name") === "") errors.push(required(`${path}.name`));
      errors.push(...oneOf(at(subject, "kind"), `${path}.kind`, ["ServiceAccount", "User", "Group"]));
      if (textAt(subject, "kind") === "ServiceAccount" && textAt(subject, "namespace") === "")
        errors.push(required(`${path}.namespace`));
    }
    return errors;
  },
  validateUpdate: (next, current) =>
    sameTree(at(next, "roleRef"), at(current, "roleRef"))
      ? []
      : [invalid("roleRef", at(next, "roleRef"), "cannot change roleRef")],
};

export const ingressRules: KindRules = {
  validate(object) {
    const errors: FieldError[] = [];
    const spec = treeAt(object, "spec");
    if (listAt(spec, "rules").length === 0 && fieldOf(spec, "defaultBackend") === undefined)
      errors.push(invalid("spec", spec, "either `defaultBackend` or `rules` must be specified"));
    errors.push(...backendErrors(fieldOf(spec, "defaultBackend"), "spec.defaultBackend"));
    for (const [index, rule] of listAt(spec, "rules").entries())
      for (const [pathIndex, one] of listAt(rule, "http", "paths").entries()) {
        const here = `spec.rules[${index}].http.paths[${pathIndex}]`;
        const type = textAt(one, "pathType");
        if (type === "") errors.push(required(`${here}.pathType`, "pathType must be specified"));
        else errors.push(...oneOf(type, `${here}.pathType`, ["Exact", "ImplementationSpecific", "Prefix"]));
        if (type !== "ImplementationSpecific" && !textAt(one, "path").startsWith("/"))
          errors.push(invalid(`${here}.path`, textAt(one, "path"), "must be an absolute path"));
        errors.push(...backendErrors(fieldOf(one, "backend"), `${here}.backend`));
      }
    return errors;
  },
};

function backendErrors(backend: unknown, path: string): readonly FieldError[] {
  if (!isTree(backend)) return [];
  const service = fieldOf(backend, "service");
  if (!isTree(service))
    return fieldOf(backend, "resource") === undefined
      ? [required(path, "either `service` or `resource` is required")]
      : [];
  if (textAt(service, "name") === "") return [required(`${path}.service.name`)];
  const hasPort = textAt(service, "port", "name") !== "" || typeof at(service, "port", "number") === "number";
  return hasPort ? [] : [required(`${path}.service.port`, "port name or number is required")];
}

export const networkPolicyRules: KindRules = {
  defaults(object) {
    const spec = growTree(object, "spec");
    setDefault(spec, "podSelector", {});
    if (listAt(spec, "policyTypes").length === 0)
      setField(spec, "policyTypes", listAt(spec, "egress").length > 0 ? ["Ingress", "Egress"] : ["Ingress"]);
    for (const rule of [...trees(listAt(spec, "ingress")), ...trees(listAt(spec, "egress"))])
      for (const port of trees(listAt(rule, "ports"))) setDefault(port, "protocol", "TCP");
  },
  validate: (object) => validateSelector(at(object, "spec", "podSelector"), "spec.podSelector"),
};

export const storageClassRules: KindRules = {
  defaults(object) {
    setDefault(object, "reclaimPolicy", "Delete");
    setDefault(object, "volumeBindingMode", "Immediate");
  },
  validate: (object) => (textAt(object, "provisioner") === "" ? [required("provisioner")] : []),
  validateUpdate: (next, current) =>
    ["parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"]
      .filter((field) => !sameTree(at(next, field), at(current, field)))
      .map((field) => forbidden(field, `updates to ${field} are forbidden.`)),
};

export const leaseRules: KindRules = {
  isVolatile(next, current) {
    if (current === undefined || textAt(next, "metadata", "namespace") !== "kube-node-lease") return false;
    return textAt(next, "spec", "holderIdentity") === textAt(current, "spec", "holderIdentity");
  },
};

export const disruptionRules: KindRules = {
  validate(object) {
    const spec = treeAt(object, "spec");
    if (fieldOf(spec, "minAvailable") !== undefined && fieldOf(spec, "maxUnavailable") !== undefined)
      return [invalid("spec", spec, "minAvailable and maxUnavailable cannot be both set")];
    return validateSelector(fieldOf(spec, "selector"), "spec.selector");
  },
};

export const autoscalerRules: KindRules = {
  defaults(object) {
    const spec = growTree(object, "spec");
    setDefault(spec, "minReplicas", 1);
    if (listAt(spec, "metrics").length === 0)
      setField(spec, "metrics", [
        {
          type: "Resource",
          resource: { name: "cpu", target: { type: "Utilization", averageUtilization: 80 } },
        },
      ]);
  },
  validate(object) {
    const most = at(object, "spec", "maxReplicas");
    const least = at(object, "spec", "minReplicas");
    if (typeof most !== "number" || most < 1)
      return [invalid("spec.maxReplicas", most, "must be greater than 0")];
    return typeof least === "number" && least > most
      ? [invalid("spec.maxReplicas", most, "must be greater than or equal to `minReplicas`")]
      : [];
  },
};

export const priorityClassRules: KindRules = {
  defaults: (object) => setDefault(object, "preemptionPolicy", "PreemptLowerPriority"),
  validateUpdate: (next, current) =>
    ["value", "preemptionPolicy"]
      .filter((field) => !sameTree(at(next, field), at(current, field)))
      .map((field) => forbidden(field, `may not be changed in an update.`)),
};

export const endpointSliceRules: KindRules = {
  defaults(object) {
    for (const port of trees(listAt(object, "ports"))) {
      setDefault(port, "name", "");
      setDefault(port, "protocol", "TCP");
    }
  },
  validate(object) {
    const errors: FieldError[] = [
      ...oneOf(at(object, "addressType"), "addressType", ["FQDN", "IPv4", "IPv6"]),
    ];
    const names = new Set<string>();
    for (const [index, port] of listAt(object, "ports").entries()) {
      const name = textAt(port, "name");
      if (names.has(name)) errors.push(duplicate(`ports[${index}].name`, name));
      names.add(name);
    }
    return errors;
  },
  validateUpdate: (next, current) =>
    textAt(next, "addressType") === textAt(current, "addressType")
      ? []
      : [invalid("addressType", textAt(next, "addressType"), "field is immutable")],
};

export const endpointsRules: KindRules = {
  defaults(object) {
    for (const subset of trees(listAt(object, "subsets")))
      for (const port of trees(listAt(subset, "ports"))) setDefault(port, "protocol", "TCP");
  },
};

export const signingRules: KindRules = {
  prepareForCreate(object) {
    setField(object, "status", {});
  },
  prepareForUpdate(next, current, { subresource }) {
    if (subresource === "approval") {
      // Only the approval is written there: conditions, never the certificate.
      setField(next, "spec", fieldOf(current, "spec"));
      setField(growTree(next, "status"), "certificate", at(current, "status", "certificate"));
    }
  },
  fields: { "spec.signerName": (object) => textAt(object, "spec", "signerName") },
};

export const runtimeClassRules: KindRules = {
  defaults(object) {
    const overhead = fieldOf(object, "overhead");
    if (isTree(overhead)) canonicalAmounts(overhead, "podFixed");
  },
  validateUpdate: (next, current) =>
    textAt(next, "handler") === textAt(current, "handler")
      ? []
      : [invalid("handler", textAt(next, "handler"), "field is immutable")],
};

/** Shared by kinds that hold a whole other tree. */
export function specOf(object: Tree): Tree {
  return growTree(object, "spec");
}
