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
import { ScramClient } from "./testing/scram-client.ts";
import { ExactPair, leaveSession, publishNumbers, readSession } from "./testing/load.ts";

const run = promisify(execFile);
const delay = (ms: number): Promise<void> => new Promise((resolve) => void setTimeout(resolve, ms));

const fridgeFilters = [
  "/store104/fridge/temp",
  "/store104/fridge/+",
  "/store104/#",
  "/#",
  "#",
  "+/store104/fridge/temp",
  "/+/fridge/temp",
  "/+/+/+",
  "+/+/+/+",
  "+/#",
  "/store104/fridge/temp/#",
  "/store104/+/temp",
  "+/+/fridge/#",
];

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
    "mosquitto_sub and mosquitto_pub work: retained, QoS 1 and 2, offline queue",
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
      const uptime = await sub("-t", "$SYS/broker/uptime", "-C", "1");
      assert.match(uptime.stdout, /seconds/);
    }),
  );

  test(
    "mosquitto_sub and mosquitto_pub speak MQTT 5: QoS 2, properties, retained, expiry, shares, the 13 filters",
    { skip },
    inFolder(async (folder) => {
      await using broker = await startChild(import.meta.filename, folder);
      const at = ["-h", "127.0.0.1", "-p", String(broker.port), "-V", "mqttv5"];
      const sub = (...more: string[]) => run("mosquitto_sub", [...at, "-W", "8", ...more]);
      const pub = (...more: string[]) => run("mosquitto_pub", [...at, ...more]);
      const fridge = "/store104/fridge/temp";
      const session = ["-c", "-i", "away", "-q", "2"];
      await sub(...session, "-t", "/store104/#", "-E");
      const properties = [
        ["content-type", "application/json"],
        ["response-topic", "answers/1"],
        ["correlation-data", "42"],
        ["message-expiry-interval", "600"],
      ].flatMap((one) => ["-D", "publish", ...one]);
      await pub(
        "-q",
        "2",
        "-t",
        fridge,
        "-m",
        "97.4",
        "-r",
        ...properties,
        "-D",
        "publish",
        "user-property",
        "shop",
        "104",
      );
      await pub(
        "-q",
        "1",
        "-t",
        "/store104/x",
        "-m",
        "gone",
        "-D",
        "publish",
        "message-expiry-interval",
        "1",
      );
      await delay(1_300);
      await pub("-q", "1", "-t", "/store104/x", "-m", "second");
      const got = await sub(...session, "-t", "/store104/#", "-C", "2", "-F", "%q %r %p %C %R %D");
      // QoS 2 is shown when it is complete, so that the one behind it may come first.
      assert.deepEqual(
        got.stdout
          .split("\n")
          .map((line) => line.trim())
          .toSorted(),
        ["", "1 0 second", "2 0 97.4 application/json answers/1 42"],
      );
      for (const filter of fridgeFilters) {
        const retained = await sub("-q", "2", "-t", filter, "-C", "1", "-F", "%q %r %t");
        assert.equal(retained.stdout.trim(), `2 1 ${fridge}`, filter);
      }
      const member = (): Promise<{ stdout: string }> =>
        run("mosquitto_sub", [...at, "-W", "3", "-q", "1", "-t", `$share/g/${fridge}`]).catch(
          (error: { stdout: string }) => error,
        );
      const members = [member(), member()];
      await delay(1_000);
      for (let index = 0; index < 6; index += 1) await pub("-q", "1", "-t", fridge, "-m", String(index));
      const shares = (await Promise.all(members)).map(({ stdout }) => stdout.trim().split("\n"));
      assert.deepEqual(
        shares.map(({ length }) => length),
        [3, 3],
      );
      assert.deepEqual(shares.flat().toSorted(), ["0", "1", "2", "3", "4", "5"]);
    }),
  );

  test(
    "MQTT.js speaks MQTT 5: aliases, user properties, request and response, reason codes",
    inFolder(async (folder) => {
      await using broker = await startChild(import.meta.filename, folder);
      const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${broker.port}`, {
        protocolVersion: 5,
        clientId: "js",
        clean: false,
        reconnectPeriod: 0,
        autoAssignTopicAlias: true,
        properties: { sessionExpiryInterval: 60, topicAliasMaximum: 10, requestResponseInformation: true },
      });
      try {
        const got: { topic: string; text: string; user: unknown; ids: unknown }[] = [];
        client.on("message", (topic, payload, { properties }) => {
          got.push({
            topic,
            text: payload.toString(),
            user: { ...properties?.userProperties },
            ids: properties?.subscriptionIdentifier,
          });
        });
        const granted = await client.subscribeAsync("/a/#", {
          qos: 2,
          properties: { subscriptionIdentifier: 7 },
        });
        assert.deepEqual(
          granted.map(({ qos }) => qos),
          [2],
        );
        for (const text of ["1", "2", "3"])
          await client.publishAsync("/a/b", text, { qos: 2, properties: { userProperties: { k: text } } });
        for (let at = 0; at < 100 && got.length < 3; at += 1) await delay(20);
        assert.deepEqual(
          got,
          ["1", "2", "3"].map((text) => ({ topic: "/a/b", text, user: { k: text }, ids: 7 })),
        );
        await assert.rejects(client.publishAsync("$SYS/x", "x", { qos: 1 }), /Topic Name invalid/i);
      } finally {
        await client.endAsync(true);
      }
    }),
  );

  test(
    "MQTT.js authenticates by SCRAM-SHA-256, and a wrong password is not let in",
    inFolder(async (folder) => {
      await using broker = await startChild(import.meta.filename, folder);
      const connect = async (password: string): Promise<mqtt.MqttClient> => {
        const scram = new ScramClient({ name: "anna", password });
        const client = mqtt.connect(`mqtt://127.0.0.1:${broker.port}`, {
          protocolVersion: 5,
          reconnectPeriod: 0,
          properties: { authenticationMethod: "SCRAM-SHA-256", authenticationData: scram.first },
        });
        client.handleAuth = (packet, done) => {
          const { authenticationData = Buffer.alloc(0) } = packet.properties ?? {};
          const properties = {
            authenticationMethod: "SCRAM-SHA-256",
            authenticationData: scram.last(authenticationData),
          };
          done(undefined, { cmd: "auth", reasonCode: 24, properties });
        };
        await new Promise<void>((resolve, reject) => {
          client.once("error", reject);
          client.once("connect", ({ properties }) => {
            if (scram.isSatisfied(properties?.authenticationData)) resolve();
            else reject(new Error("the broker does not know the password"));
          });
        });
        return client;
      };
      const client = await connect("pencil");
      await client.publishAsync("/a", "x", { qos: 1 });
      await client.endAsync(true);
      await assert.rejects(connect("pen"), /not authorized/i);
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
    "kill -9 under a load of QoS 2, four times: each acknowledged message comes, and none twice",
    inFolder(async (folder) => {
      const exact = new ExactPair();
      for (let round = 0; round < 4; round += 1) {
        await using broker = await startChild(import.meta.filename, folder);
        await exact.start(broker.port, { publishing: true });
        await delay(300 + round * 130);
        await broker.kill();
        exact.stop();
      }
      await using broker = await startChild(import.meta.filename, folder);
      await exact.start(broker.port, { publishing: false });
      for (let quiet = 0; quiet < 100 && exact.openExchanges > 0; quiet += 1) await delay(50);
      exact.stop();
      const got = new Set(exact.received);
      assert.equal(got.size, exact.received.length, "none twice");
      assert.deepEqual(
        [...exact.acknowledged].filter((number) => !got.has(number)),
        [],
      );
      assert.ok(exact.acknowledged.size > 200, `only ${exact.acknowledged.size} were acknowledged`);
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
