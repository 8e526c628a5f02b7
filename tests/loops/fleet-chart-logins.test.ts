import assert from "node:assert/strict";
import { test } from "node:test";
import { readChartLogins } from "@cortado/fleet/git/chart-secrets";
import { gitRepos } from "@cortado/kinds/fleet";
import { namespaces, secrets } from "@cortado/kinds/resources";
import { HubWorld } from "./hub-world.ts";

const namespace = "fleet-default";
const pem = "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n";

const paths = `apps/till: {username: till, password: one}
apps/*: {username: any, password: two, caBundle: ${Buffer.from(pem).toString("base64")}, insecureSkipVerify: true}
/apps/deep/: {username: deep, password: three, basicHTTP: true}
.: {username: root, password: four}
`;

async function loginsOf(spec: object, stringData: Record<string, string>) {
  await using world = await HubWorld.start();
  const { client, signal } = world;
  await client.create(namespaces, { metadata: { name: namespace } }, { signal });
  await client.create(secrets, { metadata: { name: "charts", namespace }, stringData }, { signal });
  const metadata = { name: "shop", namespace };
  const repo = await client.create(
    gitRepos,
    { metadata, spec: { repo: "https://git.example.test/shop", ...spec } },
    { signal },
  );
  return await readChartLogins(client, repo, signal);
}

const address = "https://charts.example.test/stable";

test("each path has its login: its own, or that of the first pattern; others have none, whatever helmSecretName says", async () => {
  const forPaths = { helmSecretNameForPaths: "charts", helmSecretName: "never-read" };
  const loginFor = await loginsOf(forPaths, { "secrets-path.yaml": paths });
  const who = (path: string): string | undefined => loginFor({ address, path })?.username;
  assert.deepEqual(["apps/till", "apps/tea", "apps/deep", "", "apps/deep/er", "other"].map(who), [
    "till",
    "any",
    "deep",
    "root",
    undefined,
    undefined,
  ]);
  assert.deepEqual(loginFor({ address, path: "apps/tea" }), {
    username: "any",
    password: "two",
    authority: pem,
    insecureSkipTlsVerify: true,
  });
  assert.deepEqual(loginFor({ address, path: "apps/deep" }), {
    username: "deep",
    password: "three",
    isPlainHttp: true,
  });
});

test("helmRepoURLRegex keeps logins from other addresses, of paths and of all", async () => {
  const helmRepoURLRegex = String.raw`https://charts\.example\.test/`;
  const forPaths = { helmSecretNameForPaths: "charts", helmRepoURLRegex };
  for (const loginFor of [
    await loginsOf(forPaths, { "secrets-path.yaml": paths }),
    await loginsOf({ helmSecretName: "charts", helmRepoURLRegex }, { username: "till", password: "one" }),
  ]) {
    assert.equal(loginFor({ address, path: "apps/till" })?.username, "till");
    assert.equal(
      loginFor({ address: "https://evil.test/?https://charts.example.test/", path: "apps/till" }),
      undefined,
    );
  }
});

for (const [what, stringData, says] of [
  ["no key", { username: "x" }, /Secret fleet-default\/charts: secrets-path\.yaml is not there/],
  ["no YAML", { "secrets-path.yaml": "a: {hidden" }, /secrets-path\.yaml is not YAML; mend it$/],
  ["a list", { "secrets-path.yaml": "- hidden" }, /is no map of paths to username and password$/],
  ["a word", { "secrets-path.yaml": "a: hidden" }, /has no username and password for path "a"$/],
  ["a key of SSH", { "secrets-path.yaml": "a: {sshPrivateKey: hidden}" }, /has sshPrivateKey for path "a"/],
  [
    "a bad pattern",
    { "secrets-path.yaml": "'a[': {username: hidden}" },
    /charts: secrets-path\.yaml cannot be used: "a\[" is not a pattern/,
  ],
] as const)
  test(`a Secret of paths that cannot be used is told by name, without what is in it: ${what}`, async () => {
    await assert.rejects(loginsOf({ helmSecretNameForPaths: "charts" }, stringData), (error: Error) => {
      assert.match(error.message, says);
      assert.doesNotMatch(error.message, /hidden/);
      return true;
    });
  });
