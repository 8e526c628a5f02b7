import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { serve, startChild } from "../../packages/mqtt/src/testing/broker-child.ts";
import { Fuzzer, rssMb } from "./fuzz.ts";
import { Client } from "./suite/client.ts";

// Whole: CORTADO_FUZZ_SECONDS=600. A failure is tried again with its CORTADO_FUZZ_SEED.
const SECONDS = Number(process.env["CORTADO_FUZZ_SECONDS"] ?? 20);
const SEED = Number(process.env["CORTADO_FUZZ_SEED"] ?? Math.floor(performance.timeOrigin % 1e6));
const ATTACKERS = 8;
/** What a broker at its start needs and what eight attackers may hold up at once. */
const RSS_MB_MAX = 400;
const ANSWER_MS_MAX = 5_000;

// What attackers leave in queues stays below the disk's quota, so that it is nobody else's loss.
const limits = { tenantBytesMax: 64 * 2 ** 20 };

if (process.argv[2] === "broker") await serve(process.argv[3] ?? "", limits);
else tests();

function tests(): void {
  test(`${SECONDS} s of broken sessions (seed ${SEED}): it lives, stays small, and serves others`, async () => {
    const folder = mkdtempSync(join(tmpdir(), "fuzz-"));
    try {
      await using broker = await startChild(import.meta.filename, folder);
      const { port, pid } = broker;
      await using honest = await Client.dial({ host: "127.0.0.1", port }, 5);
      await honest.connect({ clientId: "honest", username: "honest" });
      // A topic that no `#` of theirs matches: a queue that is full would hold up whoever publishes to it, as it should.
      await honest.subscribe(["$honest/#", 1]);
      const endMs = performance.now() + SECONDS * 1_000;
      const fuzzers = Array.from({ length: ATTACKERS }, (_, at) => new Fuzzer({ port, seed: SEED + at }));
      const attacks = Promise.all(fuzzers.map((fuzzer) => fuzzer.run(endMs)));
      let [peakMb, slowestMs, round] = [0, 0, 0];
      for (; performance.now() < endMs; round += 1) {
        const startMs = performance.now();
        assert.equal((await honest.publish("$honest/topic", `${round}`, { qos: 1 }))?.code, 0);
        assert.equal((await honest.message("$honest/topic")).payload, `${round}`);
        slowestMs = Math.max(slowestMs, performance.now() - startMs);
        peakMb = Math.max(peakMb, rssMb(pid));
        await sleep(50);
      }
      await attacks;
      const sessions = fuzzers.reduce((sum, one) => sum + one.sessions, 0);
      const megabytes = Math.round(fuzzers.reduce((sum, one) => sum + one.bytes, 0) / 2 ** 20);
      console.log(
        `${sessions} sessions, ${megabytes} MB; ${round} honest messages, the slowest ${Math.round(slowestMs)} ms; peak RSS ${Math.round(peakMb)} MB`,
      );
      assert.ok(sessions > SECONDS, "it was attacked");
      assert.ok(peakMb < RSS_MB_MAX, `${Math.round(peakMb)} MB`);
      assert.ok(slowestMs < ANSWER_MS_MAX, `${Math.round(slowestMs)} ms`);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
}
