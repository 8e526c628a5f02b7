import type { ClusterReport } from "@cortado/kinds/fleet";
import type { BundleReport, BundleState } from "../../protocol/protocol.ts";
import { MESSAGE_CHARS_MAX, NAMED_MAX } from "../limits.ts";

const states: ReadonlySet<string> = new Set<BundleState>([
  "Ready",
  "NotReady",
  "Pending",
  "OutOfSync",
  "Modified",
  "WaitApplied",
  "ErrApplied",
]);
const COUNT_MAX = 65_535;

/** A report as the cluster's row keeps it. */
export function toRow(report: BundleReport): ClusterReport {
  const { desired, ready, notReady, modified, missing } = report.counts;
  const counts = [desired, ready, notReady, modified, missing].map(whole).join("/");
  return {
    bundle: report.name,
    applied: report.appliedId,
    wanted: report.wantedId,
    state: states.has(report.state) ? report.state : "ErrApplied",
    message: report.message.slice(0, MESSAGE_CHARS_MAX),
    counts,
    resources: report.resources
      .slice(0, NAMED_MAX)
      .map((one) => ({ ...one, ...(one.message === undefined ? {} : { message: cut(one.message) }) })),
  };
}

export function toReport(row: ClusterReport): BundleReport {
  const [desired = 0, ready = 0, notReady = 0, modified = 0, missing = 0] = row.counts
    .split("/")
    .map((text) => whole(Number(text)));
  return {
    name: row.bundle,
    appliedId: row.applied,
    wantedId: row.wanted,
    state: row.state as BundleState,
    message: row.message ?? "",
    counts: { desired, ready, notReady, modified, missing },
    resources: (row.resources ?? []) as unknown as BundleReport["resources"],
  };
}

function whole(count: number): number {
  return Number.isFinite(count) ? Math.min(COUNT_MAX, Math.max(0, Math.trunc(count))) : 0;
}

function cut(text: string): string {
  return text.slice(0, MESSAGE_CHARS_MAX);
}
