import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom, type Random } from "@cortado/std/random";
import { hasReason, StatusError } from "@cortado/std/status";
import { MemoryDisk, openMemoryStore } from "./drivers/memory/memory.ts";
import { LIST_KEPT_KEYS } from "./limits.ts";
import { holdAgainstTruth } from "./testing/against-truth.ts";
import { mustPut, put, storeConformance } from "./testing/conformance.ts";

const turnsOf = async (random: Random): Promise<void> => {
  for (let left = random.integer(4); left > 0; left -= 1)
    await new Promise((resolve) => void setImmediate(resolve));
};

/** A disk that takes its time. */
function slowDisk(random: Random): MemoryDisk {
  const disk = new MemoryDisk();
  disk.beforeCommit = () => turnsOf(random);
  disk.beforeRead = () => turnsOf(random);
  return disk;
}

for (const cacheBytes of [0, 1_000])
  storeConformance(`memory that reads its disk, ${cacheBytes} bytes of values in memory`, async () => {
    const disk = slowDisk(seededRandom(1));
    const store = await openMemoryStore({ disk, cacheBytes });
    return { store, again: () => openMemoryStore({ disk, cacheBytes }) };
  });

const seeds = [1, 2, 3, 4, 5, 6, 7, 8];
for (const { title, cacheBytes } of [
  { title: "every value in memory", cacheBytes: undefined },
  { title: "a cache of three values", cacheBytes: 1_100 },
  { title: "no value in memory", cacheBytes: 0 },
])
  test(`with ${title} a store answers what its history says`, async () => {
    for (const seed of seeds) {
      const random = seededRandom(seed);
      const disk = slowDisk(random);
      await holdAgainstTruth({ random, turns: 400, open: () => openMemoryStore({ disk, cacheBytes }) });
    }
  });

for (const cacheBytes of [undefined, 1_100, 0])
  test(`a disk that fails now and then, before or after it wrote, loses and invents nothing (${cacheBytes ?? "all"} in memory)`, async () => {
    for (const seed of seeds) {
      const random = seededRandom(seed);
      const disk = slowDisk(random);
      const disturb = (): boolean => {
        const what = random.integer(6);
        const error = new StatusError("InsufficientStorage", "the disk is full");
        disk.fault = what === 0 ? error : undefined;
        disk.lateFault = what === 1 ? error : undefined;
        return what < 2;
      };
      const calm = (): void => {
        disk.fault = undefined;
        disk.lateFault = undefined;
      };
      const open = () => openMemoryStore({ disk, cacheBytes });
      await holdAgainstTruth({ random, turns: 400, disturb, calm, open });
    }
  });

test("a value that cannot be read fails its readers and writers by name, and nobody else", async () => {
  const disk = new MemoryDisk();
  await using store = await openMemoryStore({ disk, cacheBytes: 0 });
  await mustPut(store, "/a", "one");
  await mustPut(store, "/b", "two");
  const kept = disk.values.get("/a");
  assert.ok(kept !== undefined);
  disk.values.set("/a", { ...kept, modified: 99 as never });
  const isDamaged = (error: unknown): boolean =>
    hasReason(error, "ServiceUnavailable") && /\/a .*revision 1.*damaged/.test(error.message);
  await assert.rejects(store.get("/a"), isDamaged);
  await assert.rejects(store.list({ prefix: "/" }), isDamaged);
  const both = await Promise.allSettled([put(store, "/a", "uno"), put(store, "/b", "dos")]);
  assert.deepEqual(
    both.map(({ status }) => status),
    ["rejected", "fulfilled"],
  );
  disk.values.delete("/a");
  await assert.rejects(store.get("/a"), isDamaged);
  assert.equal((await store.list({ prefix: "/b" })).items.length, 1);
  disk.values.set("/a", kept);
  assert.equal(new TextDecoder().decode((await store.get("/a"))?.value), "one");
});

test("a list that reads its disk shows one revision, whatever is written meanwhile", async () => {
  const disk = new MemoryDisk();
  await using store = await openMemoryStore({ disk, cacheBytes: 0 });
  const all = Array.from({ length: 1_000 }, (_, at) => `/a/${String(at).padStart(4, "0")}`);
  await Promise.all(all.map((key) => mustPut(store, key, "before")));
  let meanwhile = 0;
  disk.beforeRead = async () => {
    disk.beforeRead = undefined;
    for (const key of ["/a/0000", "/a/0500", "/a/0999"]) await mustPut(store, key, `after ${meanwhile++}`);
    await store.write({ kind: "delete", key: "/a/0700", expect: { kind: "anything" } });
    await mustPut(store, "/a/0700+", "new");
  };
  const { items, revision } = await store.list({ prefix: "/a/" });
  assert.equal(meanwhile, 3);
  assert.equal(revision, 1_000);
  assert.deepEqual(
    items.map(({ key, value }) => `${key} ${new TextDecoder().decode(value)}`),
    all.map((key) => `${key} before`),
  );
});

test("after it is closed a store reads no more", async () => {
  const store = await openMemoryStore({ cacheBytes: 0 });
  await mustPut(store, "/a", "one");
  await store[Symbol.asyncDispose]();
  await assert.rejects(store.get("/a"), (error) => hasReason(error, "ServiceUnavailable"));
});

test("a list of a few keys leaves its values in memory, one of many does not, in pages either", async () => {
  const disk = new MemoryDisk();
  {
    await using store = await openMemoryStore({ disk });
    const keys = Array.from({ length: LIST_KEPT_KEYS + 1 }, (_, at) => `/many/${at}`);
    await Promise.all([...keys, "/few/1", "/few/2"].map((key) => mustPut(store, key, "a value")));
  }
  let reads = 0;
  disk.beforeRead = () => {
    reads += 1;
    return Promise.resolve();
  };
  await using store = await openMemoryStore({ disk, cacheBytes: 1_000_000 });
  const readsOf = async (prefix: string): Promise<number> => {
    const before = reads;
    let after = "";
    for (let remaining = 1; remaining > 0;) {
      const page = await store.list({ prefix, limit: 500, ...(after === "" ? {} : { after }) });
      after = page.items.at(-1)?.key ?? "";
      ({ remaining } = page);
    }
    return reads - before;
  };
  assert.deepEqual([await readsOf("/few/"), await readsOf("/few/")], [1, 0]);
  const first = await readsOf("/many/");
  assert.ok(first > 1);
  assert.equal(await readsOf("/many/"), first);
});
