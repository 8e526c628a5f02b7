import type { PodStatus } from "@cortado/kinds";
import type { StoredPod } from "./pod.ts";

/** The merge patch from one status to another; undefined when nothing differs. */
export function statusChange(from: PodStatus, to: PodStatus): Readonly<Record<string, unknown>> | undefined {
  const change: Record<string, unknown> = {};
  const owned = new Set([...Object.keys(to), "podIP", "podIPs", "reason", "message"]);
  for (const key of owned) {
    const next = (to as Readonly<Record<string, unknown>>)[key];
    const before = (from as Readonly<Record<string, unknown>>)[key];
    if (canonical(before) !== canonical(next)) change[key] = next ?? null;
  }
  return Object.keys(change).length === 0 ? undefined : change;
}

function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) => {
    if (typeof inner !== "object" || inner === null || Array.isArray(inner)) return inner;
    return Object.fromEntries(
      Object.entries(inner).toSorted(([first], [second]) => (first < second ? -1 : 1)),
    );
  });
}

/** Why a pod was ended from outside, as an earlier life of this node wrote it. */
export function endedBefore(
  pod: StoredPod,
): { readonly reason: string; readonly message: string } | undefined {
  const { reason, message = "", phase } = pod.status ?? {};
  return reason !== undefined && phase === "Failed" ? { reason, message } : undefined;
}
