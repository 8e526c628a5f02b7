import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync, existsSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import mqtt from "mqtt";
import { serve, startChild } from "./testing/broker-child.ts";
import { leaveSession, publishNumbers, readSession } from "./testing/load.ts";

const run = promisify(execFile);
const delay = (ms: number): Promise<void> => new Promise((resolve) => void setTimeout(resolve, ms));

if (process.argv[2] === "broker") await serve(process.argv[3] ?? "");
else tests();

function inFolder(work: (folder: string) => Promise<void>): () => Promise<void> {
  return async () => {
    const folder = mkdtempSync(join(tmpdir(), "mqtt-"));
    try {
      await work(folder);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  };
}

function tests(): void {
  const skip = existsSync("/usr/bin/mosquitto_pub") ? false : "mosquitto-clients is not installed";

  test(
    "mosquitto_sub and mosquitto_pub work: retained, QoS 1 and 2, offline queue, v5 refused",
    { skip },
    inFolder(async (folder) => {
      await using broker = await startChild(import.meta.filename, folder);
      const at = ["-h", "127.0.0.1", "-p", String(broker.port)];
      const sub = (...more: string[]) => run("mosquitto_sub", [...at, "-W", "5", ...more]);
      const pub = (...more: string[]) => run("mosquitto_pub", [...at, ...more]);
      await pub("-t", "/store104/fridge/temp", "-m", '{"temp": 97.4, "unit": "F"}', "-r", "-q", "1");
      const retained = await sub("-t", "/+/fridge/temp", "-C", "1", "-q", "1", "-v");
      assert.equal(retained.stdout, '/store104/fridge/temp {"temp": 97.4, "unit": "F"}\n');
      await sub("-i", "away", "-c", "-q", "1", "-t", "q/#", "-E");
      for (const qos of ["1", "2"]) await pub("-t", "q/1", "-m", `qos ${qos}`, "-q", qos);
      const offline = await sub("-i", "away", "-c", "-q", "1", "-t", "q/#", "-C", "2");
      assert.equal(offline.stdout, "qos 1\nqos 2\n");
      const lines = spawn("mosquitto_pub", [...at, "-t", "q/lines", "-l", "-q", "1"], {
        stdio: ["pipe", "ignore", "ignore"],
      });
      const gone = once(lines, "exit");
      lines.stdin.end(Array.from({ length: 500 }, (_, index) => `line ${index}\n`).join(""));
      await gone;
      const many = await sub("-i", "away", "-c", "-q", "1", "-t", "q/#", "-C", "500");
      assert.deepEqual(
        many.stdout.trim().split("\n"),
        Array.from({ length: 500 }, (_, index) => `line ${index}`),
      );
      await assert.rejects(pub("-V", "mqttv5", "-t", "a", "-m", "x"), /rotocol version/i);
      await assert.rejects(sub("-t", "a", "-C", "1", "-W", "1"), "nothing was published by the refused one");
      const uptime = await sub("-t", "$SYS/broker/uptime", "-C", "1");
      assert.match(uptime.stdout, /seconds/);
    }),
  );

  for (const over of ["tcp", "websocket"] as const)
    test(
      `MQTT.js works over ${over}`,
      inFolder(async (folder) => {
        await using broker = await startChild(import.meta.filename, folder);
        const url =
          over === "tcp" ? `mqtt://127.0.0.1:${broker.port}` : `ws://127.0.0.1:${broker.webPort}/mqtt`;
        const client = await mqtt.connectAsync(url, {
          protocolVersion: 4,
          clientId: "js",
          clean: false,
          reconnectPeriod: 0,
        });
        try {
          const got: string[] = [];
          client.on("message", (topic, payload) => void got.push(`${topic} ${payload.byteLength}`));
          await client.subscribeAsync({ "/a/#": { qos: 1 }, b: { qos: 0 } });
          await client.publishAsync("/a/big", Buffer.alloc(300_000, 1), { qos: 1 });
          await client.publishAsync("/a/two", "x", { qos: 2 });
          await client.publishAsync("b", "y", { qos: 0 });
          for (let at = 0; at < 100 && got.length < 3; at += 1) await delay(20);
          assert.deepEqual(got.toSorted(), ["/a/big 300000", "/a/two 1", "b 1"]);
        } finally {
          await client.endAsync(true);
        }
      }),
    );

  test(
    "a WebSocket without the subprotocol is refused",
    inFolder(async (folder) => {
      await using broker = await startChild(import.meta.filename, folder);
      const socket = new WebSocket(`ws://127.0.0.1:${broker.webPort}/mqtt`);
      const [event] = (await once(socket, "error")) as [Event];
      assert.equal(event.type, "error");
    }),
  );

  test(
    "kill -9 under load, three times: no acknowledged message is lost, order is kept",
    inFolder(async (folder) => {
      const acknowledged = new Set<number>();
      const received: number[] = [];
      let next = 0;
      for (let round = 0; round < 3; round += 1) {
        const broker = await startChild(import.meta.filename, folder);
        try {
          if (round === 0) await leaveSession(broker.port);
          else received.push(...(await readSession(broker.port)));
          const load = await publishNumbers(broker.port, next);
          await delay(500 + round * 150);
          await broker.kill();
          for (const number of load.acknowledged) acknowledged.add(number);
          next += 1_000_000;
          load.stop();
        } finally {
          await broker.kill();
        }
      }
      await using broker = await startChild(import.meta.filename, folder);
      received.push(...(await readSession(broker.port)));
      const got = new Set(received);
      const lost = [...acknowledged].filter((number) => !got.has(number));
      assert.equal(lost.length, 0, `${lost.length} of ${acknowledged.size} lost, the first is ${lost[0]}`);
      assert.ok(acknowledged.size > 1_000, `only ${acknowledged.size} were acknowledged`);
      assert.deepEqual(
        received,
        received.toSorted((a, b) => a - b),
      );
      assert.equal(got.size, received.length, "none came twice");
    }),
  );

  test(
    "a file where the folder should be is an error that names it",
    inFolder(async (folder) => {
      const path = join(folder, "file");
      writeFileSync(path, "");
      await assert.rejects(serve(path), /ENOTDIR|EEXIST/);
    }),
  );

  test(
    "a port in use is an error that names it",
    inFolder(async (folder) => {
      const taken = createServer().listen(0, "127.0.0.1");
      await once(taken, "listening");
      const address = taken.address();
      const port = typeof address === "object" ? (address?.port ?? 0) : 0;
      const { startBroker } = await import("./mqtt.ts");
      const { newMetrics } = await import("@cortado/std/metrics");
      const [
        { systemClock: clock },
        { systemFiles: files },
        { systemNetwork: network },
        { systemRandom: random },
        { silentLog: log },
      ] = await Promise.all([
        import("@cortado/std/node/clock"),
        import("@cortado/std/node/files"),
        import("@cortado/std/node/net"),
        import("@cortado/std/node/random"),
        import("@cortado/std/testing/silent-log"),
      ]);
      await using broker = await startBroker({
        files,
        folder,
        network,
        clock,
        random,
        log,
        metrics: newMetrics(),
      });
      await assert.rejects(
        broker.listen({ host: "127.0.0.1", port }),
        new RegExp(`cannot listen on 127.0.0.1:${port}`),
      );
      await new Promise((resolve) => void taken.close(resolve));
    }),
  );
}
