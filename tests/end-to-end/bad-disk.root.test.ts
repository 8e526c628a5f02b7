import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { closeSync, fsyncSync, openSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { run } from "../clients/clients.ts";
import { LoopDisk, whyNoLoopDisk } from "../crash/loop-disk.ts";
import { call, DemoWorld, until, whyNoBoxes } from "./demo-world.ts";

// A disk that is full or read-only takes nothing new, says so by name, loses nothing that was acknowledged, and ends nothing that runs.
const missing = (await whyNoBoxes()) ?? whyNoLoopDisk();
const skip = missing ?? false;
const disk = missing === undefined ? new LoopDisk(2_048) : undefined;
const world = missing === undefined ? new DemoWorld(disk?.at) : undefined;
const session = "kept-session";

/** What a client was told is kept. */
const kept = { maps: [] as string[], orders: [] as string[], messages: [] as string[] };

before(async () => {
  if (world === undefined) return;
  await world.start();
  await listen("-E"); // makes the session, and leaves
});
after(async () => {
  try {
    await world?.end();
  } finally {
    disk?.[Symbol.dispose](); // also of a demo that could not clean up on it
  }
});

/** mosquitto_sub in the persistent session. */
async function listen(...words: readonly string[]): Promise<string> {
  const { port } = new URL(here().store.mqtt);
  const connect = ["-h", "127.0.0.1", "-p", port, "-i", session, "-c", "-q", "1", "-t", "kept/#"];
  return (await run("mosquitto_sub", [...connect, ...words], { timeoutMs: 20_000 })).out;
}

function here(): DemoWorld {
  assert.ok(world !== undefined);
  return world;
}

/** One of each; what is answered as done is noted. Answers what refused the others. */
async function tryAll(turn: string): Promise<readonly string[]> {
  return [...(await tryMap(turn)), ...(await tryOrder()), ...(await tryMessage(turn))];
}

async function tryMap(turn: string): Promise<readonly string[]> {
  const name = `kept-${turn}`;
  const filler = `--from-literal=filler=${"x".repeat(100_000)}`;
  const { code, err } = await here().kubectl("create", "configmap", name, filler);
  if (code !== 0) return [`api: ${err}`];
  kept.maps.push(name);
  return [];
}

async function tryOrder(): Promise<readonly string[]> {
  const id = randomUUID();
  const { status, text } = await here().order(1, id);
  if (status !== 201) return [`order: ${status} ${text}`];
  kept.orders.push(id);
  return [];
}

async function tryMessage(turn: string): Promise<readonly string[]> {
  const { code } = await here().publish("kept/messages", `${turn} ${"y".repeat(4_000)}`);
  if (code !== 0) return [`mqtt: ${code}`];
  kept.messages.push(turn);
  return [];
}

function fill(): void {
  const file = openSync(join(here().folder, "filler"), "w");
  for (const bytes of [1 << 20, 1 << 12, 512])
    try {
      for (;;) {
        writeSync(file, Buffer.alloc(bytes, 1));
        fsyncSync(file);
      }
    } catch (error) {
      assert.equal((error as NodeJS.ErrnoException).code, "ENOSPC");
    }
  closeSync(file);
}

async function nothingAcknowledgedIsLost(): Promise<void> {
  const maps = await here().mustKubectl("get", "configmaps", "-o", "jsonpath={.items[*].metadata.name}");
  assert.deepEqual(
    kept.maps.filter((name) => !maps.split(" ").includes(name)),
    [],
  );
  for (const id of kept.orders)
    assert.equal((await call(`${here().store.shop}/api/orders/${id}`)).status, 200, `order ${id}`);
  const turns = new Set((await listen("-W", "4")).split("\n").map((line) => line.split(" ")[0]));
  assert.deepEqual(
    kept.messages.filter((turn) => !turns.has(turn)),
    [],
  );
  kept.messages.splice(0); // the session has had them
}

async function readsGoOn(pid: number | null): Promise<void> {
  assert.equal(here().store.pid, pid, "our process lives");
  assert.match(await here().mustKubectl("get", "pods", "-n", "coffee-shop"), /^order-\S+ +1\/1 +Running/m);
  assert.equal((await call(`${here().store.shop}/api/menu`)).status, 200);
}

test(
  "a full disk: writes are refused by name, what runs goes on, and it sells again when there is room",
  { skip },
  async () => {
    const { pid } = here().store;
    assert.deepEqual(await tryAll("before"), []);
    fill();
    const refused = [...(await tryOrder()), ...(await tryMessage("full"))];
    // The store has room left in blocks that it owns already: some are still taken.
    for (let turn = 0; turn < 100 && !refused.some((text) => text.startsWith("api")); turn += 1)
      refused.push(...(await tryMap(`full-${turn}`)));
    assert.match(refused.join("\n"), /api: .*disk.* full/i);
    await readsGoOn(pid);
    await new Promise((resolve) => setTimeout(resolve, 25_000)); // two looks of the eviction
    await readsGoOn(pid);
    rmSync(join(here().folder, "filler"));
    await until("an order", async () => (await here().order()).status === 201, 30_000);
    await until("all of it", async () => (await tryAll(`after-${randomUUID()}`)).length === 0, 30_000);
    await nothingAcknowledgedIsLost();
  },
);

test(
  "a disk that turns read-only: the same, and a start on the mended disk finds all",
  { skip },
  async () => {
    const { pid } = here().store;
    assert.deepEqual(await tryAll("sound"), []);
    disk?.turnReadOnly();
    const refused = await tryAll("read-only");
    assert.match(refused.join("\n"), /api: .*(read-only|disk)/i);
    assert.match(refused.join("\n"), /order: 5\d\d/);
    assert.match(refused.join("\n"), /mqtt: /);
    await readsGoOn(pid);
    await here().stop();
    disk?.mountAgain();
    await here().start();
    await until("an order", async () => (await here().order()).status === 201, 30_000);
    await nothingAcknowledgedIsLost();
  },
);
