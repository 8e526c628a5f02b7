import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { Ran } from "../clients/clients.ts";
import { DemoWorld, until, whyNoBoxes, type Words } from "./demo-world.ts";

// What the kinds of workloads do in real containers, and what goes wrong with them.
const missing = await whyNoBoxes();
const skip = missing ?? false;
const world = new DemoWorld();

const ask = (words: Words): Promise<Ran> => world.ask("work", words);
const tell = (words: Words): Promise<string> => world.tell("work", words);
const inside = (pod: string, script: string): Promise<string> =>
  tell(["exec", pod, "--", "sh", "-c", script]);
const waiting = (pod: string): Promise<string> =>
  tell(`get pod ${pod} -o jsonpath={.status.containerStatuses[0].state.waiting.reason}`);

before(async () => {
  if (missing !== undefined) return;
  await world.start();
  await tell("create namespace work");
  await until(
    "the namespace's account",
    async () => (await ask("get serviceaccount default")).code === 0,
    5_000,
  );
  const text = readFileSync(join(import.meta.dirname, "manifests", "workloads.yaml"), "utf8").replace(
    "/var/tmp/polite-HERE",
    join(world.folder, "polite"),
  );
  await world.tell("work", "apply -f -", { input: text });
});
after(() => world.end());

test("a missing image is said at once, is tried again later, and holds up nobody", { skip }, async () => {
  await until(
    "the pull to fail",
    async () => /^(ErrImagePull|ImagePullBackOff)$/.test(await waiting("noimage")),
    15_000,
  );
  await until("the back-off", async () => (await waiting("noimage")) === "ImagePullBackOff", 15_000);
  assert.match(
    await tell("describe pod noimage"),
    /Failed to pull image "registry\.example\.test\/none:1": /,
  );
  await until(
    "the image that is never pulled",
    async () => (await waiting("nolocal")) === "ErrImageNeverPull",
    15_000,
  );
  await until(
    "a missing ConfigMap to be named",
    async () => /configmap "absent" not found/.test(await tell("get pod noconfig -o yaml")),
    15_000,
  );
  assert.equal(await waiting("noconfig"), "CreateContainerConfigError");
  await tell("create configmap absent --from-literal=a=b");
  await tell("wait --for=condition=ready pod/vols --timeout=30s");
  await world.isWell();
});

test(
  "a StatefulSet's pods come in order, have names and disks of their own, and find their data again",
  { skip },
  async () => {
    await tell("rollout status statefulset/db --timeout=40s");
    assert.match(await tell("get pvc"), /^data-db-0\s+Bound\s[^]*^data-db-1\s+Bound\s/m);
    assert.equal(await inside("db-1", "cat /data/log"), "db-1 starts\n");
    await tell("delete pod db-1");
    await until(
      "db-1 to be back",
      async () => (await ask("wait --for=condition=ready pod/db-1 --timeout=1s")).code === 0,
      30_000,
    );
    assert.equal(await inside("db-1", "cat /data/log"), "db-1 starts\ndb-1 starts\n");
    await tell("scale statefulset db --replicas=1");
    await until("db-1 to go", async () => (await ask("get pod db-1")).code === 1, 15_000);
    assert.match(await tell("get pvc data-db-1"), /Bound/, "its disk stays");
  },
);

test("a DaemonSet has its pod on the node", { skip }, async () => {
  await tell("rollout status daemonset/agent --timeout=30s");
  assert.match(await tell("get daemonset agent"), /^agent\s+1\s+1\s+1\s+1\s+1\s/m);
  assert.equal(await tell("get pods -l app=agent -o jsonpath={.items[*].spec.nodeName}"), "store-042");
});

test("Jobs: parts by index, failure at the limit", { skip }, async () => {
  await tell("wait --for=condition=complete job/parts --timeout=40s");
  const said = await tell("logs -l batch.kubernetes.io/job-name=parts");
  assert.deepEqual(said.trim().split("\n").toSorted(), ["part 0", "part 1", "part 2"]);
  await tell("wait --for=condition=failed job/tries --timeout=30s");
  assert.match(await tell("describe job tries"), /BackoffLimitExceeded/);
});

test("volumes and variables of every source, init containers and sidecars", { skip }, async () => {
  assert.equal(await tell("get pod vols -o jsonpath={.status.initContainerStatuses[*].ready}"), "true true");
  const found = await inside(
    "vols",
    "cat /work/init /work/side; cat /conf/a.txt /one.txt /all/c/a /all/pass /all/ns; echo; cat /down/labels; echo; cat /down/note; echo; stat -Lc %a /sec/pass 2>/dev/null || ls -lL /sec/pass; echo $MEM $LEVEL $S_pass $BOTH; cut -c1-3 /all/token; df /mem | tail -1",
  );
  assert.match(
    found,
    /^init\ninit\noneoneonehunterwork\napp="vols"\ncolour="red"\nn1\n(400|-r--------.*)\n67108864 debug hunter debug-10\.42\.0\.\d+\neyJ\ntmpfs\s+8192\s/,
  );
});

test("ConfigMaps, Secrets and labels are updated in a running pod, whole", { skip }, async () => {
  await tell(["patch", "configmap", "conf", "-p", '{"data":{"a.txt":"two"}}']);
  await tell(["patch", "secret", "sec", "-p", '{"stringData":{"pass":"changed"}}']);
  await tell("label pod vols colour=green --overwrite");
  await until(
    "the files",
    async () =>
      (await inside("vols", "cat /conf/a.txt /all/c/a /sec/pass; grep colour /down/labels")).trim() ===
      'twotwochangedcolour="green"',
    90_000,
  );
  assert.equal(await inside("vols", "cat /one.txt"), "one", "a sub path stays, as upstream's does");
});

test("a crashing container backs off, is told so, and harms nobody", { skip }, async () => {
  await until("the back-off", async () => (await waiting("crash")) === "CrashLoopBackOff", 20_000);
  const text = await tell("describe pod crash");
  assert.match(text, /Last State:\s+Terminated\s+Reason:\s+Error\s+Exit Code:\s+3/);
  assert.match(text, /Warning\s+BackOff.*Back-off restarting failed container c in pod crash_work/);
  const restarts = async (): Promise<number> =>
    Number(await tell("get pod crash -o jsonpath={.status.containerStatuses[0].restartCount}"));
  assert.ok((await restarts()) <= 4, "it waits longer each time");
  assert.match(await tell("get pod crash"), /crash\s+0\/1\s+(CrashLoopBackOff|Error)\s/);
});

test("a container over its memory is OOMKilled", { skip }, async () => {
  await until(
    "its end",
    async () =>
      /OOMKilled/.test(
        await tell("get pod oom -o jsonpath={.status.containerStatuses[0].state.terminated.reason}"),
      ),
    20_000,
  );
  assert.equal(
    await tell(
      "get pod oom -o jsonpath={.status.phase}:{.status.containerStatuses[0].state.terminated.exitCode}",
    ),
    "Failed:137",
  );
});

test("a failed liveness probe restarts the container and says why", { skip }, async () => {
  await tell("wait --for=condition=ready pod/live --timeout=20s");
  await inside("live", "rm /tmp/ok");
  await until(
    "the restart",
    async () =>
      Number(await tell("get pod live -o jsonpath={.status.containerStatuses[0].restartCount}")) === 1,
    15_000,
  );
  assert.match(
    await tell("describe pod live"),
    /Liveness probe failed: cat: can't open '\/tmp\/ok'[^]*|Container c failed liveness probe, will be restarted/,
  );
});

test("a pod is asked to go: preStop first, then SIGTERM, and its files stay", { skip }, async () => {
  await tell("wait --for=condition=ready pod/polite --timeout=20s");
  const startMs = performance.now();
  await tell("delete pod polite");
  const tookMs = performance.now() - startMs;
  assert.equal(readFileSync(join(world.folder, "polite", "log"), "utf8"), "prestop\nterm\n");
  assert.ok(tookMs >= 1_000 && tookMs < 10_000, `${tookMs} ms`);
});

test("a CronJob runs at its minute", { skip }, async () => {
  await until("its first job", async () => /minutely-\d+\s+Complete/.test(await tell("get jobs")), 70_000);
  assert.match(
    await tell("get cronjob minutely"),
    /^minutely\s+\* \* \* \* \*\s+<none>\s+False\s+\d\s+\d+s/m,
  );
});

test("deleting a namespace ends all that is in it, and the disks of its claims", { skip }, async () => {
  const volume = await tell("get pvc data-db-0 -o jsonpath={.spec.volumeName}");
  const folder = await tell(`get pv ${volume} -o jsonpath={.spec.hostPath.path}{.spec.local.path}`);
  assert.ok(existsSync(folder), folder);
  await world.ask("default", "delete namespace work --timeout=55s", { timeoutMs: 59_000 });
  assert.match((await ask("get namespace work")).err, /not found/);
  assert.equal(
    await world.tell("default", "get pods -A --field-selector metadata.namespace=work -o name"),
    "",
  );
  await until("the disk to go", () => !existsSync(folder), 15_000);
  assert.doesNotMatch(await world.tell("default", "get pv -o name"), new RegExp(volume));
  await world.isWell();
});
