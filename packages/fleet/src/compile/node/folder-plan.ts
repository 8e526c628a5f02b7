import { readFile } from "node:fs/promises";
import { basename, resolve } from "node:path";
import { StatusError } from "@cortado/std/status";
import type { ClusterFacts, Compiled, CompileOptions, SourceTree } from "../bundle.ts";
import { withCharts, type ChartFetcher } from "../charts/charts.ts";
import { compile } from "../compile.ts";
import { readClusters, readGitRepo } from "../plan/inputs.ts";
import { plan } from "../plan/plan.ts";
import { compiledReport, planReport, type Report } from "../plan/report.ts";
import { openFolder } from "./folder-source.ts";
import { newStockRenderer, type StockRendererOptions } from "./stock-renderer.ts";

export type FolderQuery = {
  readonly folder: string;
  /** A file with a GitRepo, which says paths and targets; absent: targets of fleet.yaml are targets. */
  readonly gitRepo?: string;
  /** As Fleet, quirks and all. */
  readonly strict?: boolean;
};

export type FolderPlanQuery = FolderQuery & {
  /** A file with Clusters and ClusterGroups. */
  readonly clusters: string;
  readonly tools: Pick<StockRendererOptions, "helm" | "kubectl" | "kubeVersion">;
  /** Brings charts from elsewhere; absent: they are told as problems. */
  readonly charts?: ChartFetcher;
};

/** Compiles a folder and tells what comes of it. @throws StatusError for a folder or a file that cannot be read */
export async function validateFolder(query: FolderQuery): Promise<Report> {
  return compiledReport(await compile(await openFolder(query.folder), await optionsOf(query)));
}

/** Tells what each cluster of a file would get of a folder. @throws StatusError as validateFolder, or "ServiceUnavailable" without a tool */
export async function planFolder(query: FolderPlanQuery): Promise<Report> {
  const clusters = await readClusters(query.clusters, await bytesOf(query.clusters));
  const read = await compile(await openFolder(query.folder), await optionsOf(query));
  const compiled = query.charts === undefined ? read : await withCharts(read, query.charts);
  const renderer = newStockRenderer(query.tools);
  return planReport(await plan(compiled, clusters, { renderer, strict: query.strict === true }));
}

/** Compiles a folder; `options` in place of a GitRepo's file, `like` names the folder whose name counts. */
export async function compileFolder(
  query: Omit<FolderQuery, "gitRepo"> & { readonly gitRepo?: string | undefined },
  options?: CompileOptions,
  like: string = query.folder,
): Promise<Compiled> {
  return await compile(
    await openFolder(query.folder),
    options ?? (await optionsOf({ ...query, folder: like })),
  );
}

/** The same of a commit, under the folder's name. */
export async function compileTree(
  tree: SourceTree,
  query: Omit<FolderQuery, "gitRepo"> & { readonly gitRepo?: string | undefined },
  options?: CompileOptions,
): Promise<Compiled> {
  return await compile(tree, options ?? (await optionsOf(query)));
}

/** Clusters and ClusterGroups of a file. @throws StatusError "NotFound" or "Invalid" */
export async function readClustersFile(path: string): Promise<readonly ClusterFacts[]> {
  return await readClusters(path, await bytesOf(path));
}

/** How a folder is compiled: as its GitRepo says, or by hand under its own name. */
export async function optionsOf({
  folder,
  gitRepo,
  strict = false,
}: Omit<FolderQuery, "gitRepo"> & { readonly gitRepo?: string | undefined }): Promise<CompileOptions> {
  if (gitRepo !== undefined) return { ...(await readGitRepo(gitRepo, await bytesOf(gitRepo))), strict };
  return { repo: basename(resolve(folder)), byHand: true, strict };
}

async function bytesOf(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (cause) {
    throw new StatusError("NotFound", `${path} cannot be read`, { cause });
  }
}
