import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { boxMissing } from "@cortado/node/testing/box";
import { busyboxImage } from "@cortado/node/testing/images";
import { until } from "./demo-world.ts";
import { WorkerBoxes } from "./worker-boxes.ts";

// Two machines of one line, with real containers: how their pods reach each other, and what happens when one fails.
const missing = boxMissing();
const skip = missing ?? false;
let boxes: WorkerBoxes;

const web = (name: string, node: string): object => ({
  ...{ apiVersion: "v1", kind: "Pod", metadata: { name, labels: { app: "web", name } } },
  spec: {
    nodeSelector: { "kubernetes.io/hostname": node },
    terminationGracePeriodSeconds: 1,
    containers: [
      {
        ...{ name: "c", image: busyboxImage, volumeMounts: [{ name: "words", mountPath: "/words" }] },
        command: [
          "sh",
          "-c",
          `mkdir /www; echo ${name} > /www/index.html; head -c 3000000 /dev/zero > /www/big; echo serving; exec httpd -f -p 8080 -h /www`,
        ],
        readinessProbe: { httpGet: { path: "/", port: 8080 }, periodSeconds: 1 },
      },
    ],
    volumes: [
      {
        name: "words",
        projected: { sources: [{ configMap: { name: "words" } }, { secret: { name: "keys" } }] },
      },
    ],
  },
});
const service = {
  ...{ apiVersion: "v1", kind: "Service", metadata: { name: "web" } },
  spec: {
    type: "NodePort",
    selector: { app: "web" },
    ports: [{ port: 80, targetPort: 8080, nodePort: 30080 }],
  },
};
const get = (url: string): string => `timeout 3 wget -qO- http://${url}`;
const ipOf = (pod: string): Promise<string> => boxes.told(["get", "pod", pod, "-o=jsonpath={.status.podIP}"]);
const untilPodReady = (pod: string): Promise<unknown> =>
  until(
    `pod ${pod}`,
    async () => /^\S+\s+1\/1\s+Running/.test((await boxes.ask(`get pod ${pod} --no-headers`)).out),
    60_000,
  );

before(async () => {
  if (missing !== undefined) return;
  boxes = await WorkerBoxes.start();
  await boxes.boot("worker");
  boxes.startAgent("worker");
  await boxes.untilReady("worker");
  await boxes.apply(
    { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "words" }, data: { greeting: "moin" } },
    { apiVersion: "v1", kind: "Secret", metadata: { name: "keys" }, stringData: { key: "k1" } },
    service,
    web("here", "server"),
    web("there", "worker"),
  );
  await untilPodReady("here");
  await untilPodReady("there");
});
after(() => boxes?.[Symbol.asyncDispose]());

test(
  "pods of two nodes reach each other by their own addresses, with small packets and large",
  { skip },
  async () => {
    const [here, there] = [await ipOf("here"), await ipOf("there")];
    assert.match(here, /^10\.42\.0\./);
    assert.match(there, /^10\.42\.1\./);
    assert.equal(await boxes.inPod("here", get(`${there}:8080/`)), "there\n");
    assert.equal(await boxes.inPod("there", get(`${here}:8080/`)), "here\n");
    assert.equal(await boxes.inPod("there", `${get(`${here}:8080/big`)} | wc -c`), "3000000\n");
    assert.equal(await boxes.inPod("here", `${get(`${there}:8080/big`)} | wc -c`), "3000000\n");
    const device = await boxes.inside("worker", ["ip", "-d", "link", "show", "cortado.1"]);
    assert.match(device.out, /mtu 1450 [^]* vxlan id 1 local 100\.64\.77\.3 .*dstport 8472/);
  },
);

test(
  "a service is reached by its name and its address from both nodes, and by a node port of both",
  { skip },
  async () => {
    for (const pod of ["here", "there"]) {
      const seen = new Set<string>();
      await until(
        `both answers in ${pod}`,
        async () => seen.add(await boxes.inPod(pod, get("web/"))).size >= 2,
        20_000,
      );
      assert.deepEqual([...seen].toSorted(), ["here\n", "there\n"]);
      assert.match(
        await boxes.inPod(pod, "timeout 3 nslookup kubernetes.default.svc.cluster.local"),
        /10\.43\.0\.1\b/,
      );
      assert.match(
        await boxes.inPod(pod, "nc -w 3 10.43.0.1 443 </dev/null && echo open"),
        /open/,
        "the API server",
      );
    }
    for (const node of ["server", "worker"]) {
      const seen = new Set<string>();
      await until(
        `both answers of ${node}'s port`,
        async () => {
          const { out } = await boxes.outside([
            "timeout",
            "3",
            "busybox",
            "wget",
            "-qO-",
            `http://${boxes.addressOf(node)}:30080/`,
          ]);
          return seen.add(out).has("here\n") && seen.has("there\n");
        },
        20_000,
      );
      const host = await boxes.inside(node, [
        "timeout",
        "3",
        "busybox",
        "wget",
        "-qO-",
        `http://${boxes.addressOf(node)}:30080/`,
      ]);
      assert.match(host.out, /here|there/, "from the node itself");
    }
  },
);

test("a policy holds between nodes: it sees the pod that asks, not its node", { skip }, async () => {
  const policy = {
    ...{ apiVersion: "networking.k8s.io/v1", kind: "NetworkPolicy", metadata: { name: "only-friends" } },
    spec: {
      podSelector: { matchLabels: { name: "here" } },
      ingress: [{ from: [{ podSelector: { matchLabels: { friend: "yes" } } }] }],
    },
  };
  await boxes.apply(policy);
  const here = await ipOf("here");
  const asked = (): Promise<string> => boxes.inPod("there", get(`${here}:8080/`));
  await until("a stranger to be shut out", async () => (await asked()).startsWith("failed"), 10_000);
  await boxes.told("label pod there friend=yes");
  await until("a friend to be let in", async () => (await asked()) === "here\n", 10_000);
  await boxes.told("delete networkpolicy only-friends");
});

test("logs, exec, port-forward and top reach a pod of the other node", { skip }, async () => {
  assert.equal(await boxes.told("logs there"), "serving\n");
  assert.equal(await boxes.inPod("there", "cat /words/greeting /words/key"), "moink1");
  const typed = await boxes.told("exec -i there -- sh -c cat", "typed\n".repeat(1000));
  assert.equal(typed, "typed\n".repeat(1000));
  assert.equal((await boxes.ask(["exec", "there", "--", "sh", "-c", "exit 7"])).code, 7);
  const script = `${boxes.kubectl} --kubeconfig ${boxes.kubeconfig} port-forward pod/there 18080:8080 & P=$!
    for i in $(seq 50); do timeout 2 busybox wget -qO- http://127.0.0.1:18080/ && break; sleep 0.1; done; kill $P`;
  assert.match((await boxes.outside(["sh", "-c", script])).out, /^there$/m);
  await until(
    "the use",
    async () => {
      const { out } = await boxes.ask("top pods");
      return /^here\s/m.test(out) && /^there\s/m.test(out);
    },
    30_000,
  );
});

test(
  "a changed ConfigMap reaches the pod, a token of its account lets it in, and a claim has its folder there",
  { skip },
  async () => {
    const token = "cat /var/run/secrets/kubernetes.io/serviceaccount/token | wc -c";
    assert.ok(Number(await boxes.inPod("there", token)) > 500);
    await boxes.apply(
      { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "words" }, data: { greeting: "tach" } },
      {
        ...{ apiVersion: "v1", kind: "PersistentVolumeClaim", metadata: { name: "shelf" } },
        spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Mi" } } },
      },
      {
        ...{ apiVersion: "v1", kind: "Pod", metadata: { name: "keeper" } },
        spec: {
          ...{ nodeSelector: { "kubernetes.io/hostname": "worker" }, terminationGracePeriodSeconds: 1 },
          containers: [
            {
              name: "c",
              image: busyboxImage,
              command: ["sh", "-c", "echo kept > /data/x; sleep 1000"],
              volumeMounts: [{ name: "d", mountPath: "/data" }],
            },
          ],
          volumes: [{ name: "d", persistentVolumeClaim: { claimName: "shelf" } }],
        },
      },
    );
    await untilPodReady("keeper");
    assert.equal(await boxes.inPod("keeper", "cat /data/x"), "kept\n");
    await until(
      "the new word",
      async () => (await boxes.inPod("there", "cat /words/greeting")) === "tach",
      90_000,
    );
    const path = await boxes.told(["get", "pv", "-o=jsonpath={.items[0].spec.hostPath.path}"]);
    assert.equal(existsSync(join(path, "x")), true, "boxes have the host's disk");
    await boxes.told("delete pod keeper --wait=true");
    await boxes.told("delete pvc shelf --wait=true");
    await until("the folder to go", () => Promise.resolve(!existsSync(path)), 20_000);
  },
);

const startedAt = (): Promise<string> =>
  boxes.told([
    "get",
    "pod",
    "there",
    "-o=jsonpath={.status.containerStatuses[0].state.running.startedAt} {.status.containerStatuses[0].restartCount}",
  ]);

test(
  "an agent that is killed leaves its pods at work, and takes them over when it is back",
  { skip },
  async () => {
    const before = await startedAt();
    await boxes.kill("worker");
    assert.equal(await boxes.inPod("here", get(`${await ipOf("there")}:8080/`)), "there\n", "meanwhile");
    boxes.startAgent("worker");
    await until("its tunnel", async () => (await boxes.ask("logs there")).out === "serving\n", 30_000);
    assert.equal(await startedAt(), before);
  },
);

test(
  "with no server the pods of both nodes work on, also when the agent is started anew meanwhile",
  { skip },
  async () => {
    const [before, there, here] = [await startedAt(), await ipOf("there"), await ipOf("here")];
    await boxes.kill("server");
    await boxes.kill("worker");
    boxes.startAgent("worker");
    await until(
      "the agent to start without its server",
      () => Promise.resolve(boxes.log("worker").includes("starting with what it said before")),
      20_000,
    );
    await new Promise((resolve) => setTimeout(resolve, 3_000));
    const direct = await boxes.inside("worker", [
      "timeout",
      "3",
      "busybox",
      "wget",
      "-qO-",
      `http://${there}:8080/`,
    ]);
    assert.equal(direct.out, "there\n");
    const across = await boxes.inside("worker", [
      "timeout",
      "3",
      "busybox",
      "wget",
      "-qO-",
      `http://${here}:8080/`,
    ]);
    assert.equal(across.out, "here\n");
    await boxes.startServer();
    await boxes.untilReady("worker");
    assert.equal(await startedAt(), before, "nothing was started anew");
    await until("its tunnel", async () => (await boxes.ask("logs there")).out === "serving\n", 30_000);
  },
);

test("a container that ends while the server is away is started again by its agent", { skip }, async () => {
  const there = await ipOf("there");
  await boxes.kill("server");
  await boxes.endContainers("worker", "httpd");
  await until(
    "a new one to answer",
    async () => {
      const { out } = await boxes.inside("worker", [
        "timeout",
        "3",
        "busybox",
        "wget",
        "-qO-",
        `http://${there}:8080/`,
      ]);
      return out === "there\n";
    },
    60_000,
  );
  await boxes.startServer();
  await boxes.untilReady("worker");
  await until("the count", async () => (await startedAt()).endsWith(" 1"), 60_000);
});

test("a machine that loses its power comes back with its pods", { skip }, async () => {
  await boxes.cutPower("worker");
  await boxes.boot("worker");
  boxes.startAgent("worker");
  await boxes.untilReady("worker");
  await until(
    "the pod",
    async () => (await boxes.inPod("here", get(`${await ipOf("there")}:8080/`))) === "there\n",
    60_000,
  );
});

test(
  "a server's machine that loses its power has its node back, which says so by itself",
  { skip },
  async () => {
    await boxes.cutPower("server");
    await boxes.boot("server");
    await boxes.startServer();
    await boxes.apply(web("late", "worker"));
    await untilPodReady("late"); // the agent has noticed that its connections lead nowhere
    await untilPodReady("here");
    await until(
      "the way",
      async () => (await boxes.inPod("here", get(`${await ipOf("late")}:8080/`))) === "late\n",
      30_000,
    );
    assert.equal(await boxes.inPod("late", get(`${await ipOf("here")}:8080/`)), "here\n");
  },
);

test("a deleted node's machine and routes are forgotten: no device, no open port", { skip }, async () => {
  await boxes.cutPower("worker");
  await boxes.told("delete node worker");
  await until(
    "the device to go",
    async () => (await boxes.inside("server", ["ip", "link", "show", "cortado.1"])).code !== 0,
    20_000,
  );
  assert.doesNotMatch((await boxes.inside("server", ["ss", "-lun"])).out, /:8472\b/);
});

test("host-gw: routes in place of a device", { skip }, async () => {
  await boxes[Symbol.asyncDispose]();
  boxes = await WorkerBoxes.start("--flannel-backend", "host-gw");
  await boxes.boot("worker");
  boxes.startAgent("worker");
  await boxes.untilReady("worker");
  await boxes.apply(
    { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "words" }, data: {} },
    { apiVersion: "v1", kind: "Secret", metadata: { name: "keys" } },
    ...[web("here", "server"), web("there", "worker"), service],
  );
  await untilPodReady("here");
  await untilPodReady("there");
  assert.equal(await boxes.inPod("here", get(`${await ipOf("there")}:8080/`)), "there\n");
  assert.equal(await boxes.inPod("there", `${get(`${await ipOf("here")}:8080/big`)} | wc -c`), "3000000\n");
  assert.notEqual((await boxes.inside("server", ["ip", "link", "show", "cortado.1"])).code, 0);
  assert.match(
    (await boxes.inside("server", ["ip", "route"])).out,
    /^10\.42\.1\.0\/24 via 100\.64\.77\.3 dev up0 proto 201/m,
  );
});
