import assert from "node:assert/strict";
import { test } from "node:test";
import { parseYaml, parseYamlDocuments } from "./yaml.ts";

const readings: readonly (readonly [string, unknown])[] = [
  ["0644", 420],
  ["0o644", 420],
  ["0x1F", 31],
  ["0b11", 3],
  ["1_000", 1000],
  ["-5", -5],
  ["1.5e3", 1500],
  ["yes", true],
  ["Off", false],
  ["~", null],
  ["2001-01-01", "2001-01-01"],
  ["1:30:00", "1:30:00"],
  ["9223372036854775807", 9223372036854775807n],
  ["'0644'", "0644"],
  ["089", 89],
  ["null", null],
  ["nullx", "nullx"],
];

for (const [text, want] of readings)
  test(`YAML ${text} is read as Kubernetes reads it`, () => {
    assert.deepEqual((parseYaml(`a: ${text}`).value as { a: unknown }).a, want);
  });

test("keys become text, and twice is told", () => {
  assert.deepEqual(parseYaml("1: a\nY: b").value, { 1: "a", true: "b" });
  assert.deepEqual(parseYaml("a: 1\nb:\n  c: 1\n  c: 2").duplicates, ["c"]);
});

test("merge keys and many documents are understood", () => {
  assert.deepEqual(parseYaml("base: &b {x: 1, z: 2}\nuse: {<<: *b, z: 3}").value, {
    base: { x: 1, z: 2 },
    use: { x: 1, z: 3 },
  });
  assert.equal(parseYamlDocuments("a: 1\n---\nb: 2").length, 2);
});

test("bombs, infinities and what is no YAML are refused", () => {
  const lines = [
    "a: &a [x,x,x,x,x,x,x,x,x]",
    ..."bcdefg"
      .split("")
      .map((name, index) => `${name}: &${name} [${Array(9).fill(`*${"abcdef"[index]}`).join(",")}]`),
  ];
  assert.throws(() => parseYaml(lines.join("\n")), /more than/);
  assert.throws(() => parseYaml("a: .inf"), /no form in JSON/);
  assert.throws(() => parseYaml("a: [1"), /error converting YAML to JSON/);
});

test("__proto__ is a key", () => {
  const { value } = parseYaml("__proto__: {spilled: true}");
  assert.equal(JSON.stringify(value), '{"__proto__":{"spilled":true}}');
  assert.equal(({} as { spilled?: boolean }).spilled, undefined);
});
