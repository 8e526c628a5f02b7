import assert from "node:assert/strict";
import { test } from "node:test";
import { StatusError } from "@cortado/std/status";
import type { SourceTree } from "./bundle.ts";
import { compile } from "./compile.ts";

type Content = string | { readonly link: string } | { readonly bytes: number };

function tree(files: Readonly<Record<string, Content>>): SourceTree {
  const textOf = (content: Content): string =>
    typeof content === "string" ? content : "link" in content ? content.link : "";
  return {
    files: Object.entries(files).map(([path, content]) => ({
      path,
      kind: typeof content === "object" && "link" in content ? "link" : "file",
      bytes: typeof content === "object" && "bytes" in content ? content.bytes : textOf(content).length,
    })),
    read: (path) => {
      const content = files[path];
      if (content === undefined || (typeof content === "object" && "bytes" in content))
        return Promise.reject(new StatusError("NotFound", `${path} must not be read`));
      return Promise.resolve(new TextEncoder().encode(textOf(content)));
    },
  };
}

const object = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n";
const guide = `defaultNamespace: coffee-shop
targets:
  - name: edge-shops
    clusterSelector:
      matchLabels:
        location: edge
    yaml:
      - path: manifests/order.yaml
`;
const guideTree = {
  "fleet.yaml": guide,
  "manifests/order.yaml": object,
  "manifests/other.yaml": object,
  "functions/fleet.yaml": "",
  "functions/f.yaml": object,
};

test("directories with a fleet.yaml are bundles, at any depth", async () => {
  const { bundles, problems } = await compile(
    tree({ "a/fleet.yaml": "", "a/x.yaml": object, "a/b/c/fleet.yml": "name: own", "a/b/c/y.yaml": object }),
    { repo: "shop" },
  );
  assert.deepEqual(problems, []);
  assert.deepEqual(
    bundles.map(({ name, path, files }) => ({ name, path, files: files.map((file) => file.name) })),
    [
      { name: "shop-a", path: "a", files: ["x.yaml"] },
      { name: "own", path: "a/b/c", files: ["y.yaml"] },
    ],
  );
});

test("the guide's own dialect deploys its files to its targets, with one warning", async () => {
  const { bundles, problems } = await compile(tree(guideTree), { repo: "shop" });
  assert.deepEqual(problems, []);
  const root = bundles.find(({ path }) => path === "");
  assert.deepEqual(root?.spec.targets, [
    {
      name: "edge-shops",
      clusterSelector: { matchLabels: { location: "edge" } },
      include: ["manifests/order.yaml"],
    },
  ]);
  assert.equal(root.spec.targetRestrictions, undefined);
  assert.equal(root.warnings.length, 1);
  assert.match(
    root.warnings[0] ?? "",
    /^fleet\.yaml:7:5: [\s\S]*edge-shops\/fleet\.yaml[\s\S]*overrideTargets/,
  );
});

test("the guide's dialect and targets of the GitRepo intersect", async () => {
  const { bundles } = await compile(tree(guideTree), {
    repo: "shop",
    targets: [{ name: "eu", clusterGroup: "eu" }],
  });
  const root = bundles.find(({ path }) => path === "");
  assert.deepEqual(
    root?.spec.targets?.map(({ name, doNotDeploy }) => [name, doNotDeploy === true]),
    [
      ["edge-shops", false],
      ["no-target-of-fleet-yaml", true],
      ["eu", false],
    ],
  );
  assert.deepEqual(root?.spec.targetRestrictions, [{ name: "eu", clusterGroup: "eu" }]);
});

test("strict refuses the dialect as Fleet does, and nothing else of the repository", async () => {
  const { bundles, problems } = await compile(tree(guideTree), { repo: "shop", strict: true });
  assert.deepEqual(
    bundles.map(({ path }) => path),
    ["functions"],
  );
  assert.match(
    problems[0]?.message ?? "",
    /^fleet\.yaml:7:5: targets\[0\]\.yaml must be an object with "overlays", not a list$/,
  );
});

for (const { what, files, says } of [
  { what: "a path that matches nothing", files: { "a/x.yaml": object }, says: /"b" matches no directory/ },
  {
    what: "a wrong type",
    files: { "fleet.yaml": "namespace: []", "x.yaml": object },
    says: /^fleet\.yaml:1:1: namespace must be text/,
  },
  {
    what: "broken YAML",
    files: { "fleet.yaml": "a: [", "x.yaml": object },
    says: /^fleet\.yaml:\d+:\d+: this is not YAML/,
  },
  {
    what: "a broken manifest",
    files: { "fleet.yaml": "", "x.yaml": "a: b: c" },
    says: /^x\.yaml:1:\d+: this is not YAML/,
  },
  {
    what: "a missing values file",
    files: { "fleet.yaml": "helm:\n  valuesFiles: [v.yaml]", "x.yaml": object },
    says: /^fleet\.yaml:2:17: valuesFiles: v\.yaml is not in/,
  },
  {
    what: "a link that leaves",
    files: { "fleet.yaml": "", "x.yaml": { link: "../../etc/passwd" } },
    says: /x\.yaml is a link to .* outside/,
  },
  {
    what: "a circle of links",
    files: { "fleet.yaml": "", "x.yaml": { link: "y.yaml" }, "y.yaml": { link: "x.yaml" } },
    says: /in a circle/,
  },
  {
    what: "2 GB",
    files: { "fleet.yaml": "", "x.yaml": { bytes: 2 ** 31 } },
    says: /x\.yaml has 2147483648 bytes .* not read/,
  },
  {
    what: "a dependsOn of nothing",
    files: { "fleet.yaml": "dependsOn: [{}]", "x.yaml": object },
    says: /needs a name or a selector/,
  },
  {
    what: "a valuesFrom of nothing",
    files: { "fleet.yaml": "helm: {valuesFrom: [{secretKeyRef: {key: a}}]}", "x.yaml": object },
    says: /fleet\.yaml:1:21: helm\.valuesFrom\[0\] needs the name/,
  },
  {
    what: "a copy without a name",
    files: {
      "fleet.yaml": "targetCustomizations: [{downstreamResources: [{kind: Secret}]}]",
      "x.yaml": object,
    },
    says: /downstreamResources\[0\] needs kind/,
  },
  {
    what: "a bomb",
    files: {
      "fleet.yaml": `a: &a [${"1,".repeat(99)}1]\n${"bcdefgh"
        .split("")
        .map((letter, index) => `${letter}: &${letter} [${`*${"abcdefg"[index]},`.repeat(10)}]`)
        .join("\n")}`,
      "x.yaml": object,
    },
    says: /^fleet\.yaml: .*values/,
  },
] as const)
  test(`${what} is told, and the other bundle is there`, async () => {
    const all = tree({ ...files, "other/fleet.yaml": "", "other/o.yaml": object });
    const { bundles, problems } = await compile(all, {
      repo: "shop",
      ...(what.startsWith("a path") ? { paths: ["b", "other"] } : {}),
    });
    assert.match(problems.map(({ message }) => message).join("\n"), says);
    assert.deepEqual(
      bundles.map(({ path }) => path),
      ["other"],
    );
  });

test("two bundles of one name write over neither", async () => {
  const { bundles, problems } = await compile(
    tree({
      "a/fleet.yaml": "name: twin",
      "a/x.yaml": object,
      "b/fleet.yaml": "name: twin",
      "b/x.yaml": object,
    }),
    { repo: "shop" },
  );
  assert.deepEqual(bundles, []);
  assert.match(problems[0]?.message ?? "", /a and b all make a bundle named twin/);
});

test("values files are merged in order and are no content; ignored and hidden files neither", async () => {
  const { bundles } = await compile(
    tree({
      "fleet.yaml": "helm:\n  values: {a: 1, c: {d: 1}}\n  valuesFiles: [v.yaml, w.yaml]",
      "v.yaml": "a: 2\nc: {e: 2}",
      "w.yaml": "a: 3",
      "Chart.yaml": "name: c",
      ".hidden": "",
      "notes.md": "",
      ".fleetignore": "# no\n*.md\n",
    }),
    { repo: "shop" },
  );
  assert.deepEqual(bundles[0]?.spec.helm?.values, { a: 3, c: { d: 1, e: 2 } });
  assert.deepEqual(
    bundles[0]?.files.map(({ name }) => name),
    ["Chart.yaml"],
  );
});

test("options of the GitRepo win over fleet.yaml, and customizations stand before its targets", async () => {
  const { bundles } = await compile(
    tree({
      "fleet.yaml": "namespace: own\ntargetCustomizations: [{clusterName: one}]\nlables: {}",
      "x.yaml": object,
    }),
    { repo: "shop", targetNamespace: "forced", paused: true, keepResources: true, commit: "abc" },
  );
  const [bundle] = bundles;
  assert.deepEqual(bundle?.spec, {
    namespace: "forced",
    keepResources: true,
    paused: true,
    targets: [
      { name: "target000", clusterName: "one", namespace: "forced" },
      { name: "default", clusterGroup: "default", namespace: "forced" },
    ],
    targetRestrictions: [{ name: "default", clusterGroup: "default" }],
  });
  assert.deepEqual(bundle?.labels, { "fleet.cattle.io/commit": "abc" });
  assert.match(
    bundle?.warnings.join("\n") ?? "",
    /fleet\.yaml:3:1: lables is not known .* did you mean labels\?/,
  );
});
