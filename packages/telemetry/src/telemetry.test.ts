import assert from "node:assert/strict";
import { test } from "node:test";
import { newClient, type Client } from "@cortado/client";
import { newLoopMetrics } from "@cortado/client/loop";
import type { WatchEvent } from "@cortado/client/transport";
import { startBroker } from "@cortado/mqtt";
import { connectMqtt } from "@cortado/mqtt/client";
import { newMetrics } from "@cortado/std/metrics";
import { seededRandom } from "@cortado/std/random";
import { HeldClock, settle } from "@cortado/std/testing/held-clock";
import { MemoryFiles } from "@cortado/std/testing/memory-files";
import { MemoryNetwork } from "@cortado/std/testing/memory-network";
import { silentLog } from "@cortado/std/testing/silent-log";
import { watchAlerts } from "./alerts/alerts.ts";
import { readCount } from "./machines.ts";
import { startTelemetry } from "./telemetry.ts";

const alert = (name: string, uid: string): unknown => ({
  apiVersion: "telemetry.cortado.dev/v1alpha1",
  kind: "Alert",
  metadata: { name, namespace: "coffee-shop", uid, resourceVersion: "1" },
  spec: {
    store: "store-042",
    source: "check",
    topic: "/store104/fridge/temp",
    payload: "97.4",
    text: "Warning: 97.4 F",
    at: "2026-11-23T08:00:00Z",
  },
});

function clientThatLists(items: readonly unknown[]): Client {
  return newClient({
    send: () => Promise.resolve({ status: 200, body: { items, metadata: { resourceVersion: "5" } } }),
    async *watch({ signal }): AsyncIterable<WatchEvent> {
      await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
    },
  });
}

test("every Alert comes into the journal once, over restarts, and waits while the journal is full", async () => {
  const clock = new HeldClock();
  const files = new MemoryFiles();
  const ports = { clock, files, folder: "/t", store: "store-042", random: seededRandom(1), log: silentLog };
  files.fault = new Error("ENOSPC");
  for (const round of [1, 2]) {
    await using telemetry = await startTelemetry({ ...ports, metrics: newMetrics() });
    const stop = new AbortController();
    const loopMetrics = newLoopMetrics(newMetrics());
    watchAlerts({
      client: clientThatLists([alert("a", "u1"), alert("b", "u2")]),
      journal: telemetry.journal,
      clock,
      log: silentLog,
      loopMetrics,
      signal: stop.signal,
    });
    await settle();
    if (round === 1) assert.deepEqual(await telemetry.journal.read({ after: 0, limit: 9 }), []);
    files.fault = undefined;
    await clock.advance(120_000);
    const events = await telemetry.journal.read({ after: 0, kinds: ["alert"], limit: 9 });
    assert.deepEqual(events.map(({ id }) => id).toSorted(), ["alert-u1", "alert-u2"]);
    assert.equal(events[0]?.payload["text"], "Warning: 97.4 F");
    stop.abort();
    await settle();
  }
  assert.equal(clock.pending, 0);
});

test("machine counters come from MQTT into the journal, at most one a minute each", async () => {
  const clock = new HeldClock();
  const random = seededRandom(2);
  const ports = { clock, random, log: silentLog, files: new MemoryFiles() };
  await using broker = await startBroker({
    ...ports,
    folder: "/mqtt",
    network: new MemoryNetwork(),
    metrics: newMetrics(),
  });
  const metrics = newMetrics();
  await using telemetry = await startTelemetry({
    ...ports,
    folder: "/t",
    store: "store-042",
    metrics,
    dialBroker: () => broker.dialLocal("telemetry"),
  });
  await settle();
  const machine = connectMqtt({
    clientId: "machine",
    cleanSession: true,
    clock,
    random,
    log: silentLog,
    stamped: true,
    dial: () => broker.dialLocal("machine"),
    onMessage() {},
  });
  const say = (topic: string, text: string): Promise<void> =>
    machine.publish({ topic, payload: new TextEncoder().encode(text), qos: 1 });
  await say("/store042/espresso/cycles", "117");
  await say("/store042/espresso/cycles", "118");
  await say("/store042/grinder/hours", '{"hours": 12.5}');
  await say("/store042/espresso/cycles", "broken");
  await settle();
  await clock.advance(61_000);
  await say("/store042/espresso/cycles", '{"cycles": 140}');
  await settle();
  const events = await telemetry.journal.read({ after: 0, kinds: ["machine"], limit: 9 });
  assert.deepEqual(
    events.map(({ payload }) => `${payload["machine"]} ${payload["counter"]} ${payload["value"]}`),
    ["espresso cycles 117", "grinder hours 12.5", "espresso cycles 140"],
  );
  assert.match(metrics.text(), /cortado_telemetry_next_sequence 4/);
  await machine[Symbol.asyncDispose]();
});

for (const { text, want } of [
  { text: "5", want: 5 },
  { text: '"5"', want: 5 },
  { text: '{"cycles":7}', want: 7 },
  { text: '{"value":"8"}', want: 8 },
  { text: "", want: undefined },
  { text: "-1", want: undefined },
  { text: "null", want: undefined },
  { text: '{"cycles":{}}', want: undefined },
])
  test(`a counter reads ${text} as ${want}`, () =>
    assert.equal(readCount(new TextEncoder().encode(text), "cycles"), want));
