import assert from "node:assert/strict";
import { test } from "node:test";
import type { PodSpec } from "@cortado/kinds";
import type { RuntimeContainer, RuntimeSandbox } from "../runtime/runtime.ts";
import { plan, type Observed, type Plan, type ProbeView } from "./plan.ts";
import type { StoredPod } from "./pod.ts";

const c = (name: string, more: object = {}) => ({ name, image: "i", ...more });
const box = (more: Partial<RuntimeSandbox> = {}): RuntimeSandbox => ({
  id: "s0",
  podUid: "u",
  podName: "p",
  podNamespace: "n",
  attempt: 0,
  ready: true,
  createdMs: 1,
  ips: ["10.42.0.2"],
  ...more,
});
const ran = (
  name: string,
  phase: RuntimeContainer["phase"],
  more: Partial<RuntimeContainer> = {},
): RuntimeContainer => ({
  id: `${name}-${more.attempt ?? 0}`,
  sandboxId: "s0",
  podUid: "u",
  name,
  attempt: 0,
  phase,
  annotations: {},
  image: "i",
  imageRef: "i",
  createdMs: 1,
  startedMs: 1,
  finishedMs: 0,
  exitCode: 0,
  reason: "",
  message: "",
  ...more,
});

type Row = {
  readonly name: string;
  readonly spec: PodSpec;
  readonly sandboxes?: readonly RuntimeSandbox[];
  readonly containers?: readonly RuntimeContainer[];
  readonly probes?: Readonly<Record<string, ProbeView>>;
  readonly waitMs?: number;
  readonly stop?: boolean;
  readonly written?: object;
  readonly want: {
    stopAll?: boolean;
    sandbox?: number;
    start?: readonly string[];
    kill?: readonly string[];
    remove?: readonly string[];
    againMs?: number;
  };
};

const job = { restartPolicy: "Never" as const };
const rows: readonly Row[] = [
  {
    name: "nothing there: a sandbox first",
    spec: { containers: [c("a")] },
    sandboxes: [],
    want: { sandbox: 0 },
  },
  {
    name: "a dead sandbox: the next attempt",
    spec: { containers: [c("a")] },
    sandboxes: [box({ ready: false, attempt: 2 })],
    want: { sandbox: 3 },
  },
  {
    name: "a sandbox without an address is of no use",
    spec: { containers: [c("a")] },
    sandboxes: [box({ ips: [] })],
    want: { sandbox: 1 },
  },
  {
    name: "the node's network needs no address",
    spec: { containers: [c("a")], hostNetwork: true },
    sandboxes: [box({ ips: [] })],
    want: { start: ["a/0"] },
  },
  {
    name: "all main containers at once",
    spec: { containers: [c("a"), c("b")] },
    want: { start: ["a/0", "b/0"] },
  },
  {
    name: "a running one is left alone",
    spec: { containers: [c("a")] },
    containers: [ran("a", "running")],
    want: {},
  },
  {
    name: "an ended one starts again",
    spec: { containers: [c("a")] },
    containers: [ran("a", "exited", { attempt: 4 })],
    want: { start: ["a/5"] },
  },
  {
    name: "… after its wait",
    spec: { containers: [c("a")] },
    containers: [ran("a", "exited")],
    waitMs: 700,
    want: { againMs: 700 },
  },
  {
    name: "the API remembers restarts of collected containers",
    spec: { containers: [c("a")] },
    written: {
      containerStatuses: [
        { name: "a", restartCount: 6, containerID: "x://1", image: "", imageID: "", ready: false },
      ],
    },
    want: { start: ["a/7"] },
  },
  {
    name: "after a power cut the old sandbox' containers do not wait",
    spec: { containers: [c("a")] },
    sandboxes: [box({ id: "s1", attempt: 1 }), box({ ready: false })],
    containers: [ran("a", "exited", { exitCode: 255 })],
    waitMs: 700,
    want: { start: ["a/1"] },
  },
  {
    name: "a failed one with OnFailure",
    spec: { ...job, restartPolicy: "OnFailure", containers: [c("a")] },
    containers: [ran("a", "exited", { exitCode: 1 })],
    want: { start: ["a/1"] },
  },
  {
    name: "a good one with OnFailure: the pod is done",
    spec: { restartPolicy: "OnFailure", containers: [c("a")] },
    containers: [ran("a", "exited")],
    want: { stopAll: true },
  },
  {
    name: "Never: done, whatever came out",
    spec: { ...job, containers: [c("a")] },
    containers: [ran("a", "exited", { exitCode: 3 })],
    want: { stopAll: true },
  },
  {
    name: "Never: the other still runs",
    spec: { ...job, containers: [c("a"), c("b")] },
    containers: [ran("a", "exited"), ran("b", "running")],
    want: {},
  },
  {
    name: "Never: a lost sandbox is the end",
    spec: { ...job, containers: [c("a"), c("b")] },
    sandboxes: [box({ ready: false })],
    containers: [ran("a", "exited")],
    want: { stopAll: true },
  },
  {
    name: "done and already down: nothing",
    spec: { ...job, containers: [c("a")] },
    sandboxes: [box({ ready: false })],
    containers: [ran("a", "exited")],
    want: {},
  },
  {
    name: "init first",
    spec: { initContainers: [c("i"), c("j")], containers: [c("a")] },
    want: { start: ["i/0"] },
  },
  {
    name: "init runs: wait",
    spec: { initContainers: [c("i")], containers: [c("a")] },
    containers: [ran("i", "running")],
    want: {},
  },
  {
    name: "init done: the next",
    spec: { initContainers: [c("i"), c("j")], containers: [c("a")] },
    containers: [ran("i", "exited")],
    want: { start: ["j/0"] },
  },
  {
    name: "init failed: again",
    spec: { initContainers: [c("i")], containers: [c("a")] },
    containers: [ran("i", "exited", { exitCode: 1 })],
    want: { start: ["i/1"] },
  },
  {
    name: "init failed with Never: the pod failed",
    spec: { ...job, initContainers: [c("i")], containers: [c("a")] },
    containers: [ran("i", "exited", { exitCode: 1 })],
    want: { stopAll: true },
  },
  {
    name: "collected init containers are not run again",
    spec: { initContainers: [c("i")], containers: [c("a")] },
    containers: [ran("a", "running")],
    want: {},
  },
  {
    name: "a new sandbox runs init again",
    spec: { initContainers: [c("i")], containers: [c("a")] },
    sandboxes: [box({ id: "s1", attempt: 1 })],
    containers: [ran("i", "exited"), ran("a", "exited")],
    want: { start: ["i/1"] },
  },
  {
    name: "a sidecar starts, then the rest at once",
    spec: { initContainers: [c("s", { restartPolicy: "Always" })], containers: [c("a")] },
    want: { start: ["s/0"] },
  },
  {
    name: "a sidecar whose startup probe has not passed holds the rest",
    spec: { initContainers: [c("s", { restartPolicy: "Always" })], containers: [c("a")] },
    containers: [ran("s", "running")],
    probes: { "s-0": { startup: "waiting" } },
    want: {},
  },
  {
    name: "a sidecar that runs lets them go",
    spec: { initContainers: [c("s", { restartPolicy: "Always" })], containers: [c("a")] },
    containers: [ran("s", "running")],
    want: { start: ["a/0"] },
  },
  {
    name: "a sidecar that ended starts again beside them",
    spec: { initContainers: [c("s", { restartPolicy: "Always" })], containers: [c("a")] },
    containers: [ran("s", "exited"), ran("a", "running")],
    want: { start: ["s/1"] },
  },
  {
    name: "sidecars do not keep a job alive",
    spec: { ...job, initContainers: [c("s", { restartPolicy: "Always" })], containers: [c("a")] },
    containers: [ran("s", "running"), ran("a", "exited")],
    want: { stopAll: true },
  },
  {
    name: "not alive: kill",
    spec: { containers: [c("a")] },
    containers: [ran("a", "running")],
    probes: { "a-0": { live: false } },
    want: { kill: ["a-0"] },
  },
  {
    name: "not started in time: kill",
    spec: { containers: [c("a")] },
    containers: [ran("a", "running")],
    probes: { "a-0": { startup: "failed" } },
    want: { kill: ["a-0"] },
  },
  {
    name: "another image: kill",
    spec: { containers: [c("a")] },
    containers: [ran("a", "running", { annotations: { "io.kubernetes.container.hash": "0" } })],
    want: { kill: ["a-0"] },
  },
  {
    name: "made but never started: made anew",
    spec: { containers: [c("a")] },
    containers: [ran("a", "created", { attempt: 3 })],
    want: { remove: ["a-3"], start: ["a/3"] },
  },
  {
    name: "must go",
    spec: { containers: [c("a")] },
    containers: [ran("a", "running")],
    stop: true,
    want: { stopAll: true },
  },
  { name: "must go and is gone", spec: { containers: [c("a")] }, sandboxes: [], stop: true, want: {} },
];

for (const row of rows) {
  test(`plan: ${row.name}`, () => {
    const pod = {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name: "p", namespace: "n", uid: "u", resourceVersion: "1" },
      spec: row.spec,
      ...(row.written === undefined ? {} : { status: row.written }),
    } as StoredPod;
    const observed: Observed = {
      pod,
      view: { sandboxes: row.sandboxes ?? [box()], containers: row.containers ?? [] },
      probes: (id) => row.probes?.[id] ?? {},
      restartWaitMs: () => row.waitMs ?? 0,
      stop: row.stop ?? false,
    };
    assert.deepEqual(short(plan(observed)), {
      stopAll: false,
      sandbox: undefined,
      start: [],
      kill: [],
      remove: [],
      againMs: undefined,
      ...row.want,
    });
  });
}

function short(made: Plan) {
  return {
    stopAll: made.stopAll,
    sandbox: made.newSandbox?.attempt,
    start: made.start.map(({ container, attempt }) => `${container.name}/${attempt}`),
    kill: made.kill.map(({ container }) => container.id),
    remove: made.remove.map(({ id }) => id),
    againMs: made.againMs,
  };
}
