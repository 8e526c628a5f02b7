import type { YamlDocument } from "@cortado/wire/yaml";
import type { ComparePatch, DependsOn, LabelSelector } from "../protocol/protocol.ts";

/** A file of a repository or of a bundle; the name has no leading slash. */
export type SourceFile = {
  readonly path: string;
  readonly bytes: number;
  /** `link`: a symbolic link, whose bytes are its target. */
  readonly kind: "file" | "link" | "submodule";
};

/** A repository at one commit, or a folder. What it says is the word of a stranger. */
export interface SourceTree {
  /** Sorted by path. */
  readonly files: readonly SourceFile[];
  /** @throws StatusError "NotFound", or "RequestEntityTooLarge" over the reader's limit */
  read(path: string): Promise<Uint8Array>;
}

/** fleet.md 1.3 and 2.2; field by field as in `fleet.cattle.io/v1alpha1`. */
export type BundleOptions = {
  readonly defaultNamespace?: string;
  readonly namespace?: string;
  readonly kustomize?: { readonly dir?: string };
  readonly yaml?: { readonly overlays?: readonly string[] };
  readonly helm?: HelmOptions;
  readonly serviceAccount?: string;
  readonly forceSyncGeneration?: number;
  readonly diff?: { readonly comparePatches?: readonly ComparePatch[] };
  readonly keepResources?: boolean;
  readonly deleteNamespace?: boolean;
  readonly ignore?: { readonly conditions?: readonly Readonly<Record<string, string>>[] };
  readonly correctDrift?: {
    readonly enabled?: boolean;
    readonly force?: boolean;
    readonly keepFailHistory?: boolean;
  };
  readonly namespaceLabels?: Readonly<Record<string, string>>;
  readonly namespaceAnnotations?: Readonly<Record<string, string>>;
  readonly deleteCRDResources?: boolean;
  readonly downstreamResources?: readonly { readonly kind: string; readonly name: string }[];
  /** The guide's dialect: exactly these files (globs), for the target that names them. */
  readonly include?: readonly string[];
};

export type ValuesFrom = {
  readonly configMapKeyRef?: ValuesReference;
  readonly secretKeyRef?: ValuesReference;
};
export type ValuesReference = { readonly name: string; readonly namespace?: string; readonly key?: string };

export type HelmOptions = {
  readonly chart?: string;
  readonly repo?: string;
  readonly version?: string;
  readonly releaseName?: string;
  readonly values?: Readonly<Record<string, unknown>>;
  readonly valuesFiles?: readonly string[];
  readonly valuesFrom?: readonly ValuesFrom[];
  readonly templateValues?: Readonly<Record<string, string>>;
  readonly timeoutSeconds?: number;
  readonly waitForJobs?: boolean;
  readonly atomic?: boolean;
  readonly force?: boolean;
  readonly takeOwnership?: boolean;
  readonly maxHistory?: number;
  readonly disablePreProcess?: boolean;
  readonly disableDNS?: boolean;
  readonly skipSchemaValidation?: boolean;
  readonly disableDependencyUpdate?: boolean;
};

export type TargetMatch = {
  readonly name?: string;
  readonly clusterName?: string;
  readonly clusterSelector?: LabelSelector;
  readonly clusterGroup?: string;
  readonly clusterGroupSelector?: LabelSelector;
};

export type BundleTarget = BundleOptions & TargetMatch & { readonly doNotDeploy?: boolean };

export type RolloutStrategy = {
  readonly maxUnavailable?: number | string;
  readonly maxUnavailablePartitions?: number | string;
  readonly autoPartitionSize?: number | string;
  readonly autoPartitionThreshold?: number;
  readonly maxNew?: number;
  readonly partitions?: readonly (TargetMatch & { readonly maxUnavailable?: number | string })[];
};

/** spec of a Bundle, without its files. */
export type BundleSpec = BundleOptions & {
  readonly paused?: boolean;
  readonly targets?: readonly BundleTarget[];
  readonly targetRestrictions?: readonly TargetMatch[];
  readonly targetCustomizationMode?: "FirstMatch" | "AllMatches";
  readonly rolloutStrategy?: RolloutStrategy;
  readonly dependsOn?: readonly DependsOn[];
};

export type BundleFile = { readonly name: string; readonly content: Uint8Array };

/** What compiling a repository gives for one directory. */
export type CompiledBundle = {
  readonly name: string;
  /** Directory in the repository; "" is the root. */
  readonly path: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly spec: BundleSpec;
  readonly files: readonly BundleFile[];
  /** Said to the user, changing nothing: a rewrite of the guide's dialect, an unknown key. */
  readonly warnings: readonly string[];
};

/** Something that could not be compiled: it changes nothing that runs (decision 11). */
export type CompileProblem = {
  /** Directory of the bundle; undefined: the repository as a whole. */
  readonly path: string | undefined;
  /** Name of the bundle where it is known, so that what runs of it is left alone. */
  readonly bundle: string | undefined;
  /** Names the file, the place in it and what to do. */
  readonly message: string;
};

export type Compiled = {
  readonly bundles: readonly CompiledBundle[];
  readonly problems: readonly CompileProblem[];
};

/** A cluster as targets and templates see it. */
export type ClusterFacts = {
  readonly namespace: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly templateValues: Readonly<Record<string, unknown>>;
  /** ClusterGroups of its namespace that select it. */
  readonly groups: readonly { readonly name: string; readonly labels: Readonly<Record<string, string>> }[];
};

/** What a bundle is for one cluster: its merged options with templates filled in, or why it gets nothing. */
export type TargetResult =
  | { readonly deploys: true; readonly target: string; readonly options: BundleOptions }
  | { readonly deploys: false; readonly why: string }
  /** A template failed for this cluster alone: what it runs stays. */
  | { readonly deploys: "failed"; readonly message: string };

/** Reads a stream of YAML, in this thread or in another. @throws StatusError as `parseYamlDocuments` does */
export type ReadDocuments = (text: string) => Promise<readonly YamlDocument[]>;

/** What a GitRepo (or `fleet apply`) says beside the repository; field by field as in fleet.md 1.3. */
export type CompileOptions = {
  /** Name of the GitRepo: names of bundles begin with it. */
  readonly repo: string;
  readonly paths?: readonly string[];
  readonly bundles?: readonly { readonly base: string; readonly options?: string }[];
  /** Absent or empty: it names none. */
  readonly targets?: readonly TargetMatch[];
  readonly targetNamespace?: string;
  readonly serviceAccount?: string;
  readonly paused?: boolean;
  readonly keepResources?: boolean;
  readonly deleteNamespace?: boolean;
  readonly correctDrift?: NonNullable<BundleOptions["correctDrift"]>;
  readonly forceSyncGeneration?: number;
  /** For every Bundle; labels of fleet.yaml win. */
  readonly labels?: Readonly<Record<string, string>>;
  /** Becomes label `fleet.cattle.io/commit`. */
  readonly commit?: string;
  /** As Fleet: no dialect, unknown keys are silently ignored. */
  readonly strict?: boolean;
  /** Reads manifests; absent: in this thread. */
  readonly readDocuments?: ReadDocuments;
  /** There is no GitRepo: targets of fleet.yaml are targets, and none is made up beside them. */
  readonly byHand?: boolean;
};
