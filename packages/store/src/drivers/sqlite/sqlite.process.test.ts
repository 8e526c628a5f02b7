import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { DatabaseSync } from "node:sqlite";
import { Worker } from "node:worker_threads";
import { systemClock } from "@cortado/std/node/clock";
import { seededRandom } from "@cortado/std/random";
import { HeldClock } from "@cortado/std/testing/held-clock";
import { hasReason } from "@cortado/std/status";
import { holdAgainstTruth } from "../../testing/against-truth.ts";
import { put, storeConformance } from "../../testing/conformance.ts";
import type { OpenWorker } from "./committer.ts";
import { openSqliteStore } from "./sqlite.ts";

const folders: string[] = [];
after(async () => {
  for (const folder of folders) await rm(folder, { recursive: true, force: true });
});

async function newPath(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "cortado-store-"));
  folders.push(folder);
  return join(folder, "state.db");
}

// In a test the thread runs the source; in the bundle `program` starts it.
const openWorker: OpenWorker = (path) => {
  const committer = new URL("./committer.ts", import.meta.url).href;
  const source = `const { parentPort } = require("node:worker_threads");
    import(${JSON.stringify(committer)}).then(({ serveCommits }) => serveCommits(parentPort, ${JSON.stringify(path)}));`;
  return new Worker(source, { eval: true });
};

/** A clock on which every look at the time costs 20 ms: each commit seems slow. */
function slowClock(): HeldClock {
  const clock = new HeldClock();
  let now = 0;
  clock.monotonicMs = () => (now += 20);
  return clock;
}

type OpenOptions = {
  readonly clock: HeldClock | typeof systemClock;
  readonly openWorker?: OpenWorker;
  readonly cacheBytes?: number;
};

async function open(options: OpenOptions) {
  const path = await newPath();
  const store = await openSqliteStore({ path, ...options });
  return {
    store,
    again: async () => {
      await store[Symbol.asyncDispose]();
      return openSqliteStore({ path, ...options });
    },
  };
}

storeConformance("sqlite", () => open({ clock: systemClock }));
storeConformance("sqlite in a thread", () => open({ clock: slowClock(), openWorker }));
storeConformance("sqlite, no value in memory", () => open({ clock: systemClock, cacheBytes: 0 }));
storeConformance("sqlite in a thread, no value in memory", () =>
  open({ clock: slowClock(), openWorker, cacheBytes: 0 }),
);

for (const cacheBytes of [undefined, 1_100, 0])
  for (const isInThread of [false, true])
    test(`sqlite${isInThread ? " in a thread" : ""}: a store answers what its history says (${cacheBytes ?? "all"} bytes in memory)`, async () => {
      const path = await newPath();
      const cached = cacheBytes === undefined ? {} : { cacheBytes };
      const where = isInThread ? { clock: slowClock(), openWorker } : { clock: systemClock };
      const random = seededRandom(5);
      await holdAgainstTruth({
        random,
        turns: 600,
        open: () => openSqliteStore({ path, ...where, ...cached }),
      });
    });

test("sqlite: a file of a newer format is refused by name and left alone", async () => {
  const path = await newPath();
  const database = new DatabaseSync(path);
  database.exec(
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID; INSERT INTO meta VALUES ('format', 99)",
  );
  database.close();
  await assert.rejects(
    async () => openSqliteStore({ path, clock: systemClock }),
    (error) => hasReason(error, "ServiceUnavailable") && error.message.includes("format 99"),
  );
});

test("sqlite: a damaged file is refused by name", async () => {
  const path = await newPath();
  await writeFile(path, "not a database, ".repeat(1_000));
  await assert.rejects(
    async () => openSqliteStore({ path, clock: systemClock }),
    (error) => hasReason(error, "ServiceUnavailable") && error.message.includes("damaged"),
  );
});

test("sqlite: a file that is damaged under an open store fails its readers by name, and answers nothing wrong", async () => {
  const path = await newPath();
  const keys = Array.from({ length: 1_000 }, (_, at) => `/a/${String(at).padStart(4, "0")}`);
  const write = async (): Promise<void> => {
    await using store = await openSqliteStore({ path, clock: systemClock });
    await Promise.all(keys.map((key) => put(store, key, key.repeat(500))));
  };
  await write();
  await using opened = await openSqliteStore({ path, clock: systemClock, cacheBytes: 0 });
  const pages = await readFile(path);
  await writeFile(path, pages.fill(0xff, 4_096)); // all but the first page; more than SQLite's own cache
  let failed = 0;
  for (const key of keys) {
    const read = await opened.get(key).catch((error: unknown) => {
      assert.ok(hasReason(error, "ServiceUnavailable") && error.message.includes("damaged"), String(error));
      failed += 1;
      return undefined;
    });
    if (read !== undefined) assert.equal(new TextDecoder().decode(read.value), key.repeat(500));
  }
  assert.ok(failed > 500, `${failed} of 1,000 reads failed`);
  await assert.rejects(opened.list({ prefix: "/" }), (error) => hasReason(error, "ServiceUnavailable"));
});

test("sqlite: a thread that ends fails reads and writes by name", async () => {
  const path = await newPath();
  let worker: Worker | undefined;
  const store = await openSqliteStore({
    path,
    clock: slowClock(),
    openWorker: (file) => (worker = openWorker(file)),
    cacheBytes: 0,
  });
  for (let at = 0; at < 20; at += 1) await put(store, `/a/${at}`, "one");
  assert.ok(worker !== undefined);
  const reading = store.get("/a/1");
  await worker.terminate();
  const isUnavailable = (error: unknown): boolean => hasReason(error, "ServiceUnavailable");
  await reading.catch((error: unknown) => assert.ok(isUnavailable(error)));
  await assert.rejects(store.get("/a/2"), isUnavailable);
  await assert.rejects(put(store, "/a/3", "two"), isUnavailable);
  await store[Symbol.asyncDispose]();
});
