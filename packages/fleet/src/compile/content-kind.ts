import type { BundleOptions } from "./bundle.ts";
import { chartFolder } from "./chart-folder.ts";

/** What a bundle's files are, by its options and their names (fleet.md 2.7). */
export type ContentKind = {
  readonly helm: boolean;
  readonly kustomize: boolean;
  /** Directory or archive of the chart among the files; undefined: it comes from elsewhere. */
  readonly chartDir: string | undefined;
  /** Directory of the kustomization. */
  readonly kustomizeDir: string;
};

export const kustomizationNames: readonly string[] = [
  "kustomization.yaml",
  "kustomization.yml",
  "Kustomization",
];

export function contentKind(options: BundleOptions, has: (name: string) => boolean): ContentKind {
  const kustomizeDir = relative(options.kustomize?.dir ?? "");
  const chartDir = chartDirOf(options, has);
  const isExternal =
    chartDir === undefined && (options.helm?.chart !== undefined || options.helm?.repo !== undefined);
  const kustomize =
    options.include === undefined &&
    (options.kustomize?.dir !== undefined || kustomizationNames.some((name) => has(name)));
  return {
    helm: options.include === undefined && (chartDir !== undefined || isExternal),
    kustomize,
    chartDir,
    kustomizeDir,
  };
}

function chartDirOf(options: BundleOptions, has: (name: string) => boolean): string | undefined {
  const { helm } = options;
  if (helm?.repo !== undefined && helm.repo !== "") return undefined;
  const { chart } = helm ?? {};
  if (chart === undefined || chart === "") return has("Chart.yaml") ? "" : undefined;
  const copied = chartFolder(chart);
  if (has(`${copied}/Chart.yaml`)) return copied;
  const dir = relative(chart);
  if (dir.endsWith(".tgz") && has(dir)) return dir;
  return has(dir === "" ? "Chart.yaml" : `${dir}/Chart.yaml`) ? dir : undefined;
}

function relative(path: string): string {
  return path
    .split("/")
    .filter((step) => step !== "" && step !== ".")
    .join("/");
}
