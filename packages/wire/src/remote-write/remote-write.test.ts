import assert from "node:assert/strict";
import { test } from "node:test";
import { uncompress } from "snappyjs";
import { encodeWriteRequest } from "./remote-write.ts";

test("a write request is the bytes that protobuf says, in snappy", () => {
  const bytes = encodeWriteRequest([
    {
      labels: { store: "s", empty: "", __name__: "up" },
      samples: [
        { atMs: 2, value: 1 },
        { atMs: 1, value: 0 },
      ],
    },
  ]);
  // Written by hand from the .proto: labels by name, samples by time.
  const label = (name: string, value: string): number[] => {
    const [one, other] = [Buffer.from(name), Buffer.from(value)];
    const inner = [0x0a, one.length, ...one, 0x12, other.length, ...other];
    return [0x0a, inner.length, ...inner];
  };
  const first = [0x12, 11, 0x09, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, 1];
  const second = [0x12, 11, 0x09, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 0x10, 2];
  const series = [...label("__name__", "up"), ...label("store", "s"), ...first, ...second];
  assert.deepEqual([...new Uint8Array(uncompress(bytes))], [0x0a, series.length, ...series]);
});
