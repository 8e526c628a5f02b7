import type { Stored } from "@cortado/client";
import { again, done, startLoop, type Loop, type Outcome } from "@cortado/client/loop";
import type { Deployment, Pod, ReplicaSet } from "@cortado/kinds";
import { deployments, replicaSets } from "@cortado/kinds/resources";
import { hasReason } from "@cortado/std/status";
import { byController, byNamespace } from "../caches.ts";
import type { Context } from "../context.ts";
import { REVISIONS_KEPT } from "../limits.ts";
import { adoption, controllerReference, isTerminating, orphansFor } from "../owned/owned.ts";
import { sameTemplate, templateHash } from "../owned/template.ts";
import { keysOf, wakeOwners } from "../owned/wake.ts";
import { planRollout, replicasOf } from "./plan.ts";
import { deploymentStatus, progressDeadlineMs } from "./status.ts";

const kind = { apiVersion: "apps/v1", kind: "Deployment" };
const revisionKey = "deployment.kubernetes.io/revision";

/** Rolls Deployments out over ReplicaSets. */
export function startDeploymentLoop(context: Context): Loop {
  const { caches } = context;
  const loop = startLoop({
    ...context,
    name: "deployment",
    metrics: context.loopMetrics,
    workers: 5,
    keys: () => keysOf(caches.deployments),
    reconcile: (key) => reconcile(key, context),
  });
  caches.deployments.subscribe(({ key }) => loop.add(key));
  wakeOwners(caches.replicaSets, kind.kind, loop);
  // "Recreate" waits for pods to be gone, which changes no ReplicaSet.
  caches.pods.subscribe(({ old, now }) => {
    if (now !== undefined || old === undefined) return;
    const set = (old.metadata.ownerReferences ?? []).find((owner) => owner.kind === "ReplicaSet");
    const owner = caches.replicaSets.get(`${old.metadata.namespace}/${set?.name}`)?.metadata
      .ownerReferences?.[0];
    if (owner?.kind === kind.kind) loop.add(`${old.metadata.namespace}/${owner.name}`);
  });
  return loop;
}

async function reconcile(key: string, context: Context): Promise<Outcome> {
  const { caches, clock } = context;
  const deployment = caches.deployments.get(key);
  if (deployment === undefined) return done;
  if (isTerminating(deployment)) return done;
  await adoptOrphans(deployment, context);
  const fresh = await freshSet(deployment, context);
  const sets = caches.replicaSets.byIndex(byController, deployment.metadata.uid);
  const old = sets.filter((set) => set.metadata.uid !== fresh?.metadata.uid && !isTerminating(set));
  const oldPods = old
    .flatMap((set) => caches.pods.byIndex(byController, set.metadata.uid))
    .filter((pod) => !isFinished(pod)).length;
  for (const { name, replicas } of planRollout({ deployment, fresh, old, oldPods }))
    await scale(deployment, { name, replicas }, context);
  await forgetOld(deployment, old, context);
  const status = deploymentStatus({ deployment, fresh, sets, nowMs: clock.nowMs() });
  await writeStatus(deployment, status, context);
  const waitMs = progressDeadlineMs(deployment, status, clock.nowMs());
  return waitMs === undefined ? done : again(waitMs);
}

function isFinished(pod: Pod): boolean {
  return pod.status?.phase === "Succeeded" || pod.status?.phase === "Failed";
}

async function adoptOrphans(
  deployment: Stored<Deployment>,
  { caches, client, signal }: Context,
): Promise<void> {
  const { namespace = "default" } = deployment.metadata;
  const owner = controllerReference(deployment, kind);
  for (const orphan of orphansFor(
    caches.replicaSets.byIndex(byNamespace, namespace),
    deployment.spec?.selector,
  )) {
    const { name } = orphan.metadata;
    const adopted = await client.patch(replicaSets, {
      name,
      namespace,
      type: "json",
      body: adoption(orphan, owner),
      signal,
    });
    await caches.replicaSets.seen(adopted.metadata.resourceVersion);
  }
}

/** The ReplicaSet with the wanted template, with the highest revision; made when there is none, unless the rollout is paused. */
async function freshSet(
  deployment: Stored<Deployment>,
  context: Context,
): Promise<Stored<ReplicaSet> | undefined> {
  const { caches, client, signal } = context;
  const sets = caches.replicaSets.byIndex(byController, deployment.metadata.uid);
  const revisions = sets.map((set) => Number(set.metadata.annotations?.[revisionKey] ?? 0));
  const found = sets.find((set) => sameTemplate(set.spec?.template, deployment.spec?.template));
  const newest = Math.max(0, ...revisions);
  if (found === undefined && deployment.spec?.paused === true) return undefined;
  if (found === undefined) return makeSet(deployment, newest + 1, context);
  const revision = Number(found.metadata.annotations?.[revisionKey] ?? 0);
  const isNewest = revision === newest && newest > 0;
  const copied = Object.entries(carriedAnnotations(deployment)).filter(
    ([key, value]) => found.metadata.annotations?.[key] !== value,
  );
  if (isNewest && copied.length === 0) return found;
  const annotations = {
    ...Object.fromEntries(copied),
    [revisionKey]: String(isNewest ? revision : newest + 1),
  };
  const { name, namespace = "default" } = found.metadata;
  return client.patch(replicaSets, {
    name,
    namespace,
    type: "merge",
    body: { metadata: { annotations } },
    signal,
  });
}

async function makeSet(
  deployment: Stored<Deployment>,
  revision: number,
  context: Context,
): Promise<Stored<ReplicaSet>> {
  const { caches, client, signal } = context;
  const { namespace = "default", name } = deployment.metadata;
  const template = deployment.spec?.template ?? {};
  const hash = templateHash(template, deployment.status?.collisionCount ?? 0);
  const labels = { ...template.metadata?.labels, "pod-template-hash": hash };
  const selector = deployment.spec?.selector;
  const annotations = carriedAnnotations(deployment);
  const set = {
    metadata: {
      name: `${name}-${hash}`,
      namespace,
      labels,
      annotations: { ...annotations, [revisionKey]: String(revision) },
      ownerReferences: [controllerReference(deployment, kind)],
    },
    spec: {
      replicas: 0,
      minReadySeconds: deployment.spec?.minReadySeconds ?? 0,
      selector: { ...selector, matchLabels: { ...selector?.matchLabels, "pod-template-hash": hash } },
      template: { ...template, metadata: { ...template.metadata, labels } },
    },
  };
  try {
    const made = await client.create(replicaSets, set, { signal });
    await caches.replicaSets.seen(made.metadata.resourceVersion);
    return made;
  } catch (error) {
    // The name is taken by a set that is not this template's: count the collision, so that the next hash differs.
    if (hasReason(error, "AlreadyExists")) {
      const status = { collisionCount: (deployment.status?.collisionCount ?? 0) + 1 };
      await client.patch(deployments, {
        name,
        namespace,
        type: "merge",
        body: { status },
        subresource: "status",
        signal,
      });
    }
    throw error;
  }
}

/** What a set repeats of its Deployment's annotations: `rollout history` reads the change cause there. */
function carriedAnnotations(deployment: Stored<Deployment>): Readonly<Record<string, string>> {
  const {
    ["kubectl.kubernetes.io/last-applied-configuration"]: _applied,
    [revisionKey]: _revision,
    ...carried
  } = deployment.metadata.annotations ?? {};
  return carried;
}

async function scale(
  deployment: Stored<Deployment>,
  { name, replicas }: { readonly name: string; readonly replicas: number },
  { caches, client, signal, recorder }: Context,
): Promise<void> {
  const { namespace = "default" } = deployment.metadata;
  const before = caches.replicaSets.get(`${namespace}/${name}`);
  const scaled = await client.patch(replicaSets, {
    name,
    namespace,
    type: "merge",
    body: { spec: { replicas } },
    signal,
  });
  await caches.replicaSets.seen(scaled.metadata.resourceVersion);
  const from = before === undefined ? 0 : replicasOf(before);
  const word = replicas > from ? "up" : "down";
  const message = `Scaled ${word} replica set ${name} from ${from} to ${replicas}`;
  recorder({ object: deployment, ...kind, type: "Normal", reason: "ScalingReplicaSet", message });
}

async function forgetOld(
  deployment: Stored<Deployment>,
  old: readonly Stored<ReplicaSet>[],
  context: Context,
): Promise<void> {
  const { client, signal } = context;
  const kept = deployment.spec?.revisionHistoryLimit ?? REVISIONS_KEPT;
  const empty = old.filter((set) => replicasOf(set) === 0 && (set.status?.replicas ?? 0) === 0);
  const byAge = empty.toSorted(
    (one, other) =>
      Number(one.metadata.annotations?.[revisionKey] ?? 0) -
      Number(other.metadata.annotations?.[revisionKey] ?? 0),
  );
  for (const { metadata } of byAge.slice(0, Math.max(0, byAge.length - kept))) {
    const { name, namespace = "default", uid } = metadata;
    await client.delete(replicaSets, { name, namespace, preconditions: { uid }, signal });
  }
}

async function writeStatus(
  deployment: Stored<Deployment>,
  status: ReturnType<typeof deploymentStatus>,
  { client, signal }: Context,
): Promise<void> {
  const { name, namespace = "default" } = deployment.metadata;
  const revision = status.revision;
  if (deployment.metadata.annotations?.[revisionKey] !== revision && revision !== undefined) {
    const annotations = { [revisionKey]: revision };
    await client.patch(deployments, {
      name,
      namespace,
      type: "merge",
      body: { metadata: { annotations } },
      signal,
    });
  }
  if (!status.changed) return;
  // Upstream leaves a count of none out here; a merge takes a field away by null.
  const unavailableReplicas =
    status.status["unavailableReplicas"] === 0 ? null : status.status["unavailableReplicas"];
  const body = { status: { ...status.status, unavailableReplicas } };
  await client.patch(deployments, { name, namespace, type: "merge", body, subresource: "status", signal });
}
