import type { Shape } from "./shape.ts";

/** Every field of fleet.yaml with its type (fleet.md 1.3, 2.2). */

const texts: Shape = { listOf: "text" };
const textMap: Shape = { mapOf: "text" };

const selector: Shape = {
  fields: {
    matchLabels: textMap,
    matchExpressions: {
      listOf: {
        fields: {
          key: "text",
          operator: { oneOf: ["In", "NotIn", "Exists", "DoesNotExist"] },
          values: texts,
        },
      },
    },
  },
};

const matching: Readonly<Record<string, Shape>> = {
  name: "text",
  clusterName: "text",
  clusterSelector: selector,
  clusterGroup: "text",
  clusterGroupSelector: selector,
};

const reference: Shape = { fields: { name: "text", namespace: "text", key: "text" } };

const helm: Shape = {
  fields: {
    chart: "text",
    repo: "text",
    version: "text",
    releaseName: "text",
    values: "tree",
    valuesFiles: texts,
    valuesFrom: { listOf: { fields: { configMapKeyRef: reference, secretKeyRef: reference } } },
    templateValues: textMap,
    timeoutSeconds: "whole",
    waitForJobs: "bool",
    atomic: "bool",
    force: "bool",
    takeOwnership: "bool",
    maxHistory: "whole",
    disablePreProcess: "bool",
    disableDNS: "bool",
    skipSchemaValidation: "bool",
    disableDependencyUpdate: "bool",
  },
};

export const correctDrift: Shape = { fields: { enabled: "bool", force: "bool", keepFailHistory: "bool" } };

const comparePatch: Shape = {
  fields: {
    apiVersion: "text",
    kind: "text",
    namespace: "text",
    name: "text",
    jsonPointers: texts,
    operations: { listOf: { fields: { op: "text", path: "text", value: "any" } } },
  },
};

const overlays: Shape = { fields: { overlays: texts } };
/** The guide's own form: exactly these files. */
const fileList: Shape = {
  listOf: { fields: { path: "text", patch: "any", values: "any", namespace: "any" } },
};

function optionFields(isStrict: boolean): Readonly<Record<string, Shape>> {
  return {
    defaultNamespace: "text",
    namespace: "text",
    kustomize: { fields: { dir: "text" } },
    yaml: isStrict ? overlays : { list: fileList, else: overlays },
    helm,
    serviceAccount: "text",
    forceSyncGeneration: "whole",
    diff: { fields: { comparePatches: { listOf: comparePatch } } },
    keepResources: "bool",
    deleteNamespace: "bool",
    ignore: { fields: { conditions: { listOf: textMap } } },
    correctDrift,
    namespaceLabels: textMap,
    namespaceAnnotations: textMap,
    deleteCRDResources: "bool",
    downstreamResources: { listOf: { fields: { kind: { oneOf: ["Secret", "ConfigMap"] }, name: "text" } } },
  };
}

export const bundleStates = [
  "Ready",
  "NotReady",
  "Pending",
  "OutOfSync",
  "Modified",
  "WaitApplied",
  "ErrApplied",
] as const;

const rolloutStrategy: Shape = {
  fields: {
    maxUnavailable: "whole or percent",
    maxUnavailablePartitions: "whole or percent",
    autoPartitionSize: "whole or percent",
    autoPartitionThreshold: "whole",
    maxNew: "whole",
    partitions: { listOf: { fields: { ...matching, maxUnavailable: "whole or percent" } } },
  },
};

/** What is of Bundles and not of fleet.yaml parses there too, and is written over. */
export const ofBundles: Readonly<Record<string, Shape>> = {
  resources: "any",
  targetRestrictions: "any",
  contentsId: "any",
  helmOpOptions: "any",
  valuesHash: "any",
};

export function fleetYamlShape(isStrict: boolean): Shape {
  const options = optionFields(isStrict);
  const target: Shape = { fields: { ...matching, ...options, doNotDeploy: "bool" } };
  return {
    fields: {
      ...options,
      ...ofBundles,
      name: "text",
      namespace: "text",
      labels: textMap,
      annotations: textMap,
      paused: "bool",
      rolloutStrategy,
      dependsOn: {
        listOf: { fields: { name: "text", selector, acceptedStates: { listOf: { oneOf: bundleStates } } } },
      },
      targets: { listOf: target },
      targetCustomizations: { listOf: target },
      targetCustomizationMode: { oneOf: ["FirstMatch", "AllMatches"] },
      overrideTargets: { listOf: { fields: matching } },
      imageScans: { listOf: "tree" },
    },
  };
}

export const targetMatchShape: Shape = { fields: matching };
