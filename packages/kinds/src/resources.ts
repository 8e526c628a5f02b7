import type {
  APIService,
  Alert,
  DeadLetter,
  Binding,
  CSIDriver,
  CSINode,
  CSIStorageCapacity,
  CertificateSigningRequest,
  ClusterRole,
  ClusterRoleBinding,
  ConfigMap,
  ControllerRevision,
  CronJob,
  CustomResourceDefinition,
  DaemonSet,
  Deployment,
  EndpointSlice,
  Endpoints,
  Event,
  EventsEvent,
  FunctionResource,
  HorizontalPodAutoscaler,
  IPAddress,
  Ingress,
  IngressClass,
  Job,
  KubeObject,
  Lease,
  LimitRange,
  LocalSubjectAccessReview,
  Namespace,
  NetworkPolicy,
  Node,
  NodeMetrics,
  PersistentVolume,
  PersistentVolumeClaim,
  Pod,
  PodDisruptionBudget,
  PodMetrics,
  PodTemplate,
  PriorityClass,
  ReplicaSet,
  ReplicationController,
  ResourceQuota,
  Role,
  RoleBinding,
  RuntimeClass,
  Secret,
  SelfSubjectAccessReview,
  SelfSubjectReview,
  SelfSubjectRulesReview,
  Service,
  ServiceAccount,
  ServiceCIDR,
  StatefulSet,
  StorageClass,
  SubjectAccessReview,
  TokenReview,
  VolumeAttachment,
} from "./kinds.ts";

/** Names one resource of the API; `Kept` is the type of its objects. */
export type ResourceType<Kept extends KubeObject = KubeObject> = {
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly kind: string;
  readonly namespaced: boolean;
  /** Only carries the type; never set. */
  readonly object?: Kept;
};

/** `v1` or `GROUP/VERSION`. */
export function apiVersionOf(resource: { readonly group: string; readonly version: string }): string {
  return resource.group === "" ? resource.version : `${resource.group}/${resource.version}`;
}

/** `pods` or `deployments.apps`: how messages and RBAC's tools name a resource. */
export function resourceText(resource: { readonly group: string; readonly plural: string }): string {
  return resource.group === "" ? resource.plural : `${resource.plural}.${resource.group}`;
}

function namespaced(group: string, version: string, names: `${string}/${string}`): ResourceType<never> {
  return define({ group, version, names, namespaced: true });
}

function clusterWide(group: string, version: string, names: `${string}/${string}`): ResourceType<never> {
  return define({ group, version, names, namespaced: false });
}

type Definition = {
  readonly group: string;
  readonly version: string;
  readonly names: string;
  readonly namespaced: boolean;
};

function define({ group, version, names, namespaced }: Definition): ResourceType<never> {
  const [plural = "", kind = ""] = names.split("/");
  return { group, version, plural, kind, namespaced };
}

export const bindings: ResourceType<Binding> = namespaced("", "v1", "bindings/Binding");
export const configMaps: ResourceType<ConfigMap> = namespaced("", "v1", "configmaps/ConfigMap");
export const endpoints: ResourceType<Endpoints> = namespaced("", "v1", "endpoints/Endpoints");
export const events: ResourceType<Event> = namespaced("", "v1", "events/Event");
export const limitRanges: ResourceType<LimitRange> = namespaced("", "v1", "limitranges/LimitRange");
export const namespaces: ResourceType<Namespace> = clusterWide("", "v1", "namespaces/Namespace");
export const nodes: ResourceType<Node> = clusterWide("", "v1", "nodes/Node");
export const persistentVolumes: ResourceType<PersistentVolume> = clusterWide(
  "",
  "v1",
  "persistentvolumes/PersistentVolume",
);
export const persistentVolumeClaims: ResourceType<PersistentVolumeClaim> = namespaced(
  "",
  "v1",
  "persistentvolumeclaims/PersistentVolumeClaim",
);
export const pods: ResourceType<Pod> = namespaced("", "v1", "pods/Pod");
export const podTemplates: ResourceType<PodTemplate> = namespaced("", "v1", "podtemplates/PodTemplate");
export const replicationControllers: ResourceType<ReplicationController> = namespaced(
  "",
  "v1",
  "replicationcontrollers/ReplicationController",
);
export const resourceQuotas: ResourceType<ResourceQuota> = namespaced(
  "",
  "v1",
  "resourcequotas/ResourceQuota",
);
export const secrets: ResourceType<Secret> = namespaced("", "v1", "secrets/Secret");
export const services: ResourceType<Service> = namespaced("", "v1", "services/Service");
export const serviceAccounts: ResourceType<ServiceAccount> = namespaced(
  "",
  "v1",
  "serviceaccounts/ServiceAccount",
);
export const controllerRevisions: ResourceType<ControllerRevision> = namespaced(
  "apps",
  "v1",
  "controllerrevisions/ControllerRevision",
);
export const daemonSets: ResourceType<DaemonSet> = namespaced("apps", "v1", "daemonsets/DaemonSet");
export const deployments: ResourceType<Deployment> = namespaced("apps", "v1", "deployments/Deployment");
export const replicaSets: ResourceType<ReplicaSet> = namespaced("apps", "v1", "replicasets/ReplicaSet");
export const statefulSets: ResourceType<StatefulSet> = namespaced("apps", "v1", "statefulsets/StatefulSet");
export const cronJobs: ResourceType<CronJob> = namespaced("batch", "v1", "cronjobs/CronJob");
export const jobs: ResourceType<Job> = namespaced("batch", "v1", "jobs/Job");
export const ingresses: ResourceType<Ingress> = namespaced("networking.k8s.io", "v1", "ingresses/Ingress");
export const ingressClasses: ResourceType<IngressClass> = clusterWide(
  "networking.k8s.io",
  "v1",
  "ingressclasses/IngressClass",
);
export const networkPolicies: ResourceType<NetworkPolicy> = namespaced(
  "networking.k8s.io",
  "v1",
  "networkpolicies/NetworkPolicy",
);
export const serviceCIDRs: ResourceType<ServiceCIDR> = clusterWide(
  "networking.k8s.io",
  "v1",
  "servicecidrs/ServiceCIDR",
);
export const ipAddresses: ResourceType<IPAddress> = clusterWide(
  "networking.k8s.io",
  "v1",
  "ipaddresses/IPAddress",
);
export const endpointSlices: ResourceType<EndpointSlice> = namespaced(
  "discovery.k8s.io",
  "v1",
  "endpointslices/EndpointSlice",
);
export const clusterRoles: ResourceType<ClusterRole> = clusterWide(
  "rbac.authorization.k8s.io",
  "v1",
  "clusterroles/ClusterRole",
);
export const clusterRoleBindings: ResourceType<ClusterRoleBinding> = clusterWide(
  "rbac.authorization.k8s.io",
  "v1",
  "clusterrolebindings/ClusterRoleBinding",
);
export const roles: ResourceType<Role> = namespaced("rbac.authorization.k8s.io", "v1", "roles/Role");
export const roleBindings: ResourceType<RoleBinding> = namespaced(
  "rbac.authorization.k8s.io",
  "v1",
  "rolebindings/RoleBinding",
);
export const storageClasses: ResourceType<StorageClass> = clusterWide(
  "storage.k8s.io",
  "v1",
  "storageclasses/StorageClass",
);
export const volumeAttachments: ResourceType<VolumeAttachment> = clusterWide(
  "storage.k8s.io",
  "v1",
  "volumeattachments/VolumeAttachment",
);
export const csiDrivers: ResourceType<CSIDriver> = clusterWide(
  "storage.k8s.io",
  "v1",
  "csidrivers/CSIDriver",
);
export const csiNodes: ResourceType<CSINode> = clusterWide("storage.k8s.io", "v1", "csinodes/CSINode");
export const csiStorageCapacities: ResourceType<CSIStorageCapacity> = namespaced(
  "storage.k8s.io",
  "v1",
  "csistoragecapacities/CSIStorageCapacity",
);
export const leases: ResourceType<Lease> = namespaced("coordination.k8s.io", "v1", "leases/Lease");
export const eventsEvents: ResourceType<EventsEvent> = namespaced("events.k8s.io", "v1", "events/Event");
export const podDisruptionBudgets: ResourceType<PodDisruptionBudget> = namespaced(
  "policy",
  "v1",
  "poddisruptionbudgets/PodDisruptionBudget",
);
export const priorityClasses: ResourceType<PriorityClass> = clusterWide(
  "scheduling.k8s.io",
  "v1",
  "priorityclasses/PriorityClass",
);
export const runtimeClasses: ResourceType<RuntimeClass> = clusterWide(
  "node.k8s.io",
  "v1",
  "runtimeclasses/RuntimeClass",
);
export const horizontalPodAutoscalers: ResourceType<HorizontalPodAutoscaler> = namespaced(
  "autoscaling",
  "v2",
  "horizontalpodautoscalers/HorizontalPodAutoscaler",
);
export const certificateSigningRequests: ResourceType<CertificateSigningRequest> = clusterWide(
  "certificates.k8s.io",
  "v1",
  "certificatesigningrequests/CertificateSigningRequest",
);
export const tokenReviews: ResourceType<TokenReview> = clusterWide(
  "authentication.k8s.io",
  "v1",
  "tokenreviews/TokenReview",
);
export const selfSubjectReviews: ResourceType<SelfSubjectReview> = clusterWide(
  "authentication.k8s.io",
  "v1",
  "selfsubjectreviews/SelfSubjectReview",
);
export const subjectAccessReviews: ResourceType<SubjectAccessReview> = clusterWide(
  "authorization.k8s.io",
  "v1",
  "subjectaccessreviews/SubjectAccessReview",
);
export const selfSubjectAccessReviews: ResourceType<SelfSubjectAccessReview> = clusterWide(
  "authorization.k8s.io",
  "v1",
  "selfsubjectaccessreviews/SelfSubjectAccessReview",
);
export const selfSubjectRulesReviews: ResourceType<SelfSubjectRulesReview> = clusterWide(
  "authorization.k8s.io",
  "v1",
  "selfsubjectrulesreviews/SelfSubjectRulesReview",
);
export const localSubjectAccessReviews: ResourceType<LocalSubjectAccessReview> = namespaced(
  "authorization.k8s.io",
  "v1",
  "localsubjectaccessreviews/LocalSubjectAccessReview",
);
export const customResourceDefinitions: ResourceType<CustomResourceDefinition> = clusterWide(
  "apiextensions.k8s.io",
  "v1",
  "customresourcedefinitions/CustomResourceDefinition",
);
export const apiServices: ResourceType<APIService> = clusterWide(
  "apiregistration.k8s.io",
  "v1",
  "apiservices/APIService",
);
export const podMetrics: ResourceType<PodMetrics> = namespaced(
  "metrics.k8s.io",
  "v1beta1",
  "pods/PodMetrics",
);
export const nodeMetrics: ResourceType<NodeMetrics> = clusterWide(
  "metrics.k8s.io",
  "v1beta1",
  "nodes/NodeMetrics",
);
export const functions: ResourceType<FunctionResource> = namespaced(
  "openfaas.com",
  "v1",
  "functions/Function",
);
export const deadLetters: ResourceType<DeadLetter> = namespaced(
  "functions.cortado.dev",
  "v1alpha1",
  "deadletters/DeadLetter",
);
export const alerts: ResourceType<Alert> = namespaced("telemetry.cortado.dev", "v1alpha1", "alerts/Alert");
