import assert from "node:assert/strict";
import { test } from "node:test";
import type { Tree } from "../tree.ts";
import { errorText } from "../field-errors.ts";
import { schemaOf } from "./generated-schemas.ts";
import { checkShape, fillDefaults, validateSchema } from "./schema-check.ts";
import type { Schema } from "./schema.ts";

const podSchema = schemaOf("io.k8s.api.core.v1.Pod") ?? {};
const shape = (object: Tree): ReturnType<typeof checkShape> =>
  checkShape(object, podSchema, { lookup: schemaOf, isCustom: false, structName: "Pod" });

test("unknown fields are named and taken out, nulls go, quantities get their form", () => {
  const pod: Tree = {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "p", colour: "red", labels: null },
    spec: { containers: [{ name: "c", imaage: "x", resources: { limits: { cpu: 0.5 } } }] },
  };
  assert.deepEqual(shape(pod).unknown, ["metadata.colour", "spec.containers[0].imaage"]);
  assert.deepEqual(pod, {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "p" },
    spec: { containers: [{ name: "c", resources: { limits: { cpu: "500m" } } }] },
  });
});

const wrongs: readonly (readonly [Tree, RegExp])[] = [
  [
    { spec: { containers: {} } },
    /cannot unmarshal object into Go struct field Pod\.spec\.containers of type slice/,
  ],
  [
    { spec: { containers: [{ ports: [{ containerPort: "80" }] }] } },
    /cannot unmarshal string into Go struct field Pod\.spec\.containers\.ports\.containerPort of type int32/,
  ],
  [
    { spec: { hostNetwork: "yes" } },
    /cannot unmarshal string into Go struct field Pod\.spec\.hostNetwork of type bool/,
  ],
  [{ spec: { containers: [{ resources: { limits: { cpu: "much" } } }] } }, /quantities must match/],
];

for (const [object, want] of wrongs)
  test(`a wrong type is refused: ${String(want)}`, () => {
    assert.match(shape(object).wrong ?? "", want);
  });

const schema: Schema = {
  type: "object",
  required: ["spec"],
  properties: {
    spec: {
      type: "object",
      required: ["size"],
      properties: {
        size: { type: "string", enum: ["small", "large"], default: "small" },
        shots: { type: "integer", minimum: 1, maximum: 4 },
        name: { type: "string", pattern: "^(a+)+$", maxLength: 40 },
        tags: { type: "array", items: { type: "string" }, "x-kubernetes-list-type": "set", maxItems: 3 },
        port: { "x-kubernetes-int-or-string": true },
        when: { type: "string", format: "date-time" },
      },
    },
  },
};
const problems = (spec: Tree): readonly string[] => validateSchema({ spec }, schema, schemaOf).map(errorText);

test("a CRD's schema refuses in upstream's words", () => {
  assert.deepEqual(problems({ shots: 9 }), [
    "spec.size: Required value",
    "spec.shots: Invalid value: 9: spec.shots in body should be less than or equal to 4",
  ]);
  assert.deepEqual(problems({ size: "huge" }), [
    'spec.size: Unsupported value: "huge": supported values: "large", "small"',
  ]);
  assert.deepEqual(problems({ size: "small", shots: "two" }), [
    'spec.shots: Invalid value: "string": spec.shots in body must be of type integer: "string"',
  ]);
  assert.deepEqual(problems({ size: "small", tags: ["a", "a"] }), ['spec.tags[1]: Duplicate value: "a"']);
  assert.deepEqual(problems({ size: "small", port: true }), [
    'spec.port: Invalid value: "boolean": spec.port in body must be of type integer,string: "boolean"',
  ]);
  assert.match(problems({ size: "small", when: "noon" })[0] ?? "", /must be of type date-time/);
});

test("a pattern that ruins other engines takes linear time", () => {
  const startMs = performance.now();
  assert.equal(problems({ size: "small", name: `${"a".repeat(35)}!` }).length, 1);
  assert.ok(performance.now() - startMs < 1_000);
});

test("defaults fill what is there to be filled, and only that", () => {
  const object: Tree = { spec: {} };
  fillDefaults(object, schema);
  assert.deepEqual(object, { spec: { size: "small" } });
  const empty: Tree = {};
  fillDefaults(empty, schema);
  assert.deepEqual(empty, {});
});
