import assert from "node:assert/strict";
import { test } from "node:test";
import { MemoryFiles } from "@cortado/std/testing/memory-files";
import type { CompiledBundle, CompileProblem } from "../../compile/bundle.ts";
import { openBlobs, sha256Of } from "./blobs.ts";
import { toFiles, toResources } from "./bundle-files.ts";
import { PATH_ANNOTATION, planBundles, REPO_LABEL, type KnownBundle } from "./bundle-plan.ts";

const gitRepo = { namespace: "fleet-default", name: "coffee-shop" };

function compiledOf(name: string): CompiledBundle {
  return { name, path: name, labels: {}, annotations: {}, spec: {}, files: [], warnings: [] };
}

function knownOf(name: string, repo = "coffee-shop"): KnownBundle {
  const labels = { [REPO_LABEL]: repo };
  return { metadata: { name, namespace: "fleet-default", labels, annotations: { [PATH_ANNOTATION]: name } } };
}

const unreadable: CompileProblem = {
  path: "order",
  bundle: undefined,
  message: "order/fleet.yaml: line 3 is no YAML",
};
const noPath: CompileProblem = {
  path: undefined,
  bundle: undefined,
  message: "path shop matches no directory",
};

for (const { name, have, known, problems, put, remove, kept } of [
  {
    name: "all is as before",
    have: ["order", "till"],
    known: ["order", "till"],
    problems: [],
    put: 2,
    remove: [],
    kept: [],
  },
  {
    name: "a directory went",
    have: ["till"],
    known: ["order", "till"],
    problems: [],
    put: 1,
    remove: ["order"],
    kept: [],
  },
  {
    name: "a bundle has a new name",
    have: ["orders", "till"],
    known: ["order", "till"],
    problems: [],
    put: 2,
    remove: ["order"],
    kept: [],
  },
  {
    name: "a file cannot be read",
    have: ["till"],
    known: ["order", "till"],
    problems: [unreadable],
    put: 1,
    remove: [],
    kept: ["order"],
  },
  {
    name: "another directory went while one cannot be read",
    have: ["till"],
    known: ["order", "menu", "till"],
    problems: [unreadable],
    put: 1,
    remove: [],
    kept: ["order", "menu"],
  },
  {
    name: "a path matches nothing",
    have: [],
    known: ["order", "till"],
    problems: [noPath],
    put: 0,
    remove: [],
    kept: ["order", "till"],
  },
  {
    name: "everything went",
    have: [],
    known: ["order", "till"],
    problems: [],
    put: 0,
    remove: [],
    kept: ["order", "till"],
  },
] as const)
  test(`bundles of a repository: ${name}`, () => {
    const compiled = { bundles: have.map(compiledOf), problems };
    const plan = planBundles(
      gitRepo,
      compiled,
      known.map((one) => knownOf(one)),
    );
    assert.equal(plan.put.length, put);
    assert.deepEqual(plan.remove, remove);
    assert.deepEqual(
      plan.kept.map((one) => one.name),
      kept,
    );
    const own = plan.kept.find((one) => one.name === "order");
    for (const { message } of problems.slice(0, 1)) assert.equal(own?.why.includes(message), true);
  });

test("a bundle of the same directory under another name takes the place of the one before, and does not remove it", () => {
  const [till, order] = [compiledOf("till"), { ...compiledOf("order"), name: "orders" }];
  const known = [knownOf("order"), knownOf("till")];
  const plan = planBundles(gitRepo, { bundles: [till, order], problems: [] }, known);
  assert.deepEqual([plan.renamed, plan.remove], [[{ from: "order", to: "orders" }], []]);
  const broken = planBundles(gitRepo, { bundles: [till, order], problems: [unreadable] }, known);
  assert.deepEqual([broken.renamed, broken.remove], [[], []]);
});

test("a bundle of another repository is neither overwritten nor removed", () => {
  const compiled = { bundles: [compiledOf("order"), compiledOf("till")], problems: [] };
  const plan = planBundles(gitRepo, compiled, [knownOf("order", "bakery"), knownOf("oven", "bakery")]);
  assert.deepEqual(
    plan.put.map((one) => one.name),
    ["till"],
  );
  assert.deepEqual(plan.remove, []);
  assert.match(plan.refused[0]?.why ?? "", /order is there already and is not of GitRepo coffee-shop/);
});

test("files come back from resources as they went, text readable and the rest packed", () => {
  const files = [
    { name: "a.yaml", content: new TextEncoder().encode("\ufeffkind: ConfigMap # ü\n") },
    { name: "logo.png", content: Uint8Array.from({ length: 300 }, (_, index) => index % 256) },
  ];
  const resources = toResources(files);
  assert.deepEqual(
    resources.map((one) => one.encoding),
    [undefined, "base64+gz"],
  );
  const back = toFiles(resources, { bytesMax: 1_000 });
  assert.deepEqual(
    back.map((one) => [...one.content]),
    files.map((one) => [...one.content]),
  );
  assert.throws(() => toFiles(resources, { bytesMax: 200 }), /logo.png unpacks to more than 200 bytes/);
  assert.throws(
    () => toFiles([{ name: "x", content: "", encoding: "zip" }], { bytesMax: 1 }),
    /encoding zip is not known/,
  );
});

test("blobs outlive a power cut, are checked when read, and go when nobody needs them", async () => {
  const files = new MemoryFiles();
  const blobs = await openBlobs(files, "blobs");
  const [one, two] = ["one", "two"].map((text) => new TextEncoder().encode(text)) as [Uint8Array, Uint8Array];
  const first = await blobs.put(one);
  const second = await blobs.put(two);
  assert.equal(first, sha256Of(one));
  files.cutPower();
  const again = await openBlobs(files, "blobs");
  assert.deepEqual([...(await again.get(first))], [...one]);
  await files.replace(`blobs/${second}`, one);
  await assert.rejects(again.get(second), /damaged on disk/);
  assert.equal(
    await again.sweep((name) => name === first),
    0,
    "the hub before may have named it a moment ago",
  );
  assert.deepEqual([again.keep(second), again.keep("0".repeat(64))], [true, false]);
  assert.equal(await again.sweep((name) => name === first), 0, "somebody asked for it");
  assert.equal(await again.sweep((name) => name === first), 1);
  await assert.rejects(again.get(second), /not at this hub/);
  assert.deepEqual(await files.list("blobs"), [first]);
});
