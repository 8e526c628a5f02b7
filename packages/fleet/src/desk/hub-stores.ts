import { gunzipSync } from "node:zlib";
import type { Client, Stored } from "@cortado/client";
import {
  bundleDeployments,
  bundles,
  clusterGroups,
  clusters,
  contents,
  gitRepos,
  type GitRepo,
} from "@cortado/kinds/fleet";
import type { Tree } from "@cortado/kinds/tree";
import { hasReason, StatusError } from "@cortado/std/status";
import type { ClusterFacts } from "../compile/bundle.ts";
import { byName, type ObjectsByName, type StoreObjects } from "../compile/plan/diff.ts";
import { factsOf } from "../compile/plan/inputs.ts";

export type HubQuery = { readonly client: Client; readonly namespace: string; readonly signal: AbortSignal };

/** The clusters of a hub's namespace as targets see them. @throws StatusError "NotFound" when there are none */
export async function readHubClusters({
  client,
  namespace,
  signal,
}: HubQuery): Promise<readonly ClusterFacts[]> {
  const found = await client.list(clusters, { namespace, signal });
  const groups = await client.list(clusterGroups, { namespace, signal });
  if (found.items.length === 0)
    throw new StatusError("NotFound", `the hub has no Cluster in namespace ${namespace}; name another`);
  return found.items.map((one) => factsOf(one as unknown as Tree, groups.items as unknown as Tree[]));
}

/** The one GitRepo of a namespace. @throws StatusError "Invalid" when there are others or none */
export async function readHubRepo({ client, namespace, signal }: HubQuery): Promise<Stored<GitRepo>> {
  const { items } = await client.list(gitRepos, { namespace, signal });
  const [only, other] = items;
  if (only !== undefined && other === undefined) return only;
  const have =
    only === undefined ? "no GitRepo" : `GitRepos ${items.map((one) => one.metadata.name).join(", ")}`;
  throw new StatusError(
    "Invalid",
    `the hub has ${have} in namespace ${namespace}; say which this folder is: kubectl get gitrepo NAME -n ${namespace} -o yaml > FILE, then --gitrepo FILE`,
  );
}

/** What the stores of a namespace may run now of the bundles of a GitRepo, out of the hub's BundleDeployments and Contents. */
export async function readHubObjects(
  { client, namespace, signal }: HubQuery,
  repo: string,
): Promise<StoreObjects> {
  const labelSelector = `fleet.cattle.io/repo-name=${repo}`;
  const own = await client.list(bundles, { namespace, labelSelector, signal });
  const names = new Set(own.items.map((one) => one.metadata.name));
  const known = new Map<string, ObjectsByName>();
  const stores = new Map<string, Map<string, ObjectsByName>>();
  for (const { metadata, spec } of (await client.list(bundleDeployments, { signal })).items) {
    const label = (key: string): string => metadata.labels?.[`fleet.cattle.io/${key}`] ?? "";
    const id = (spec.deploymentID ?? "").split(":")[0] ?? "";
    if (label("bundle-namespace") !== namespace || !names.has(metadata.name) || id === "") continue;
    const objects = known.get(id) ?? (await readContent(client, id, signal));
    if (objects === undefined) continue;
    known.set(id, objects);
    const store = `${label("cluster-namespace")}/${label("cluster")}`;
    stores.set(store, (stores.get(store) ?? new Map<string, ObjectsByName>()).set(metadata.name, objects));
  }
  return stores;
}

/** Undefined: it has values of a store in it, which the hub does not show. */
async function readContent(
  client: Client,
  name: string,
  signal: AbortSignal,
): Promise<ObjectsByName | undefined> {
  const found = await client.get(contents, { name, signal }).catch((error: unknown) => {
    if (hasReason(error, "NotFound")) return undefined;
    throw error;
  });
  if (found === undefined) return undefined;
  const { content = "" } = found;
  const { resources } = JSON.parse(gunzipSync(Buffer.from(content, "base64")).toString("utf8")) as {
    readonly resources: readonly { readonly content: string }[];
  };
  return byName(resources.map((one) => JSON.parse(one.content) as Tree));
}
