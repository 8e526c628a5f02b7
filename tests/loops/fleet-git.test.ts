import assert from "node:assert/strict";
import { test } from "node:test";
import type { Client } from "@cortado/client";
import { compile } from "@cortado/fleet/compile";
import type { SourceTree } from "@cortado/fleet/compile/bundle";
import { chooseCommit, type Git } from "@cortado/fleet/git";
import type { GitHubApps } from "@cortado/fleet/git/github-app";
import { followRepositories, type Repositories, type RepositoryPorts } from "@cortado/fleet/git/repositories";
import { applyCompiled } from "@cortado/fleet/hub/apply-compiled";
import { openBlobs } from "@cortado/fleet/hub/blobs";
import { bundles, fleetPolicies, gitRepoRestrictions, gitRepos, type GitRepo } from "@cortado/kinds/fleet";
import { namespaces, secrets } from "@cortado/kinds/resources";
import { StatusError } from "@cortado/std/status";
import { MemoryFiles } from "@cortado/std/testing/memory-files";
import { HubWorld } from "./hub-world.ts";

const namespace = "fleet-default";
const url = "https://git.example.test/coffee";

/** A remote in memory: branches, and the files of commits. */
class MemoryGit implements Git {
  readonly refs = new Map<string, string>();
  readonly commits = new Map<string, Readonly<Record<string, string>>>();
  readonly logins: unknown[] = [];
  looks = 0;
  isDown = false;

  push(branch: string, files: Readonly<Record<string, string>>): string {
    const commit = String(this.commits.size + 1)
      .repeat(40)
      .slice(0, 40);
    this.refs.set(`refs/heads/${branch}`, commit);
    this.commits.set(commit, files);
    return commit;
  }

  look(...[remote, wish]: Parameters<Git["look"]>): ReturnType<Git["look"]> {
    this.looks += 1;
    this.logins.push(remote.login);
    if (this.isDown) return Promise.reject(new StatusError("ServiceUnavailable", `${remote.url}: no answer`));
    return Promise.resolve().then(() => chooseCommit(this.refs, wish, remote.url));
  }

  bring(...[, { commit }]: Parameters<Git["bring"]>): Promise<SourceTree & AsyncDisposable> {
    const files = this.commits.get(commit) ?? {};
    return Promise.resolve({
      files: Object.entries(files).map(([path, text]) => ({
        path,
        bytes: text.length,
        kind: "file" as const,
      })),
      read: (path) => Promise.resolve(new TextEncoder().encode(files[path])),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    });
  }
}

type World = {
  readonly loops: HubWorld;
  readonly client: Client;
  readonly git: MemoryGit;
  readonly repositories: Repositories;
};

async function withRepository(
  work: (world: World) => Promise<void>,
  spec: Partial<GitRepo["spec"]> = {},
  more: Pick<RepositoryPorts, "githubApps"> = {},
): Promise<void> {
  await using loops = await HubWorld.start();
  const { client, signal } = loops;
  const git = new MemoryGit();
  const blobs = await openBlobs(new MemoryFiles(), "blobs");
  await client.create(namespaces, { metadata: { name: namespace } }, { signal });
  const repositories = followRepositories({
    ...loops.ports,
    ...more,
    client,
    git,
    compile,
    apply: (gitRepo, compiled, commit) => applyCompiled({ client, blobs, gitRepo, compiled, commit, signal }),
    signal,
    isStrict: false,
  });
  await client.create(
    gitRepos,
    { metadata: { namespace, name: "shop" }, spec: { repo: url, branch: "main", ...spec } },
    { signal },
  );
  await work({ loops, client, git, repositories });
}

async function settled({ loops, repositories }: World): Promise<void> {
  await repositories.synced;
  for (let round = 0; round < 5; round += 1) {
    await loops.settle();
    await repositories.idle();
  }
}

const well = { GitPolling: "True", Accepted: "True", Stalled: "False", Reconciling: "False" };

async function names({ client, loops }: World): Promise<readonly string[]> {
  const { items } = await client.list(bundles, { namespace, signal: loops.signal });
  return items.map(({ metadata }) => metadata.name).toSorted();
}

async function conditionsOf({ client, loops }: World): Promise<Readonly<Record<string, string>>> {
  const repo = await client.get(gitRepos, { namespace, name: "shop", signal: loops.signal });
  return Object.fromEntries(
    (repo.status?.conditions ?? []).map(({ type, status, message }) => [
      type,
      `${status} ${message ?? ""}`.trim(),
    ]),
  );
}

const order = { "order/fleet.yaml": "defaultNamespace: coffee-shop\n", "order/o.yaml": "kind: ConfigMap\n" };
const till = { "till/fleet.yaml": "", "till/t.yaml": "kind: ConfigMap\n" };

test("a commit becomes bundles; a push that is told is there at once, others within the poll", () =>
  withRepository(async (world) => {
    const { git, repositories, loops } = world;
    await settled(world);
    const first = git.push("main", order);
    await settled(world);
    assert.deepEqual(await names(world), []); // looked before the push: the next look is due in 15 s
    await loops.advance(20_000);
    await settled(world);
    assert.deepEqual(await names(world), ["shop-order"]);
    const second = git.push("main", { ...order, ...till });
    const push = { provider: "github", urls: [`${url}.git`], tag: undefined, commit: second } as const;
    assert.equal(repositories.pushed({ ...push, branch: "other" }), 0);
    assert.equal(repositories.pushed({ ...push, branch: "main" }), 1);
    await settled(world);
    assert.deepEqual(await names(world), ["shop-order", "shop-till"]);
    const repo = await world.client.get(gitRepos, { namespace, name: "shop", signal: loops.signal });
    assert.equal(repo.status?.commit, second);
    assert.equal(repo.status?.webhookCommit, second);
    assert.notEqual(first, second);
    assert.deepEqual(await conditionsOf(world), well);
  }));

test("a broken commit, a missing branch and a dead remote change nothing that runs, and say why", () =>
  withRepository(async (world) => {
    const { git, repositories } = world;
    git.push("main", { ...order, ...till });
    const wake = async (): Promise<void> => {
      repositories.wake(url);
      await settled(world);
    };
    await wake();
    assert.deepEqual(await names(world), ["shop-order", "shop-till"]);
    git.push("main", { ...order, "till/fleet.yaml": "helm: [", "till/t.yaml": "kind: ConfigMap\n" });
    await wake();
    assert.deepEqual(await names(world), ["shop-order", "shop-till"]);
    assert.match((await conditionsOf(world))["Stalled"] ?? "", /^True .*till\/fleet\.yaml/);
    git.push("main", {});
    await wake();
    assert.deepEqual(await names(world), ["shop-order", "shop-till"]);
    git.refs.delete("refs/heads/main");
    await wake();
    assert.match((await conditionsOf(world))["GitPolling"] ?? "", /^False .*has no branch "main"/);
    git.isDown = true;
    await wake();
    assert.match((await conditionsOf(world))["GitPolling"] ?? "", /^False .*no answer/);
    assert.deepEqual(await names(world), ["shop-order", "shop-till"]);
    git.isDown = false;
    git.push("main", till);
    await wake();
    assert.deepEqual(await names(world), ["shop-till"], "what the repository no longer has goes");
    assert.deepEqual(await conditionsOf(world), well);
  }));

test("an interval that is none is told, and the repository is followed once it is one", () =>
  withRepository(
    async (world) => {
      const { git, client, loops } = world;
      git.push("main", order);
      await settled(world);
      assert.match(
        (await conditionsOf(world))["GitPolling"] ?? "",
        /^False spec\.pollingInterval "often" is not a duration such as 15s or 5m/,
      );
      const body = { spec: { pollingInterval: "1m" } };
      await client.patch(gitRepos, { namespace, name: "shop", type: "merge", body, signal: loops.signal });
      await settled(world);
      assert.deepEqual(await names(world), ["shop-order"]);
    },
    { pollingInterval: "often" },
  ));

test("only the deletion of a GitRepo takes all of its bundles", () =>
  withRepository(async (world) => {
    world.git.push("main", order);
    world.repositories.wake(url);
    await settled(world);
    assert.deepEqual(await names(world), ["shop-order"]);
    await world.client.delete(gitRepos, { namespace, name: "shop", signal: world.loops.signal });
    await settled(world);
    assert.deepEqual(await names(world), []);
  }));

test("credentials come from the Secret that is named; a quiet remote costs no writes", () =>
  withRepository(
    async (world) => {
      const { git, client, loops, repositories } = world;
      await settled(world);
      assert.match((await conditionsOf(world))["GitPolling"] ?? "", /^False .*"login" not found/);
      const data = { username: "bWU=", password: "aGlkZGVu" };
      await client.create(
        secrets,
        { metadata: { namespace, name: "login" }, data },
        { signal: loops.signal },
      );
      git.push("main", order);
      repositories.wake(url);
      await settled(world);
      assert.deepEqual(git.logins.at(-1), { kind: "password", username: "me", password: "hidden" });
      const before = await client.get(gitRepos, { namespace, name: "shop", signal: loops.signal });
      const looks = git.looks;
      for (let round = 0; round < 4; round += 1) {
        await loops.advance(20_000);
        await settled(world);
      }
      assert.ok(git.looks >= looks + 4, "80 s passed: it was looked at each 15 s");
      const now = await client.get(gitRepos, { namespace, name: "shop", signal: loops.signal });
      assert.equal(now.metadata.resourceVersion, before.metadata.resourceVersion);
    },
    { clientSecretName: "login" },
  ));

test("a GitRepoRestriction refuses a GitRepo by name, and nothing that runs is lost; lifted, it goes on", () =>
  withRepository(async (world) => {
    const { git, client, loops, repositories } = world;
    git.push("main", order);
    repositories.wake(url);
    await settled(world);
    assert.deepEqual(await names(world), ["shop-order"]);
    const metadata = { namespace, name: "only-ours" };
    const rule = { metadata, allowedRepoPatterns: ["^https://ours\\.example/"] };
    await client.create(gitRepoRestrictions, rule, { signal: loops.signal });
    git.push("main", { ...order, ...till });
    repositories.wake(url);
    await settled(world);
    const refused = await conditionsOf(world);
    assert.match(
      refused["Accepted"] ?? "",
      /^False spec\.repo .* is not allowed: GitRepoRestriction only-ours allows/,
    );
    assert.match(refused["Stalled"] ?? "", /^True/);
    assert.deepEqual(await names(world), ["shop-order"]);
    await client.delete(gitRepoRestrictions, { ...metadata, signal: loops.signal });
    await settled(world);
    assert.deepEqual(await names(world), ["shop-order", "shop-till"]);
    assert.deepEqual(await conditionsOf(world), well);
  }));

test("a default of a Policy is filled in, and a change of it is applied with the same commit", () =>
  withRepository(async (world) => {
    const { git, client, loops, repositories } = world;
    const account = async (): Promise<unknown> =>
      (await client.get(bundles, { namespace, name: "shop-order", signal: loops.signal })).spec?.[
        "serviceAccount"
      ];
    git.push("main", order);
    repositories.wake(url);
    await settled(world);
    assert.equal(await account(), undefined);
    const metadata = { namespace, name: "accounts" };
    const gitRepo = { defaultServiceAccount: "deployer" };
    await client.create(fleetPolicies, { metadata, gitRepo }, { signal: loops.signal });
    await settled(world);
    assert.equal(await account(), "deployer");
  }));

test("a Secret of a GitHub App is a login by its token, made anew when a look with it does not go well", async () => {
  const asked: unknown[] = [];
  const forgotten: string[] = [];
  const githubApps: GitHubApps = {
    login(app, { url: at }, { for: purpose }) {
      asked.push({ ...app, at, purpose });
      const login = {
        kind: "password",
        username: "x-access-token",
        password: `token-${asked.length}`,
      } as const;
      return Promise.resolve(login);
    },
    forget: (purpose) => void forgotten.push(purpose),
  };
  await withRepository(
    async (world) => {
      const { git, client, loops, repositories } = world;
      const keys = { github_app_id: "4711\n", github_app_installation_id: "815" };
      const metadata = { namespace, name: "app" };
      const { signal } = loops;
      await client.create(secrets, { metadata, stringData: keys }, { signal });
      repositories.wake(url);
      await settled(world);
      assert.match((await conditionsOf(world))["GitPolling"] ?? "", /app has no key github_app_private_key/);
      const body = { stringData: { github_app_private_key: "pem" } };
      await client.patch(secrets, { ...metadata, type: "merge", body, signal });
      git.push("main", order);
      repositories.wake(url);
      await settled(world);
      assert.deepEqual(asked.at(-1), {
        kind: "app",
        appId: "4711",
        installationId: "815",
        privateKey: "pem",
        at: url,
        purpose: "fleet-default/shop",
      });
      assert.deepEqual(git.logins.at(-1), {
        kind: "password",
        username: "x-access-token",
        password: `token-${asked.length}`,
      });
      assert.deepEqual(await names(world), ["shop-order"]);
      forgotten.length = 0;
      git.isDown = true;
      repositories.wake(url);
      await settled(world);
      assert.deepEqual(forgotten, ["fleet-default/shop"]);
    },
    { clientSecretName: "app" },
    { githubApps },
  );
});

test("fields that mean nothing here are told by name, and no longer when they go", () =>
  withRepository(
    async (world) => {
      const { git, client, loops, repositories } = world;
      git.push("main", order);
      repositories.wake(url);
      await settled(world);
      const { Warned, ...others } = await conditionsOf(world);
      assert.match(
        Warned ?? "",
        /^True spec\.ociRegistrySecret changes nothing here: .*; spec\.imageScanInterval /,
      );
      assert.deepEqual(others, well);
      const body = { spec: { ociRegistrySecret: null, imageScanInterval: null } };
      await client.patch(gitRepos, { namespace, name: "shop", type: "merge", body, signal: loops.signal });
      await settled(world);
      assert.deepEqual(await conditionsOf(world), { ...well, Warned: "False" });
    },
    { ociRegistrySecret: "registry", imageScanInterval: "5m" } as Partial<GitRepo["spec"]>,
  ));
