import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test, type TestContext } from "node:test";
import { planFolder, validateFolder } from "@cortado/fleet/compile/node/plan";
import { openFolder } from "@cortado/fleet/compile/node/folder";
import { run, stockClient } from "../clients/clients.ts";

const tools = { helm: stockClient("helm"), kubectl: stockClient("kubectl") };
const main = join(import.meta.dirname, "..", "..", "packages", "program", "src", "main.ts");

function folderOf(context: TestContext, texts: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(join(tmpdir(), "plan-test-"));
  context.after(() => {
    rmSync(folder, { recursive: true });
  });
  for (const [name, text] of Object.entries(texts)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  return folder;
}

const cluster = (name: string, labels: string): string =>
  `---\napiVersion: fleet.cattle.io/v1alpha1\nkind: Cluster\nmetadata: {name: ${name}, namespace: stores, labels: {${labels}}}\nspec: {templateValues: {tills: 2}}\n`;
const group = `---\napiVersion: fleet.cattle.io/v1alpha1\nkind: ClusterGroup\nmetadata: {name: default, namespace: stores}\nspec: {selector: {matchLabels: {location: edge}}}\n`;
const clusters = [
  cluster("oslo", "location: edge, region: eu"),
  cluster("bern", "location: edge, region: eu"),
  cluster("lima", "location: edge, region: sa"),
  cluster("dark", "location: edge"),
  cluster("head", "location: office, region: eu"),
].join("");
const gitRepo = `apiVersion: fleet.cattle.io/v1alpha1\nkind: GitRepo\nmetadata: {name: shop}\nspec: {repo: "https://example.org/shop", paths: [apps/*], targets: [{name: edge, clusterGroup: default}]}\n`;
const repository = {
  "clusters.yaml": clusters + group,
  "gitrepo.yaml": gitRepo,
  "apps/till/fleet.yaml": `defaultNamespace: tills
helm:
  values: {region: "\${ .ClusterLabels.region }", tills: "\${ .ClusterValues.tills }"}
targetCustomizations:
- name: south
  clusterSelector: {matchLabels: {region: sa}}
  helm: {values: {tills: 7}}
`,
  "apps/till/Chart.yaml": "apiVersion: v2\nname: till\nversion: 0.1.0\n",
  "apps/till/templates/map.yaml":
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: till}\ndata: {region: {{ .Values.region }}, tills: {{ .Values.tills | quote }}}\n",
};

test("a plan tells what each store gets: those alike together, and the one that fails alone", async (context) => {
  const folder = folderOf(context, repository);
  const query = {
    folder,
    gitRepo: join(folder, "gitrepo.yaml"),
    clusters: join(folder, "clusters.yaml"),
    tools,
  };
  const { text, isWell } = await planFolder(query);
  assert.equal(isWell, false);
  assert.equal(
    text.replaceAll(/s-[0-9a-f]{12}/g, "ID"),
    `shop-apps-till  from apps/till
  ID  1 object, 248 bytes  2 clusters: stores/oslo, stores/bern
    ConfigMap till
  ID  1 object, 248 bytes  1 cluster: stores/lima
    ConfigMap till
  nothing  no target matches it  1 cluster: stores/head
  failed   1 cluster: stores/dark
    helm.values.region: \${ .ClusterLabels.region }: .ClusterLabels has no key "region"
`,
  );
});

const guide = `defaultNamespace: coffee-shop
targets:
  - name: edge-shops
    clusterSelector:
      matchLabels:
        location: edge
    yaml:
      - path: manifests/order.yaml
`;
const map = (name: string): string => `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ${name}}\n`;

test("the command line plans the guide's own repository, and refuses it as Fleet does where asked", async (context) => {
  const folder = folderOf(context, {
    "shop/fleet.yaml": guide,
    "shop/manifests/order.yaml": map("order"),
    "shop/manifests/other.yaml": map("other"),
    "clusters.yaml": clusters,
  });
  const words = [main, "fleet", "plan", join(folder, "shop"), "--clusters", join(folder, "clusters.yaml")];
  const ran = await run(process.execPath, words);
  assert.equal(ran.code, 0, ran.err);
  assert.match(
    ran.out,
    /4 clusters: stores\/oslo, stores\/bern, stores\/lima, stores\/dark\n {4}ConfigMap order\n/,
  );
  assert.doesNotMatch(ran.out, /ConfigMap other/);
  assert.match(ran.out, /nothing {2}no target matches it {2}1 cluster: stores\/head/);
  const strict = await run(process.execPath, [
    main,
    "fleet",
    "validate",
    "--fleet-strict",
    join(folder, "shop"),
  ]);
  assert.equal(strict.code, 1);
  assert.match(strict.out, /problem .*fleet\.yaml:7:5: .*yaml/);
});

test("a folder is a repository: links are links, .git is none of it", async (context) => {
  const folder = folderOf(context, { "a/b.yaml": map("b"), ".git/config": "secret", "c.yaml": map("c") });
  symlinkSync("../c.yaml", join(folder, "a", "link.yaml"));
  symlinkSync("/etc/hostname", join(folder, "out.yaml"));
  const tree = await openFolder(folder);
  assert.deepEqual(
    tree.files.map(({ path, kind }) => `${path} ${kind}`),
    ["a/b.yaml file", "a/link.yaml link", "c.yaml file", "out.yaml link"],
  );
  assert.equal(Buffer.from(await tree.read("a/link.yaml")).toString(), "../c.yaml");
  const { text, isWell } = await validateFolder({ folder });
  assert.equal(isWell, false);
  assert.match(text, /out\.yaml is a link to "\/etc\/hostname", outside of the repository/);
});

test("a file without a Cluster, and no folder at all, are told", async (context) => {
  const folder = folderOf(context, { "gitrepo.yaml": gitRepo });
  const query = { folder, clusters: join(folder, "gitrepo.yaml"), tools };
  await assert.rejects(planFolder(query), /gitrepo\.yaml holds no Cluster of fleet\.cattle\.io\/v1alpha1/);
  await assert.rejects(validateFolder({ folder: join(folder, "none") }), { reason: "NotFound" });
});

test("the coffee shop's repository gives each store at the edge its three services and its functions", async (context) => {
  const shop = join(import.meta.dirname, "..", "..", "examples", "coffee-shop", "repository");
  const folder = folderOf(context, {
    "clusters.yaml": cluster("store-042", "location: edge") + cluster("head", "location: office"),
  });
  const query = { folder: shop, clusters: join(folder, "clusters.yaml"), tools };
  const { text, isWell } = await planFolder(query);
  assert.ok(isWell, text);
  const lines = text.split("\n").map((line) => line.trim());
  for (const service of ["order", "payment", "inventory"])
    assert.ok(lines.includes(`Deployment coffee-shop/${service}`), service);
  for (const name of ["temperature-check", "low-stock", "sanitise", "machine-counts"])
    assert.ok(lines.includes(`Function openfaas-fn/${name}`), name);
  const got = lines.filter((line) => line.includes("cluster:"));
  assert.deepEqual(
    got.map((line) => line.replace(/.*cluster: /, "")),
    ["stores/store-042", "stores/head", "stores/store-042", "stores/head"],
  );
  assert.match(text, /fleet\.yaml:8:5: yaml is a list of files here/);
});

test("values and copies that only a cluster or the hub has are named, with what can be known without them", async (context) => {
  const folder = folderOf(context, {
    "clusters.yaml": cluster("oslo", "location: edge") + cluster("bern", "location: edge, strict: yes-it-is"),
    "till/fleet.yaml": `defaultNamespace: tills
helm: {valuesFrom: [{secretKeyRef: {name: pin}}]}
downstreamResources: [{kind: Secret, name: registry}]
targets: [{name: all, clusterSelector: {}}]
`,
    "till/Chart.yaml": repository["apps/till/Chart.yaml"],
    "till/templates/map.yaml":
      "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: till}\ndata: {pin: {{ .Values.pin | default 0 | quote }}}\n",
    "safe/fleet.yaml": `helm: {valuesFrom: [{configMapKeyRef: {name: code, namespace: vault, key: code.yaml}}]}
targets: [{name: all, clusterSelector: {matchLabels: {strict: yes-it-is}}}]
`,
    "safe/Chart.yaml": repository["apps/till/Chart.yaml"],
    "safe/templates/map.yaml": `{{ fail "the code is missing" }}\n`,
  });
  const { text, isWell } = await planFolder({ folder, clusters: join(folder, "clusters.yaml"), tools });
  assert.equal(isWell, true, text);
  assert.match(
    text,
    /1 object, \d+ bytes {2}2 clusters: stores\/oslo, stores\/bern\n {4}ConfigMap till\n {4}needs values of Secret tills\/pin, key values\.yaml, in the cluster\n {4}needs a copy of Secret registry at the hub\n/,
  );
  assert.match(
    text,
    /unknown {2}it can only be rendered with what is there {2}1 cluster: stores\/bern\n {4}needs values of ConfigMap vault\/code, key code\.yaml, in the cluster\n {4}without it: helm: .*the code is missing/,
  );
});
