import assert from "node:assert/strict";
import { createServer, type Server } from "node:http";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import type { AddressInfo } from "node:net";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import { test } from "node:test";
import type { BundleFile, Compiled, CompiledBundle } from "@cortado/fleet/compile/bundle";
import { withCharts } from "@cortado/fleet/compile/charts";
import { newStockRenderer } from "@cortado/fleet/compile/node";
import { newStockCharts, type StockChartsOptions } from "@cortado/fleet/compile/node/charts";
import { render } from "@cortado/fleet/compile/render";
import { textAt } from "@cortado/kinds/tree";
import { writeTar } from "@cortado/wire/tar";
import { run, stockClient } from "../clients/clients.ts";

// Charts of a repository on loopback, by stock helm.
const helm = stockClient("helm");
const { signal } = new AbortController();

class Repository implements AsyncDisposable {
  readonly folder: string = mkdtempSync(join(tmpdir(), "charts-"));
  readonly asked: string[] = [];
  login = "";
  #server: Server | undefined;
  url = "";

  static async start(): Promise<Repository> {
    const repository = new Repository();
    const server = createServer((request, response) => {
      repository.asked.push(request.url ?? "");
      const wanted = `Basic ${Buffer.from(repository.login).toString("base64")}`;
      if (repository.login !== "" && request.headers.authorization !== wanted) {
        response.writeHead(401).end();
        return;
      }
      try {
        response.end(readFileSync(join(repository.folder, request.url ?? "")));
      } catch {
        response.writeHead(404).end();
      }
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    repository.#server = server;
    repository.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    return repository;
  }

  async publish(name: string, version: string, more: Readonly<Record<string, string>> = {}): Promise<void> {
    const chart = join(this.folder, "source", name);
    const files = {
      "Chart.yaml": `apiVersion: v2\nname: ${name}\nversion: ${version}\n`,
      "templates/map.yaml": `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ${name}}\ndata: {version: "{{ .Chart.Version }}", cups: "{{ .Values.cups }}"}\n`,
      "values.yaml": "cups: 1\n",
      ...more,
    };
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(chart, path)), { recursive: true });
      writeFileSync(join(chart, path), text);
    }
    await this.#helm("package", chart, "--destination", this.folder);
    await this.index();
  }

  async index(): Promise<void> {
    await this.#helm("repo", "index", this.folder);
  }

  async #helm(...words: readonly string[]): Promise<void> {
    const { code, err } = await run(helm, words, { env: { HOME: this.folder } });
    assert.equal(code, 0, err);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await new Promise((resolve) => this.#server?.close(resolve));
    rmSync(this.folder, { recursive: true });
  }
}

function bundleOf(spec: CompiledBundle["spec"], files: Readonly<Record<string, string>> = {}): Compiled {
  const list: BundleFile[] = Object.entries(files).map(([name, text]) => ({
    name,
    content: new TextEncoder().encode(text),
  }));
  const bundle = { name: "shop", path: "shop", labels: {}, annotations: {}, spec, files: list, warnings: [] };
  return { bundles: [bundle], problems: [] };
}

const brought = (compiled: Compiled, more: Partial<StockChartsOptions> = {}): Promise<Compiled> =>
  withCharts(compiled, newStockCharts({ helm, environment: {}, signal, ...more }));

/** What the ConfigMaps of a bundle say, with its spec's options, or those of its target. */
async function rendered(
  { bundles: [bundle] }: Compiled,
  target?: number,
): Promise<Readonly<Record<string, string>>> {
  assert.ok(bundle !== undefined);
  const renderer = newStockRenderer({ helm, kubectl: stockClient("kubectl") });
  const own = target === undefined ? {} : (bundle.spec.targets?.[target] ?? {});
  const helmOptions = { ...bundle.spec.helm, ...own.helm };
  const objects = await render(bundle.files, { ...bundle.spec, helm: helmOptions }, { renderer, bundle });
  return Object.fromEntries(
    objects.map((one) => [
      textAt(one, "metadata", "name"),
      `${textAt(one, "data", "version")} ${textAt(one, "data", "cups")}`,
    ]),
  );
}

test("a chart of a repository comes with its bundle: the newest, one of a range, another for a target", async () => {
  await using repository = await Repository.start();
  for (const version of ["1.0.0", "1.2.0", "2.0.0"]) await repository.publish("till", version);
  const { url: repo } = repository;
  const newest = await brought(bundleOf({ helm: { chart: "till", repo, values: { cups: 3 } } }));
  assert.deepEqual(newest.problems, []);
  assert.deepEqual(await rendered(newest), { till: "2.0.0 3" });
  const targets = [{ name: "old", helm: { version: "1.0.0" } }, { name: "same" }];
  const ranged = await brought(bundleOf({ helm: { chart: "till", repo, version: "~1.0 || ~1.2" }, targets }));
  assert.deepEqual(await rendered(ranged), { till: "1.2.0 1" });
  assert.deepEqual(await rendered(ranged, 0), { till: "1.0.0 1" });
  assert.deepEqual(await rendered(ranged, 1), { till: "1.2.0 1" });
  const direct = await brought(bundleOf({ helm: { chart: `${repo}/till-1.0.0.tgz` } }));
  assert.deepEqual(await rendered(direct), { till: "1.0.0 1" });
});

test("what was brought for a commit is kept: a newer chart, or no network, changes nothing of it", async () => {
  await using repository = await Repository.start();
  await repository.publish("till", "1.0.0");
  const kept = new Map<string, Uint8Array>();
  const cache: NonNullable<StockChartsOptions["cache"]> = {
    read: (wish) => Promise.resolve(kept.get(wish)),
    write: (wish, archive) => Promise.resolve(void kept.set(wish, archive)),
  };
  const wish = bundleOf({ helm: { chart: "till", repo: repository.url } });
  assert.deepEqual(await rendered(await brought(wish, { cache })), { till: "1.0.0 1" });
  await repository.publish("till", "1.1.0");
  const asked = repository.asked.length;
  assert.deepEqual(await rendered(await brought(wish, { cache })), { till: "1.0.0 1" });
  assert.equal(repository.asked.length, asked);
});

test("a chart that cannot be had is a problem of its bundle alone, and says why", async () => {
  await using repository = await Repository.start();
  await repository.publish("till", "1.0.0");
  const { url: repo } = repository;
  for (const [chart, message] of [
    [
      { chart: "tea", repo },
      /chart tea of http:.*cannot be fetched: helm: .*tea.*what runs is left as it is/s,
    ],
    [{ chart: "till", repo, version: "9.x" }, /chart till 9\.x of .*cannot be fetched/s],
    [
      { chart: "till", repo: "http://127.0.0.1:9" },
      /chart till of http:\/\/127\.0\.0\.1:9 cannot be fetched/,
    ],
    [{ chart: `${repo}/none.tgz` }, /none\.tgz cannot be fetched: helm: .*404/s],
    [{ chart: "oci://127.0.0.1:9/till" }, /chart oci:\/\/127\.0\.0\.1:9\/till cannot be fetched/],
  ] as const) {
    const one = bundleOf({ helm: chart });
    const other = { ...bundleOf({}, { "a.yaml": "kind: ConfigMap\n" }).bundles[0] } as CompiledBundle;
    const { bundles, problems } = await brought({
      ...one,
      bundles: [...one.bundles, { ...other, name: "other" }],
    });
    assert.deepEqual(
      bundles.map(({ name }) => name),
      ["other"],
    );
    assert.deepEqual([problems[0]?.path, problems[0]?.bundle], ["shop", "shop"]);
    assert.match(problems[0]?.message ?? "", message);
  }
});

test("a login goes to the repository that it is for, and is in no command line", async () => {
  await using repository = await Repository.start();
  await repository.publish("till", "1.0.0");
  repository.login = "me:hidden";
  const { url: repo } = repository;
  const wish = bundleOf({ helm: { chart: "till", repo } });
  const without = await brought(wish);
  assert.match(without.problems[0]?.message ?? "", /401/);
  assert.doesNotMatch(without.problems[0]?.message ?? "", /hidden/);
  const login = { username: "me", password: "hidden" };
  const loginFor = ({ address, path }: { address: string; path: string }) =>
    address === repo && path === "shop" ? login : undefined;
  assert.deepEqual(await rendered(await brought(wish, { loginFor })), { till: "1.0.0 1" });
  // What one path's login brought is not given to a path that has none.
  const kept = new Map<string, Uint8Array>();
  const cache: NonNullable<StockChartsOptions["cache"]> = {
    read: (name) => Promise.resolve(kept.get(name)),
    write: (name, archive) => Promise.resolve(void kept.set(name, archive)),
  };
  const [shop] = wish.bundles;
  const two = { ...wish, bundles: [shop, { ...shop, name: "other", path: "other" }] as CompiledBundle[] };
  const { bundles, problems } = await brought(two, { loginFor, cache });
  assert.deepEqual(
    [bundles.map(({ path }) => path), problems.map(({ path }) => path)],
    [["shop"], ["other"]],
  );
  assert.match(problems[0]?.message ?? "", /401/);
});

test("dependencies of a chart are fetched when they are not there, and only from where they may be", async () => {
  await using repository = await Repository.start();
  await repository.publish("milk", "0.3.0");
  const chart = (dependency: string): Readonly<Record<string, string>> => ({
    "Chart.yaml": `apiVersion: v2\nname: till\nversion: 1.0.0\ndependencies: [${dependency}]\n`,
    "templates/map.yaml":
      'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: till}\ndata: {version: "1", cups: "1"}\n',
  });
  const remote = `{name: milk, version: 0.x, repository: "${repository.url}"}`;
  assert.deepEqual(await rendered(await brought(bundleOf({}, chart(remote)))), {
    milk: "0.3.0 1",
    till: "1 1",
  });
  const off = await brought(bundleOf({ helm: { disableDependencyUpdate: true } }, chart(remote)));
  assert.equal(off.bundles[0]?.files.length, 2);
  const inner = {
    ...chart('{name: milk, version: 0.x, repository: "file://parts/milk"}'),
    "parts/milk/Chart.yaml": "apiVersion: v2\nname: milk\nversion: 0.1.0\n",
    "parts/milk/templates/map.yaml":
      'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: milk}\ndata: {version: "0", cups: "0"}\n',
  };
  assert.deepEqual(await rendered(await brought(bundleOf({}, inner))), { milk: "0 0", till: "1 1" });
  for (const [repositoryText, message] of [
    [
      "file://../../etc",
      /Chart\.yaml: dependency milk is at file:\/\/\.\.\/\.\.\/etc, outside of the bundle/,
    ],
    [
      "file:///etc",
      /dependency milk is not in charts\/, and its repository "file:\/\/\/etc" is none that is fetched/,
    ],
    ["@stable", /its repository "@stable" is none that is fetched/],
    ["http://127.0.0.1:9", /the dependencies of the chart cannot be fetched: helm: /],
  ] as const) {
    const { bundles, problems } = await brought(
      bundleOf({}, chart(`{name: milk, version: 0.x, repository: "${repositoryText}"}`)),
    );
    assert.deepEqual(bundles, []);
    assert.match(problems[0]?.message ?? "", message);
  }
});

test("an archive that climbs out, or unpacks without end, is refused by name", async () => {
  await using repository = await Repository.start();
  await repository.publish("till", "1.0.0");
  const chartYaml = {
    name: "till/Chart.yaml",
    data: new TextEncoder().encode("apiVersion: v2\nname: till\nversion: 1.0.0\n"),
  };
  const evil = { name: "till/../../../outside.yaml", data: new TextEncoder().encode("kind: ConfigMap\n") };
  for (const [entries, message] of [
    [[chartYaml, evil], /cannot be (used|fetched)/],
    [
      [chartYaml, { name: "till/large.bin", data: new Uint8Array(80 * 1024 * 1024) }],
      /cannot be (used|fetched)/,
    ],
  ] as const) {
    writeFileSync(join(repository.folder, "till-1.0.0.tgz"), gzipSync(writeTar(entries)));
    const { bundles, problems } = await brought(
      bundleOf({ helm: { chart: `${repository.url}/till-1.0.0.tgz` } }),
    );
    assert.deepEqual(bundles, []);
    assert.match(problems[0]?.message ?? "", message);
  }
});
