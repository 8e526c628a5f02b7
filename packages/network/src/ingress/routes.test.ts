import assert from "node:assert/strict";
import { test } from "node:test";
import type { Ingress } from "@cortado/kinds";
import { MemoryObjects, service, slice } from "../testing/memory-objects.ts";
import { choosePlaces } from "./ingress.ts";
import { route, routeTable } from "./routes.ts";

type Path = readonly [path: string, service: string, kind?: "Exact" | "Prefix" | "ImplementationSpecific"];

function ingress(
  name: string,
  options: {
    readonly class?: string;
    readonly rules?: Readonly<Record<string, readonly Path[]>>;
    readonly fallback?: string;
    readonly at?: string;
  },
): Ingress {
  const backend = (own: string) => ({ service: { name: own, port: { number: 80 } } });
  return {
    apiVersion: "networking.k8s.io/v1",
    kind: "Ingress",
    metadata: { name, namespace: "n", creationTimestamp: options.at ?? "2026-01-01T00:00:00Z" },
    spec: {
      ...(options.class === undefined ? {} : { ingressClassName: options.class }),
      ...(options.fallback === undefined ? {} : { defaultBackend: backend(options.fallback) }),
      rules: Object.entries(options.rules ?? {}).map(([host, paths]) => ({
        ...(host === "" ? {} : { host }),
        http: {
          paths: paths.map(([path, own, pathType = "Prefix"]) => ({ path, pathType, backend: backend(own) })),
        },
      })),
    },
  } as unknown as Ingress;
}

const table = routeTable(
  [
    ingress("a", {
      class: "cortado",
      rules: {
        "shop.example": [
          ["/", "root"],
          ["/api", "api"],
          ["/api/orders", "orders", "Exact"],
          ["/api/orders/", "order-list"],
        ],
        "*.example": [["/", "any"]],
        "": [["/open", "open"]],
      },
    }),
    ingress("b", {
      rules: {
        "shop.example": [
          ["/extra", "extra"],
          ["/api", "late"],
        ],
      },
      at: "2026-02-01T00:00:00Z",
    }),
    ingress("c", { class: "other", rules: { "shop.example": [["/stolen", "stolen"]] } }),
    ingress("d", { class: "traefik", fallback: "fallback" }),
  ],
  { classNames: ["cortado", "traefik"] },
);

for (const [host, path, want] of [
  ["shop.example", "/", "root"],
  ["SHOP.example:8080", "/x", "root"],
  ["shop.example", "/api", "api"],
  ["shop.example", "/api/x", "api"],
  ["shop.example", "/apix", "root"],
  ["shop.example", "/api/orders", "orders"],
  ["shop.example", "/api/orders/7", "order-list"],
  ["shop.example", "/extra/1", "extra"],
  ["shop.example", "/stolen", "root"],
  ["a.example", "/", "any"],
  ["a.b.example", "/", "fallback"],
  ["127.0.0.1:8080", "/open/x", "open"],
  ["127.0.0.1", "/closed", "fallback"],
  ["a.example", "/open", "any"],
] as const) {
  test(`${host}${path} goes to ${want}`, () => assert.equal(route(table, { host, path })?.service, want));
}

test("places: each ready pod in turn, and a clear word where there is none", () => {
  const objects = new MemoryObjects();
  objects.set({
    services: [
      service("n/root", { clusterIP: "10.43.0.1", ports: [{ port: 80 }] }),
      service("n/api", { clusterIP: "10.43.0.2", ports: [{ port: 81 }] }),
      service("n/extra", { ports: [{ port: 80 }] }),
    ],
    slices: [
      slice({ service: "n/root", ips: ["10.42.0.2", "10.42.0.3"], notReady: ["10.42.0.4"], port: 8080 }),
    ],
  });
  const turns = new Map<string, number>();
  const choose = (path: string, simulated = false) =>
    choosePlaces({ request: { host: "shop.example", path }, table, objects, turns, simulated });
  const hosts = (path: string) => {
    const choice = choose(path);
    return choice.kind === "places"
      ? choice.places.map(({ host, port }) => `${host}:${port}`)
      : `${choice.code} ${choice.message}`;
  };
  assert.deepEqual(hosts("/"), ["10.42.0.2:8080", "10.42.0.3:8080"]);
  assert.deepEqual(hosts("/"), ["10.42.0.3:8080", "10.42.0.2:8080"]);
  assert.equal(hosts("/api"), "503 service n/api has no port 80");
  assert.match(String(hosts("/extra")), /^503 service n\/extra has no ready pod/);
  assert.match(
    String(hosts("/api/orders")),
    /^503 service n\/orders, the backend of this path, does not exist/,
  );
  const simulated = choose("/", true);
  assert.ok(simulated.kind === "refused" && /simulated/.test(simulated.message));
});
