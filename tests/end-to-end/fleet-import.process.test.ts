import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { until } from "./demo-world.ts";
import { HubProcesses } from "./hub-processes.ts";

// A Cluster whose kubeconfig the hub has: the hub installs the agent there. Pods are simulated, so the agent is started as its pod would be.
let all: HubProcesses;

const own = ["-n", "cattle-fleet-system"] as const;
const cluster = (name: string, secret: string): string =>
  `apiVersion: fleet.cattle.io/v1alpha1\nkind: Cluster\nmetadata: {name: ${name}, namespace: fleet-default}\nspec: {kubeConfigSecret: ${secret}}\n`;

async function putKubeconfig(name: string, text: string): Promise<void> {
  const data = Buffer.from(text).toString("base64");
  const metadata = `metadata: {name: ${name}, namespace: fleet-default}`;
  await all.apply("hub", `apiVersion: v1\nkind: Secret\n${metadata}\ndata: {value: ${data}}\n`);
}

const imported = async (name: string): Promise<string> => {
  const path = `jsonpath={range .status.conditions[?(@.type=="Imported")]}{.status} {.reason} {.message}{end}`;
  return (await all.ask("hub", "get", "clusters.fleet.cattle.io", name, "-n", "fleet-default", "-o", path))
    .out;
};

type Kubeconfig = {
  readonly clusters: readonly { readonly cluster: Record<string, unknown> }[];
  readonly users: readonly { readonly user: Record<string, unknown> }[];
};

before(async () => {
  all = await HubProcesses.start("--agent-image", "registry.example/cortado:1", "--offline-after", "5");
  await all.startCluster("foreign");
});

after(async () => {
  await all[Symbol.asyncDispose]();
});

test("the hub installs the agent by a Cluster's kubeconfig, and the cluster joins", async () => {
  await putKubeconfig("foreign", readFileSync(all.config("foreign"), "utf8"));
  await all.apply("hub", cluster("foreign", "foreign"));
  await until(
    "it is installed",
    async () => (await imported("foreign")).startsWith("True AgentDeployed"),
    30_000,
  );
  const path = "jsonpath={.spec.template.spec.containers[0]['image','args']}";
  const container = await all.told("foreign", "get", "deployment", "cortado-fleet-agent", ...own, "-o", path);
  assert.match(container, /^registry\.example\/cortado:1 \["fleet","agent",.*"--name","foreign"\]$/);
  const words = ["get", "secret", "cortado-fleet-agent", ...own, "-o", "jsonpath={.data.token}"];
  const token = Buffer.from(await all.told("foreign", ...words), "base64").toString();
  all.spawn("agent", [
    ...["fleet", "agent", "--kubeconfig", all.config("foreign"), "--hub", all.url, "--hub-token", token],
    ...["--name", "foreign", "--data-dir", join(all.folder, "agent")],
  ]);
  const state = ["get", "clusters.fleet.cattle.io", "foreign", "-n", "fleet-default", "-o"];
  await until(
    "the cluster is Ready",
    async () => (await all.told("hub", ...state, "jsonpath={.status.display.state}")) === "Ready",
    30_000,
  );
  await until("nothing is left to do", async () => (await imported("foreign")) === "True  ", 30_000);
});

for (const { what, change, says } of [
  {
    what: "a file of the hub's machine",
    change: ({ clusters: [one] }: Kubeconfig) => {
      delete one?.cluster["certificate-authority-data"];
      Object.assign(one?.cluster ?? {}, { "certificate-authority": "/etc/hostname" });
    },
    says: /^False Invalid Secret fleet-default\/bad, key value names the file "\/etc\/hostname", which is not read/,
  },
  {
    what: "a token in a file of the hub's machine",
    change: ({ users: [one] }: Kubeconfig) =>
      void Object.assign(one?.user ?? {}, { tokenFile: "/etc/hostname" }),
    says: /^False Invalid .* names the file "\/etc\/hostname", which is not read/,
  },
  {
    what: "a command",
    change: ({ users: [one] }: Kubeconfig) =>
      void Object.assign(one?.user ?? {}, { exec: { command: "/bin/true" } }),
    says: /^False Invalid .* has exec, which is not supported/,
  },
  {
    what: "an address where nobody is",
    change: ({ clusters: [one] }: Kubeconfig) =>
      void Object.assign(one?.cluster ?? {}, { server: "https://127.0.0.1:9" }),
    says: /^False ServiceUnavailable the cluster of Secret fleet-default\/bad, key value: Namespace cattle-fleet-system: /,
  },
])
  test(`a kubeconfig with ${what} is told by name`, async () => {
    const kubeconfig = JSON.parse(readFileSync(all.config("foreign"), "utf8")) as Kubeconfig;
    change(kubeconfig);
    await putKubeconfig("bad", JSON.stringify(kubeconfig));
    await all.apply("hub", cluster("bad", "bad"));
    await until(
      `the condition says it: ${await imported("bad")}`,
      async () => says.test(await imported("bad")),
      30_000,
    );
    await all.told("hub", "delete", "clusters.fleet.cattle.io", "bad", "-n", "fleet-default");
  });

test("a kubeconfig that is no YAML is told without a word of it", async () => {
  await putKubeconfig("bad", "token: hidden: {");
  await all.apply("hub", cluster("bad", "bad"));
  const says = /^False Invalid Secret fleet-default\/bad, key value is not YAML$/;
  await until("the condition says it", async () => says.test(await imported("bad")), 30_000);
});
