import { Cron } from "croner";
import type { Stored } from "@cortado/client";
import { again, done, startLoop, type Loop, type Outcome } from "@cortado/client/loop";
import type { CronJob, Job } from "@cortado/kinds";
import { cronJobs, jobs } from "@cortado/kinds/resources";
import { toTime } from "@cortado/std/clock";
import { hasReason, messageOf } from "@cortado/std/status";
import { byController } from "../caches.ts";
import type { Context } from "../context.ts";
import { CRON_MISSED_MAX } from "../limits.ts";
import { conditionIs } from "../owned/conditions.ts";
import { controllerReference, isTerminating } from "../owned/owned.ts";
import { canonical } from "../owned/template.ts";
import { keysOf, wakeOwners } from "../owned/wake.ts";

const kind = { apiVersion: "batch/v1", kind: "CronJob" };

/** Makes Jobs at the times of a schedule. */
export function startCronJobLoop(context: Context): Loop {
  const { caches } = context;
  const loop = startLoop({
    ...context,
    name: "cronjob",
    metrics: context.loopMetrics,
    keys: () => keysOf(caches.cronJobs),
    reconcile: (key) => reconcile(key, context),
  });
  caches.cronJobs.subscribe(({ key }) => loop.add(key));
  wakeOwners(caches.jobs, kind.kind, loop);
  return loop;
}

async function reconcile(key: string, context: Context): Promise<Outcome> {
  const { caches, clock } = context;
  const cron = caches.cronJobs.get(key);
  if (cron === undefined || isTerminating(cron)) return done;
  const owned = caches.jobs.byIndex(byController, cron.metadata.uid);
  await forgetFinished(cron, owned, context);
  if (cron.spec?.suspend === true) {
    await writeStatus(cron, {}, context);
    return done;
  }
  const times = scheduleOf(cron, clock.nowMs());
  if ("problem" in times) {
    context.recorder({
      object: cron,
      ...kind,
      type: "Warning",
      reason: "InvalidSchedule",
      message: times.problem,
    });
    return { kind: "stalled", reason: times.problem };
  }
  const started = times.dueMs === undefined ? undefined : await start(cron, times.dueMs, context);
  await writeStatus(cron, started === undefined ? {} : { lastScheduleTime: toTime(started) }, context);
  return times.nextMs === undefined ? done : again(Math.max(1, times.nextMs - clock.nowMs()));
}

type Times =
  | { readonly dueMs: number | undefined; readonly nextMs: number | undefined }
  | { readonly problem: string };

/** The newest time that has come and was not run, and the next one. */
function scheduleOf(cron: Stored<CronJob>, nowMs: number): Times {
  const { schedule = "", timeZone } = cron.spec ?? {};
  try {
    const pattern = new Cron(schedule, { paused: true, timezone: timeZone ?? "UTC", mode: "5-part" });
    const sinceText = cron.status?.lastScheduleTime ?? cron.metadata.creationTimestamp ?? "";
    const deadlineMs = (cron.spec?.startingDeadlineSeconds ?? Number.POSITIVE_INFINITY) * 1_000;
    let at = new Date(Math.max(Date.parse(sinceText), nowMs - Math.min(deadlineMs, nowMs)));
    let dueMs: number | undefined;
    for (let missed = 0; missed < CRON_MISSED_MAX; missed += 1) {
      const next = pattern.nextRun(at);
      if (next === null) return { dueMs, nextMs: undefined };
      if (next.getTime() > nowMs) return { dueMs, nextMs: next.getTime() };
      dueMs = next.getTime();
      at = next;
    }
    // After a long time in the dark only the newest missed time is run.
    const previous = pattern.previousRuns(1, new Date(nowMs + 1))[0];
    return { dueMs: previous?.getTime() ?? dueMs, nextMs: pattern.nextRun(new Date(nowMs))?.getTime() };
  } catch (error) {
    return {
      problem: `schedule ${JSON.stringify(schedule)} of ${cron.metadata.name} cannot be read: ${messageOf(error)}`,
    };
  }
}

/** Answers the time it started a Job for; undefined when the concurrency policy says no. */
async function start(cron: Stored<CronJob>, dueMs: number, context: Context): Promise<number | undefined> {
  const { caches, client, signal, recorder } = context;
  const { namespace = "default", name } = cron.metadata;
  const running = caches.jobs.byIndex(byController, cron.metadata.uid).filter((job) => !isFinished(job));
  const policy = cron.spec?.concurrencyPolicy ?? "Allow";
  if (policy === "Forbid" && running.length > 0) {
    const message = "Not starting job because prior execution is running and concurrency policy is Forbid";
    recorder({ object: cron, ...kind, type: "Normal", reason: "JobAlreadyActive", message });
    return undefined;
  }
  if (policy === "Replace")
    for (const { metadata } of running)
      await client.delete(jobs, { name: metadata.name, namespace, propagationPolicy: "Background", signal });
  const { metadata: template, spec } = cron.spec?.jobTemplate ?? {};
  // The name says the time, so that a crash between making the Job and writing the status makes no second one.
  const metadata = {
    name: `${name}-${Math.floor(dueMs / 60_000)}`,
    namespace,
    labels: template?.labels ?? {},
    annotations: {
      ...template?.annotations,
      "batch.kubernetes.io/cronjob-scheduled-timestamp": toTime(dueMs),
    },
    ownerReferences: [controllerReference(cron, kind)],
  };
  try {
    const made = await client.create<Job>(
      jobs,
      { metadata, ...(spec === undefined ? {} : { spec }) },
      { signal },
    );
    await caches.jobs.seen(made.metadata.resourceVersion);
    recorder({
      object: cron,
      ...kind,
      type: "Normal",
      reason: "SuccessfulCreate",
      message: `Created job ${metadata.name}`,
    });
  } catch (error) {
    if (!hasReason(error, "AlreadyExists")) throw error;
  }
  return dueMs;
}

function isFinished(job: Job): boolean {
  return conditionIs(job.status?.conditions, "Complete") || conditionIs(job.status?.conditions, "Failed");
}

async function forgetFinished(
  cron: Stored<CronJob>,
  owned: readonly Stored<Job>[],
  { client, signal }: Context,
): Promise<void> {
  const { successfulJobsHistoryLimit = 3, failedJobsHistoryLimit = 1 } = cron.spec ?? {};
  for (const { type, keep } of [
    { type: "Complete", keep: successfulJobsHistoryLimit },
    { type: "Failed", keep: failedJobsHistoryLimit },
  ]) {
    const ended = owned
      .filter((job) => conditionIs(job.status?.conditions, type))
      .toSorted((one, other) => (other.status?.startTime ?? "").localeCompare(one.status?.startTime ?? ""));
    for (const { metadata } of ended.slice(keep)) {
      const { name, namespace = "default" } = metadata;
      await client.delete(jobs, { name, namespace, propagationPolicy: "Background", signal });
    }
  }
}

async function writeStatus(
  cron: Stored<CronJob>,
  more: { readonly lastScheduleTime?: string },
  context: Context,
): Promise<void> {
  const { caches, client, signal } = context;
  const owned = caches.jobs.byIndex(byController, cron.metadata.uid);
  const active = owned
    .filter((job) => !isFinished(job))
    .map(({ metadata }) => ({
      apiVersion: "batch/v1",
      kind: "Job",
      name: metadata.name,
      namespace: metadata.namespace,
      uid: metadata.uid,
    }));
  const times = owned.map((job) => job.status?.completionTime ?? "").toSorted();
  const lastSuccessfulTime = times.at(-1) ?? "";
  const status = {
    ...more,
    active: active.length === 0 ? null : active,
    ...(lastSuccessfulTime === "" ? {} : { lastSuccessfulTime }),
  };
  const before = { ...cron.status, active: cron.status?.active ?? null };
  if (canonical({ ...before, ...status }) === canonical(before)) return;
  const { name, namespace = "default" } = cron.metadata;
  await client.patch(cronJobs, {
    name,
    namespace,
    type: "merge",
    body: { status },
    subresource: "status",
    signal,
  });
}
