import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type IncomingHttpHeaders, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { BinaryReader } from "@bufbuild/protobuf/wire";
import { newMetrics } from "@cortado/std/metrics";
import { systemClock } from "@cortado/std/node/clock";
import { systemRandom } from "@cortado/std/node/random";
import { silentLog } from "@cortado/std/testing/silent-log";
import { uncompress } from "snappyjs";
import { openCentral, type Central } from "../central/central.ts";
import { readTargets, startForwarding } from "./forward.ts";

const folder = mkdtempSync(join(tmpdir(), "cortado-forward-"));
after(() => rmSync(folder, { recursive: true, force: true }));
let files = 0;

type Heard = { readonly url: string; readonly headers: IncomingHttpHeaders; readonly body: Buffer };

/** A receiver that answers as the test says and keeps what really came. */
class Receiver implements AsyncDisposable {
  readonly heard: Heard[] = [];
  answer: (heard: Heard) => {
    readonly code: number;
    readonly headers?: Record<string, string>;
    readonly text?: string;
  } = () => ({ code: 204 });
  readonly #server: Server;

  private constructor() {
    this.#server = createServer((request, response) => {
      const pieces: Buffer[] = [];
      request.on("data", (piece: Buffer) => pieces.push(piece));
      request.on("end", () => {
        const heard = { url: request.url ?? "", headers: request.headers, body: Buffer.concat(pieces) };
        this.heard.push(heard);
        const { code, headers = {}, text = "" } = this.answer(heard);
        response.writeHead(code, headers).end(text);
      });
    });
  }

  static async open(): Promise<Receiver> {
    const receiver = new Receiver();
    await new Promise<void>((resolve) => void receiver.#server.listen(0, "127.0.0.1", resolve));
    return receiver;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async until(count: number): Promise<void> {
    for (let turn = 0; turn < 400 && this.heard.length < count; turn += 1) await delay(25);
    assert.ok(this.heard.length >= count, `${this.heard.length} of ${count} requests came`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => void this.#server.close(resolve));
  }
}

const openStore = (path: string): Promise<Central> =>
  openCentral({ path, clock: systemClock, log: silentLog, metrics: newMetrics() });
const newPath = (): string => join(folder, `${(files += 1)}.db`);

function forward(central: Central, targets: string): AsyncDisposable {
  const ports = { clock: systemClock, random: systemRandom, log: silentLog, metrics: newMetrics() };
  return startForwarding({ ...ports, central, targets: readTargets(`targets:\n${targets}`, "forward.yaml") });
}

const store = { namespace: "fleet-default", name: "store-104" };
const at = "2026-11-23T08:00:00.123Z";
const ns = "1795420800123000000";
const event = (kind: string, sequence: number, payload: object): unknown => ({
  id: `${kind}-${sequence}`,
  kind,
  sequence,
  at,
  payload,
});
const order = (sequence: number): unknown =>
  event("order", sequence, { order: "11", amount: 350, state: "paid" });
const alert = event("alert", 2, { source: "check", text: "Warning: 97.4 F" });
const cycles = (sequence: number, value: number, when: string = at): unknown => ({
  ...(event("machine", sequence, {
    place: "store104",
    machine: "espresso",
    counter: "cycles",
    value,
  }) as object),
  at: when,
});
const gauge = event("metric", 9, { name: "milk.litres", value: 4.5, labels: { fridge: "left" } });

test("Loki hears a stream for each store and kind", async () => {
  assert.equal(String(BigInt(Date.parse(at)) * 1_000_000n), ns);
  await using receiver = await Receiver.open();
  await using central = await openStore(newPath());
  await central.take(store, [order(1), alert, cycles(3, 117), order(4)]);
  await using _forwarding = forward(
    central,
    ` - { name: loki, kind: loki, url: "${receiver.url}", begin: oldest, headers: { X-Scope-OrgID: shop } }`,
  );
  await receiver.until(1);
  const [heard] = receiver.heard;
  assert.equal(heard?.url, "/loki/api/v1/push");
  assert.equal(heard?.headers["content-type"], "application/json");
  assert.equal(heard?.headers["x-scope-orgid"], "shop");
  const stream = { job: "cortado", namespace: "fleet-default", store: "store-104" };
  const line = (sequence: number): string =>
    JSON.stringify({ order: "11", amount: 350, state: "paid", id: `order-${sequence}`, sequence });
  assert.deepEqual(JSON.parse(heard?.body.toString() ?? ""), {
    streams: [
      {
        stream: { ...stream, kind: "order" },
        values: [
          [ns, line(1)],
          [ns, line(4)],
        ],
      },
      {
        stream: { ...stream, kind: "alert" },
        values: [
          [ns, JSON.stringify({ source: "check", text: "Warning: 97.4 F", id: "alert-2", sequence: 2 })],
        ],
      },
    ],
  });
});

test("OTLP hears log records and metrics, each at its path", async () => {
  await using receiver = await Receiver.open();
  await using central = await openStore(newPath());
  await central.take(store, [alert, cycles(3, 117), gauge]);
  await using _forwarding = forward(
    central,
    ` - { name: otlp, kind: otlp, url: "${receiver.url}/otlp/", begin: oldest }`,
  );
  await receiver.until(2);
  const said = (path: string): unknown =>
    JSON.parse(receiver.heard.find(({ url }) => url === path)?.body.toString() ?? "null");
  const text = (key: string, stringValue: string) => ({ key, value: { stringValue } });
  const resource = {
    attributes: [
      text("service.name", "cortado-store"),
      text("cortado.store", "store-104"),
      text("cortado.namespace", "fleet-default"),
    ],
  };
  assert.deepEqual(said("/otlp/v1/logs"), {
    resourceLogs: [
      {
        resource,
        scopeLogs: [
          {
            scope: { name: "cortado" },
            logRecords: [
              {
                timeUnixNano: ns,
                severityNumber: 13,
                severityText: "WARN",
                body: { stringValue: "Warning: 97.4 F" },
                attributes: [
                  text("source", "check"),
                  text("text", "Warning: 97.4 F"),
                  text("cortado.kind", "alert"),
                  text("cortado.event.id", "alert-2"),
                  { key: "cortado.sequence", value: { intValue: "2" } },
                ],
              },
            ],
          },
        ],
      },
    ],
  });
  const point = { timeUnixNano: ns };
  const machine = [text("place", "store104"), text("machine", "espresso")];
  assert.deepEqual(said("/otlp/v1/metrics"), {
    resourceMetrics: [
      {
        resource,
        scopeMetrics: [
          {
            scope: { name: "cortado" },
            metrics: [
              {
                name: "cortado_machine_cycles",
                sum: {
                  aggregationTemporality: 2,
                  isMonotonic: true,
                  dataPoints: [{ ...point, attributes: machine, asDouble: 117 }],
                },
              },
              {
                name: "milk_litres",
                gauge: { dataPoints: [{ ...point, attributes: [text("fridge", "left")], asDouble: 4.5 }] },
              },
            ],
          },
        ],
      },
    ],
  });
});

type Field = { readonly number: number; readonly value: Uint8Array | number | bigint };

/** What a receiver of remote write reads, field by field. */
function fieldsOf(bytes: Uint8Array): readonly Field[] {
  const reader = new BinaryReader(bytes);
  const fields: Field[] = [];
  while (reader.pos < reader.len) {
    const [number, type] = reader.tag();
    if (type === 2) fields.push({ number, value: reader.bytes() });
    else if (type === 1) fields.push({ number, value: reader.double() });
    else fields.push({ number, value: BigInt(reader.int64()) });
  }
  return fields;
}

function seriesOf(body: Uint8Array): unknown {
  const text = (value: unknown): string => Buffer.from(value as Uint8Array).toString();
  return fieldsOf(new Uint8Array(uncompress(body))).map(({ value }) => {
    const inner = fieldsOf(value as Uint8Array);
    const labels = inner
      .filter(({ number }) => number === 1)
      .map((label) =>
        fieldsOf(label.value as Uint8Array)
          .map((part) => text(part.value))
          .join("="),
      );
    const samples = inner
      .filter(({ number }) => number === 2)
      .map((sample) => fieldsOf(sample.value as Uint8Array).map((part) => Number(part.value)));
    return { labels, samples };
  });
}

test("Prometheus remote write hears series in snappy, labels and samples in order", async () => {
  await using receiver = await Receiver.open();
  await using central = await openStore(newPath());
  const later = "2026-11-23T08:01:00Z";
  await central.take(store, [cycles(3, 118, later), cycles(4, 117), order(5), gauge]);
  await using _forwarding = forward(
    central,
    ` - { name: prometheus, kind: remote-write, url: "${receiver.url}", begin: oldest }`,
  );
  await receiver.until(1);
  const [heard] = receiver.heard;
  assert.equal(heard?.url, "/api/v1/write");
  assert.equal(heard?.headers["content-encoding"], "snappy");
  assert.equal(heard?.headers["content-type"], "application/x-protobuf");
  assert.equal(heard?.headers["x-prometheus-remote-write-version"], "0.1.0");
  const place = ["namespace=fleet-default", "place=store104", "store=store-104"];
  assert.deepEqual(seriesOf(heard?.body ?? new Uint8Array()), [
    {
      labels: ["__name__=cortado_machine_cycles_total", "machine=espresso", ...place],
      samples: [
        [117, Date.parse(at)],
        [118, Date.parse(later)],
      ],
    },
    {
      labels: ["__name__=milk_litres", "fridge=left", "namespace=fleet-default", "store=store-104"],
      samples: [[4.5, Date.parse(at)]],
    },
  ]);
});

const idsOf = ({ body }: Heard): readonly string[] =>
  (JSON.parse(body.toString()) as { streams: { values: [string, string][] }[] }).streams.flatMap(
    ({ values }) => values.map(([, line]) => (JSON.parse(line) as { id: string }).id),
  );

test("a target that is away is tried again, over restarts of the hub, and another is not held up", async () => {
  await using away = await Receiver.open();
  await using there = await Receiver.open();
  away.answer = () => ({ code: 503, headers: { "retry-after": "1" } });
  const path = newPath();
  const targets = ` - { name: away, kind: loki, url: "${away.url}", begin: oldest }
 - { name: there, kind: loki, url: "${there.url}", begin: oldest }`;
  {
    await using central = await openStore(path);
    await using _forwarding = forward(central, targets);
    await central.take(store, [order(1)]);
    await there.until(1);
    await away.until(2);
  }
  away.answer = () => ({ code: 204 });
  away.heard.length = 0;
  await using central = await openStore(path);
  await using _forwarding = forward(central, targets);
  await away.until(1);
  await central.take(store, [order(2)]);
  await away.until(2);
  await there.until(2);
  assert.deepEqual(away.heard.map(idsOf), [["order-1"], ["order-2"]]);
  assert.deepEqual(
    there.heard.map(idsOf),
    [["order-1"], ["order-2"]],
    "nothing is sent again that was taken",
  );
});

test("an event that a target refuses is left out, and those beside it are passed on", async () => {
  await using receiver = await Receiver.open();
  receiver.answer = (heard) => ({
    code: idsOf(heard).includes("order-3") ? 400 : 204,
    text: "entry too far behind",
  });
  await using central = await openStore(newPath());
  await central.take(store, [1, 2, 3, 4, 5].map(order));
  await using _forwarding = forward(
    central,
    ` - { name: loki, kind: loki, url: "${receiver.url}", begin: oldest }`,
  );
  const taken = (): readonly string[] =>
    receiver.heard
      .map(idsOf)
      .filter((ids) => !ids.includes("order-3"))
      .flat()
      .toSorted();
  for (let turn = 0; turn < 200 && taken().length < 4; turn += 1) await delay(25);
  assert.deepEqual(taken(), ["order-1", "order-2", "order-4", "order-5"]);
  await central.take(store, [order(6)]);
  for (let turn = 0; turn < 200 && taken().length < 5; turn += 1) await delay(25);
  assert.ok(taken().includes("order-6"), "it goes on after what was refused");
});

test("a new target begins now, unless told otherwise", async () => {
  await using receiver = await Receiver.open();
  await using central = await openStore(newPath());
  await central.take(store, [order(1)]);
  await using _forwarding = forward(central, ` - { name: loki, kind: loki, url: "${receiver.url}/push" }`);
  await delay(200);
  await central.take(store, [order(2)]);
  await receiver.until(1);
  assert.deepEqual(receiver.heard.map(idsOf), [["order-2"]]);
  assert.equal(receiver.heard[0]?.url, "/push");
});
