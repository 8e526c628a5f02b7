import type { Stored } from "@cortado/client";
import { done, startLoop, type Loop, type Outcome } from "@cortado/client/loop";
import type { ControllerRevision, PersistentVolumeClaim, Pod, StatefulSet, Volume } from "@cortado/kinds";
import { controllerRevisions, persistentVolumeClaims, pods, statefulSets } from "@cortado/kinds/resources";
import { hasReason } from "@cortado/std/status";
import { byController } from "../caches.ts";
import type { Context } from "../context.ts";
import { REVISIONS_KEPT } from "../limits.ts";
import { controllerReference, isAvailable, isReady, isTerminating, podFromTemplate } from "../owned/owned.ts";
import { canonical, templateHash } from "../owned/template.ts";
import { keysOf, wakeOwners } from "../owned/wake.ts";
import { planStatefulSet, type StatefulAction } from "./plan.ts";

const kind = { apiVersion: "apps/v1", kind: "StatefulSet" };
const revisionLabel = "controller-revision-hash";

/** Keeps pods with lasting names and volumes, made and ended in order. */
export function startStatefulSetLoop(context: Context): Loop {
  const { caches } = context;
  const loop = startLoop({
    ...context,
    name: "statefulset",
    metrics: context.loopMetrics,
    workers: 2,
    keys: () => keysOf(caches.statefulSets),
    reconcile: (key) => reconcile(key, context),
  });
  caches.statefulSets.subscribe(({ key }) => loop.add(key));
  wakeOwners(caches.pods, kind.kind, loop);
  return loop;
}

async function reconcile(key: string, context: Context): Promise<Outcome> {
  const { caches, clock } = context;
  const set = caches.statefulSets.get(key);
  if (set === undefined || isTerminating(set)) return done;
  const update = await updateRevision(set, context);
  const owned = caches.pods.byIndex(byController, set.metadata.uid);
  const current = set.status?.currentRevision ?? update;
  const minReadySeconds = set.spec?.minReadySeconds ?? 0;
  const available = (pod: Pod): boolean => isAvailable(pod, { minReadySeconds, nowMs: clock.nowMs() });
  const action = planStatefulSet({ set, pods: owned, update, current, available });
  for (const step of action) await carryOut(set, step, context);
  await writeStatus(set, update, context);
  return done;
}

async function carryOut(set: Stored<StatefulSet>, action: StatefulAction, context: Context): Promise<void> {
  const { client, caches, signal, recorder } = context;
  const { namespace = "default", name: setName } = set.metadata;
  if (action.kind === "delete") {
    const { name, uid } = action.pod.metadata;
    await client.delete(pods, { name, namespace, preconditions: { uid }, signal });
    recorder({
      object: set,
      ...kind,
      type: "Normal",
      reason: "SuccessfulDelete",
      message: `delete Pod ${name} in StatefulSet ${setName} successful`,
    });
    return;
  }
  await claimVolumes(set, action.ordinal, context);
  const pod = newPod(set, action, context);
  const made = await client.create(pods, pod, { signal });
  await caches.pods.seen(made.metadata.resourceVersion);
  const message = `create Pod ${made.metadata.name} in StatefulSet ${setName} successful`;
  recorder({ object: set, ...kind, type: "Normal", reason: "SuccessfulCreate", message });
}

function newPod(
  set: Stored<StatefulSet>,
  action: Extract<StatefulAction, { kind: "create" }>,
  { caches }: Context,
) {
  const { namespace = "default", name: setName } = set.metadata;
  const name = `${setName}-${action.ordinal}`;
  const stored = caches.controllerRevisions.get(`${namespace}/${action.revision}`)?.data as
    | { template?: unknown }
    | undefined;
  const template = (stored?.template ?? set.spec?.template ?? {}) as NonNullable<
    StatefulSet["spec"]
  >["template"];
  const labels = {
    [revisionLabel]: action.revision,
    "statefulset.kubernetes.io/pod-name": name,
    "apps.kubernetes.io/pod-index": String(action.ordinal),
  };
  const pod = podFromTemplate(template, { namespace, owner: controllerReference(set, kind), name, labels });
  const claims = (set.spec?.volumeClaimTemplates ?? []).map((claim): Volume => {
    const claimName = `${claim.metadata?.name}-${name}`;
    return { name: claim.metadata?.name ?? "", persistentVolumeClaim: { claimName } };
  });
  const claimed = new Set(claims.map((volume) => volume.name));
  const volumes = [...(pod.spec?.volumes ?? []).filter((volume) => !claimed.has(volume.name)), ...claims];
  const subdomain = set.spec?.serviceName;
  const spec = {
    ...pod.spec,
    hostname: name,
    volumes,
    ...(subdomain === undefined || subdomain === "" ? {} : { subdomain }),
  };
  return { ...pod, spec } as typeof pod;
}

async function claimVolumes(
  set: Stored<StatefulSet>,
  ordinal: number,
  { caches, client, signal }: Context,
): Promise<void> {
  const { namespace = "default", name: setName } = set.metadata;
  for (const template of set.spec?.volumeClaimTemplates ?? []) {
    const name = `${template.metadata?.name}-${setName}-${ordinal}`;
    if (caches.persistentVolumeClaims.get(`${namespace}/${name}`) !== undefined) continue;
    const labels = { ...template.metadata?.labels, ...set.spec?.selector?.matchLabels };
    const claim = {
      metadata: { name, namespace, labels },
      ...(template.spec === undefined ? {} : { spec: template.spec }),
    };
    try {
      await client.create<PersistentVolumeClaim>(persistentVolumeClaims, claim, { signal });
    } catch (error) {
      if (!hasReason(error, "AlreadyExists")) throw error;
    }
  }
}

/** The ControllerRevision that holds the wanted template, made when it is new; old ones are forgotten. */
async function updateRevision(set: Stored<StatefulSet>, context: Context): Promise<string> {
  const { caches, client, signal } = context;
  const { namespace = "default", name: setName } = set.metadata;
  const template = set.spec?.template ?? {};
  const name = `${setName}-${templateHash(template)}`;
  const have = caches.controllerRevisions.byIndex(byController, set.metadata.uid);
  const newest = Math.max(0, ...have.map(({ revision }) => Number(revision)));
  const found = have.find(({ metadata }) => metadata.name === name);
  if (found === undefined) {
    const labels = { ...template.metadata?.labels, [revisionLabel]: name };
    const metadata = { name, namespace, labels, ownerReferences: [controllerReference(set, kind)] };
    const data = { template } as unknown as NonNullable<ControllerRevision["data"]>;
    const made = await client.create<ControllerRevision>(
      controllerRevisions,
      { metadata, data, revision: newest + 1 },
      { signal },
    );
    await caches.controllerRevisions.seen(made.metadata.resourceVersion);
  } else if (Number(found.revision) < newest)
    await client.patch(controllerRevisions, {
      name,
      namespace,
      type: "merge",
      body: { revision: newest + 1 },
      signal,
    });
  const kept = new Set([name, set.status?.currentRevision]);
  const idle = have
    .filter(({ metadata }) => !kept.has(metadata.name))
    .toSorted((one, other) => Number(one.revision) - Number(other.revision));
  const limit = set.spec?.revisionHistoryLimit ?? REVISIONS_KEPT;
  for (const { metadata } of idle.slice(0, Math.max(0, idle.length - limit)))
    await client.delete(controllerRevisions, { name: metadata.name, namespace, signal });
  return name;
}

async function writeStatus(set: Stored<StatefulSet>, update: string, context: Context): Promise<void> {
  const { caches, client, clock, signal } = context;
  const owned = caches.pods.byIndex(byController, set.metadata.uid).filter((pod) => !isTerminating(pod));
  const minReadySeconds = set.spec?.minReadySeconds ?? 0;
  const updated = owned.filter((pod) => pod.metadata.labels?.[revisionLabel] === update);
  const wanted = set.spec?.replicas ?? 1;
  const complete = updated.length === wanted && owned.length === wanted && owned.every(isReady);
  const currentRevision = complete ? update : (set.status?.currentRevision ?? update);
  const status = {
    observedGeneration: set.metadata.generation ?? 0,
    replicas: owned.length,
    readyReplicas: owned.filter(isReady).length,
    availableReplicas: owned.filter((pod) => isAvailable(pod, { minReadySeconds, nowMs: clock.nowMs() }))
      .length,
    currentReplicas: owned.filter((pod) => pod.metadata.labels?.[revisionLabel] === currentRevision).length,
    updatedReplicas: updated.length,
    currentRevision,
    updateRevision: update,
    collisionCount: set.status?.collisionCount ?? 0,
  };
  if (canonical({ ...set.status, ...status }) === canonical(set.status ?? {})) return;
  const { name, namespace = "default" } = set.metadata;
  await client.patch(statefulSets, {
    name,
    namespace,
    type: "merge",
    body: { status },
    subresource: "status",
    signal,
  });
}
