import type { Tree } from "@cortado/kinds/tree";
import { StatusError } from "@cortado/std/status";
import type { BundleFile, BundleOptions } from "../bundle.ts";
import { contentKind, type ContentKind } from "../content-kind.ts";
import { releaseName } from "../source/names.ts";
import { chartAround, checkChart, externalChart } from "./chart.ts";
import { checkKustomizations, kustomizationFile, withHelmOutput } from "./kustomization.ts";
import { marked, readObjects, withoutTests } from "./objects.ts";
import { withOverlays } from "./overlays.ts";
import { rawFiles } from "./raw-files.ts";
import type { HelmRun, Renderer } from "./renderer.ts";

export type { HelmRun, Renderer } from "./renderer.ts";

export type RenderOptions = {
  readonly renderer: Renderer;
  /** `idPrefix` stands before the name in the id of the set of objects; Fleet's command line has none. */
  readonly bundle: { readonly name: string; readonly idPrefix?: string };
};

/**
 * What a variant of a bundle is, object by object, in the order of its files; namespaces stay as they are written, for only a store's
 * discovery knows which kinds have one.
 * @param options merged and with templates filled in, as a targeter gives them
 * @throws StatusError "Invalid" that names file or option for what cannot be rendered or is not done; as the renderer throws
 */
export async function render(
  files: readonly BundleFile[],
  options: BundleOptions,
  { renderer, bundle }: RenderOptions,
): Promise<readonly Tree[]> {
  refuse(options);
  const names = new Set(files.map(({ name }) => name));
  const kind = contentKind(options, (name) => names.has(name));
  const run = { release: options.helm?.releaseName || releaseName(bundle.name), options, renderer };
  const objects =
    kind.helm || kind.kustomize
      ? await renderTools(files, kind, run)
      : await renderRaw(files, bundle.name, run);
  return marked(withoutTests(objects), { bundle, options });
}

type Rendering = { readonly release: string; readonly options: BundleOptions; readonly renderer: Renderer };

function refuse({ helm, downstreamResources }: BundleOptions): void {
  if ((helm?.valuesFrom ?? []).length > 0)
    throw new StatusError(
      "Invalid",
      "helm.valuesFrom is only known in the store, and rendering is done at the hub; give the values by helm.values, valuesFiles or the cluster's templateValues",
    );
  if ((downstreamResources ?? []).length > 0)
    throw new StatusError(
      "Invalid",
      "downstreamResources is not done; put the Secret or ConfigMap into the bundle",
    );
}

async function renderTools(
  files: readonly BundleFile[],
  { helm, kustomize, chartDir, kustomizeDir }: ContentKind,
  rendering: Rendering,
): Promise<readonly Tree[]> {
  const { options, renderer } = rendering;
  let given = files;
  let output = "";
  if (helm) {
    if (chartDir === undefined) throw externalChart(options);
    checkChart(files, chartDir);
    output = await renderer.helmTemplate(files, helmRun(rendering, chartDir));
    if (!kustomize) return readObjects("the output of helm", output);
    given = withHelmOutput(files, { dir: kustomizeDir, output });
  }
  kustomizationFile(given, kustomizeDir);
  checkKustomizations(given);
  return readObjects("the output of kustomize", await renderer.kustomize(given, kustomizeDir));
}

function helmRun({ release, options }: Rendering, chartDir: string): HelmRun {
  return {
    release,
    chartDir,
    namespace: options.namespace || options.defaultNamespace || "default",
    values: options.helm?.values ?? {},
    skipSchemaValidation: options.helm?.skipSchemaValidation === true,
  };
}

async function renderRaw(
  files: readonly BundleFile[],
  bundle: string,
  rendering: Rendering,
): Promise<readonly Tree[]> {
  const { options, renderer } = rendering;
  const laid = await withOverlays(files, options.yaml?.overlays ?? [], renderer);
  const objects = rawFiles(laid, options).flatMap(({ name, content }) => readObjects(name, content));
  const hasTemplates =
    options.include === undefined && laid.some(({ name }) => name.startsWith("templates/"));
  if (!hasTemplates) return objects;
  const chart = chartAround(laid, bundle);
  checkChart(chart, "");
  const output = await renderer.helmTemplate(chart, helmRun(rendering, ""));
  return [...objects, ...readObjects("the output of helm", output)];
}
