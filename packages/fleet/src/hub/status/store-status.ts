import { again, done, startLoop, newLoopMetrics, type Loop } from "@cortado/client/loop";
import { clusters } from "@cortado/kinds/fleet";
import { toTime } from "@cortado/std/clock";
import { newMetrics } from "@cortado/std/metrics";
import { hasReason } from "@cortado/std/status";
import type { Core, WriteOptions } from "../core.ts";
import {
  STATUS_EVERY_MS,
  STATUS_GATHER_MS,
  STATUS_SHARE_MS,
  STORES_AT_ONCE,
  UNLOOKED_MS_MAX,
} from "../limits.ts";
import { deploymentNamespace, keptStatus, type ClusterStatus, type StoreRow } from "../state/stores.ts";
import { shortSum } from "../state/short-sum.ts";
import { writeOwnStatus } from "./own-status.ts";
import { sumUp, withCondition } from "./summary.ts";

type Waiter = { readonly resolve: () => void; readonly reject: (error: unknown) => void };

/** Writes what stores are: at most once a second each when many are at it, and nothing when nothing changed. */
export class StoreStatus {
  readonly #core: Core;
  readonly #loop: Loop;
  readonly #waiters: Map<string, Waiter[]> = new Map();

  constructor(core: Core) {
    this.#core = core;
    const { clock, log } = core.ports;
    this.#loop = startLoop({
      name: "fleet-cluster-status",
      reconcile: async (key) => {
        if (this.#isEarly(key)) return again(STATUS_EVERY_MS);
        await this.#round(key);
        return done;
      },
      workers: STORES_AT_ONCE,
      clock,
      log,
      metrics: newLoopMetrics(newMetrics()),
      signal: core.signal,
    });
  }

  write(row: StoreRow, { isUrgent = false, isLazy = false }: WriteOptions = {}): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#waiters.set(row.key, [...(this.#waiters.get(row.key) ?? []), { resolve, reject }]);
    const sinceMs = this.#core.ports.clock.monotonicMs() - row.writtenMs;
    const everyMs = Math.min(STATUS_EVERY_MS, this.#waiters.size * STATUS_SHARE_MS);
    if (isUrgent) this.#loop.add(row.key);
    else if (isLazy) this.#loop.addAfter(row.key, STATUS_EVERY_MS);
    else this.#loop.addAfter(row.key, Math.max(STATUS_GATHER_MS, everyMs - sinceMs));
    return promise;
  }

  forget(row: StoreRow): void {
    for (const { reject } of this.#take(row.key)) reject(new Error(`cluster ${row.key} is gone`));
  }

  #take(key: string): readonly Waiter[] {
    const waiters = this.#waiters.get(key) ?? [];
    this.#waiters.delete(key);
    return waiters;
  }

  /** What a store has is not known yet: the hub has just begun, and what was written before it did says more. */
  #isEarly(key: string): boolean {
    const row = this.#core.stores.get(key);
    if (row === undefined || row.unlooked.size === 0 || row.writtenSum === 0) return false;
    return this.#core.ports.clock.monotonicMs() - row.writtenMs < UNLOOKED_MS_MAX;
  }

  async #round(key: string): Promise<void> {
    const { stores, ports, signal } = this.#core;
    const row = stores.get(key);
    if (row === undefined) return;
    const waiters = this.#take(key);
    try {
      const status = statusOf(this.#core, row);
      row.status = keptStatus(status, this.#core.shared);
      const sum = sumOfStatus(status);
      if (sum !== row.writtenSum) {
        await writeOwnStatus(this.#core, clusters, { ...row.cluster, fields: status });
        row.writtenSum = sum;
        row.writtenMs = ports.clock.monotonicMs();
      }
      for (const { resolve } of waiters) resolve();
    } catch (error) {
      if (hasReason(error, "NotFound") || signal.aborted) {
        for (const { reject } of waiters) reject(error);
        return;
      }
      this.#waiters.set(key, [...waiters, ...(this.#waiters.get(key) ?? [])]);
      throw error;
    }
  }
}

/**
 * Of what is written of a store, as it was written or is read. When a store was last heard is no reason to write while it is heard:
 * that changes all the time.
 */
export function sumOfStatus(status: ClusterStatus): number {
  const { agent, conditions, session, reports, agentDeployedGeneration, index, namespace, summary } = status;
  const { resourceCounts, scheduled, activeSchedule, display } = status;
  const isDark = conditions?.some((one) => one.type === "Offline" && one.status === "True") === true;
  const heard = isDark ? agent?.lastSeen : undefined;
  const { version, kubernetes } = agent ?? {};
  const own = [conditions, session, reports, agentDeployedGeneration, index, namespace, summary];
  return shortSum(
    JSON.stringify([...own, resourceCounts, scheduled, activeSchedule, display, version, kubernetes, heard]),
  );
}

/** What a store is now. */
function statusOf({ cells, heard, bundles, ports, windows }: Core, row: StoreRow): ClusterStatus {
  const nowMs = ports.clock.nowMs();
  const summed = sumUp(
    cells,
    cells.ofCluster(row.index),
    (cell) => bundles.keyOf(cell.bundle).split("/")[1] ?? "",
  );
  const { ready, desiredReady } = summed.summary;
  const lastMs = heard.lastMs(row.index);
  const isDark = !heard.isHeard(row.index);
  const never = lastMs === 0;
  const { isScheduled, isClosed } = windows.of(row.key);
  const since = never ? "was never heard" : `was last heard at ${toTime(lastMs)}`;
  const offline = { type: "Offline", isTrue: isDark, message: isDark ? `the store ${since}` : "" };
  const readiness = { type: "Ready", isTrue: !isDark && summed.state === "Ready", message: summed.message };
  const conditions = withCondition(withCondition(row.status.conditions, readiness, nowMs), offline, nowMs);
  const dark = never ? "WaitCheckIn" : "Offline";
  return {
    ...row.status,
    index: row.index,
    namespace: deploymentNamespace(row.cluster),
    conditions,
    summary: { ...zeros, nonReadyResources: [], ...summed.summary },
    resourceCounts: summed.counts,
    scheduled: isScheduled,
    activeSchedule: isScheduled && !isClosed,
    display: { readyBundles: `${ready}/${desiredReady}`, state: isDark ? dark : summed.state },
    ...(never ? {} : { agent: { ...row.status.agent, lastSeen: toTime(lastMs) } }),
  };
}

const zeros = { notReady: 0, waitApplied: 0, errApplied: 0, outOfSync: 0, modified: 0, pending: 0 };
