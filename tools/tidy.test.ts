import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { withPicture } from "./house-picture.ts";
import { readHouse, readSources, tidy, type SourceFile } from "./tidy.ts";

const house = readHouse();

test("the house is tidy, and the checker sees it", () => {
  const files = readSources();
  assert.ok(files.length > 300, `only ${files.length} files were seen`);
  const faults = tidy(house, files).map(({ path, line, text }) => `${path}:${line}: ${text}`);
  assert.deepEqual(faults, []);
});

for (const { name, path, text, says } of [
  {
    name: "an import up a floor",
    path: "packages/store/src/x.ts",
    text: 'import "@cortado/client";',
    says: /not in store's package.json/,
  },
  {
    name: "an import between peers",
    path: "packages/node/src/x.ts",
    text: 'import "@cortado/mqtt";',
    says: /package.json|may not import/,
  },
  {
    name: "a path past a door",
    path: "packages/node/src/x.ts",
    text: 'import "../../store/src/history.ts";',
    says: /past its door/,
  },
  {
    name: "something that is no door",
    path: "packages/client/src/x.ts",
    text: 'import "@cortado/std/secret";',
    says: /not a door/,
  },
  {
    name: "node: in a room without a runtime",
    path: "packages/client/src/x.ts",
    text: 'import "node:fs";',
    says: /folder named node/,
  },
  {
    name: "an ambient clock",
    path: "packages/node/src/x.ts",
    text: "export const now = Date.now();",
    says: /ambient/,
  },
  {
    name: "ambient chance",
    path: "packages/mqtt/src/x.ts",
    text: "export const dice = Math.random();",
    says: /ambient/,
  },
  {
    name: "a function over the ratchet",
    path: "packages/mqtt/src/x.ts",
    text: `function long() {\n${"  one();\n".repeat(60)}}`,
    says: /function long has 62 lines/,
  },
  {
    name: "a file over the ratchet",
    path: "packages/mqtt/src/x.ts",
    text: "// a line\n".repeat(401),
    says: /401 lines/,
  },
  {
    name: "a note of work left over",
    path: "packages/mqtt/src/x.ts",
    text: `// ${"TO"}DO: later`,
    says: /left over/,
  },
])
  test(`tidy finds ${name}`, () => {
    const file: SourceFile = { path, text };
    const faults = tidy({ ...house, ratchet: { ...house.ratchet, over: {} } }, [file]);
    assert.ok(
      faults.some((fault) => says.test(fault.text)),
      JSON.stringify(faults),
    );
  });

test("a comment or a string about the clock is no fault", () => {
  const text = '// Date.now() is banned\nexport const help = "Date.now()";';
  assert.deepEqual(
    tidy({ ...house, ratchet: { ...house.ratchet, over: {} } }, [{ path: "packages/node/src/x.ts", text }]),
    [],
  );
});

test("ARCHITECTURE.md draws house.json as it is, and each place that it names exists", () => {
  const top = join(import.meta.dirname, "..");
  const text = readFileSync(join(top, "ARCHITECTURE.md"), "utf8");
  assert.equal(text, withPicture(text, house), "run node tools/house-picture.ts");
  for (const [, path = ""] of text.matchAll(/\| `(packages\/[^`]+)` \|/g))
    assert.ok(
      readSources().some((file) => file.path.startsWith(path)),
      path,
    );
});
