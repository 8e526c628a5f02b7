import type { Stored } from "@cortado/client";
import type { Node, Pod } from "@cortado/kinds";
import type { NodeView, Snapshot } from "../plan/snapshot.ts";

export type FilterInput = { readonly pod: Stored<Pod>; readonly view: NodeView; readonly snapshot: Snapshot };

/** Says why a pod may not use a node, in upstream's words; undefined when it may. */
export type Filter = (input: FilterInput) => string | undefined;

/** The domain of a node under a topology key: its label's value. */
export function topologyOf(node: Node, key: string): string | undefined {
  return node.metadata.labels?.[key];
}
