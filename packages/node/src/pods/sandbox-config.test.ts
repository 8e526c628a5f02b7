import assert from "node:assert/strict";
import { test } from "node:test";
import type { PodSpec } from "@cortado/kinds";
import { containerConfig, oomScore } from "./container-config.ts";
import type { StoredPod } from "./pod.ts";
import { dnsConfig, sandboxConfig } from "./sandbox-config.ts";

const dns = {
  servers: ["10.43.0.10"],
  domain: "cluster.local",
  nodeResolv: "# x\nnameserver 192.0.2.53\nsearch lan\noptions timeout:1\n",
};
const cluster = {
  servers: ["10.43.0.10"],
  searches: ["n.svc.cluster.local", "svc.cluster.local", "cluster.local", "lan"],
  options: ["ndots:5"],
};
const node = { servers: ["192.0.2.53"], searches: ["lan"], options: ["timeout:1"] };

for (const [name, spec, want] of [
  ["ClusterFirst", {}, cluster],
  ["ClusterFirst on the node's network", { hostNetwork: true }, node],
  ["ClusterFirstWithHostNet", { hostNetwork: true, dnsPolicy: "ClusterFirstWithHostNet" }, cluster],
  ["Default", { dnsPolicy: "Default" }, node],
  [
    "None with its own",
    {
      dnsPolicy: "None",
      dnsConfig: { nameservers: ["1.1.1.1"], searches: ["a"], options: [{ name: "ndots", value: "1" }] },
    },
    { servers: ["1.1.1.1"], searches: ["a"], options: ["ndots:1"] },
  ],
  [
    "added options win",
    { dnsConfig: { options: [{ name: "ndots", value: "2" }, { name: "edns0" }] } },
    { ...cluster, options: ["ndots:2", "edns0"] },
  ],
] as const) {
  test(`dns: ${name}`, () =>
    assert.deepEqual(dnsConfig({ containers: [], ...spec } as PodSpec, "n", dns), want));
}

const podOf = (spec: Partial<PodSpec>): StoredPod =>
  ({
    metadata: { name: "p", namespace: "n", uid: "u", resourceVersion: "1" },
    spec: { containers: [], ...spec },
  }) as unknown as StoredPod;
const sandbox = (spec: Partial<PodSpec>) =>
  sandboxConfig({ pod: podOf(spec), attempt: 1, logFolder: "/l", cgroupParent: "/c", dns });

test("namespaces: PID 1 is the container's own unless the pod shares", () => {
  const of = (spec: Partial<PodSpec>) => sandbox(spec).linux?.securityContext?.namespaceOptions;
  assert.deepEqual(of({}), { network: 0, pid: 1, ipc: 0 });
  assert.deepEqual(of({ shareProcessNamespace: true }), { network: 0, pid: 0, ipc: 0 });
  assert.deepEqual(of({ hostNetwork: true, hostPID: true, hostIPC: true }), { network: 2, pid: 2, ipc: 2 });
});

test("on the node's network there is no host name and no port mapping", () => {
  const containers = [
    {
      name: "a",
      ports: [{ containerPort: 80, hostPort: 8080, protocol: "UDP" as const }, { containerPort: 81 }],
    },
  ];
  assert.equal(sandbox({ containers, hostNetwork: true }).hostname, "");
  assert.deepEqual(sandbox({ containers, hostNetwork: true }).portMappings, []);
  assert.deepEqual(sandbox({ containers }).portMappings, [
    { protocol: 1, containerPort: 80, hostPort: 8080, hostIp: "" },
  ]);
});

const container = (own: object, spec: Partial<PodSpec> = {}) => {
  const one = { name: "a", image: "i", ...own };
  const image = { id: "x", tags: [], digests: [], sizeBytes: 0, uid: undefined, username: "", pinned: false };
  return containerConfig({
    pod: podOf({ ...spec, containers: [one] }),
    container: one,
    attempt: 2,
    imageRef: "sha",
    image,
    env: [{ key: "A", value: "1" }],
    mounts: [],
    nodeMemoryBytes: 1_000,
  });
};

test("resources become shares, quota and a limit", () => {
  const made = container({
    resources: { requests: { cpu: "250m" }, limits: { cpu: "500m", memory: "64Mi" } },
  }).linux?.resources;
  assert.deepEqual(
    [made?.cpuShares, made?.cpuPeriod, made?.cpuQuota, made?.memoryLimitInBytes],
    [256n, 100_000n, 50_000n, 67_108_864n],
  );
  assert.equal(container({}).linux?.resources?.cpuShares, 2n);
});

test("the command expands, the container's security wins over the pod's", () => {
  const made = container(
    {
      args: ["$(A)"],
      securityContext: { runAsUser: 7, allowPrivilegeEscalation: false, capabilities: { drop: ["ALL"] } },
    },
    {
      securityContext: {
        runAsUser: 1,
        runAsGroup: 2,
        fsGroup: 3,
        seccompProfile: { type: "RuntimeDefault" },
      },
    },
  );
  const security = made.linux?.securityContext;
  assert.deepEqual(made.args, ["1"]);
  assert.deepEqual(
    [
      security?.runAsUser?.value,
      security?.runAsGroup?.value,
      security?.supplementalGroups,
      security?.noNewPrivs,
      security?.seccomp?.profileType,
    ],
    [7n, 2n, [3n], true, 0],
  );
  assert.ok((security?.maskedPaths?.length ?? 0) > 5);
  assert.equal(
    container({ securityContext: { privileged: true } }).linux?.securityContext?.maskedPaths,
    undefined,
  );
});

test("a root image is refused where the pod says non-root", () => {
  assert.throws(() => container({ securityContext: { runAsNonRoot: true } }), /image will run as root/);
  assert.throws(
    () => container({ securityContext: { runAsNonRoot: true, runAsUser: 0 } }),
    /breaks non-root policy/,
  );
  assert.ok(container({ securityContext: { runAsNonRoot: true, runAsUser: 5 } }));
});

test("who is killed first: best effort, then by share of memory, guaranteed last", () => {
  const score = (resources: object): number =>
    oomScore({ name: "a", resources }, { containers: [{ name: "a", resources }] }, 1_000);
  assert.deepEqual(
    [score({}), score({ requests: { memory: "500" } }), score({ limits: { cpu: "1", memory: "500" } })],
    [1_000, 500, -997],
  );
});
