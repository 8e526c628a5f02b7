import assert from "node:assert/strict";
import { test } from "node:test";
import type { Container, Service } from "@cortado/kinds";
import type { Sources } from "../sources.ts";
import { containerEnv, expand, serviceEnv } from "./env.ts";
import type { StoredPod } from "./pod.ts";

const sources = {
  configMap: (_namespace: string, name: string) =>
    Promise.resolve(name === "map" ? { data: { k: "v", other: "o" } } : undefined),
  secret: (_namespace: string, name: string) =>
    Promise.resolve(name === "sec" ? { data: { p: Buffer.from("pw").toString("base64") } } : undefined),
  services: () => [],
} as unknown as Sources;

const pod = {
  metadata: { name: "p", namespace: "n", uid: "u", resourceVersion: "1", labels: { app: "x" } },
  spec: { containers: [], serviceAccountName: "sa" },
} as unknown as StoredPod;
const place = {
  nodeName: "node",
  hostIps: ["192.0.2.1"],
  podIps: ["10.42.0.9"],
  allocatable: { cpu: 4, memory: 1_000 },
};

async function env(container: Partial<Container>): Promise<Record<string, string>> {
  const pairs = await containerEnv({ pod, container: { name: "c", ...container }, sources, place });
  return Object.fromEntries(pairs.map(({ key, value }) => [key, value]));
}

test("values come from everywhere, later ones win, and expand from earlier ones", async () => {
  assert.deepEqual(
    await env({
      envFrom: [
        { configMapRef: { name: "map" }, prefix: "M_" },
        { secretRef: { name: "sec" } },
        { configMapRef: { name: "none", optional: true } },
      ],
      env: [
        { name: "A", value: "$(M_k)-$(later)-$$(p)" },
        { name: "later", value: "x" },
        { name: "p", valueFrom: { secretKeyRef: { name: "sec", key: "p" } } },
        { name: "N", valueFrom: { fieldRef: { fieldPath: "metadata.labels['app']" } } },
        { name: "SA", valueFrom: { fieldRef: { fieldPath: "spec.serviceAccountName" } } },
        { name: "CPU", valueFrom: { resourceFieldRef: { resource: "limits.cpu", divisor: "1m" } } },
        { name: "MEM", valueFrom: { resourceFieldRef: { resource: "limits.memory" } } },
        { name: "GONE", valueFrom: { configMapKeyRef: { name: "map", key: "none", optional: true } } },
      ],
      resources: { limits: { cpu: "250m" } },
    }),
    {
      M_k: "v",
      M_other: "o",
      p: "pw",
      A: "v-$(later)-$(p)",
      later: "x",
      N: "x",
      SA: "sa",
      CPU: "250",
      MEM: "1000",
    },
  );
});

for (const [name, container, message] of [
  ["no map", { envFrom: [{ configMapRef: { name: "none" } }] }, /configmap "none" not found/],
  [
    "no key",
    { env: [{ name: "A", valueFrom: { configMapKeyRef: { name: "map", key: "z" } } }] },
    /couldn't find key z in ConfigMap n\/map/,
  ],
  [
    "no secret",
    { env: [{ name: "A", valueFrom: { secretKeyRef: { name: "none", key: "z" } } }] },
    /secret "none" not found/,
  ],
  [
    "no field",
    { env: [{ name: "A", valueFrom: { fieldRef: { fieldPath: "status.phase" } } }] },
    /status\.phase is not offered/,
  ],
] as const) {
  test(`env: ${name} is told`, () =>
    assert.rejects(env(container as unknown as Partial<Container>), message));
}

test("expansion leaves what it does not know", () => {
  const known = new Map([["A", "1"]]);
  assert.deepEqual(
    ["$(A)", "$$(A)", "$(B)", "$A", "$(", "$$$(A)"].map((text) => expand(text, known)),
    ["1", "$(A)", "$(B)", "$A", "$(", "$1"],
  );
});

test("a service as Docker's links had it", () => {
  const service = {
    metadata: { name: "my-db" },
    spec: { clusterIP: "10.43.0.5", ports: [{ port: 5432, name: "sql" }] },
  } as unknown as Service;
  assert.deepEqual(
    serviceEnv(service).map(({ key, value }) => `${key}=${value}`),
    [
      "MY_DB_SERVICE_HOST=10.43.0.5",
      "MY_DB_SERVICE_PORT=5432",
      "MY_DB_SERVICE_PORT_SQL=5432",
      "MY_DB_PORT=tcp://10.43.0.5:5432",
      "MY_DB_PORT_5432_TCP=tcp://10.43.0.5:5432",
      "MY_DB_PORT_5432_TCP_PROTO=tcp",
      "MY_DB_PORT_5432_TCP_PORT=5432",
      "MY_DB_PORT_5432_TCP_ADDR=10.43.0.5",
    ],
  );
});
