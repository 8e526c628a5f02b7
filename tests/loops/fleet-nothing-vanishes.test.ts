import assert from "node:assert/strict";
import { test } from "node:test";
import { newLoopMetrics } from "@cortado/client/loop";
import { compile } from "@cortado/fleet/compile";
import type { SourceTree } from "@cortado/fleet/compile/bundle";
import { chooseCommit, type Git } from "@cortado/fleet/git";
import { followRepositories, type Repositories } from "@cortado/fleet/git/repositories";
import { bundles, clusters, gitRepos } from "@cortado/kinds/fleet";
import { configMaps } from "@cortado/kinds/resources";
import { newMetrics } from "@cortado/std/metrics";
import { seededRandom } from "@cortado/std/random";
import { silentLog } from "@cortado/std/testing/silent-log";
import { agentOf, begun, namespace, repo, type HubWorld } from "./hub-and-stores.ts";
import { LoopWorld } from "./world.ts";

// Decision 11 from the repository to the store: what cannot be read, found, rendered or targeted takes nothing away.
const url = "https://127.0.0.1/coffee.git";
type Files = Readonly<Record<string, string | Uint8Array>>;

const map = (name: string, value: string): string =>
  `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ${name}}\ndata: {value: ${value}}\n`;
const settings = (more = ""): string => `defaultNamespace: shop\n${more}`;
const shop = (value: string): Files => ({
  "menu/fleet.yaml": settings(),
  "menu/menu.yaml": map("menu", value),
  "till/fleet.yaml": settings(),
  "till/till.yaml": map("till", value),
});

/** A repository in memory with one branch. */
class OneBranch implements Git {
  readonly #commits: Files[] = [];

  push(files: Files): void {
    this.#commits.push(files);
  }

  look(...[remote, wish]: Parameters<Git["look"]>): ReturnType<Git["look"]> {
    const head = String(this.#commits.length).padStart(40, "0");
    return Promise.resolve().then(() => chooseCommit(new Map([["refs/heads/main", head]]), wish, remote.url));
  }

  bring(...[, { commit }]: Parameters<Git["bring"]>): Promise<SourceTree & AsyncDisposable> {
    const files = this.#commits[Number(commit) - 1] ?? {};
    const bytes = (path: string): Uint8Array => {
      const content = files[path] ?? "";
      return typeof content === "string" ? new TextEncoder().encode(content) : content;
    };
    return Promise.resolve({
      files: Object.keys(files)
        .toSorted()
        .map((path) => ({ path, bytes: bytes(path).byteLength, kind: "file" as const })),
      read: (path) => Promise.resolve(bytes(path)),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    });
  }
}

class Chain implements AsyncDisposable {
  readonly store: LoopWorld;
  readonly world: HubWorld;
  readonly git: OneBranch = new OneBranch();
  readonly repositories: Repositories;
  readonly stack: AsyncDisposableStack = new AsyncDisposableStack();

  private constructor(store: LoopWorld, world: HubWorld) {
    this.store = store;
    this.world = world;
    const stop = new AbortController();
    this.stack.defer(() => stop.abort(new Error("the test ends")));
    this.repositories = followRepositories({
      client: world.client,
      clock: store.clock,
      random: seededRandom(7),
      log: silentLog,
      loopMetrics: newLoopMetrics(newMetrics()),
      git: this.git,
      compile,
      apply: (...applied) => world.hub.applyCompiled(...applied),
      signal: stop.signal,
      isStrict: false,
    });
  }

  /** A store with the shop in it. */
  static async start(spec: object = {}): Promise<Chain> {
    const store = await LoopWorld.start();
    const world = await begun(store);
    const chain = new Chain(store, world);
    const targets = [{ clusterSelector: { matchLabels: { location: "edge" } } }];
    const body = { spec: { repo: url, branch: "main", targets, ...spec } };
    await world.client.patch(gitRepos, { ...repo, type: "merge", body, signal: world.signal });
    chain.stack.use(agentOf(store, world, { name: "store-1", token: await world.token() }));
    await chain.push(shop("one"));
    await chain.has({ menu: "one", till: "one" });
    return chain;
  }

  async push(files: Files): Promise<void> {
    this.git.push(files);
    this.repositories.wake(url);
    await this.store.clock.advance(1_000);
  }

  async found(store: LoopWorld = this.store): Promise<Readonly<Record<string, string>>> {
    const { items } = await store.client.list(configMaps, { namespace: "shop", signal: store.signal });
    const own = items.filter(({ metadata }) => metadata.name !== "kube-root-ca.crt");
    return Object.fromEntries(own.map(({ metadata, data }) => [metadata.name, data?.["value"] ?? ""]));
  }

  async has(wanted: Readonly<Record<string, string>>, store: LoopWorld = this.store): Promise<void> {
    const text = (object: object): string => JSON.stringify(Object.entries(object).toSorted());
    await this.store
      .until(JSON.stringify(wanted), async () => text(await this.found(store)) === text(wanted), 60_000)
      .catch(async (error: unknown) => {
        throw new Error(`there is ${text(await this.found(store))}`, { cause: error });
      });
  }

  /** It stays so, however long one waits. */
  async keeps(wanted: Readonly<Record<string, string>>): Promise<void> {
    for (let turn = 0; turn < 6; turn += 1) {
      await this.store.clock.advance(20_000);
      await this.has(wanted);
    }
  }

  /** What the GitRepo says. */
  async says(pattern: RegExp): Promise<void> {
    let said = "";
    await this.store
      .until(String(pattern), async () => {
        const { status } = await this.world.client.get(gitRepos, { ...repo, signal: this.world.signal });
        said = (status?.conditions ?? [])
          .map((one) => `${one.type}=${one.status} ${one.message ?? ""}`)
          .join("\n");
        return pattern.test(said);
      })
      .catch((error: unknown) => {
        throw new Error(`it says ${said}`, { cause: error });
      });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stack.disposeAsync();
    await this.world[Symbol.asyncDispose]();
    await this.store[Symbol.asyncDispose]();
  }
}

const both = { menu: "one", till: "one" };

for (const { name, spec, files, now, says } of [
  {
    name: "a path that matches nothing",
    spec: { paths: ["mneu", "tlil"] },
    files: shop("two"),
    now: both,
    says: /Stalled=True .*mneu/,
  },
  {
    name: "one path of two that matches nothing",
    spec: { paths: ["menu", "tlil"] },
    files: shop("two"),
    now: { menu: "two", till: "one" },
    says: /Stalled=True .*tlil/,
  },
  {
    name: "a file that is no text",
    files: { ...shop("two"), "till/till.yaml": new Uint8Array([0xff, 0xfe, 0x00]) },
    now: { menu: "two", till: "one" },
    says: /Stalled=True till\/till\.yaml is not text in UTF-8/,
  },
  {
    name: "a manifest that is no YAML",
    files: { ...shop("two"), "till/till.yaml": "kind: [" },
    now: { menu: "two", till: "one" },
    says: /Stalled=True .*till\/till\.yaml/,
  },
  {
    name: "a bundle whose settings cannot be read",
    files: { ...shop("two"), "till/fleet.yaml": "helm: 7\n" },
    now: { menu: "two", till: "one" },
    says: /Stalled=True till\/fleet\.yaml/,
  },
  {
    name: "a directory that went while another cannot be read",
    files: { "till/fleet.yaml": "helm: [", "till/till.yaml": map("till", "two") },
    now: both,
    says: /Bundle coffee-menu is kept/,
  },
  {
    name: "a repository that is empty all at once",
    files: { "README.md": "gone" },
    now: both,
    says: /Stalled=True/,
  },
  {
    name: "a template that fails everywhere",
    files: { ...shop("two"), "till/fleet.yaml": settings('helm: {values: {x: "${ nothing }"}}\n') },
    now: { menu: "two", till: "one" },
    says: /Ready=False .*helm\.values\.x/s,
  },
  {
    name: "an object that no server would take",
    files: { ...shop("two"), "till/till.yaml": "kind: ConfigMap\nmetadata: {name: till}\n" },
    now: { menu: "two", till: "one" },
    says: /Ready=False .*ConfigMap till has no apiVersion/s,
  },
] as const)
  test(`nothing vanishes: ${name}`, async () => {
    await using chain = await Chain.start();
    if (spec !== undefined) {
      const body = { spec };
      await chain.world.client.patch(gitRepos, { ...repo, type: "merge", body, signal: chain.world.signal });
    }
    await chain.push(files);
    await chain.says(says);
    await chain.keeps(now);
    if (spec === undefined) await chain.push(shop("three"));
    if (spec === undefined) await chain.has({ menu: "three", till: "three" });
  });

test("nothing vanishes: one cluster for which a template fails keeps what it has, and others get the new", async () => {
  await using chain = await Chain.start();
  await using other = await LoopWorld.start({ clock: chain.store.clock });
  const { client, signal } = chain.world;
  const files = {
    ...shop("two"),
    "till/fleet.yaml": settings('helm: {values: {x: "${ .ClusterLabels.region }"}}\n'),
  };
  chain.stack.use(agentOf(other, chain.world, { name: "store-2", token: await chain.world.token() }));
  await chain.has(both, other);
  const labels = { metadata: { labels: { region: "north" } } };
  await client.patch(clusters, { namespace, name: "store-2", type: "merge", body: labels, signal });
  await chain.push(files);
  await chain.says(/Ready=False .*coffee-till.*store-1.*ClusterLabels has no key "region"/s);
  await chain.has({ menu: "two", till: "two" }, other);
  await chain.keeps({ menu: "two", till: "one" });
});

test("nothing vanishes: a bundle that is renamed hands its objects over, store by store", async () => {
  await using chain = await Chain.start();
  const uid = async (): Promise<string> => {
    const where = { namespace: "shop", name: "till", signal: chain.store.signal };
    return (await chain.store.client.get(configMaps, where)).metadata.uid;
  };
  const before = await uid();
  const { "till/till.yaml": _old, ...rest } = shop("two");
  await chain.push({
    ...rest,
    "till/fleet.yaml": settings("name: counter\n"),
    "till/till.yaml": map("till", "two"),
  });
  await chain.has({ menu: "two", till: "two" });
  await chain.says(/Ready=True/);
  const { items } = await chain.world.client.list(bundles, { namespace, signal: chain.world.signal });
  assert.deepEqual(items.map(({ metadata }) => metadata.name).toSorted(), ["coffee-menu", "counter"]);
  await chain.keeps({ menu: "two", till: "two" });
  assert.equal(await uid(), before, "it is the same object, and was never away");
  await chain.push(shop("three"));
  await chain.has({ menu: "three", till: "three" });
  await chain.says(/Ready=True/);
  assert.equal(await uid(), before, "and so on the way back");
});

test("nothing vanishes: a renamed bundle that never gets ready leaves the old one in all other stores", async () => {
  await using chain = await Chain.start();
  await using other = await LoopWorld.start({ clock: chain.store.clock });
  chain.stack.use(agentOf(other, chain.world, { name: "store-2", token: await chain.world.token() }));
  await chain.has(both, other);
  const never = `apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: never}\nspec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: x}]}}}\n`;
  await chain.push({
    ...shop("two"),
    "till/fleet.yaml": settings("name: counter\n"),
    "till/till.yaml": `${map("till", "two")}---\n${never}`,
  });
  await chain.has({ menu: "two", till: "two" });
  for (let turn = 0; turn < 6; turn += 1) {
    await chain.store.clock.advance(20_000);
    await chain.has({ menu: "two", till: "one" }, other);
  }
  const names = async (): Promise<readonly string[]> =>
    (await chain.world.client.list(bundles, { namespace, signal: chain.world.signal })).items
      .map(({ metadata }) => metadata.name)
      .toSorted();
  assert.deepEqual(await names(), ["coffee-menu", "coffee-till", "counter"]);
  await chain.push({ ...shop("three"), "till/fleet.yaml": settings("name: counter\n") });
  await chain.has({ menu: "three", till: "three" }, other);
  await chain.store.until("the old one is gone", async () => (await names()).length === 2);
});

for (const { keepResources, left } of [
  { keepResources: true, left: both },
  { keepResources: false, left: {} },
])
  test(`a GitRepo that is deleted with keepResources ${keepResources} leaves ${Object.keys(left).length} objects`, async () => {
    await using chain = await Chain.start({ keepResources });
    await chain.world.client.delete(gitRepos, { ...repo, signal: chain.world.signal });
    await chain.store.until("the bundles are gone", async () => {
      const { items } = await chain.world.client.list(bundles, { namespace, signal: chain.world.signal });
      return items.length === 0;
    });
    await chain.has(left);
    await chain.keeps(left);
  });
