import type { LabelSelector, ObjectMeta } from "./kinds.ts";
import type { ResourceType } from "./resources.ts";

/** The fleet kinds as types, as far as our own code reads and writes their fields (fleet.md 1.3 has all of them). */
type Kept<Kind extends string> = {
  apiVersion: "fleet.cattle.io/v1alpha1";
  kind: Kind;
  metadata: ObjectMeta;
};

export type FleetCondition = {
  type: string;
  status: string;
  reason?: string;
  message?: string;
  lastUpdateTime?: string;
  lastTransitionTime?: string;
};

export type BundleSummary = {
  notReady?: number;
  waitApplied?: number;
  errApplied?: number;
  outOfSync?: number;
  modified?: number;
  ready?: number;
  pending?: number;
  desiredReady?: number;
  nonReadyResources?: { name: string; bundleState: string; message?: string }[];
};

export type ResourceCounts = {
  ready?: number;
  desiredReady?: number;
  waitApplied?: number;
  modified?: number;
  orphaned?: number;
  missing?: number;
  unknown?: number;
  notReady?: number;
};

export type ClusterSelection = {
  name?: string;
  clusterName?: string;
  clusterGroup?: string;
  clusterSelector?: LabelSelector;
  clusterGroupSelector?: LabelSelector;
};

export type GitRepo = Kept<"GitRepo"> & {
  spec: {
    repo: string;
    branch?: string;
    revision?: string;
    paths?: string[];
    bundles?: { base?: string; options?: string }[];
    targets?: ClusterSelection[];
    targetNamespace?: string;
    serviceAccount?: string;
    clientSecretName?: string;
    caBundle?: string;
    insecureSkipTLSVerify?: boolean;
    helmSecretName?: string;
    helmSecretNameForPaths?: string;
    helmRepoURLRegex?: string;
    pollingInterval?: string;
    disablePolling?: boolean;
    webhookSecret?: string;
    forceSyncGeneration?: number;
    paused?: boolean;
    keepResources?: boolean;
    deleteNamespace?: boolean;
    correctDrift?: { enabled?: boolean; force?: boolean; keepFailHistory?: boolean };
  };
  status?: {
    observedGeneration?: number;
    updateGeneration?: number;
    commit?: string;
    pollingCommit?: string;
    webhookCommit?: string;
    lastWebhookTime?: string;
    lastPollingTriggered?: string;
    gitJobStatus?: string;
    readyClusters?: number;
    desiredReadyClusters?: number;
    summary?: BundleSummary;
    display?: { readyBundleDeployments?: string; state?: string; message?: string; error?: boolean };
    conditions?: FleetCondition[];
    resourceCounts?: ResourceCounts;
    perClusterResourceCounts?: Record<string, ResourceCounts>;
  };
};

export type BundleResource = { name: string; content: string; encoding?: string };

export type BundleWave = { name: string; stores: number; ready: number; dark: number; waiting: number };

export type BundleRollout = {
  generation: number;
  base: number;
  open: number;
  openedAtMs: number;
  phase: string;
  reason: string;
  message?: string;
  waves?: BundleWave[];
  generations: { generation: number; source: string; sum: string }[];
  released: { generation: number; stores: string }[];
  /** The control annotation that was obeyed last. */
  control?: string;
  drawn?: { generation: number; canary: string; bounds: string[] };
};

export type Bundle = Kept<"Bundle"> & {
  spec?: Record<string, unknown> & {
    resources?: BundleResource[];
    contentsId?: string;
    paused?: boolean;
    keepResources?: boolean;
  };
  status?: {
    conditions?: FleetCondition[];
    summary?: BundleSummary;
    display?: { readyClusters?: string; state?: string };
    observedGeneration?: number;
    resourcesSha256Sum?: string;
    unavailable?: number;
    rollout?: BundleRollout;
  };
};

export type BundleDeployment = Kept<"BundleDeployment"> & {
  spec: Record<string, unknown> & { deploymentID?: string; stagedDeploymentID?: string; paused?: boolean };
  status?: Record<string, unknown>;
};

/** What an agent said last of one bundle; `counts` is `desired/ready/notReady/modified/missing`. What is absent is as `applied`, or empty. */
export type ClusterReport = {
  bundle: string;
  applied: string;
  wanted?: string;
  /** Absent: Ready. */
  state?: string;
  message?: string;
  counts: string;
  resources?: Record<string, unknown>[];
};

export type Cluster = Kept<"Cluster"> & {
  spec?: {
    paused?: boolean;
    clientID?: string;
    kubeConfigSecret?: string;
    kubeConfigSecretNamespace?: string;
    redeployAgentGeneration?: number;
    agentNamespace?: string;
    privateRepoURL?: string;
    agentEnvVars?: Record<string, unknown>[];
    agentTolerations?: Record<string, unknown>[];
    agentPullSecrets?: Record<string, unknown>[];
    agentAffinity?: Record<string, unknown>;
    agentResources?: Record<string, unknown>;
    hostNetwork?: boolean;
    templateValues?: Record<string, unknown>;
  };
  status?: {
    conditions?: FleetCondition[];
    namespace?: string;
    summary?: BundleSummary;
    resourceCounts?: ResourceCounts;
    readyGitRepos?: number;
    desiredReadyGitRepos?: number;
    display?: { readyBundles?: string; state?: string };
    /** Whether a Schedule names it, and whether its window is open. */
    scheduled?: boolean;
    activeSchedule?: boolean;
    agent?: { lastSeen?: string; namespace?: string; version?: string; kubernetes?: string };
    agentDeployedGeneration?: number;
    index?: number;
    publicKey?: string;
    session?: { confirmed?: string; offered?: string; sequence?: number };
    reports?: ClusterReport[];
  };
};

export type ClusterGroup = Kept<"ClusterGroup"> & {
  spec?: { selector?: LabelSelector };
  status?: {
    clusterCount?: number;
    nonReadyClusterCount?: number;
    nonReadyClusters?: string[];
    conditions?: FleetCondition[];
    summary?: BundleSummary;
    display?: { readyClusters?: string; readyBundles?: string; state?: string };
    resourceCounts?: ResourceCounts;
  };
};

export type ClusterRegistration = Kept<"ClusterRegistration"> & {
  spec?: { clientID?: string; clientRandom?: string; clusterLabels?: Record<string, string> };
  status?: { clusterName?: string; granted?: boolean; conditions?: FleetCondition[] };
};

export type ClusterRegistrationToken = Kept<"ClusterRegistrationToken"> & {
  spec?: { ttl?: string };
  status?: { expires?: string; secretName?: string; conditions?: FleetCondition[] };
};

export type Content = Kept<"Content"> & {
  content?: string;
  sha256sum?: string;
  status?: { referenceCount?: number };
};

export type BundleNamespaceMapping = Kept<"BundleNamespaceMapping"> & {
  bundleSelector?: LabelSelector;
  namespaceSelector?: LabelSelector;
};

export type GitRepoRestriction = Kept<"GitRepoRestriction"> & {
  defaultServiceAccount?: string;
  allowedServiceAccounts?: string[];
  allowedRepoPatterns?: string[];
  defaultClientSecretName?: string;
  allowedClientSecretNames?: string[];
  allowedTargetNamespaces?: string[];
  allowedTargetNamespaceSelector?: LabelSelector;
};

export type FleetPolicy = Kept<"Policy"> & {
  requireServiceAccount?: boolean;
  allowNamespaceCreation?: boolean;
  allowedServiceAccounts?: string[];
  gitRepo?: {
    defaultServiceAccount?: string;
    defaultClientSecretName?: string;
    allowedClientSecretNames?: string[];
    allowedRepoPatterns?: string[];
  };
  helmOp?: Record<string, unknown>;
};

export type FleetSchedule = Kept<"Schedule"> & {
  spec?: {
    schedule?: string;
    duration?: string;
    location?: string;
    targets?: { clusters?: ClusterSelection[] };
  };
  status?: {
    active?: boolean;
    nextStartTime?: string;
    matchingClusters?: string[];
    conditions?: FleetCondition[];
  };
};

/** A kind of which only the conditions are ours to write. */
export type Unserved<Kind extends string> = Kept<Kind> & { status?: { conditions?: FleetCondition[] } };

function resource(plural: string, kind: string, namespaced = true): ResourceType<never> {
  return { group: "fleet.cattle.io", version: "v1alpha1", plural, kind, namespaced };
}

export const gitRepos: ResourceType<GitRepo> = resource("gitrepos", "GitRepo");
export const bundles: ResourceType<Bundle> = resource("bundles", "Bundle");
export const bundleDeployments: ResourceType<BundleDeployment> = resource(
  "bundledeployments",
  "BundleDeployment",
);
export const clusters: ResourceType<Cluster> = resource("clusters", "Cluster");
export const clusterGroups: ResourceType<ClusterGroup> = resource("clustergroups", "ClusterGroup");
export const clusterRegistrations: ResourceType<ClusterRegistration> = resource(
  "clusterregistrations",
  "ClusterRegistration",
);
export const clusterRegistrationTokens: ResourceType<ClusterRegistrationToken> = resource(
  "clusterregistrationtokens",
  "ClusterRegistrationToken",
);
export const contents: ResourceType<Content> = resource("contents", "Content", false);
export const bundleNamespaceMappings: ResourceType<BundleNamespaceMapping> = resource(
  "bundlenamespacemappings",
  "BundleNamespaceMapping",
);
export const gitRepoRestrictions: ResourceType<GitRepoRestriction> = resource(
  "gitreporestrictions",
  "GitRepoRestriction",
);
export const fleetPolicies: ResourceType<FleetPolicy> = resource("policies", "Policy");
export const schedules: ResourceType<FleetSchedule> = resource("schedules", "Schedule");
export const imageScans: ResourceType<Unserved<"ImageScan">> = resource("imagescans", "ImageScan");
export const helmOps: ResourceType<Unserved<"HelmOp">> = resource("helmops", "HelmOp");
