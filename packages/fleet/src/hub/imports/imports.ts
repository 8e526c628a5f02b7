import type { Stored } from "@cortado/client";
import { again, done, newLoopMetrics, startLoop, type Outcome } from "@cortado/client/loop";
import { keyOf, type Informer } from "@cortado/client/informer";
import type { Cluster } from "@cortado/kinds/fleet";
import { newMetrics } from "@cortado/std/metrics";
import { messageOf, toStatusError } from "@cortado/std/status";
import { sameTree } from "@cortado/kinds/tree";
import type { Core } from "../core.ts";
import { IMPORT_AGAIN_MS, IMPORT_COME_MS, IMPORT_TOKEN_LOOK_MS, IMPORTS_AT_ONCE } from "../limits.ts";
import type { StoreRow } from "../state/stores.ts";
import { withCondition } from "../status/summary.ts";
import { dropImportToken, importToken } from "./import-token.ts";
import { installAgent } from "./install-agent.ts";

/**
 * Clusters that the hub brings in itself (spec.kubeConfigSecret): it installs the agent there once, which registers as any other does. After
 * that the hub dials it no more, unless `redeployAgentGeneration` is raised.
 */
export function followImports(core: Core, clusters: Informer<Cluster>, ready: Promise<unknown>): void {
  const { clock, log } = core.ports;
  const { signal } = core;
  const loop = startLoop({
    name: "fleet-import",
    reconcile: (key) => round(core, clusters.get(key)),
    keys: () => [...clusters.list()].filter(isAsked).map(keyOf),
    workers: IMPORTS_AT_ONCE,
    ready,
    clock,
    log,
    metrics: newLoopMetrics(newMetrics()),
    signal,
  });
  clusters.subscribe(({ key, old, now }) => {
    // Its own status changes often and says nothing new of this.
    const isSame = sameTree(old?.spec, now?.spec) && old?.metadata.uid === now?.metadata.uid;
    if ((isAsked(now) || isAsked(old)) && !isSame) loop.add(key);
  });
}

function isAsked(cluster: Stored<Cluster> | undefined): boolean {
  return (cluster?.spec?.kubeConfigSecret ?? "") !== "";
}

async function round(core: Core, cluster: Stored<Cluster> | undefined): Promise<Outcome> {
  const row = cluster === undefined ? undefined : core.stores.get(keyOf(cluster));
  if (cluster === undefined || row === undefined) return done;
  if (!isAsked(cluster)) {
    if (conditionOf(row) !== undefined) tell(core, row, { isTrue: true, reason: "", message: "" });
    return done;
  }
  const wanted = cluster.spec?.redeployAgentGeneration ?? 0;
  const isIn = row.keySha256 !== "";
  // One that came by itself, before it was to be brought in, is in.
  if (isIn && (row.status.agentDeployedGeneration ?? 0) === wanted) {
    await dropImportToken(core, row.cluster);
    tell(core, row, { isTrue: true, reason: "", message: "" });
    return done;
  }
  try {
    const token = await importToken(core, row);
    if (token.isNew) setDeployed(row, undefined);
    if (token.text === "") return again(IMPORT_TOKEN_LOOK_MS);
    // It was installed with a token that is good still: it is the agent's turn.
    if (row.status.agentDeployedGeneration === wanted) return again(IMPORT_COME_MS);
    const { namespace } = await installAgent(core, { cluster, token: token.text });
    setDeployed(row, wanted);
    const message = `the agent is installed and is to register by itself; its log there: kubectl logs -n ${namespace} deployment/cortado-fleet-agent`;
    tell(core, row, { isTrue: true, reason: "AgentDeployed", message });
    core.ports.log.info("agent is installed", { cluster: row.key });
    return again(IMPORT_COME_MS);
  } catch (error) {
    if (core.signal.aborted) throw error;
    tell(core, row, { isTrue: false, reason: toStatusError(error).reason, message: messageOf(error) });
  }
  return again(IMPORT_AGAIN_MS);
}

function setDeployed(row: StoreRow, generation: number | undefined): void {
  const { agentDeployedGeneration: _before, ...status } = row.status;
  row.status = { ...status, ...(generation === undefined ? {} : { agentDeployedGeneration: generation }) };
}

function conditionOf({ status }: StoreRow) {
  return status.conditions?.find((one) => one.type === "Imported");
}

function tell(
  core: Core,
  row: StoreRow,
  imported: { readonly isTrue: boolean; readonly reason: string; readonly message: string },
): void {
  const nowMs = core.ports.clock.nowMs();
  const conditions = withCondition(row.status.conditions, { type: "Imported", ...imported }, nowMs);
  row.status = { ...row.status, conditions };
  void core.writeStore(row).catch(() => undefined);
}
