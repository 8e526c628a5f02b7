import type { Stored } from "@cortado/client";
import { again, done, startLoop, type Loop, type Outcome } from "@cortado/client/loop";
import { keyOf, splitKey } from "@cortado/client/informer";
import type { Pod, ReplicaSet } from "@cortado/kinds";
import { pods, replicaSets } from "@cortado/kinds/resources";
import { messageOf } from "@cortado/std/status";
import { byController, byNamespace } from "../caches.ts";
import type { Context } from "../context.ts";
import { BURST_PODS } from "../limits.ts";
import { adoption, availableInMs, byUselessness, controllerReference, isActive } from "../owned/owned.ts";
import { isAvailable, isReady, isTerminating, orphansFor, podFromTemplate } from "../owned/owned.ts";
import { keysOf, wakeOwners } from "../owned/wake.ts";
import { canonical } from "../owned/template.ts";
import { withCondition } from "../owned/conditions.ts";

const kind = { apiVersion: "apps/v1", kind: "ReplicaSet" };

/** Keeps as many pods of a ReplicaSet as it asks for. */
export function startReplicaSetLoop(context: Context): Loop {
  const { caches } = context;
  // Pods that this loop has asked to end and that the cache still shows: counted twice, one too many would be ended.
  const ending = new Set<string>();
  const loop = startLoop({
    ...context,
    name: "replicaset",
    metrics: context.loopMetrics,
    workers: 5,
    keys: () => keysOf(caches.replicaSets),
    reconcile: (key) => reconcile(key, { ...context, ending }),
  });
  caches.replicaSets.subscribe(({ key }) => loop.add(key));
  wakeOwners(caches.pods, kind.kind, loop);
  caches.pods.subscribe(({ old, now }) => {
    if (now === undefined && old !== undefined) ending.delete(old.metadata.uid);
  });
  return loop;
}

type SetContext = Context & { readonly ending: Set<string> };

async function reconcile(key: string, context: SetContext): Promise<Outcome> {
  const { caches, clock } = context;
  const set = caches.replicaSets.get(key);
  if (set === undefined) return done;
  await adoptOrphans(set, context);
  const owned = caches.pods.byIndex(byController, set.metadata.uid);
  const active = owned.filter((pod) => isActive(pod) && !context.ending.has(pod.metadata.uid));
  const failure = isTerminating(set) ? undefined : await scale(set, active, context);
  await writeStatus(set, failure, context);
  if (failure !== undefined) throw failure;
  const minReadySeconds = set.spec?.minReadySeconds ?? 0;
  const waits = owned
    .filter(isReady)
    .map((pod) => availableInMs(pod, { minReadySeconds, nowMs: clock.nowMs() }));
  const soonest = Math.min(...waits.filter((ms) => ms > 0));
  return Number.isFinite(soonest) ? again(soonest) : done;
}

async function adoptOrphans(set: Stored<ReplicaSet>, { caches, client, signal }: Context): Promise<void> {
  if (isTerminating(set)) return;
  const { namespace } = splitKey(keyOf(set));
  const owner = controllerReference(set, kind);
  for (const orphan of orphansFor(caches.pods.byIndex(byNamespace, namespace), set.spec?.selector)) {
    if (!isActive(orphan)) continue;
    const { name } = orphan.metadata;
    const adopted = await client.patch(pods, {
      name,
      namespace,
      type: "json",
      body: adoption(orphan, owner),
      signal,
    });
    await caches.pods.seen(adopted.metadata.resourceVersion);
  }
}

/** Makes or ends pods; answers what went wrong instead of throwing, so that the status says it. */
async function scale(
  set: Stored<ReplicaSet>,
  active: readonly Stored<Pod>[],
  context: SetContext,
): Promise<Error | undefined> {
  const wanted = set.spec?.replicas ?? 1;
  try {
    if (active.length < wanted) await makePods(set, Math.min(wanted - active.length, BURST_PODS), context);
    else if (active.length > wanted)
      await endPods(set, active.toSorted(byUselessness).slice(0, active.length - wanted), context);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error : new Error(messageOf(error));
  }
}

async function makePods(set: Stored<ReplicaSet>, count: number, context: Context): Promise<void> {
  const { client, signal, recorder, caches } = context;
  const { namespace = "default" } = set.metadata;
  const owner = controllerReference(set, kind);
  const pod = podFromTemplate(set.spec?.template ?? {}, { namespace, owner });
  for (let made = 0; made < count; made += 1) {
    try {
      const created = await client.create(pods, pod, { signal });
      recorder({
        object: set,
        ...kind,
        type: "Normal",
        reason: "SuccessfulCreate",
        message: `Created pod: ${created.metadata.name}`,
      });
      await caches.pods.seen(created.metadata.resourceVersion);
    } catch (error) {
      recorder({
        object: set,
        ...kind,
        type: "Warning",
        reason: "FailedCreate",
        message: `Error creating: ${messageOf(error)}`,
      });
      throw error;
    }
  }
}

async function endPods(
  set: Stored<ReplicaSet>,
  victims: readonly Stored<Pod>[],
  context: SetContext,
): Promise<void> {
  const { client, signal, recorder, ending } = context;
  const { namespace = "default" } = set.metadata;
  for (const { metadata } of victims) {
    await client.delete(pods, {
      name: metadata.name,
      namespace,
      preconditions: { uid: metadata.uid },
      signal,
    });
    ending.add(metadata.uid);
    recorder({
      object: set,
      ...kind,
      type: "Normal",
      reason: "SuccessfulDelete",
      message: `Deleted pod: ${metadata.name}`,
    });
  }
}

async function writeStatus(
  set: Stored<ReplicaSet>,
  failure: Error | undefined,
  context: Context,
): Promise<void> {
  const { caches, client, clock, signal } = context;
  const active = caches.pods.byIndex(byController, set.metadata.uid).filter(isActive);
  const minReadySeconds = set.spec?.minReadySeconds ?? 0;
  const nowMs = clock.nowMs();
  const labels = Object.entries(set.spec?.template?.metadata?.labels ?? {});
  const labelled = active.filter((pod) =>
    labels.every(([name, value]) => pod.metadata.labels?.[name] === value),
  );
  const failed = {
    type: "ReplicaFailure",
    status: "True",
    reason: "FailedCreate",
    message: failure?.message ?? "",
  };
  const others = (set.status?.conditions ?? []).filter(({ type }) => type !== "ReplicaFailure");
  const conditions =
    failure === undefined
      ? others
      : withCondition(set.status?.conditions, failed as (typeof others)[number], nowMs);
  const status = {
    replicas: active.length,
    fullyLabeledReplicas: labelled.length,
    readyReplicas: active.filter(isReady).length,
    availableReplicas: active.filter((pod) => isAvailable(pod, { minReadySeconds, nowMs })).length,
    observedGeneration: set.metadata.generation ?? 0,
    conditions: conditions.length === 0 ? null : conditions,
  };
  const before = { ...set.status, conditions: set.status?.conditions ?? null };
  if (canonical({ ...before, ...status }) === canonical(before)) return;
  const { name, namespace = "default" } = set.metadata;
  await client.patch(replicaSets, {
    name,
    namespace,
    type: "merge",
    body: { status },
    subresource: "status",
    signal,
  });
}
