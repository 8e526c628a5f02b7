import { toTime } from "@cortado/std/clock";
import type { Tree } from "@cortado/kinds/tree";
import { notFound } from "./errors.ts";
import type { NodeUsage, PodUsage, Usage, UsageSource } from "./ports.ts";
import { labelsMatch, parseLabelSelector } from "./selectors.ts";
import type { Call } from "./server.ts";

/** metrics.k8s.io/v1beta1: what `kubectl top` reads. Nothing is stored; the program measures. */
export async function serveUsage(call: Call, source: UsageSource): Promise<Tree> {
  const { kind, info } = call;
  const wanted = parseLabelSelector(call.query.get("labelSelector") ?? "");
  const items =
    kind.kind === "NodeMetrics"
      ? (await source.nodes()).map(nodeTree)
      : (await source.pods(info.namespace)).filter((pod) => labelsMatch(pod.labels, wanted)).map(podTree);
  if (info.name === "")
    return { kind: kind.listKind, apiVersion: "metrics.k8s.io/v1beta1", metadata: {}, items };
  const found = items.find((item) => (item["metadata"] as Tree)["name"] === info.name);
  if (found === undefined) throw notFound({ ...kind, name: info.name });
  return found;
}

function head(kind: string, usage: Usage, metadata: Tree): Tree {
  return {
    kind,
    apiVersion: "metrics.k8s.io/v1beta1",
    metadata: { ...metadata, creationTimestamp: toTime(usage.atMs) },
    timestamp: toTime(usage.atMs),
    window: `${Math.max(1, Math.round(usage.windowMs / 1_000))}s`,
  };
}

function amounts(usage: Usage): Tree {
  return { cpu: `${Math.round(usage.cpuNanoCores)}n`, memory: `${Math.ceil(usage.memoryBytes / 1024)}Ki` };
}

function nodeTree(node: NodeUsage): Tree {
  return { ...head("NodeMetrics", node, { name: node.name }), usage: amounts(node) };
}

function podTree(pod: PodUsage): Tree {
  const newest = pod.containers[0] ?? { atMs: 0, windowMs: 1_000, cpuNanoCores: 0, memoryBytes: 0 };
  const containers = pod.containers.map((container) => ({ name: container.name, usage: amounts(container) }));
  return {
    ...head("PodMetrics", newest, { name: pod.name, namespace: pod.namespace, labels: pod.labels }),
    containers,
  };
}
