import assert from "node:assert/strict";
import { test } from "node:test";
import type { Tree } from "@cortado/kinds/tree";
import { driftOf, patchText } from "./drift.ts";
import type { DriftOptions } from "./normalize.ts";

const deployment = (container: Tree, spec: Tree = {}): Tree => ({
  apiVersion: "apps/v1",
  kind: "Deployment",
  metadata: { name: "order", namespace: "shop", labels: { app: "order" } },
  spec: {
    replicas: 2,
    template: { spec: { containers: [{ name: "c", image: "i:1", ...container }] } },
    ...spec,
  },
});
const configMap = (data: Tree): Tree => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name: "c" },
  data,
});

type Row = {
  readonly what: string;
  readonly wanted: Tree;
  readonly live: Tree;
  readonly options?: DriftOptions;
  /** Absent: no drift. */
  readonly patch?: Tree;
};

const inContainer = (container: Tree): Tree => ({
  spec: { template: { spec: { containers: [{ name: "c", image: "i:1", ...container }] } } },
});
const scaler: Tree = {
  kind: "HorizontalPodAutoscaler",
  metadata: { name: "h", namespace: "shop" },
  spec: { scaleTargetRef: { kind: "Deployment", name: "order" }, minReplicas: 1, maxReplicas: 5 },
};
const five = deployment({}, { replicas: 5 });
const compare = (patch: object): DriftOptions => ({ comparePatches: [{ kind: "Deployment", ...patch }] });

const rows: readonly Row[] = [
  {
    what: "defaults and status that the server adds",
    wanted: deployment({}),
    live: {
      ...deployment({ terminationMessagePath: "/dev/log", resources: {} }, { paused: false }),
      status: { replicas: 2 },
      metadata: { name: "order", uid: "u", labels: { app: "order", other: "x" }, annotations: { a: "b" } },
    },
  },
  { what: "a changed number", wanted: deployment({}), live: five, patch: { spec: { replicas: 2 } } },
  {
    what: "a lost label",
    wanted: deployment({}),
    live: { ...deployment({}), metadata: { name: "order" } },
    patch: { metadata: { labels: { app: "order" } } },
  },
  {
    what: "quantities in other words",
    wanted: deployment({ resources: { limits: { cpu: 0.5, memory: "1024Mi" } } }),
    live: deployment({ resources: { limits: { cpu: "500m", memory: "1Gi" } } }),
  },
  {
    what: "another quantity",
    wanted: deployment({ resources: { limits: { cpu: "500m" } } }),
    live: deployment({ resources: { limits: { cpu: "501m" } } }),
    patch: inContainer({ resources: { limits: { cpu: "500m" } } }),
  },
  {
    what: "texts are not quantities",
    wanted: configMap({ limits: "1.0" }),
    live: configMap({ limits: "1" }),
    patch: { data: { limits: "1.0" } },
  },
  {
    what: "a key of somebody else in a ConfigMap",
    wanted: configMap({ a: "1" }),
    live: configMap({ a: "1", b: "2" }),
  },
  {
    what: "lists with keys, in any order and with others' items",
    wanted: deployment({
      env: [
        { name: "A", value: "1" },
        { name: "B", value: "2" },
      ],
      ports: [{ containerPort: 80 }],
    }),
    live: deployment({
      env: [
        { name: "X", value: "0" },
        { name: "B", value: "2" },
        { name: "A", value: "1" },
      ],
      ports: [
        { containerPort: 80, protocol: "UDP" },
        { containerPort: 80, protocol: "TCP" },
      ],
    }),
  },
  {
    what: "an item that is gone",
    wanted: deployment({ env: [{ name: "A", value: "1" }] }),
    live: deployment({ env: [] }),
    patch: inContainer({ env: [{ name: "A", value: "1" }] }),
  },
  {
    what: "a plain list with one more",
    wanted: deployment({ args: ["a"] }),
    live: deployment({ args: ["a", "b"] }),
    patch: inContainer({ args: ["a"] }),
  },
  {
    what: "emptiness is absence",
    wanted: deployment({ args: [], tty: false, workingDir: "", env: null }, { paused: false }),
    live: deployment({}),
  },
  {
    what: "but zero where there is something is a difference",
    wanted: deployment({}, { replicas: 0 }),
    live: deployment({}),
    patch: { spec: { replicas: 0 } },
  },
  {
    what: "text of a Secret",
    wanted: { apiVersion: "v1", kind: "Secret", stringData: { word: "tea" } },
    live: { apiVersion: "v1", kind: "Secret", data: { word: "dGVh" } },
  },
  {
    what: "replicas in the range of a scaler",
    wanted: deployment({}),
    live: five,
    options: { scalers: [scaler] },
  },
  {
    what: "replicas out of it",
    wanted: deployment({}),
    live: deployment({}, { replicas: 6 }),
    options: { scalers: [scaler] },
    patch: { spec: { replicas: 2 } },
  },
  {
    what: "a pointer left out",
    wanted: deployment({}),
    live: five,
    options: compare({ jsonPointers: ["/spec/replicas"] }),
  },
  {
    what: "an operation that removes",
    wanted: deployment({}),
    live: five,
    options: compare({ name: "order", operations: [{ op: "remove", path: "/spec/replicas" }] }),
  },
  {
    what: "a patch for another object",
    wanted: deployment({}),
    live: five,
    options: compare({ name: "bar", jsonPointers: ["/spec/replicas"] }),
    patch: { spec: { replicas: 2 } },
  },
  {
    what: "objects left out by a pattern",
    wanted: deployment({}),
    live: five,
    options: compare({ name: "ord.*", operations: [{ op: "ignore" }] }),
  },
  {
    what: "an authority that a manager wrote",
    wanted: {
      kind: "ValidatingWebhookConfiguration",
      webhooks: [{ name: "w", clientConfig: { caBundle: "" } }],
    },
    live: {
      kind: "ValidatingWebhookConfiguration",
      webhooks: [{ name: "w", clientConfig: { caBundle: "QQ==" } }],
    },
  },
];

test("what differs of what is wanted, and nothing else", () => {
  for (const { what, wanted, live, options, patch } of rows)
    assert.deepEqual(driftOf(wanted, live, options), patch, what);
});

test("a comparePatch that cannot be applied says what is wrong", () => {
  const drift = (patch: object): unknown => driftOf(deployment({}), five, compare(patch));
  assert.throws(() => drift({ jsonPointers: ["spec"] }), /"spec" is no JSON pointer/);
  assert.throws(
    () => drift({ operations: [{ op: "move", path: "/spec" }] }),
    /operation "move" is not one of/,
  );
  assert.throws(() => drift({ name: "(", operations: [{ op: "ignore" }] }), /"\(" is no pattern/);
});

test("neither side is changed, and a long patch is cut", () => {
  const [wanted, live] = [deployment({}), five];
  const before = JSON.stringify([wanted, live]);
  driftOf(wanted, live, compare({ jsonPointers: ["/spec/replicas"] }));
  assert.equal(JSON.stringify([wanted, live]), before);
  assert.equal(patchText({ a: "x".repeat(100) }, 20).length, 20);
});
