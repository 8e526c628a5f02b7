import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { DatabaseSync } from "node:sqlite";
import { Worker } from "node:worker_threads";
import { systemClock } from "@cortado/std/node/clock";
import { HeldClock } from "@cortado/std/testing/held-clock";
import { hasReason } from "@cortado/std/status";
import { storeConformance } from "../../testing/conformance.ts";
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

async function open(options: { clock: HeldClock | typeof systemClock; openWorker?: OpenWorker }) {
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
