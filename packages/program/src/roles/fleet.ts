import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import type { CliRoles } from "@cortado/cli";
import type { FleetDiffQuery, FleetHub, FleetTargetQuery } from "@cortado/cli/fleet";
import { newClient, type Client } from "@cortado/client";
import { httpTransport } from "@cortado/client/node/http";
import { readKubeconfig } from "@cortado/client/node/kubeconfig";
import { agentManifest } from "@cortado/fleet/agent/manifest";
import { uninstallAgent } from "@cortado/fleet/agent/uninstall";
import {
  compileFolder,
  compileTree,
  optionsOf,
  planFolder,
  readClustersFile,
  validateFolder,
} from "@cortado/fleet/compile/node/plan";
import { withCharts, type ChartFetcher } from "@cortado/fleet/compile/charts";
import { newStockCharts } from "@cortado/fleet/compile/node/charts";
import { newStockRenderer } from "@cortado/fleet/compile/node";
import type { ClusterFacts, Compiled, CompileOptions } from "@cortado/fleet/compile/bundle";
import { diffReport, storeObjects, type StoreObjects } from "@cortado/fleet/compile/plan/diff";
import { compiledReport } from "@cortado/fleet/compile/plan/report";
import { plan, type PlanOptions } from "@cortado/fleet/compile/plan";
import { targetReport } from "@cortado/fleet/compile/plan/target-report";
import { applyBundles, bundlesText, toBundles } from "@cortado/fleet/desk/apply-folder";
import { readHubClusters, readHubObjects, readHubRepo, type HubQuery } from "@cortado/fleet/desk/hub-stores";
import { steerRollout } from "@cortado/fleet/desk/steer-rollout";
import { compileOptions } from "@cortado/fleet/git/repository-options";
import { openLocalCommit } from "@cortado/fleet/git/node/local-commit";
import { systemClock } from "@cortado/std/node/clock";

/** `cortado fleet`, on this machine's folders and tools, and on a hub by its kubeconfig. */
export const fleetRoles: Pick<
  CliRoles,
  | "validateFleet"
  | "planFleet"
  | "targetFleet"
  | "diffFleet"
  | "applyFleet"
  | "steerRollout"
  | "fleetAgentManifest"
  | "removeFleetAgent"
> = {
  validateFleet: ({ folder, gitRepo, strict }) =>
    validateFolder({ folder, strict, ...(gitRepo === undefined ? {} : { gitRepo }) }),
  planFleet: ({ folder, gitRepo, strict, clusters, ...tools }) =>
    planFolder({
      folder,
      strict,
      clusters,
      ...(gitRepo === undefined ? {} : { gitRepo }),
      tools: toolsOf(tools),
      charts: chartsOf(tools.helm),
    }),
  targetFleet: (query) =>
    withHub(query.hub, async (hub) => {
      const options = await repoOptions(query, hub);
      const compiled = await compileFolder(query, options);
      return targetReport(compiled, await clustersOf(query, hub), query);
    }),
  diffFleet: (query) =>
    withHub(query.hub, async (hub) => {
      const options = await repoOptions(query, hub);
      const renderer = newStockRenderer(toolsOf(query));
      const how = { renderer, strict: query.strict };
      const clusters = await clustersOf(query, hub);
      const before = await objectsBefore(query, { options, clusters, how, hub });
      const compiled = await withCharts(await compileFolder(query, options), chartsOf(query.helm));
      return diffReport(before, await plan(compiled, clusters, how));
    }),
  applyFleet: ({ name, namespace, output, hub: where, ...query }) =>
    withHub(where, async (hub) => {
      const read = await compileFolder(query, { ...(await optionsOf(query)), repo: name });
      const compiled = await withCharts(read, chartsOf(undefined));
      const report = compiledReport(compiled);
      if (!report.isWell) return report;
      const as = { name, namespace };
      const bundles = toBundles(compiled, as);
      if (output === "-" || hub === undefined) return { text: bundlesText(bundles), isWell: true };
      const lines = await applyBundles(hub.client, bundles, { as, signal: hub.signal });
      return { text: `${lines.join("\n")}\n`, isWell: true };
    }),
  steerRollout: ({ kubeconfig, context, ...asked }) =>
    withClient({ kubeconfig, context }, (client, signal) => steerRollout({ ...asked, client, signal })),
  fleetAgentManifest: agentManifest,
  removeFleetAgent: ({ kubeconfig, context, namespace }) =>
    withClient({ kubeconfig, context }, async (client, signal) => {
      const place = namespace === undefined ? {} : { namespace };
      const lines = await uninstallAgent({ client, clock: systemClock, signal, ...place });
      return `${lines.join("\n")}\n`;
    }),
};

type Tools = { readonly helm?: string; readonly kubectl?: string; readonly kubeVersion?: string };

function toolsOf({
  helm,
  kubectl,
  kubeVersion,
}: {
  readonly [Name in keyof Tools]-?: string | undefined;
}): Tools & { readonly helm: string; readonly kubectl: string } {
  return {
    helm: helm ?? onPath("helm"),
    kubectl: kubectl ?? onPath("kubectl"),
    ...(kubeVersion === undefined ? {} : { kubeVersion }),
  };
}

function chartsOf(helm: string | undefined): ChartFetcher {
  const { signal } = new AbortController();
  return newStockCharts({ helm: helm ?? onPath("helm"), environment: process.env, signal });
}

async function withClient<Answer>(
  { kubeconfig, context }: { readonly kubeconfig: string; readonly context?: string | undefined },
  work: (client: Client, signal: AbortSignal) => Promise<Answer>,
): Promise<Answer> {
  const reach = await readKubeconfig(kubeconfig, context === undefined ? {} : { context });
  await using stack = new AsyncDisposableStack();
  return await work(newClient(stack.use(httpTransport(reach))), new AbortController().signal);
}

async function withHub<Answer>(
  hub: FleetHub | undefined,
  work: (hub: HubQuery | undefined) => Promise<Answer>,
): Promise<Answer> {
  if (hub === undefined) return await work(undefined);
  const { namespace } = hub;
  return await withClient(hub, (client, signal) => work({ client, namespace, signal }));
}

async function clustersOf(
  { clusters }: FleetTargetQuery,
  hub: HubQuery | undefined,
): Promise<readonly ClusterFacts[]> {
  if (clusters !== undefined || hub === undefined) return await readClustersFile(clusters ?? "");
  return await readHubClusters(hub);
}

/** How the folder is compiled: as its GitRepo says, which is a file's or the hub's only one. */
async function repoOptions(
  query: Pick<FleetTargetQuery, "folder" | "gitRepo" | "strict">,
  hub: HubQuery | undefined,
): Promise<CompileOptions | undefined> {
  if (query.gitRepo !== undefined || hub === undefined) return undefined;
  return compileOptions(await readHubRepo(hub), { commit: "", strict: query.strict });
}

/** What the stores have now. */
async function objectsBefore(
  query: FleetDiffQuery,
  of: {
    readonly options: CompileOptions | undefined;
    readonly clusters: readonly ClusterFacts[];
    readonly how: PlanOptions;
    readonly hub: HubQuery | undefined;
  },
): Promise<StoreObjects> {
  const { against, commit, folder } = query;
  const planned = async (compiled: Compiled): Promise<StoreObjects> =>
    storeObjects(await plan(await withCharts(compiled, chartsOf(query.helm)), of.clusters, of.how));
  if (against !== undefined)
    return await planned(await compileFolder({ ...query, folder: against }, of.options, folder));
  if (commit !== undefined) {
    const { signal } = new AbortController();
    const path = process.env["PATH"] ?? "/usr/bin";
    await using tree = await openLocalCommit({ folder, commit, path, signal });
    return await planned(await compileTree(tree, query, of.options));
  }
  if (of.hub === undefined) return new Map();
  return await readHubObjects(of.hub, of.options?.repo ?? (await readHubRepo(of.hub)).metadata.name);
}

/** The program's path, or its name when there is none: the error then names it. */
export function onPath(program: string): string {
  const folders = (process.env["PATH"] ?? "").split(delimiter).filter((folder) => folder !== "");
  return folders.map((folder) => join(folder, program)).find((path) => existsSync(path)) ?? program;
}
