import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { at } from "@cortado/kinds/tree";
import { newStockRenderer, type StockRendererOptions } from "@cortado/fleet/compile/node";
import { render } from "@cortado/fleet/compile/render";
import type { BundleFile, BundleOptions } from "@cortado/fleet/compile/bundle";
import { stockClient } from "../clients/clients.ts";

type World = {
  readonly folder: string;
  readonly rendered: (texts: Record<string, string>, options?: BundleOptions) => ReturnType<typeof render>;
};

function world(context: TestContext, over: Partial<StockRendererOptions> = {}): World {
  const folder = mkdtempSync(join(tmpdir(), "render-test-"));
  context.after(() => {
    rmSync(folder, { recursive: true });
  });
  const renderer = newStockRenderer({
    helm: stockClient("helm"),
    kubectl: stockClient("kubectl"),
    folder,
    ...over,
  });
  return {
    folder,
    rendered: (texts, options = {}) =>
      render(filesOf(texts), options, { renderer, bundle: { name: "shop" } }),
  };
}

function filesOf(texts: Readonly<Record<string, string>>): readonly BundleFile[] {
  return Object.entries(texts).map(([name, text]) => ({ name, content: new TextEncoder().encode(text) }));
}

const chart = {
  "Chart.yaml": "apiVersion: v2\nname: till\nversion: 0.1.0\n",
  "values.yaml": "replicas: 1\nimage: till\n",
  "crds/crd.yaml":
    "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: tills.shop.example}\n",
  "templates/NOTES.txt": "Welcome to {{ .Release.Name }}\n",
  "templates/deployment.yaml": `apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}-till
  namespace: {{ .Release.Namespace }}
spec:
  replicas: {{ .Values.replicas }}
  template:
    spec:
      containers:
      - {name: till, image: "{{ required "an image is needed" .Values.image }}"}
      - {name: proxy, image: proxy}
`,
  "templates/tests/test.yaml":
    "apiVersion: v1\nkind: Pod\nmetadata:\n  name: test\n  annotations: {helm.sh/hook: test}\n",
};

const kustomization = `resources: [base.yaml]
namePrefix: eu-
`;
const map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {k: v}\n";

function names(objects: readonly Record<string, unknown>[]): readonly string[] {
  return objects.map(
    (object) => `${String(object["kind"])}/${(object["metadata"] as { name: string }).name}`,
  );
}

test("a chart is rendered by helm with its values, without its tests and notes", async (context) => {
  const { rendered, folder } = world(context);
  const options = { namespace: "tills", helm: { releaseName: "front", values: { replicas: 3 } } };
  const objects = await rendered(chart, options);
  assert.deepEqual(names(objects), ["CustomResourceDefinition/tills.shop.example", "Deployment/front-till"]);
  const [, deployment] = objects;
  assert.equal(at(deployment, "spec", "replicas"), 3);
  assert.deepEqual(deployment?.["metadata"], {
    name: "front-till",
    namespace: "tills",
    labels: { "objectset.rio.cattle.io/hash": "eb0a5fb657f672895e35d1b0c523d25ef7bb6062" },
    annotations: { "objectset.rio.cattle.io/id": "-shop" },
  });
  assert.deepEqual(readdirSync(folder), [], "nothing is left of the run");
});

test("what helm says of a fault is told, without our folders", async (context) => {
  const { rendered, folder } = world(context);
  await assert.rejects(rendered(chart, { helm: { values: { image: "" } } }), (error: Error) => {
    assert.match(error.message, /^helm: .*templates\/deployment\.yaml:\d+:\d+.*an image is needed/s);
    assert.ok(!error.message.includes(folder));
    return true;
  });
});

test("a kustomization is built by kubectl", async (context) => {
  const { rendered } = world(context);
  assert.deepEqual(names(await rendered({ "kustomization.yaml": kustomization, "base.yaml": map })), [
    "ConfigMap/eu-a",
  ]);
});

test("helm's output goes through the kustomization of the target's directory", async (context) => {
  const { rendered } = world(context);
  const patch =
    "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: shop-till, namespace: d}\nspec: {replicas: 5}\n";
  const objects = await rendered(
    {
      ...chart,
      "eu/kustomization.yaml": "namePrefix: eu-\npatches: [{path: patch.yaml}]\n",
      "eu/patch.yaml": patch,
    },
    { kustomize: { dir: "eu" }, defaultNamespace: "d" },
  );
  const deployment = objects.find((object) => object["kind"] === "Deployment");
  assert.equal(at(deployment, "metadata", "name"), "eu-shop-till");
  assert.equal(at(deployment, "spec", "replicas"), 5);
});

test("a patch of an overlay merges lists of Kubernetes' own types by their keys", async (context) => {
  const { rendered } = world(context);
  const deployment = `apiVersion: apps/v1
kind: Deployment
metadata: {name: till}
spec: {template: {spec: {containers: [{name: till, image: a}, {name: proxy, image: p}]}}}
`;
  const [object] = await rendered(
    {
      "till.yaml": deployment,
      "overlays/eu/till_patch.yaml": "spec: {template: {spec: {containers: [{name: till, image: b}]}}}\n",
    },
    { yaml: { overlays: ["eu"] } },
  );
  assert.deepEqual(object?.["spec"], {
    template: {
      spec: {
        containers: [
          { name: "till", image: "b" },
          { name: "proxy", image: "p" },
        ],
      },
    },
  });
});

test("templates beside plain manifests are rendered as a chart's", async (context) => {
  const { rendered } = world(context);
  const objects = await rendered(
    {
      "plain.yaml": map.replace("name: a", "name: plain"),
      "templates/t.yaml": map.replace("name: a", "name: {{ .Values.who }}"),
    },
    { helm: { values: { who: "made" } } },
  );
  assert.deepEqual(names(objects), ["ConfigMap/plain", "ConfigMap/made"]);
});

test("nothing of the hub's environment and files reaches a template", async (context) => {
  const { rendered } = world(context);
  const files = { ...chart, "templates/x.yaml": `${map}\n# {{ env "HOME" }}\n` };
  await assert.rejects(rendered(files), /function "env" not defined/);
  const outside = { "kustomization.yaml": "configMapGenerator: [{name: x, files: [/etc/hostname]}]\n" };
  await assert.rejects(rendered(outside), /security|not in or below/);
});

test("a template without end is ended by time, output or memory", async (context) => {
  const endless = `{{- define "x" }}{{ range until 100000 }}{{ range until 100000 }}{{ end }}{{ end }}{{ end }}{{ include "x" . }}`;
  await assert.rejects(world(context, { msMax: 1_500 }).rendered({ ...chart, "templates/x.yaml": endless }), {
    reason: "Timeout",
    message: "helm takes longer than 1500 ms; it was ended",
  });
  const long = map.replace("k: v", 'k: {{ repeat 100000 "x" }}');
  await assert.rejects(
    world(context, { bytesMax: 10_000 }).rendered({ ...chart, "templates/x.yaml": long }),
    {
      reason: "RequestEntityTooLarge",
    },
  );
  const large = `{{- $s := repeat 1000000000 "xxxxxxxx" }}{{ len $s }}`;
  await assert.rejects(world(context).rendered({ ...chart, "templates/x.yaml": large }), {
    reason: "Invalid",
  });
});

test("a program that is not there is named, with how to get it", async (context) => {
  const { rendered } = world(context, { helm: "/none/helm", kubectl: "/none/kubectl" });
  await assert.rejects(rendered(chart), {
    reason: "ServiceUnavailable",
    message: "there is no helm at /none/helm; install Helm 3 or 4 (https://helm.sh) and give its path",
  });
  await assert.rejects(rendered({ "kustomization.yaml": kustomization, "base.yaml": map }), {
    reason: "ServiceUnavailable",
    message: /there is no kubectl at \/none\/kubectl; install kubectl/,
  });
});

test("a chart whose dependencies are missing is refused by helm's own words", async (context) => {
  const { rendered } = world(context);
  const needy = `${chart["Chart.yaml"]}dependencies: [{name: other, version: 1.0.0, repository: "https://charts.example"}]\n`;
  await assert.rejects(rendered({ ...chart, "Chart.yaml": needy }), /missing in charts\/ directory: other/);
});
