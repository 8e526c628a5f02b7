import assert from "node:assert/strict";
import { test } from "node:test";
import { schemaOf } from "@cortado/kinds/generated-schemas";
import type { Tree } from "@cortado/kinds/tree";
import { applyJsonPatch } from "./json-patch.ts";
import { applyMergePatch } from "./merge-patch.ts";
import { applyStrategicPatch } from "./strategic-patch.ts";

const operations: readonly {
  readonly name: string;
  readonly start: Tree;
  readonly patch: unknown;
  readonly want: Tree | RegExp;
}[] = [
  {
    name: "adds into a list",
    start: { a: [1, 3] },
    patch: [{ op: "add", path: "/a/1", value: 2 }],
    want: { a: [1, 2, 3] },
  },
  {
    name: "adds at the end of a list",
    start: { a: [1] },
    patch: [{ op: "add", path: "/a/-", value: 2 }],
    want: { a: [1, 2] },
  },
  {
    name: "refuses an index with a leading zero",
    start: { a: [1, 2] },
    patch: [{ op: "remove", path: "/a/01" }],
    want: /does not exist/,
  },
  {
    name: "refuses to replace what is not there",
    start: {},
    patch: [{ op: "replace", path: "/a", value: 1 }],
    want: /does not exist/,
  },
  { name: "moves", start: { a: 1 }, patch: [{ op: "move", from: "/a", path: "/b" }], want: { b: 1 } },
  {
    name: "does not move a thing into itself",
    start: { a: { b: 1 } },
    patch: [{ op: "move", from: "/a", path: "/a/b" }],
    want: /into itself/,
  },
  {
    name: "copies by value",
    start: { a: { x: 1 } },
    patch: [
      { op: "copy", from: "/a", path: "/b" },
      { op: "add", path: "/b/x", value: 2 },
    ],
    want: { a: { x: 1 }, b: { x: 2 } },
  },
  { name: "tests", start: { a: 1 }, patch: [{ op: "test", path: "/a", value: 2 }], want: /test failed/ },
  { name: "unescapes slashes", start: { "a/b": 1 }, patch: [{ op: "remove", path: "/a~1b" }], want: {} },
  {
    name: "takes __proto__ for a key",
    start: {},
    patch: [{ op: "add", path: "/__proto__", value: { x: 1 } }],
    want: JSON.parse('{"__proto__":{"x":1}}') as Tree,
  },
  {
    name: "refuses words that are no operation",
    start: {},
    patch: [{ op: "spill", path: "/a" }],
    want: /no operation "spill"/,
  },
];

for (const { name, start, patch, want } of operations)
  test(`a JSON patch ${name}`, () => {
    if (want instanceof RegExp) assert.throws(() => applyJsonPatch(start, patch), want);
    else assert.equal(JSON.stringify(applyJsonPatch(start, patch)), JSON.stringify(want));
  });

test("a JSON patch has a limit", () => {
  assert.throws(
    () => applyJsonPatch({}, Array(10_001).fill({ op: "add", path: "/a", value: 1 })),
    /maximum operations/,
  );
});

test("a merge patch removes by null, replaces lists and leaves prototypes alone", () => {
  assert.deepEqual(applyMergePatch({ a: { b: 1, c: 2 }, d: [1] }, { a: { b: null }, d: [2] }), {
    a: { c: 2 },
    d: [2],
  });
  applyMergePatch({}, JSON.parse('{"__proto__":{"spilled":true}}') as Tree);
  assert.equal(({} as Tree)["spilled"], undefined);
});

const spec = schemaOf("io.k8s.api.core.v1.PodSpec");
const strategic = (target: Tree, patch: Tree): Tree =>
  applyStrategicPatch(target, patch, { schema: spec, lookup: schemaOf });
const two = (): Tree => ({
  containers: [
    { name: "a", image: "1" },
    { name: "b", image: "1" },
  ],
});

const patches: readonly {
  readonly name: string;
  readonly patch: Tree;
  readonly want: Tree;
  readonly start?: Tree;
}[] = [
  {
    name: "merges items by their key",
    patch: { containers: [{ name: "b", image: "2" }] },
    want: {
      containers: [
        { name: "a", image: "1" },
        { name: "b", image: "2" },
      ],
    },
  },
  {
    name: "deletes an item",
    patch: { containers: [{ name: "a", $patch: "delete" }] },
    want: { containers: [{ name: "b", image: "1" }] },
  },
  {
    name: "replaces a list",
    patch: { containers: [{ $patch: "replace" }, { name: "c" }] },
    want: { containers: [{ name: "c" }] },
  },
  {
    name: "orders",
    patch: { "$setElementOrder/containers": [{ name: "b" }, { name: "a" }] },
    want: {
      containers: [
        { name: "b", image: "1" },
        { name: "a", image: "1" },
      ],
    },
  },
  {
    name: "puts what is new first",
    patch: { containers: [{ name: "b", image: "2" }, { name: "c" }] },
    want: { containers: [{ name: "a", image: "1" }, { name: "b", image: "2" }, { name: "c" }] },
  },
  {
    name: "puts what is new before what it does not name",
    patch: { containers: [{ name: "c" }] },
    want: { containers: [{ name: "c" }, { name: "a", image: "1" }, { name: "b", image: "1" }] },
  },
  {
    name: "adds at its place",
    patch: {
      "$setElementOrder/containers": [{ name: "a" }, { name: "c" }, { name: "b" }],
      containers: [{ name: "c" }],
    },
    want: { containers: [{ name: "a", image: "1" }, { name: "c" }, { name: "b", image: "1" }] },
  },
  {
    name: "keeps only what is named",
    start: { volumes: [{ name: "v", emptyDir: {} }] },
    patch: { volumes: [{ name: "v", $retainKeys: ["name", "hostPath"], hostPath: { path: "/x" } }] },
    want: { volumes: [{ name: "v", hostPath: { path: "/x" } }] },
  },
  {
    name: "replaces a list without a key",
    start: { tolerations: [{ key: "a" }] },
    patch: { tolerations: [{ key: "b" }] },
    want: { tolerations: [{ key: "b" }] },
  },
];

for (const { name, patch, want, start } of patches)
  test(`a strategic patch ${name}`, () => {
    assert.deepEqual(strategic(start ?? two(), patch), want);
  });

test("a strategic patch removes texts from a list of texts", () => {
  const meta = schemaOf("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta");
  const patched = applyStrategicPatch(
    { finalizers: ["a/b", "c/d"] },
    { "$deleteFromPrimitiveList/finalizers": ["a/b"], finalizers: ["e/f"] },
    { schema: meta, lookup: schemaOf },
  );
  assert.deepEqual(patched, { finalizers: ["e/f", "c/d"] });
});
