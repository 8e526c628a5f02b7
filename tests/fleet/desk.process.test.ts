import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test, type TestContext } from "node:test";
import { run, stockClient, type Ran } from "../clients/clients.ts";

// `cortado fleet` on a folder, with no hub near: stock helm, kubectl and git.
const main = join(import.meta.dirname, "..", "..", "packages", "program", "src", "main.ts");
const tools = ["--helm", stockClient("helm"), "--kubectl", stockClient("kubectl")];

const cluster = (name: string, location: string): string =>
  `---\napiVersion: fleet.cattle.io/v1alpha1\nkind: Cluster\nmetadata: {name: ${name}, namespace: stores, labels: {location: ${location}}}\n`;
const deployment = (replicas: number, password: string): string => `apiVersion: apps/v1
kind: Deployment
metadata: {name: till}
spec: {replicas: ${replicas}, selector: {matchLabels: {app: till}}, template: {metadata: {labels: {app: till}}, spec: {containers: [{name: till, image: "till:1"}]}}}
---
apiVersion: v1
kind: Secret
metadata: {name: till}
stringData: {password: ${password}}
`;
const files = (replicas: number, password: string): Readonly<Record<string, string>> => ({
  "till/fleet.yaml":
    "defaultNamespace: tills\ntargets: [{name: edge, clusterSelector: {matchLabels: {location: edge}}}]\n",
  "till/till.yaml": deployment(replicas, password),
});

function write(folder: string, texts: Readonly<Record<string, string>>): void {
  for (const [name, text] of Object.entries(texts)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
}

function folderOf(context: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "desk-test-"));
  context.after(() => rmSync(folder, { recursive: true }));
  write(folder, {
    "clusters.yaml": cluster("oslo", "edge") + cluster("bern", "edge") + cluster("head", "office"),
  });
  return folder;
}

const cortado = (...words: readonly string[]): Promise<Ran> =>
  run(process.execPath, [main, "fleet", ...words]);

test("target tells who gets what by which target, and why not", async (context) => {
  const folder = folderOf(context);
  write(join(folder, "shop"), files(1, "one"));
  const { code, out, err } = await cortado(
    "target",
    join(folder, "shop"),
    "--clusters",
    join(folder, "clusters.yaml"),
  );
  assert.equal(code, 0, err);
  assert.equal(
    out,
    `stores/oslo
  gets     shop-till  by target edge
stores/bern
  gets     shop-till  by target edge
stores/head
  nothing  shop-till  no target matches it
`,
  );
});

test("diff tells what changes in which store, against a folder or a commit, and no secret", async (context) => {
  const folder = folderOf(context);
  const [now, before] = [join(folder, "shop"), join(folder, "before", "shop")];
  write(before, {
    ...files(1, "one"),
    "old/old.yaml": "kind: ConfigMap\napiVersion: v1\nmetadata: {name: old}\n",
  });
  write(now, files(3, "two"));
  const clusters = ["--clusters", join(folder, "clusters.yaml"), ...tools];
  const { code, out, err } = await cortado("diff", now, "--against", before, ...clusters);
  assert.equal(code, 0, err);
  assert.equal(
    out,
    `shop-till  2 clusters: stores/bern, stores/oslo
  ~ Deployment till
      spec.replicas: 1 -> 3
  ~ Secret till
      stringData.password: another value
`,
  );
  const git = async (...words: readonly string[]): Promise<void> => {
    const who = ["-C", now, "-c", "user.name=A", "-c", "user.email=a@example.test"];
    const ran = await run("git", [...who, ...words]);
    assert.equal(ran.code, 0, ran.err);
  };
  await git("init", "--quiet", "--initial-branch", "main");
  await git("add", ".");
  await git("commit", "--quiet", "-m", "three");
  write(now, files(4, "two"));
  const of = await cortado("diff", now, "--against-commit", "main", ...clusters);
  assert.match(of.out, /^shop-till {2}2 clusters: .*\n {2}~ Deployment till\n {6}spec\.replicas: 3 -> 4\n$/);
  await git("checkout", "--quiet", ".");
  const none = await cortado("diff", now, "--against-commit", "main", ...clusters);
  assert.equal(none.out, "nothing changes in any cluster\n");
  const unknown = await cortado("diff", now, "--against-commit=--upload-pack=x", ...clusters);
  assert.match(
    unknown.err,
    /commit "--upload-pack=x" cannot be read in .*; name one that git log shows there/,
  );
});

test("apply -o - prints Bundles that kubectl reads", async (context) => {
  const folder = folderOf(context);
  write(join(folder, "shop"), files(1, "one"));
  const { code, out, err } = await cortado(
    "apply",
    "coffee",
    join(folder, "shop"),
    "-o",
    "-",
    "-n",
    "stores",
  );
  assert.equal(code, 0, err);
  assert.match(
    out,
    /^---\napiVersion: fleet\.cattle\.io\/v1alpha1\nkind: Bundle\nmetadata:\n {2}name: coffee-till\n {2}namespace: stores\n/,
  );
  assert.match(out, /fleet\.cortado\.dev\/applied-as: coffee/);
  write(join(folder, "shop"), { "till/fleet.yaml": "helm: [" });
  const broken = await cortado("apply", "coffee", join(folder, "shop"), "-o", "-");
  assert.equal(broken.code, 1);
  assert.match(broken.out, /problem .*till\/fleet\.yaml/);
  assert.doesNotMatch(broken.out, /kind: Bundle/);
});

test("the agent as a Deployment is what a Kubernetes takes", async (context) => {
  const words = [
    "--image",
    "registry.example/cortado:1",
    "--hub",
    "https://hub.example:8443",
    "--hub-token",
    "K10x::fleet:y",
  ];
  const { code, out, err } = await cortado(
    "agent",
    "install",
    ...words,
    "--name",
    "store-9",
    "--label",
    "location=edge",
  );
  assert.equal(code, 0, err);
  const folder = folderOf(context);
  writeFileSync(join(folder, "agent.yaml"), out);
  const kinds = out.match(/^kind: \w+$/gm);
  assert.deepEqual(kinds, [
    "kind: Namespace",
    "kind: ServiceAccount",
    "kind: ClusterRoleBinding",
    "kind: Secret",
    "kind: ConfigMap",
    "kind: Deployment",
  ]);
  assert.equal(
    readFileSync(join(folder, "agent.yaml"), "utf8").split("K10x::fleet:y").length,
    2,
    "the token is in its Secret alone",
  );
});
