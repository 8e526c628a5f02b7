import assert from "node:assert/strict";
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { configMaps, nodes } from "@cortado/kinds/resources";
import { systemClock } from "@cortado/std/node/clock";
import { silentLog } from "@cortado/std/testing/silent-log";
import { keepContainerd } from "../containerd/containerd.ts";
import { runtimeConformance } from "./conformance.ts";
import { kubectl, runKubectl, serveKubectl, startForward, type KubectlRun } from "./kubectl.ts";
import { busyboxImage } from "./images.ts";
import { BoxWorld, sleepCommand } from "./world.ts";

const folder = process.env["BOX_FOLDER"] ?? "";
const id = process.env["BOX_ID"] ?? "";
const world = new BoxWorld({ folder, id });

before(async () => {
  await world.startContainerd();
  await world.startNode();
  await world.stopNode();
});
after(() => world[Symbol.asyncDispose]());

runtimeConformance("containerd", async () => {
  const { openCriRuntime } = await import("../runtime/cri/cri-runtime.ts");
  const runtime = await openCriRuntime({
    socketPath: "/run/c/c.sock",
    clock: systemClock,
    signal: world.signal,
  });
  return {
    runtime,
    image: busyboxImage,
    logFolder: join(folder, "logs"),
    cgroupParent: `/${id}/conformance`,
    [Symbol.asyncDispose]: () => runtime[Symbol.asyncDispose](),
  };
});

test("a pod runs within half a second or so, with its status written once", async () => {
  await world.startNode();
  const startMs = systemClock.monotonicMs();
  await world.createPod("first", {});
  await world.ready("first");
  const tookMs = systemClock.monotonicMs() - startMs;
  assert.ok(tookMs < 5_000, `took ${tookMs} ms`);
  console.log(`# pod create to ready: ${Math.round(tookMs)} ms`);
  const status = world.pod("first").status;
  assert.equal(status?.phase, "Running");
  assert.match(status?.podIP ?? "", /^10\.42\.0\./);
  assert.equal(status?.containerStatuses?.[0]?.started, true);
  assert.match(status?.containerStatuses?.[0]?.containerID ?? "", /^containerd:\/\/[0-9a-f]{64}$/);
  assert.equal(
    world.api.writes.filter((write) => write === "PATCH /api/v1/namespaces/n/pods/first/status").length,
    1,
  );
  await world.until("events", () => world.events("first").length >= 3);
  assert.deepEqual(world.events("first"), [
    `Pulled: Container image "${busyboxImage}" already present on machine`,
    "Created: Created container: main",
    "Started: Started container main",
  ]);
});

test("the node is registered as upstream's", async () => {
  const node = await world.api.client.get(nodes, { name: "box", signal: world.signal });
  assert.equal(node.status?.nodeInfo?.kubeletVersion, "v1.36.0+cortado1");
  assert.match(node.status?.nodeInfo?.containerRuntimeVersion ?? "", /^containerd:\/\/\d/);
  assert.equal(node.status?.conditions?.find((one) => one.type === "Ready")?.status, "True");
  assert.ok(world.api.find("leases", "kube-node-lease/box") !== undefined);
});

test("a node that stops and starts again adopts what runs", async () => {
  const before = world.pod("first").status?.containerStatuses?.[0]?.containerID;
  const writes = world.api.writes.length;
  await world.stopNode();
  await world.startNode();
  await world.node.settled;
  await systemClock.sleep(1_500, { signal: world.signal });
  assert.equal(world.pod("first").status?.containerStatuses?.[0]?.containerID, before);
  assert.deepEqual(
    world.api.writes.slice(writes).filter((write) => write.includes("/pods/")),
    [],
  );
  await world.deletePod("first");
  await world.until(
    "all is removed",
    async () => (await world.runtime.rows({ signal: world.signal })).length === 0,
  );
});

test("a crashing container restarts, then waits in CrashLoopBackOff with its last words", async () => {
  await world.createPod("crash", {
    containers: [{ name: "main", command: ["sh", "-c", "echo -n bad > /dev/termination-log; exit 3"] }],
  });
  await world.until(
    "CrashLoopBackOff",
    () => world.pod("crash").status?.containerStatuses?.[0]?.state?.waiting?.reason === "CrashLoopBackOff",
  );
  const status = world.pod("crash").status?.containerStatuses?.[0];
  assert.equal(status?.restartCount, 1);
  assert.match(
    status?.state?.waiting?.message ?? "",
    /^back-off 10s restarting failed container=main pod=crash_n\(/,
  );
  assert.equal(status?.lastState?.terminated?.exitCode, 3);
  assert.equal(status?.lastState?.terminated?.message, "bad");
  await world.deletePod("crash");
});

test("a job's pod ends as Succeeded or Failed, after its init containers", async () => {
  await world.createPod("job", {
    restartPolicy: "Never",
    initContainers: [
      {
        name: "init",
        image: busyboxImage,
        command: ["sh", "-c", "echo 1 > /scratch/x"],
        volumeMounts: [{ name: "work", mountPath: "/scratch" }],
      },
    ],
    containers: [
      {
        name: "main",
        command: ["sh", "-c", "grep -q 1 /scratch/x"],
        volumeMounts: [{ name: "work", mountPath: "/scratch" }],
      },
    ],
    volumes: [{ name: "work", emptyDir: {} }],
  });
  await world.createPod("fail", {
    restartPolicy: "Never",
    containers: [{ name: "main", command: ["false"] }],
  });
  await world.until("job", () => world.pod("job").status?.phase === "Succeeded");
  await world.until("fail", () => world.pod("fail").status?.phase === "Failed");
  assert.equal(
    world.pod("job").status?.conditions?.find((one) => one.type === "Ready")?.reason,
    "PodCompleted",
  );
  await Promise.all([world.deletePod("job"), world.deletePod("fail")]);
});

test("probes: readiness follows the file, liveness restarts", async () => {
  await world.createPod("probed", {
    containers: [
      {
        name: "main",
        command: ["sh", "-c", "touch /tmp/live; while :; do sleep 0.1; done"],
        readinessProbe: { exec: { command: ["cat", "/tmp/ready"] }, periodSeconds: 1 },
        livenessProbe: { exec: { command: ["cat", "/tmp/live"] }, periodSeconds: 1, failureThreshold: 1 },
      },
    ],
  });
  await world.until("running", () => world.pod("probed").status?.phase === "Running");
  assert.equal(world.isReady("probed"), false);
  await world.shell("probed", "touch /tmp/ready");
  await world.ready("probed");
  await world.shell("probed", "rm /tmp/live");
  await world.until(
    "restart",
    () => (world.pod("probed").status?.containerStatuses?.[0]?.restartCount ?? 0) > 0,
  );
  assert.ok(
    world.events("probed").includes("Killing: Container main failed liveness probe, will be restarted"),
  );
  await world.deletePod("probed");
});

test("environment, volumes, DNS and hosts are as the pod asks", async () => {
  const { client } = world.api;
  await client.create(
    configMaps,
    { metadata: { name: "settings", namespace: "n" }, data: { key: "value" } },
    { namespace: "n", signal: world.signal },
  );
  await world.createPod("rich", {
    hostAliases: [{ ip: "10.1.2.3", hostnames: ["acquirer"] }],
    securityContext: { fsGroup: 2000, runAsUser: 1000 },
    containers: [
      {
        name: "main",
        env: [
          { name: "A", value: "one" },
          { name: "B", value: "$(A)-two" },
          { name: "IP", valueFrom: { fieldRef: { fieldPath: "status.podIP" } } },
          { name: "K", valueFrom: { configMapKeyRef: { name: "settings", key: "key" } } },
        ],
        resources: { limits: { memory: "64Mi", cpu: "100m" } },
        volumeMounts: [
          { name: "config", mountPath: "/config" },
          { name: "memory", mountPath: "/memory" },
          { name: "disk", mountPath: "/disk", subPath: "below" },
          { name: "token", mountPath: "/token" },
        ],
      },
    ],
    volumes: [
      { name: "config", configMap: { name: "settings" } },
      { name: "memory", emptyDir: { medium: "Memory", sizeLimit: "1Mi" } },
      { name: "disk", emptyDir: {} },
      {
        name: "token",
        projected: {
          sources: [
            { serviceAccountToken: { path: "token", expirationSeconds: 3600 } },
            { downwardAPI: { items: [{ path: "name", fieldRef: { fieldPath: "metadata.name" } }] } },
          ],
        },
      },
    ],
  });
  await world.ready("rich");
  const { stdout } = await world.shell(
    "rich",
    "echo $B $K $IP; cat /config/key /token/token /token/name; echo; df /memory | grep -c tmpfs; touch /disk/x && stat -c %g /disk/x; id -u; cat /etc/resolv.conf; grep acquirer /etc/hosts; hostname",
  );
  const ip = world.pod("rich").status?.podIP;
  assert.equal(stdout.split("\n")[0], `one-two value ${ip}`);
  assert.match(stdout, /value(token-\d+)rich\n1\n2000\n1000\n/);
  assert.match(
    stdout,
    /search n\.svc\.cluster\.local svc\.cluster\.local cluster\.local\nnameserver 10\.43\.0\.10\noptions ndots:5\n/,
  );
  assert.match(stdout, /10\.1\.2\.3\s+acquirer\nrich\n/);
  await client.patch(configMaps, {
    name: "settings",
    namespace: "n",
    type: "merge",
    body: { data: { key: "new" } },
    signal: world.signal,
  });
  await world.until(
    "the volume follows",
    async () => (await world.shell("rich", "cat /config/key")).stdout === "new",
  );
  const uid = world.pod("rich").metadata.uid ?? "";
  await world.deletePod("rich");
  assert.equal(existsSync(join(folder, "node", "pods", uid)), false);
  assert.equal(existsSync(`/sys/fs/cgroup/memory/${id}/guaranteed/pod${uid}`), false);
});

test("what cannot run says why", async () => {
  await world.createPod("noimage", {
    containers: [{ name: "main", image: "cortado.local/none:1", imagePullPolicy: "Never" }],
  });
  await world.createPod("nopull", { containers: [{ name: "main", image: "127.0.0.1:1/none:1" }] });
  await world.createPod("noconfig", {
    containers: [
      { name: "main", env: [{ name: "A", valueFrom: { configMapKeyRef: { name: "absent", key: "a" } } }] },
    ],
  });
  await world.createPod("nocommand", { containers: [{ name: "main", command: ["/no/such"] }] });
  await world.createPod("novolume", { volumes: [{ name: "v", configMap: { name: "absent" } }] });
  const reason = (name: string): string =>
    world.pod(name).status?.containerStatuses?.[0]?.state?.waiting?.reason ?? "";
  await world.until("noimage", () => reason("noimage") === "ErrImageNeverPull");
  await world.until("nopull", () => ["ErrImagePull", "ImagePullBackOff"].includes(reason("nopull")));
  await world.until("noconfig", () => reason("noconfig") === "CreateContainerConfigError");
  await world.until("nocommand", () =>
    ["RunContainerError", "CrashLoopBackOff"].includes(reason("nocommand")),
  );
  await world.until("novolume", () =>
    world
      .events("novolume")
      .some((event) => event.startsWith("FailedMount: ") && event.includes('configmap "absent" not found')),
  );
  await Promise.all(
    ["noimage", "nopull", "noconfig", "nocommand", "novolume"].map((name) => world.deletePod(name)),
  );
});

test("a pod ends gracefully: hook, signal, then the object goes", async () => {
  await world.createPod("polite", {
    terminationGracePeriodSeconds: 10,
    containers: [
      {
        name: "main",
        command: sleepCommand,
        lifecycle: { preStop: { exec: { command: ["sh", "-c", "echo bye > /out/bye"] } } },
        volumeMounts: [{ name: "out", mountPath: "/out" }],
      },
    ],
    volumes: [{ name: "out", hostPath: { path: join(folder, "out"), type: "DirectoryOrCreate" } }],
  });
  await world.ready("polite");
  const startMs = systemClock.monotonicMs();
  await world.deletePod("polite");
  assert.ok(systemClock.monotonicMs() - startMs < 8_000);
  assert.deepEqual(await readdir(join(folder, "out")), ["bye"]);
});

test("when the runtime loses everything, as in a power cut, the pod gets a new sandbox", async () => {
  await world.createPod("lost", {});
  await world.ready("lost");
  const { uid = "" } = world.pod("lost").metadata;
  const sandbox = (await world.runtime.pod(uid, { signal: world.signal })).sandboxes[0];
  await world.runtime.stopSandbox(sandbox?.id ?? "", { signal: world.signal });
  await world.until(
    "restart",
    () => (world.pod("lost").status?.containerStatuses?.[0]?.restartCount ?? 0) >= 1 && world.isReady("lost"),
  );
  await world.deletePod("lost");
});

test(
  "kubectl: logs, exec, attach, cp and port-forward",
  { skip: kubectl() === undefined && "needs kubectl on PATH or in KUBECTL" },
  async () => {
    await world.createPod("web", {
      containers: [
        {
          name: "main",
          stdin: true,
          command: [
            "sh",
            "-c",
            "echo one; echo two >&2; mkdir -p /tmp/www; echo hello > /tmp/www/index.html; httpd -p 127.0.0.1:8080 -h /tmp/www; cat; sleep 1000",
          ],
        },
      ],
    });
    await world.ready("web");
    await using server = await serveKubectl(world);
    const run = (args: readonly string[], input = ""): Promise<KubectlRun> =>
      runKubectl({ url: server.url, args, input });
    await world.until("log lines", async () => (await run(["logs", "web"])).stdout.split("\n").length === 3);
    assert.equal((await run(["logs", "web", "--tail=1"])).stdout.length, 4);
    assert.match((await run(["logs", "web", "--timestamps"])).stdout, /^\d{4}-\d\d-\d\dT[^ ]+ (one|two)\n/);
    for (const webSockets of ["true", "false"]) {
      const args = (...more: string[]): string[] => more;
      const env = {
        KUBECTL_REMOTE_COMMAND_WEBSOCKETS: webSockets,
        KUBECTL_PORT_FORWARD_WEBSOCKETS: webSockets,
      };
      const go = (more: string[], input = ""): Promise<KubectlRun> =>
        runKubectl({ url: server.url, args: more, input, env });
      const failed = await go(args("exec", "web", "--", "sh", "-c", "echo out; echo err >&2; exit 7"));
      assert.deepEqual([failed.stdout, failed.code], ["out\n", 7]);
      assert.match(failed.stderr, /^err\n/);
      assert.equal((await go(args("exec", "-i", "web", "--", "cat"), "through\n")).stdout, "through\n");
      const large = "x".repeat(3_000_000);
      assert.equal((await go(args("exec", "-i", "web", "--", "wc", "-c"), large)).stdout.trim(), "3000000");
      assert.equal(
        (await go(args("exec", "web", "--", "sh", "-c", "head -c 3000000 /dev/zero"))).stdout.length,
        3_000_000,
      );
      writeFileSync(join(folder, "cp.txt"), "copied");
      const copied = await go(args("cp", join(folder, "cp.txt"), "web:/tmp/cp.txt"));
      assert.equal(copied.code, 0, copied.stderr);
      assert.equal((await go(args("cp", "web:/tmp/cp.txt", join(folder, "back.txt")))).code, 0);
      assert.equal(readFileSync(join(folder, "back.txt"), "utf8"), "copied");
      await using forward = await startForward({ url: server.url, env });
      for (let turn = 0; turn < 3; turn += 1)
        assert.equal(await (await fetch(`http://127.0.0.1:${forward.port}/`)).text(), "hello\n");
    }
    // containerd stops the output of an attach when its input ends, so the input stays open until the answer is here.
    const attached = await runKubectl({
      url: server.url,
      args: ["attach", "-i", "web"],
      input: "typed\n",
      awaited: "typed",
    });
    assert.match(attached.stdout, /typed/);
    assert.match((await run(["exec", "web", "-c", "none", "--", "true"])).stderr, /container none/);
    await world.deletePod("web");
  },
);

test("a log is cut when it grows too long, and goes on", async () => {
  await world.createPod("loud", {
    containers: [
      {
        name: "main",
        command: [
          "sh",
          "-c",
          "head -c 11000000 /dev/zero | tr '\\0' x | fold -w 1000; sleep 1; while :; do date; sleep 0.2; done",
        ],
      },
    ],
  });
  await world.ready("loud");
  const { uid = "" } = world.pod("loud").metadata;
  const logs = join(folder, "node", "logs", `n_loud_${uid}`, "main");
  await world.until("rotated", async () => (await readdir(logs)).length === 2, 30_000);
  await world.until("goes on", () => statSync(join(logs, "0.log")).size > 0);
  await world.deletePod("loud");
});

test("containerd that is killed is started again; its pods live on and are adopted", async () => {
  await world.createPod("steady", {});
  await world.ready("steady");
  const before = world.pod("steady").status?.containerStatuses?.[0]?.containerID;
  const stop = new AbortController();
  const ports = { clock: systemClock, log: silentLog, signal: stop.signal };
  using _stopping = { [Symbol.dispose]: () => stop.abort() };
  await keepContainerd(world.containerdOptions, ports);
  assert.ok(world.containerdPid !== undefined);
  process.kill(world.containerdPid, "SIGKILL");
  const answers = (): Promise<boolean> =>
    world.runtime.rows({ signal: world.signal }).then(
      () => true,
      () => false,
    );
  await world.until("containerd is gone", async () => !(await answers()));
  await world.until("containerd is back", answers, 30_000);
  assert.equal((await world.shell("steady", "echo here")).stdout, "here\n");
  assert.equal(world.pod("steady").status?.containerStatuses?.[0]?.containerID, before);
  assert.equal(world.isReady("steady"), true);
  await world.deletePod("steady");
});

test("after a power cut all pods are back within seconds", async () => {
  const names = ["one", "two", "three"];
  for (const name of names)
    await world.createPod(name, {
      volumes: [{ name: "v", emptyDir: {} }],
      containers: [{ name: "main", volumeMounts: [{ name: "v", mountPath: "/v" }] }],
    });
  for (const name of names) await world.ready(name);
  await world.shell("one", "echo kept > /v/x");
  await world.cutPower();
  const startMs = systemClock.monotonicMs();
  await world.startContainerd();
  const bootedMs = systemClock.monotonicMs();
  await world.startNode();
  for (const name of names)
    await world.until(
      `${name} is back`,
      () => (world.pod(name).status?.containerStatuses?.[0]?.restartCount ?? 0) === 1 && world.isReady(name),
    );
  console.log(
    `# containerd ${Math.round(bootedMs - startMs)} ms, then all pods ${Math.round(systemClock.monotonicMs() - bootedMs)} ms`,
  );
  assert.equal((await world.shell("one", "cat /v/x")).stdout, "kept\n");
  assert.equal(world.pod("one").status?.containerStatuses?.[0]?.lastState?.terminated?.exitCode, 255);
  for (const name of names) await world.deletePod(name);
});

test("nothing is left", async () => {
  await world.until(
    "all is removed",
    async () => (await world.runtime.rows({ signal: world.signal })).length === 0,
  );
  assert.deepEqual(await readdir(join(folder, "node", "pods")), []);
  assert.deepEqual(await readdir("/run/cortado/pods"), []);
});
