import type { JSONSchemaProps } from "../../kinds.ts";
import {
  anyObject,
  anything,
  bytes,
  conditions,
  count,
  countOrPercent,
  each,
  flag,
  list,
  map,
  object,
  selector,
  text,
  textMap,
  texts,
  type Fields,
} from "./words.ts";

/** What several fleet kinds have in common (fleet.md 1.3, "Shared blocks"). */
const details: Fields = {
  modifiedStatus: list(
    object({ ...each(text, "kind apiVersion namespace name patch"), ...each(flag, "missing exist delete") }),
  ),
  nonReadyStatus: list(
    object({
      ...each(text, "uid kind apiVersion namespace name"),
      summary: object({ state: text, error: flag, transitioning: flag, message: texts }),
    }),
  ),
};
export const modifiedAndNonReady: Fields = details;

export const summary: JSONSchemaProps = object({
  ...each(count, "notReady waitApplied errApplied outOfSync modified ready pending desiredReady"),
  nonReadyResources: list(object({ ...each(text, "name bundleState message"), ...details })),
});

export const resourceCounts: JSONSchemaProps = object(
  each(count, "ready desiredReady waitApplied modified orphaned missing unknown notReady"),
);

const resource: JSONSchemaProps = object({
  ...each(text, "apiVersion kind type id namespace name state message"),
  ...each(flag, "incompleteState error transitioning"),
  perClusterState: object(
    each(texts, "ready waitApplied pending modified orphaned missing unknown notReady"),
  ),
});

/** StatusBase of GitRepo and HelmOp. */
export const statusBase: Fields = {
  readyClusters: count,
  desiredReadyClusters: count,
  summary,
  display: object({ readyBundleDeployments: text, state: text, message: text, error: flag }),
  conditions,
  resources: list(resource),
  resourceCounts,
  perClusterResourceCounts: map(resourceCounts),
};

const valuesReference: JSONSchemaProps = object(each(text, "name namespace key"));

export const helmOptions: JSONSchemaProps = object({
  ...each(text, "chart repo version"),
  releaseName: { ...text, maxLength: 53 },
  values: anyObject,
  valuesFiles: texts,
  valuesFrom: list(object({ configMapKeyRef: valuesReference, secretKeyRef: valuesReference })),
  templateValues: textMap,
  ...each(count, "timeoutSeconds maxHistory"),
  ...each(
    flag,
    "waitForJobs atomic force takeOwnership disablePreProcess disableDNS skipSchemaValidation disableDependencyUpdate",
  ),
});

export const correctDrift: JSONSchemaProps = object(each(flag, "enabled force keepFailHistory"));

const comparePatch: JSONSchemaProps = object({
  ...each(text, "apiVersion kind namespace name"),
  jsonPointers: texts,
  operations: list(object({ op: text, path: text, value: anything })),
});

/** BundleDeploymentOptions. */
export const options: Fields = {
  ...each(text, "defaultNamespace namespace serviceAccount"),
  kustomize: object({ dir: text }),
  yaml: object({ overlays: texts }),
  helm: helmOptions,
  forceSyncGeneration: count,
  diff: object({ comparePatches: list(comparePatch) }),
  ...each(flag, "keepResources deleteNamespace deleteCRDResources createNamespace"),
  ignore: object({ conditions: list(textMap) }),
  correctDrift,
  namespaceLabels: textMap,
  namespaceAnnotations: textMap,
  downstreamResources: list(object(each(text, "kind name"))),
  overwrites: list(object({ ...each(text, "kind name"), values: anyObject })),
  allowedTargetNamespaceSelector: selector,
  // Of the guide's dialect: the files of the target that names them.
  include: texts,
};

export const selection: Fields = {
  ...each(text, "name clusterName clusterGroup"),
  clusterSelector: selector,
  clusterGroupSelector: selector,
};

const partition: JSONSchemaProps = object({ ...selection, maxUnavailable: countOrPercent });

export const rolloutStrategy: JSONSchemaProps = object({
  maxUnavailable: countOrPercent,
  maxUnavailablePartitions: countOrPercent,
  autoPartitionSize: countOrPercent,
  autoPartitionThreshold: count,
  maxNew: count,
  partitions: list(partition),
});

export const dependsOn: JSONSchemaProps = list(object({ name: text, selector, acceptedStates: texts }));

export const helmOpOptions: JSONSchemaProps = object({
  helmOpSecretName: text,
  helmOpInsecureSkipTLSVerify: flag,
  helmOpCABundle: bytes,
});

/** spec of a Bundle. */
export const bundleSpec: Fields = {
  ...options,
  resources: list(object(each(text, "name content encoding"))),
  targets: list(object({ ...options, ...selection, doNotDeploy: flag })),
  targetRestrictions: list(object(selection)),
  targetCustomizationMode: { type: "string", enum: ["FirstMatch", "AllMatches"], default: "FirstMatch" },
  rolloutStrategy,
  dependsOn,
  paused: flag,
  contentsId: text,
  helmOpOptions,
  valuesHash: text,
};
