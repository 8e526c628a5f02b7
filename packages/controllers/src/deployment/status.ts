import type { Stored } from "@cortado/client";
import type { Deployment, DeploymentCondition, ReplicaSet } from "@cortado/kinds";
import { toTime } from "@cortado/std/clock";
import { withCondition } from "../owned/conditions.ts";
import { canonical } from "../owned/template.ts";
import { limitsOf, replicasOf } from "./plan.ts";

export type StatusView = {
  readonly deployment: Stored<Deployment>;
  /** None: a paused Deployment whose template has changed. */
  readonly fresh: Stored<ReplicaSet> | undefined;
  readonly sets: readonly Stored<ReplicaSet>[];
  readonly nowMs: number;
};

export type DeploymentStatusResult = {
  readonly status: Record<string, unknown> & { readonly conditions: readonly DeploymentCondition[] };
  readonly changed: boolean;
  /** The fresh set's revision, which the Deployment's annotation repeats for `kubectl rollout history`. */
  readonly revision: string | undefined;
};

/** Sums up the sets of a Deployment. Pure. */
export function deploymentStatus(view: StatusView): DeploymentStatusResult {
  const { deployment, fresh, sets } = view;
  const sum = (count: (set: ReplicaSet) => number | undefined): number =>
    sets.reduce((total, set) => total + (count(set) ?? 0), 0);
  const replicas = sum((set) => set.status?.replicas);
  const availableReplicas = sum((set) => set.status?.availableReplicas);
  const updatedReplicas = fresh?.status?.replicas ?? 0;
  const counts = {
    replicas,
    updatedReplicas,
    readyReplicas: sum((set) => set.status?.readyReplicas),
    availableReplicas,
    unavailableReplicas: Math.max(0, sum(replicasOf) - availableReplicas),
  };
  const before = deployment.status;
  const progressed =
    counts.updatedReplicas > (before?.updatedReplicas ?? 0) ||
    counts.readyReplicas > (before?.readyReplicas ?? 0) ||
    counts.availableReplicas > (before?.availableReplicas ?? 0) ||
    counts.replicas - counts.updatedReplicas < (before?.replicas ?? 0) - (before?.updatedReplicas ?? 0);
  const conditions = conditionsOf({ ...view, ...counts, progressed });
  const observedGeneration = deployment.metadata.generation ?? 0;
  const status = { observedGeneration, ...counts, conditions };
  const comparable = {
    observedGeneration: 0,
    replicas: 0,
    updatedReplicas: 0,
    readyReplicas: 0,
    availableReplicas: 0,
    unavailableReplicas: 0,
  };
  const changed =
    canonical({ ...comparable, ...before, ...status }) !==
    canonical({ ...comparable, conditions: [], ...before });
  return { status, changed, revision: fresh?.metadata.annotations?.["deployment.kubernetes.io/revision"] };
}

type ConditionView = StatusView & {
  readonly replicas: number;
  readonly updatedReplicas: number;
  readonly availableReplicas: number;
  readonly progressed: boolean;
};

function conditionsOf(view: ConditionView): readonly DeploymentCondition[] {
  const { deployment, availableReplicas, nowMs } = view;
  const { maxUnavailable } = limitsOf(deployment);
  const enough = availableReplicas >= (deployment.spec?.replicas ?? 1) - maxUnavailable;
  const text = enough
    ? { status: "True", reason: "MinimumReplicasAvailable", message: "Deployment has minimum availability." }
    : {
        status: "False",
        reason: "MinimumReplicasUnavailable",
        message: "Deployment does not have minimum availability.",
      };
  const available = withStamp(deployment.status?.conditions, { type: "Available", ...text }, nowMs);
  const progressing = progressOf(view);
  return progressing === undefined ? available : withStamp(available, progressing, nowMs, view.progressed);
}

/** The "Progressing" condition (kubernetes, pkg/controller/deployment/progress.go). */
function progressOf(view: ConditionView): Omit<DeploymentCondition, "lastTransitionTime"> | undefined {
  const { deployment, fresh, updatedReplicas, availableReplicas, replicas, nowMs } = view;
  const wanted = deployment.spec?.replicas ?? 1;
  const name = fresh?.metadata.name ?? "";
  const before = deployment.status?.conditions?.find((condition) => condition.type === "Progressing");
  if (updatedReplicas === wanted && replicas === wanted && availableReplicas >= wanted)
    return {
      type: "Progressing",
      status: "True",
      reason: "NewReplicaSetAvailable",
      message: `ReplicaSet "${name}" has successfully progressed.`,
    };
  if (deployment.spec?.paused === true)
    return {
      type: "Progressing",
      status: "Unknown",
      reason: "DeploymentPaused",
      message: "Deployment is paused",
    };
  const deadlineMs = (deployment.spec?.progressDeadlineSeconds ?? 600) * 1_000;
  const sinceMs = Date.parse(before?.lastUpdateTime ?? "");
  const waited =
    before !== undefined && before.reason !== "NewReplicaSetAvailable" && nowMs - sinceMs >= deadlineMs;
  // Once out of time it stays so until something moves, or the condition would flap with each round.
  if ((waited || before?.reason === "ProgressDeadlineExceeded") && !view.progressed) {
    const message = `ReplicaSet "${name}" has timed out progressing.`;
    return { type: "Progressing", status: "False", reason: "ProgressDeadlineExceeded", message };
  }
  return {
    type: "Progressing",
    status: "True",
    reason: "ReplicaSetUpdated",
    message: `ReplicaSet "${name}" is progressing.`,
  };
}

/** Sets a condition with its update time, which moves when the text does or when there was progress. */
function withStamp(
  conditions: readonly DeploymentCondition[] | undefined,
  next: Omit<DeploymentCondition, "lastTransitionTime">,
  nowMs: number,
  progressed = false,
): DeploymentCondition[] {
  const before = conditions?.find((condition) => condition.type === next.type);
  const same = before?.reason === next.reason && before?.status === next.status && !progressed;
  const lastUpdateTime = same ? (before?.lastUpdateTime ?? toTime(nowMs)) : toTime(nowMs);
  return withCondition(conditions, { ...next, lastUpdateTime }, nowMs);
}

/** When to look again whether a rollout has run out of time; undefined when it is complete or has no deadline. */
export function progressDeadlineMs(
  deployment: Deployment,
  result: DeploymentStatusResult,
  nowMs: number,
): number | undefined {
  const progressing = result.status.conditions.find((condition) => condition.type === "Progressing");
  if (progressing?.reason !== "ReplicaSetUpdated") return undefined;
  const deadlineMs = (deployment.spec?.progressDeadlineSeconds ?? 600) * 1_000;
  return Math.max(1_000, Date.parse(progressing.lastUpdateTime ?? "") + deadlineMs - nowMs);
}
