import type { Client, Stored } from "@cortado/client";
import type { Node, Taint } from "@cortado/kinds";
import { nodes } from "@cortado/kinds/resources";
import { hasReason } from "@cortado/std/status";
import type { Machine } from "./machine.ts";

export type OwnNode = {
  readonly nodeName: string;
  /** Addresses for its pods; absent: who gives them out to all nodes says it in spec.podCIDR. */
  readonly podCidr?: string | undefined;
  /** Kept as they are here, beside those that say what machine it is. */
  readonly labels?: Readonly<Record<string, string>>;
  /** Set when the node is made, and never again: from then on they are whose who runs the cluster. */
  readonly first?: { readonly labels: Readonly<Record<string, string>>; readonly taints: readonly Taint[] };
};

export type OwnNodePorts = {
  readonly client: Client;
  readonly machine: Pick<Machine, "architecture">;
  readonly signal: AbortSignal;
};

/** Makes the node's object, or takes over the one that is there. */
export async function ownNode(
  own: OwnNode,
  { client, machine, signal }: OwnNodePorts,
): Promise<Stored<Node>> {
  const { nodeName: name, podCidr, first } = own;
  const labels = {
    "kubernetes.io/hostname": name,
    "kubernetes.io/arch": machine.architecture,
    "kubernetes.io/os": "linux",
    "beta.kubernetes.io/arch": machine.architecture,
    "beta.kubernetes.io/os": "linux",
    ...own.labels,
  };
  const addresses = podCidr === undefined ? {} : { podCIDR: podCidr, podCIDRs: [podCidr] };
  try {
    const there = await client.get(nodes, { name, signal });
    const missing = Object.entries(labels).filter(([key, value]) => there.metadata.labels?.[key] !== value);
    const lacks = there.spec?.podCIDR === undefined && podCidr !== undefined;
    if (missing.length === 0 && !lacks) return there;
    const body = { metadata: { labels: Object.fromEntries(missing) }, ...(lacks ? { spec: addresses } : {}) };
    return await client.patch(nodes, { name, type: "merge", body, signal });
  } catch (error) {
    if (!hasReason(error, "NotFound")) throw error;
    const taints = first === undefined || first.taints.length === 0 ? {} : { taints: first.taints };
    const made = {
      metadata: { name, labels: { ...labels, ...first?.labels } },
      spec: { ...addresses, ...taints },
    };
    return client.create(nodes, made as never, { signal });
  }
}
