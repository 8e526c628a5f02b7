import assert from "node:assert/strict";
import { test } from "node:test";
import type { Tree } from "../tree.ts";
import { humanDuration } from "../age.ts";
import { podTable } from "./workloads.ts";

const nowMs = Date.UTC(2026, 0, 1, 1);
const pod = (status: Tree, spec: Tree = {}, meta: Tree = {}): Tree => ({
  metadata: { name: "p", creationTimestamp: "2026-01-01T00:00:00Z", ...meta },
  spec: { containers: [{ name: "c" }], ...spec },
  status,
});
const ran = (state: Tree, more: Tree = {}): Tree => ({
  name: "c",
  restartCount: 0,
  ready: false,
  state,
  ...more,
});

const rows: readonly { readonly name: string; readonly pod: Tree; readonly want: readonly unknown[] }[] = [
  { name: "waits", pod: pod({ phase: "Pending" }), want: ["p", "0/1", "Pending", "0", "60m"] },
  {
    name: "runs",
    pod: pod({ phase: "Running", containerStatuses: [ran({ running: {} }, { ready: true })] }),
    want: ["p", "1/1", "Running", "0", "60m"],
  },
  {
    name: "crashes",
    pod: pod({
      phase: "Running",
      containerStatuses: [
        ran(
          { waiting: { reason: "CrashLoopBackOff" } },
          { restartCount: 3, lastState: { terminated: { finishedAt: "2026-01-01T00:59:00Z" } } },
        ),
      ],
    }),
    want: ["p", "0/1", "CrashLoopBackOff", "3 (60s ago)", "60m"],
  },
  {
    name: "has ended",
    pod: pod({
      phase: "Succeeded",
      containerStatuses: [ran({ terminated: { reason: "Completed", exitCode: 0 } })],
    }),
    want: ["p", "0/1", "Completed", "0", "60m"],
  },
  {
    name: "is being deleted",
    pod: pod({ phase: "Running" }, {}, { deletionTimestamp: "2026-01-01T00:59:00Z" }),
    want: ["p", "0/1", "Terminating", "0", "60m"],
  },
  {
    name: "is in its first init container",
    pod: pod(
      { phase: "Pending", initContainerStatuses: [{ name: "i", state: { running: {} } }] },
      { initContainers: [{ name: "i" }, { name: "j" }] },
    ),
    want: ["p", "0/1", "Init:0/2", "0", "60m"],
  },
  {
    name: "failed to start",
    pod: pod({ phase: "Failed", containerStatuses: [ran({ terminated: { exitCode: 2 } })] }),
    want: ["p", "0/1", "ExitCode:2", "0", "60m"],
  },
];

for (const { name, pod: object, want } of rows)
  test(`the row of a pod that ${name}`, () => {
    assert.deepEqual(podTable.cells(object, { nowMs }).slice(0, 5), want);
  });

test("durations are written as kubectl writes them", () => {
  const texts = [
    0,
    119,
    121,
    599,
    600,
    3 * 3600 - 1,
    3 * 3600,
    8 * 3600 + 60,
    50 * 3600,
    9 * 86400,
    400 * 86400,
    3 * 365 * 86400,
  ].map((seconds) => humanDuration(seconds * 1_000));
  assert.deepEqual(texts, [
    "0s",
    "119s",
    "2m1s",
    "9m59s",
    "10m",
    "179m",
    "3h",
    "8h",
    "2d2h",
    "9d",
    "400d",
    "3y",
  ]);
});
