import assert from "node:assert/strict";
import { test } from "node:test";
import { newLoopMetrics } from "@cortado/client/loop";
import type { Pod, PodSpec } from "@cortado/kinds";
import { configMaps, nodes, pods } from "@cortado/kinds/resources";
import { newMetrics } from "@cortado/std/metrics";
import { seededRandom } from "@cortado/std/random";
import { HeldClock, settle } from "@cortado/std/testing/held-clock";
import { silentLog } from "@cortado/std/testing/silent-log";
import { startNode, type Machine, type RunningNode } from "./node.ts";
import { newSimulatedRuntime } from "./runtime/simulated/simulated-runtime.ts";
import { FakeApi } from "./testing/fake-api.ts";

const machine: Machine = {
  cpus: 4,
  memoryBytes: 8 * 2 ** 30,
  architecture: "amd64",
  kernel: "6",
  osImage: "Test",
  machineId: "m",
  bootId: "b",
  addresses: () => ["192.0.2.7"],
  disk: () => Promise.resolve({ totalBytes: 1e12, freeBytes: 9e11, inodesTotal: 1e6, inodesFree: 9e5 }),
  memoryAvailableBytes: () => Promise.resolve(4 * 2 ** 30),
};

async function startWorld() {
  const api = new FakeApi();
  const clock = new HeldClock();
  const runtime = newSimulatedRuntime({ clock, random: seededRandom(3), podNetwork: "10.42.0" });
  const metrics = newMetrics();
  const starting = startNode(
    {
      nodeName: "node",
      dataFolder: "/nonexistent",
      runFolder: "/nonexistent",
      podCidr: "10.42.0.0/24",
      cgroupPrefix: "test",
      dns: { servers: ["10.43.0.10"], domain: "cluster.local", nodeResolv: "" },
      pinnedImages: () => new Set(),
      labels: { "node-role.kubernetes.io/control-plane": "true" },
    },
    {
      client: api.client,
      runtime,
      machine,
      clock,
      log: silentLog,
      metrics,
      loopMetrics: newLoopMetrics(metrics),
      mounter: {
        mountTmpfs: () => Promise.reject(new Error("a simulated node mounts nothing")),
        unmount: () => Promise.reject(new Error("nor unmounts")),
      },
    },
  );
  await clock.advance(0);
  const node: RunningNode = await starting;
  const signal = new AbortController().signal;
  return {
    api,
    clock,
    runtime,
    node,
    signal,
    pod: (name: string): Pod => api.find("pods", `n/${name}`) as unknown as Pod,
    create: (name: string, spec: Partial<PodSpec> = {}) =>
      api.client.create(
        pods,
        {
          metadata: { name, namespace: "n" },
          spec: { containers: [{ name: "main", image: "cortado.local/x:1" }], ...spec, nodeName: "node" },
        },
        { namespace: "n", signal },
      ),
    async [Symbol.asyncDispose]() {
      await node[Symbol.asyncDispose]();
      await runtime[Symbol.asyncDispose]();
      assert.equal(clock.pending, 0, "the node leaves no alarm");
    },
  };
}

test("a simulated node says so, and its pods become Ready", async () => {
  await using world = await startWorld();
  const { api, clock, pod, signal } = world;
  const node = await api.client.get(nodes, { name: "node", signal });
  assert.match(node.status?.conditions?.find((one) => one.type === "Ready")?.message ?? "", /simulated/);
  assert.equal(node.status?.nodeInfo?.containerRuntimeVersion, "simulated://1");
  assert.equal(node.metadata.labels?.["node-role.kubernetes.io/control-plane"], "true");
  await world.create("web", { volumes: [{ name: "v", emptyDir: { medium: "Memory" } }] });
  await clock.until(() => pod("web").status?.phase === "Running", { withinMs: 1_000 });
  assert.deepEqual(
    pod("web").status?.conditions?.map(({ type, status }) => `${type}=${status}`),
    [
      "PodReadyToStartContainers=True",
      "Initialized=True",
      "Ready=True",
      "ContainersReady=True",
      "PodScheduled=True",
    ],
  );
  assert.equal(pod("web").status?.hostIP, "192.0.2.7");
});

test("a job's pod ends by itself; a deleted pod goes", async () => {
  await using world = await startWorld();
  const { api, clock, pod, signal } = world;
  await world.create("job", {
    restartPolicy: "Never",
    initContainers: [{ name: "init", image: "cortado.local/x:1" }],
  });
  await clock.until(() => pod("job").status?.phase === "Succeeded", { withinMs: 20_000 });
  await world.create("web");
  await clock.until(() => pod("web").status?.phase === "Running", { withinMs: 1_000 });
  await api.client.delete(pods, { name: "web", namespace: "n", signal });
  await clock.until(() => api.find("pods", "n/web") === undefined, { withinMs: 1_000 });
  await clock.until(() => api.all("pods").length === 1, { withinMs: 1_000 });
  await clock.advance(1_000);
  assert.equal((await world.runtime.rows({ signal })).filter((row) => row.phase === "running").length, 0);
});

test("what a pod lacks is told, and the pod starts when it comes", async () => {
  await using world = await startWorld();
  const { api, clock, pod, signal } = world;
  await world.create("web", { volumes: [{ name: "v", configMap: { name: "late" } }] });
  const events = (): string[] => api.all("events").map((event) => String(event["message"]));
  await clock.until(() => events().some((message) => message.includes('configmap "late" not found')), {
    withinMs: 1_000,
  });
  await api.client.create(
    configMaps,
    { metadata: { name: "late", namespace: "n" }, data: {} },
    { namespace: "n", signal },
  );
  await clock.until(() => pod("web").status?.phase === "Running", { withinMs: 5_000 });
});

test("an idle node writes its lease and nothing else, and jumps of the wall clock restart nothing", async () => {
  await using world = await startWorld();
  const { api, clock, pod } = world;
  await world.create("web");
  await clock.until(() => pod("web").status?.phase === "Running", { withinMs: 1_000 });
  const before = pod("web").status?.containerStatuses?.[0]?.containerID;
  await clock.advance(20_000);
  api.writes.length = 0;
  clock.jump(-365 * 86_400_000);
  await clock.advance(120_000);
  clock.jump(3 * 365 * 86_400_000);
  await clock.advance(120_000);
  await settle();
  const writes = Map.groupBy(api.writes, (write) => write);
  assert.equal(pod("web").status?.containerStatuses?.[0]?.containerID, before);
  assert.deepEqual(
    [...writes.keys()].filter(
      (write) => !write.includes("/leases/") && !write.includes("/nodes/node/status"),
    ),
    [],
  );
  const leases =
    writes.get("PATCH /apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/node")?.length ?? 0;
  assert.ok(leases >= 23 && leases <= 25, `${leases} renewals in 240 s`);
});
