import assert from "node:assert/strict";
import { test } from "node:test";
import type { NetworkPolicy } from "@cortado/kinds";
import { namespace, pod } from "../testing/memory-objects.ts";
import { policyTable, selects } from "./plan.ts";

const pods = [
  pod("shop/web", {
    ip: "10.42.0.2",
    labels: { app: "web" },
    ports: [{ name: "http", containerPort: 8080 }],
  }),
  pod("shop/db", { ip: "10.42.0.3", labels: { app: "db" }, ports: [{ name: "sql", containerPort: 5432 }] }),
  pod("mon/scraper", { ip: "10.42.0.4", labels: { app: "scraper" } }),
];
const namespaces = [namespace("shop"), namespace("mon", { team: "ops" })];

function rules(spec: NetworkPolicy["spec"]): Readonly<Record<string, readonly string[]>> {
  const policy = {
    apiVersion: "networking.k8s.io/v1",
    kind: "NetworkPolicy",
    metadata: { name: "p", namespace: "shop" },
    spec,
  } as NetworkPolicy;
  const table = policyTable({
    policies: [policy],
    pods,
    namespace: (name) => namespaces.find((one) => one.metadata.name === name),
    nodeName: "node",
    table: "t",
    dnsIp: "10.43.0.10",
    bridge: "cni0",
  });
  const chains = [
    ...(table ?? "").matchAll(/ {2}chain ((?:in|out)-[\d.]+) \{\n([^}]*(?:\{[^}]*\}[^}]*)*?)\n {2}\}/g),
  ];
  return Object.fromEntries(
    chains.map(([, name = "", body = ""]) => [name, body.split("\n").map((line) => line.trim())]),
  );
}

for (const { name, spec, want } of [
  { name: "selects nobody: no table", spec: { podSelector: { matchLabels: { app: "none" } } }, want: {} },
  {
    name: "default deny of everything in a namespace",
    spec: { podSelector: {}, policyTypes: ["Ingress", "Egress"] },
    want: {
      "in-10.42.0.2": ["drop"],
      "out-10.42.0.2": ["drop"],
      "in-10.42.0.3": ["drop"],
      "out-10.42.0.3": ["drop"],
    },
  },
  {
    name: "an empty rule allows all",
    spec: { podSelector: { matchLabels: { app: "db" } }, ingress: [{}] },
    want: { "in-10.42.0.3": ["return", "drop"] },
  },
  {
    name: "from pods of the same namespace, by a named port",
    spec: {
      podSelector: { matchLabels: { app: "db" } },
      ingress: [{ from: [{ podSelector: { matchLabels: { app: "web" } } }], ports: [{ port: "sql" }] }],
    },
    want: { "in-10.42.0.3": ["ip saddr { 10.42.0.2 } tcp dport { 5432 } return", "drop"] },
  },
  {
    name: "from another namespace, a range of ports",
    spec: {
      podSelector: { matchLabels: { app: "web" } },
      ingress: [
        {
          from: [{ namespaceSelector: { matchLabels: { team: "ops" } } }],
          ports: [
            { port: 80, endPort: 90 },
            { port: 53, protocol: "UDP" as const },
          ],
        },
      ],
    },
    want: {
      "in-10.42.0.2": [
        "ip saddr { 10.42.0.4 } tcp dport 80-90 return",
        "ip saddr { 10.42.0.4 } udp dport 53 return",
        "drop",
      ],
    },
  },
  {
    name: "a peer that is nobody allows nobody",
    spec: {
      podSelector: { matchLabels: { app: "web" } },
      ingress: [{ from: [{ podSelector: { matchLabels: { app: "x" } } }] }],
    },
    want: { "in-10.42.0.2": ["drop"] },
  },
  {
    name: "out to a block but not all of it, and to a named port",
    spec: {
      podSelector: { matchLabels: { app: "web" } },
      policyTypes: ["Egress"],
      egress: [
        { to: [{ ipBlock: { cidr: "10.0.0.0/8", except: ["10.1.0.0/16"] } }] },
        { to: [{ podSelector: {} }], ports: [{ port: "sql" }] },
      ],
    },
    want: {
      "out-10.42.0.2": [
        "ip daddr 10.0.0.0/8 ip daddr != { 10.1.0.0/16 } return",
        "ip daddr . tcp dport { 10.42.0.3 . 5432 } return",
        "drop",
      ],
    },
  },
] satisfies readonly { name: string; spec: NetworkPolicy["spec"]; want: object }[]) {
  test(`policy: ${name}`, () => assert.deepEqual(rules(spec), want));
}

test("expressions of a selector", () => {
  const labels = { app: "web", tier: "front" };
  const one = (operator: "In" | "NotIn" | "Exists" | "DoesNotExist", key: string, values: string[] = []) =>
    selects({ matchExpressions: [{ key, operator, values }] }, labels);
  assert.deepEqual(
    [
      one("In", "app", ["web"]),
      one("In", "none", ["x"]),
      one("NotIn", "app", ["web"]),
      one("NotIn", "none", ["x"]),
      one("Exists", "tier"),
      one("DoesNotExist", "tier"),
    ],
    [true, false, false, true, true, false],
  );
});
