import { bundles, clusters, gitRepos, type BundleSummary, type Cluster } from "@cortado/kinds/fleet";
import { configMaps } from "@cortado/kinds/resources";
import { hasReason } from "@cortado/std/status";
import { namespace } from "./hub.ts";
import type { World } from "./world.ts";
import type { FleetStore } from "./store.ts";

const never = new AbortController().signal;

/** Why a chain that is left alone is not where Git says, in words; empty: it is. */
export async function whyNotAtRest(world: World): Promise<string> {
  const { stores, hub, operator } = world;
  for (const store of stores) {
    const why = await storeTrouble(store, operator);
    if (why !== "") return `${store.name}: ${why}; ${await hubWords(world)}`;
  }
  const client = hub.services?.client;
  if (client === undefined) return "the hub is not up";
  const { items } = await client.list(bundles, { namespace, signal: never });
  const names = items.map(({ metadata }) => metadata.name ?? "").toSorted();
  if (names.join() !== operator.names.join())
    return `bundles are ${names.join()}, not ${operator.names.join()}`;
  for (const { metadata, status } of items) {
    const { rollout, summary } = status ?? {};
    if (
      rollout?.phase !== "Complete" ||
      rollout.base !== rollout.generation ||
      summary?.ready !== stores.length
    )
      return `bundle ${metadata.name}: ${rollout?.phase} ${rollout?.message ?? ""}, ${summary?.ready ?? 0} of ${stores.length} ready`;
  }
  const rows = await client.list(clusters, { namespace, signal: never });
  for (const { metadata, status } of rows.items)
    if (status?.display?.state !== "Ready")
      return `the hub says ${metadata.name} is ${status?.display?.state ?? "?"}`;
  return "";
}

/** What the hub says of its rollouts. */
async function hubWords({ hub }: World): Promise<string> {
  const items = (await hub.services?.client.list(bundles, { namespace, signal: never }))?.items ?? [];
  const texts = items.map(({ metadata, status }) => {
    const ready = status?.conditions?.find((one) => one.type === "Ready");
    return `${metadata.name}: ${status?.rollout?.phase} ${status?.rollout?.message ?? ""} (${ready?.message ?? ""})`;
  });
  return `the hub says ${texts.join("; ")}`;
}

async function storeTrouble(store: FleetStore, operator: World["operator"]): Promise<string> {
  const { agent, client, journal } = store;
  if (agent === undefined || client === undefined) return "it is not on";
  if (!agent.state.isConnected) return `no connection: ${agent.state.message}`;
  for (const name of operator.names) {
    const found = agent.state.bundles.find((one) => one.name === name);
    if (found?.state !== "Ready") return `${name} is ${found?.state ?? "unknown"}: ${found?.message ?? ""}`;
  }
  if (journal.size > 0) return `${journal.size} events wait`;
  for (const name of ["menu", "till"]) {
    const has = await client
      .get(configMaps, { name, namespace: "shop", signal: never })
      .catch((error: unknown) => {
        if (hasReason(error, "NotFound")) return undefined;
        throw error;
      });
    const version = has?.data?.["version"];
    if (version !== String(operator.version))
      return `${name} is ${version ?? "not there"}, not ${operator.version}`;
  }
  return "";
}

/** At rest the hub's numbers are the stores' numbers, and nothing is missing or there twice. */
export async function checkRest(world: World): Promise<void> {
  const { stores, claims, central, trace, hub, operator } = world;
  const client = hub.services?.client;
  if (client === undefined) return claims.fail("counts", "hub", "it is not up");
  const rows = await client.list(clusters, { namespace, signal: never });
  const byName = new Map(rows.items.map((row) => [row.metadata.name, row]));
  const isSame = byName.size === stores.length;
  claims.check(isSame, "counts", () => ({
    store: "hub",
    detail: `it has ${byName.size} rows of ${stores.length} stores`,
  }));
  let ready = 0;
  for (const store of stores) {
    central.atRest(store.name);
    ready += checkRow(world, store, byName.get(store.name));
  }
  const { items } = await client.list(bundles, { namespace, signal: never });
  const summed = items.reduce((sum, { status }) => sum + (status?.summary?.ready ?? 0), 0);
  claims.check(summed === ready, "counts", () => ({
    store: "hub",
    detail: `its Bundles count ${summed} ready, the stores have ${ready}`,
  }));
  const repo = await client.get(gitRepos, { name: "chain", namespace, signal: never });
  const { readyClusters, display } = repo.status ?? {};
  const wanted = `${stores.length * operator.names.length}/${stores.length * operator.names.length}`;
  claims.check(
    readyClusters === stores.length && display?.readyBundleDeployments === wanted,
    "counts",
    () => ({
      store: "hub",
      detail: `GitRepo counts ${readyClusters} clusters and ${display?.readyBundleDeployments}, not ${stores.length} and ${wanted}`,
    }),
  );
  trace.note("chain", "rest", `${hub.lives} lives of the hub`);
}

/** Answers how many bundles of the store are Ready by its own word. */
function checkRow({ claims }: World, store: FleetStore, row: Cluster | undefined): number {
  const states = store.agent?.state.bundles ?? [];
  const ready = states.filter((one) => one.state === "Ready").length;
  const summary: BundleSummary = row?.status?.summary ?? {};
  claims.check(summary.ready === ready && summary.desiredReady === states.length, "counts", () => ({
    store: store.name,
    detail: `it has ${ready} of ${states.length} ready, its row says ${summary.ready} of ${summary.desiredReady}`,
  }));
  const resources = states.reduce((sum, { counts }) => sum + counts.ready, 0);
  claims.check(row?.status?.resourceCounts?.ready === resources, "counts", () => ({
    store: store.name,
    detail: `it has ${resources} resources ready, its row says ${row?.status?.resourceCounts?.ready}`,
  }));
  return ready;
}
