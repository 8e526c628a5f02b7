import type { Stored } from "@cortado/client";
import type { Job, Pod } from "@cortado/kinds";
import { JOB_BACKOFF_FIRST_MS, JOB_BACKOFF_MAX_MS } from "../limits.ts";

export const indexAnnotation = "batch.kubernetes.io/job-completion-index";

export type JobEnd = {
  readonly type: "Complete" | "Failed";
  readonly reason: string;
  readonly message: string;
};

/** What a round of a Job does: pods to end and to make, its counts, and whether it is over. */
export type JobPlan = {
  readonly end: readonly Stored<Pod>[];
  /** Completion indexes to make pods for; undefined entries when the Job has none. */
  readonly make: readonly (number | undefined)[];
  readonly over: JobEnd | undefined;
  readonly active: number;
  readonly succeeded: number;
  readonly failed: number;
  readonly completedIndexes: readonly number[];
  /** When to look again: a back-off or the deadline. */
  readonly againMs: number | undefined;
};

/** Plans a Job from its pods (kubernetes, pkg/controller/job). Pure. */
export function planJob(job: Stored<Job>, pods: readonly Stored<Pod>[], nowMs: number): JobPlan {
  const active = pods.filter((pod) => !isFinished(pod) && pod.metadata.deletionTimestamp === undefined);
  const succeededPods = pods.filter((pod) => pod.status?.phase === "Succeeded");
  const failedPods = pods.filter((pod) => pod.status?.phase === "Failed");
  const indexed = job.spec?.completionMode === "Indexed";
  const completedIndexes = [...new Set(succeededPods.map(indexOf))]
    .filter((at) => at !== undefined)
    .toSorted((a, b) => a - b);
  const succeeded = indexed ? completedIndexes.length : succeededPods.length;
  const counts = { succeeded, failed: failedPods.length, completedIndexes };
  const restarts = job.spec?.template.spec?.restartPolicy === "OnFailure" ? restartsOf(active) : 0;
  const over = endOf(job, { ...counts, active: active.length, restarts, nowMs });
  const deadlineMs = deadlineOf(job, nowMs);
  if (over !== undefined) return { ...counts, over, end: active, make: [], active: 0, againMs: undefined };
  if (job.spec?.suspend === true)
    return { ...counts, over, end: active, make: [], active: 0, againMs: undefined };
  const missing = missingOf(job, { active, completedIndexes, succeeded, succeededPods });
  if (missing.surplus > 0) {
    const end = active.slice(0, missing.surplus);
    return { ...counts, over, end, make: [], active: active.length - end.length, againMs: deadlineMs };
  }
  const waitMs = backOffMs(failedPods, nowMs);
  const make = waitMs > 0 ? [] : missing.indexes;
  const againMs = Math.min(
    waitMs > 0 && missing.indexes.length > 0 ? waitMs : Infinity,
    deadlineMs ?? Infinity,
  );
  const whenAgain = Number.isFinite(againMs) ? againMs : undefined;
  return { ...counts, over, end: [], make, active: active.length + make.length, againMs: whenAgain };
}

export function indexOf(pod: Pod): number | undefined {
  const text = pod.metadata.annotations?.[indexAnnotation];
  return text === undefined ? undefined : Number(text);
}

function isFinished(pod: Pod): boolean {
  return pod.status?.phase === "Succeeded" || pod.status?.phase === "Failed";
}

function restartsOf(pods: readonly Pod[]): number {
  const counts = pods
    .flatMap((pod) => pod.status?.containerStatuses ?? [])
    .map((status) => status.restartCount ?? 0);
  return counts.reduce((sum, count) => sum + count, 0);
}

type Ending = {
  readonly succeeded: number;
  readonly failed: number;
  readonly active: number;
  readonly restarts: number;
  readonly nowMs: number;
};

function endOf(job: Stored<Job>, { succeeded, failed, active, restarts, nowMs }: Ending): JobEnd | undefined {
  const { backoffLimit = 6, completions, activeDeadlineSeconds } = job.spec ?? {};
  if (failed > backoffLimit || (backoffLimit > 0 && restarts >= backoffLimit))
    return {
      type: "Failed",
      reason: "BackoffLimitExceeded",
      message: "Job has reached the specified backoff limit",
    };
  const startMs = Date.parse(job.status?.startTime ?? "");
  if (activeDeadlineSeconds !== undefined && nowMs - startMs >= activeDeadlineSeconds * 1_000)
    return {
      type: "Failed",
      reason: "DeadlineExceeded",
      message: "Job was active longer than specified deadline",
    };
  const complete = completions === undefined ? succeeded > 0 && active === 0 : succeeded >= completions;
  return complete
    ? { type: "Complete", reason: "CompletionsReached", message: "Reached expected number of succeeded pods" }
    : undefined;
}

function deadlineOf(job: Stored<Job>, nowMs: number): number | undefined {
  const { activeDeadlineSeconds } = job.spec ?? {};
  if (activeDeadlineSeconds === undefined || job.status?.startTime === undefined) return undefined;
  return Math.max(1, Date.parse(job.status.startTime) + activeDeadlineSeconds * 1_000 - nowMs);
}

type Standing = {
  readonly active: readonly Stored<Pod>[];
  readonly succeeded: number;
  readonly succeededPods: readonly Pod[];
  readonly completedIndexes: readonly number[];
};

function missingOf(
  job: Job,
  standing: Standing,
): { readonly indexes: readonly (number | undefined)[]; readonly surplus: number } {
  const { active, succeeded, completedIndexes } = standing;
  const { parallelism = 1, completions } = job.spec ?? {};
  // A work queue (no completions) starts no more pods once one of them has succeeded.
  const wanted =
    completions === undefined
      ? succeeded > 0
        ? active.length
        : parallelism
      : Math.min(parallelism, completions - succeeded);
  const surplus = Math.max(0, active.length - wanted);
  const count = Math.max(0, wanted - active.length);
  if (job.spec?.completionMode !== "Indexed")
    return { indexes: Array.from({ length: count }, () => undefined), surplus };
  const taken = new Set([...completedIndexes, ...active.map(indexOf)]);
  const free = Array.from({ length: completions ?? 0 }, (_unused, at) => at).filter((at) => !taken.has(at));
  return { indexes: free.slice(0, count), surplus };
}

/** Doubles with each failed pod and counts from when the last one ended. */
function backOffMs(failed: readonly Pod[], nowMs: number): number {
  if (failed.length === 0) return 0;
  const lastMs = Math.max(...failed.map(endedMs).filter(Number.isFinite), 0);
  const waitMs = Math.min(JOB_BACKOFF_FIRST_MS * 2 ** Math.min(failed.length - 1, 10), JOB_BACKOFF_MAX_MS);
  return lastMs + waitMs - nowMs;
}

function endedMs(pod: Pod): number {
  const ends = (pod.status?.containerStatuses ?? []).map((status) =>
    Date.parse(status.state?.terminated?.finishedAt ?? ""),
  );
  return Math.max(...ends.filter(Number.isFinite), Date.parse(pod.metadata.creationTimestamp ?? ""));
}
