import assert from "node:assert/strict";
import { test } from "node:test";
import { StatusError } from "@cortado/std/status";
import type { BundleFile, BundleOptions } from "../bundle.ts";
import { toContent } from "../content.ts";
import { jsonPatch, mergePatch } from "./json-patch.ts";
import { render, type Renderer } from "./render.ts";

/** Plain manifests need neither tool. */
const noTools: Renderer = {
  helmTemplate: () => Promise.reject(new StatusError("InternalError", "helm must not run")),
  kustomize: () => Promise.reject(new StatusError("InternalError", "kustomize must not run")),
};

function filesOf(texts: Readonly<Record<string, string>>): readonly BundleFile[] {
  return Object.entries(texts).map(([name, text]) => ({ name, content: new TextEncoder().encode(text) }));
}

function plain(
  texts: Readonly<Record<string, string>>,
  options: BundleOptions = {},
): ReturnType<typeof render> {
  return render(filesOf(texts), options, { renderer: noTools, bundle: { name: "test" } });
}

const map = (name: string, data = "x"): string =>
  `apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: ${name}\ndata:\n  k: ${data}\n`;

test("plain manifests: documents, lists taken apart, no kind left out; the set's label and annotation on each", async () => {
  const list = `apiVersion: v1\nkind: List\nitems:\n- ${map("c").trimEnd().replaceAll("\n", "\n  ")}\n`;
  const objects = await plain({
    "a.yaml": `${map("a")}---\n---\njust: values\n---\n${map("b")}`,
    "b.yml": list,
  });
  assert.deepEqual(
    objects.map((object) => object["metadata"]),
    ["a", "b", "c"].map((name) => ({
      name,
      // SHA-1 of "-test", as Fleet's command line has it.
      labels: { "objectset.rio.cattle.io/hash": "c0fae66aeeea5c9703d7410307d74609c272103d" },
      annotations: { "objectset.rio.cattle.io/id": "-test" },
    })),
  );
});

test("include takes exactly its files; overlays lay files over others", async () => {
  const texts = {
    "m/a.yaml": map("a"),
    "m/b.yaml": map("b"),
    "overlays/dev/m/a.yaml": map("a", "dev"),
    "overlays/dev/new.yaml": map("new"),
  };
  const names = async (options: BundleOptions): Promise<readonly string[]> =>
    (await plain(texts, options)).map((object) =>
      JSON.stringify([object["metadata"], object["data"]]).replaceAll(
        /.*"name":"(\w+)".*"k":"(\w+)".*/g,
        "$1=$2",
      ),
    );
  assert.deepEqual(await names({ include: ["m/b.yaml"] }), ["b=x"]);
  assert.deepEqual(await names({}), ["a=x", "b=x"]);
  assert.deepEqual(await names({ yaml: { overlays: ["dev"] } }), ["a=dev", "b=x", "new=x"]);
});

test("patches of an overlay: operations, and merges of types that are not Kubernetes' own", async () => {
  const shop = "apiVersion: shop.example/v1\nkind: Shop\nmetadata: {name: s}\nspec: {a: 1, list: [1, 2]}\n";
  const objects = await plain(
    {
      "a.yaml": map("a"),
      "s.yaml": shop,
      "overlays/x/a_patch.yaml":
        "- {op: replace, path: /data/k, value: patched}\n- {op: add, path: /data/n, value: more}\n",
      "overlays/x/s_patch.yaml": "spec: {a: null, list: [3]}\n",
    },
    { yaml: { overlays: ["x"] } },
  );
  assert.deepEqual(
    objects.map((object) => object["data"] ?? object["spec"]),
    [{ k: "patched", n: "more" }, { list: [3] }],
  );
});

test("a custom resource definition is kept, unless it is to go with the bundle", async () => {
  const crd = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: a.b}\n";
  const policy = async (options: BundleOptions): Promise<boolean> =>
    JSON.stringify(await plain({ "c.yaml": crd }, options)).includes('"helm.sh/resource-policy":"keep"');
  assert.equal(await policy({}), true);
  assert.equal(await policy({ deleteCRDResources: true }), false);
});

const hook = (hooks: string): string =>
  `apiVersion: v1\nkind: Pod\nmetadata:\n  name: h\n  annotations:\n    helm.sh/hook: ${hooks}\n`;

test("tests of Helm are no content; hooks of an install stay", async () => {
  assert.equal((await plain({ "h.yaml": hook("test") })).length, 0);
  assert.equal((await plain({ "h.yaml": hook("post-install,test") })).length, 1);
});

const refused: readonly (readonly [
  what: string,
  texts: Record<string, string>,
  options: BundleOptions,
  message: RegExp,
])[] = [
  [
    "a chart of elsewhere",
    {},
    { helm: { chart: "nginx", repo: "https://charts.example", version: "1.0" } },
    /helm\.chart nginx 1\.0 of https:\/\/charts\.example is not among the files of the bundle/,
  ],
  [
    "no name",
    { "a.yaml": "apiVersion: v1\nkind: Pod\nmetadata: {generateName: x-}\n" },
    {},
    /an object of kind Pod has no metadata\.name/,
  ],
  ["no apiVersion", { "a.yaml": "kind: Pod\nmetadata: {name: x}\n" }, {}, /Pod x has no apiVersion/],
  ["twice", { "a.yaml": map("a"), "b.yaml": map("a") }, {}, /ConfigMap a is there twice/],
  ["a hook at the end", { "h.yaml": hook("pre-delete") }, {}, /Pod h is a hook of Helm for pre-delete/],
  [
    "no overlay",
    { "a.yaml": map("a") },
    { yaml: { overlays: ["x"] } },
    /there is no file below overlays\/x\//,
  ],
  [
    "no patched file",
    { "overlays/x/b_patch.yaml": "a: 1" },
    { yaml: { overlays: ["x"] } },
    /overlays\/x\/b_patch\.yaml is a patch of b\.yaml, which is not there/,
  ],
  [
    "a patch of two",
    { "a.yaml": `${map("a")}---\n${map("b")}`, "overlays/x/a_patch.yaml": "data: {k: y}" },
    { yaml: { overlays: ["x"] } },
    /has 2 objects that it may be for/,
  ],
  [
    "a schema of elsewhere",
    { "Chart.yaml": "name: c", "values.schema.json": '{"$ref": "http://127.0.0.1/x"}' },
    {},
    /values\.schema\.json has a \$ref/,
  ],
  [
    "no kustomization",
    { "a.yaml": map("a") },
    { kustomize: { dir: "k" } },
    /kustomize\.dir: k has no kustomization\.yaml/,
  ],
  [
    "a resource of elsewhere",
    { "kustomization.yaml": "resources: ['https://example.org/a.yaml']" },
    {},
    /kustomization\.yaml: resources: https:\/\/example\.org\/a\.yaml comes from elsewhere/,
  ],
  [
    "a repository",
    { "kustomization.yaml": "resources: ['github.com/a/b//c?ref=d']" },
    {},
    /comes from elsewhere/,
  ],
  [
    "a resource outside",
    { "k/kustomization.yaml": "resources: [../../a]" },
    { kustomize: { dir: "k" } },
    /lies outside of the bundle/,
  ],
];

for (const [what, texts, options, message] of refused)
  test(`refused: ${what}`, async () => {
    await assert.rejects(plain(texts, options), { name: "StatusError", reason: "Invalid", message });
  });

const operations: readonly (readonly [operation: object, after: unknown])[] = [
  [
    { op: "add", path: "/l/0", value: 0 },
    { a: 1, l: [0, 1, 2], "x/y": 3 },
  ],
  [
    { op: "add", path: "/l/-", value: 9 },
    { a: 1, l: [1, 2, 9], "x/y": 3 },
  ],
  [
    { op: "remove", path: "/x~1y" },
    { a: 1, l: [1, 2] },
  ],
  [
    { op: "replace", path: "/l/1", value: 5 },
    { a: 1, l: [1, 5], "x/y": 3 },
  ],
  [
    { op: "move", from: "/a", path: "/b" },
    { b: 1, l: [1, 2], "x/y": 3 },
  ],
  [
    { op: "copy", from: "/l", path: "/m" },
    { a: 1, l: [1, 2], m: [1, 2], "x/y": 3 },
  ],
  [
    { op: "test", path: "/l", value: [1, 2] },
    { a: 1, l: [1, 2], "x/y": 3 },
  ],
];
for (const [operation, after] of operations)
  test(`operation ${JSON.stringify(operation)}`, () => {
    assert.deepEqual(jsonPatch({ a: 1, l: [1, 2], "x/y": 3 }, [operation]), after);
  });

for (const operation of [
  { op: "replace", path: "/none", value: 1 },
  { op: "remove", path: "/l/7" },
  { op: "add", path: "/l/7", value: 1 },
  { op: "test", path: "/a", value: 2 },
  { op: "add", path: "/a" },
  { op: "other", path: "/a" },
  { op: "add", path: "a", value: 1 },
])
  test(`no operation ${JSON.stringify(operation)}`, () => {
    assert.throws(() => jsonPatch({ a: 1, l: [1] }, [operation]), {
      reason: "Invalid",
      message: /^operation 1: /,
    });
  });

test("a merge patch takes away what is null and keeps what it does not name", () => {
  assert.deepEqual(mergePatch({ a: { b: 1, c: 2 }, d: 1 }, { a: { b: null }, e: { f: null } }), {
    a: { c: 2 },
    d: 1,
    e: {},
  });
});

test("content: the same objects have the same ids, and judging differences does not count", () => {
  const object = { kind: "A", apiVersion: "v1", metadata: { name: "é", z: undefined } };
  const same = { metadata: { name: "é" }, apiVersion: "v1", kind: "A" };
  const one = toContent([object], { namespace: "n", helm: { takeOwnership: true, values: { a: 1 } } });
  assert.deepEqual(one.chunks, [
    {
      sha256: "60a384a69a60bf6499dde00f4007ba8dabf95ff584bea0031f57b70e8418d826",
      bytes: 55,
      json: '{"apiVersion":"v1","kind":"A","metadata":{"name":"é"}}',
    },
  ]);
  assert.match(one.deploymentId, /^s-[0-9a-f]{61}:[0-9a-f]{64}$/);
  assert.deepEqual(one.options, { namespace: "n", takeOwnership: true });
  const id = (options: BundleOptions): string => toContent([same], options).deploymentId;
  const options: BundleOptions = { helm: { takeOwnership: true }, namespace: "n" };
  assert.equal(id(options), one.deploymentId);
  assert.equal(
    id({ ...options, correctDrift: { enabled: true }, diff: { comparePatches: [] } }),
    one.deploymentId,
  );
  assert.notEqual(id({ ...options, namespace: "m" }), one.deploymentId);
  assert.notEqual(toContent([same, object], options).manifestId, one.manifestId);
});
