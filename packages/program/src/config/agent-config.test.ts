import assert from "node:assert/strict";
import { test } from "node:test";
import {
  agentSettingNames,
  idleAgentFlags,
  refusedAgentFlags,
  toAgentConfig,
  type AgentConfig,
} from "./agent-config.ts";

const base = { file: {}, line: {}, env: {}, hostName: "Till-2" };
const joining = { K3S_URL: "https://192.0.2.1:6443", K3S_TOKEN: "secret" };

test("what K3s's variables say is enough, and the rest is as K3s has it", () => {
  const config = toAgentConfig({ ...base, env: joining });
  assert.equal(config.server.href, "https://192.0.2.1:6443/");
  assert.deepEqual(config.token.credential, { kind: "password", user: "node", password: "secret" });
  assert.equal(config.nodeName, "till-2", "host names are written small");
  assert.equal(config.dataDir, "/var/lib/cortado");
  assert.equal(config.podsMax, undefined);
});

test("the command line goes before the environment, that before the file; lists, labels and taints are read", () => {
  const file = { "node-name": "file", "data-dir": "/file", "node-label": ["a=file"] };
  const line = {
    "node-name": "line",
    "node-label": ["a=b", "c=d=e"],
    "node-taint": ["k=v:NoSchedule", "only:NoExecute", "x=:PreferNoSchedule"],
    "kubelet-arg": ["max-pods=20"],
  };
  const config = toAgentConfig({ ...base, file, line, env: { ...joining, K3S_NODE_NAME: "env" } });
  assert.equal(config.nodeName, "line");
  assert.equal(toAgentConfig({ ...base, file, env: { ...joining, K3S_NODE_NAME: "env" } }).nodeName, "env");
  assert.equal(config.dataDir, "/file");
  assert.deepEqual(config.nodeLabels, { a: "b", c: "d=e" });
  assert.deepEqual(config.nodeTaints, [
    { key: "k", value: "v", effect: "NoSchedule" },
    { key: "only", effect: "NoExecute" },
    { key: "x", effect: "PreferNoSchedule" },
  ]);
  assert.equal(config.podsMax, 20);
});

for (const { name, line, says } of [
  { name: "no server", line: { server: undefined }, says: /--server https:\/\/HOST:6443 or K3S_URL/ },
  {
    name: "a server that is no URL",
    line: { server: "192.0.2.1" },
    says: /"192\.0\.2\.1" is no URL of the form https/,
  },
  {
    name: "a path in the URL",
    line: { server: "https://h:1/x" },
    says: /no URL of the form https:\/\/HOST:6443/,
  },
  { name: "no token", line: { token: undefined }, says: /print it there with cortado token/ },
  {
    name: "a token's file that is not there",
    line: { token: undefined, "token-file": "/nonexistent" },
    says: /token-file: \/nonexistent cannot be read/,
  },
  {
    name: "a taint without an effect",
    line: { "node-taint": ["a=b"] },
    says: /"a=b" is not KEY=VALUE:EFFECT/,
  },
  {
    name: "a taint of no effect",
    line: { "node-taint": ["a=b:Never"] },
    says: /EFFECT is NoSchedule, Prefer/,
  },
  {
    name: "a kubelet's setting that is not there",
    line: { "kubelet-arg": ["v=9"] },
    says: /kubelet-arg: v is not offered.*max-pods/,
  },
  {
    name: "a number of pods that is none",
    line: { "kubelet-arg": ["max-pods=many"] },
    says: /max-pods.*"many" is not a whole number/,
  },
])
  test(`${name} is refused by name`, () => {
    const given = { server: "https://h:6443", token: "t", ...line };
    assert.throws((): AgentConfig => toAgentConfig({ ...base, line: given }), says);
  });

test("a flag of K3s is offered, refused or idle, and only one of these", () => {
  const all = [...agentSettingNames, ...Object.keys(refusedAgentFlags), ...idleAgentFlags];
  assert.equal(new Set(all).size, all.length);
});
