import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, type ClientHttp2Session } from "node:http2";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "@cortado/std/node/clock";
import { openSqliteStore } from "@cortado/store/sqlite";
import type { Section } from "./report.ts";

const writers = 32;
const keys = 1_000;
const valueBytes = 700;
const secondsEach = 4;
const rounds = 3;

/** Durable updates a second of our store and of Debian's etcd, by turns on the same disk. */
export async function benchStore(): Promise<Section> {
  const folder = mkdtempSync(join(tmpdir(), "bench-store-"));
  try {
    const ours: number[] = [];
    const etcds: number[] = [];
    await using etcd = await startEtcd(join(folder, "etcd"));
    for (let round = 0; round < rounds; round += 1) {
      ours.push(await measureOurs(join(folder, `ours-${round}.db`)));
      etcds.push(await measure((key, value) => etcd.put(key, value)));
    }
    const [our, their] = [median(ours), median(etcds)];
    const list = (values: readonly number[]): string => values.map((value) => Math.round(value)).join(", ");
    return {
      title: "Store: durable updates a second",
      figures: [
        { name: `our store, ${writers} writers, in process`, value: `${Math.round(our)} /s (${list(ours)})` },
        {
          name: `etcd ${etcd.version}, ${writers} writers, gRPC over one connection`,
          value: `${Math.round(their)} /s (${list(etcds)})`,
        },
        { name: "ours to etcd's", value: `${(our / their).toFixed(2)}`, aim: "≥ 1", ok: our >= their },
      ],
      notes: [
        `Median of ${rounds} turns of ${secondsEach} s, by turns in one run on one disk; ${keys} keys, values of ${valueBytes} bytes; every update is synced before it is`,
        "answered by both. Ours is called in the process, as our API server does; etcd is a process of its own, as it is for its API server.",
      ],
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

type Put = (key: string, value: Uint8Array) => Promise<void>;

async function measureOurs(path: string): Promise<number> {
  await using store = await openSqliteStore({ path, clock: systemClock });
  return await measure(async (key, value) => {
    const { written } = await store.write({
      kind: "put",
      key: `/${key}`,
      value,
      expect: { kind: "anything" },
    });
    if (!written) throw new Error(`${key} was not written`);
  });
}

/** Writers that each wait for their answer; answers a second. */
async function measure(put: Put): Promise<number> {
  const value = new Uint8Array(valueBytes).fill(120);
  const startMs = performance.now();
  const endMs = startMs + secondsEach * 1_000;
  let done = 0;
  const writer = async (at: number): Promise<void> => {
    for (let round = 0; performance.now() < endMs; round += 1) {
      await put(`bench/${(at * 31 + round * writers) % keys}`, value);
      done += 1;
    }
  };
  await Promise.all(Array.from({ length: writers }, (_, at) => writer(at)));
  return done / ((performance.now() - startMs) / 1_000);
}

type Etcd = AsyncDisposable & { readonly version: string; readonly put: Put };

async function startEtcd(folder: string): Promise<Etcd> {
  const [client, peer] = [await freePort(), await freePort()];
  const url = `http://127.0.0.1:${client}`;
  const words = ["--data-dir", folder, "--listen-client-urls", url, "--advertise-client-urls", url];
  const peerUrl = `http://127.0.0.1:${peer}`;
  const peers = [
    "--listen-peer-urls",
    peerUrl,
    "--initial-advertise-peer-urls",
    peerUrl,
    "--initial-cluster",
    `default=${peerUrl}`,
    "--log-level",
    "error",
  ];
  const child = spawn("etcd", [...words, ...peers], { stdio: "ignore" });
  const gone = once(child, "exit");
  const version = await answers(`${url}/version`, gone);
  const session = connect(url);
  return {
    version,
    put: (key, value) => grpcPut(session, key, value),
    async [Symbol.asyncDispose]() {
      session.destroy();
      child.kill("SIGKILL");
      await gone;
    },
  };
}

async function answers(url: string, gone: Promise<unknown>): Promise<string> {
  let hasEnded = false;
  gone.then(
    () => (hasEnded = true),
    () => (hasEnded = true),
  );
  for (let tries = 0; tries < 200 && !hasEnded; tries += 1) {
    const reply = await fetch(url).catch(() => undefined);
    if (reply?.ok === true) return ((await reply.json()) as { etcdserver: string }).etcdserver;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error("etcd does not start; install etcd-server");
}

/** etcdserverpb.KV/Put by hand: one frame of PutRequest { key = 1, value = 2 }, both bytes. */
function grpcPut(session: ClientHttp2Session, key: string, value: Uint8Array): Promise<void> {
  const message = Buffer.concat([field(1, Buffer.from(key)), field(2, value)]);
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.byteLength, 1);
  return new Promise((resolve, reject) => {
    const stream = session.request({
      ":method": "POST",
      ":path": "/etcdserverpb.KV/Put",
      "content-type": "application/grpc",
      te: "trailers",
    });
    stream.on("trailers", (trailers) =>
      trailers["grpc-status"] === "0"
        ? resolve()
        : reject(new Error(`etcd: ${String(trailers["grpc-message"])}`)),
    );
    stream.on("error", reject).resume();
    stream.end(Buffer.concat([head, message]));
  });
}

function field(number: number, bytes: Uint8Array): Buffer {
  const length: number[] = [];
  let rest = bytes.byteLength;
  for (; rest > 127; rest >>= 7) length.push((rest & 127) | 128);
  return Buffer.concat([Buffer.from([(number << 3) | 2, ...length, rest]), bytes]);
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

function median(values: readonly number[]): number {
  return values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)] ?? 0;
}
