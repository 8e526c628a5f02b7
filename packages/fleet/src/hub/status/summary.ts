import type { BundleSummary, FleetCondition, ResourceCounts } from "@cortado/kinds/fleet";
import { toTime } from "@cortado/std/clock";
import type { BundleState } from "../../protocol/protocol.ts";
import { NAMED_MAX } from "../limits.ts";
import { rankOf, type Cell, type Cells } from "../state/cells.ts";

const fields = {
  Ready: "ready",
  NotReady: "notReady",
  Pending: "pending",
  OutOfSync: "outOfSync",
  Modified: "modified",
  WaitApplied: "waitApplied",
  ErrApplied: "errApplied",
} as const satisfies Record<BundleState, keyof BundleSummary>;

export type Summed = {
  readonly summary: BundleSummary & { ready: number; desiredReady: number };
  readonly counts: Required<
    Pick<ResourceCounts, "ready" | "desiredReady" | "notReady" | "modified" | "missing">
  >;
  /** The worst; "Ready" of none. */
  readonly state: BundleState;
  /** Why it is not Ready, as Fleet words it; empty when it is. */
  readonly message: string;
};

/** Counts cells by their states; `nameOf` is how one that is not Ready is named. */
export function sumUp(cells: Cells, which: Iterable<number>, nameOf: (cell: Cell) => string): Summed {
  const summary: Summed["summary"] = { ready: 0, desiredReady: 0 };
  const counts = { ready: 0, desiredReady: 0, notReady: 0, modified: 0, missing: 0 };
  const named: NonNullable<BundleSummary["nonReadyResources"]> = [];
  let state: BundleState = "Ready";
  for (const number of which) {
    const own = cells.countsOf(number);
    const one = cells.stateOf(number);
    summary.desiredReady += 1;
    summary[fields[one]] = (summary[fields[one]] ?? 0) + 1;
    counts.ready += own.ready;
    counts.desiredReady += own.desired;
    counts.notReady += own.notReady;
    counts.modified += own.modified;
    counts.missing += own.missing;
    // Most of ten thousand are Ready and need no name.
    if (one === "Ready") continue;
    if (rankOf(one) > rankOf(state)) state = one;
    if (named.length >= NAMED_MAX) continue;
    const cell = cells.read(number);
    named.push({ name: nameOf(cell), bundleState: one, message: cell.message });
  }
  if (named.length > 0) summary.nonReadyResources = named;
  return { summary, counts, state, message: messageOf(summary, named) };
}

function messageOf(summary: BundleSummary, named: BundleSummary["nonReadyResources"]): string {
  const parts = Object.entries(fields).flatMap(([state, field]) => {
    const count = summary[field] ?? 0;
    if (state === "Ready" || count === 0) return [];
    const first = named?.find((one) => one.bundleState === state);
    const why = first?.message === undefined || first.message === "" ? "" : `: ${first.message}`;
    return [`${state}(${count}) [${first?.name ?? "…"}${why}]`];
  });
  return parts.join("; ");
}

/** Adds up what is counted elsewhere. */
export function addSummary(sum: BundleSummary, more: BundleSummary): void {
  for (const field of [...Object.values(fields), "desiredReady"] as const)
    if ((more[field] ?? 0) > 0) sum[field] = (sum[field] ?? 0) + (more[field] ?? 0);
}

/** The conditions with one of them as it is now; its time changes only when its status does. */
export function withCondition(
  conditions: readonly FleetCondition[] | undefined,
  wanted: {
    readonly type: string;
    readonly isTrue: boolean;
    readonly reason?: string;
    readonly message: string;
  },
  nowMs: number,
): FleetCondition[] {
  const { type, isTrue, reason = "", message } = wanted;
  const status = isTrue ? "True" : "False";
  const old = conditions?.find((one) => one.type === type);
  if (old?.status === status && (old.message ?? "") === message && (old.reason ?? "") === reason)
    return [...(conditions ?? [])];
  const now = toTime(nowMs);
  const lastTransitionTime = old?.status === status ? (old.lastTransitionTime ?? now) : now;
  const next = { type, status, reason, message, lastUpdateTime: now, lastTransitionTime };
  return [...(conditions ?? []).filter((one) => one.type !== type), next];
}
