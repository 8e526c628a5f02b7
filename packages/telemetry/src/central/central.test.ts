import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { Worker } from "node:worker_threads";
import type { HttpAnswer } from "@cortado/std/http";
import { newMetrics } from "@cortado/std/metrics";
import { seededRandom } from "@cortado/std/random";
import { hasReason } from "@cortado/std/status";
import { HeldClock, settle } from "@cortado/std/testing/held-clock";
import { silentLog } from "@cortado/std/testing/silent-log";
import type { Alert } from "@cortado/kinds";
import type { Stored } from "@cortado/client";
import { alertName, tooOld } from "./alert-objects.ts";
import { openCentral, type Central, type CentralEvent, type CentralOptions } from "./central.ts";
import { followEvents } from "./cursor.ts";
import { answerEvents, readEventsQuery } from "./events-query.ts";

const folder = mkdtempSync(join(tmpdir(), "cortado-central-"));
after(() => rmSync(folder, { recursive: true, force: true }));
let files = 0;

function newPath(): string {
  return join(folder, `${(files += 1)}.db`);
}

function open(more: Partial<CentralOptions> = {}): Promise<Central> {
  return openCentral({
    path: newPath(),
    clock: new HeldClock(),
    log: silentLog,
    metrics: newMetrics(),
    ...more,
  });
}

const first = { namespace: "fleet-default", name: "store-042" };
const second = { namespace: "fleet-default", name: "store-104" };
const order = (sequence: number, state = "paid"): Readonly<Record<string, unknown>> => ({
  id: `o-${sequence}`,
  store: "somebody-else",
  kind: "order",
  sequence,
  at: `2026-11-23T08:00:0${sequence % 10}.000Z`,
  payload: { order: "11", amount: 350, state, currency: "EUR" },
});
const other = (kind: string, sequence: number): Readonly<Record<string, unknown>> => ({
  id: `${kind}-${sequence}`,
  kind,
  sequence,
  at: "2026-11-23T08:00:00Z",
  payload: { place: "store042", counter: "cycles", value: sequence },
});

async function all(central: Central, filter: Parameters<Central["read"]>[0] = {}): Promise<CentralEvent[]> {
  const found: CentralEvent[] = [];
  for await (const slice of central.read(filter)) found.push(...slice);
  return found;
}

async function ask(central: Central, query: string): Promise<{ answer: HttpAnswer; lines: unknown[] }> {
  const answer = await answerEvents(central, readEventsQuery(new URLSearchParams(query)));
  let text = "";
  for await (const piece of answer.body as AsyncIterable<string>) text += piece;
  return {
    answer,
    lines: text.split("\n").flatMap((line) => (line === "" ? [] : [JSON.parse(line) as unknown])),
  };
}

test("an event counts once by store and id, over restarts, and two stores may use one id", async () => {
  const path = newPath();
  const killed = await open({ path });
  assert.equal(await killed.take(first, [order(1), order(2)]), 2);
  // Killed between the disk and the acknowledgement: the store sends it again to the next process.
  await using central = await open({ path });
  assert.equal(await central.take(first, [order(2), order(3)]), 3);
  assert.equal(await central.take(second, [order(1)]), 1);
  assert.deepEqual(
    (await all(central)).map(({ id, store }) => `${store.name} ${id}`),
    ["store-042 o-1", "store-042 o-2", "store-042 o-3", "store-104 o-1"],
  );
  await killed[Symbol.asyncDispose]();
});

test("many stores at once share a commit, and each is answered", async () => {
  const commits = newMetrics();
  await using central = await open({ metrics: commits });
  const answers = await Promise.all(
    Array.from({ length: 50 }, (_, at) => central.take({ namespace: "n", name: `s-${at}` }, [order(at + 1)])),
  );
  assert.deepEqual(
    answers,
    Array.from({ length: 50 }, (_, at) => at + 1),
  );
  assert.match(commits.text(), /cortado_central_events_total\{result="new"\} 50/);
});

test("on a slow disk a thread writes, and nothing is lost on the way there", async () => {
  const clock = new HeldClock();
  let now = 0;
  clock.monotonicMs = () => (now += 20); // each commit seems slow
  const path = newPath();
  const threads: string[] = [];
  const openWriter = (at: string): Worker => {
    threads.push(at);
    const writer = new URL("./node/writer-thread.ts", import.meta.url).href;
    const source = `const { parentPort } = require("node:worker_threads");
      import(${JSON.stringify(writer)}).then(({ serveEventWriter }) => serveEventWriter(parentPort, ${JSON.stringify(at)}));`;
    return new Worker(source, { eval: true });
  };
  await using central = await open({ path, clock, openWriter });
  for (let at = 1; at <= 20; at += 1) assert.equal(await central.take(first, [order(at)]), at);
  assert.deepEqual(threads, [path]);
  assert.equal((await all(central)).length, 20);
});

test("what is malformed is left out and acknowledged; what cannot be acknowledged is refused", async () => {
  await using central = await open();
  const broken = [{ ...order(1), payload: "text" }, "words", { ...order(2), at: "soon" }, order(3)];
  assert.equal(await central.take(first, broken), 3);
  assert.deepEqual(
    (await all(central)).map(({ id }) => id),
    ["o-3"],
  );
  for (const sent of [[], ["words"], [{ ...order(1), sequence: "1" }]])
    await assert.rejects(central.take(first, sent), (error) => hasReason(error, "BadRequest"));
});

test("orders are lines of their contract, machine events have their payload, and a page goes on where it ended", async () => {
  await using central = await open();
  await central.take(first, [order(1), order(2, "ready"), other("machine", 3)]);
  await central.take(second, [order(1)]);
  const orders = await ask(central, "store=store-042&kind=order");
  assert.deepEqual(orders.lines, [
    {
      id: "o-1",
      store: "store-042",
      sequence: 1,
      at: "2026-11-23T08:00:01.000Z",
      order: "11",
      amount: 350,
      state: "paid",
    },
    {
      id: "o-2",
      store: "store-042",
      sequence: 2,
      at: "2026-11-23T08:00:02.000Z",
      order: "11",
      amount: 350,
      state: "ready",
    },
  ]);
  assert.deepEqual((await ask(central, "kind=machine")).lines, [
    {
      id: "machine-3",
      store: "store-042",
      sequence: 3,
      at: "2026-11-23T08:00:00Z",
      place: "store042",
      counter: "cycles",
      value: 3,
    },
  ]);
  const ids: unknown[] = [];
  let from = "";
  for (let pages = 0; pages < 9; pages += 1) {
    const page = await ask(central, `limit=3${from}`);
    ids.push(...page.lines.map((line) => (line as { id: string }).id));
    const next = page.answer.headers?.["cortado-continue"];
    if (next === undefined) break;
    from = `&continue=${next}`;
  }
  assert.deepEqual(ids, ["o-1", "o-2", "machine-3", "o-1"]);
  const count = async (query: string): Promise<number> => (await ask(central, query)).lines.length;
  assert.equal(await count("store=fleet-default/store-104"), 1);
  assert.equal(await count("store=elsewhere/store-104"), 0);
  assert.equal(await count("store=store-042&kind=order&after=1"), 1);
  assert.equal(await count("kind=order&since=2026-11-23T08:00:02Z"), 1);
  assert.equal(await count("kind=order,machine&until=2026-11-23T08:00:01Z"), 1);
});

test("more events than one look covers are all read, in their order", async () => {
  await using central = await open();
  const many = Array.from({ length: 6_000 }, (_, at) => other(at % 100 === 0 ? "machine" : "log", at + 1));
  await central.take(first, many);
  await central.take(second, [order(1)]);
  assert.equal((await all(central)).length, 6_001);
  assert.deepEqual(
    (await all(central, { kinds: ["order"] })).map(({ position }) => position),
    [6_001],
  );
  assert.equal((await ask(central, "kind=machine&limit=60")).lines.length, 60);
});

for (const { query, names } of [
  { query: "kind=cup", names: "kind" },
  { query: "after=-1", names: "after" },
  { query: "limit=0", names: "limit" },
  { query: "limit=ten", names: "limit" },
  { query: "since=yesterday", names: "since" },
  { query: "until=", names: "until" },
  { query: "store=", names: "store" },
  { query: "store=a/b/c", names: "store" },
  { query: "continue=x", names: "continue" },
  { query: "stor=store-042", names: "stor" },
  { query: "limit=1&limit=2", names: "limit" },
])
  test(`?${query} is refused and the parameter named`, () =>
    assert.throws(
      () => readEventsQuery(new URLSearchParams(query)),
      (error) => hasReason(error, "BadRequest") && error.message.startsWith(`parameter ${names}: `),
    ));

test("what is old goes by its kind's days, counted from when the hub had it", async () => {
  const clock = new HeldClock();
  await using central = await open({ clock });
  await central.take(first, [other("log", 1), order(2), other("newer-kind", 3)]);
  await clock.advance(8 * 86_400_000);
  await central.take(first, [other("log", 4)]);
  await clock.advance(600_000);
  await settle();
  assert.deepEqual(
    (await all(central)).map(({ id }) => id),
    ["o-2", "log-4"],
  );
});

test("a full store forgets logs before machine counts, and orders last", async () => {
  const clock = new HeldClock();
  await using central = await open({ clock, bytesMax: 1_500_000 });
  const wide = (kind: string, at: number) => ({ ...other(kind, at), payload: { text: "x".repeat(1_000) } });
  let sequence = 0;
  const fill = async (kind: string, count: number): Promise<void> => {
    await central.take(
      first,
      Array.from({ length: count }, () => wide(kind, (sequence += 1))),
    );
    for (let turn = 0; turn < 30; turn += 1) await settle();
  };
  const countOf = async (kind: string): Promise<number> => (await all(central, { kinds: [kind] })).length;
  await fill("order", 500);
  await fill("machine", 300);
  await fill("log", 500);
  assert.ok((await countOf("log")) < 500);
  assert.equal(await countOf("machine"), 300);
  await fill("order", 800);
  assert.equal(await countOf("log"), 0);
  assert.equal(await countOf("machine"), 0);
  assert.ok((await countOf("order")) >= 300, "one step of the oldest orders went, the others are there");
});

test("a durable reader has each event at least once over kills, and nothing past a failure", async () => {
  const clock = new HeldClock();
  const path = newPath();
  const seen: string[] = [];
  let failing = true;
  for (const round of [1, 2]) {
    await using central = await open({ clock, path });
    const stop = new AbortController();
    const following = followEvents({
      central,
      name: "reader",
      kinds: ["order"],
      begin: "oldest",
      clock,
      random: seededRandom(1),
      log: silentLog,
      signal: stop.signal,
      handle: (events) => {
        if (failing) return Promise.reject(new Error("nobody there"));
        seen.push(...events.map(({ id }) => id));
        return Promise.resolve();
      },
    });
    await central.take(first, [order(round), other("log", 10 + round)]);
    await settle();
    assert.equal(seen.length, round === 1 ? 0 : 2);
    failing = false;
    await clock.advance(5_000);
    for (let turn = 0; turn < 5; turn += 1) await settle();
    assert.deepEqual(seen, round === 1 ? ["o-1"] : ["o-1", "o-2"]);
    stop.abort();
    await following;
  }
});

test("alerts have one name by store and event, and old ones go by age and by number of their store", () => {
  const at = { namespace: "fleet-default", name: "store" };
  assert.equal(alertName({ store: at, id: "alert-1" }), alertName({ store: { ...at }, id: "alert-1" }));
  assert.notEqual(alertName({ store: at, id: "alert-1" }), alertName({ store: first, id: "alert-1" }));
  const nowMs = Date.UTC(2026, 10, 23);
  const made = (store: string, days: number): Stored<Alert> =>
    ({
      metadata: {
        name: `${store}-${days}`,
        creationTimestamp: new Date(nowMs - days * 86_400_000).toISOString(),
      },
      spec: { store },
    }) as unknown as Stored<Alert>;
  const loud = Array.from({ length: 250 }, (_, index) => made("loud", index / 100));
  const gone = tooOld([made("quiet", 1), made("quiet", 31), ...loud], nowMs);
  assert.equal(gone.filter(({ spec }) => spec.store === "loud").length, 50);
  assert.deepEqual(
    gone.filter(({ spec }) => spec.store === "quiet").map(({ metadata }) => metadata.name),
    ["quiet-31"],
  );
});
