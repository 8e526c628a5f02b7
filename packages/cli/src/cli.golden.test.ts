import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { StatusError } from "@cortado/std/status";
import { runCli, type CliRoles } from "./cli.ts";

const golden = join(import.meta.dirname, "testing", "help.txt");

type Asked = { readonly role: string; readonly with: unknown };

function fakeRoles(): {
  readonly roles: CliRoles;
  readonly asked: Asked[];
  said: () => { out: string; err: string };
} {
  const asked: Asked[] = [];
  let out = "";
  let err = "";
  const note = (role: string) => (words: unknown) => {
    asked.push({ role, with: words });
    return Promise.resolve();
  };
  const report = (role: string) => (query: unknown) => {
    asked.push({ role, with: query });
    return Promise.resolve({ text: "told\n", isWell: true });
  };
  const tell = (role: string) => (words: unknown) => {
    asked.push({ role, with: words });
    return Promise.resolve("told\n");
  };
  const roles: CliRoles = {
    version: "cortado 0.1.0",
    out: (text) => void (out += text),
    err: (text) => void (err += text),
    serverSettings: [
      { name: "data-dir", help: "Folder for all state", takes: "one", fallback: "/var/lib/cortado" },
      { name: "tls-san", help: "Further names", takes: "many" },
      { name: "mqtt-tls", help: "Opens MQTT over TLS too; not if absent", takes: "nothing" },
    ],
    runServer: note("server"),
    agentSettings: [
      { name: "server", help: "The server to join", takes: "one" },
      { name: "node-label", help: "Labels", takes: "many" },
    ],
    refusedAgentFlags: { docker: "it has its own containerd" },
    idleAgentFlags: ["debug"],
    runAgent: note("agent"),
    runHub: note("hub"),
    runMqtt: note("mqtt"),
    importMosquitto(file) {
      asked.push({ role: "import", with: file });
      return file === "bad.conf"
        ? Promise.reject(new StatusError("Invalid", "bad.conf:3: plugin: plugins are not loaded"))
        : Promise.resolve("listeners: []\n");
    },
    writeFile(path, text) {
      asked.push({ role: "write", with: { path, text } });
      return Promise.resolve();
    },
    runDemo: note("demo"),
    askDemo: (folder, action, store) => {
      asked.push({ role: "ask", with: { folder, action, store } });
      return store === "nobody"
        ? Promise.reject(new StatusError("NotFound", "there is no store nobody; it has store-042"))
        : Promise.resolve();
    },
    readToken: () => Promise.resolve("K10abc::server:secret"),
    runKubectl: note("kubectl"),
    runFleetAgent: note("fleet agent"),
    validateFleet: (query) => {
      asked.push({ role: "validateFleet", with: query });
      return Promise.resolve({ text: "told\n", isWell: query.folder !== "bad" });
    },
    planFleet: report("planFleet"),
    targetFleet: report("targetFleet"),
    diffFleet: report("diffFleet"),
    applyFleet: report("applyFleet"),
    steerRollout: tell("rollout"),
    removeFleetAgent: tell("fleet agent uninstall"),
    fleetAgentManifest: (words) => {
      asked.push({ role: "fleet agent install", with: words });
      return "kind: Deployment\n";
    },
    demoFolder: "/here/.cortado",
  };
  return { roles, asked, said: () => ({ out, err }) };
}

test("help teaches, and changes only on purpose", async () => {
  const texts: string[] = [];
  for (const words of [
    ["--help"],
    ["server", "--help"],
    ["agent", "--help"],
    ["hub", "--help"],
    ["mqtt", "--help"],
    ["mqtt", "import", "--help"],
    ["demo", "--help"],
    ["demo", "start", "--help"],
    ["fleet", "--help"],
    ["fleet", "validate", "--help"],
    ["fleet", "plan", "--help"],
    ["fleet", "target", "--help"],
    ["fleet", "diff", "--help"],
    ["fleet", "apply", "--help"],
    ["fleet", "rollout", "--help"],
    ["fleet", "rollout", "abort", "--help"],
    ["token", "--help"],
    ["fleet", "agent", "--help"],
    ["fleet", "agent", "install", "--help"],
    ["fleet", "agent", "uninstall", "--help"],
  ]) {
    const { roles, said } = fakeRoles();
    assert.equal(await runCli(words, roles), 0);
    texts.push(`$ cortado ${words.join(" ")}\n${said().out}`);
  }
  const text = texts.join("\n");
  if (process.env["GOLDEN_WRITE"] === "1") writeFileSync(golden, text);
  assert.equal(text, readFileSync(golden, "utf8"), "npm run golden -- --write, and read the difference");
});

for (const { words, role, given } of [
  {
    words: ["server", "--data-dir", "/d", "--tls-san", "a", "--tls-san", "b", "--mqtt-tls"],
    role: "server",
    given: { settings: { "data-dir": "/d", "tls-san": ["a", "b"], "mqtt-tls": true } },
  },
  {
    words: ["agent", "--server", "https://s:6443", "--node-label", "a=b", "--node-label", "c=d", "--debug"],
    role: "agent",
    given: { settings: { server: "https://s:6443", "node-label": ["a=b", "c=d"] } },
  },
  { words: ["server", "-c", "/f"], role: "server", given: { config: "/f", settings: {} } },
  {
    words: ["mqtt", "--config", "m.yaml", "--check"],
    role: "mqtt",
    given: { config: "m.yaml", check: true },
  },
  {
    words: ["demo", "cut-power", "store-042"],
    role: "ask",
    given: { folder: "/here/.cortado", action: "cut-power", store: "store-042" },
  },
  {
    words: ["demo", "start", "--fresh"],
    role: "demo",
    given: { folder: "/here/.cortado", fresh: true, simulated: false },
  },
  {
    words: [
      ...["fleet", "agent", "--kubeconfig", "k", "--hub", "https://hub:1", "--hub-token", "t"],
      ...["--label", "location=edge", "--label", "tier="],
    ],
    role: "fleet agent",
    given: {
      kubeconfig: "k",
      hub: "https://hub:1",
      token: "t",
      labels: { location: "edge", tier: "" },
      dataDir: "/var/lib/cortado/fleet-agent",
    },
  },
  {
    words: ["fleet", "validate", "--fleet-strict", "here"],
    role: "validateFleet",
    given: { folder: "here", gitRepo: undefined, strict: true },
  },
  {
    words: ["fleet", "plan", "here", "--gitrepo", "g", "--clusters", "c", "--helm", "/h"],
    role: "planFleet",
    given: {
      folder: "here",
      gitRepo: "g",
      strict: false,
      clusters: "c",
      helm: "/h",
      kubectl: undefined,
      kubeVersion: undefined,
    },
  },
  {
    words: ["fleet", "rollout", "promote", "shop-till", "--kubeconfig", "k"],
    role: "rollout",
    given: { action: "promote", bundle: "shop-till", kubeconfig: "k", namespace: "fleet-default" },
  },
  {
    words: ["fleet", "apply", "shop", "here", "-o", "-", "-n", "stores"],
    role: "applyFleet",
    given: {
      name: "shop",
      folder: "here",
      gitRepo: undefined,
      strict: false,
      namespace: "stores",
      output: "-",
      hub: undefined,
    },
  },
  {
    words: ["fleet", "target", "here", "--kubeconfig", "k"],
    role: "targetFleet",
    given: {
      folder: "here",
      gitRepo: undefined,
      strict: false,
      clusters: undefined,
      hub: { kubeconfig: "k", context: undefined, namespace: "fleet-default" },
    },
  },
  {
    words: ["fleet", "agent", "uninstall", "--kubeconfig", "k"],
    role: "fleet agent uninstall",
    given: { kubeconfig: "k" },
  },
  {
    words: [
      ...["fleet", "agent", "install", "--image", "i", "--hub", "https://hub:1"],
      ...["--hub-token", "t", "--label", "a=b"],
    ],
    role: "fleet agent install",
    given: { image: "i", hub: "https://hub:1", token: "t", labels: { a: "b" } },
  },
  {
    words: ["kubectl", "get", "pods", "-A"],
    role: "kubectl",
    given: { kubeconfig: undefined, words: ["get", "pods", "-A"] },
  },
])
  test(`cortado ${words.join(" ")}`, async () => {
    const { roles, asked } = fakeRoles();
    assert.equal(await runCli(words, roles), 0);
    assert.deepEqual(asked, [{ role, with: given }]);
  });

for (const { words, code, says } of [
  { words: ["fleet", "agent", "--kubeconfig", "k"], code: 1, says: /required option '--hub <url>'/ },
  { words: ["fleet", "agent", "uninstall"], code: 2, says: /required option '--kubeconfig <file>'/ },
  { words: ["fleet", "target", "here"], code: 1, says: /give --clusters FILE, or --kubeconfig of a hub/ },
  {
    words: ["fleet", "diff", "here", "--clusters", "c"],
    code: 1,
    says: /nothing to compare with; give --against, --against-commit, or --kubeconfig/,
  },
  {
    words: ["fleet", "apply", "shop", "here"],
    code: 1,
    says: /give --kubeconfig of a hub, or -o - to print the Bundles/,
  },
  {
    words: ["fleet", "agent", "--kubeconfig", "k", "--hub", "h", "--label", "x"],
    code: 1,
    says: /^cortado: --label x is not of the form key=value/,
  },
  {
    words: ["agent", "--server", "https://store:6443", "--docker"],
    code: 1,
    says: /--docker of K3s is not offered: it has its own containerd/,
  },
  {
    words: ["mqtt", "import", "bad.conf", "--output", "m.yaml"],
    code: 1,
    says: /^cortado: bad\.conf:3: plugin: plugins are not loaded/,
  },
  { words: ["mqtt", "import"], code: 2, says: /missing required argument 'mosquitto.conf'/ },
  { words: ["serve"], code: 2, says: /unknown command 'serve'/ },
  { words: ["server", "--no-such"], code: 2, says: /unknown option '--no-such'/ },
  { words: ["fleet", "plan", "here"], code: 2, says: /required option '--clusters <file>'/ },
  {
    words: ["fleet", "validate", "bad"],
    code: 1,
    says: /^cortado: not all of it can be compiled; see above/,
  },
  { words: ["demo", "unplug"], code: 2, says: /missing required argument 'store'/ },
  {
    words: ["demo", "kill", "nobody"],
    code: 1,
    says: /^cortado: there is no store nobody; it has store-042/,
  },
])
  test(`cortado ${words.join(" ")} ends with ${code} and says why`, async () => {
    const { roles, said } = fakeRoles();
    assert.equal(await runCli(words, roles), code);
    assert.match(said().err, says);
  });

test("the version is told by each way that is usual", async () => {
  for (const word of ["version", "--version", "-v"]) {
    const { roles, said } = fakeRoles();
    assert.equal(await runCli([word], roles), 0);
    assert.deepEqual(said(), { out: "cortado 0.1.0\n", err: "" });
  }
});
