import type { Stored } from "@cortado/client";
import type { Pod } from "@cortado/kinds";
import { selects } from "@cortado/kinds/label-selector";
import type { Snapshot } from "../plan/snapshot.ts";
import { topologyOf, type FilterInput } from "./filter.ts";

type Terms = NonNullable<
  NonNullable<
    NonNullable<NonNullable<Pod["spec"]>["affinity"]>["podAffinity"]
  >["requiredDuringSchedulingIgnoredDuringExecution"]
>;
export type PodTerm = Terms[number];

/** Required pod affinity and anti-affinity, both the pod's own and that of pods already placed. */
export function podTermsRefuse({ pod, view, snapshot }: FilterInput): string | undefined {
  const { podAffinity, podAntiAffinity } = pod.spec?.affinity ?? {};
  for (const term of podAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? [])
    if (!near(term, { pod, view, snapshot })) return "node(s) didn't match pod affinity rules";
  for (const term of podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? [])
    if (countNear(term, { pod, view, snapshot }) > 0) return "node(s) didn't match pod anti-affinity rules";
  const refused = snapshot.nodes.some((other) =>
    other.pods.some((placed) => keepsAway(placed, other, { pod, view, snapshot })),
  );
  return refused ? "node(s) didn't satisfy existing pods anti-affinity rules" : undefined;
}

/** The first of a group that wants its own kind near may go anywhere, or it could never start. */
function near(term: PodTerm, input: FilterInput): boolean {
  if (countNear(term, input) > 0) return true;
  const { pod, snapshot, view } = input;
  if (topologyOf(view.node, term.topologyKey) === undefined) return false;
  const anywhere = snapshot.nodes.some(({ pods }) =>
    pods.some((other) => termSelects(term, pod, other, snapshot)),
  );
  return !anywhere && termSelects(term, pod, pod, snapshot);
}

/** Pods that a term selects in the same topology domain as the node. */
export function countNear(term: PodTerm, { pod, view, snapshot }: FilterInput): number {
  const domain = topologyOf(view.node, term.topologyKey);
  if (domain === undefined) return 0;
  let count = 0;
  for (const other of snapshot.nodes)
    if (topologyOf(other.node, term.topologyKey) === domain)
      count += other.pods.filter((placed) => termSelects(term, pod, placed, snapshot)).length;
  return count;
}

function keepsAway(
  placed: Stored<Pod>,
  at: FilterInput["view"],
  { pod, view, snapshot }: FilterInput,
): boolean {
  const terms = placed.spec?.affinity?.podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? [];
  return terms.some((term) => {
    const domain = topologyOf(at.node, term.topologyKey);
    return (
      domain !== undefined &&
      domain === topologyOf(view.node, term.topologyKey) &&
      termSelects(term, placed, pod, snapshot)
    );
  });
}

// Three pods of one type would be swapped one day, but they are: whose term, and whom it is asked about.
function termSelects(term: PodTerm, owner: Stored<Pod>, other: Stored<Pod>, snapshot: Snapshot): boolean {
  const namespace = other.metadata.namespace ?? "";
  const listed = term.namespaces ?? [];
  const own = listed.length === 0 && term.namespaceSelector === undefined;
  const inNamespace =
    (own && namespace === owner.metadata.namespace) ||
    listed.includes(namespace) ||
    selects(term.namespaceSelector, snapshot.namespaceLabels(namespace));
  return (
    inNamespace &&
    other.metadata.deletionTimestamp === undefined &&
    selects(term.labelSelector, other.metadata.labels)
  );
}
