import type { Stored } from "@cortado/client";
import type { Container, Node, PersistentVolume, PersistentVolumeClaim, Pod } from "@cortado/kinds";
import { milliOf, unitsOf } from "@cortado/kinds/quantity";
import { PODS_PER_NODE } from "../limits.ts";

/** All that a decision is made from. */
export type Snapshot = {
  readonly nodes: readonly NodeView[];
  readonly claims: (key: string) => Stored<PersistentVolumeClaim> | undefined;
  readonly volumes: (name: string) => Stored<PersistentVolume> | undefined;
  readonly namespaceLabels: (name: string) => Readonly<Record<string, string>>;
};

/** A node with the pods that are on it or were just given to it. */
export type NodeView = { readonly node: Stored<Node>; readonly pods: Stored<Pod>[] };

/** Milli-units for cpu, whole units for the rest. */
export type Amounts = Readonly<Record<string, number>>;

export function amountOf(resource: string, quantity: unknown): number {
  return resource === "cpu" ? milliOf(quantity) : unitsOf(quantity);
}

/** What a node can give. */
export function allocatable(node: Node): Amounts {
  const amounts: Record<string, number> = { pods: PODS_PER_NODE };
  for (const [name, quantity] of Object.entries(node.status?.allocatable ?? {}))
    amounts[name] = amountOf(name, quantity);
  return amounts;
}

/** What a pod asks for: the sum of its containers, or the greatest of its init containers, plus overhead (KEP-753 for sidecars). */
export function requestsOf(pod: Pod): Amounts {
  const { containers = [], initContainers = [], overhead = {} } = pod.spec ?? {};
  const sidecars = initContainers.filter((container) => container.restartPolicy === "Always");
  const running = sum([...containers, ...sidecars].map(containerRequests));
  let before: Record<string, number> = {};
  const total: Record<string, number> = { ...running };
  for (const container of initContainers) {
    const own = containerRequests(container);
    if (container.restartPolicy === "Always") before = sum([before, own]);
    else
      for (const [name, amount] of Object.entries(sum([before, own])))
        total[name] = Math.max(total[name] ?? 0, amount);
  }
  const extra = Object.fromEntries(
    Object.entries(overhead).map(([name, quantity]) => [name, amountOf(name, quantity)]),
  );
  return { ...sum([total, extra]), pods: 1 };
}

function containerRequests(container: Container): Amounts {
  const { requests = {}, limits = {} } = container.resources ?? {};
  const asked = { ...limits, ...requests }; // a limit without a request is the request
  return Object.fromEntries(
    Object.entries(asked).map(([name, quantity]) => [name, amountOf(name, quantity)]),
  );
}

export function sum(all: readonly Amounts[]): Record<string, number> {
  const total: Record<string, number> = {};
  for (const amounts of all)
    for (const [name, amount] of Object.entries(amounts)) total[name] = (total[name] ?? 0) + amount;
  return total;
}

export function used(view: NodeView): Amounts {
  return sum(view.pods.map(requestsOf));
}
