import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeMessage, readEnvelope, type MessageField } from "./protobuf.ts";

const messages: Readonly<Record<string, readonly MessageField[]>> = {
  Cup: [
    [1, "name", "s"],
    [2, "size", "i"],
    [3, "labels", "@s"],
    [4, "shots", "*l"],
    [5, "data", "@y"],
    [6, "inner", "~m", "Inner"],
    [7, "made", "m", "io.k8s.apimachinery.pkg.apis.meta.v1.Time"],
    [8, "port", "m", "io.k8s.apimachinery.pkg.util.intstr.IntOrString"],
  ],
  Inner: [[1, "hot", "b"]],
};
const lookup = (name: string): readonly MessageField[] | undefined => messages[name];
const field = (number: number, bytes: readonly number[]): number[] => [
  number * 8 + 2,
  bytes.length,
  ...bytes,
];
const text = (value: string): number[] => [...Buffer.from(value)];

test("fields, maps, lists, inlined messages and times become JSON", () => {
  const bytes = [
    ...field(1, text("latte")),
    16,
    0xff,
    0xff,
    0xff,
    0xff,
    0xff,
    0xff,
    0xff,
    0xff,
    0xff,
    1,
    ...field(3, [...field(1, text("__proto__")), ...field(2, text("x"))]),
    32,
    1,
    ...field(4, [2, 3]),
    ...field(5, [...field(1, text("k")), ...field(2, [0, 255])]),
    ...field(6, [8, 1]),
    ...field(7, [8, 60]),
    ...field(8, [8, 1, ...field(3, text("http"))]),
    ...field(15, text("unknown")),
  ];
  assert.equal(
    JSON.stringify(decodeMessage(Uint8Array.from(bytes), "Cup", lookup)),
    '{"name":"latte","size":-1,"labels":{"__proto__":"x"},"shots":[1,2,3],"data":{"k":"AP8="},"hot":true,"made":"1970-01-01T00:01:00Z","port":"http"}',
  );
});

test("what is cut off or no protobuf is refused, never read past its end", () => {
  for (const bytes of [[10, 200, 1], [10], [8], [11], [8, ...Array(11).fill(255)]])
    assert.throws(() => decodeMessage(Uint8Array.from(bytes as number[]), "Cup", lookup), /cannot be read/);
  assert.throws(() => readEnvelope(Uint8Array.from([1, 2, 3, 4])), /does not begin/);
});

test("the envelope says what is in it", () => {
  const bytes = Uint8Array.from([
    0x6b,
    0x38,
    0x73,
    0,
    ...field(1, [...field(1, text("v1")), ...field(2, text("Pod"))]),
    ...field(2, [1, 2]),
  ]);
  const { apiVersion, kind, raw } = readEnvelope(bytes);
  assert.deepEqual([apiVersion, kind, [...raw]], ["v1", "Pod", [1, 2]]);
});
