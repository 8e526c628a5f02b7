import { done, newLoopMetrics, startLoop, type Loop } from "@cortado/client/loop";
import { keyOf, splitKey, type Informer } from "@cortado/client/informer";
import {
  clusterGroups,
  type BundleSummary,
  type Cluster,
  type ClusterGroup,
  type ResourceCounts,
} from "@cortado/kinds/fleet";
import { selects } from "@cortado/kinds/label-selector";
import { newMetrics } from "@cortado/std/metrics";
import { hasReason } from "@cortado/std/status";
import { sameTree } from "@cortado/kinds/tree";
import type { Core } from "../core.ts";
import { NAMED_MAX, STATUS_EVERY_MS } from "../limits.ts";
import { cellStates } from "../state/cells.ts";
import { withCondition } from "./summary.ts";

const summed = [
  "notReady",
  "waitApplied",
  "errApplied",
  "outOfSync",
  "modified",
  "ready",
  "pending",
  "desiredReady",
] as const satisfies readonly (keyof BundleSummary)[];
const counted = [
  "ready",
  "desiredReady",
  "waitApplied",
  "modified",
  "orphaned",
  "missing",
  "unknown",
  "notReady",
] as const satisfies readonly (keyof ResourceCounts)[];

/** What the clusters of a group add up to. */
class Tally {
  readonly summary: Record<(typeof summed)[number], number> = zeros(summed);
  readonly counts: Record<(typeof counted)[number], number> = zeros(counted);
  readonly #unready: Map<string, string> = new Map();
  clusters = 0;

  add(cluster: Cluster, sign: 1 | -1): void {
    const { summary = {}, resourceCounts = {} } = cluster.status ?? {};
    this.clusters += sign;
    for (const field of summed) this.summary[field] += sign * (summary[field] ?? 0);
    for (const field of counted) this.counts[field] += sign * (resourceCounts[field] ?? 0);
    const name = cluster.metadata.name ?? "";
    const state = stateOf(cluster);
    if (sign === -1 || state === "Ready") this.#unready.delete(name);
    else this.#unready.set(name, state);
  }

  get unreadyCount(): number {
    return this.#unready.size;
  }

  get unready(): readonly string[] {
    return [...this.#unready.keys()].toSorted().slice(0, NAMED_MAX);
  }

  /** The worst of its clusters; a dark one comes before what is merely not ready, as nothing is known of it. */
  get state(): string {
    let worst = "Ready";
    for (const state of this.#unready.values()) if (rankOf(state) > rankOf(worst)) worst = state;
    return worst;
  }

  get message(): string {
    const byState = new Map<string, string[]>();
    for (const [name, state] of [...this.#unready].toSorted())
      byState.set(state, [...(byState.get(state) ?? []), name]);
    return [...byState]
      .map(([state, names]) => `${state}(${names.length}) [${names.slice(0, NAMED_MAX).join(", ")}]`)
      .join("; ");
  }
}

function zeros<Name extends string>(names: readonly Name[]): Record<Name, number> {
  return Object.fromEntries(names.map((name) => [name, 0])) as Record<Name, number>;
}

function stateOf(cluster: Cluster): string {
  return cluster.status?.display?.state ?? "WaitCheckIn";
}

/** Offline and WaitCheckIn are states of clusters alone. */
function rankOf(state: string): number {
  const rank = cellStates.indexOf(state as (typeof cellStates)[number]);
  return rank === -1 ? cellStates.indexOf("NotReady") + 0.5 : rank;
}

export type GroupPorts = {
  readonly groups: Informer<ClusterGroup>;
  readonly clusters: Informer<Cluster>;
  readonly ready: Promise<unknown>;
};

/**
 * What ClusterGroups say of their clusters. A change of one cluster is taken off and added again in the groups that select it, and costs
 * nothing for the others; only a group whose selector changed is counted anew.
 */
export class GroupStatus {
  readonly #core: Core;
  readonly #ports: GroupPorts;
  readonly #loop: Loop;
  readonly #tallies: Map<string, Tally> = new Map();

  constructor(core: Core, ports: GroupPorts) {
    this.#core = core;
    this.#ports = ports;
    const { clock, log } = core.ports;
    this.#loop = startLoop({
      name: "fleet-clustergroup-status",
      reconcile: async (key) => {
        await this.#round(key);
        return done;
      },
      ready: ports.ready,
      clock,
      log,
      metrics: newLoopMetrics(newMetrics()),
      signal: core.signal,
    });
    void ports.ready.then(() => this.#follow()).catch(() => undefined);
  }

  #follow(): void {
    const { groups, clusters } = this.#ports;
    // First the clusters: those that are there are told at once, and counted with their groups.
    clusters.subscribe(({ old, now }) => this.#turn(old, now));
    groups.subscribe(({ key, old, now }) => {
      if (now === undefined) this.#tallies.delete(key);
      else if (old === undefined || !sameTree(old.spec, now.spec)) this.#count(key, now);
    });
  }

  /** Clusters that were there before the group did not turn: they are counted. */
  #count(key: string, group: ClusterGroup): void {
    const tally = new Tally();
    for (const cluster of this.#ports.clusters.list()) if (isIn(group, cluster)) tally.add(cluster, 1);
    this.#tallies.set(key, tally);
    this.#loop.add(key);
  }

  #turn(old: Cluster | undefined, now: Cluster | undefined): void {
    const namespace = (now ?? old)?.metadata.namespace;
    for (const group of this.#ports.groups.list()) {
      if (group.metadata.namespace !== namespace) continue;
      const key = keyOf(group);
      const tally = this.#tallies.get(key);
      if (tally === undefined) continue;
      const before = old !== undefined && isIn(group, old) ? old : undefined;
      const after = now !== undefined && isIn(group, now) ? now : undefined;
      if (before !== undefined) tally.add(before, -1);
      if (after !== undefined) tally.add(after, 1);
      if (before !== undefined || after !== undefined) this.#loop.addAfter(key, STATUS_EVERY_MS);
    }
  }

  async #round(key: string): Promise<void> {
    const group = this.#ports.groups.get(key);
    const tally = this.#tallies.get(key);
    if (group === undefined || tally === undefined) return;
    const { client, clock } = this.#core.ports;
    const { summary, counts, clusters, unreadyCount, state, message } = tally;
    const condition = { type: "Ready", isTrue: unreadyCount === 0, message };
    const status = {
      clusterCount: clusters,
      nonReadyClusterCount: unreadyCount,
      nonReadyClusters: tally.unready,
      summary: { ...summary },
      resourceCounts: { ...counts },
      display: {
        readyClusters: `${clusters - unreadyCount}/${clusters}`,
        readyBundles: `${summary.ready}/${summary.desiredReady}`,
        state,
      },
      conditions: withCondition(group.status?.conditions, condition, clock.nowMs()),
    };
    if (sameTree(status, group.status)) return;
    const { signal } = this.#core;
    const where = { ...splitKey(key), subresource: "status", fieldManager: "cortado-hub", signal };
    await client
      .patch(clusterGroups, { ...where, type: "merge", body: { status } })
      .catch((error: unknown) => {
        if (!hasReason(error, "NotFound")) throw error;
      });
  }
}

function isIn(group: ClusterGroup, { metadata }: Cluster): boolean {
  return (
    group.metadata.namespace === metadata.namespace &&
    metadata.deletionTimestamp === undefined &&
    selects(group.spec?.selector, metadata.labels)
  );
}
