import type { Tree } from "@cortado/kinds/tree";
import { StatusError } from "@cortado/std/status";
import type { BundleFile, BundleOptions } from "../bundle.ts";
import { BUNDLE_OBJECTS_MAX } from "../../limits.ts";
import { contentKind, type ContentKind } from "../content-kind.ts";
import { releaseName } from "../source/names.ts";
import { chartAround, externalChart, templateChart } from "./chart.ts";
import { checkKustomizations, kustomizationFile, withHelmOutput } from "./kustomization.ts";
import { marked, readObjects, withoutTests } from "./objects.ts";
import { withOverlays } from "./overlays.ts";
import { rawFiles } from "./raw-files.ts";
import type { HelmRun, Renderer } from "./renderer.ts";

export type { HelmRun, KustomizeRun, Renderer } from "./renderer.ts";

export type RenderOptions = {
  readonly renderer: Renderer;
  /** `idPrefix` stands before the name in the id of the set of objects; Fleet's command line has none. */
  readonly bundle: {
    readonly name: string;
    readonly idPrefix?: string;
    /** Of the repository: in the version of a chart that is made around templates. */
    readonly commit?: string;
  };
  /** Objects that come beside those of the files. */
  readonly copies?: readonly Tree[];
  readonly signal?: AbortSignal;
};

/**
 * What a variant of a bundle is, object by object, in the order of its files and then of its copies; namespaces stay as they are written, for only a store's
 * discovery knows which kinds have one.
 * @param options merged and with templates filled in, as a targeter gives them, and with the store's own values (valuesFrom) in them
 * @throws StatusError "Invalid" that names file or option for what cannot be rendered or is not done; as the renderer throws
 */
export async function render(
  files: readonly BundleFile[],
  options: BundleOptions,
  { renderer, bundle, copies = [], signal }: RenderOptions,
): Promise<readonly Tree[]> {
  const names = new Set(files.map(({ name }) => name));
  const kind = contentKind(options, (name) => names.has(name));
  const release = options.helm?.releaseName || releaseName(bundle.name);
  const run = { release, options, renderer, signal };
  const own =
    kind.helm || kind.kustomize ? await renderTools(files, kind, run) : await renderRaw(files, bundle, run);
  const objects = [...own, ...copies];
  if (objects.length > BUNDLE_OBJECTS_MAX)
    throw new StatusError(
      "Invalid",
      `the bundle has ${objects.length} objects, and ${BUNDLE_OBJECTS_MAX} are the most; make several bundles of it`,
    );
  return marked(withoutTests(objects), { bundle, options });
}

type Rendering = {
  readonly release: string;
  readonly options: BundleOptions;
  readonly renderer: Renderer;
  readonly signal: AbortSignal | undefined;
};

async function renderTools(
  files: readonly BundleFile[],
  { helm, kustomize, chartDir, kustomizeDir }: ContentKind,
  rendering: Rendering,
): Promise<readonly Tree[]> {
  const { options, renderer, signal } = rendering;
  let given = files;
  let output = "";
  if (helm) {
    if (chartDir === undefined) throw externalChart(options);
    output = await templateChart(files, helmRun(rendering, chartDir), renderer);
    if (!kustomize) return await readObjects("the output of helm", output, renderer.readDocuments);
    given = withHelmOutput(files, { dir: kustomizeDir, output });
  }
  kustomizationFile(given, kustomizeDir);
  checkKustomizations(given);
  const built = await renderer.kustomize(given, { dir: kustomizeDir, signal });
  return await readObjects("the output of kustomize", built, renderer.readDocuments);
}

function helmRun({ release, options, signal }: Rendering, chartDir: string): HelmRun {
  return {
    signal,
    release,
    chartDir,
    namespace: options.namespace || options.defaultNamespace || "default",
    values: options.helm?.values ?? {},
    skipSchemaValidation: options.helm?.skipSchemaValidation === true,
  };
}

async function renderRaw(
  files: readonly BundleFile[],
  bundle: RenderOptions["bundle"],
  rendering: Rendering,
): Promise<readonly Tree[]> {
  const { options, renderer, signal } = rendering;
  const kustomize: Renderer["kustomize"] = (given, run) => renderer.kustomize(given, { ...run, signal });
  const laid = await withOverlays(files, options.yaml?.overlays ?? [], { ...renderer, kustomize });
  const objects: Tree[] = [];
  for (const { name, content } of rawFiles(laid, options))
    for (const object of await readObjects(name, content, renderer.readDocuments)) objects.push(object);
  const hasTemplates =
    options.include === undefined && laid.some(({ name }) => name.startsWith("templates/"));
  if (!hasTemplates) return objects;
  const chart = chartAround(laid, bundle);
  const output = await templateChart(chart, helmRun(rendering, ""), renderer);
  return [...objects, ...(await readObjects("the output of helm", output, renderer.readDocuments))];
}
