import { ageTable, plainTable } from "../columns/columns.ts";
import * as cluster from "../columns/cluster.ts";
import * as network from "../columns/network.ts";
import * as workloads from "../columns/workloads.ts";
import { defineKind, type KindInfo, type KindInput, type Subresource } from "../kind-info.ts";
import * as core from "../rules/core-rules.ts";
import * as other from "../rules/other-rules.ts";
import * as work from "../rules/workload-rules.ts";
import { coreEvents, laterAutoscalers } from "./conversions.ts";

const cells = { plain: plainTable, age: ageTable };
const all = ["all"];
const clusterWide = { namespaced: false } as const;
const createOnly = { verbs: ["create"] } as const;
const withStatus = { hasStatus: true, hasGeneration: true } as const;
const scale: Subresource = {
  name: "scale",
  verbs: ["get", "patch", "update"],
  group: "autoscaling",
  version: "v1",
  kind: "Scale",
};
const proxyVerbs = ["create", "delete", "get", "patch", "update"];

function sub(
  name: string,
  verbs: readonly string[],
  kind?: { group: string; version: string; kind: string },
): Subresource {
  return { name, verbs, ...kind };
}

type Row = Omit<KindInput, "group" | "version" | "kind" | "plural">;

function group(name: string, version: string): (kind: string, plural: string, row?: Row) => KindInfo {
  return (kind, plural, row = {}) =>
    defineKind({ group: name, version, kind, plural, table: cells.plain, ...row });
}

const v1 = group("", "v1");
const podOptions = (kind: string): { group: string; version: string; kind: string } => ({
  group: "",
  version: "v1",
  kind,
});
const review = { verbs: createOnly.verbs, table: undefined } as const;

const coreKinds: readonly KindInfo[] = [
  v1("Binding", "bindings", review),
  v1("ComponentStatus", "componentstatuses", { ...clusterWide, shortNames: ["cs"], verbs: ["get", "list"] }),
  v1("ConfigMap", "configmaps", {
    shortNames: ["cm"],
    table: cluster.configMapTable,
    rules: core.configMapRules,
  }),
  v1("Endpoints", "endpoints", {
    shortNames: ["ep"],
    singular: "endpoints",
    table: network.endpointsTable,
    rules: other.endpointsRules,
    createsOnUpdate: true,
  }),
  v1("Event", "events", {
    shortNames: ["ev"],
    table: cluster.eventTable,
    rules: core.eventRules,
    createsOnUpdate: true,
  }),
  v1("LimitRange", "limitranges", { shortNames: ["limits"], rules: core.limitRangeRules }),
  v1("Namespace", "namespaces", {
    ...clusterWide,
    shortNames: ["ns"],
    verbs: ["create", "delete", "get", "list", "patch", "update", "watch"],
    hasStatus: true,
    subresources: [sub("finalize", ["update"])],
    table: cluster.namespaceTable,
    rules: core.namespaceRules,
  }),
  v1("Node", "nodes", {
    ...clusterWide,
    shortNames: ["no"],
    hasStatus: true,
    subresources: [sub("proxy", proxyVerbs, podOptions("NodeProxyOptions"))],
    table: cluster.nodeTable,
    rules: core.nodeRules,
  }),
  v1("PersistentVolumeClaim", "persistentvolumeclaims", {
    shortNames: ["pvc"],
    hasStatus: true,
    table: cluster.claimTable,
    rules: core.claimRules,
  }),
  v1("PersistentVolume", "persistentvolumes", {
    ...clusterWide,
    shortNames: ["pv"],
    hasStatus: true,
    table: cluster.volumeTable,
    rules: core.volumeRules,
  }),
  v1("Pod", "pods", {
    ...withStatus,
    shortNames: ["po"],
    categories: all,
    table: workloads.podTable,
    rules: core.podRules,
    subresources: [
      sub("attach", ["create", "get"], podOptions("PodAttachOptions")),
      sub("binding", ["create"], podOptions("Binding")),
      sub("ephemeralcontainers", ["get", "patch", "update"]),
      sub("eviction", ["create"], { group: "policy", version: "v1", kind: "Eviction" }),
      sub("exec", ["create", "get"], podOptions("PodExecOptions")),
      sub("log", ["get"]),
      sub("portforward", ["create", "get"], podOptions("PodPortForwardOptions")),
      sub("proxy", proxyVerbs, podOptions("PodProxyOptions")),
      sub("resize", ["get", "patch", "update"]),
    ],
  }),
  v1("PodTemplate", "podtemplates", { table: workloads.podTemplateTable, rules: core.podTemplateRules }),
  v1("ReplicationController", "replicationcontrollers", {
    ...withStatus,
    shortNames: ["rc"],
    categories: all,
    subresources: [scale],
    table: workloads.replicaSetTable,
    rules: work.replicationControllerRules,
  }),
  v1("ResourceQuota", "resourcequotas", {
    shortNames: ["quota"],
    hasStatus: true,
    table: cluster.quotaTable,
    rules: core.quotaRules,
  }),
  v1("Secret", "secrets", { table: cluster.secretTable, rules: core.secretRules }),
  v1("ServiceAccount", "serviceaccounts", {
    shortNames: ["sa"],
    table: cluster.serviceAccountTable,
    rules: core.serviceAccountRules,
    subresources: [
      sub("token", ["create"], { group: "authentication.k8s.io", version: "v1", kind: "TokenRequest" }),
    ],
  }),
  v1("Service", "services", {
    shortNames: ["svc"],
    categories: all,
    hasStatus: true,
    table: network.serviceTable,
    rules: core.serviceRules,
    subresources: [sub("proxy", proxyVerbs, podOptions("ServiceProxyOptions"))],
  }),
];

const apps = group("apps", "v1");
const batch = group("batch", "v1");
const workloadKinds: readonly KindInfo[] = [
  apps("ControllerRevision", "controllerrevisions", { table: workloads.controllerRevisionTable }),
  apps("DaemonSet", "daemonsets", {
    ...withStatus,
    shortNames: ["ds"],
    categories: all,
    table: workloads.daemonSetTable,
    rules: work.daemonSetRules,
  }),
  apps("Deployment", "deployments", {
    ...withStatus,
    shortNames: ["deploy"],
    categories: all,
    subresources: [scale],
    table: workloads.deploymentTable,
    rules: work.deploymentRules,
  }),
  apps("ReplicaSet", "replicasets", {
    ...withStatus,
    shortNames: ["rs"],
    categories: all,
    subresources: [scale],
    table: workloads.replicaSetTable,
    rules: work.replicaSetRules,
  }),
  apps("StatefulSet", "statefulsets", {
    ...withStatus,
    shortNames: ["sts"],
    categories: all,
    subresources: [scale],
    table: workloads.statefulSetTable,
    rules: work.statefulSetRules,
  }),
  batch("CronJob", "cronjobs", {
    ...withStatus,
    shortNames: ["cj"],
    categories: all,
    table: workloads.cronJobTable,
    rules: work.cronJobRules,
  }),
  batch("Job", "jobs", { ...withStatus, categories: all, table: workloads.jobTable, rules: work.jobRules }),
];

const networking = group("networking.k8s.io", "v1");
const networkKinds: readonly KindInfo[] = [
  networking("Ingress", "ingresses", {
    ...withStatus,
    shortNames: ["ing"],
    table: network.ingressTable,
    rules: other.ingressRules,
  }),
  networking("IngressClass", "ingressclasses", {
    ...clusterWide,
    hasGeneration: true,
    table: network.ingressClassTable,
  }),
  networking("IPAddress", "ipaddresses", { ...clusterWide, shortNames: ["ip"] }),
  networking("NetworkPolicy", "networkpolicies", {
    hasGeneration: true,
    shortNames: ["netpol"],
    table: cluster.networkPolicyTable,
    rules: other.networkPolicyRules,
  }),
  networking("ServiceCIDR", "servicecidrs", { ...clusterWide, hasStatus: true }),
  group("discovery.k8s.io", "v1")("EndpointSlice", "endpointslices", {
    hasGeneration: true,
    table: network.endpointSliceTable,
    rules: other.endpointSliceRules,
  }),
];

const rbac = group("rbac.authorization.k8s.io", "v1");
const authorization = group("authorization.k8s.io", "v1");
const authentication = group("authentication.k8s.io", "v1");
const accessKinds: readonly KindInfo[] = [
  rbac("ClusterRoleBinding", "clusterrolebindings", {
    ...clusterWide,
    table: cluster.roleBindingTable,
    rules: other.roleBindingRules,
  }),
  rbac("ClusterRole", "clusterroles", { ...clusterWide, rules: other.roleRules }),
  rbac("RoleBinding", "rolebindings", { table: cluster.roleBindingTable, rules: other.roleBindingRules }),
  rbac("Role", "roles", { rules: other.roleRules }),
  authentication("SelfSubjectReview", "selfsubjectreviews", { ...clusterWide, ...review }),
  authentication("TokenReview", "tokenreviews", { ...clusterWide, ...review }),
  authorization("LocalSubjectAccessReview", "localsubjectaccessreviews", review),
  authorization("SelfSubjectAccessReview", "selfsubjectaccessreviews", { ...clusterWide, ...review }),
  authorization("SelfSubjectRulesReview", "selfsubjectrulesreviews", { ...clusterWide, ...review }),
  authorization("SubjectAccessReview", "subjectaccessreviews", { ...clusterWide, ...review }),
  group("certificates.k8s.io", "v1")("CertificateSigningRequest", "certificatesigningrequests", {
    ...clusterWide,
    hasStatus: true,
    shortNames: ["csr"],
    subresources: [sub("approval", ["get", "patch", "update"])],
    table: cluster.signingTable,
    rules: other.signingRules,
  }),
];

const storage = group("storage.k8s.io", "v1");
const storageKinds: readonly KindInfo[] = [
  storage("CSIDriver", "csidrivers", clusterWide),
  storage("CSINode", "csinodes", clusterWide),
  storage("CSIStorageCapacity", "csistoragecapacities"),
  storage("StorageClass", "storageclasses", {
    ...clusterWide,
    shortNames: ["sc"],
    table: cluster.storageClassTable,
    rules: other.storageClassRules,
  }),
  storage("VolumeAttachment", "volumeattachments", { ...clusterWide, hasStatus: true }),
  storage("VolumeAttributesClass", "volumeattributesclasses", { ...clusterWide, shortNames: ["vac"] }),
];

const extensions = group("apiextensions.k8s.io", "v1");
const admission = group("admissionregistration.k8s.io", "v1");
const autoscaling = {
  shortNames: ["hpa"],
  categories: all,
  hasStatus: true,
  singular: "horizontalpodautoscaler",
} as const;
const otherKinds: readonly KindInfo[] = [
  group("coordination.k8s.io", "v1")("Lease", "leases", {
    table: cluster.leaseTable,
    rules: other.leaseRules,
    createsOnUpdate: true,
  }),
  group("events.k8s.io", "v1")("Event", "events", {
    shortNames: ["ev"],
    storedAs: coreEvents,
    createsOnUpdate: true,
    table: cluster.eventTable,
  }),
  group("policy", "v1")("PodDisruptionBudget", "poddisruptionbudgets", {
    ...withStatus,
    shortNames: ["pdb"],
    table: cluster.disruptionTable,
    rules: other.disruptionRules,
  }),
  group("scheduling.k8s.io", "v1")("PriorityClass", "priorityclasses", {
    ...clusterWide,
    hasGeneration: true,
    shortNames: ["pc"],
    table: cluster.priorityClassTable,
    rules: other.priorityClassRules,
  }),
  group("node.k8s.io", "v1")("RuntimeClass", "runtimeclasses", {
    ...clusterWide,
    table: cluster.runtimeClassTable,
    rules: other.runtimeClassRules,
  }),
  group("autoscaling", "v2")("HorizontalPodAutoscaler", "horizontalpodautoscalers", {
    ...autoscaling,
    table: cluster.autoscalerTable,
    rules: other.autoscalerRules,
  }),
  group("autoscaling", "v1")("HorizontalPodAutoscaler", "horizontalpodautoscalers", {
    ...autoscaling,
    storedAs: laterAutoscalers,
    table: cluster.autoscalerTable,
  }),
  extensions("CustomResourceDefinition", "customresourcedefinitions", {
    ...clusterWide,
    ...withStatus,
    shortNames: ["crd", "crds"],
    categories: ["api-extensions"],
  }),
  group("apiregistration.k8s.io", "v1")("APIService", "apiservices", {
    ...clusterWide,
    hasStatus: true,
    categories: ["api-extensions"],
    table: cluster.apiServiceTable,
  }),
  admission("MutatingAdmissionPolicy", "mutatingadmissionpolicies", {
    ...clusterWide,
    hasGeneration: true,
    categories: ["api-extensions"],
  }),
  admission("MutatingAdmissionPolicyBinding", "mutatingadmissionpolicybindings", {
    ...clusterWide,
    hasGeneration: true,
    categories: ["api-extensions"],
  }),
  admission("MutatingWebhookConfiguration", "mutatingwebhookconfigurations", {
    ...clusterWide,
    hasGeneration: true,
    categories: ["api-extensions"],
  }),
  admission("ValidatingAdmissionPolicy", "validatingadmissionpolicies", {
    ...clusterWide,
    ...withStatus,
    categories: ["api-extensions"],
  }),
  admission("ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings", {
    ...clusterWide,
    hasGeneration: true,
    categories: ["api-extensions"],
  }),
  admission("ValidatingWebhookConfiguration", "validatingwebhookconfigurations", {
    ...clusterWide,
    hasGeneration: true,
    categories: ["api-extensions"],
  }),
];

/** Every kind that the server has before any CustomResourceDefinition. */
export const builtInKinds: readonly KindInfo[] = [
  ...coreKinds,
  ...workloadKinds,
  ...networkKinds,
  ...accessKinds,
  ...storageKinds,
  ...otherKinds,
];

const metrics = group("metrics.k8s.io", "v1beta1");

/** Served when the program gives measurements; nothing of them is stored. */
export const metricsKinds: readonly KindInfo[] = [
  metrics("NodeMetrics", "nodes", { ...clusterWide, singular: "", verbs: ["get", "list"] }),
  metrics("PodMetrics", "pods", { singular: "", verbs: ["get", "list"] }),
];

/** In which order discovery names the groups (kube-apiserver's own priorities); unknown ones follow by name. */
export const groupOrder: readonly string[] = [
  "",
  "apiregistration.k8s.io",
  "apps",
  "events.k8s.io",
  "authentication.k8s.io",
  "authorization.k8s.io",
  "autoscaling",
  "batch",
  "certificates.k8s.io",
  "networking.k8s.io",
  "policy",
  "rbac.authorization.k8s.io",
  "storage.k8s.io",
  "admissionregistration.k8s.io",
  "apiextensions.k8s.io",
  "scheduling.k8s.io",
  "coordination.k8s.io",
  "node.k8s.io",
  "discovery.k8s.io",
];
