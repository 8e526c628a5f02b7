import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { serve, startChild, type Child } from "../../packages/mqtt/src/testing/broker-child.ts";
import { malformedPackets } from "./suite/malformed.ts";
import { levelNames, suites, tryMalformed, tryStatement } from "./suite/run.ts";
import { statedNumbers } from "./suite/numbers.ts";

// Each numbered statement of the OASIS texts that binds a server, on our broker as a process. The same against another server:
// npm run statements -- HOST:PORT
if (process.argv[2] === "broker") await serve(process.argv[3] ?? "");
else tests();

function tests(): void {
  const folder = mkdtempSync(join(tmpdir(), "statements-"));
  let broker: Child;
  before(async () => {
    broker = await startChild(import.meta.filename, folder);
  });
  after(async () => {
    await broker.kill();
    rmSync(folder, { recursive: true, force: true });
  });
  const target = () => ({
    host: "127.0.0.1",
    port: broker.port,
    webSocket: `ws://127.0.0.1:${broker.webPort}/mqtt`,
    // As \`serve\` has it.
    scram: { username: "barista", password: "pencil" },
  });

  for (const { level, statements } of suites) {
    test(`${levelNames[level]}: every number of the text has its place here, once`, () => {
      const here = statements.map(({ number }) => number);
      assert.equal(new Set(here).size, here.length);
      assert.deepEqual(here.toSorted(), statedNumbers[level].toSorted());
    });

    test(`${levelNames[level]}: each statement holds`, { concurrency: 24 }, async (t) => {
      await Promise.all(
        statements.map((statement) => {
          const { number, says } = statement;
          const skip = "why" in statement ? statement.why : false;
          return t.test(`[MQTT-${number}] ${says}`, { skip }, async (inner) => {
            const { result, because } = await tryStatement(statement, target(), level);
            if (result === "left out") inner.skip(because);
            else assert.equal(result, "passed", because);
          });
        }),
      );
    });

    test(`${levelNames[level]}: malformed packets end their connection, and harm nobody`, async () => {
      const faults = await tryMalformed(malformedPackets(level), target(), level);
      assert.deepEqual(faults, []);
    });
  }
}
