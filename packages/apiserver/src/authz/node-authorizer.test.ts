import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { after, before, test } from "node:test";
import { startApiWorld, type ApiWorld, type Sent } from "../testing/api-world.ts";

// Two nodes, one pod on each; what node "one" may and may not do, and a rogue that tries.
let world: ApiWorld;
const one = { name: "system:node:one", groups: ["system:nodes", "system:authenticated"] };
const core = "/api/v1/namespaces/shop";
const own = "/api/v1/nodes/one";
const lease = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";

const pod = (name: string, nodeName: string, of: string) => ({
  metadata: { name },
  spec: {
    nodeName,
    serviceAccountName: of,
    imagePullSecrets: [{ name: `${of}-pull` }],
    containers: [
      {
        name: "main",
        image: "i",
        env: [{ name: "A", valueFrom: { secretKeyRef: { name: `${of}-env`, key: "a" } } }],
        envFrom: [{ configMapRef: { name: `${of}-words` } }],
      },
    ],
    volumes: [
      { name: "a", secret: { secretName: `${of}-volume` } },
      { name: "b", projected: { sources: [{ configMap: { name: `${of}-projected` } }] } },
      { name: "c", persistentVolumeClaim: { claimName: `${of}-claim` } },
    ],
  },
});

before(async () => {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const pem = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
  world = await startApiWorld({
    serviceAccountKeys: { privateKeys: [pem], issuer: "https://i", audiences: ["a"] },
  });
  const make = async (path: string, body: unknown): Promise<void> => {
    const { status, object } = await world.send("POST", path, { body });
    assert.equal(status, 201, JSON.stringify(object));
  };
  await make("/api/v1/namespaces", { metadata: { name: "shop" } });
  for (const name of ["one", "two"]) {
    await make("/api/v1/nodes", { metadata: { name } });
    await make(`${core}/serviceaccounts`, { metadata: { name } });
    await make(lease, { metadata: { name }, spec: {} });
    await make(`${core}/pods`, pod(`pod-${name}`, name, name));
    for (const use of ["pull", "env", "volume"])
      await make(`${core}/secrets`, { metadata: { name: `${name}-${use}` } });
    for (const use of ["words", "projected"])
      await make(`${core}/configmaps`, { metadata: { name: `${name}-${use}` } });
    const spec = { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Gi" } } };
    await make(`${core}/persistentvolumeclaims`, { metadata: { name: `${name}-claim` }, spec });
    await make("/api/v1/persistentvolumes", {
      metadata: { name: `volume-${name}` },
      spec: {
        ...{ accessModes: ["ReadWriteOnce"], capacity: { storage: "1Gi" }, hostPath: { path: "/v" } },
        claimRef: { namespace: "shop", name: `${name}-claim` },
      },
    });
  }
});
after(() => world[Symbol.asyncDispose]());

const token = (podName: string): unknown => ({
  spec: { boundObjectRef: { kind: "Pod", apiVersion: "v1", name: podName } },
});
const merge = { "content-type": "application/merge-patch+json" };
const patch = (body: unknown): Sent => ({ body, headers: merge });
const selected = (fieldSelector: string): Sent => ({ query: { fieldSelector } });

type Row = readonly [method: string, path: string, sent: Sent];
const allowed: readonly Row[] = [
  ["GET", own, {}],
  ["PATCH", own, patch({ metadata: { labels: { "topology.kubernetes.io/zone": "shelf", shop: "1" } } })],
  ["PATCH", `${own}/status`, patch({ status: { addresses: [] } })],
  ["GET", `${lease}/one`, {}],
  ["PATCH", `${lease}/one`, patch({ spec: { holderIdentity: "one" } })],
  ["GET", "/api/v1/pods", selected("spec.nodeName=one")],
  ["GET", `${core}/pods/pod-one`, {}],
  ["PATCH", `${core}/pods/pod-one/status`, patch({ status: { phase: "Running" } })],
  ...["pull", "env", "volume"].map((use): Row => ["GET", `${core}/secrets/one-${use}`, {}]),
  ...["words", "projected"].map((use): Row => ["GET", `${core}/configmaps/one-${use}`, {}]),
  ["GET", `${core}/persistentvolumeclaims/one-claim`, {}],
  ["GET", "/api/v1/persistentvolumes/volume-one", {}],
  ["POST", `${core}/serviceaccounts/one/token`, { body: token("pod-one") }],
  ["GET", "/api/v1/services", {}],
  [
    "POST",
    `${core}/events`,
    { body: { metadata: { name: "e" }, involvedObject: { namespace: "shop" }, reason: "R" } },
  ],
  ["DELETE", `${core}/pods/pod-one`, { query: { dryRun: "All" } }],
];
for (const [method, path, sent] of allowed)
  test(`a node may ${method} ${path} ${JSON.stringify(sent.query ?? "")}`, async () => {
    const { status, object } = await world.send(method, path, { ...sent, user: one });
    assert.ok(status < 300, JSON.stringify(object));
  });

const refused: readonly Row[] = [
  ["GET", "/api/v1/nodes/two", {}],
  ["GET", "/api/v1/nodes", {}],
  ["DELETE", own, {}],
  ["PATCH", "/api/v1/nodes/two/status", patch({ status: { addresses: [] } })],
  ["PATCH", own, patch({ metadata: { labels: { "node-role.kubernetes.io/control-plane": "true" } } })],
  ["PATCH", own, patch({ metadata: { labels: { "node-restriction.kubernetes.io/safe": "true" } } })],
  ["PATCH", own, patch({ spec: { podCIDR: "10.42.0.0/24" } })],
  ["PATCH", own, patch({ spec: { taints: [{ key: "a", effect: "NoSchedule" }] } })],
  ["POST", "/api/v1/nodes", { body: { metadata: { name: "three" } } }],
  ["PATCH", `${lease}/two`, patch({ spec: { holderIdentity: "one" } })],
  ["POST", lease, { body: { metadata: { name: "three" }, spec: {} } }],
  ["GET", "/api/v1/pods", {}],
  ["GET", "/api/v1/pods", selected("spec.nodeName=two")],
  ["GET", `${core}/pods/pod-two`, {}],
  ["PATCH", `${core}/pods/pod-two/status`, patch({ status: { phase: "Failed" } })],
  ["PATCH", `${core}/pods/pod-one`, patch({ metadata: { labels: { a: "b" } } })],
  ["POST", `${core}/pods`, { body: pod("pod-three", "one", "two") }],
  ["DELETE", `${core}/pods/pod-two`, {}],
  ["POST", `${core}/pods/pod-one/exec`, {}],
  ["GET", `${core}/secrets`, {}],
  ["GET", "/api/v1/secrets", selected("metadata.name=one-env")],
  ...["pull", "env", "volume"].map((use): Row => ["GET", `${core}/secrets/two-${use}`, {}]),
  ["GET", "/api/v1/namespaces/kube-system/secrets/one-env", {}],
  ...["words", "projected"].map((use): Row => ["GET", `${core}/configmaps/two-${use}`, {}]),
  ["GET", `${core}/persistentvolumeclaims/two-claim`, {}],
  ["GET", "/api/v1/persistentvolumes/volume-two", {}],
  ["POST", `${core}/serviceaccounts/two/token`, { body: token("pod-two") }],
  ["POST", `${core}/serviceaccounts/two/token`, { body: token("pod-one") }],
  ["POST", `${core}/serviceaccounts/one/token`, { body: token("pod-two") }],
  ["POST", `${core}/serviceaccounts/one/token`, { body: { spec: {} } }],
  ["POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", { body: { metadata: { name: "x" } } }],
  ["POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", { body: { spec: { user: "x" } } }],
];
for (const [method, path, sent] of refused)
  test(`a rogue node may not ${method} ${path} ${JSON.stringify(sent)}`, async () => {
    const { status, object } = await world.send(method, path, { ...sent, user: one });
    assert.equal(status, 403, JSON.stringify(object));
  });

test("a binding that an earlier start made for the group of nodes grants a node nothing", async () => {
  const binding = {
    metadata: { name: "old" },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "system:node" },
    subjects: [{ apiGroup: "rbac.authorization.k8s.io", kind: "Group", name: "system:nodes" }],
  };
  const { status } = await world.send("POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", {
    body: binding,
  });
  assert.equal(status, 201);
  assert.equal((await world.send("GET", `${core}/secrets/two-env`, { user: one })).status, 403);
});

test("a node makes its own Node, with taints and no addresses for pods", async () => {
  const three = { name: "system:node:three", groups: ["system:nodes"] };
  const make = (body: unknown): Promise<{ readonly status: number }> =>
    world.send("POST", "/api/v1/nodes", { body, user: three });
  const metadata = { name: "three", labels: { "kubernetes.io/hostname": "three", edge: "1" } };
  assert.equal((await make({ metadata, spec: { podCIDR: "10.42.0.0/24" } })).status, 403);
  assert.equal(
    (await make({ metadata, spec: { taints: [{ key: "a", effect: "NoSchedule" }] } })).status,
    201,
  );
});

test("who shows a node's name without the group of nodes is no node", async () => {
  const user = { name: "system:node:one", groups: ["system:authenticated"] };
  assert.equal((await world.send("GET", own, { user })).status, 403);
});
