import assert from "node:assert/strict";
import { test } from "node:test";
import type { Tree } from "@cortado/kinds/tree";
import { readinessOf } from "./readiness.ts";

type Row = {
  readonly what: string;
  readonly kind: string;
  readonly spec?: Tree;
  readonly status?: Tree;
  readonly generation?: number;
  readonly deleted?: true;
  /** Absent: ready. */
  readonly why?: string;
};

const condition = (type: string, status: string, reason = "", message = ""): Tree => ({
  type,
  status,
  reason,
  message,
});
const up = { observedGeneration: 2, replicas: 2, updatedReplicas: 2, availableReplicas: 2, readyReplicas: 2 };
const crashing = {
  name: "c",
  state: { waiting: { reason: "CrashLoopBackOff", message: "back-off 10s" } },
};

const rows: readonly Row[] = [
  { what: "deployment up", kind: "apps/v1 Deployment", spec: { replicas: 2 }, status: up },
  {
    what: "deployment of one by default",
    kind: "apps/v1 Deployment",
    spec: {},
    status: { observedGeneration: 2, replicas: 1, updatedReplicas: 1 },
    why: "0 of 1 pods are available",
  },
  {
    what: "no pods wanted",
    kind: "apps/v1 Deployment",
    spec: { replicas: 0 },
    status: { observedGeneration: 2 },
  },
  {
    what: "not looked at",
    kind: "apps/v1 Deployment",
    spec: {},
    why: "its controller has not looked at it yet",
  },
  {
    what: "older generation",
    kind: "apps/v1 Deployment",
    status: { ...up, observedGeneration: 1 },
    why: "its controller has not seen the latest change yet",
  },
  {
    what: "old pods",
    kind: "apps/v1 Deployment",
    spec: { replicas: 2 },
    status: { ...up, replicas: 3 },
    why: "1 old pods are not ended yet",
  },
  {
    what: "deadline",
    kind: "apps/v1 Deployment",
    spec: { replicas: 2 },
    status: {
      ...up,
      conditions: [condition("Progressing", "False", "ProgressDeadlineExceeded", "timed out")],
    },
    why: "ProgressDeadlineExceeded: timed out",
  },
  {
    what: "quota",
    kind: "apps/v1 Deployment",
    spec: { replicas: 2 },
    status: {
      observedGeneration: 2,
      conditions: [condition("ReplicaFailure", "True", "FailedCreate", "exceeded quota")],
    },
    why: "FailedCreate: exceeded quota",
  },
  {
    what: "set",
    kind: "apps/v1 ReplicaSet",
    spec: { replicas: 3 },
    status: up,
    why: "2 of 3 pods are available",
  },
  {
    what: "stateful, old revision",
    kind: "apps/v1 StatefulSet",
    spec: { replicas: 2 },
    status: { ...up, updatedReplicas: 1, currentRevision: "a", updateRevision: "b" },
    why: "1 of 2 pods are new",
  },
  {
    what: "stateful, partition reached",
    kind: "apps/v1 StatefulSet",
    spec: { replicas: 2, updateStrategy: { rollingUpdate: { partition: 1 } } },
    status: { ...up, updatedReplicas: 1, currentRevision: "a", updateRevision: "b" },
  },
  {
    what: "stateful, on delete",
    kind: "apps/v1 StatefulSet",
    spec: { replicas: 2, updateStrategy: { type: "OnDelete" } },
    status: { ...up, updatedReplicas: 0, currentRevision: "a", updateRevision: "b" },
  },
  {
    what: "daemons",
    kind: "apps/v1 DaemonSet",
    status: {
      observedGeneration: 2,
      desiredNumberScheduled: 2,
      updatedNumberScheduled: 2,
      numberAvailable: 1,
    },
    why: "1 of 2 pods are available",
  },
  { what: "daemons nowhere", kind: "apps/v1 DaemonSet", status: { observedGeneration: 2 } },
  { what: "job runs", kind: "batch/v1 Job", status: { startTime: "2026-01-01T00:00:00Z" } },
  { what: "job waits", kind: "batch/v1 Job", status: {}, why: "the Job has not started" },
  {
    what: "job failed",
    kind: "batch/v1 Job",
    status: {
      startTime: "x",
      conditions: [condition("Failed", "True", "BackoffLimitExceeded", "too often")],
    },
    why: "BackoffLimitExceeded: too often",
  },
  { what: "pod", kind: "v1 Pod", status: { phase: "Running", conditions: [condition("Ready", "True")] } },
  {
    what: "pod crashes",
    kind: "v1 Pod",
    status: { phase: "Running", conditions: [condition("Ready", "False")], containerStatuses: [crashing] },
    why: "container c: CrashLoopBackOff (back-off 10s)",
  },
  {
    what: "pod without a node",
    kind: "v1 Pod",
    status: {
      phase: "Pending",
      conditions: [condition("PodScheduled", "False", "Unschedulable", "no room")],
    },
    why: "Unschedulable: no room",
  },
  {
    what: "claim",
    kind: "v1 PersistentVolumeClaim",
    status: { phase: "Pending" },
    why: "the volume is Pending, not Bound",
  },
  { what: "service", kind: "v1 Service", spec: { type: "ClusterIP" } },
  {
    what: "balancer",
    kind: "v1 Service",
    spec: { type: "LoadBalancer" },
    status: { loadBalancer: {} },
    why: "the load balancer has no address yet",
  },
  {
    what: "definition",
    kind: "apiextensions.k8s.io/v1 CustomResourceDefinition",
    status: { conditions: [condition("NamesAccepted", "False", "PluralConflict", "taken")] },
    why: "PluralConflict: taken",
  },
  { what: "function, new", kind: "openfaas.com/v1 Function", why: "the function is not deployed yet" },
  {
    what: "function, unhealthy",
    kind: "openfaas.com/v1 Function",
    status: {
      conditions: [condition("Ready", "True"), condition("Healthy", "False", "NotUp", "no replica")],
    },
    why: "NotUp: no replica",
  },
  { what: "going", kind: "v1 ConfigMap", deleted: true, why: "is being deleted" },
  { what: "plain", kind: "v1 ConfigMap" },
  {
    what: "somebody's kind",
    kind: "shop.example/v1 Bean",
    status: { conditions: [condition("Stalled", "True", "NoWater")] },
    why: "Stalled is True (NoWater)",
  },
];

test("what is ready and why not, by kind", () => {
  for (const { what, kind: named, spec, status, deleted, why } of rows) {
    const [apiVersion = "", kind = ""] = named.split(" ");
    const metadata = { name: "x", generation: 2, ...(deleted === true ? { deletionTimestamp: "now" } : {}) };
    const object = { apiVersion, kind, metadata, ...(spec && { spec }), ...(status && { status }) };
    assert.deepEqual(readinessOf(object), { ready: why === undefined, message: why ?? "" }, what);
  }
});

test("a condition that is to be ignored does not count, another of its type does", () => {
  const object = (message: string): Tree => ({
    apiVersion: "shop.example/v1",
    kind: "Bean",
    status: { conditions: [condition("Ready", "False", "Cold", message)] },
  });
  const ignore = [{ type: "Ready", status: "False", message: "winter" }];
  assert.equal(readinessOf(object("winter"), { ignore }).ready, true);
  assert.equal(readinessOf(object("summer"), { ignore }).ready, false);
});

test("a Job that runs is ready, and not for a bundle that waits for Jobs", () => {
  const job = (status: Tree): Tree => ({ apiVersion: "batch/v1", kind: "Job", status });
  const running = job({ startTime: "2026-01-01T00:00:00Z" });
  const over = job({ conditions: [condition("Complete", "True")] });
  assert.equal(readinessOf(running).ready, true);
  assert.deepEqual(readinessOf(running, { waitsForJobs: true }), {
    ready: false,
    message: "the Job is not complete yet",
  });
  assert.equal(readinessOf(over, { waitsForJobs: true }).ready, true);
});
