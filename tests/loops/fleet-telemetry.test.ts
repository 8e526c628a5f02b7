import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { alerts, namespaces } from "@cortado/kinds/resources";
import { newMetrics } from "@cortado/std/metrics";
import { seededRandom } from "@cortado/std/random";
import { StatusError } from "@cortado/std/status";
import { settle } from "@cortado/std/testing/held-clock";
import { MemoryFiles } from "@cortado/std/testing/memory-files";
import { silentLog } from "@cortado/std/testing/silent-log";
import { TelemetryJournal, type NewEvent } from "@cortado/telemetry";
import { openCentral, type Central } from "@cortado/telemetry/central";
import { keepAlertObjects } from "@cortado/telemetry/central/alert-objects";
import { uplinkOf } from "@cortado/telemetry/uplink";
import { agentOf, ScriptedHub } from "./fleet-hub.ts";
import { LoopWorld } from "./world.ts";

const folder = mkdtempSync(join(tmpdir(), "cortado-up-"));
after(() => rmSync(folder, { recursive: true, force: true }));
let files = 0;
const cluster = { namespace: "fleet-default", name: "store-1" };

const newEvent = (kind: NewEvent["kind"], number: number, text = "x"): NewEvent => ({
  id: `${kind}-${number}`,
  kind,
  at: "2026-11-23T08:00:00Z",
  payload: kind === "order" ? { order: `${number}`, amount: 350, state: "paid" } : { text, source: "check" },
});

/** A hub whose events lie in a real store of events; `lose` says what goes wrong with a message. */
class KeepingHub extends ScriptedHub {
  readonly path: string = join(folder, `${(files += 1)}.db`);
  central!: Central;
  lose: (message: number) => "message" | "answer" | undefined = () => undefined;
  messages = 0;
  bytes = 0;

  override async takeEvents(events: readonly unknown[]): Promise<number | undefined> {
    this.messages += 1;
    this.bytes += JSON.stringify(events).length;
    const lost = this.lose(this.messages);
    if (lost === "message") return this.#hangUp();
    const through = await this.central.take(cluster, events);
    return lost === "answer" ? this.#hangUp() : through;
  }

  async #hangUp(): Promise<undefined> {
    await this.hangUp();
    return undefined;
  }

  async ids(kinds?: readonly string[]): Promise<readonly string[]> {
    const found: string[] = [];
    for await (const events of this.central.read(kinds === undefined ? {} : { kinds }))
      found.push(...events.map(({ id }) => id));
    return found;
  }
}

async function startHub(world: LoopWorld): Promise<KeepingHub> {
  const hub = new KeepingHub();
  hub.central = await openCentral({
    path: hub.path,
    clock: world.clock,
    log: silentLog,
    metrics: newMetrics(),
  });
  return hub;
}

const openJournal = (world: LoopWorld, disk: MemoryFiles): Promise<TelemetryJournal> =>
  TelemetryJournal.open({ files: disk, folder: "/t", store: "store-1", clock: world.clock, log: silentLog });

const numbers = Array.from({ length: 40 }, (_, at) => at + 1);

for (const lost of ["message", "answer"] as const)
  test(`every event is at the hub once when every second ${lost} is lost with its connection`, async () => {
    await using world = await LoopWorld.start({ nodes: 0 });
    const hub = await startHub(world);
    await using journal = await openJournal(world, new MemoryFiles());
    await journal.append(
      numbers.map((number) => newEvent(number % 3 === 0 ? "order" : "log", number, "y".repeat(9_000))),
    );
    hub.lose = (message) => (message % 2 === 1 ? lost : undefined);
    await using _agent = agentOf(world, hub, { journal: uplinkOf(journal) });
    await world.until("all at the hub", async () => (await hub.ids()).length === 40, 600_000);
    await world.until("trimmed", () => Promise.resolve(journal.trimmedThrough >= 40), 60_000);
    assert.equal(new Set(await hub.ids()).size, 40);
    assert.equal((await hub.ids()).length, 40);
    await hub.central[Symbol.asyncDispose]();
  });

test("hub and store are killed between any two messages, and each event is at the hub once", async () => {
  await using world = await LoopWorld.start({ nodes: 0 });
  const hub = await startHub(world);
  const disk = new MemoryFiles();
  const wanted = new Set<string>();
  for (let round = 1; round <= 8; round += 1) {
    const journal = await openJournal(world, disk);
    const events = [
      newEvent("log", round, "z".repeat(30_000)),
      newEvent("order", round),
      newEvent("alert", round),
    ];
    await journal.append(events);
    for (const { id } of events) wanted.add(id);
    {
      await using _agent = agentOf(world, hub, { journal: uplinkOf(journal) });
      const before = hub.messages;
      await world.until("a message", () => Promise.resolve(hub.messages > before + (round % 3)), 600_000);
      await hub.hangUp();
    }
    // What was not disposed was killed: its files are all that is left of it.
    const killed = hub.central;
    hub.central = await openCentral({
      path: hub.path,
      clock: world.clock,
      log: silentLog,
      metrics: newMetrics(),
    });
    await killed[Symbol.asyncDispose]();
  }
  await using journal = await openJournal(world, disk);
  await using _agent = agentOf(world, hub, { journal: uplinkOf(journal) });
  await world.until("all at the hub", async () => (await hub.ids()).length >= wanted.size, 600_000);
  assert.deepEqual((await hub.ids()).toSorted(), [...wanted].toSorted());
  await hub.central[Symbol.asyncDispose]();
});

test("a store gathers in the dark; on its return orders and alerts come first, and only its budget of logs", async () => {
  await using world = await LoopWorld.start({ nodes: 0 });
  const hub = await startHub(world);
  await using journal = await openJournal(world, new MemoryFiles());
  await using _agent = agentOf(world, hub, { journal: uplinkOf(journal, { log: 1_000 }) });
  await world.until("connected", () => Promise.resolve(hub.link !== undefined));
  hub.isUp = false;
  await hub.hangUp();
  const logs = Array.from({ length: 60 }, (_, at) => newEvent("log", at + 1, "l".repeat(9_900)));
  await journal.append(logs);
  await journal.append([newEvent("alert", 1), newEvent("order", 1), newEvent("order", 2)]);
  await world.clock.advance(60_000);
  assert.deepEqual(await hub.ids(), []);
  hub.isUp = true;
  await world.until("the orders", async () => (await hub.ids(["order", "alert"])).length === 3, 120_000);
  assert.deepEqual((await hub.ids()).slice(0, 3), ["order-1", "order-2", "alert-1"]);
  await world.clock.advance(10_000);
  const sent = (await hub.ids(["log"])).length;
  // Two minutes of its rate may have been saved up, and one message more may put it in debt.
  assert.ok(sent >= 12 && sent <= 12 + 6 + 2, `${sent} logs`);
  await journal.append([newEvent("order", 3)]);
  await world.clock.advance(50);
  assert.ok((await hub.ids(["order"])).includes("order-3"), "an order does not wait for the logs' budget");
  await world.until("all logs", async () => (await hub.ids(["log"])).length === 60, 1_200_000);
  await world.until("trimmed", () => Promise.resolve(journal.trimmedThrough >= 63), 300_000);
  await hub.central[Symbol.asyncDispose]();
});

test("a hub whose disk is full acknowledges nothing, and has everything when there is room again", async () => {
  await using world = await LoopWorld.start({ nodes: 0 });
  const hub = await startHub(world);
  await using journal = await openJournal(world, new MemoryFiles());
  let isFull = true;
  const { take } = hub.central;
  hub.central.take = (...words) =>
    isFull
      ? Promise.reject(new StatusError("InsufficientStorage", "the disk is full"))
      : take.apply(hub.central, words);
  await journal.append([newEvent("order", 1)]);
  await using _agent = agentOf(world, hub, { journal: uplinkOf(journal) });
  await world.clock.advance(70_000);
  assert.ok(hub.messages >= 2, "it is sent again on the same connection");
  assert.equal(journal.trimmedThrough, 0);
  isFull = false;
  await world.until("the order", async () => (await hub.ids()).length === 1, 60_000);
  await hub.central[Symbol.asyncDispose]();
});

test("alerts of stores become objects at the hub, one each, over kills of the hub", async () => {
  await using world = await LoopWorld.start({ nodes: 0 });
  const hub = await startHub(world);
  const { client, clock, signal } = world;
  await client.create(namespaces, { metadata: { name: cluster.namespace } }, { signal });
  const random = seededRandom(4);
  for (let round = 1; round <= 3; round += 1) {
    const saving = hub.central.saveCursor.bind(hub.central);
    // Killed after the object was made and before the place was kept.
    hub.central.saveCursor = (...words) => (round === 2 ? new Promise(() => undefined) : saving(...words));
    const keeping = keepAlertObjects({ central: hub.central, client, clock, random, log: silentLog });
    await hub.central.take(cluster, [
      { ...newEvent("alert", round, "Warning: 97.4 F"), sequence: round },
      { ...newEvent("order", round), sequence: 10 + round },
    ]);
    for (let turn = 0; turn < 10; turn += 1) await settle();
    if (round !== 2) await keeping[Symbol.asyncDispose]();
    const killed = hub.central;
    hub.central = await openCentral({ path: hub.path, clock, log: silentLog, metrics: newMetrics() });
    if (round !== 2) await killed[Symbol.asyncDispose]();
  }
  const { items } = await client.list(alerts, { signal });
  assert.deepEqual(
    items.map(({ spec }) => spec),
    Array.from({ length: 3 }, () => ({
      store: "store-1",
      source: "check",
      text: "Warning: 97.4 F",
      at: "2026-11-23T08:00:00Z",
    })),
  );
  assert.ok(items.every(({ metadata }) => metadata.namespace === cluster.namespace));
  await hub.central[Symbol.asyncDispose]();
});
