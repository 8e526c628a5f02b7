import type { CustomResourceDefinition } from "../../kinds.ts";
import { bundleSpec, correctDrift, options, selection, statusBase } from "./shared.ts";
import {
  anyObject,
  bytes,
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

const gitRepo: CustomResourceDefinition = define({
  kind: "GitRepo",
  plural: "gitrepos",
  about: "A Git repository whose directories become bundles.",
  isListed: true,
  needsSpec: true,
  columns: [
    column("Repo", ".spec.repo"),
    column("Commit", ".status.commit"),
    column("BundleDeployments-Ready", ".status.display.readyBundleDeployments"),
    column("Status", '.status.conditions[?(@.type=="Ready")].message'),
  ],
  spec: object(
    {
      repo: { ...text, minLength: 1 },
      ...each(
        text,
        "branch revision targetNamespace serviceAccount clientSecretName helmSecretName helmSecretNameForPaths helmRepoURLRegex",
      ),
      ...each(text, "pollingInterval webhookSecret imageScanInterval ociRegistrySecret"),
      caBundle: bytes,
      paths: texts,
      bundles: list(object({ base: text, options: text })),
      targets: list(object(selection)),
      ...each(flag, "insecureSkipTLSVerify disablePolling paused keepResources deleteNamespace"),
      forceSyncGeneration: count,
      correctDrift,
      imageScanCommit: object(each(text, "authorName authorEmail messageTemplate")),
    },
    ["repo"],
  ),
  status: object({
    ...statusBase,
    ...each(count, "observedGeneration updateGeneration"),
    ...each(text, "commit pollingCommit webhookCommit gitJobStatus"),
    ...each(time, "lastWebhookTime lastPollingTriggered lastSyncedImageScanTime"),
  }),
});

const helmOp: CustomResourceDefinition = define({
  kind: "HelmOp",
  plural: "helmops",
  about: "A chart that becomes a bundle without a repository; not served until a later release.",
  isListed: true,
  columns: [
    column("Repo", ".spec.helm.repo"),
    column("Chart", ".spec.helm.chart"),
    column("Version", ".status.version"),
    column("BundleDeployments-Ready", ".status.display.readyBundleDeployments"),
    column("Status", '.status.conditions[?(@.type=="Ready")].message'),
  ],
  spec: object({
    ...bundleSpec,
    labels: textMap,
    pollingInterval: text,
    helmSecretName: text,
    insecureSkipTLSVerify: flag,
  }),
  status: object({ ...statusBase, version: text, lastPollingTriggered: time, observedGeneration: count }),
});

const imageScan: CustomResourceDefinition = define({
  kind: "ImageScan",
  plural: "imagescans",
  about: "Looks for new tags of an image and writes them to a repository; not served until a later release.",
  needsSpec: true,
  columns: [
    column("Repository", ".spec.image"),
    column("Latest", ".status.latestTag"),
    column("Status", '.status.conditions[?(@.type=="ImageScanned")].message'),
  ],
  spec: object(
    {
      image: text,
      interval: text,
      ...each(text, "tagName gitrepoName"),
      secretRef: object({ name: text }),
      suspend: flag,
      policy: object({ semver: object({ range: text }), alphabetical: object({ order: text }) }),
    },
    ["image", "interval"],
  ),
  status: object({
    conditions,
    lastScanTime: time,
    ...each(text, "latestImage latestTag latestDigest canonicalImageName"),
    observedGeneration: count,
  }),
});

const restriction: CustomResourceDefinition = define({
  kind: "GitRepoRestriction",
  plural: "gitreporestrictions",
  about: "What GitRepos of a namespace may do.",
  columns: [
    column("Default-ServiceAccount", ".defaultServiceAccount"),
    column("Allowed-ServiceAccounts", ".allowedServiceAccounts"),
  ],
  top: {
    ...each(text, "defaultServiceAccount defaultClientSecretName"),
    ...each(
      texts,
      "allowedServiceAccounts allowedRepoPatterns allowedClientSecretNames allowedTargetNamespaces",
    ),
    allowedTargetNamespaceSelector: selector,
  },
});

const policy: CustomResourceDefinition = define({
  kind: "Policy",
  plural: "policies",
  about: "What sources of a namespace may do; several are joined.",
  top: {
    ...each(flag, "requireServiceAccount allowNamespaceCreation"),
    allowedServiceAccounts: texts,
    gitRepo: object({
      ...each(text, "defaultServiceAccount defaultClientSecretName"),
      ...each(texts, "allowedClientSecretNames allowedRepoPatterns"),
    }),
    helmOp: object({
      ...each(text, "defaultServiceAccount defaultHelmSecretName"),
      ...each(texts, "allowedHelmSecretNames allowedHelmRepoPatterns allowedChartPatterns"),
    }),
  },
});

const schedule: CustomResourceDefinition = define({
  kind: "Schedule",
  plural: "schedules",
  about: "When clusters may get something new.",
  columns: [
    column("Active", ".status.active", { type: "boolean" }),
    column("Next", ".status.nextStartTime"),
    column("Clusters", ".status.matchingClusters"),
  ],
  spec: object({
    ...each(text, "schedule duration location"),
    targets: object({ clusters: list(object(selection)) }),
  }),
  status: object({ active: flag, nextStartTime: time, matchingClusters: texts, conditions }),
});

/** Content and its mapping are plain data. */
const content: CustomResourceDefinition = define({
  kind: "Content",
  plural: "contents",
  about: "What a bundle is for a set of clusters: a view; the hub keeps it in chunks.",
  isWide: true,
  columns: [column("References", ".status.referenceCount", { type: "integer" })],
  top: { content: bytes, sha256sum: text },
  status: object({ referenceCount: count }),
});

const mapping: CustomResourceDefinition = define({
  kind: "BundleNamespaceMapping",
  plural: "bundlenamespacemappings",
  about: "Lets bundles of its namespace reach clusters of other namespaces.",
  top: { bundleSelector: selector, namespaceSelector: selector },
});

const staged = object({ ...options, helm: anyObject });

export const bundleDeployment: CustomResourceDefinition = define({
  kind: "BundleDeployment",
  plural: "bundledeployments",
  about: "A bundle in a cluster: a view of the Bundle, its rollout and the cluster's row.",
  columns: [
    column("Deployed", ".status.display.deployed"),
    column("Monitored", ".status.display.monitored"),
    column("Status", ".status.display.state"),
  ],
  spec: object({
    stagedOptions: staged,
    options: staged,
    ...each(text, "stagedDeploymentID deploymentID valuesHash"),
    ...each(flag, "paused offSchedule ociContents"),
    dependsOn: list(object({ name: text, selector, acceptedStates: texts })),
    correctDrift,
    helmChartOptions: anyObject,
    downstreamResourcesGeneration: count,
    forceSyncGeneration: count,
  }),
  status: anyObject,
});

export const sourceDefinitions: readonly CustomResourceDefinition[] = [
  gitRepo,
  helmOp,
  imageScan,
  restriction,
  policy,
  schedule,
  content,
  mapping,
  bundleDeployment,
];
