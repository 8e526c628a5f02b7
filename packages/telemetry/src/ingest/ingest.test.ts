import assert from "node:assert/strict";
import { test } from "node:test";
import type { HttpAnswer, HttpRequest } from "@cortado/std/http";
import { HeldClock } from "@cortado/std/testing/held-clock";
import { MemoryFiles } from "@cortado/std/testing/memory-files";
import { silentLog } from "@cortado/std/testing/silent-log";
import { TelemetryJournal } from "../journal/journal.ts";
import { newEventsHandler } from "./ingest.ts";

const order = {
  id: "o-1",
  kind: "order",
  at: "2026-11-23T08:00:00Z",
  order: "11",
  amount: 350,
  state: "paid",
};

async function open(): Promise<{
  journal: TelemetryJournal;
  call: (method: string, body: string, query?: string) => Promise<HttpAnswer>;
}> {
  const journal = await TelemetryJournal.open({
    files: new MemoryFiles(),
    folder: "/t",
    store: "store-042",
    clock: new HeldClock(),
    log: silentLog,
  });
  const handle = newEventsHandler(journal);
  const call = (method: string, body: string, query = ""): Promise<HttpAnswer> => {
    const request: HttpRequest = {
      method,
      path: "/telemetry/v1/events",
      query: new URLSearchParams(query),
      headers: {},
      remote: "test",
      signal: new AbortController().signal,
      body: () => Promise.resolve(new TextEncoder().encode(body)),
      pieces: (async function* () {
        yield new TextEncoder().encode(body);
      })(),
    };
    return handle(request);
  };
  return { journal, call };
}

test("array, one object and JSON lines are taken once, and given as JSON lines", async () => {
  const { call } = await open();
  const answers = [
    await call("POST", JSON.stringify([order, { ...order, id: "o-2" }])),
    await call("POST", JSON.stringify(order, undefined, 2)),
    await call(
      "POST",
      `${JSON.stringify({ ...order, id: "o-3" })}\n\n${JSON.stringify({ ...order, id: "m-1", kind: "machine" })}\n`,
    ),
  ];
  assert.deepEqual(
    answers.map(({ status, body }) => `${status} ${String(body).trim()}`),
    [
      '200 {"appended":2,"known":0,"dropped":0}',
      '200 {"appended":0,"known":1,"dropped":0}',
      '200 {"appended":2,"known":0,"dropped":0}',
    ],
  );
  const given = await call("GET", "", "kind=order&after=1");
  const events = String(given.body)
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  assert.deepEqual(events, [
    {
      id: "o-2",
      store: "store-042",
      sequence: 2,
      at: order.at,
      kind: "order",
      payload: { order: "11", amount: 350, state: "paid" },
    },
    {
      id: "o-3",
      store: "store-042",
      sequence: 3,
      at: order.at,
      kind: "order",
      payload: { order: "11", amount: 350, state: "paid" },
    },
  ]);
});

for (const { name, body, status, says } of [
  { name: "a token", body: { ...order, token: "x" }, status: 422, says: /event 0: token may not be sent/ },
  {
    name: "a token deep inside",
    body: { ...order, payment: { card: [{ Token: "x" }] } },
    status: 422,
    says: /payment\.card\.0\.Token/,
  },
  {
    name: "a token under another name",
    body: { ...order, reference: "tok_visa" },
    status: 422,
    says: /reference is a payment token/,
  },
  { name: "a card number", body: { ...order, cardNumber: "4242" }, status: 422, says: /cardNumber/ },
  { name: "no id", body: { kind: "order", at: order.at }, status: 422, says: /event 0: id must/ },
  { name: "an unknown kind", body: { ...order, kind: "tea" }, status: 422, says: /kind must be/ },
  { name: "a time that is none", body: { ...order, at: "noon" }, status: 422, says: /at must be/ },
  { name: "a list in a list", body: [[order]], status: 400, says: /not an object/ },
  { name: "too many", body: Array.from({ length: 1_001 }, () => order), status: 413, says: /at most 1000/ },
  { name: "a huge one", body: { ...order, text: "x".repeat(70_000) }, status: 413, says: /over 65536/ },
])
  test(`refused: ${name}`, async () => {
    const { call, journal } = await open();
    const answer = await call("POST", JSON.stringify(body));
    assert.equal(answer.status, status);
    assert.match((JSON.parse(String(answer.body)) as { message: string }).message, says);
    assert.deepEqual(await journal.read({ after: 0, limit: 9 }), [], "and nothing of it is kept");
  });

test("what is no JSON, an unknown method and a wrong query get their errors", async () => {
  const { call } = await open();
  assert.equal((await call("POST", "{")).status, 400);
  assert.equal((await call("DELETE", "")).status, 405);
  assert.equal((await call("GET", "", "after=x")).status, 400);
  assert.equal((await call("GET", "", "kind=tea")).status, 400);
});
