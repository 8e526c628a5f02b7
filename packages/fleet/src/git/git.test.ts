import assert from "node:assert/strict";
import { test } from "node:test";
import { chooseCommit, isVersionRange, parseRefs, type GitWish } from "./git.ts";

const sha = (digit: string): string => digit.repeat(40);
const refs = parseRefs(
  [
    `${sha("1")}\tHEAD`,
    `${sha("1")}\trefs/heads/main`,
    `${sha("2")}\trefs/heads/master`,
    `${sha("3")}\trefs/heads/v1.0.0`,
    `${sha("4")}\trefs/tags/v1.0.0`,
    `${sha("5")}\trefs/tags/v1.0.0^{}`,
    `${sha("6")}\trefs/tags/v1.2.7`,
    `${sha("7")}\trefs/tags/v1.3.0`,
    `${sha("8")}\trefs/tags/v2.0.0-rc.1`,
    "rubbish",
  ].join("\n"),
);

for (const { wish, commit } of [
  { wish: {}, commit: sha("2") },
  { wish: { branch: "main" }, commit: sha("1") },
  { wish: { branch: "main", revision: "v1.3.0" }, commit: sha("1") },
  { wish: { revision: "v1.0.0" }, commit: sha("5") },
  { wish: { branch: "v1.0.0" }, commit: sha("3") },
  { wish: { revision: "main" }, commit: sha("1") },
  { wish: { revision: "~1.2" }, commit: sha("6") },
  { wish: { revision: ">=1.0.0, <2.0.0" }, commit: sha("7") },
  { wish: { revision: "*" }, commit: sha("7") },
  { wish: { revision: "A".repeat(40) }, commit: "a".repeat(40) },
] satisfies { wish: GitWish; commit: string }[])
  test(`${JSON.stringify(wish)} is ${commit[0]}`, () => {
    assert.equal(chooseCommit(refs, wish, "the repository").commit, commit);
  });

test("what is not there is told with what is", () => {
  assert.throws(() => chooseCommit(refs, { branch: "mian" }, "https://example.test/shop"), {
    reason: "NotFound",
    message:
      'https://example.test/shop has no branch "mian"; it has main, master, v1.0.0. What runs is left as it is',
  });
  assert.throws(() => chooseCommit(refs, { revision: "^3" }, "it"), /no tag that is a version in "\^3"/);
  assert.throws(() => chooseCommit(new Map(), {}, "it"), /it has no branches/);
});

test("a tag's own name is no range", () => {
  assert.deepEqual(["v1.2.3", "1.2.3", "release-1.x", "~1.2", ">1 <2", "main"].map(isVersionRange), [
    false,
    false,
    false,
    true,
    true,
    false,
  ]);
});
