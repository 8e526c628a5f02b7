import assert from "node:assert/strict";
import { test } from "node:test";
import type { Deployment, Pod } from "@cortado/kinds";
import * as types from "@cortado/kinds/resources";
import { hasReason } from "@cortado/std/status";
import { runPods } from "./kubelet.ts";
import { LoopWorld } from "./world.ts";

const namespace = "default";
const labels = { app: "order" };
const template = (image: string) => ({ metadata: { labels }, spec: { containers: [{ name: "c", image }] } });

async function deploy(world: LoopWorld, spec: Record<string, unknown> = {}): Promise<void> {
  const object = {
    metadata: { name: "order", namespace },
    spec: { replicas: 3, selector: { matchLabels: labels }, template: template("shop:1"), ...spec },
  };
  await world.client.create<Deployment>(types.deployments, object as never, { signal: world.signal });
}

const podsOf = async (world: LoopWorld): Promise<readonly Pod[]> =>
  (await world.client.list(types.pods, { namespace, signal: world.signal })).items;

const available = (world: LoopWorld, count: number): Promise<unknown> =>
  world.until(`${count} available`, async () => {
    await runPods(world);
    const { status, metadata } = await world.client.get(types.deployments, {
      name: "order",
      namespace,
      signal: world.signal,
    });
    const fresh = status?.observedGeneration === metadata.generation && status?.updatedReplicas === count;
    return fresh && status?.availableReplicas === count && (status?.replicas ?? 0) === count;
  });

test("a Deployment becomes a ReplicaSet, pods on nodes, and endpoints", async () => {
  await using world = await LoopWorld.start({ nodes: 2 });
  const service = {
    metadata: { name: "order", namespace },
    spec: { selector: labels, ports: [{ port: 80, targetPort: 8080 }] },
  };
  await world.client.create(types.services, service as never, { signal: world.signal });
  await deploy(world);
  await available(world, 3);
  const nodes = new Set((await podsOf(world)).map((pod) => pod.spec?.nodeName));
  assert.deepEqual([...nodes].toSorted(), ["node-0", "node-1"], "pods are spread");
  const slice = await world.until("endpoints", async () => {
    const { items } = await world.client.list(types.endpointSlices, {
      namespace,
      labelSelector: "kubernetes.io/service-name=order",
      signal: world.signal,
    });
    return items[0]?.endpoints?.length === 3 ? items[0] : undefined;
  });
  assert.deepEqual(
    slice.ports?.map(({ port, protocol }) => [port, protocol]),
    [[8080, "TCP"]],
  );
  assert.ok(slice.endpoints?.every(({ conditions }) => conditions?.ready === true));
});

test("a paused Deployment makes no ReplicaSet for a new template until it is resumed", async () => {
  await using world = await LoopWorld.start();
  await deploy(world);
  await available(world, 3);
  const change = (spec: object): Promise<unknown> =>
    world.client.patch(types.deployments, {
      name: "order",
      namespace,
      type: "merge",
      body: { spec },
      signal: world.signal,
    });
  const sets = async (): Promise<number> =>
    (await world.client.list(types.replicaSets, { namespace, signal: world.signal })).items.length;
  await change({ paused: true, template: template("shop:2") });
  await change({ replicas: 2, template: template("shop:3") });
  await world.until("the scale", async () => {
    await runPods(world);
    return (await podsOf(world)).length === 2;
  });
  assert.equal(await sets(), 1);
  await change({ paused: false });
  await available(world, 2);
  assert.equal(await sets(), 2);
  const { status } = await world.client.get(types.deployments, {
    name: "order",
    namespace,
    signal: world.signal,
  });
  assert.equal(status !== undefined && "unavailableReplicas" in status, false, "a count of none is left out");
});

test("a rolling update never has too few pods, ends with the new ones, and can be undone", async () => {
  await using world = await LoopWorld.start();
  await deploy(world, {
    strategy: { type: "RollingUpdate", rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
  });
  await available(world, 3);
  const roll = (image: string): Promise<unknown> =>
    world.client.patch(types.deployments, {
      name: "order",
      namespace,
      type: "merge",
      body: { spec: { template: template(image) } },
      signal: world.signal,
    });
  await roll("shop:2");
  await world.until("the roll", async () => {
    await runPods(world);
    const all = (await podsOf(world)).filter((pod) => pod.metadata.deletionTimestamp === undefined);
    const ready = all.filter((pod) =>
      pod.status?.conditions?.some(({ type, status }) => type === "Ready" && status === "True"),
    );
    assert.ok(all.length <= 4, `${all.length} pods at once`);
    assert.ok(ready.length >= 3, `only ${ready.length} ready`);
    return all.length === 3 && all.every((pod) => pod.spec?.containers[0]?.image === "shop:2");
  });
  await roll("shop:1");
  await available(world, 3);
  const { items } = await world.client.list(types.replicaSets, { namespace, signal: world.signal });
  assert.equal(items.length, 2, "the old set is used again");
  const revisions = items
    .map((set) => set.metadata.annotations?.["deployment.kubernetes.io/revision"])
    .toSorted();
  assert.deepEqual(revisions, ["2", "3"]);
  const cause = { "kubernetes.io/change-cause": "back to the first" };
  await world.client.patch(types.deployments, {
    name: "order",
    namespace,
    type: "merge",
    body: { metadata: { annotations: cause } },
    signal: world.signal,
  });
  await world.until("the newest set to tell the cause", async () => {
    const sets = (await world.client.list(types.replicaSets, { namespace, signal: world.signal })).items;
    const told = sets.filter(
      (set) => set.metadata.annotations?.["kubernetes.io/change-cause"] === "back to the first",
    );
    return told.length === 1 && told[0]?.metadata.annotations?.["deployment.kubernetes.io/revision"] === "3";
  });
});

test("a rollout that cannot progress keeps the old pods and says so after its deadline", async () => {
  await using world = await LoopWorld.start();
  await deploy(world, { replicas: 2, progressDeadlineSeconds: 30 });
  await available(world, 2);
  const body = { spec: { template: template("shop:broken") } };
  await world.client.patch(types.deployments, {
    name: "order",
    namespace,
    type: "merge",
    body,
    signal: world.signal,
  });
  const broken = (pod: Pod): boolean => pod.spec?.containers[0]?.image === "shop:broken";
  const condition = await world.until(
    "the deadline",
    async () => {
      await runPods(world, { broken });
      const { status } = await world.client.get(types.deployments, {
        name: "order",
        namespace,
        signal: world.signal,
      });
      return status?.conditions?.find(({ reason }) => reason === "ProgressDeadlineExceeded");
    },
    60_000,
  );
  assert.equal(condition.status, "False");
  assert.equal((await podsOf(world)).filter((pod) => !broken(pod)).length, 2);
});

test("Recreate ends every old pod before the first new one: two writers would share a volume", async () => {
  await using world = await LoopWorld.start();
  await deploy(world, { replicas: 1, strategy: { type: "Recreate" } });
  await available(world, 1);
  const body = { spec: { template: template("shop:2") } };
  await world.client.patch(types.deployments, {
    name: "order",
    namespace,
    type: "merge",
    body,
    signal: world.signal,
  });
  await world.until("the new pod", async () => {
    const all = await podsOf(world);
    assert.ok(all.length <= 1, "never two at once");
    await runPods(world);
    return all.some((pod) => pod.spec?.containers[0]?.image === "shop:2" && pod.status?.phase === "Running");
  });
});

test("deleting a Deployment takes its sets and pods with it; orphaning leaves them", async () => {
  await using world = await LoopWorld.start();
  await deploy(world, { replicas: 1 });
  await available(world, 1);
  await world.client.delete(types.deployments, {
    name: "order",
    namespace,
    propagationPolicy: "Orphan",
    signal: world.signal,
  });
  await world.until("the Deployment to go", async () =>
    world.client.get(types.deployments, { name: "order", namespace, signal: world.signal }).then(
      () => false,
      (error) => hasReason(error, "NotFound"),
    ),
  );
  await world.clock.advance(5_000);
  assert.equal((await podsOf(world)).length, 1);
  await deploy(world, { replicas: 1 });
  await available(world, 1);
  assert.equal((await podsOf(world)).length, 1, "the orphan was adopted");
  await world.client.delete(types.deployments, {
    name: "order",
    namespace,
    propagationPolicy: "Background",
    signal: world.signal,
  });
  await world.until("everything to go", async () => {
    await runPods(world);
    return (await podsOf(world)).length === 0;
  });
});

test("a Job runs to completion, retries with back-off, and gives up at its limit", async () => {
  await using world = await LoopWorld.start();
  const spec = {
    completions: 2,
    parallelism: 1,
    backoffLimit: 1,
    template: { spec: { restartPolicy: "Never", containers: [{ name: "c", image: "x" }] } },
  };
  const make = (name: string): Promise<unknown> =>
    world.client.create(types.jobs, { metadata: { name, namespace }, spec } as never, {
      signal: world.signal,
    });
  const ended = (name: string, type: string, finish: "Succeeded" | "Failed"): Promise<unknown> =>
    world.until(
      `${name} ${type}`,
      async () => {
        await runPods(world, { finish });
        const { status } = await world.client.get(types.jobs, { name, namespace, signal: world.signal });
        return status?.conditions?.some((one) => one.type === type && one.status === "True") === true
          ? status
          : undefined;
      },
      120_000,
    );
  await make("good");
  assert.equal(((await ended("good", "Complete", "Succeeded")) as { succeeded: number }).succeeded, 2);
  await make("bad");
  assert.equal(((await ended("bad", "Failed", "Failed")) as { failed: number }).failed, 2);
});

test("a CronJob makes one Job per time, and after a night in the dark only the newest", async () => {
  await using world = await LoopWorld.start();
  const spec = {
    schedule: "*/10 * * * *",
    jobTemplate: {
      spec: { template: { spec: { restartPolicy: "Never", containers: [{ name: "c", image: "x" }] } } },
    },
  };
  await world.client.create(types.cronJobs, { metadata: { name: "report", namespace }, spec } as never, {
    signal: world.signal,
  });
  const jobs = async (): Promise<number> =>
    (await world.client.list(types.jobs, { namespace, signal: world.signal })).items.length;
  await world.until("the first", async () => (await jobs()) === 1, 700_000);
  world.clock.jump(9 * 3_600_000);
  await world.until("one more", async () => (await jobs()) === 2, 700_000);
  await world.clock.advance(2_000);
  assert.equal(await jobs(), 2);
});

test("a StatefulSet makes pods in order, with claims of their own, and ends them from the top", async () => {
  await using world = await LoopWorld.start();
  const storageClass = {
    metadata: { name: "local-path" },
    provisioner: "rancher.io/local-path",
    volumeBindingMode: "WaitForFirstConsumer",
    reclaimPolicy: "Delete",
  };
  await world.client.create(types.storageClasses, storageClass as never, { signal: world.signal });
  const claim = {
    metadata: { name: "data" },
    spec: {
      accessModes: ["ReadWriteOnce"],
      storageClassName: "local-path",
      resources: { requests: { storage: "1Gi" } },
    },
  };
  const mounting = {
    metadata: { labels },
    spec: {
      containers: [{ name: "c", image: "db:1", volumeMounts: [{ name: "data", mountPath: "/data" }] }],
    },
  };
  const spec = {
    replicas: 2,
    serviceName: "db",
    selector: { matchLabels: labels },
    template: mounting,
    volumeClaimTemplates: [claim],
  };
  await world.client.create(types.statefulSets, { metadata: { name: "db", namespace }, spec } as never, {
    signal: world.signal,
  });
  await world.until("db-0", async () => (await podsOf(world)).some((pod) => pod.metadata.name === "db-0"));
  await world.clock.advance(1_000);
  assert.deepEqual(
    (await podsOf(world)).map((pod) => pod.metadata.name),
    ["db-0"],
    "db-1 waits for db-0",
  );
  await world.until("db-1", async () => {
    await runPods(world);
    return (await podsOf(world)).length === 2;
  });
  const bound = await world.until("bound claims", async () => {
    const { items } = await world.client.list(types.persistentVolumeClaims, {
      namespace,
      signal: world.signal,
    });
    return items.length === 2 && items.every(({ status }) => status?.phase === "Bound") ? items : undefined;
  });
  assert.deepEqual(bound.map(({ metadata }) => metadata.name).toSorted(), ["data-db-0", "data-db-1"]);
  await world.client.patch(types.statefulSets, {
    name: "db",
    namespace,
    type: "merge",
    body: { spec: { replicas: 1 } },
    signal: world.signal,
  });
  await world.until("db-1 to go", async () => {
    await runPods(world);
    return (await podsOf(world)).map((pod) => pod.metadata.name).join() === "db-0";
  });
  const { items: events } = await world.client.list(types.events, { namespace, signal: world.signal });
  const told = events.map(
    ({ involvedObject, reason, message }) => `${involvedObject?.uid} ${reason} ${message}`,
  );
  assert.equal(new Set(told).size, told.length, "the same thing again counts its event up");
});

test("a deleted claim waits for its pod, and then its folder is removed", async () => {
  await using world = await LoopWorld.start();
  const { client, signal } = world;
  const storageClass = {
    metadata: { name: "local-path" },
    provisioner: "rancher.io/local-path",
    volumeBindingMode: "WaitForFirstConsumer",
    reclaimPolicy: "Delete",
  };
  await client.create(types.storageClasses, storageClass as never, { signal });
  const spec = {
    accessModes: ["ReadWriteOnce"],
    storageClassName: "local-path",
    resources: { requests: { storage: "1Gi" } },
  };
  await client.create(
    types.persistentVolumeClaims,
    { metadata: { name: "data", namespace }, spec } as never,
    { signal },
  );
  const volumes = [{ name: "data", persistentVolumeClaim: { claimName: "data" } }];
  const pod = {
    metadata: { name: "writer", namespace },
    spec: { containers: [{ name: "c", image: "x" }], volumes },
  };
  await client.create(types.pods, pod as never, { signal });
  const claim = (): ReturnType<typeof client.get<never>> =>
    client.get(types.persistentVolumeClaims as never, { name: "data", namespace, signal });
  await world.until(
    "bound",
    async () => ((await claim()) as { status?: { phase?: string } }).status?.phase === "Bound",
  );
  await runPods(world);
  await client.delete(types.persistentVolumeClaims, { name: "data", namespace, signal });
  await world.clock.advance(5_000);
  assert.ok(await claim(), "the pod still uses it");
  await client.delete(types.pods, { name: "writer", namespace, gracePeriodSeconds: 0, signal });
  await world.until("the claim to go", async () =>
    claim().then(
      () => false,
      (error) => hasReason(error, "NotFound"),
    ),
  );
  await world.until("the folder to go", async () => world.removed.length === 1);
  assert.match(world.removed[0] ?? "", /^\/var\/lib\/cortado\/storage\/pvc-.*_default_data$/);
});

test("a DaemonSet has one pod on each node, also on one that comes later", async () => {
  await using world = await LoopWorld.start({ nodes: 2 });
  const spec = { selector: { matchLabels: labels }, template: template("agent:1") };
  await world.client.create(types.daemonSets, { metadata: { name: "agent", namespace }, spec } as never, {
    signal: world.signal,
  });
  const nodes = async (): Promise<string> =>
    (await podsOf(world))
      .map((pod) => pod.spec?.nodeName ?? "?")
      .toSorted()
      .join();
  await world.until("two", async () => (await nodes()) === "node-0,node-1");
  await world.addNode("node-2");
  await world.until("three", async () => (await nodes()) === "node-0,node-1,node-2");
});

test("a namespace gets its account and authority, and goes with all that is in it", async () => {
  await using world = await LoopWorld.start();
  const { client, signal } = world;
  await client.create(types.namespaces, { metadata: { name: "shop" } }, { signal });
  await world.until("the account", async () =>
    client.get(types.serviceAccounts, { name: "default", namespace: "shop", signal }).catch(() => undefined),
  );
  const authority = await world.until("the authority", async () =>
    client
      .get(types.configMaps, { name: "kube-root-ca.crt", namespace: "shop", signal })
      .catch(() => undefined),
  );
  assert.deepEqual(authority.data, { "ca.crt": "the authority" });
  await client.create(
    types.pods,
    {
      metadata: { name: "p", namespace: "shop" },
      spec: { containers: [{ name: "c", image: "x" }] },
    } as never,
    { signal },
  );
  await client
    .create(
      types.alerts,
      {
        metadata: { name: "a", namespace: "shop" },
        spec: { store: "s", source: "f", at: "2026-01-01T00:00:00Z" },
      } as never,
      { signal },
    )
    .catch(() => undefined);
  await client.delete(types.namespaces, { name: "shop", signal });
  await world.until("the namespace to go", async () => {
    await runPods(world);
    return client.get(types.namespaces, { name: "shop", signal }).then(
      () => false,
      (error) => hasReason(error, "NotFound"),
    );
  });
});

test("a silent node is NotReady and tainted, and its pods go elsewhere after five minutes", async () => {
  await using world = await LoopWorld.start({ nodes: 1 });
  const { client, signal } = world;
  const renew = async (name: string): Promise<void> => {
    const lease = {
      metadata: { name, namespace: "kube-node-lease" },
      spec: { holderIdentity: name, renewTime: "2026-01-01T00:00:00.000000Z" },
    };
    await client.create(types.leases, lease as never, { signal }).catch(async () => {
      const spec = { renewTime: new Date(world.clock.nowMs()).toISOString().replace("Z", "000Z") };
      await client.patch(types.leases, {
        name,
        namespace: "kube-node-lease",
        type: "merge",
        body: { spec },
        signal,
      });
    });
  };
  await renew("node-0");
  await deploy(world, { replicas: 1 });
  await available(world, 1);
  const ready = async (): Promise<string | undefined> =>
    (await client.get(types.nodes, { name: "node-0", signal })).status?.conditions?.find(
      ({ type }) => type === "Ready",
    )?.status;
  for (let beat = 0; beat < 8; beat += 1) {
    await renew("node-0");
    await world.clock.advance(10_000);
  }
  assert.equal(await ready(), "True", "a node that is heard stays Ready");
  await world.until("NotReady", async () => (await ready()) === "Unknown", 90_000);
  const { spec } = await client.get(types.nodes, { name: "node-0", signal });
  assert.deepEqual(
    spec?.taints?.map(({ key, effect }) => `${key}:${effect}`),
    ["node.kubernetes.io/unreachable:NoSchedule", "node.kubernetes.io/unreachable:NoExecute"],
  );
  await world.addNode("node-1");
  await world.until(
    "a pod on node-1",
    async () => {
      await renew("node-1");
      return (await podsOf(world)).some((pod) => pod.spec?.nodeName === "node-1");
    },
    400_000,
  );
});

test("a pod that fits nowhere says why, and is placed when there is room", async () => {
  await using world = await LoopWorld.start({ nodes: 1 });
  const { client, signal } = world;
  const containers = [{ name: "c", image: "x", resources: { requests: { cpu: "64" } } }];
  await client.create(types.pods, { metadata: { name: "big", namespace }, spec: { containers } } as never, {
    signal,
  });
  const condition = await world.until("the reason", async () => {
    const { status } = await client.get(types.pods, { name: "big", namespace, signal });
    return status?.conditions?.find(({ reason }) => reason === "Unschedulable");
  });
  assert.equal(condition.message, "0/1 nodes are available: 1 Insufficient cpu.");
  await client.patch(types.nodes, {
    name: "node-0",
    type: "merge",
    body: { status: { allocatable: { cpu: "128" } } },
    subresource: "status",
    signal,
  });
  await world.until(
    "the place",
    async () =>
      (await client.get(types.pods, { name: "big", namespace, signal })).spec?.nodeName === "node-0",
  );
});
