import assert from "node:assert/strict";
import { test } from "node:test";
import { bundleName, joinNames, limitName, releaseName } from "./names.ts";

const letters53 = "1234567890123456789012345678901234567890123456789012a";
for (const { from, to } of [
  { from: "bundle.name.example.com", to: "bundle-name-example-com-645ef821" },
  { from: "long-name-test-0.App_ ", to: "long-name-test-0-app-5bf6b3fb" },
  { from: "long-name-test--App_-_12.factor", to: "long-name-test-app-12-factor-0efbac37" },
  { from: letters53, to: letters53 },
  { from: "already-fine", to: "already-fine" },
])
  test(`the name of ${from}`, () => assert.equal(releaseName(from), to));

test("a name of 54 characters keeps 47 and a mark", () => {
  const name = `${"a".repeat(53)}a`;
  const cut = releaseName(name);
  assert.equal(cut.length, 53);
  assert.match(cut, /^a{47}-[0-9a-f]{5}$/);
  assert.equal(limitName(`${"a".repeat(46)}-${"b".repeat(20)}`, 53).includes("--"), false);
});

test("names without a letter are hashed", () => assert.match(releaseName("___"), /^[0-9a-f-]{8,24}$/));

for (const { repo, path, options, name } of [
  { repo: "shop", path: "", options: undefined, name: "shop" },
  { repo: "shop", path: "apps/coffee", options: undefined, name: "shop-apps-coffee" },
  { repo: "shop", path: "./apps//coffee/", options: undefined, name: "shop-apps-coffee" },
  { repo: "shop", path: "base", options: "dev/kiosk.yaml", name: "shop-base-dev-kiosk" },
])
  test(`${repo} ${path} ${options ?? ""} is ${name}`, () =>
    assert.equal(bundleName({ repo, path, ...(options === undefined ? {} : { options }) }), name));

test("joined names have at most 63 characters and end in a letter or digit", () => {
  assert.equal(joinNames("a", "b"), "a-b");
  assert.match(joinNames("a".repeat(40), "b".repeat(40)), /^.{57}-[0-9a-f]{5}$/);
  assert.match(joinNames("a".repeat(56), "b".repeat(40)), /^a{56}-[0-9a-f]{6}$/);
});
