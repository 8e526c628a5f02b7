import type { Tree } from "@cortado/kinds/tree";

export type ServiceNetwork = {
  /** Where cluster IPs come from. */
  readonly cidr: string;
  /** The address of the `kubernetes` Service. */
  readonly apiAddress: string;
  readonly port: number;
};

/** Objects that every store begins with, beside its roles. */
export function firstObjects(network: ServiceNetwork): readonly Tree[] {
  const namespaces = ["default", "kube-system", "kube-public", "kube-node-lease"].map((name) => ({
    apiVersion: "v1",
    kind: "Namespace",
    metadata: { name },
  }));
  return [
    ...namespaces,
    {
      apiVersion: "v1",
      kind: "Service",
      metadata: {
        name: "kubernetes",
        namespace: "default",
        labels: { component: "apiserver", provider: "kubernetes" },
      },
      spec: {
        type: "ClusterIP",
        clusterIP: network.apiAddress,
        ports: [{ name: "https", port: 443, protocol: "TCP", targetPort: network.port }],
      },
    },
    ...[
      {
        name: "system-node-critical",
        value: 2000001000,
        text: "Used for system critical pods that must not be moved from their current node.",
      },
      {
        name: "system-cluster-critical",
        value: 2000000000,
        text: "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
      },
    ].map(({ name, value, text }) => ({
      apiVersion: "scheduling.k8s.io/v1",
      kind: "PriorityClass",
      metadata: { name },
      value,
      description: text,
    })),
    {
      apiVersion: "networking.k8s.io/v1",
      kind: "ServiceCIDR",
      metadata: { name: "kubernetes" },
      spec: { cidrs: [network.cidr] },
    },
  ];
}
