import { StatusError } from "@cortado/std/status";
import type { YamlPath } from "@cortado/wire/yaml/place";
import { SETTINGS_BYTES_MAX } from "../limits.ts";
import { chartFolder } from "./chart-folder.ts";
import type {
  BundleFile,
  BundleOptions,
  BundleSpec,
  BundleTarget,
  CompiledBundle,
  CompileOptions,
} from "./bundle.ts";
import { contentKind } from "./content-kind.ts";
import { translate, type Translated } from "./fleet-yaml/dialect.ts";
import { noFleetYaml, readFleetYaml, type FleetYamlFile } from "./fleet-yaml/fleet-yaml.ts";
import { keepFailHistoryWhy } from "./fleet-yaml/without-effect.ts";
import { checkManifests } from "./manifest-check.ts";
import { readBundleFiles } from "./source/bundle-files.ts";
import { cleanPath, join, nestedRoots, type Root } from "./source/discover.ts";
import { globMatches } from "./source/glob.ts";
import type { Source } from "./source/source.ts";
import { targetList } from "./target-list.ts";
import { mergeValuesFiles } from "./values-files.ts";

export type CompileState = { readonly source: Source; readonly options: CompileOptions; bytesLeft: number };

/** Fills in the bundle's name as soon as fleet.yaml tells it, so that a problem can name what it is about. */
export type Naming = { name: string };

/** @returns undefined when the directory holds nothing to deploy @throws StatusError that names file, place and remedy */
export async function compileBundle(
  root: Root,
  state: CompileState,
  naming: Naming,
): Promise<CompiledBundle | undefined> {
  const { source, options } = state;
  const isStrict = options.strict === true;
  const file =
    root.settings === undefined
      ? noFleetYaml
      : readFleetYaml(root.settings, await source.read(root.settings, SETTINGS_BYTES_MAX), isStrict);
  if (file.value.name !== undefined) naming.name = checkedName(file, file.value.name);
  const written = translate(file);
  const used = new Set(root.optionsFile === undefined || root.settings === undefined ? [] : [root.settings]);
  const translated = await withValues(written, { source, root: root.path, file, used });
  const everyOptions = [translated.options, ...translated.targets, ...translated.customizations];
  const read = await readBundleFiles(source, {
    root: root.path,
    without: used,
    nested: isRaw(everyOptions, source, root.path) ? nestedRoots(source, root.path) : [],
    bytesMax: state.bytesLeft,
  });
  const charts = await outerCharts(everyOptions, { state, root: root.path });
  const files = [...read.files, ...charts];
  state.bytesLeft -= read.bytes + charts.reduce((sum, chart) => sum + chart.content.byteLength, 0);
  if (files.length === 0 && translated.options.helm?.chart === undefined) return undefined;
  checkIncludes(file, translated, files);
  const { readDocuments } = options;
  const manifests = await checkManifests(files, { everyOptions, root: root.path, readDocuments });
  const list = targetList({
    file,
    translated,
    given: options.targets ?? [],
    isByHand: options.byHand === true,
  });
  return {
    name: naming.name,
    path: root.path,
    labels: {
      ...options.labels,
      ...(options.commit === undefined ? {} : { "fleet.cattle.io/commit": options.commit }),
      ...file.value.labels,
    },
    annotations: file.value.annotations ?? {},
    spec: specOf(file, { translated, options, list }),
    files,
    warnings: [
      ...file.warnings,
      ...translated.warnings,
      ...read.warnings,
      ...manifests,
      ...repoWarnings(options),
    ],
  };
}

/** What of the GitRepo itself changes nothing. */
function repoWarnings({ correctDrift }: CompileOptions): readonly string[] {
  const isIdle = correctDrift?.enabled === true && correctDrift.keepFailHistory === true;
  return isIdle
    ? [`spec.correctDrift.keepFailHistory of the GitRepo changes nothing here: ${keepFailHistoryWhy}`]
    : [];
}

function checkedName(file: FleetYamlFile, name: string): string {
  if (name.length <= 63 && /^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$/.test(name)) return name;
  const rule = "at most 63 lower-case letters, digits, - and ., with a letter or digit at both ends";
  throw new StatusError(
    "Invalid",
    file.at(["name"], `name ${JSON.stringify(name)} cannot be a bundle's: it has ${rule}`),
  );
}

async function withValues(
  written: Translated,
  reading: Parameters<typeof mergeValuesFiles>[2],
): Promise<Translated> {
  const all = <Target extends BundleTarget>(list: readonly Target[], at: YamlPath): Promise<Target[]> =>
    Promise.all(list.map((target, index) => mergeValuesFiles(target, [...at, index], reading)));
  return {
    ...written,
    options: await mergeValuesFiles(written.options, [], reading),
    targets: await all(written.targets, ["targets"]),
    customizations: await all(written.customizations, ["targetCustomizations"]),
  };
}

/** Neither chart nor kustomization for any store: directories with a fleet.yaml are then bundles of their own. */
function isRaw(everyOptions: readonly BundleOptions[], source: Source, root: string): boolean {
  return everyOptions.every((options) => {
    const { helm, kustomize } = contentKind(options, (name) => source.file(join(root, name)) !== undefined);
    return !helm && !kustomize;
  });
}

/** Charts of the repository outside of the bundle's directory, as files of the bundle. */
async function outerCharts(
  everyOptions: readonly BundleOptions[],
  { state, root }: { readonly state: CompileState; readonly root: string },
): Promise<readonly BundleFile[]> {
  const charts: BundleFile[] = [];
  const wanted = everyOptions.flatMap(({ helm }) =>
    helm?.chart?.startsWith("..") === true && helm.repo === undefined ? [helm.chart] : [],
  );
  for (const chart of new Set(wanted)) {
    const path = cleanPath(join(root, chart));
    if (state.source.file(join(path, "Chart.yaml")) === undefined)
      throw new StatusError(
        "Invalid",
        `${root || "the root"}: helm.chart ${chart} has no Chart.yaml in the repository`,
      );
    const query = { root: path, without: new Set<string>(), nested: [], bytesMax: state.bytesLeft };
    const { files } = await readBundleFiles(state.source, query);
    for (const { name, content } of files) charts.push({ name: `${chartFolder(chart)}/${name}`, content });
  }
  return charts;
}

function checkIncludes(file: FleetYamlFile, { includes }: Translated, files: readonly BundleFile[]): void {
  const missing = includes.flatMap(({ pattern, at, who }) => {
    if (files.some(({ name }) => name === pattern || globMatches(pattern, name))) return [];
    return [file.at(at, `${pattern} of ${who} is not there; the path is relative to ${file.path}`)];
  });
  if (missing.length > 0) throw new StatusError("Invalid", missing.join("\n"));
}

type SpecParts = {
  readonly translated: Translated;
  readonly options: CompileOptions;
  readonly list: Pick<BundleSpec, "targets" | "targetRestrictions">;
};

/** Options of the GitRepo over those of fleet.yaml (fleet.md 2.1). */
function specOf({ value }: FleetYamlFile, { translated, options, list }: SpecParts): BundleSpec {
  const { forceSyncGeneration: _unused, ...own } = bundleOptionsOf(translated.options);
  const namespace = options.targetNamespace || undefined;
  const forced = namespace === undefined ? {} : { namespace };
  const isOn = (given: boolean | undefined, key: "keepResources" | "deleteNamespace"): object =>
    given === true ? { [key]: true } : {};
  return {
    ...own,
    ...forced,
    ...(options.serviceAccount ? { serviceAccount: options.serviceAccount } : {}),
    ...(options.forceSyncGeneration ? { forceSyncGeneration: options.forceSyncGeneration } : {}),
    ...isOn(options.keepResources, "keepResources"),
    ...isOn(options.deleteNamespace, "deleteNamespace"),
    ...(options.correctDrift?.enabled === true ? { correctDrift: options.correctDrift } : {}),
    ...(options.paused === true || value.paused === true ? { paused: true } : {}),
    ...(value.targetCustomizationMode === undefined
      ? {}
      : { targetCustomizationMode: value.targetCustomizationMode }),
    ...(value.rolloutStrategy === undefined ? {} : { rolloutStrategy: value.rolloutStrategy }),
    ...(value.dependsOn === undefined ? {} : { dependsOn: value.dependsOn }),
    targets: (list.targets ?? []).map((target) => ({ ...target, ...forced })),
    ...(list.targetRestrictions === undefined ? {} : { targetRestrictions: list.targetRestrictions }),
  };
}

const optionKeys = [
  "defaultNamespace",
  "namespace",
  "kustomize",
  "yaml",
  "helm",
  "serviceAccount",
  "forceSyncGeneration",
  "diff",
  "keepResources",
  "deleteNamespace",
  "ignore",
  "correctDrift",
  "namespaceLabels",
  "namespaceAnnotations",
  "deleteCRDResources",
  "downstreamResources",
  "include",
] as const satisfies readonly (keyof BundleOptions)[];

/** Options alone, of something that has more. */
export function bundleOptionsOf(from: BundleOptions): BundleOptions {
  return Object.fromEntries(
    optionKeys.flatMap((key) => (from[key] === undefined ? [] : [[key, from[key]]])),
  ) as BundleOptions;
}
