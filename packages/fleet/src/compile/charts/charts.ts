import { at, listAt, textAt, type Tree } from "@cortado/kinds/tree";
import { messageOf, StatusError } from "@cortado/std/status";
import { parseYaml } from "@cortado/wire/yaml";
import { BUNDLE_BYTES_MAX } from "../../limits.ts";
import type { BundleFile, BundleOptions, BundleTarget, Compiled, CompiledBundle } from "../bundle.ts";
import { chartFolder } from "../chart-folder.ts";

/** A chart that is somewhere else: of a repository of charts, at an OCI address, or at the URL of an archive. */
export type ChartWish = {
  readonly chart: string;
  /** http, https or oci; absent: `chart` says all. */
  readonly repo?: string;
  /** A version or a range; absent: the newest. */
  readonly version?: string;
};

/** What brings charts, with the real helm. */
export interface ChartFetcher {
  /**
   * Files of the chart, without its own folder; `path` is the directory of the bundle, for which there may be a login.
   * @throws StatusError that names the chart and what helm said
   */
  pull(wish: ChartWish, of: { readonly path: string }): Promise<readonly BundleFile[]>;
  /** What a chart among the files lacks of its dependencies, as files of the bundle. @throws StatusError likewise */
  dependencies(files: readonly BundleFile[], chartDir: string): Promise<readonly BundleFile[]>;
}

/**
 * Bundles with the charts that they name and the dependencies of their charts, so that rendering fetches nothing. What cannot be
 * brought is a problem of its bundle alone, which is then kept as it was.
 */
export async function withCharts(compiled: Compiled, fetcher: ChartFetcher): Promise<Compiled> {
  const bundles: CompiledBundle[] = [];
  const problems = [...compiled.problems];
  for (const bundle of compiled.bundles)
    try {
      bundles.push(await completed(bundle, fetcher));
    } catch (error) {
      problems.push({ path: bundle.path, bundle: bundle.name, message: messageOf(error) });
    }
  return { bundles, problems };
}

async function completed(bundle: CompiledBundle, fetcher: ChartFetcher): Promise<CompiledBundle> {
  const { spec } = bundle;
  const all = [spec, ...(spec.targets ?? [])];
  const brought = new Map<string, readonly BundleFile[]>();
  const bring = async <Options extends BundleOptions>(options: Options): Promise<Options> => {
    const wish = wishOf(spec, options);
    if (wish === undefined) return options;
    const folder = chartFolder(JSON.stringify([wish.repo ?? "", wish.chart, wish.version ?? ""]));
    if (!brought.has(folder)) {
      const files = await fetcher.pull(wish, bundle);
      brought.set(
        folder,
        files.map(({ name, content }) => ({ name: `${folder}/${name}`, content })),
      );
    }
    const { repo: _repo, version: _version, ...helm } = options.helm ?? {};
    return { ...options, helm: { ...helm, chart: folder } };
  };
  const next = await bring(spec);
  const targets: BundleTarget[] = [];
  for (const target of spec.targets ?? []) targets.push(await bring(target));
  let files = [...bundle.files, ...[...brought.values()].flat()];
  if (!all.some(({ helm }) => helm?.disableDependencyUpdate === true))
    for (const chartDir of lackingCharts(files))
      files = [...files, ...(await fetcher.dependencies(files, chartDir))];
  const bytes = files.reduce((sum, file) => sum + file.content.byteLength, 0);
  if (bytes > BUNDLE_BYTES_MAX)
    throw new StatusError(
      "RequestEntityTooLarge",
      `bundle ${bundle.name} has ${bytes} bytes with its charts, and ${BUNDLE_BYTES_MAX} is the most; split it`,
    );
  return { ...bundle, files, spec: { ...next, ...(spec.targets === undefined ? {} : { targets }) } };
}

/** What options name that is not among the files; a target may change the version of what the bundle names. */
function wishOf(spec: BundleOptions, { helm }: BundleOptions): ChartWish | undefined {
  if (helm === undefined) return undefined;
  const own = [helm.chart, helm.repo, helm.version].some((one) => (one ?? "") !== "");
  if (!own) return undefined;
  const pick = (name: "chart" | "repo" | "version"): string => helm[name] || (spec.helm?.[name] ?? "");
  const [chart, repo, version] = [pick("chart"), pick("repo"), pick("version")];
  if (repo === "" && !/^(oci|https?):\/\//.test(chart)) return undefined;
  return { chart, ...(repo === "" ? {} : { repo }), ...(version === "" ? {} : { version }) };
}

/** Directories of charts whose Chart.yaml names dependencies that are not in `charts/`. */
function lackingCharts(files: readonly BundleFile[]): readonly string[] {
  const names = files.map((one) => one.name);
  return files.flatMap(({ name, content }) => {
    const isChart = name === "Chart.yaml" || name.endsWith("/Chart.yaml");
    // A chart in another's charts/ comes with what it needs.
    if (!isChart || /(^|\/)charts\//.test(name)) return [];
    const dir = name.slice(0, -"Chart.yaml".length).replace(/\/$/, "");
    const wanted = dependenciesOf(content);
    const folder = dir === "" ? "charts/" : `${dir}/charts/`;
    const isLacking = wanted.some(
      ({ name: dependency }) =>
        !names.some((one) => one.startsWith(`${folder}${dependency}/`) || isArchive(one, folder, dependency)),
    );
    if (isLacking) for (const one of wanted) checkDependency(name, one);
    return isLacking ? [dir] : [];
  });
}

function isArchive(name: string, folder: string, dependency: string): boolean {
  return name.startsWith(`${folder}${dependency}-`) && name.endsWith(".tgz");
}

type Dependency = { readonly name: string; readonly repository: string };

function dependenciesOf(content: Uint8Array): readonly Dependency[] {
  try {
    const chart = parseYaml(new TextDecoder().decode(content)).value;
    return listAt(chart as Tree, "dependencies").map((one) => ({
      name: textAt(one, "name"),
      repository: String(at(one, "repository") ?? ""),
    }));
  } catch {
    // Whoever renders it says what is wrong, and where.
    return [];
  }
}

/** @throws StatusError "Invalid" for a place that is not the bundle's and not the network's */
function checkDependency(file: string, { name, repository }: Dependency): void {
  if (/^(https?|oci):\/\//.test(repository)) return;
  const inside = /^file:\/\/(?!\/)(.*)$/.exec(repository)?.[1];
  const dir = file.split("/").slice(0, -1);
  if (inside !== undefined && climbs([...dir, ...inside.split("/")])) {
    throw new StatusError(
      "Invalid",
      `${file}: dependency ${name} is at ${repository}, outside of the bundle; put it inside, or into a repository of charts`,
    );
  }
  if (inside !== undefined) return;
  throw new StatusError(
    "Invalid",
    `${file}: dependency ${name} is not in charts/, and its repository ${JSON.stringify(repository)} is none that is fetched; give its http, https or oci address, or put it into charts/`,
  );
}

function climbs(steps: readonly string[]): boolean {
  let depth = 0;
  for (const step of steps) {
    if (step === "" || step === ".") continue;
    depth += step === ".." ? -1 : 1;
    if (depth < 0) return true;
  }
  return false;
}
