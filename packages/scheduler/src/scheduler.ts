import type { Client, Stored } from "@cortado/client";
import { startInformer, type Informer } from "@cortado/client/informer";
import { again, done, startLoop, type LoopMetrics, type Outcome } from "@cortado/client/loop";
import type { Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod } from "@cortado/kinds";
import { namespaces, nodes, persistentVolumeClaims, persistentVolumes, pods } from "@cortado/kinds/resources";
import type { Clock } from "@cortado/std/clock";
import type { Log } from "@cortado/std/log";
import type { Random } from "@cortado/std/random";
import { hasReason } from "@cortado/std/status";
import { bindPod, markUnschedulable } from "./bind/bind.ts";
import { UNSCHEDULABLE_RETRY_MS } from "./limits.ts";
import { planPods } from "./plan/plan.ts";
import type { NodeView, Snapshot } from "./plan/snapshot.ts";

export type SchedulerOptions = {
  readonly client: Client;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly loopMetrics: LoopMetrics;
};

export const schedulerName = "default-scheduler";
/** One round looks at all waiting pods, so the loop has one key. */
const everything = "pods";

type Caches = {
  readonly pods: Informer<Pod>;
  readonly nodes: Informer<Node>;
  readonly claims: Informer<PersistentVolumeClaim>;
  readonly volumes: Informer<PersistentVolume>;
  readonly namespaces: Informer<Namespace>;
  /** Nodes of pods that were bound and that the cache still shows as waiting, by uid. */
  readonly assumed: Map<string, string>;
};

/** Binds pods that ask for the default scheduler to nodes; disposing stops it and waits for the round that runs. */
export function startScheduler(options: SchedulerOptions): AsyncDisposable {
  const stop = new AbortController();
  const { signal } = stop;
  const { client, clock, log } = options;
  const informers = {
    pods: startInformer(client, pods, { clock, log, signal }),
    nodes: startInformer(client, nodes, { clock, log, signal }),
    claims: startInformer(client, persistentVolumeClaims, { clock, log, signal }),
    volumes: startInformer(client, persistentVolumes, { clock, log, signal }),
    namespaces: startInformer(client, namespaces, { clock, log, signal }),
  };
  const caches: Caches = { ...informers, assumed: new Map() };
  const loop = startLoop({
    name: "scheduler",
    reconcile: () => schedule(caches, { ...options, signal }),
    ready: Promise.all(Object.values(informers).map((cache) => cache.synced)),
    clock,
    log,
    metrics: options.loopMetrics,
    signal,
  });
  caches.pods.subscribe(({ old, now }) => {
    if (now === undefined || (now.spec?.nodeName ?? "") !== "")
      caches.assumed.delete((now ?? old)?.metadata.uid ?? "");
    if (now === undefined || isWaiting(now)) loop.add(everything);
  });
  caches.nodes.subscribe(() => loop.add(everything));
  caches.claims.subscribe(() => loop.add(everything));
  return {
    async [Symbol.asyncDispose]() {
      stop.abort(new Error("the scheduler stops"));
      await loop.idle();
    },
  };
}

function isWaiting(pod: Stored<Pod>): boolean {
  if ((pod.spec?.nodeName ?? "") !== "" || pod.metadata.deletionTimestamp !== undefined) return false;
  if (
    (pod.spec?.schedulingGates ?? []).length > 0 ||
    pod.status?.phase === "Succeeded" ||
    pod.status?.phase === "Failed"
  )
    return false;
  return (pod.spec?.schedulerName ?? schedulerName) === schedulerName;
}

async function schedule(
  caches: Caches,
  options: SchedulerOptions & { readonly signal: AbortSignal },
): Promise<Outcome> {
  const waiting = [...caches.pods.list()].filter(
    (pod) => isWaiting(pod) && !caches.assumed.has(pod.metadata.uid),
  );
  if (waiting.length === 0) return done;
  let unplaced = 0;
  for (const decision of planPods(waiting, snapshotOf(caches))) {
    try {
      if (decision.kind === "bind") {
        caches.assumed.set(decision.pod.metadata.uid, decision.node);
        await bindPod(decision, options);
      } else await markUnschedulable(decision, options);
    } catch (error) {
      caches.assumed.delete(decision.pod.metadata.uid);
      // The pod or the claim changed meanwhile: the next round sees it as it is.
      if (!hasReason(error, "Conflict", "NotFound")) throw error;
    }
    if (decision.kind === "wait") unplaced += 1;
  }
  return unplaced > 0 ? again(UNSCHEDULABLE_RETRY_MS) : done;
}

function snapshotOf(caches: Caches): Snapshot {
  const views = new Map<string, NodeView>();
  for (const node of caches.nodes.list()) views.set(node.metadata.name, { node, pods: [] });
  for (const pod of caches.pods.list()) {
    const finished = pod.status?.phase === "Succeeded" || pod.status?.phase === "Failed";
    const node = pod.spec?.nodeName ?? caches.assumed.get(pod.metadata.uid) ?? "";
    if (!finished) views.get(node)?.pods.push(pod);
  }
  return {
    nodes: [...views.values()],
    claims: (key) => caches.claims.get(key),
    volumes: (name) => caches.volumes.get(name),
    namespaceLabels: (name) => caches.namespaces.get(name)?.metadata.labels ?? {},
  };
}
