import type { CustomResourceDefinition } from "../../kinds.ts";
import { bundleSpec, resourceCounts, summary } from "./shared.ts";
import { sourceDefinitions } from "./sources.ts";
import {
  anyObject,
  anything,
  column,
  conditions,
  count,
  define,
  each,
  flag,
  list,
  object,
  selector,
  text,
  textMap,
  texts,
  time,
} from "./words.ts";

const wave = object({ name: text, ...each(count, "stores ready dark waiting") });

const bundle: CustomResourceDefinition = define({
  kind: "Bundle",
  plural: "bundles",
  about: "Files, options and targets: what runs in which clusters.",
  columns: [
    column("BundleDeployments-Ready", ".status.display.readyClusters"),
    column("Status", '.status.conditions[?(@.type=="Ready")].message'),
    column("Rollout", ".status.rollout.phase", { priority: 1 }),
  ],
  spec: object(bundleSpec),
  status: object({
    conditions,
    summary,
    ...each(count, "newlyCreated unavailable maxUnavailable unavailablePartitions maxUnavailablePartitions"),
    partitions: list(object({ name: text, count, maxUnavailable: count, unavailable: count, summary })),
    display: object({ readyClusters: text, state: text }),
    resourceKey: list(anyObject),
    ...each(text, "ociReference resourcesSha256Sum"),
    observedGeneration: count,
    rollout: object({
      ...each(count, "generation base open openedAtMs"),
      ...each(text, "phase reason message"),
      waves: list(wave),
      generations: list(object({ generation: count, source: text, sum: text })),
      // Stores by their index, for each generation: base64 of a bitmap, least bit first.
      released: list(object({ generation: count, stores: text })),
      control: text,
      // Where the waves of a generation end: the last store of each, by key.
      drawn: object({ generation: count, canary: text, bounds: texts }),
    }),
  }),
});

const report = object({
  ...each(text, "bundle applied wanted state message counts"),
  resources: list(anyObject),
});

const cluster: CustomResourceDefinition = define({
  kind: "Cluster",
  plural: "clusters",
  about: "A store, or any other Kubernetes with an agent.",
  columns: [
    column("Bundles-Ready", ".status.display.readyBundles"),
    column("Last-Seen", ".status.agent.lastSeen"),
    column("State", ".status.display.state"),
    column("Status", '.status.conditions[?(@.type=="Ready")].message'),
  ],
  spec: object({
    ...each(flag, "paused hostNetwork"),
    ...each(text, "clientID kubeConfigSecret kubeConfigSecretNamespace agentNamespace privateRepoURL"),
    redeployAgentGeneration: count,
    agentEnvVars: list(anyObject),
    agentTolerations: list(anyObject),
    agentAffinity: anyObject,
    agentResources: anyObject,
    agentPullSecrets: list(anyObject),
    agentSchedulingCustomization: object({
      priorityClass: object({ value: count, preemptionPolicy: text }),
      podDisruptionBudget: object({ minAvailable: anything, maxUnavailable: anything }),
    }),
    templateValues: anyObject,
  }),
  status: object({
    conditions,
    namespace: text,
    summary,
    resourceCounts,
    ...each(count, "readyGitRepos desiredReadyGitRepos readyHelmOps desiredReadyHelmOps"),
    display: object(each(text, "readyBundles state readyNodes sampleNode")),
    agent: object({ lastSeen: time, ...each(text, "namespace version kubernetes") }),
    ...each(flag, "scheduled activeSchedule agentConfigChanged agentHostNetwork agentMigrated"),
    ...each(flag, "agentNamespaceMigrated cattleNamespaceMigrated"),
    ...each(text, "garbageCollectionInterval apiServerURL apiServerCAHash agentTLSMode agentEnvVarsHash"),
    ...each(text, "agentAffinityHash agentResourcesHash agentTolerationsHash agentPrivateRepoURL"),
    agentSchedulingCustomizationHash: text,
    agentDeployedGeneration: count,
    // Of ours: the store's number at this hub, its key, where its session is, and what its agent said last.
    index: count,
    publicKey: text,
    session: object({ ...each(text, "confirmed offered"), sequence: count }),
    reports: list(report),
  }),
});

const clusterGroup: CustomResourceDefinition = define({
  kind: "ClusterGroup",
  plural: "clustergroups",
  about: "Clusters of a namespace by their labels.",
  isListed: true,
  columns: [
    column("Clusters-Ready", ".status.display.readyClusters"),
    column("Bundles-Ready", ".status.display.readyBundles"),
    column("Status", '.status.conditions[?(@.type=="Ready")].message'),
  ],
  spec: object({ selector }),
  status: object({
    ...each(count, "clusterCount nonReadyClusterCount"),
    nonReadyClusters: texts,
    conditions,
    summary,
    display: object(each(text, "readyClusters readyBundles state")),
    resourceCounts,
  }),
});

const registration: CustomResourceDefinition = define({
  kind: "ClusterRegistration",
  plural: "clusterregistrations",
  about: "A request to join, as upstream's agents make it; agents of this hub join over HTTP.",
  columns: [column("Cluster-Name", ".status.clusterName"), column("Granted", ".status.granted")],
  spec: object({ ...each(text, "clientID clientRandom"), clusterLabels: textMap }),
  status: object({ clusterName: text, granted: flag, conditions }),
});

const registrationToken: CustomResourceDefinition = define({
  kind: "ClusterRegistrationToken",
  plural: "clusterregistrationtokens",
  about: "Lets stores join its namespace; the hub makes a Secret of the same name with what they need.",
  columns: [column("Secret-Name", ".status.secretName"), column("Expires", ".status.expires")],
  spec: object({ ttl: text }),
  status: object({ expires: time, secretName: text, conditions }),
});

/** The 14 kinds of `fleet.cattle.io/v1alpha1`, for a server that is a hub. */
export const fleetDefinitions: readonly CustomResourceDefinition[] = [
  bundle,
  cluster,
  clusterGroup,
  registration,
  registrationToken,
  ...sourceDefinitions,
];
