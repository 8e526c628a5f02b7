import assert from "node:assert/strict";
import { test } from "node:test";
import type { BundleOptions, BundleSpec, ClusterFacts, TargetMatch } from "../bundle.ts";
import { newTargeter } from "./targets.ts";
import { mergeOptions } from "./merge.ts";

function cluster(over: Partial<ClusterFacts> = {}): ClusterFacts {
  return {
    namespace: "fleet-default",
    name: "store-1",
    labels: { region: "eu", "management.cattle.io/cluster-display-name": "Berlin" },
    annotations: {},
    templateValues: {},
    groups: [],
    ...over,
  };
}

const groups = [
  { name: "edge", labels: { tier: "one" } },
  { name: "eu", labels: { tier: "two" } },
];

const matching: readonly (readonly [what: string, entry: TargetMatch, matches: boolean])[] = [
  ["nothing at all", {}, false],
  ["empty texts are no criteria", { clusterName: "", clusterGroup: "" }, false],
  ["name", { clusterName: "store-1" }, true],
  ["display name", { clusterName: "Berlin" }, true],
  ["another name", { clusterName: "store-2" }, false],
  ["empty selector", { clusterSelector: {} }, true],
  ["labels", { clusterSelector: { matchLabels: { region: "eu" } } }, true],
  ["labels that differ", { clusterSelector: { matchLabels: { region: "us" } } }, false],
  [
    "In",
    { clusterSelector: { matchExpressions: [{ key: "region", operator: "In", values: ["us", "eu"] }] } },
    true,
  ],
  [
    "NotIn",
    { clusterSelector: { matchExpressions: [{ key: "region", operator: "NotIn", values: ["eu"] }] } },
    false,
  ],
  ["Exists", { clusterSelector: { matchExpressions: [{ key: "zone", operator: "Exists" }] } }, false],
  [
    "DoesNotExist",
    { clusterSelector: { matchExpressions: [{ key: "zone", operator: "DoesNotExist" }] } },
    true,
  ],
  ["group", { clusterGroup: "edge" }, true],
  ["no such group", { clusterGroup: "us" }, false],
  ["group selector", { clusterGroupSelector: { matchLabels: { tier: "two" } } }, true],
  [
    "group and its selector, of one group",
    { clusterGroup: "edge", clusterGroupSelector: { matchLabels: { tier: "one" } } },
    true,
  ],
  [
    "group and selector of different groups",
    { clusterGroup: "edge", clusterGroupSelector: { matchLabels: { tier: "two" } } },
    false,
  ],
  ["all must hold", { clusterName: "store-1", clusterGroup: "us" }, false],
];

for (const [what, entry, matches] of matching)
  test(`a target matches by ${what}`, () => {
    const result = newTargeter({ targets: [{ name: "t", ...entry }] })(cluster({ groups }));
    assert.equal(result.deploys, matches);
  });

const all: TargetMatch = { name: "all", clusterSelector: {} };
const eu: TargetMatch = { clusterSelector: { matchLabels: { region: "eu" } } };
const value = (key: string): BundleOptions => ({ helm: { values: { [key]: 1, who: key } } });

test("the first customization that matches replaces; all of them merge where that is asked", () => {
  const spec: BundleSpec = {
    ...value("bundle"),
    targets: [{ name: "a", ...eu, ...value("a") }, { name: "b", clusterSelector: {}, ...value("b") }, all],
    targetRestrictions: [all],
  };
  assert.deepEqual(newTargeter(spec)(cluster()), {
    deploys: true,
    target: "all",
    options: { helm: { values: { bundle: 1, a: 1, who: "a" } } },
  });
  assert.deepEqual(newTargeter({ ...spec, targetCustomizationMode: "AllMatches" })(cluster()), {
    deploys: true,
    target: "all",
    options: { helm: { values: { bundle: 1, a: 1, b: 1, who: "b" } } },
  });
});

test("a customization deploys nowhere by itself, and restrictions keep out", () => {
  const spec: BundleSpec = {
    targets: [
      { name: "a", ...eu },
      { name: "us", clusterGroup: "us" },
    ],
    targetRestrictions: [{ clusterGroup: "us" }],
  };
  assert.deepEqual(newTargeter(spec)(cluster()), { deploys: false, why: "no target matches it" });
});

test("doNotDeploy of a target, of a customization, and of any where all count", () => {
  const stop = { name: "stop", ...eu, doNotDeploy: true };
  const why = "stop says doNotDeploy";
  assert.deepEqual(newTargeter({ targets: [stop, all] })(cluster()), { deploys: false, why });
  const spec: BundleSpec = { targets: [{ name: "a", ...eu }, stop, all], targetRestrictions: [all] };
  assert.equal(newTargeter(spec)(cluster()).deploys, true);
  assert.deepEqual(newTargeter({ ...spec, targetCustomizationMode: "AllMatches" })(cluster()), {
    deploys: false,
    why,
  });
});

const merges: readonly (readonly [
  what: string,
  under: BundleOptions,
  over: BundleOptions,
  merged: BundleOptions,
])[] = [
  [
    "what is not empty wins",
    { namespace: "a", defaultNamespace: "d" },
    { namespace: "b", defaultNamespace: "" },
    { namespace: "b", defaultNamespace: "d" },
  ],
  [
    "values merge deeply",
    { helm: { values: { a: { b: 1, c: [1] } } } },
    { helm: { values: { a: { c: [2] } } } },
    { helm: { values: { a: { b: 1, c: [2] } } } },
  ],
  [
    "templateValues by key",
    { helm: { templateValues: { a: "1", b: "1" } } },
    { helm: { templateValues: { b: "2" } } },
    { helm: { templateValues: { a: "1", b: "2" } } },
  ],
  [
    "overlays are appended",
    { yaml: { overlays: ["a"] } },
    { yaml: { overlays: ["b"] } },
    { yaml: { overlays: ["a", "b"] } },
  ],
  [
    "true stays",
    { keepResources: true, helm: { force: true } },
    { keepResources: false, helm: { force: false, atomic: true } },
    { keepResources: true, helm: { force: true, atomic: true } },
  ],
  [
    "a negative timeout is none",
    { helm: { timeoutSeconds: 5 } },
    { helm: { timeoutSeconds: -1 } },
    { helm: { timeoutSeconds: 0 } },
  ],
  [
    "a timeout of 0 is not given",
    { helm: { timeoutSeconds: 5 } },
    { helm: { timeoutSeconds: 0 } },
    { helm: { timeoutSeconds: 5 } },
  ],
  [
    "correctDrift as a whole",
    { correctDrift: { enabled: true, force: true } },
    { correctDrift: { enabled: true } },
    { correctDrift: { enabled: true } },
  ],
  ["generation only up", { forceSyncGeneration: 2 }, { forceSyncGeneration: 0 }, { forceSyncGeneration: 2 }],
  ["files of the guide's dialect", { include: ["a"] }, { include: ["b"] }, { include: ["b"] }],
  [
    "lists by identity",
    {
      diff: { comparePatches: [{ kind: "A", jsonPointers: ["/a"] }, { kind: "B" }] },
      downstreamResources: [{ kind: "Secret", name: "s" }],
    },
    {
      diff: { comparePatches: [{ kind: "A", jsonPointers: ["/b"] }] },
      downstreamResources: [{ kind: "ConfigMap", name: "s" }],
    },
    {
      diff: { comparePatches: [{ kind: "A", jsonPointers: ["/b"] }, { kind: "B" }] },
      downstreamResources: [
        { kind: "Secret", name: "s" },
        { kind: "ConfigMap", name: "s" },
      ],
    },
  ],
];

for (const [what, under, over, merged] of merges)
  test(`merged: ${what}`, () => {
    assert.deepEqual(mergeOptions(under, over, { strict: false }), merged);
  });

test("what a target cannot set is the bundle's", () => {
  const spec: BundleSpec = {
    deleteNamespace: false,
    helm: { maxHistory: 3 },
    targets: [
      {
        ...all,
        deleteNamespace: true,
        deleteCRDResources: true,
        ignore: { conditions: [] },
        helm: { maxHistory: 9, skipSchemaValidation: true },
      },
    ],
  };
  const result = newTargeter(spec)(cluster());
  assert.deepEqual(result, {
    deploys: true,
    target: "all",
    options: { deleteNamespace: false, helm: { maxHistory: 3 } },
  });
});

test("labels of the namespace come of the entries that match; of all of them as Fleet does", () => {
  const spec: BundleSpec = {
    namespaceLabels: { a: "1" },
    targets: [
      { clusterName: "store-2", namespaceLabels: { b: "2" } },
      { ...all, namespaceLabels: { c: "3" } },
    ],
  };
  const labels = (strict: boolean): unknown => {
    const result = newTargeter(spec, { strict })(cluster());
    return result.deploys === true ? result.options.namespaceLabels : result;
  };
  assert.deepEqual(labels(false), { a: "1", c: "3" });
  assert.deepEqual(labels(true), { a: "1", b: "2", c: "3" });
});

function helmOf(
  helm: NonNullable<BundleOptions["helm"]>,
  facts: Partial<ClusterFacts> = {},
  strict = false,
): unknown {
  const result = newTargeter({ helm, targets: [all] }, { strict })(cluster(facts));
  return result.deploys === true ? result.options.helm : result;
}

test("templates fill values, keys and types", () => {
  assert.deepEqual(
    helmOf(
      {
        values: {
          name: "shop-${ .ClusterLabels.region }",
          count: "${ .ClusterValues.n }",
          text: '"${ .ClusterValues.n }"',
          "${ .ClusterName }": true,
          literal: "global.fleet.clusterLabels.region",
          absent: "global.fleet.clusterLabels.none",
          list: ["global.fleet.clusterLabels.region", { in: "global.fleet.clusterLabels.region" }],
        },
        templateValues: {
          hosts: "${ range .ClusterValues.hosts }\n- ${ . }\n${ end }",
          name: "over-${ .ClusterNamespace }",
        },
      },
      { templateValues: { n: 3, hosts: ["a", "b"] } },
    ),
    {
      values: {
        name: "over-fleet-default",
        count: 3,
        text: '"3"',
        "store-1": true,
        literal: "eu",
        absent: "",
        list: ["global.fleet.clusterLabels.region", { in: "eu" }],
        hosts: ["a", "b"],
      },
    },
  );
});

test("a template that fails keeps out this cluster alone, and names value, action and key", () => {
  const spec: BundleSpec = {
    helm: { values: { image: { tag: "${ .ClusterLabels.tag }" } } },
    targets: [all],
  };
  const target = newTargeter(spec);
  assert.deepEqual(target(cluster()), {
    deploys: "failed",
    message:
      'cluster fleet-default/store-1: helm.values.image.tag: ${ .ClusterLabels.tag }: .ClusterLabels has no key "tag"',
  });
  assert.equal(target(cluster({ labels: { tag: "v1" } })).deploys, true);
});

test("what is filled in must be YAML", () => {
  const result = newTargeter({ helm: { templateValues: { a: "b: ${ .ClusterName }: c" } }, targets: [all] })(
    cluster(),
  );
  assert.match(
    JSON.stringify(result),
    /helm\.templateValues\.a: with its templates filled in it is not YAML/,
  );
});

test("disablePreProcess leaves templates as they are", () => {
  const helm = {
    disablePreProcess: true,
    values: { a: "${ .ClusterLabels.none }" },
    templateValues: { b: "${ x }" },
  };
  assert.deepEqual(helmOf(helm), helm);
});

test("a cluster without labels gets templates too, but not as Fleet does", () => {
  const helm = { values: { a: "${ .ClusterName }" } };
  assert.deepEqual(helmOf(helm, { labels: {} }), { values: { a: "store-1" } });
  assert.deepEqual(helmOf(helm, { labels: {} }, true), helm);
});

test("labels of Rancher are hidden but for Fleet's own", () => {
  const labels = { "x.cattle.io/y": "1", "fleet.cattle.io/z": "2", a: "3" };
  assert.deepEqual(helmOf({ values: { all: "${ .ClusterLabels | toJson }" } }, { labels }), {
    values: { all: { a: "3", "fleet.cattle.io/z": "2" } },
  });
});

test("clusters that get the same share one object", () => {
  const target = newTargeter({ helm: { values: { a: 1 } }, targets: [all] });
  const [one, other] = [target(cluster()), target(cluster({ name: "store-2" }))];
  assert.ok(one.deploys === true && other.deploys === true && one.options === other.options);
});
