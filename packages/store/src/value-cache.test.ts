import assert from "node:assert/strict";
import { test } from "node:test";
import { CACHED_VALUE_BYTES } from "./limits.ts";
import type { KeyValue } from "./store.ts";
import { ValueCache } from "./value-cache.ts";

function valueOf(key: string, bytes = 98): KeyValue {
  return { key, value: new Uint8Array(bytes), modified: 1 as never, created: 1 as never };
}

const each = 100 + CACHED_VALUE_BYTES;

test("a full cache lets go of what nobody read, and keeps what was read", () => {
  const cache = new ValueCache(10 * each);
  for (let at = 0; at < 10; at += 1) cache.put(valueOf(`/${at}`));
  for (let round = 0; round < 50; round += 1) {
    assert.ok(cache.get("/3") !== undefined && cache.get("/7") !== undefined, `round ${round}`);
    cache.put(valueOf(`/${"abcdefghijklmnopqrstuvwxyz"[round % 26] ?? ""}`));
    assert.ok(cache.bytes <= 10 * each);
  }
});

test("a list takes room that is free, and none that is not", () => {
  const cache = new ValueCache(2 * each);
  cache.put(valueOf("/1"));
  cache.offer(valueOf("/2"));
  cache.offer(valueOf("/3"));
  assert.deepEqual(
    ["/1", "/2", "/3"].map((key) => cache.get(key) !== undefined),
    [true, true, false],
  );
});

test("what is deleted, put again or too big is counted right", () => {
  const cache = new ValueCache(3 * each);
  cache.put(valueOf("/1"));
  cache.put(valueOf("/1", 198));
  assert.equal(cache.bytes, each + 100);
  cache.put(valueOf("/2", 10 * each));
  assert.equal(cache.get("/2"), undefined);
  cache.put(valueOf("/1", 10 * each));
  assert.equal(cache.get("/1"), undefined, "an old value is not left behind");
  assert.equal(cache.bytes, 0);
});
