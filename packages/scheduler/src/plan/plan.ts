import type { Stored } from "@cortado/client";
import type { Pod } from "@cortado/kinds";
import { filters } from "../filters/filters.ts";
import { scoreNode } from "../scores/scores.ts";
import type { NodeView, Snapshot } from "./snapshot.ts";

export type Decision =
  | { readonly kind: "bind"; readonly pod: Stored<Pod>; readonly node: string }
  | { readonly kind: "wait"; readonly pod: Stored<Pod>; readonly message: string };

/**
 * Decides all waiting pods, higher priority first and older first. Pure but for the snapshot's node views, to which each decided
 * pod is added so that the next one sees it.
 */
export function planPods(waiting: readonly Stored<Pod>[], snapshot: Snapshot): readonly Decision[] {
  return waiting.toSorted(byPriority).map((pod) => decide(pod, snapshot));
}

function byPriority(one: Stored<Pod>, other: Stored<Pod>): number {
  return (
    (other.spec?.priority ?? 0) - (one.spec?.priority ?? 0) ||
    (one.metadata.creationTimestamp ?? "").localeCompare(other.metadata.creationTimestamp ?? "") ||
    one.metadata.name.localeCompare(other.metadata.name)
  );
}

function decide(pod: Stored<Pod>, snapshot: Snapshot): Decision {
  const reasons = new Map<string, number>();
  let best: { readonly view: NodeView; readonly score: number } | undefined;
  for (const view of snapshot.nodes) {
    const reason = refusal(pod, view, snapshot);
    if (reason !== undefined) {
      reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
      continue;
    }
    const score = scoreNode({ pod, view, snapshot });
    if (best === undefined || score > best.score) best = { view, score };
  }
  if (best === undefined) return { kind: "wait", pod, message: refusalText(reasons, snapshot.nodes.length) };
  best.view.pods.push(pod);
  return { kind: "bind", pod, node: best.view.node.metadata.name };
}

function refusal(pod: Stored<Pod>, view: NodeView, snapshot: Snapshot): string | undefined {
  for (const filter of filters) {
    const reason = filter({ pod, view, snapshot });
    if (reason !== undefined) return reason;
  }
  return undefined;
}

/** "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) were unschedulable." as upstream writes it. */
function refusalText(reasons: ReadonlyMap<string, number>, nodes: number): string {
  if (nodes === 0) return "no nodes available to schedule pods";
  const parts = [...reasons].map(([reason, count]) => `${count} ${reason}`).toSorted();
  return `0/${nodes} nodes are available: ${parts.join(", ")}.`;
}
