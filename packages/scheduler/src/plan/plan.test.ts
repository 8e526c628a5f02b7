import assert from "node:assert/strict";
import { test } from "node:test";
import type { Stored } from "@cortado/client";
import type { Node, Pod } from "@cortado/kinds";
import { planPods } from "./plan.ts";
import type { Snapshot } from "./snapshot.ts";

type Made = {
  readonly name: string;
  readonly labels?: Record<string, string>;
  readonly spec?: object;
  readonly cpu?: string;
};

function node({ name, labels = {}, spec = {}, cpu = "2" }: Made): Stored<Node> {
  const metadata = { name, labels: { "kubernetes.io/hostname": name, ...labels } };
  return {
    metadata,
    spec,
    status: { allocatable: { cpu, memory: "4Gi", pods: "110" } },
  } as unknown as Stored<Node>;
}

function pod({ name, labels = {}, spec = {} }: Made): Stored<Pod> {
  const metadata = {
    name,
    namespace: "default",
    uid: name,
    labels,
    creationTimestamp: "2026-01-01T00:00:00Z",
  };
  return { metadata, spec: { containers: [{ name: "c" }], ...spec } } as unknown as Stored<Pod>;
}

function snapshot(
  nodes: readonly Stored<Node>[],
  placed: Readonly<Record<string, readonly Stored<Pod>[]>> = {},
): Snapshot {
  const views = nodes.map((one) => ({ node: one, pods: [...(placed[one.metadata.name] ?? [])] }));
  return { nodes: views, claims: () => undefined, volumes: () => undefined, namespaceLabels: () => ({}) };
}

const asking = (cpu: string): object => ({ containers: [{ name: "c", resources: { requests: { cpu } } }] });
const away = (topologyKey: string): object => ({
  affinity: {
    podAntiAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: [
        { topologyKey, labelSelector: { matchLabels: { app: "web" } } },
      ],
    },
  },
});

for (const { name, nodes, pods, placed, want } of [
  {
    name: "the emptier node wins",
    nodes: [node({ name: "a" }), node({ name: "b" })],
    placed: { a: [pod({ name: "x", spec: asking("1") })] },
    pods: [pod({ name: "p" })],
    want: ["b"],
  },
  {
    name: "what is decided counts for the next",
    nodes: [node({ name: "a", cpu: "1" })],
    pods: [pod({ name: "p", spec: asking("600m") }), pod({ name: "q", spec: asking("600m") })],
    want: ["a", "0/1 nodes are available: 1 Insufficient cpu."],
  },
  {
    name: "higher priority is placed first",
    nodes: [node({ name: "a", cpu: "1" })],
    pods: [
      pod({ name: "low", spec: asking("800m") }),
      pod({ name: "high", spec: { ...asking("800m"), priority: 10 } }),
    ],
    want: ["a", "0/1 nodes are available: 1 Insufficient cpu."],
  },
  {
    name: "a taint keeps out who does not bear it",
    nodes: [
      node({ name: "a", spec: { taints: [{ key: "dedicated", value: "till", effect: "NoSchedule" }] } }),
    ],
    pods: [pod({ name: "p" })],
    want: ["0/1 nodes are available: 1 node(s) had untolerated taint {dedicated: till}."],
  },
  {
    name: "and lets in who does",
    nodes: [
      node({ name: "a", spec: { taints: [{ key: "dedicated", value: "till", effect: "NoSchedule" }] } }),
    ],
    pods: [
      pod({ name: "p", spec: { tolerations: [{ key: "dedicated", operator: "Equal", value: "till" }] } }),
    ],
    want: ["a"],
  },
  {
    name: "a cordoned node takes nobody",
    nodes: [node({ name: "a", spec: { unschedulable: true } })],
    pods: [pod({ name: "p" })],
    want: ["0/1 nodes are available: 1 node(s) were unschedulable."],
  },
  {
    name: "a node selector",
    nodes: [node({ name: "a" }), node({ name: "b", labels: { disk: "ssd" } })],
    pods: [pod({ name: "p", spec: { nodeSelector: { disk: "ssd" } } })],
    want: ["b"],
  },
  {
    name: "a host port is used once",
    nodes: [node({ name: "a" })],
    placed: {
      a: [
        pod({
          name: "x",
          spec: { containers: [{ name: "c", ports: [{ containerPort: 80, hostPort: 80 }] }] },
        }),
      ],
    },
    pods: [
      pod({ name: "p", spec: { containers: [{ name: "c", ports: [{ containerPort: 80, hostPort: 80 }] }] } }),
    ],
    want: ["0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports."],
  },
  {
    name: "pods that keep away from their like",
    nodes: [node({ name: "a" }), node({ name: "b" })],
    pods: [1, 2, 3].map((at) =>
      pod({ name: `w${at}`, labels: { app: "web" }, spec: away("kubernetes.io/hostname") }),
    ),
    want: ["a", "b", "0/2 nodes are available: 2 node(s) didn't match pod anti-affinity rules."],
  },
  {
    name: "a claim that is not there",
    nodes: [node({ name: "a" })],
    pods: [
      pod({ name: "p", spec: { volumes: [{ name: "v", persistentVolumeClaim: { claimName: "data" } }] } }),
    ],
    want: ['0/1 nodes are available: 1 persistentvolumeclaim "data" not found.'],
  },
  {
    name: "no nodes at all",
    nodes: [],
    pods: [pod({ name: "p" })],
    want: ["no nodes available to schedule pods"],
  },
] as {
  name: string;
  nodes: Stored<Node>[];
  pods: Stored<Pod>[];
  placed?: Record<string, Stored<Pod>[]>;
  want: string[];
}[])
  test(name, () => {
    const decisions = planPods(pods, snapshot(nodes, placed));
    assert.deepEqual(
      decisions.map((decision) => (decision.kind === "bind" ? decision.node : decision.message)),
      want,
    );
  });
