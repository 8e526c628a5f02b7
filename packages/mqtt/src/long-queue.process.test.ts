import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { serve, startChild } from "./testing/broker-child.ts";
import { dialBroker, leaveSession } from "./testing/load.ts";

if (process.argv[2] === "broker") await serve(process.argv[3] ?? "");
else tests();

const rssMb = (pid: number): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1_024;

/** Publishes with QoS 1, 500 under way, until `count` are acknowledged. */
async function fill(port: number, count: number): Promise<void> {
  const done = Promise.withResolvers<void>();
  const payload = Buffer.alloc(100, 120);
  let sent = 0;
  let acknowledged = 0;
  const next = (): void => {
    sent += 1;
    const id = (sent % 60_000) + 1;
    writer.send({ type: "publish", topic: "/store104/n", payload, qos: 1, retain: false, dup: false, id });
  };
  const writer = await dialBroker(port, "filler", true, (packet) => {
    if (packet.type !== "puback") return;
    acknowledged += 1;
    if (acknowledged === count) done.resolve();
    else if (sent < count) next();
  });
  while (sent < 500) next();
  await done.promise;
  writer.socket.destroy();
}

function tests(): void {
  test("a queue of 300,000 messages lies on disk: memory does not grow with it, also after a kill", async () => {
    const folder = mkdtempSync(join(tmpdir(), "mqtt-queue-"));
    try {
      const memory: number[] = [];
      {
        await using broker = await startChild(import.meta.filename, folder);
        await leaveSession(broker.port);
        for (let part = 0; part < 3; part += 1) {
          await fill(broker.port, 100_000);
          memory.push(rssMb(broker.pid));
        }
      }
      const [, second = 0, last = 0] = memory; // the first has the warm-up in it
      assert.ok(last < second + 40, `RSS after each 100,000: ${memory.map(Math.round).join(", ")} MB`);
      await using broker = await startChild(import.meta.filename, folder);
      let got = 0;
      const all = Promise.withResolvers<void>();
      const reader = await dialBroker(broker.port, "away", false, (packet) => {
        if (packet.type !== "publish") return;
        reader.send({ type: "puback", id: packet.id });
        got += 1;
        if (got === 300_000) all.resolve();
      });
      await all.promise;
      reader.socket.destroy();
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
}
