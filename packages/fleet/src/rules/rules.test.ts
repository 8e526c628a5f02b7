import assert from "node:assert/strict";
import { test } from "node:test";
import type { Bundle, FleetPolicy, GitRepo, GitRepoRestriction } from "@cortado/kinds/fleet";
import { applyLimits, bundleProblem, restrictRepo } from "./rules.ts";

const apiVersion = "fleet.cattle.io/v1alpha1";

function restriction(name: string, more: Partial<GitRepoRestriction>): GitRepoRestriction {
  return { apiVersion, kind: "GitRepoRestriction", metadata: { name }, ...more };
}

function policy(name: string, more: Partial<FleetPolicy>): FleetPolicy {
  return { apiVersion, kind: "Policy", metadata: { name }, ...more };
}

const repo = "https://git.example.test/shop.git";

for (const { name, spec = {}, restrictions = [], policies = [], want } of [
  { name: "no rule", want: { repo } },
  {
    name: "a pattern may match anywhere in a restriction",
    restrictions: [restriction("r", { allowedRepoPatterns: ["example\\.test/"] })],
    want: { repo },
  },
  {
    name: "no pattern matches",
    restrictions: [restriction("r", { allowedRepoPatterns: ["^https://ours/"] })],
    want: /spec\.repo "https:\/\/git\.example\.test\/shop\.git" is not allowed: GitRepoRestriction r allows \^https:\/\/ours\//,
  },
  {
    name: "a Policy's pattern matches the whole",
    policies: [policy("p", { gitRepo: { allowedRepoPatterns: ["example\\.test/"] } })],
    want: /spec\.repo .* is not allowed: Policy p allows/,
  },
  {
    name: "a Policy's pattern that does",
    policies: [policy("p", { gitRepo: { allowedRepoPatterns: ["https://git\\.example\\.test/.*"] } })],
    want: { repo },
  },
  {
    name: "a pattern that is none allows nothing",
    restrictions: [restriction("r", { allowedRepoPatterns: ["("] })],
    want: /pattern "\(" of GitRepoRestriction r is no regular expression/,
  },
  {
    name: "several restrictions join their lists",
    spec: { targetNamespace: "b" },
    restrictions: [
      restriction("r1", { allowedTargetNamespaces: ["a"] }),
      restriction("r2", { allowedTargetNamespaces: ["b"] }),
    ],
    want: { repo, targetNamespace: "b" },
  },
  {
    name: "a target namespace must be named",
    restrictions: [restriction("r", { allowedTargetNamespaces: ["a", "b"] })],
    want: /spec\.targetNamespace is empty, and GitRepoRestriction r restricts it; name one of a, b/,
  },
  {
    name: "another target namespace",
    spec: { targetNamespace: "kube-system" },
    restrictions: [restriction("r", { allowedTargetNamespaces: ["a"] })],
    want: /spec\.targetNamespace "kube-system" is not allowed: GitRepoRestriction r allows a/,
  },
  {
    name: "the first default by name is used",
    restrictions: [
      restriction("z", { defaultServiceAccount: "last", defaultClientSecretName: "secret" }),
      restriction("a", { defaultServiceAccount: "first" }),
    ],
    want: { repo, serviceAccount: "first", clientSecretName: "secret" },
  },
  {
    name: "a default outside the list is refused",
    restrictions: [restriction("r", { defaultServiceAccount: "x", allowedServiceAccounts: ["y"] })],
    want: /spec\.serviceAccount "x" is not allowed: GitRepoRestriction r allows y/,
  },
  {
    name: "an empty account is none of the list",
    restrictions: [restriction("r", { allowedServiceAccounts: ["y"] })],
    want: /spec\.serviceAccount is empty: GitRepoRestriction r allows y/,
  },
  {
    name: "another Secret",
    spec: { clientSecretName: "mine" },
    policies: [policy("p", { gitRepo: { allowedClientSecretNames: ["ours"] } })],
    want: /spec\.clientSecretName "mine" is not allowed: Policy p allows ours/,
  },
  {
    name: "an account is required",
    policies: [policy("p", { requireServiceAccount: true })],
    want: /spec\.serviceAccount is empty, and Policy p wants one/,
  },
] as {
  name: string;
  spec?: Partial<GitRepo["spec"]>;
  restrictions?: GitRepoRestriction[];
  policies?: FleetPolicy[];
  want: object | RegExp;
}[])
  test(`rules of a namespace: ${name}`, () => {
    const act = (): GitRepo["spec"] => restrictRepo({ repo, ...spec }, { restrictions, policies });
    if (want instanceof RegExp) assert.throws(act, want);
    else assert.deepEqual(act(), want);
  });

test("a Bundle by hand is under the Policies alone; one of a GitRepo under the restrictions, too, with its targets", () => {
  const rules = {
    restrictions: [restriction("r", { allowedServiceAccounts: ["shop"] })],
    policies: [policy("p", { requireServiceAccount: true })],
  };
  const bundle = (spec: NonNullable<Bundle["spec"]>): Bundle => ({
    apiVersion,
    kind: "Bundle",
    metadata: { name: "b" },
    spec,
  });
  assert.match(bundleProblem(bundle({}), rules, false) ?? "", /Policy p wants one/);
  assert.equal(bundleProblem(bundle({ serviceAccount: "other" }), rules, false), undefined);
  assert.match(
    bundleProblem(bundle({ serviceAccount: "other" }), rules, true) ?? "",
    /"other" is not allowed/,
  );
  const targets = [{ name: "edge", serviceAccount: "root" }];
  assert.match(
    bundleProblem(bundle({ serviceAccount: "shop", targets }), rules, true) ?? "",
    /serviceAccount of target edge "root" is not allowed/,
  );
  assert.equal(bundleProblem(bundle({ serviceAccount: "shop" }), rules, true), undefined);
});

test("what a store has to heed: booleans of Policies are ORed, selectors of restrictions joined", () => {
  const [shut, open] = [policy("a", {}), policy("b", { allowNamespaceCreation: true })];
  assert.deepEqual(applyLimits({ restrictions: [], policies: [] }, true), {});
  assert.deepEqual(applyLimits({ restrictions: [], policies: [shut] }, true), { createNamespace: false });
  assert.deepEqual(applyLimits({ restrictions: [], policies: [shut, open] }, true), {});
  const restrictions = [
    restriction("r", { allowedTargetNamespaceSelector: { matchLabels: { team: "coffee" } } }),
  ];
  assert.deepEqual(applyLimits({ restrictions, policies: [] }, false), {});
  assert.deepEqual(applyLimits({ restrictions, policies: [] }, true), {
    allowedTargetNamespaceSelector: { matchLabels: { team: "coffee" }, matchExpressions: [] },
  });
});
