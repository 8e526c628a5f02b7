import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { newMetrics } from "@cortado/std/metrics";
import { systemClock } from "@cortado/std/node/clock";
import { dialTls } from "@cortado/std/node/dial-tls";
import { systemFiles } from "@cortado/std/node/files";
import { systemNetwork } from "@cortado/std/node/net";
import { systemRandom } from "@cortado/std/node/random";
import { silentLog } from "@cortado/std/testing/silent-log";
import mqtt from "mqtt";
import { startBroker, type Broker } from "../mqtt.ts";
import { freePort, RemoteBroker, skipWithout, type RemoteKind } from "../testing/remote-brokers.ts";
import { readMark } from "./mark.ts";
import { bridgeDefaults, openRemote, type BridgeSettings } from "./settings.ts";

const delay = (ms: number): Promise<void> => new Promise((resolve) => void setTimeout(resolve, ms));

async function until(reached: () => boolean, what: () => string, withinMs = 30_000): Promise<void> {
  for (let waited = 0; waited < withinMs; waited += 20) {
    if (reached()) return;
    await delay(20);
  }
  throw new Error(`not reached within ${withinMs} ms: ${what()}`);
}

function inFolder(work: (folder: string) => Promise<void>): () => Promise<void> {
  return async () => {
    const folder = mkdtempSync(join(tmpdir(), "mqtt-bridge-"));
    try {
      await work(folder);
    } finally {
      rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
    }
  };
}

/** Our broker on real files and sockets. */
async function startStore(folder: string): Promise<{ broker: Broker; url: string } & AsyncDisposable> {
  const broker = await startBroker({
    files: systemFiles,
    folder: join(folder, "store"),
    network: systemNetwork,
    clock: systemClock,
    random: systemRandom,
    log: silentLog,
    metrics: newMetrics(),
    dialRemote: (address, { tls, signal }) =>
      tls === undefined
        ? systemNetwork.dial(address, { signal })
        : dialTls(address, { tls, withinMs: 5_000, signal }),
  });
  const listening = await broker.listen({ host: "127.0.0.1", port: 0 });
  const port = "port" in listening.address ? listening.address.port : 0;
  return {
    broker,
    url: `mqtt://127.0.0.1:${port}`,
    [Symbol.asyncDispose]: () => broker[Symbol.asyncDispose](),
  };
}

type Reader = AsyncDisposable & {
  readonly client: mqtt.MqttClient;
  readonly got: { topic: string; text: string; userProperties: Record<string, string | string[]> }[];
};

async function reader(url: string, filter: string, protocolVersion: 4 | 5 = 4): Promise<Reader> {
  const client = await mqtt.connectAsync(url, { protocolVersion, reconnectPeriod: 0 });
  const got: Reader["got"] = [];
  client.on("message", (topic, payload, packet) =>
    got.push({
      topic,
      text: payload.toString(),
      userProperties: { ...packet.properties?.userProperties } as Record<string, string | string[]>,
    }),
  );
  await client.subscribeAsync(filter, { qos: 1 });
  return { client, got, [Symbol.asyncDispose]: () => client.endAsync(true) };
}

function settingsFor(port: number, more: Partial<BridgeSettings>): BridgeSettings {
  return {
    ...bridgeDefaults,
    name: "hq",
    clientId: "store-104.hq",
    addresses: [{ host: "127.0.0.1", port }],
    topics: [
      { pattern: "/store104/#", direction: "out", qos: 1, localPrefix: "", remotePrefix: "hq" },
      { pattern: "orders/#", direction: "in", qos: 1, localPrefix: "", remotePrefix: "hq/store104/" },
    ],
    backoffFirstMs: 100,
    backoffMaxMs: 500,
    ...more,
  };
}

async function connected({ broker }: { readonly broker: Broker }): Promise<void> {
  const status = (): ReturnType<Broker["bridges"]["status"]> => broker.bridges.status("hq");
  await until(
    () => status()?.state === "connected",
    () => `connected: ${status()?.state}, ${status()?.lastError}`,
  );
}

type Remote = {
  readonly kind: RemoteKind;
  readonly title: string;
  readonly settings: Partial<BridgeSettings>;
  readonly hasIds?: boolean;
};

const remotes: readonly Remote[] = [
  { kind: "mosquitto", title: "mosquitto, MQTT 5", settings: {}, hasIds: true },
  { kind: "mosquitto", title: "mosquitto, MQTT 3.1.1", settings: { level: 4 } },
  {
    kind: "nats",
    title: "NATS JetStream",
    settings: { level: 4, notifications: false, remote: { ...openRemote, qosMax: 1 } },
  },
  { kind: "rabbitmq", title: "RabbitMQ", settings: { level: 4, remote: { ...openRemote, qosMax: 1 } } },
];

for (const { kind, title, settings, hasIds = false } of remotes)
  test(
    `${title}: both directions; kill -9 of it while messages come loses none of them and keeps their order`,
    { skip: skipWithout(kind) },
    inFolder(async (folder) => {
      await using remote = await RemoteBroker.start(kind, { folder: join(folder, "remote") });
      await using store = await startStore(folder);
      const own = settingsFor(remote.port, settings);
      await store.broker.bridges.put(own);
      await connected(store);
      const url = `mqtt://127.0.0.1:${remote.port}`;
      const level = settings.level ?? 5;
      await using sensor = await reader(store.url, "orders/#");
      const published: string[] = [];
      const publish = async (count: number): Promise<void> => {
        const from = published.length;
        for (let at = from; at < from + count; at += 1) {
          published.push(String(at));
          await sensor.client.publishAsync(`/store104/t${at % 5}`, String(at), { qos: 1 });
        }
      };
      {
        await using central = await reader(url, "hq/store104/#", level);
        await publish(100);
        await until(
          () => central.got.length >= 100,
          () => `100 at the centre, ${central.got.length} came`,
        );
        assert.deepEqual(
          central.got.map(({ text }) => text),
          published,
        );
        assert.equal(central.got[7]?.topic, "hq/store104/t2");
        if (hasIds) {
          const mark = readMark(String(central.got[7]?.userProperties["cortado-bridge"]));
          assert.match(mark?.id ?? "", /\.hq$/);
        }
        await central.client.publishAsync("hq/store104/orders/1", "two lattes", { qos: 1 });
        await until(
          () => sensor.got.length === 1,
          () => "the order",
        );
        assert.deepEqual([sensor.got[0]?.topic, sensor.got[0]?.text], ["orders/1", "two lattes"]);
        await remote.kill();
      }
      await publish(300);
      await until(
        () => store.broker.bridges.status("hq")?.state !== "connected",
        () => "noticed",
      );
      assert.equal(store.broker.bridges.status("hq")?.backlogMessages, 300);
      await store.broker.bridges.pause("hq");
      await remote.boot();
      await using central = await reader(url, "hq/store104/#", level);
      await store.broker.bridges.put(own);
      await until(
        () => central.got.length >= 300,
        () => `300 at the centre, ${central.got.length} came`,
      );
      assert.deepEqual(
        central.got.filter(({ topic }) => topic.startsWith("hq/store104/t")).map(({ text }) => text),
        published.slice(100),
      );
      await until(
        () => store.broker.bridges.status("hq")?.backlogMessages === 0,
        () => "drained",
      );
    }),
  );

test(
  "mosquitto: topics of both directions do not come back; the state is told there, by a will when we die",
  { skip: skipWithout("mosquitto") },
  inFolder(async (folder) => {
    await using remote = await RemoteBroker.start("mosquitto", { folder: join(folder, "remote") });
    const url = `mqtt://127.0.0.1:${remote.port}`;
    for (const level of [4, 5] as const) {
      await using store = await startStore(join(folder, String(level)));
      const topics = [
        { pattern: "shared/#", direction: "both", qos: 1, localPrefix: "", remotePrefix: "" } as const,
      ];
      await store.broker.bridges.put(settingsFor(remote.port, { level, topics }));
      await connected(store);
      await using here = await reader(store.url, "shared/#");
      await using there = await reader(url, "shared/#");
      await using watcher = await reader(url, "$SYS/broker/connection/store-104.hq/state");
      await here.client.publishAsync("shared/a", "from here", { qos: 1 });
      await there.client.publishAsync("shared/b", "from there", { qos: 1 });
      await until(
        () => here.got.length >= 2 && there.got.length >= 2,
        () => "each has both",
      );
      await delay(300);
      assert.equal(here.got.length, 2, `level ${level}`);
      assert.equal(there.got.length, 2, `level ${level}`);
      await until(
        () => watcher.got.at(-1)?.text === "1",
        () => "1",
      );
      await store.broker.bridges.pause("hq");
      await until(
        () => watcher.got.at(-1)?.text === "0",
        () => "0",
      );
    }
  }),
);

/** An authority, a server's certificate for 127.0.0.1 and a client's. */
function makeCertificates(folder: string): {
  readonly path: (name: string) => string;
  readonly read: (name: string) => string;
} {
  const path = (name: string): string => join(folder, name);
  const openssl = (...words: readonly string[]): void =>
    void execFileSync("openssl", words, { stdio: "ignore", cwd: folder });
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  openssl(
    "req",
    "-x509",
    ...key,
    "-subj",
    "/CN=authority",
    "-days",
    "2",
    "-keyout",
    "ca.key",
    "-out",
    "ca.crt",
  );
  for (const [name, subject] of [
    ["server", "/CN=central"],
    ["client", "/CN=store-104"],
  ] as const) {
    openssl(
      "req",
      ...key,
      "-subj",
      subject,
      "-addext",
      "subjectAltName=IP:127.0.0.1",
      "-keyout",
      `${name}.key`,
      "-out",
      `${name}.csr`,
    );
    openssl(
      "x509",
      "-req",
      "-in",
      `${name}.csr`,
      "-CA",
      "ca.crt",
      "-CAkey",
      "ca.key",
      "-CAcreateserial",
      "-days",
      "2",
      "-copy_extensions",
      "copy",
      "-out",
      `${name}.crt`,
    );
  }
  return { path, read: (name) => readFileSync(path(name), "utf8") };
}

test(
  "mosquitto with TLS: its authority is checked, and our certificate by it; a password likewise",
  { skip: existsSync("/usr/bin/openssl") ? skipWithout("mosquitto") : "openssl is not installed" },
  inFolder(async (folder) => {
    const { path, read } = makeCertificates(folder);
    execFileSync("mosquitto_passwd", ["-b", "-c", path("passwords"), "store-104", "secret"]);
    const port = await freePort();
    await using remote = await RemoteBroker.start("mosquitto", {
      folder: join(folder, "remote"),
      port,
      more: [
        `listener ${port} 127.0.0.1`,
        `cafile ${path("ca.crt")}`,
        `certfile ${path("server.crt")}`,
        `keyfile ${path("server.key")}`,
        "require_certificate true",
        "allow_anonymous false",
        `password_file ${path("passwords")}`,
      ],
    });
    await using store = await startStore(folder);
    const ca = read("ca.crt");
    const certificate = { certificate: read("client.crt"), key: read("client.key") };
    const credentials = { username: "store-104", password: "secret" };
    const refused = async (more: Partial<BridgeSettings>, says: RegExp): Promise<void> => {
      await store.broker.bridges.put(settingsFor(remote.port, more));
      await until(
        () => store.broker.bridges.status("hq")?.state === "waiting",
        () => `waiting: ${store.broker.bridges.status("hq")?.state}`,
      );
      assert.match(store.broker.bridges.status("hq")?.lastError ?? "", says);
    };
    await refused({ ...credentials, tls: certificate }, /is not trusted: .*(self-signed|unable to)/);
    await refused({ ...credentials, tls: { ca } }, /./);
    await refused(
      { ...credentials, tls: { ca, ...certificate, serverName: "other.example" } },
      /not trusted: .*altnames/,
    );
    await refused(
      { username: "store-104", password: "wrong", tls: { ca, ...certificate } },
      /refuses the connection: (not authorized|bad credentials)/,
    );
    await refused({ tls: { ca, certificate: "no pem", key: "none" } }, /cannot be read/);
    await store.broker.bridges.put(settingsFor(remote.port, { ...credentials, tls: { ca, ...certificate } }));
    await connected(store);
    await using sensor = await reader(store.url, "x");
    await sensor.client.publishAsync("/store104/a", "over TLS", { qos: 1 });
    await until(
      () => store.broker.bridges.status("hq")?.counts.acknowledged === 1,
      () => "acknowledged",
    );
  }),
);
