import assert from "node:assert/strict";
import { test } from "node:test";
import { MemoryObjects, namespace, service, slice } from "../testing/memory-objects.ts";
import { lookUp } from "./zone.ts";

const objects = new MemoryObjects();
objects.set({
  namespaces: [namespace("shop"), namespace("default")],
  services: [
    service("shop/order", {
      clusterIP: "10.43.0.20",
      ports: [
        { name: "http", port: 80, protocol: "TCP" },
        { name: "grpc", port: 90, protocol: "TCP" },
      ],
    }),
    service("shop/db", { clusterIP: "None", ports: [{ name: "sql", port: 5432, protocol: "TCP" }] }),
    service("shop/empty", { clusterIP: "None", ports: [] }),
    service("shop/bank", { type: "ExternalName", externalName: "Bank.Example" }),
    service("shop/alias", { type: "ExternalName", externalName: "order.shop.svc.cluster.local" }),
    service("shop/loop", { type: "ExternalName", externalName: "loop.shop.svc.cluster.local" }),
  ],
  slices: [
    {
      ...slice({
        service: "shop/db",
        ips: ["10.42.0.7", "10.42.0.8"],
        notReady: ["10.42.0.9"],
        port: 5432,
        name: "sql",
      }),
      endpoints: [
        { addresses: ["10.42.0.7"], hostname: "db-0", conditions: { ready: true } },
        { addresses: ["10.42.0.8"], conditions: { ready: true } },
        { addresses: ["10.42.0.9"], conditions: { ready: false } },
      ],
    },
  ],
});

const rows: readonly (readonly [string, string, string | readonly string[]])[] = [
  ["order.shop.svc.cluster.local", "A", ["A 10.43.0.20"]],
  ["ORDER.shop.SVC.cluster.local.", "A", ["A 10.43.0.20"]],
  ["order.shop.svc.cluster.local", "AAAA", []],
  ["none.shop.svc.cluster.local", "A", "absent"],
  ["order.none.svc.cluster.local", "A", "absent"],
  ["shop.svc.cluster.local", "A", []],
  ["none.svc.cluster.local", "A", "absent"],
  ["svc.cluster.local", "A", []],
  ["example.com.shop.svc.cluster.local", "A", "absent"],
  [
    "_http._tcp.order.shop.svc.cluster.local",
    "SRV",
    ["SRV 80 order.shop.svc.cluster.local", "+A 10.43.0.20"],
  ],
  ["_http._udp.order.shop.svc.cluster.local", "SRV", "absent"],
  ["db.shop.svc.cluster.local", "A", ["A 10.42.0.7", "A 10.42.0.8"]],
  ["empty.shop.svc.cluster.local", "A", "absent"],
  ["db-0.db.shop.svc.cluster.local", "A", ["A 10.42.0.7"]],
  ["10-42-0-8.db.shop.svc.cluster.local", "A", ["A 10.42.0.8"]],
  ["db-1.db.shop.svc.cluster.local", "A", "absent"],
  [
    "_sql._tcp.db.shop.svc.cluster.local",
    "SRV",
    [
      "SRV 5432 db-0.db.shop.svc.cluster.local",
      "SRV 5432 10-42-0-8.db.shop.svc.cluster.local",
      "+A 10.42.0.7",
      "+A 10.42.0.8",
    ],
  ],
  ["bank.shop.svc.cluster.local", "A", ["CNAME bank.example"]],
  ["alias.shop.svc.cluster.local", "A", ["CNAME order.shop.svc.cluster.local", "A 10.43.0.20"]],
  ["10-42-0-77.shop.pod.cluster.local", "A", ["A 10.42.0.77"]],
  ["10-42-0-77.none.pod.cluster.local", "A", "absent"],
  ["x.shop.pod.cluster.local", "A", "absent"],
  ["dns-version.cluster.local", "TXT", ["TXT 1.1.0"]],
  ["cluster.local", "A", []],
  ["nonsense.cluster.local", "A", "absent"],
  ["20.0.43.10.in-addr.arpa", "PTR", ["PTR order.shop.svc.cluster.local"]],
  ["7.0.42.10.in-addr.arpa", "PTR", ["PTR db-0.db.shop.svc.cluster.local"]],
  ["9.9.9.9.in-addr.arpa", "PTR", "outside"],
  ["example.com", "A", "outside"],
  ["xcluster.local", "A", "outside"],
];

for (const [name, type, want] of rows) {
  test(`${type} ${name}`, () => {
    const answer = lookUp({ name, type }, { domain: "cluster.local", objects });
    assert.deepEqual(
      answer.kind === "found"
        ? [...answer.records.map(text), ...answer.extra.map((one) => `+${text(one)}`)]
        : answer.kind,
      want,
    );
  });
}

test("an alias of itself ends", () => {
  const answer = lookUp(
    { name: "loop.shop.svc.cluster.local", type: "A" },
    { domain: "cluster.local", objects },
  );
  assert.equal(answer.kind, "found");
});

function text(record: { readonly type: string; readonly data: unknown }): string {
  const { data } = record;
  if (typeof data === "string") return `${record.type} ${data}`;
  const { port, target } = data as { port: number; target: string };
  return `${record.type} ${port} ${target}`;
}
