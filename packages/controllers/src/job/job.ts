import type { Stored } from "@cortado/client";
import { again, done, startLoop, type Loop, type Outcome } from "@cortado/client/loop";
import type { Job, JobCondition } from "@cortado/kinds";
import { jobs, pods } from "@cortado/kinds/resources";
import { toTime } from "@cortado/std/clock";
import { byController } from "../caches.ts";
import type { Context } from "../context.ts";
import { conditionIs, withCondition } from "../owned/conditions.ts";
import { controllerReference, isReady, isTerminating, podFromTemplate } from "../owned/owned.ts";
import { canonical } from "../owned/template.ts";
import { keysOf, wakeOwners } from "../owned/wake.ts";
import { indexAnnotation, planJob, type JobPlan } from "./plan.ts";

const kind = { apiVersion: "batch/v1", kind: "Job" };

/** Runs pods to completion. */
export function startJobLoop(context: Context): Loop {
  const { caches } = context;
  const loop = startLoop({
    ...context,
    name: "job",
    metrics: context.loopMetrics,
    workers: 3,
    keys: () => keysOf(caches.jobs),
    reconcile: (key) => reconcile(key, context),
  });
  caches.jobs.subscribe(({ key }) => loop.add(key));
  wakeOwners(caches.pods, kind.kind, loop);
  return loop;
}

async function reconcile(key: string, context: Context): Promise<Outcome> {
  const { caches, clock } = context;
  const job = caches.jobs.get(key);
  if (job === undefined || isTerminating(job)) return done;
  if (isOver(job)) return expire(job, context);
  const nowMs = clock.nowMs();
  const plan = planJob(job, caches.pods.byIndex(byController, job.metadata.uid), nowMs);
  await carryOut(job, plan, context);
  await writeStatus(job, plan, context);
  return plan.againMs === undefined ? done : again(plan.againMs);
}

function isOver(job: Job): boolean {
  return conditionIs(job.status?.conditions, "Complete") || conditionIs(job.status?.conditions, "Failed");
}

/** Deletes a finished Job when its time to live has passed. */
async function expire(job: Stored<Job>, { client, clock, signal }: Context): Promise<Outcome> {
  const { ttlSecondsAfterFinished: ttl } = job.spec ?? {};
  if (ttl === undefined) return done;
  const over = job.status?.conditions?.find(
    ({ type, status }) => (type === "Complete" || type === "Failed") && status === "True",
  );
  const waitMs = Date.parse(over?.lastTransitionTime ?? "") + ttl * 1_000 - clock.nowMs();
  if (waitMs > 0) return again(waitMs);
  const { name, namespace = "default", uid } = job.metadata;
  await client.delete(jobs, {
    name,
    namespace,
    preconditions: { uid },
    propagationPolicy: "Background",
    signal,
  });
  return done;
}

async function carryOut(job: Stored<Job>, plan: JobPlan, context: Context): Promise<void> {
  const { client, caches, signal, recorder } = context;
  const { namespace = "default", name } = job.metadata;
  for (const { metadata } of plan.end)
    await client.delete(pods, {
      name: metadata.name,
      namespace,
      preconditions: { uid: metadata.uid },
      signal,
    });
  for (const index of plan.make) {
    const labels = {
      "batch.kubernetes.io/job-name": name,
      "job-name": name,
      "batch.kubernetes.io/controller-uid": job.metadata.uid,
      "controller-uid": job.metadata.uid,
      ...(index === undefined ? {} : { [indexAnnotation]: String(index) }),
    };
    const owner = controllerReference(job, kind);
    const pod = podFromTemplate(job.spec?.template ?? {}, { namespace, owner, labels });
    const made = await client.create(pods, index === undefined ? pod : withIndex(pod, name, index), {
      signal,
    });
    await caches.pods.seen(made.metadata.resourceVersion);
    recorder({
      object: job,
      ...kind,
      type: "Normal",
      reason: "SuccessfulCreate",
      message: `Created pod: ${made.metadata.name}`,
    });
  }
}

function withIndex(
  pod: ReturnType<typeof podFromTemplate>,
  name: string,
  index: number,
): ReturnType<typeof podFromTemplate> {
  const env = { name: "JOB_COMPLETION_INDEX", value: String(index) };
  const containers = (pod.spec?.containers ?? []).map((container) => ({
    ...container,
    env: [...(container.env ?? []), env],
  }));
  const annotations = { ...pod.metadata.annotations, [indexAnnotation]: String(index) };
  const metadata = { ...pod.metadata, generateName: `${name}-${index}-`, annotations };
  return { ...pod, metadata, spec: { ...pod.spec, containers, hostname: `${name}-${index}` } } as typeof pod;
}

async function writeStatus(job: Stored<Job>, plan: JobPlan, context: Context): Promise<void> {
  const { caches, client, clock, signal, recorder } = context;
  const nowMs = clock.nowMs();
  const running = caches.pods.byIndex(byController, job.metadata.uid).filter((pod) => !isTerminating(pod));
  const { over, active, succeeded, failed, completedIndexes } = plan;
  const suspended = job.spec?.suspend === true;
  const status = {
    active,
    succeeded,
    failed,
    ready:
      over === undefined
        ? running.filter((pod) => pod.status?.phase === "Running" && isReady(pod)).length
        : 0,
    terminating: 0,
    uncountedTerminatedPods: {},
    ...(suspended ? { startTime: null } : { startTime: job.status?.startTime ?? toTime(nowMs) }),
    ...(job.spec?.completionMode === "Indexed" ? { completedIndexes: ranges(completedIndexes) } : {}),
    ...(over?.type === "Complete" ? { completionTime: toTime(nowMs) } : {}),
    conditions: conditionsOf(job, plan, nowMs),
  };
  const zero = { active: 0, succeeded: 0, failed: 0, ready: 0, terminating: 0, conditions: [] };
  if (canonical({ ...zero, ...job.status, ...status }) === canonical({ ...zero, ...job.status })) return;
  const { name, namespace = "default" } = job.metadata;
  await client.patch(jobs, {
    name,
    namespace,
    type: "merge",
    body: { status },
    subresource: "status",
    signal,
  });
  if (over === undefined) return;
  const happened = over.type === "Complete" ? { reason: "Completed", message: "Job completed" } : over;
  recorder({
    object: job,
    ...kind,
    type: over.type === "Complete" ? "Normal" : "Warning",
    reason: happened.reason,
    message: happened.message,
  });
}

function conditionsOf(job: Job, { over }: JobPlan, nowMs: number): readonly JobCondition[] {
  const before = job.status?.conditions ?? [];
  const suspended = job.spec?.suspend === true;
  const suspension = {
    type: "Suspended",
    status: suspended ? "True" : "False",
    reason: suspended ? "JobSuspended" : "JobResumed",
  } as const;
  const known = before.some(({ type }) => type === "Suspended");
  const conditions = suspended || known ? withCondition(before, suspension, nowMs) : [...before];
  if (over === undefined) return conditions;
  const met = over.type === "Complete" ? "SuccessCriteriaMet" : "FailureTarget";
  const { reason, message } = over;
  const first = withCondition(conditions, { type: met, status: "True", reason, message }, nowMs);
  return withCondition(first, { type: over.type, status: "True", reason, message }, nowMs);
}

/** [0,1,2,5] as "0-2,5". */
function ranges(indexes: readonly number[]): string {
  const parts: { from: number; to: number }[] = [];
  for (const index of indexes) {
    const last = parts.at(-1);
    if (last !== undefined && last.to === index - 1) last.to = index;
    else parts.push({ from: index, to: index });
  }
  return parts.map(({ from, to }) => (from === to ? String(from) : `${from}-${to}`)).join(",");
}
