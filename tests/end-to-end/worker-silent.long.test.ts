import assert from "node:assert/strict";
import { test } from "node:test";
import { until } from "./demo-world.ts";
import { podOn, WorkerProcesses } from "./worker-processes.ts";

test("a node that is silent is NotReady and unreachable, its pods elsewhere are not; the node comes back by itself", async () => {
  await using all = await WorkerProcesses.start();
  all.startAgent("till", "--node-taint", "cold=very:PreferNoSchedule");
  await all.untilReady("till");
  await all.apply(
    podOn("steady", "till", { tolerations: [{ operator: "Exists" }] }),
    podOn("meek", "till", {
      tolerations: [
        {
          key: "node.kubernetes.io/unreachable",
          operator: "Exists",
          effect: "NoExecute",
          tolerationSeconds: 2,
        },
      ],
    }),
  );
  await all.untilRunning("steady");
  await all.untilRunning("meek");
  await all.end("till", "SIGKILL");
  const refusal = await until(
    "the tunnel's end",
    async () => {
      const { code, err } = await all.ask("logs", "steady");
      return code === 0 ? undefined : err;
    },
    10_000,
  );
  assert.match(refusal, /node till is not connected to this server; its agent connects again by itself/);
  await until("NotReady", async () => /^till\s+NotReady/m.test(await all.told("get", "nodes")), 90_000);
  const { spec } = JSON.parse(await all.told("get", "node", "till", "-o", "json"));
  assert.deepEqual(
    spec.taints.map(({ key, effect }: Record<string, string>) => `${key}:${effect}`).toSorted(),
    [
      "cold:PreferNoSchedule",
      "node.kubernetes.io/unreachable:NoExecute",
      "node.kubernetes.io/unreachable:NoSchedule",
    ],
  );
  await until(
    "the meek pod to be ended",
    async () => (await all.told("get", "pod", "meek", "-o=jsonpath={.metadata.deletionTimestamp}")) !== "",
    20_000,
  );
  assert.equal(await all.told("get", "pod", "steady", "-o=jsonpath={.metadata.deletionTimestamp}"), "");
  all.startAgent("till");
  await all.untilReady("till");
  await until(
    "the meek pod to be gone",
    async () => (await all.ask("get", "pod", "meek")).code === 1,
    60_000,
  );
  await until(
    "no taints of the server's",
    async () =>
      !(await all.told("get", "node", "till", "-o=jsonpath={.spec.taints}")).includes("unreachable"),
    20_000,
  );
});
