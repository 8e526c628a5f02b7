import type { BundleOptions, HelmOptions } from "../bundle.ts";
import { mergeValues } from "../value-trees.ts";

export type MergeRules = {
  /** As Fleet: labels and annotations of a namespace are not taken here, for they come from every entry of the bundle. */
  readonly strict: boolean;
};

/** Options of a bundle under those of a target or a customization, field by field as Fleet does (fleet.md 2.3). */
export function mergeOptions(under: BundleOptions, over: BundleOptions, rules: MergeRules): BundleOptions {
  const overlays = [...(under.yaml?.overlays ?? []), ...(over.yaml?.overlays ?? [])];
  const dir = over.kustomize?.dir || under.kustomize?.dir;
  const helm = mergeHelm(under.helm, over.helm);
  const patches = union(under.diff?.comparePatches, over.diff?.comparePatches, (patch) => [
    patch.apiVersion,
    patch.kind,
    patch.namespace,
    patch.name,
  ]);
  const copies = union(under.downstreamResources, over.downstreamResources, ({ kind, name }) => [kind, name]);
  const generation =
    (over.forceSyncGeneration ?? 0) > 0 ? over.forceSyncGeneration : under.forceSyncGeneration;
  return withoutAbsent<BundleOptions>({
    ...under,
    defaultNamespace: over.defaultNamespace || under.defaultNamespace,
    namespace: over.namespace || under.namespace,
    serviceAccount: over.serviceAccount || under.serviceAccount,
    forceSyncGeneration: generation,
    keepResources: under.keepResources === true || over.keepResources === true ? true : under.keepResources,
    correctDrift: over.correctDrift ?? under.correctDrift,
    include: over.include ?? under.include,
    kustomize: dir === undefined ? under.kustomize : { dir },
    yaml: overlays.length === 0 ? under.yaml : { overlays },
    helm,
    diff: patches === undefined ? under.diff : { comparePatches: patches },
    downstreamResources: copies,
    ...(rules.strict ? {} : namespaceMarks(under, over)),
  });
}

function namespaceMarks(under: BundleOptions, over: BundleOptions): Partial<BundleOptions> {
  const marks: { namespaceLabels?: Record<string, string>; namespaceAnnotations?: Record<string, string> } =
    {};
  for (const key of ["namespaceLabels", "namespaceAnnotations"] as const)
    if (under[key] !== undefined || over[key] !== undefined) marks[key] = { ...under[key], ...over[key] };
  return marks;
}

function mergeHelm(under: HelmOptions | undefined, over: HelmOptions | undefined): HelmOptions | undefined {
  if (under === undefined && over === undefined) return undefined;
  const [base, custom] = [under ?? {}, over ?? {}];
  const either = (key: StickyKey): boolean | undefined =>
    base[key] === true || custom[key] === true ? true : base[key];
  const seconds = custom.timeoutSeconds ?? 0;
  return withoutAbsent<HelmOptions>({
    ...base,
    chart: custom.chart || base.chart,
    repo: custom.repo || base.repo,
    version: custom.version || base.version,
    releaseName: custom.releaseName || base.releaseName,
    values:
      base.values === undefined && custom.values === undefined
        ? undefined
        : mergeValues(base.values ?? {}, custom.values ?? {}),
    templateValues:
      base.templateValues === undefined && custom.templateValues === undefined
        ? undefined
        : { ...base.templateValues, ...custom.templateValues },
    valuesFrom: union(base.valuesFrom, custom.valuesFrom, ({ configMapKeyRef, secretKeyRef }) => {
      const reference = configMapKeyRef ?? secretKeyRef;
      const kind = configMapKeyRef === undefined ? "Secret" : "ConfigMap";
      return [kind, reference?.namespace, reference?.name, reference?.key];
    }),
    timeoutSeconds: seconds === 0 ? base.timeoutSeconds : Math.max(seconds, 0),
    force: either("force"),
    atomic: either("atomic"),
    takeOwnership: either("takeOwnership"),
    disablePreProcess: either("disablePreProcess"),
    waitForJobs: either("waitForJobs"),
    disableDNS: either("disableDNS"),
  });
}

type StickyKey = "force" | "atomic" | "takeOwnership" | "disablePreProcess" | "waitForJobs" | "disableDNS";

/** Items of both; one of the same identity is replaced where it stands. */
function union<Item>(
  under: readonly Item[] | undefined,
  over: readonly Item[] | undefined,
  identity: (item: Item) => readonly unknown[],
): readonly Item[] | undefined {
  if (under === undefined && over === undefined) return undefined;
  const byIdentity = new Map<string, Item>();
  for (const item of [...(under ?? []), ...(over ?? [])])
    byIdentity.set(JSON.stringify(identity(item).map((part) => part ?? "")), item);
  return [...byIdentity.values()];
}

function withoutAbsent<Fields extends object>(fields: {
  readonly [Key in keyof Fields]: Fields[Key] | undefined;
}): Fields {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Fields;
}
