import assert from "node:assert/strict";
import { test } from "node:test";
import { parseYaml, yamlText } from "./yaml.ts";
import { placeOf } from "./yaml-place.ts";

const text = `# a comment
defaultNamespace: coffee-shop
targets:
  - name: edge
    clusterSelector: {matchLabels: {"a": b}}
    yaml:
      - path: one.yaml
      - path: two.yaml
`;

for (const { path, line, column } of [
  { path: ["defaultNamespace"], line: 2, column: 1 },
  { path: ["targets", 0, "yaml"], line: 6, column: 5 },
  { path: ["targets", 0, "yaml", 1, "path"], line: 8, column: 9 },
  { path: ["targets", 0, "clusterSelector", "matchLabels", "a"], line: 5, column: 37 },
  { path: ["targets", 0, "yaml", 7], line: 6, column: 5 },
  { path: ["nowhere"], line: 2, column: 1 },
])
  test(`the place of ${path.join(".")}`, () => assert.deepEqual(placeOf(text, path), { line, column }));

test("what is written is read back as it was", () => {
  const value = {
    z: ["yes", "0644", "1.5", "null", "~", "", "a: b", "#", "x\ny\n", "  two", "1e3", "0x1f", true, null, 3],
    a: { long: "word ".repeat(60), big: 12345678901234567890n, empty: {}, none: [] },
  };
  assert.deepEqual(parseYaml(yamlText(value)).value, value);
  assert.match(yamlText(value, { sortKeys: true }), /^a:/);
});
