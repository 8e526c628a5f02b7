import assert from "node:assert/strict";
import { test } from "node:test";
import type { BundleOptions } from "./bundle.ts";
import { valuesNeeds, withoutValues, withStoreValues } from "./values-from.ts";

test("key and namespace are Fleet's defaults, a ConfigMap comes before a Secret of the same entry", () => {
  const valuesFrom = [
    { secretKeyRef: { name: "b", key: "k" }, configMapKeyRef: { name: "a", namespace: "far" } },
    { secretKeyRef: { name: "c", namespace: "" } },
  ];
  const of = (more: BundleOptions): unknown =>
    valuesNeeds({ helm: { valuesFrom }, ...more }).map(({ kind, namespace, name, key, account }) =>
      [kind, namespace, name, key, account].join(" "),
    );
  assert.deepEqual(of({}), [
    "ConfigMap far a values.yaml ",
    "Secret default b k ",
    "Secret default c values.yaml ",
  ]);
  assert.deepEqual(of({ defaultNamespace: "shop", serviceAccount: "me" }), [
    "ConfigMap far a values.yaml me",
    "Secret shop b k me",
    "Secret shop c values.yaml me",
  ]);
  assert.deepEqual(of({ defaultNamespace: "shop", namespace: "forced" }), [
    "ConfigMap far a values.yaml ",
    "Secret forced b k ",
    "Secret forced c values.yaml ",
  ]);
  assert.deepEqual(valuesNeeds({}), []);
});

const need = { kind: "Secret", namespace: "shop", name: "db", key: "values.yaml" } as const;

test("what the store has is put over the bundle's values, the last over the first, and lists are replaced", () => {
  const options: BundleOptions = {
    helm: { values: { a: 1, b: { c: 1, d: [1, 2] } }, valuesFrom: [{ secretKeyRef: { name: "db" } }] },
  };
  const told = ["b: {c: 2}\ne: 1", "b: {d: [3]}\ne: 2", ""].map((text) => ({ need, text }));
  const { options: filled, own } = withStoreValues(options, told);
  assert.deepEqual(filled, { helm: { values: { a: 1, b: { c: 2, d: [3] }, e: 2 } } });
  assert.deepEqual(own, { b: { c: 2, d: [3] }, e: 2 });
});

for (const [text, message] of [
  ["- hunter22", "helm.valuesFrom: Secret shop/db, key values.yaml: this is no map of values"],
  ["a: 1\nhunter22: [", "helm.valuesFrom: Secret shop/db, key values.yaml: this is not YAML"],
  ["a: {hunter22", "helm.valuesFrom: Secret shop/db, key values.yaml: this is not YAML"],
] as const)
  test(`text that is no values is told without a word of it: ${JSON.stringify(text)}`, () => {
    assert.throws(
      () => withStoreValues({}, [{ need, text }]),
      (error: Error) => error.message.startsWith(message) && !error.message.includes("hunter22"),
    );
  });

test("what a chart says is told without the store's own values, of which a longer one may hold a shorter", () => {
  const own = { user: "barista", deep: [{ word: "barista-secret" }], port: 5_432, lines: "one1\ntwo22" };
  assert.equal(
    withoutValues("execution error: barista and barista-secret at 5432: two22, no", own),
    "execution error: … and … at …: …, no",
  );
});
