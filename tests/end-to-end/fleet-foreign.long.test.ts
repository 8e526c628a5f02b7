import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { stockClient } from "../clients/clients.ts";
import { until } from "./demo-world.ts";
import { HubProcesses } from "./hub-processes.ts";

// `cortado fleet agent --kubeconfig` beside a Kubernetes that has no hub, a hub process, and everything steered by `cortado fleet` and
// stock kubectl.
let all: HubProcesses;
let seed = "";
const folder = (): string => join(all.folder, "shop");

const settings = `defaultNamespace: shop
correctDrift: {enabled: true}
targets: [{name: foreign, clusterSelector: {matchLabels: {kind: foreign}}}]
`;
const map = (name: string, value: string): string =>
  `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ${name}}\ndata: {value: "${value}"}\n`;
const deployment = (more = ""): string => `apiVersion: apps/v1
kind: Deployment
metadata: {name: till}
spec:
  replicas: 1
  selector: {matchLabels: {app: till}}
  template:
    metadata: {labels: {app: till}}
    spec: {containers: [{name: till, image: "till:1"}]${more}}
`;

function write(files: Readonly<Record<string, string>>): void {
  rmSync(folder(), { recursive: true, force: true });
  mkdirSync(join(folder(), "till"), { recursive: true });
  for (const [name, text] of Object.entries({ "till/fleet.yaml": settings, ...files }))
    writeFileSync(join(folder(), name), text);
}

const tools = (): readonly string[] => ["--kubectl", all.kubectl, "--helm", stockClient("helm")];
const hub = (): readonly string[] => ["--kubeconfig", all.config("hub")];

async function fleet(...words: readonly string[]): Promise<string> {
  const { code, out, err } = await all.cortado("fleet", ...words);
  assert.equal(code, 0, `cortado fleet ${words.join(" ")}: ${err}`);
  return out;
}

const value = async (name: string): Promise<string> =>
  (await all.ask("foreign", "get", "configmap", name, "-n", "shop", "-o", "jsonpath={.data.value}")).out;
const bundle = async (path: string): Promise<string> =>
  (await all.ask("hub", "get", "bundle", "shop-till", "-n", "fleet-default", "-o", `jsonpath={${path}}`)).out;

function startAgent(token: string): void {
  all.spawn("agent", [
    "fleet",
    "agent",
    ...["--kubeconfig", all.config("foreign"), "--hub", all.url, "--hub-token", token],
    ...["--name", "foreign", "--label", "kind=foreign", "--data-dir", join(all.folder, "agent")],
  ]);
}

before(async () => {
  seed = mkdtempSync(join(tmpdir(), "cortado-seed-"));
  writeFileSync(join(seed, "fleet.yaml"), "defaultNamespace: menu\n");
  writeFileSync(join(seed, "menu.yaml"), map("menu", "1"));
  all = await HubProcesses.start("--offline-after", "5", "--seed-repository", seed);
  // The hub watches the repository that it was given; the first tests want a hub without.
  await all.told("hub", "delete", "gitrepo", "coffee-shop", "-n", "fleet-default");
  await all.startCluster("foreign");
  startAgent(await all.token());
  await until(
    "the foreign cluster to be heard",
    async () => {
      const words = ["get", "clusters.fleet.cattle.io", "-n", "fleet-default", "--no-headers"];
      return /foreign +0\/0 .*Ready/.test((await all.ask("hub", ...words)).out);
    },
    30_000,
  );
});

after(async () => {
  await all[Symbol.asyncDispose]();
  rmSync(seed, { recursive: true, force: true });
});

test("a folder is applied to the hub and runs in the foreign cluster; target and diff say what they see there", async () => {
  write({
    "till/one.yaml": map("one", "1"),
    "till/two.yaml": map("two", "1"),
    "till/till.yaml": deployment(),
  });
  assert.match(
    await fleet("target", folder(), ...hub()).catch(String),
    /hub has no GitRepo in namespace fleet-default/,
  );
  assert.match(await fleet("apply", "shop", folder(), ...hub()), /bundle fleet-default\/shop-till applied/);
  await until("one", async () => (await value("one")) === "1", 30_000);
  await until("Ready", async () => (await bundle(".status.display.state")) === "Ready", 60_000);
  assert.match(
    await fleet("rollout", "status", "shop-till", ...hub()),
    /1\/1 stores ready\ngeneration 1 \(before it 1\): Complete/,
  );
});

test("drift is corrected, and what the folder no longer has is pruned", async () => {
  const patch = [
    "patch",
    "configmap",
    "one",
    "-n",
    "shop",
    "--type",
    "merge",
    "-p",
    '{"data":{"value":"9"}}',
  ];
  await all.told("foreign", ...patch);
  await until("the drift to be corrected", async () => (await value("one")) === "1", 20_000);
  await all.told("foreign", "create", "configmap", "mine", "-n", "shop");
  write({ "till/one.yaml": map("one", "2"), "till/till.yaml": deployment() });
  await fleet("apply", "shop", folder(), ...hub());
  await until("two to go", async () => (await value("two")) === "" && (await value("one")) === "2", 20_000);
  await all.told("foreign", "get", "configmap", "mine", "-n", "shop");
});

test("kinds of a hub say what becomes of them, for stock kubectl", async () => {
  const place = "metadata: { name: later, namespace: fleet-default }";
  const kind = (name: string): string => `apiVersion: fleet.cattle.io/v1alpha1\nkind: ${name}\n${place}\n`;
  await all.apply(
    "hub",
    `${kind("ImageScan")}spec: { image: coffee, interval: 5m }\n---\n${kind("HelmOp")}spec: { helm: { chart: coffee } }\n`,
  );
  await until(
    "ImageScan",
    async () =>
      /comes in a later release/.test(
        (await all.ask("hub", "get", "imagescan", "later", "-n", "fleet-default")).out,
      ),
    10_000,
  );
  const [scan, op] = await Promise.all(
    ["imagescan", "helmop"].map((name) => all.told("hub", "get", name, "later", "-n", "fleet-default")),
  );
  assert.match(scan ?? "", /ImageScan is not served by this hub yet/);
  assert.match(op ?? "", /HelmOp is not served by this hub yet/);
  await all.apply("hub", `${kind("ClusterGroup")}spec: { selector: { matchLabels: { kind: foreign } } }\n`);
  await until(
    "the group",
    async () =>
      / 1\/1 +1\/1 /.test((await all.ask("hub", "get", "clustergroup", "later", "-n", "fleet-default")).out),
    10_000,
  );
  assert.match(await all.told("hub", "get", "clusterregistrations", "-n", "fleet-default"), /foreign +true/);
  const id = await all.told(
    "hub",
    "get",
    "bundledeployments",
    "-A",
    "-o",
    "jsonpath={.items[0].spec.deploymentID}",
  );
  assert.match(await all.told("hub", "get", "content", id.split(":")[0] ?? ""), / 1 /);
});

test("a release that never gets ready is told in describe, and abort brings the one before back", async () => {
  await until("Complete", async () => (await bundle(".status.rollout.phase")) === "Complete", 30_000);
  write({
    "till/one.yaml": map("one", "3"),
    "till/till.yaml": deployment(", nodeSelector: {nobody: has-this}"),
  });
  await fleet("apply", "shop", folder(), ...hub());
  await until("three", async () => (await value("one")) === "3", 20_000);
  await until("NotReady", async () => (await bundle(".status.display.state")) === "NotReady", 30_000);
  const status = await fleet("rollout", "status", "shop-till", ...hub());
  assert.match(status, /generation 3 \(before it 2\): Progressing/);
  assert.match(status, /open +canary +0\/1 ready/);
  await fleet("rollout", "pause", "shop-till", ...hub());
  await until("Paused", async () => (await bundle(".status.rollout.phase")) === "Paused", 10_000);
  await fleet("rollout", "resume", "shop-till", ...hub());
  await until("Progressing", async () => (await bundle(".status.rollout.phase")) === "Progressing", 10_000);
  assert.match(await fleet("rollout", "abort", "shop-till", ...hub()), /its stores go back to generation 2/);
  await until("two is back", async () => (await value("one")) === "2", 30_000);
  const described = await all.told("hub", "describe", "bundle", "shop-till", "-n", "fleet-default");
  assert.match(described, /Type: +RolledOut/);
  assert.match(described, /RolloutAborted .*generation 3 was given up; stores go back to 2/);
});

test("diff and target compare a working copy with what the hub's stores may run", async () => {
  const password = readFileSync(join(all.folder, "hub", "server", "hub-password"), "utf8");
  const targets = "[{ clusterSelector: { matchLabels: { kind: foreign } } }]";
  await all.apply(
    "hub",
    `apiVersion: v1
kind: Secret
metadata: { name: own-git, namespace: fleet-default }
stringData: { username: admin, password: ${password} }
---
apiVersion: fleet.cattle.io/v1alpha1
kind: GitRepo
metadata: { name: menu, namespace: fleet-default }
spec: { repo: ${all.url}/git/coffee-shop.git, branch: main, clientSecretName: own-git, insecureSkipTLSVerify: true, targets: ${targets} }
`,
  );
  const menu = ["get", "configmap", "menu", "-n", "menu", "-o", "jsonpath={.data.value}"];
  await until("the menu", async () => (await all.ask("foreign", ...menu)).out === "1", 30_000);
  const words = [seed, ...hub(), ...tools()];
  await until(
    "its view",
    async () => (await fleet("diff", ...words)) === "nothing changes in any cluster\n",
    30_000,
  );
  writeFileSync(join(seed, "menu.yaml"), map("menu", "2"));
  assert.equal(
    await fleet("diff", ...words),
    'menu  1 cluster: fleet-default/foreign\n  ~ ConfigMap menu\n      data.value: "1" -> "2"\n',
  );
  assert.match(
    await fleet("target", seed, ...hub()),
    /^fleet-default\/foreign\n {2}gets {5}menu {2}by target /,
  );
  await all.told("hub", "delete", "gitrepo", "menu", "-n", "fleet-default");
  await until("the menu to go", async () => (await all.ask("foreign", ...menu)).code !== 0, 30_000);
});

test("uninstall keeps what runs, and leaves nothing of ours; the hub says so, too", async () => {
  const pods = ["get", "pods", "-n", "shop", "-o", "jsonpath={.items[*].metadata.uid}"];
  await until("a pod", async () => (await all.ask("foreign", ...pods)).out !== "", 30_000);
  const pod = await all.told("foreign", ...pods);
  await all.end("agent", "SIGTERM");
  // As if it had run as a Deployment: what `install` prints is taken by the API server as it is, and goes again.
  const image = ["--image", "cortado:1", "--hub", all.url, "--hub-token", "K10x::fleet:y"];
  await all.apply("foreign", await fleet("agent", "install", ...image, "--name", "foreign"));
  const running = [
    "get",
    "deployment",
    "cortado-fleet-agent",
    "-n",
    "cattle-fleet-system",
    "-o",
    "jsonpath={.status.readyReplicas}",
  ];
  await until("the agent's pod", async () => (await all.ask("foreign", ...running)).out === "1", 30_000);
  const said = await fleet("agent", "uninstall", "--kubeconfig", all.config("foreign"));
  assert.match(said, /the agent's Deployment cattle-fleet-system\/cortado-fleet-agent is removed/);
  assert.match(said, /2 objects of 1 bundles stay/);
  const rights = await all.told("foreign", "get", "clusterrolebindings", "-o", "name");
  assert.doesNotMatch(rights, /cortado-fleet-agent/);
  assert.match(said, /namespace cattle-fleet-system is removed/);
  assert.equal(await all.told("foreign", ...pods), pod, "the pod is the same one");
  const kept = await all.told("foreign", "get", "configmap,deployment", "-n", "shop", "-o", "yaml");
  assert.match(kept, /name: one\n/);
  assert.doesNotMatch(kept, /fleet\.cortado\.dev/);
  await until(
    "the namespace to go",
    async () => (await all.ask("foreign", "get", "namespace", "cattle-fleet-system")).code !== 0,
    20_000,
  );
  assert.match(
    await fleet("agent", "uninstall", "--kubeconfig", all.config("foreign")),
    /0 objects of 0 bundles stay/,
  );
  await until(
    "Offline",
    async () => {
      const words = ["get", "clusters.fleet.cattle.io", "foreign", "-n", "fleet-default"];
      return / Offline /.test((await all.ask("hub", ...words)).out);
    },
    20_000,
  );
});
