/** In what order kinds are applied, and in reverse deleted: what others stand on comes first. */
const steps: readonly (readonly string[])[] = [
  ["Namespace"],
  ["CustomResourceDefinition"],
  ["PriorityClass", "RuntimeClass", "ResourceQuota", "LimitRange", "NetworkPolicy"],
  ["ServiceAccount"],
  ["ClusterRole", "Role"],
  ["ClusterRoleBinding", "RoleBinding"],
  ["ConfigMap", "Secret"],
  ["StorageClass", "PersistentVolume", "PersistentVolumeClaim"],
  ["Service", "Endpoints", "EndpointSlice"],
  ["Pod", "ReplicationController", "ReplicaSet", "DaemonSet", "Deployment", "StatefulSet", "Job", "CronJob"],
  ["HorizontalPodAutoscaler", "PodDisruptionBudget"],
  ["IngressClass", "Ingress"],
];

/** Webhooks go last of all: one whose server is not up yet holds up whatever is applied after it. */
const last: ReadonlySet<string> = new Set([
  "APIService",
  "MutatingWebhookConfiguration",
  "ValidatingWebhookConfiguration",
]);

/** Smaller is earlier; kinds that we do not know come after those we do. */
export function rankOf(kind: string): number {
  if (last.has(kind)) return steps.length + 1;
  const found = steps.findIndex((kinds) => kinds.includes(kind));
  return found === -1 ? steps.length : found;
}
