import type { Stored } from "@cortado/client";
import { again, done, startLoop, type Loop, type Outcome } from "@cortado/client/loop";
import type { Node, NodeCondition, Pod, Taint } from "@cortado/kinds";
import { nodes, pods } from "@cortado/kinds/resources";
import { toTime } from "@cortado/std/clock";
import type { Context } from "../context.ts";
import { FINISHED_PODS_KEPT, NODE_EVICT_MS, NODE_GRACE_MS, NODE_LOOK_MS } from "../limits.ts";
import { canonical } from "../owned/template.ts";
import { keysOf } from "../owned/wake.ts";

const notReady = "node.kubernetes.io/not-ready";
const unreachable = "node.kubernetes.io/unreachable";

/**
 * Watches node leases: a silent node becomes NotReady and tainted, and its pods are marked not ready, then ended. Time is
 * counted by the monotonic clock from when this loop last saw a lease change, so that a jump of the wall clock darkens nobody.
 */
export function startNodeLifeLoop(context: Context): Loop {
  const { caches, clock } = context;
  const heardMs = new Map<string, number>();
  const loop = startLoop({
    ...context,
    name: "node_lifecycle",
    metrics: context.loopMetrics,
    keys: () => keysOf(caches.nodes),
    reconcile: (name) => reconcile(name, context, heardMs),
  });
  caches.leases.subscribe(({ now }) => {
    if (now?.metadata.namespace === "kube-node-lease") heardMs.set(now.metadata.name, clock.monotonicMs());
  });
  caches.nodes.subscribe(({ key, now }) => {
    if (now === undefined) heardMs.delete(key);
    loop.add(key);
  });
  return loop;
}

async function reconcile(name: string, context: Context, heardMs: Map<string, number>): Promise<Outcome> {
  const { caches, clock } = context;
  const node = caches.nodes.get(name);
  if (node === undefined) {
    await endPodsOf(name, context);
    return done;
  }
  const nowMs = clock.monotonicMs();
  const silentMs = nowMs - (heardMs.get(name) ?? heardMs.set(name, nowMs).get(name) ?? nowMs);
  const lost = silentMs > NODE_GRACE_MS;
  if (lost) await markLost(node, context);
  await writeTaints(node, lost, context);
  if (lost) await markPods(name, context);
  if (lost && silentMs > NODE_GRACE_MS + NODE_EVICT_MS) await endPodsOf(name, context);
  await forgetFinished(context);
  return again(NODE_LOOK_MS);
}

async function markLost(node: Stored<Node>, { client, clock, signal, recorder }: Context): Promise<void> {
  const at = toTime(clock.nowMs());
  const conditions = (node.status?.conditions ?? []).map((condition): NodeCondition => {
    if (condition.status === "Unknown") return condition;
    const text = { reason: "NodeStatusUnknown", message: "Kubelet stopped posting node status." };
    return { ...condition, status: "Unknown", ...text, lastTransitionTime: at };
  });
  if (canonical(conditions) === canonical(node.status?.conditions ?? [])) return;
  const body = { status: { conditions } };
  await client.patch(nodes, {
    name: node.metadata.name,
    type: "strategic",
    body,
    subresource: "status",
    signal,
  });
  const message = `Node ${node.metadata.name} status is now: NodeNotReady`;
  recorder({ object: node, apiVersion: "v1", kind: "Node", type: "Normal", reason: "NodeNotReady", message });
}

async function writeTaints(
  node: Stored<Node>,
  lost: boolean,
  { client, clock, signal }: Context,
): Promise<void> {
  const ready = node.status?.conditions?.find(({ type }) => type === "Ready")?.status;
  const wanted = lost || ready === "Unknown" ? unreachable : ready === "False" ? notReady : undefined;
  const before = node.spec?.taints ?? [];
  const others = before.filter(({ key }) => key !== notReady && key !== unreachable);
  const timeAdded = before.find(({ key }) => key === wanted)?.timeAdded ?? toTime(clock.nowMs());
  const ours: Taint[] =
    wanted === undefined
      ? []
      : [
          { key: wanted, effect: "NoSchedule", timeAdded },
          { key: wanted, effect: "NoExecute", timeAdded },
        ];
  const taints = [...others, ...ours];
  if (canonical(taints.map(plainTaint)) === canonical(before.map(plainTaint))) return;
  const { name, resourceVersion } = node.metadata;
  const body = { metadata: { resourceVersion }, spec: { taints: taints.length === 0 ? null : taints } };
  await client.patch(nodes, { name, type: "merge", body, signal });
}

function plainTaint({ key, value, effect }: Taint): unknown {
  return { key, value, effect };
}

async function markPods(node: string, { caches, client, clock, signal }: Context): Promise<void> {
  for (const pod of podsOf(node, caches.pods.list())) {
    const conditions = pod.status?.conditions ?? [];
    if (!conditions.some(({ type, status }) => type === "Ready" && status === "True")) continue;
    const ready = {
      type: "Ready",
      status: "False",
      reason: "NodeLost",
      lastTransitionTime: toTime(clock.nowMs()),
    };
    const body = { status: { conditions: [ready] } };
    const { name, namespace = "default" } = pod.metadata;
    await client.patch(pods, { name, namespace, type: "strategic", body, subresource: "status", signal });
  }
}

function podsOf(node: string, all: Iterable<Stored<Pod>>): readonly Stored<Pod>[] {
  return [...all].filter((pod) => pod.spec?.nodeName === node);
}

/** Ends the pods of a node that is gone for good; nobody is there to end them gracefully. */
async function endPodsOf(node: string, { caches, client, signal }: Context): Promise<void> {
  for (const { metadata, spec } of podsOf(node, caches.pods.list())) {
    const bears = (spec?.tolerations ?? []).some(
      ({ key, tolerationSeconds, effect }) =>
        (key === undefined || key === unreachable) &&
        tolerationSeconds === undefined &&
        (effect === undefined || effect === "NoExecute"),
    );
    const isKept = bears && caches.nodes.get(node) !== undefined;
    const { name, namespace = "default", uid } = metadata;
    if (!isKept)
      await client.delete(pods, { name, namespace, gracePeriodSeconds: 0, preconditions: { uid }, signal });
  }
}

/** Forgets the oldest finished pods that no controller keeps. */
async function forgetFinished({ caches, client, signal }: Context): Promise<void> {
  const finished = [...caches.pods.list()].filter(
    ({ status }) => status?.phase === "Succeeded" || status?.phase === "Failed",
  );
  if (finished.length <= FINISHED_PODS_KEPT) return;
  const oldest = finished.toSorted((one, other) =>
    (one.metadata.creationTimestamp ?? "").localeCompare(other.metadata.creationTimestamp ?? ""),
  );
  for (const { metadata } of oldest.slice(0, finished.length - FINISHED_PODS_KEPT)) {
    const { name, namespace = "default", uid } = metadata;
    await client.delete(pods, { name, namespace, gracePeriodSeconds: 0, preconditions: { uid }, signal });
  }
}
