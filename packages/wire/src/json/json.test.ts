import assert from "node:assert/strict";
import { test } from "node:test";
import { checkDepth, decodeJson, duplicateKeys, encodeJson, jsonText, parseJson } from "./json.ts";

test("whole numbers keep every digit, there and back", () => {
  const text = '{"big":9223372036854775807,"small":-9223372036854775808,"plain":12,"float":1.5}';
  assert.equal(jsonText(parseJson(text)), text);
  assert.equal((parseJson(text) as { big: unknown }).big, 9223372036854775807n);
  assert.equal(Buffer.from(encodeJson(decodeJson(Buffer.from(text)))).toString(), text);
});

test("a long run of digits inside a text stays a text", () => {
  assert.deepEqual(parseJson('{"a":"12345678901234567890"}'), { a: "12345678901234567890" });
});

test("keys given twice are named by their path", () => {
  assert.deepEqual(duplicateKeys('{"spec":{"list":[{"a":1},{"b":1,"b":2}]},"spec":1}'), [
    "spec.list[1].b",
    "spec",
  ]);
  assert.deepEqual(duplicateKeys('{"a":"{\\"a\\":1,","b":{"a":1}}'), []);
  assert.deepEqual(duplicateKeys('{"\\u0061":1,"a":2}'), ["a"]);
});

test("what is nested without end is refused", () => {
  assert.throws(() => duplicateKeys(`${"[".repeat(300)}${"]".repeat(300)}`), /nested deeper/);
  let deep: unknown = 1;
  for (let level = 0; level < 300; level += 1) deep = [deep];
  assert.throws(() => checkDepth(deep), /nested deeper/);
});
