import assert from "node:assert/strict";
import { test } from "node:test";
import { at, listAt, textAt, type Tree } from "@cortado/kinds/tree";
import { startApiWorld, type ApiWorld } from "../testing/api-world.ts";

const pods = "/api/v1/namespaces/default/pods";
const pod = (name: string, container: Tree = {}, spec: Tree = {}): Tree => ({
  metadata: { name },
  spec: { containers: [{ name: "c", image: "i", ...container }], ...spec },
});

async function withAccount(world: ApiWorld): Promise<void> {
  await world.send("POST", "/api/v1/namespaces/default/serviceaccounts", {
    body: { metadata: { name: "default" } },
  });
}

test("a pod gets its account, its token, its tolerations and its priority", async () => {
  await using world = await startApiWorld();
  const early = await world.send("POST", pods, { body: pod("early") });
  assert.equal(early.status, 403);
  assert.match(textAt(early.object, "message"), /serviceaccount "default" not found/);
  await withAccount(world);
  const { object } = await world.send("POST", pods, {
    body: pod("p", {}, { priorityClassName: "system-node-critical" }),
  });
  assert.equal(textAt(object, "spec", "serviceAccountName"), "default");
  assert.equal(listAt(object, "spec", "volumes").length, 1);
  assert.equal(listAt(object, "spec", "tolerations").length, 2);
  assert.equal(at(object, "spec", "priority"), 2000001000);
  assert.equal(textAt(object, "status", "phase"), "Pending");
});

test("a limit range fills and bounds, a quota counts", async () => {
  await using world = await startApiWorld();
  await withAccount(world);
  const range = {
    metadata: { name: "r" },
    spec: { limits: [{ type: "Container", default: { cpu: "500m" }, max: { cpu: "1" } }] },
  };
  await world.send("POST", "/api/v1/namespaces/default/limitranges", { body: range });
  const filled = await world.send("POST", pods, { body: pod("filled") });
  assert.deepEqual(at(listAt(filled.object, "spec", "containers")[0], "resources"), {
    limits: { cpu: "500m" },
    requests: { cpu: "500m" },
  });
  const big = await world.send("POST", pods, { body: pod("big", { resources: { limits: { cpu: "2" } } }) });
  assert.match(textAt(big.object, "message"), /maximum cpu usage per Container is 1, but limit is 2/);
  await world.send("POST", "/api/v1/namespaces/default/resourcequotas", {
    body: { metadata: { name: "q" }, spec: { hard: { pods: "1" } } },
  });
  const more = await world.send("POST", pods, { body: pod("more") });
  assert.equal(more.status, 403);
  assert.match(
    textAt(more.object, "message"),
    /exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1/,
  );
});

test("nobody hands out more than they have", async () => {
  await using world = await startApiWorld();
  const user = { name: "lead", groups: ["system:authenticated"] };
  const rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/default";
  const rules = [
    { apiGroups: ["rbac.authorization.k8s.io"], resources: ["roles"], verbs: ["create"] },
    { apiGroups: [""], resources: ["pods"], verbs: ["get"] },
  ];
  await world.send("POST", `${rbac}/roles`, { body: { metadata: { name: "lead" }, rules } });
  await world.send("POST", `${rbac}/rolebindings`, {
    body: {
      metadata: { name: "lead" },
      roleRef: { kind: "Role", name: "lead" },
      subjects: [{ kind: "User", name: "lead" }],
    },
  });
  const give = (verb: string): Promise<{ status: number; object: Tree }> =>
    world.send("POST", `${rbac}/roles`, {
      user,
      body: {
        metadata: { name: `give-${verb}` },
        rules: [{ apiGroups: [""], resources: ["pods"], verbs: [verb] }],
      },
    });
  assert.equal((await give("get")).status, 201);
  const refused = await give("delete");
  assert.equal(refused.status, 403);
  assert.match(textAt(refused.object, "message"), /attempting to grant RBAC permissions not currently held/);
});

test("an eviction keeps a disruption budget, and a binding is made once", async () => {
  await using world = await startApiWorld();
  await withAccount(world);
  await world.send("POST", pods, { body: { ...pod("p"), metadata: { name: "p", labels: { app: "web" } } } });
  const bind = (): Promise<{ status: number }> =>
    world.send("POST", `${pods}/p/binding`, {
      body: { metadata: { name: "p" }, target: { kind: "Node", name: "n" } },
    });
  assert.equal((await bind()).status, 201);
  assert.equal((await bind()).status, 409);
  await world.send("PATCH", `${pods}/p/status`, {
    headers: { "content-type": "application/merge-patch+json" },
    body: { status: { phase: "Running" } },
  });
  await world.send("POST", "/apis/policy/v1/namespaces/default/poddisruptionbudgets", {
    body: { metadata: { name: "b" }, spec: { minAvailable: 1, selector: { matchLabels: { app: "web" } } } },
  });
  const evicted = await world.send("POST", `${pods}/p/eviction`, { body: { metadata: { name: "p" } } });
  assert.equal(evicted.status, 429);
  assert.match(textAt(evicted.object, "message"), /would violate the pod's disruption budget/);
});

test("events go after an hour", async () => {
  await using world = await startApiWorld();
  const events = "/api/v1/namespaces/default/events";
  await world.send("POST", events, {
    body: {
      metadata: { name: "e" },
      involvedObject: { kind: "Pod", name: "p" },
      message: "hi",
      lastTimestamp: "2026-01-01T00:00:00Z",
    },
  });
  const later = await world.send("GET", "/apis/events.k8s.io/v1/namespaces/default/events/e");
  assert.equal(later.object["note"], "hi");
  await world.clock.advance(66 * 60 * 1_000);
  assert.equal((await world.send("GET", `${events}/e`)).status, 404);
});

test("hostile words are data wherever they stand", async () => {
  await using world = await startApiWorld();
  const secret = await world.send("POST", "/api/v1/namespaces/default/secrets", {
    body: { metadata: { name: "s" }, type: "constructor", stringData: { toString: "x" } },
  });
  assert.equal(secret.status, 201, JSON.stringify(secret.object));
  assert.equal((await world.send("CONSTRUCTOR", "/api/v1/namespaces/default/secrets/s")).status, 405);
  assert.equal((await world.send("GET", "/api/v1/namespaces/default/secrets/s/constructor")).status, 404);
  assert.equal((await world.send("GET", "/api/v1/namespaces/default/constructor")).status, 404);
});

test("what is kept but has no effect says so to whoever writes it", async () => {
  await using world = await startApiWorld();
  const path = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers";
  const spec = { maxReplicas: 2, scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name: "d" } };
  const { status, response } = await world.send("POST", path, { body: { metadata: { name: "h" }, spec } });
  assert.equal(status, 201);
  assert.match(
    response.warnings?.join() ?? "",
    /HorizontalPodAutoscaler is stored, but has no effect .* use kubectl scale/,
  );
  const plain = await world.send("POST", "/api/v1/namespaces/default/configmaps", {
    body: { metadata: { name: "m" } },
  });
  assert.equal(plain.response.warnings, undefined);
});
