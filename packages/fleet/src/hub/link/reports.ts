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

/**
 * Enough of a deployment id (two SHA-256) to know one of a bundle's from another: a row keeps it ten times over, and a million rows are
 * kept. An id of another form stays as it is.
 */
export function shortId(deploymentId: string): string {
  const [, manifest, options] =
    /^(s-[0-9a-f]{14})[0-9a-f]{47}:([0-9a-f]{14})[0-9a-f]{50}$/.exec(deploymentId) ?? [];
  return manifest === undefined || options === undefined ? deploymentId : `${manifest}:${options}`;
}

/** A report as the cluster's row keeps it. */
export function toRow(report: BundleReport): ClusterReport {
  const { desired, ready, notReady, modified, missing } = report.counts;
  const counts = [desired, ready, notReady, modified, missing]
    .map(whole)
    .join("/")
    .replace(/(?:\/0)+$/, "");
  const state = states.has(report.state) ? report.state : "ErrApplied";
  const resources = report.resources
    .slice(0, NAMED_MAX)
    .map((one) => ({ ...one, ...(one.message === undefined ? {} : { message: cut(one.message) }) }));
  return {
    bundle: report.name,
    applied: shortId(report.appliedId),
    ...(report.wantedId === report.appliedId ? {} : { wanted: shortId(report.wantedId) }),
    ...(state === "Ready" ? {} : { state }),
    ...(report.message === "" ? {} : { message: cut(report.message) }),
    counts,
    ...(resources.length === 0 ? {} : { resources }),
  };
}

export function toReport(row: ClusterReport): BundleReport {
  const [desired = 0, ready = 0, notReady = 0, modified = 0, missing = 0] = row.counts
    .split("/")
    .map((text) => whole(Number(text)));
  return {
    name: row.bundle,
    appliedId: row.applied,
    wantedId: row.wanted ?? row.applied,
    state: (row.state ?? "Ready") as BundleState,
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
