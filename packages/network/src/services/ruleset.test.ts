import assert from "node:assert/strict";
import { test } from "node:test";
import { MemoryObjects, service, slice } from "../testing/memory-objects.ts";
import { planServices, type ProxyPort } from "./plan.ts";
import { serviceRules, tableChange, wholeTable } from "./ruleset.ts";

const web = service("shop/web", { clusterIP: "10.43.0.20", ports: [{ port: 80, targetPort: 8080 }] });

function plan(objects: MemoryObjects): readonly ProxyPort[] {
  return planServices({
    services: objects.services(),
    slicesOf: objects.slicesOf,
    nodeName: "node",
    nodeIps: ["192.0.2.7"],
    reservedIps: ["10.43.0.10"],
  });
}

function rulesOf(content: Parameters<MemoryObjects["set"]>[0]) {
  const objects = new MemoryObjects();
  objects.set(content);
  return serviceRules(plan(objects));
}

test("a whole table, word by word", () => {
  const rules = rulesOf({
    services: [web],
    slices: [slice({ service: "shop/web", ips: ["10.42.0.5", "10.42.0.4"], port: 8080 })],
  });
  assert.equal(
    wholeTable(rules, {
      table: "t",
      bridge: "cni0",
      podCidr: "10.42.0.0/24",
      clusterCidr: "10.42.0.0/16",
      disguise: false,
    }),
    `table ip t {}
delete table ip t
table ip t {
  chain svc-shop/web/tcp/80 {
    meta l4proto tcp dnat ip to numgen inc mod 2 map { 0 : 10.42.0.4 . 8080, 1 : 10.42.0.5 . 8080 }
  }
  chain refuse { meta l4proto tcp reject with tcp reset; reject; }
  map services { type ipv4_addr . inet_proto . inet_service : verdict; elements = { 10.43.0.20 . tcp . 80 : goto svc-shop/web/tcp/80 }; }
  map nodeports { type inet_proto . inet_service : verdict; }
  map no-services { type ipv4_addr . inet_proto . inet_service : verdict; }
  map no-nodeports { type inet_proto . inet_service : verdict; }
  set hairpins { type ipv4_addr . ipv4_addr; elements = { 10.42.0.4 . 10.42.0.4, 10.42.0.5 . 10.42.0.5 }; }
  chain guard {
    type filter hook prerouting priority raw; policy accept;
    iifname "cni0" ip daddr 127.0.0.0/8 drop;
  }
  chain pre {
    type nat hook prerouting priority dstnat; policy accept;
    ip daddr . meta l4proto . th dport vmap @services;
    fib daddr type local meta l4proto . th dport vmap @nodeports;
  }
  chain out {
    type nat hook output priority -100; policy accept;
    ip daddr . meta l4proto . th dport vmap @services;
    fib daddr type local meta l4proto . th dport vmap @nodeports;
  }
  chain post {
    type nat hook postrouting priority srcnat; policy accept;
    ct status dnat ip saddr . ip daddr @hairpins masquerade;
    ct status dnat fib saddr type local oifname "cni0" masquerade;
    ct status dnat oifname != { "lo", "cni0" } ip daddr != 10.42.0.0/16 masquerade;
    ct status dnat oifname != { "lo", "cni0" } ip saddr != 10.42.0.0/16 masquerade;
  }
  chain no-forward {
    type filter hook forward priority filter; policy accept;
    ip daddr . meta l4proto . th dport vmap @no-services;
    fib daddr type local meta l4proto . th dport vmap @no-nodeports;
  }
  chain no-input {
    type filter hook input priority filter; policy accept;
    ip daddr . meta l4proto . th dport vmap @no-services;
    fib daddr type local meta l4proto . th dport vmap @no-nodeports;
  }
  chain no-output {
    type filter hook output priority filter; policy accept;
    ip daddr . meta l4proto . th dport vmap @no-services;
    fib daddr type local meta l4proto . th dport vmap @no-nodeports;
  }
}
`,
  );
});

const rows: readonly {
  readonly name: string;
  readonly content: Parameters<MemoryObjects["set"]>[0];
  readonly want: Readonly<Record<string, readonly string[]>>;
}[] = [
  {
    name: "nobody ready: refused",
    content: {
      services: [web],
      slices: [slice({ service: "shop/web", ips: [], notReady: ["10.42.0.4"], port: 8080 })],
    },
    want: { "no-services": ["10.43.0.20 . tcp . 80 : goto refuse"] },
  },
  {
    name: "headless and external names are not proxied",
    content: {
      services: [
        service("a/h", { clusterIP: "None", ports: [{ port: 1 }] }),
        service("a/e", { type: "ExternalName", externalName: "x.y" }),
      ],
    },
    want: {},
  },
  {
    name: "what we answer ourselves is left alone",
    content: {
      services: [
        service("kube-system/kube-dns", { clusterIP: "10.43.0.10", ports: [{ port: 53, protocol: "UDP" }] }),
      ],
    },
    want: {},
  },
  {
    name: "a balancer is reached at the node's address and its node port",
    content: {
      services: [
        service("a/b", {
          type: "LoadBalancer",
          clusterIP: "10.43.0.9",
          ports: [{ port: 80, nodePort: 30_080 }],
        }),
      ],
      slices: [slice({ service: "a/b", ips: ["10.42.0.3"], port: 1 })],
    },
    want: {
      services: ["10.43.0.9 . tcp . 80 : goto svc-a/b/tcp/80", "192.0.2.7 . tcp . 80 : goto svc-a/b/tcp/80"],
      nodeports: ["tcp . 30080 : goto svc-a/b/tcp/80"],
      hairpins: ["10.42.0.3 . 10.42.0.3"],
    },
  },
];

for (const row of rows) {
  test(`rules: ${row.name}`, () => {
    const elements = [...rulesOf(row.content).elements].flatMap(([name, map]) =>
      map.size === 0
        ? []
        : [[name, [...map].map(([key, verdict]) => (verdict === "" ? key : `${key} : ${verdict}`))]],
    );
    assert.deepEqual(Object.fromEntries(elements), row.want);
  });
}

test("affinity keeps a client at its place", () => {
  const sticky = service("a/s", {
    clusterIP: "10.43.0.8",
    sessionAffinity: "ClientIP",
    sessionAffinityConfig: { clientIP: { timeoutSeconds: 60 } },
    ports: [{ port: 80 }],
  });
  const rules = rulesOf({
    services: [sticky],
    slices: [slice({ service: "a/s", ips: ["10.42.0.3", "10.42.0.4"], port: 1 })],
  });
  assert.deepEqual(
    [...rules.sets],
    [
      ["aff-svc-a/s/tcp/80/10.42.0.3/1", 60],
      ["aff-svc-a/s/tcp/80/10.42.0.4/1", 60],
    ],
  );
  assert.deepEqual(rules.chains.get("svc-a/s/tcp/80"), [
    "ip saddr @aff-svc-a/s/tcp/80/10.42.0.3/1 goto svc-a/s/tcp/80/10.42.0.3/1",
    "ip saddr @aff-svc-a/s/tcp/80/10.42.0.4/1 goto svc-a/s/tcp/80/10.42.0.4/1",
    "numgen inc mod 2 vmap { 0 : goto svc-a/s/tcp/80/10.42.0.3/1, 1 : goto svc-a/s/tcp/80/10.42.0.4/1 }",
  ]);
});

test("only what changed is written", () => {
  const other = service("shop/other", { clusterIP: "10.43.0.21", ports: [{ port: 80 }] });
  const slices = (ips: readonly string[]) => [
    slice({ service: "shop/web", ips, port: 8080 }),
    slice({ service: "shop/other", ips: ["10.42.0.9"], port: 1 }),
  ];
  const one = rulesOf({ services: [web, other], slices: slices(["10.42.0.4"]) });
  const two = rulesOf({ services: [web, other], slices: slices(["10.42.0.4", "10.42.0.5"]) });
  const none = rulesOf({ services: [other], slices: slices([]) });
  assert.equal(tableChange(one, one, "t"), "");
  assert.equal(
    tableChange(one, two, "t"),
    `add chain ip t svc-shop/web/tcp/80
flush chain ip t svc-shop/web/tcp/80
add rule ip t svc-shop/web/tcp/80 meta l4proto tcp dnat ip to numgen inc mod 2 map { 0 : 10.42.0.4 . 8080, 1 : 10.42.0.5 . 8080 }
add element ip t hairpins { 10.42.0.5 . 10.42.0.5 }
`,
  );
  assert.equal(
    tableChange(one, none, "t"),
    `delete element ip t services { 10.43.0.20 . tcp . 80 }
delete element ip t hairpins { 10.42.0.4 . 10.42.0.4 }
flush chain ip t svc-shop/web/tcp/80
delete chain ip t svc-shop/web/tcp/80
`,
  );
});
