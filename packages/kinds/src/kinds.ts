/**
 * The objects of the API as types. Shapes come from the development package kubernetes-models (v1.36); nothing of it is there
 * at run time. `metadata` is always there, and so is its `name`.
 */
import type { IBinding } from "kubernetes-models/v1/Binding";
import type { IConfigMap } from "kubernetes-models/v1/ConfigMap";
import type { IEndpoints } from "kubernetes-models/v1/Endpoints";
import type { IEvent } from "kubernetes-models/v1/Event";
import type { ILimitRange } from "kubernetes-models/v1/LimitRange";
import type { INamespace } from "kubernetes-models/v1/Namespace";
import type { INode } from "kubernetes-models/v1/Node";
import type { IPersistentVolume } from "kubernetes-models/v1/PersistentVolume";
import type { IPersistentVolumeClaim } from "kubernetes-models/v1/PersistentVolumeClaim";
import type { IPod } from "kubernetes-models/v1/Pod";
import type { IPodTemplate } from "kubernetes-models/v1/PodTemplate";
import type { IReplicationController } from "kubernetes-models/v1/ReplicationController";
import type { IResourceQuota } from "kubernetes-models/v1/ResourceQuota";
import type { ISecret } from "kubernetes-models/v1/Secret";
import type { IService } from "kubernetes-models/v1/Service";
import type { IServiceAccount } from "kubernetes-models/v1/ServiceAccount";
import type { IControllerRevision } from "kubernetes-models/apps/v1/ControllerRevision";
import type { IDaemonSet } from "kubernetes-models/apps/v1/DaemonSet";
import type { IDeployment } from "kubernetes-models/apps/v1/Deployment";
import type { IReplicaSet } from "kubernetes-models/apps/v1/ReplicaSet";
import type { IStatefulSet } from "kubernetes-models/apps/v1/StatefulSet";
import type { ICronJob } from "kubernetes-models/batch/v1/CronJob";
import type { IJob } from "kubernetes-models/batch/v1/Job";
import type { IIngress } from "kubernetes-models/networking.k8s.io/v1/Ingress";
import type { IIngressClass } from "kubernetes-models/networking.k8s.io/v1/IngressClass";
import type { IIPAddress } from "kubernetes-models/networking.k8s.io/v1/IPAddress";
import type { INetworkPolicy } from "kubernetes-models/networking.k8s.io/v1/NetworkPolicy";
import type { IServiceCIDR } from "kubernetes-models/networking.k8s.io/v1/ServiceCIDR";
import type { IEndpointSlice } from "kubernetes-models/discovery.k8s.io/v1/EndpointSlice";
import type { IClusterRole } from "kubernetes-models/rbac.authorization.k8s.io/v1/ClusterRole";
import type { IClusterRoleBinding } from "kubernetes-models/rbac.authorization.k8s.io/v1/ClusterRoleBinding";
import type { IRole } from "kubernetes-models/rbac.authorization.k8s.io/v1/Role";
import type { IRoleBinding } from "kubernetes-models/rbac.authorization.k8s.io/v1/RoleBinding";
import type { ICSIDriver } from "kubernetes-models/storage.k8s.io/v1/CSIDriver";
import type { ICSINode } from "kubernetes-models/storage.k8s.io/v1/CSINode";
import type { ICSIStorageCapacity } from "kubernetes-models/storage.k8s.io/v1/CSIStorageCapacity";
import type { IStorageClass } from "kubernetes-models/storage.k8s.io/v1/StorageClass";
import type { IVolumeAttachment } from "kubernetes-models/storage.k8s.io/v1/VolumeAttachment";
import type { IVolumeAttributesClass } from "kubernetes-models/storage.k8s.io/v1/VolumeAttributesClass";
import type { ILease } from "kubernetes-models/coordination.k8s.io/v1/Lease";
import type { IEvent as IEventsEventModel } from "kubernetes-models/events.k8s.io/v1/Event";
import type { IEviction } from "kubernetes-models/policy/v1/Eviction";
import type { IPodDisruptionBudget } from "kubernetes-models/policy/v1/PodDisruptionBudget";
import type { IPriorityClass } from "kubernetes-models/scheduling.k8s.io/v1/PriorityClass";
import type { IRuntimeClass } from "kubernetes-models/node.k8s.io/v1/RuntimeClass";
import type { IHorizontalPodAutoscaler as IHorizontalPodAutoscalerV1Model } from "kubernetes-models/autoscaling/v1/HorizontalPodAutoscaler";
import type { IScale } from "kubernetes-models/autoscaling/v1/Scale";
import type { IHorizontalPodAutoscaler } from "kubernetes-models/autoscaling/v2/HorizontalPodAutoscaler";
import type { ICertificateSigningRequest } from "kubernetes-models/certificates.k8s.io/v1/CertificateSigningRequest";
import type { ISelfSubjectReview } from "kubernetes-models/authentication.k8s.io/v1/SelfSubjectReview";
import type { ITokenRequest } from "kubernetes-models/authentication.k8s.io/v1/TokenRequest";
import type { ITokenReview } from "kubernetes-models/authentication.k8s.io/v1/TokenReview";
import type { ILocalSubjectAccessReview } from "kubernetes-models/authorization.k8s.io/v1/LocalSubjectAccessReview";
import type { ISelfSubjectAccessReview } from "kubernetes-models/authorization.k8s.io/v1/SelfSubjectAccessReview";
import type { ISelfSubjectRulesReview } from "kubernetes-models/authorization.k8s.io/v1/SelfSubjectRulesReview";
import type { ISubjectAccessReview } from "kubernetes-models/authorization.k8s.io/v1/SubjectAccessReview";
import type { ICustomResourceDefinition } from "kubernetes-models/apiextensions.k8s.io/v1/CustomResourceDefinition";
import type { IAPIService } from "kubernetes-models/apiregistration.k8s.io/v1/APIService";
import type { IMutatingAdmissionPolicy } from "kubernetes-models/admissionregistration.k8s.io/v1/MutatingAdmissionPolicy";
import type { IMutatingAdmissionPolicyBinding } from "kubernetes-models/admissionregistration.k8s.io/v1/MutatingAdmissionPolicyBinding";
import type { IMutatingWebhookConfiguration } from "kubernetes-models/admissionregistration.k8s.io/v1/MutatingWebhookConfiguration";
import type { IValidatingAdmissionPolicy } from "kubernetes-models/admissionregistration.k8s.io/v1/ValidatingAdmissionPolicy";
import type { IValidatingAdmissionPolicyBinding } from "kubernetes-models/admissionregistration.k8s.io/v1/ValidatingAdmissionPolicyBinding";
import type { IValidatingWebhookConfiguration } from "kubernetes-models/admissionregistration.k8s.io/v1/ValidatingWebhookConfiguration";
import type { IFlowSchema } from "kubernetes-models/flowcontrol.apiserver.k8s.io/v1/FlowSchema";
import type { IPriorityLevelConfiguration } from "kubernetes-models/flowcontrol.apiserver.k8s.io/v1/PriorityLevelConfiguration";
import type { IObjectMeta } from "@kubernetes-models/apimachinery/apis/meta/v1/ObjectMeta";
export type { IContainer as Container } from "kubernetes-models/v1/Container";
export type { IContainerPort as ContainerPort } from "kubernetes-models/v1/ContainerPort";
export type { IContainerStatus as ContainerStatus } from "kubernetes-models/v1/ContainerStatus";
export type { IContainerState as ContainerState } from "kubernetes-models/v1/ContainerState";
export type { IEndpointAddress as EndpointAddress } from "kubernetes-models/v1/EndpointAddress";
export type { IEndpointPort as EndpointPort } from "kubernetes-models/v1/EndpointPort";
export type { IEndpointSubset as EndpointSubset } from "kubernetes-models/v1/EndpointSubset";
export type { IEnvFromSource as EnvFromSource } from "kubernetes-models/v1/EnvFromSource";
export type { IEnvVar as EnvVar } from "kubernetes-models/v1/EnvVar";
export type { IEnvVarSource as EnvVarSource } from "kubernetes-models/v1/EnvVarSource";
export type { IEphemeralContainer as EphemeralContainer } from "kubernetes-models/v1/EphemeralContainer";
export type { IEventSource as EventSource } from "kubernetes-models/v1/EventSource";
export type { IKeyToPath as KeyToPath } from "kubernetes-models/v1/KeyToPath";
export type { ILimitRangeItem as LimitRangeItem } from "kubernetes-models/v1/LimitRangeItem";
export type { ILoadBalancerIngress as LoadBalancerIngress } from "kubernetes-models/v1/LoadBalancerIngress";
export type { ILocalObjectReference as LocalObjectReference } from "kubernetes-models/v1/LocalObjectReference";
export type { INodeAddress as NodeAddress } from "kubernetes-models/v1/NodeAddress";
export type { INodeCondition as NodeCondition } from "kubernetes-models/v1/NodeCondition";
export type { INodeSelector as NodeSelector } from "kubernetes-models/v1/NodeSelector";
export type { INodeSelectorTerm as NodeSelectorTerm } from "kubernetes-models/v1/NodeSelectorTerm";
export type { INodeSelectorRequirement as NodeSelectorRequirement } from "kubernetes-models/v1/NodeSelectorRequirement";
export type { INodeSpec as NodeSpec } from "kubernetes-models/v1/NodeSpec";
export type { INodeStatus as NodeStatus } from "kubernetes-models/v1/NodeStatus";
export type { IObjectReference as ObjectReference } from "kubernetes-models/v1/ObjectReference";
export type { IPersistentVolumeClaimSpec as PersistentVolumeClaimSpec } from "kubernetes-models/v1/PersistentVolumeClaimSpec";
export type { IPersistentVolumeSpec as PersistentVolumeSpec } from "kubernetes-models/v1/PersistentVolumeSpec";
export type { IPodCondition as PodCondition } from "kubernetes-models/v1/PodCondition";
export type { IPodIP as PodIP } from "kubernetes-models/v1/PodIP";
export type { IPodSecurityContext as PodSecurityContext } from "kubernetes-models/v1/PodSecurityContext";
export type { IPodSpec as PodSpec } from "kubernetes-models/v1/PodSpec";
export type { IPodStatus as PodStatus } from "kubernetes-models/v1/PodStatus";
export type { IPodTemplateSpec as PodTemplateSpec } from "kubernetes-models/v1/PodTemplateSpec";
export type { IProbe as Probe } from "kubernetes-models/v1/Probe";
export type { IResourceRequirements as ResourceRequirements } from "kubernetes-models/v1/ResourceRequirements";
export type { ISecurityContext as SecurityContext } from "kubernetes-models/v1/SecurityContext";
export type { IServicePort as ServicePort } from "kubernetes-models/v1/ServicePort";
export type { IServiceSpec as ServiceSpec } from "kubernetes-models/v1/ServiceSpec";
export type { IServiceStatus as ServiceStatus } from "kubernetes-models/v1/ServiceStatus";
export type { ITaint as Taint } from "kubernetes-models/v1/Taint";
export type { IToleration as Toleration } from "kubernetes-models/v1/Toleration";
export type { IVolume as Volume } from "kubernetes-models/v1/Volume";
export type { IVolumeMount as VolumeMount } from "kubernetes-models/v1/VolumeMount";
export type { IAffinity as Affinity } from "kubernetes-models/v1/Affinity";
export type { ILifecycle as Lifecycle } from "kubernetes-models/v1/Lifecycle";
export type { ILifecycleHandler as LifecycleHandler } from "kubernetes-models/v1/LifecycleHandler";
export type { IHTTPGetAction as HTTPGetAction } from "kubernetes-models/v1/HTTPGetAction";
export type { IExecAction as ExecAction } from "kubernetes-models/v1/ExecAction";
export type { ITCPSocketAction as TCPSocketAction } from "kubernetes-models/v1/TCPSocketAction";
export type { ITopologySpreadConstraint as TopologySpreadConstraint } from "kubernetes-models/v1/TopologySpreadConstraint";
export type { IDaemonSetSpec as DaemonSetSpec } from "kubernetes-models/apps/v1/DaemonSetSpec";
export type { IDeploymentSpec as DeploymentSpec } from "kubernetes-models/apps/v1/DeploymentSpec";
export type { IDeploymentStatus as DeploymentStatus } from "kubernetes-models/apps/v1/DeploymentStatus";
export type { IDeploymentCondition as DeploymentCondition } from "kubernetes-models/apps/v1/DeploymentCondition";
export type { IReplicaSetSpec as ReplicaSetSpec } from "kubernetes-models/apps/v1/ReplicaSetSpec";
export type { IReplicaSetStatus as ReplicaSetStatus } from "kubernetes-models/apps/v1/ReplicaSetStatus";
export type { IStatefulSetSpec as StatefulSetSpec } from "kubernetes-models/apps/v1/StatefulSetSpec";
export type { IStatefulSetStatus as StatefulSetStatus } from "kubernetes-models/apps/v1/StatefulSetStatus";
export type { ICronJobSpec as CronJobSpec } from "kubernetes-models/batch/v1/CronJobSpec";
export type { IJobSpec as JobSpec } from "kubernetes-models/batch/v1/JobSpec";
export type { IJobStatus as JobStatus } from "kubernetes-models/batch/v1/JobStatus";
export type { IJobCondition as JobCondition } from "kubernetes-models/batch/v1/JobCondition";
export type { IJobTemplateSpec as JobTemplateSpec } from "kubernetes-models/batch/v1/JobTemplateSpec";
export type { IHTTPIngressPath as HTTPIngressPath } from "kubernetes-models/networking.k8s.io/v1/HTTPIngressPath";
export type { IIngressBackend as IngressBackend } from "kubernetes-models/networking.k8s.io/v1/IngressBackend";
export type { IIngressRule as IngressRule } from "kubernetes-models/networking.k8s.io/v1/IngressRule";
export type { IIngressSpec as IngressSpec } from "kubernetes-models/networking.k8s.io/v1/IngressSpec";
export type { INetworkPolicyIngressRule as NetworkPolicyIngressRule } from "kubernetes-models/networking.k8s.io/v1/NetworkPolicyIngressRule";
export type { INetworkPolicyEgressRule as NetworkPolicyEgressRule } from "kubernetes-models/networking.k8s.io/v1/NetworkPolicyEgressRule";
export type { INetworkPolicyPeer as NetworkPolicyPeer } from "kubernetes-models/networking.k8s.io/v1/NetworkPolicyPeer";
export type { INetworkPolicyPort as NetworkPolicyPort } from "kubernetes-models/networking.k8s.io/v1/NetworkPolicyPort";
export type { INetworkPolicySpec as NetworkPolicySpec } from "kubernetes-models/networking.k8s.io/v1/NetworkPolicySpec";
export type { IEndpoint as Endpoint } from "kubernetes-models/discovery.k8s.io/v1/Endpoint";
export type { IPolicyRule as PolicyRule } from "kubernetes-models/rbac.authorization.k8s.io/v1/PolicyRule";
export type { IRoleRef as RoleRef } from "kubernetes-models/rbac.authorization.k8s.io/v1/RoleRef";
export type { ISubject as Subject } from "kubernetes-models/rbac.authorization.k8s.io/v1/Subject";
export type { ILeaseSpec as LeaseSpec } from "kubernetes-models/coordination.k8s.io/v1/LeaseSpec";
export type { IPodDisruptionBudgetSpec as PodDisruptionBudgetSpec } from "kubernetes-models/policy/v1/PodDisruptionBudgetSpec";
export type { ICustomResourceDefinitionSpec as CustomResourceDefinitionSpec } from "kubernetes-models/apiextensions.k8s.io/v1/CustomResourceDefinitionSpec";
export type { ICustomResourceDefinitionVersion as CustomResourceDefinitionVersion } from "kubernetes-models/apiextensions.k8s.io/v1/CustomResourceDefinitionVersion";
export type { IJSONSchemaProps as JSONSchemaProps } from "kubernetes-models/apiextensions.k8s.io/v1/JSONSchemaProps";
export type { IOwnerReference as OwnerReference } from "@kubernetes-models/apimachinery/apis/meta/v1/OwnerReference";
export type { ILabelSelector as LabelSelector } from "@kubernetes-models/apimachinery/apis/meta/v1/LabelSelector";
export type { ILabelSelectorRequirement as LabelSelectorRequirement } from "@kubernetes-models/apimachinery/apis/meta/v1/LabelSelectorRequirement";
export type { IManagedFieldsEntry as ManagedFieldsEntry } from "@kubernetes-models/apimachinery/apis/meta/v1/ManagedFieldsEntry";
export type { IDeleteOptions as DeleteOptions } from "@kubernetes-models/apimachinery/apis/meta/v1/DeleteOptions";
export type { IListMeta as ListMeta } from "@kubernetes-models/apimachinery/apis/meta/v1/ListMeta";
export type { ICondition as Condition } from "@kubernetes-models/apimachinery/apis/meta/v1/Condition";

/** The metadata of every object. What the server fills in (`uid`, `resourceVersion`, …) is optional, as it is on the way in. */
export type ObjectMeta = Omit<IObjectMeta, "name"> & { name: string };

/** Any object of the API. */
export type KubeObject = { apiVersion: string; kind: string; metadata: ObjectMeta };

/** An object on its way to be created, whose name the server may make from `generateName`. */
export type Draft<Kept extends KubeObject> = Omit<Kept, "metadata"> & {
  metadata: Omit<IObjectMeta, "name"> & { name?: string };
};

/** An object that several readers share: nobody writes into it. */
export type DeepReadonly<Value> = Value extends (infer Item)[]
  ? readonly DeepReadonly<Item>[]
  : Value extends object
    ? { readonly [Key in keyof Value]: DeepReadonly<Value[Key]> }
    : Value;

type Kept<Model extends { metadata?: unknown }> = Omit<Model, "metadata"> & { metadata: ObjectMeta };

export type LabelMap = Record<string, string>;
export type Quantity = string | number;
export type IntOrString = string | number;

export type Binding = Kept<IBinding>;
export type ConfigMap = Kept<IConfigMap>;
export type Endpoints = Kept<IEndpoints>;
export type Event = Kept<IEvent>;
export type LimitRange = Kept<ILimitRange>;
export type Namespace = Kept<INamespace>;
export type Node = Kept<INode>;
export type PersistentVolume = Kept<IPersistentVolume>;
export type PersistentVolumeClaim = Kept<IPersistentVolumeClaim>;
export type Pod = Kept<IPod>;
export type PodTemplate = Kept<IPodTemplate>;
export type ReplicationController = Kept<IReplicationController>;
export type ResourceQuota = Kept<IResourceQuota>;
export type Secret = Kept<ISecret>;
export type Service = Kept<IService>;
export type ServiceAccount = Kept<IServiceAccount>;
export type ControllerRevision = Kept<IControllerRevision>;
export type DaemonSet = Kept<IDaemonSet>;
export type Deployment = Kept<IDeployment>;
export type ReplicaSet = Kept<IReplicaSet>;
export type StatefulSet = Kept<IStatefulSet>;
export type CronJob = Kept<ICronJob>;
export type Job = Kept<IJob>;
export type Ingress = Kept<IIngress>;
export type IngressClass = Kept<IIngressClass>;
export type IPAddress = Kept<IIPAddress>;
export type NetworkPolicy = Kept<INetworkPolicy>;
export type ServiceCIDR = Kept<IServiceCIDR>;
export type EndpointSlice = Kept<IEndpointSlice>;
export type ClusterRole = Kept<IClusterRole>;
export type ClusterRoleBinding = Kept<IClusterRoleBinding>;
export type Role = Kept<IRole>;
export type RoleBinding = Kept<IRoleBinding>;
export type CSIDriver = Kept<ICSIDriver>;
export type CSINode = Kept<ICSINode>;
export type CSIStorageCapacity = Kept<ICSIStorageCapacity>;
export type StorageClass = Kept<IStorageClass>;
export type VolumeAttachment = Kept<IVolumeAttachment>;
export type VolumeAttributesClass = Kept<IVolumeAttributesClass>;
export type Lease = Kept<ILease>;
export type EventsEvent = Kept<IEventsEventModel>;
export type Eviction = Kept<IEviction>;
export type PodDisruptionBudget = Kept<IPodDisruptionBudget>;
export type PriorityClass = Kept<IPriorityClass>;
export type RuntimeClass = Kept<IRuntimeClass>;
export type HorizontalPodAutoscalerV1 = Kept<IHorizontalPodAutoscalerV1Model>;
export type Scale = Kept<IScale>;
export type HorizontalPodAutoscaler = Kept<IHorizontalPodAutoscaler>;
export type CertificateSigningRequest = Kept<ICertificateSigningRequest>;
export type SelfSubjectReview = Kept<ISelfSubjectReview>;
export type TokenRequest = Kept<ITokenRequest>;
export type TokenReview = Kept<ITokenReview>;
export type LocalSubjectAccessReview = Kept<ILocalSubjectAccessReview>;
export type SelfSubjectAccessReview = Kept<ISelfSubjectAccessReview>;
export type SelfSubjectRulesReview = Kept<ISelfSubjectRulesReview>;
export type SubjectAccessReview = Kept<ISubjectAccessReview>;
export type CustomResourceDefinition = Kept<ICustomResourceDefinition>;
export type APIService = Kept<IAPIService>;
export type MutatingAdmissionPolicy = Kept<IMutatingAdmissionPolicy>;
export type MutatingAdmissionPolicyBinding = Kept<IMutatingAdmissionPolicyBinding>;
export type MutatingWebhookConfiguration = Kept<IMutatingWebhookConfiguration>;
export type ValidatingAdmissionPolicy = Kept<IValidatingAdmissionPolicy>;
export type ValidatingAdmissionPolicyBinding = Kept<IValidatingAdmissionPolicyBinding>;
export type ValidatingWebhookConfiguration = Kept<IValidatingWebhookConfiguration>;
export type FlowSchema = Kept<IFlowSchema>;
export type PriorityLevelConfiguration = Kept<IPriorityLevelConfiguration>;

/** Use of a pod or node as metrics.k8s.io tells it. */
export type PodMetrics = {
  apiVersion: "metrics.k8s.io/v1beta1";
  kind: "PodMetrics";
  metadata: ObjectMeta;
  timestamp: string;
  window: string;
  containers: { name: string; usage: Record<string, Quantity> }[];
};
export type NodeMetrics = {
  apiVersion: "metrics.k8s.io/v1beta1";
  kind: "NodeMetrics";
  metadata: ObjectMeta;
  timestamp: string;
  window: string;
  usage: Record<string, Quantity>;
};

/** openfaas.com/v1 Function. */
export type FunctionResource = {
  apiVersion: "openfaas.com/v1";
  kind: "Function";
  metadata: ObjectMeta;
  spec: FunctionSpec;
  status?: FunctionStatus;
};
export type FunctionSpec = {
  name: string;
  image: string;
  handler?: string;
  environment?: Record<string, string>;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  constraints?: string[];
  secrets?: string[];
  limits?: { cpu?: string; memory?: string };
  requests?: { cpu?: string; memory?: string };
  readOnlyRootFilesystem?: boolean;
};
export type FunctionStatus = {
  conditions?: ObjectCondition[];
  replicas?: number;
  availableReplicas?: number;
  unavailableReplicas?: number;
  observedGeneration?: number;
  profiles?: { profileRef: { name: string; namespace?: string }; observedGeneration?: number }[];
  /** Which isolation each instance really has. */
  isolation?: string;
};

/** telemetry.cortado.dev/v1alpha1 Alert: something a person should know of; its name comes from the event's id. */
export type Alert = {
  apiVersion: "telemetry.cortado.dev/v1alpha1";
  kind: "Alert";
  metadata: ObjectMeta;
  spec: { store: string; source: string; topic?: string; payload?: string; text: string; at: string };
};

/**
 * functions.cortado.dev/v1alpha1 DeadLetter: a message whose function failed again and again. Its name comes from function and
 * message, so that a message makes one only.
 */
export type DeadLetter = {
  apiVersion: "functions.cortado.dev/v1alpha1";
  kind: "DeadLetter";
  metadata: ObjectMeta;
  spec: {
    function: string;
    topic: string;
    /** As text, where it is text; else `payloadBase64`. */
    payload?: string;
    payloadBase64?: string;
    /** BROKER-SEQUENCE: the message's name for ever, and the id of its calls. */
    messageId: string;
    /** Absent for QoS 0, which has none. */
    sequence?: number;
    arrivedAt: string;
    tries: number;
    lastError: string;
    failedAt: string;
  };
};

/** A `metav1.Condition`. */
export type ObjectCondition = {
  type: string;
  status: "True" | "False" | "Unknown";
  reason: string;
  message: string;
  lastTransitionTime: string;
  observedGeneration?: number;
};
