import { at, fieldOf, listAt, textAt, treeAt, type Tree } from "@cortado/kinds/tree";
import { conditionOf, conditionText, isReady, notReady, type Readiness } from "./conditions.ts";

function countAt(object: Tree, ...path: readonly string[]): number {
  const found = at(object, ...path);
  return typeof found === "number" ? found : 0;
}

function replicasOf(object: Tree): number {
  const found = at(object, "spec", "replicas");
  return typeof found === "number" ? found : 1;
}

function isUnseen(object: Tree): boolean {
  return at(object, "status", "observedGeneration") === undefined;
}

const unseen = notReady("its controller has not looked at it yet");

/** Waits as `kubectl rollout status` does: for new pods, for old ones to end, for the new ones to be available. */
export function deploymentReadiness(deployment: Tree): Readiness {
  const wanted = replicasOf(deployment);
  if (isUnseen(deployment)) return unseen;
  const progressing = conditionOf(deployment, "Progressing");
  if (textAt(progressing, "reason") === "ProgressDeadlineExceeded")
    return notReady(conditionText(progressing));
  const updated = countAt(deployment, "status", "updatedReplicas");
  const all = countAt(deployment, "status", "replicas");
  const available = countAt(deployment, "status", "availableReplicas");
  if (updated < wanted) {
    const failure = conditionOf(deployment, "ReplicaFailure");
    if (textAt(failure, "status") === "True") return notReady(conditionText(failure));
    return notReady(`${updated} of ${wanted} new pods are made`);
  }
  if (all > updated) return notReady(`${all - updated} old pods are not ended yet`);
  if (available < updated) return notReady(`${available} of ${updated} pods are available`);
  return isReady;
}

/** Of a ReplicationController too. */
export function replicaSetReadiness(set: Tree): Readiness {
  const wanted = replicasOf(set);
  if (isUnseen(set)) return unseen;
  const failure = conditionOf(set, "ReplicaFailure");
  if (textAt(failure, "status") === "True") return notReady(conditionText(failure));
  const available = countAt(set, "status", "availableReplicas");
  return available < wanted ? notReady(`${available} of ${wanted} pods are available`) : isReady;
}

export function statefulSetReadiness(set: Tree): Readiness {
  const wanted = replicasOf(set);
  if (isUnseen(set)) return unseen;
  const ready = countAt(set, "status", "readyReplicas");
  if (ready < wanted) return notReady(`${ready} of ${wanted} pods are ready`);
  // With OnDelete pods become new when somebody deletes them: nothing to wait for.
  if (textAt(set, "spec", "updateStrategy", "type") === "OnDelete") return isReady;
  const partition = countAt(set, "spec", "updateStrategy", "rollingUpdate", "partition");
  const updated = countAt(set, "status", "updatedReplicas");
  const toUpdate = Math.max(0, wanted - partition);
  const isNew = textAt(set, "status", "currentRevision") === textAt(set, "status", "updateRevision");
  if (partition === 0 ? isNew : updated >= toUpdate) return isReady;
  return notReady(`${updated} of ${toUpdate} pods are new`);
}

export function daemonSetReadiness(set: Tree): Readiness {
  if (isUnseen(set)) return unseen;
  const wanted = countAt(set, "status", "desiredNumberScheduled");
  const updated = countAt(set, "status", "updatedNumberScheduled");
  const available = countAt(set, "status", "numberAvailable");
  const isRolling = textAt(set, "spec", "updateStrategy", "type") !== "OnDelete";
  if (isRolling && updated < wanted) return notReady(`${updated} of ${wanted} pods are new`);
  return available < wanted ? notReady(`${available} of ${wanted} pods are available`) : isReady;
}

export function podReadiness(pod: Tree): Readiness {
  const phase = textAt(pod, "status", "phase");
  if (phase === "Succeeded") return isReady;
  const isUp = textAt(conditionOf(pod, "Ready"), "status") === "True";
  if (phase === "Running" && isUp) return isReady;
  return notReady(podTrouble(pod));
}

/** Why a pod is not up, as exactly as its status tells: the container that waits or ended, or where it stands. */
export function podTrouble(pod: Tree): string {
  const named = namedTrouble(pod);
  if (named !== "") return named;
  const phase = textAt(pod, "status", "phase");
  const ready = conditionOf(pod, "Ready");
  const why = textAt(pod, "status", "message") || textAt(ready, "message");
  return `the pod is ${phase === "" ? "Pending" : phase}, not Ready${why === "" ? "" : `: ${why}`}`;
}

/** Whether nothing went wrong with a pod yet: it has only not come up so far. */
export function isBeginning(pod: Tree): boolean {
  const phase = textAt(pod, "status", "phase");
  return (phase === "" || phase === "Pending") && namedTrouble(pod) === "";
}

/** What keeps a pod from being up, by name; empty: its status names nothing. */
function namedTrouble(pod: Tree): string {
  const containers = [
    ...listAt(pod, "status", "initContainerStatuses"),
    ...listAt(pod, "status", "containerStatuses"),
  ];
  for (const container of containers) {
    const waiting = treeAt(container, "state", "waiting");
    const reason = textAt(waiting, "reason");
    const isUsual = reason === "ContainerCreating" || reason === "PodInitializing";
    if (reason !== "" && !isUsual)
      return containerText(container, { reason, message: textAt(waiting, "message") });
    const ended = treeAt(container, "state", "terminated");
    const exitCode = fieldOf(ended, "exitCode");
    if (typeof exitCode === "number" && exitCode !== 0)
      return containerText(container, {
        reason: `ended with ${exitCode}`,
        message: textAt(ended, "message"),
      });
  }
  const scheduled = conditionOf(pod, "PodScheduled");
  return textAt(scheduled, "status") === "False" ? conditionText(scheduled) : "";
}

type Trouble = { readonly reason: string; readonly message: string };

function containerText(container: unknown, { reason, message }: Trouble): string {
  return `container ${textAt(container, "name")}: ${reason}${message === "" ? "" : ` (${message})`}`;
}
