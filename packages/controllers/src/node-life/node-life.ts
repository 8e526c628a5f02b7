import type { Stored } from "@cortado/client";
import { again, done, startLoop, type Loop, type Outcome } from "@cortado/client/loop";
import type { Node, NodeCondition, Pod, Taint } from "@cortado/kinds";
import { nodes, pods, secrets } from "@cortado/kinds/resources";
import { toTime } from "@cortado/std/clock";
import { hasReason } from "@cortado/std/status";
import type { Context } from "../context.ts";
import { FINISHED_PODS_KEPT, NODE_GRACE_MS, NODE_LOOK_MS } from "../limits.ts";
import { canonical } from "../owned/template.ts";
import { keysOf } from "../owned/wake.ts";
import { bearsMs, wantedTaints } from "./taints.ts";

/** What the loop remembers of a node, on the monotonic clock: a jump of the wall clock darkens and evicts nobody. */
type Memory = {
  heardMs: number;
  /** Since when it has each taint that ends pods. */
  readonly taintedMs: Map<string, number>;
};

/**
 * Watches node leases: a silent node becomes NotReady and tainted, and its pods are marked not ready. Pods that do not bear a NoExecute
 * taint, or not for so long, are ended; those of a node that is deleted are deleted with it.
 */
export function startNodeLifeLoop(context: Context): Loop {
  const { caches, clock } = context;
  const memories = new Map<string, Memory>();
  const memoryOf = (name: string): Memory => {
    const known = memories.get(name) ?? {
      heardMs: clock.monotonicMs(),
      taintedMs: new Map<string, number>(),
    };
    memories.set(name, known);
    return known;
  };
  const loop = startLoop({
    ...context,
    name: "node_lifecycle",
    metrics: context.loopMetrics,
    keys: () => keysOf(caches.nodes),
    reconcile: (name) => reconcile(name, context, memoryOf),
  });
  caches.leases.subscribe(({ now }) => {
    if (now?.metadata.namespace === "kube-node-lease")
      memoryOf(now.metadata.name).heardMs = clock.monotonicMs();
  });
  caches.nodes.subscribe(({ key, now }) => {
    if (now === undefined) memories.delete(key);
    loop.add(key);
  });
  return loop;
}

async function reconcile(
  name: string,
  context: Context,
  memoryOf: (name: string) => Memory,
): Promise<Outcome> {
  const { caches, clock } = context;
  const node = caches.nodes.get(name);
  if (node === undefined) {
    await forget(name, context);
    return done;
  }
  const memory = memoryOf(name);
  const isLost = clock.monotonicMs() - memory.heardMs > NODE_GRACE_MS;
  if (isLost) await markLost(node, context);
  const taints = wantedTaints(node, { isLost, now: toTime(clock.nowMs()) });
  await writeTaints(node, taints, context);
  if (isLost) await markPods(name, context);
  const nextMs = await endTainted({ name, taints, memory }, context);
  await forgetFinished(context);
  return again(Math.min(NODE_LOOK_MS, nextMs));
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
  taints: readonly Taint[],
  { client, signal }: Context,
): Promise<void> {
  const before = node.spec?.taints ?? [];
  if (canonical(taints.map(plainTaint)) === canonical(before.map(plainTaint))) return;
  const { name, resourceVersion } = node.metadata;
  const body = { metadata: { resourceVersion }, spec: { taints: taints.length === 0 ? null : taints } };
  await client.patch(nodes, { name, type: "merge", body, signal });
}

function textOf({ key, value = "" }: Taint): string {
  return `${key}=${value}`;
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

type Tainted = { readonly name: string; readonly taints: readonly Taint[]; readonly memory: Memory };

/**
 * Ends the pods that do not bear the node's taints any longer, with their grace: an agent that is only out of reach still runs them, and
 * a StatefulSet must not have two of one name. Answers when to look again.
 */
async function endTainted(
  { name, taints, memory }: Tainted,
  { caches, client, clock, signal }: Context,
): Promise<number> {
  const nowMs = clock.monotonicMs();
  const executing = taints.filter(({ effect }) => effect === "NoExecute");
  const since = new Map(executing.map((taint) => [taint, memory.taintedMs.get(textOf(taint)) ?? nowMs]));
  memory.taintedMs.clear();
  for (const [taint, ms] of since) memory.taintedMs.set(textOf(taint), ms);
  if (executing.length === 0) return Number.POSITIVE_INFINITY;
  let nextMs = Number.POSITIVE_INFINITY;
  for (const pod of podsOf(name, caches.pods.list())) {
    const isOver = pod.status?.phase === "Succeeded" || pod.status?.phase === "Failed";
    if (pod.metadata.deletionTimestamp !== undefined || isOver) continue;
    const leftMs = Math.min(...[...since].map(([taint, ms]) => ms + bearsMs(pod, taint) - nowMs));
    if (leftMs > 0) {
      nextMs = Math.min(nextMs, leftMs);
      continue;
    }
    const { name: podName, namespace = "default", uid } = pod.metadata;
    await client.delete(pods, { name: podName, namespace, preconditions: { uid }, signal }).catch(unlessGone);
  }
  return nextMs;
}

/** A node that is deleted takes its pods with it, as nobody is there to end them, and its password: another machine may have the name. */
async function forget(node: string, { caches, client, signal }: Context): Promise<void> {
  for (const { metadata } of podsOf(node, caches.pods.list())) {
    const { name, namespace = "default", uid } = metadata;
    const options = { name, namespace, gracePeriodSeconds: 0, preconditions: { uid }, signal };
    await client.delete(pods, options).catch(unlessGone);
  }
  await client
    .delete(secrets, { name: `${node}.node-password.k3s`, namespace: "kube-system", signal })
    .catch(unlessGone);
}

function unlessGone(error: unknown): void {
  if (!hasReason(error, "NotFound", "Conflict")) throw error;
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
