import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { test } from "node:test";
import { at, textAt } from "@cortado/kinds/tree";
import { hasReason } from "@cortado/std/status";
import { startApiWorld, type ApiWorld } from "../testing/api-world.ts";

const audience = "https://kubernetes.default.svc.cluster.local";
const accounts = "/api/v1/namespaces/default/serviceaccounts";

function keys(type: "ec" | "rsa"): string {
  const { privateKey } =
    type === "ec"
      ? generateKeyPairSync("ec", { namedCurve: "P-256" })
      : generateKeyPairSync("rsa", { modulusLength: 2048 });
  return privateKey.export({ type: "pkcs8", format: "pem" }).toString();
}

async function startWithKeys(type: "ec" | "rsa" = "ec"): Promise<ApiWorld> {
  const world = await startApiWorld({
    serviceAccountKeys: { privateKeys: [keys(type)], issuer: audience, audiences: [audience] },
  });
  await world.send("POST", accounts, { body: { metadata: { name: "till" } } });
  return world;
}

async function tokenOf(world: ApiWorld, spec: object = {}): Promise<string> {
  const { object } = await world.send("POST", `${accounts}/till/token`, { body: { spec } });
  return textAt(object, "status", "token");
}

for (const type of ["ec", "rsa"] as const)
  test(`a token signed with an ${type} key says who its account is, until it ends`, async () => {
    await using world = await startWithKeys(type);
    const token = await tokenOf(world, { expirationSeconds: 600 });
    const user = await world.server.authenticate(token);
    assert.equal(user.name, "system:serviceaccount:default:till");
    assert.ok(user.groups.includes("system:serviceaccounts:default"));
    await world.clock.advance(700_000);
    await assert.rejects(world.server.authenticate(token), (error) => hasReason(error, "Unauthorized"));
  });

test("a token dies with its account and with the pod that it is bound to", async () => {
  await using world = await startWithKeys();
  const pods = "/api/v1/namespaces/default/pods";
  const spec = { serviceAccountName: "till", containers: [{ name: "c", image: "i" }] };
  await world.send("POST", pods, { body: { metadata: { name: "p" }, spec } });
  const bound = await tokenOf(world, { boundObjectRef: { kind: "Pod", name: "p" } });
  const free = await tokenOf(world);
  assert.equal(
    (await world.server.authenticate(bound)).extra?.["authentication.kubernetes.io/pod-name"]?.[0],
    "p",
  );
  await world.send("DELETE", `${pods}/p`);
  await assert.rejects(world.server.authenticate(bound));
  await world.server.authenticate(free);
  await world.send("DELETE", `${accounts}/till`);
  await assert.rejects(world.server.authenticate(free));
});

test("a token for somebody else is not one for the server, and nonsense is none", async () => {
  await using world = await startWithKeys();
  const other = await tokenOf(world, { audiences: ["vault"] });
  await assert.rejects(world.server.authenticate(other));
  const path = "/apis/authentication.k8s.io/v1/tokenreviews";
  const review = await world.send("POST", path, { body: { spec: { token: other, audiences: ["vault"] } } });
  assert.equal(at(review.object, "status", "authenticated"), true);
  for (const token of ["", "a.b.c", `${other}x`]) await assert.rejects(world.server.authenticate(token));
});

test("a token that asks for too little or for another pod is refused", async () => {
  await using world = await startWithKeys();
  const ask = (spec: object): Promise<{ status: number }> =>
    world.send("POST", `${accounts}/till/token`, { body: { spec } });
  assert.equal((await ask({ expirationSeconds: 60 })).status, 422);
  assert.equal((await ask({ boundObjectRef: { kind: "Pod", name: "none" } })).status, 404);
  assert.equal((await ask({ boundObjectRef: { kind: "constructor", name: "none" } })).status, 422);
});

test("somebody is taken for another only when allowed, and then with the other's rights", async () => {
  await using world = await startWithKeys();
  const path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
  const as = { "impersonate-user": "jane", "impersonate-group": "baristas" };
  const jane = await world.send("POST", path, { body: {}, headers: as });
  assert.equal(textAt(jane.object, "status", "userInfo", "username"), "jane");
  const refused = await world.send("POST", path, {
    body: {},
    headers: as,
    user: { name: "bob", groups: ["system:authenticated"] },
  });
  assert.equal(refused.status, 403);
  assert.match(textAt(refused.object, "message"), /User "bob" cannot impersonate resource "users"/);
  assert.equal((await world.send("GET", "/api/v1/secrets", { headers: as })).status, 403);
  assert.equal((await world.send("GET", "/version", { headers: { "impersonate-group": "x" } })).status, 400);
  assert.equal(
    (await world.send("GET", "/version", { headers: { ...as, "impersonate-extra-%zz": "x" } })).status,
    400,
  );
});

test("without a key there are no tokens, and it is said", async () => {
  await using world = await startApiWorld();
  await world.send("POST", accounts, { body: { metadata: { name: "till" } } });
  assert.equal((await world.send("POST", `${accounts}/till/token`, { body: {} })).status, 503);
});
