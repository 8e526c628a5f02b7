import type { Stored } from "@cortado/client";
import { done, startLoop, type Loop, type Outcome } from "@cortado/client/loop";
import type { DaemonSet, Node, Toleration } from "@cortado/kinds";
import { daemonSets, pods } from "@cortado/kinds/resources";
import { byController } from "../caches.ts";
import type { Context } from "../context.ts";
import { controllerReference, isAvailable, isReady, isTerminating, podFromTemplate } from "../owned/owned.ts";
import { canonical, templateHash } from "../owned/template.ts";
import { keysOf, wakeOwners } from "../owned/wake.ts";
import { nodeOf, planDaemonSet, shouldRun } from "./plan.ts";

const kind = { apiVersion: "apps/v1", kind: "DaemonSet" };

/** Keeps one pod of a DaemonSet on each node that takes it. */
export function startDaemonSetLoop(context: Context): Loop {
  const { caches } = context;
  const loop = startLoop({
    ...context,
    name: "daemonset",
    metrics: context.loopMetrics,
    workers: 2,
    keys: () => keysOf(caches.daemonSets),
    reconcile: (key) => reconcile(key, context),
  });
  caches.daemonSets.subscribe(({ key }) => loop.add(key));
  wakeOwners(caches.pods, kind.kind, loop);
  caches.nodes.subscribe(({ old, now }) => {
    if (footprint(old) !== footprint(now)) for (const key of keysOf(caches.daemonSets)) loop.add(key);
  });
  return loop;
}

function footprint(node: Stored<Node> | undefined): string {
  return canonical([node?.metadata.labels, node?.spec?.taints, node?.spec?.unschedulable]);
}

async function reconcile(key: string, context: Context): Promise<Outcome> {
  const { caches, client, signal } = context;
  const set = caches.daemonSets.get(key);
  if (set === undefined || isTerminating(set)) return done;
  const hash = templateHash(set.spec?.template ?? {});
  const nodes = [...caches.nodes.list()];
  const owned = caches.pods.byIndex(byController, set.metadata.uid);
  const { namespace = "default" } = set.metadata;
  for (const action of planDaemonSet({ set, nodes, pods: owned, hash, nowMs: context.clock.nowMs() })) {
    if (action.kind === "delete") {
      const { name, uid } = action.pod.metadata;
      await client.delete(pods, { name, namespace, preconditions: { uid }, signal });
      continue;
    }
    const made = await client.create(pods, podFor(set, action.node, hash), { signal });
    await caches.pods.seen(made.metadata.resourceVersion);
  }
  await writeStatus(set, hash, context);
  return done;
}

// A daemon runs where others are kept out (kubernetes, pkg/controller/daemon/util, AddOrUpdateDaemonPodTolerations).
const tolerations: readonly Toleration[] = [
  { key: "node.kubernetes.io/not-ready", operator: "Exists", effect: "NoExecute" },
  { key: "node.kubernetes.io/unreachable", operator: "Exists", effect: "NoExecute" },
  { key: "node.kubernetes.io/disk-pressure", operator: "Exists", effect: "NoSchedule" },
  { key: "node.kubernetes.io/memory-pressure", operator: "Exists", effect: "NoSchedule" },
  { key: "node.kubernetes.io/pid-pressure", operator: "Exists", effect: "NoSchedule" },
  { key: "node.kubernetes.io/unschedulable", operator: "Exists", effect: "NoSchedule" },
];

function podFor(set: Stored<DaemonSet>, node: string, hash: string): ReturnType<typeof podFromTemplate> {
  const { namespace = "default" } = set.metadata;
  const labels = { "controller-revision-hash": hash };
  const pod = podFromTemplate(set.spec?.template ?? {}, {
    namespace,
    owner: controllerReference(set, kind),
    labels,
  });
  const here = { matchFields: [{ key: "metadata.name", operator: "In" as const, values: [node] }] };
  const affinity = {
    ...pod.spec?.affinity,
    nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [here] } },
  };
  const spec = { ...pod.spec, affinity, tolerations: [...(pod.spec?.tolerations ?? []), ...tolerations] };
  return { ...pod, spec } as typeof pod;
}

async function writeStatus(
  set: Stored<DaemonSet>,
  hash: string,
  { caches, client, clock, signal }: Context,
): Promise<void> {
  const nodes = [...caches.nodes.list()].filter((node) => shouldRun(set, node));
  const names = new Set(nodes.map((node) => node.metadata.name));
  const owned = caches.pods.byIndex(byController, set.metadata.uid).filter((pod) => !isTerminating(pod));
  const placed = owned.filter((pod) => names.has(nodeOf(pod) ?? ""));
  const minReadySeconds = set.spec?.minReadySeconds ?? 0;
  const available = placed.filter((pod) =>
    isAvailable(pod, { minReadySeconds, nowMs: clock.nowMs() }),
  ).length;
  const status = {
    observedGeneration: set.metadata.generation ?? 0,
    desiredNumberScheduled: nodes.length,
    currentNumberScheduled: new Set(placed.map(nodeOf)).size,
    numberMisscheduled: owned.length - placed.length,
    numberReady: placed.filter(isReady).length,
    numberAvailable: available,
    numberUnavailable: nodes.length - available,
    updatedNumberScheduled: placed.filter((pod) => pod.metadata.labels?.["controller-revision-hash"] === hash)
      .length,
  };
  if (canonical({ ...set.status, ...status }) === canonical(set.status ?? {})) return;
  const { name, namespace = "default" } = set.metadata;
  await client.patch(daemonSets, {
    name,
    namespace,
    type: "merge",
    body: { status },
    subresource: "status",
    signal,
  });
}
