import assert from "node:assert/strict";
import { test } from "node:test";
import { globMatches } from "./glob.ts";

for (const [pattern, name, matches] of [
  ["*", "abc", true],
  ["*", "a/b", false],
  ["*/b", "a/b", true],
  ["a*", "abc", true],
  ["a*/b", "abc/b", true],
  ["a*b*c*d*e*/f", "axbxcxdxe/f", true],
  ["a*b*c*d*e*/f", "axbxcxdxexxx/fff", false],
  ["ab[c]", "abc", true],
  ["ab[b-d]", "abc", true],
  ["ab[e-g]", "abc", false],
  ["ab[^e-g]", "abc", true],
  ["a\\*b", "a*b", true],
  ["a\\*b", "axb", false],
  ["a?b", "a/b", false],
  ["*.yaml", "x.yaml", true],
  ["*.yaml", ".yaml", true],
  ["", "", true],
  ["*x", "xxx", true],
] as const)
  test(`${pattern} and ${name}`, () => assert.equal(globMatches(pattern, name), matches));

for (const pattern of ["[", "[a", "a\\", "[]a]", "[-]"])
  test(`${pattern} is refused`, () => assert.throws(() => globMatches(pattern, "a"), /is not a pattern/));

test("a hostile pattern takes no time", () => {
  const started = performance.now();
  assert.equal(globMatches("a*".repeat(500), `${"a".repeat(5_000)}/`), false);
  assert.ok(performance.now() - started < 15_000);
});
