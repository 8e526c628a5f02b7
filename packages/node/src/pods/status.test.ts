import assert from "node:assert/strict";
import { test } from "node:test";
import type { ContainerStatus, PodSpec } from "@cortado/kinds";
import type { PodView, RuntimeContainer } from "../runtime/runtime.ts";
import type { StoredPod } from "./pod.ts";
import { statusChange } from "./status-change.ts";
import { podStatus, type StatusInput } from "./status.ts";

const ran = (
  name: string,
  phase: RuntimeContainer["phase"],
  more: Partial<RuntimeContainer> = {},
): RuntimeContainer => ({
  id: `${name}${more.attempt ?? 0}`,
  sandboxId: "s",
  podUid: "u",
  name,
  attempt: 0,
  phase,
  annotations: {},
  image: "i",
  imageRef: "sha",
  createdMs: 1,
  startedMs: 1_000,
  finishedMs: 2_000,
  exitCode: 0,
  reason: "",
  message: "",
  ...more,
});
const view = (...containers: RuntimeContainer[]): PodView => ({
  sandboxes: [
    {
      id: "s",
      podUid: "u",
      podName: "p",
      podNamespace: "n",
      attempt: 0,
      ready: true,
      createdMs: 1,
      ips: ["10.42.0.2"],
    },
  ],
  containers,
});

function status(
  spec: PodSpec,
  seen: PodView,
  more: Partial<StatusInput> & { readonly written?: object; readonly metadata?: object } = {},
) {
  const { written, metadata, ...rest } = more;
  const pod = {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "p", namespace: "n", uid: "u", resourceVersion: "1", ...metadata },
    spec,
    ...(written === undefined ? {} : { status: written }),
  } as StoredPod;
  return podStatus({
    pod,
    view: seen,
    nowMs: 5_000,
    runtimeName: "containerd",
    hostIps: ["192.0.2.1"],
    probes: () => ({}),
    problem: () => undefined,
    lastWords: () => undefined,
    ended: undefined,
    stopped: false,
    ...rest,
  });
}

const one: PodSpec = { containers: [{ name: "a", image: "i" }] };
const state = (container: ContainerStatus | undefined): string => {
  const { waiting, running, terminated } = container?.state ?? {};
  return (
    waiting?.reason ?? (running === undefined ? `${terminated?.reason} ${terminated?.exitCode}` : "running")
  );
};

for (const { name, made, phase, first, ready } of [
  {
    name: "nothing yet",
    made: status(one, { sandboxes: [], containers: [] }),
    phase: "Pending",
    first: "ContainerCreating",
    ready: "False",
  },
  {
    name: "running",
    made: status(one, view(ran("a", "running"))),
    phase: "Running",
    first: "running",
    ready: "True",
  },
  {
    name: "running and not ready",
    made: status(one, view(ran("a", "running")), { probes: () => ({ ready: false }) }),
    phase: "Running",
    first: "running",
    ready: "False",
  },
  {
    name: "running and not started",
    made: status(one, view(ran("a", "running")), { probes: () => ({ startup: "waiting" }) }),
    phase: "Running",
    first: "running",
    ready: "False",
  },
  {
    name: "crashed, restarts",
    made: status(one, view(ran("a", "exited", { exitCode: 1 })), {
      problem: () => ({ reason: "CrashLoopBackOff", message: "m" }),
    }),
    phase: "Running",
    first: "CrashLoopBackOff",
    ready: "False",
  },
  {
    name: "image missing",
    made: status(one, view(), { problem: () => ({ reason: "ErrImagePull", message: "m" }) }),
    phase: "Pending",
    first: "ErrImagePull",
    ready: "False",
  },
  {
    name: "job done",
    made: status({ ...one, restartPolicy: "Never" }, view(ran("a", "exited"))),
    phase: "Succeeded",
    first: "Completed 0",
    ready: "False",
  },
  {
    name: "job failed",
    made: status({ ...one, restartPolicy: "Never" }, view(ran("a", "exited", { exitCode: 2 }))),
    phase: "Failed",
    first: "Error 2",
    ready: "False",
  },
  {
    name: "out of memory",
    made: status(
      { ...one, restartPolicy: "Never" },
      view(ran("a", "exited", { exitCode: 137, reason: "OOMKilled" })),
    ),
    phase: "Failed",
    first: "OOMKilled 137",
    ready: "False",
  },
  {
    name: "init runs",
    made: status({ ...one, initContainers: [{ name: "i" }] }, view(ran("i", "running"))),
    phase: "Pending",
    first: "PodInitializing",
    ready: "False",
  },
  {
    name: "init failed for good",
    made: status(
      { ...one, restartPolicy: "Never", initContainers: [{ name: "i" }] },
      view(ran("i", "exited", { exitCode: 1 })),
    ),
    phase: "Failed",
    first: "PodInitializing",
    ready: "False",
  },
  {
    name: "evicted",
    made: status(one, view(), { ended: { reason: "Evicted", message: "m" }, stopped: true }),
    phase: "Failed",
    first: "ContainerCreating",
    ready: "False",
  },
  {
    name: "a phase that is final stays",
    made: status(one, view(ran("a", "running")), { written: { phase: "Failed" } }),
    phase: "Failed",
    first: "running",
    ready: "False",
  },
  {
    name: "deleted and down",
    made: status(
      one,
      { sandboxes: [], containers: [ran("a", "exited")] },
      { metadata: { deletionTimestamp: "x" }, stopped: true },
    ),
    phase: "Succeeded",
    first: "Completed 0",
    ready: "False",
  },
] as const) {
  test(`status: ${name}`, () => {
    assert.equal(made.phase, phase);
    assert.equal(state(made.containerStatuses?.[0]), first);
    assert.equal(made.conditions?.find((condition) => condition.type === "Ready")?.status, ready);
  });
}

test("status: conditions keep their time while they stay, and others' conditions are kept", () => {
  const written = {
    conditions: [
      { type: "Ready", status: "True", lastTransitionTime: "2020-01-01T00:00:00Z" },
      { type: "mine", status: "True" },
      { type: "PodScheduled", status: "True", lastTransitionTime: "2020-01-01T00:00:00Z" },
    ],
  };
  const made = status(one, view(ran("a", "running")), { written });
  assert.equal(
    made.conditions?.find(({ type }) => type === "Ready")?.lastTransitionTime,
    "2020-01-01T00:00:00Z",
  );
  assert.deepEqual(
    made.conditions?.filter(({ type }) => type === "mine" || type === "PodScheduled"),
    written.conditions.slice(1),
  );
});

test("status: a readiness gate holds back", () => {
  const made = status({ ...one, readinessGates: [{ conditionType: "x/y" }] }, view(ran("a", "running")));
  assert.equal(made.conditions?.find(({ type }) => type === "Ready")?.reason, "ReadinessGatesNotReady");
});

test("status: the one before is remembered, from the runtime or from the API", () => {
  const both = status(one, view(ran("a", "running", { attempt: 1 }), ran("a", "exited", { exitCode: 9 })));
  assert.equal(both.containerStatuses?.[0]?.lastState?.terminated?.exitCode, 9);
  const written = {
    containerStatuses: [
      {
        name: "a",
        image: "i",
        imageID: "",
        ready: false,
        restartCount: 0,
        state: { terminated: { exitCode: 4, containerID: "containerd://old" } },
      },
    ],
  };
  assert.equal(
    status(one, view(ran("a", "running", { attempt: 1 })), { written }).containerStatuses?.[0]?.lastState
      ?.terminated?.exitCode,
    4,
  );
});

test("a change names only what differs, and takes away what is gone", () => {
  assert.equal(statusChange({ phase: "Running", podIP: "1" }, { podIP: "1", phase: "Running" }), undefined);
  assert.deepEqual(
    statusChange({ phase: "Running", podIP: "1", nominatedNodeName: "x" }, { phase: "Failed" }),
    { phase: "Failed", podIP: null },
  );
});
