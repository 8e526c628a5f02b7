// One load against a broker: SCENARIO PORT; prints what it saw as one line of JSON.
import { LoadClient, publishPacket } from "./wire.ts";

const [scenario = "", portText = "0"] = process.argv.slice(2);
const port = Number(portText);
const payloadBytes = 100;
const warmUpMs = 1_000;
const windowMs = 4_000;
/** Messages that are not delivered yet, in all. */
const undeliveredMax = 900;
const unacknowledgedMax = 100;
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

type Flow = {
  readonly qos: 0 | 1;
  readonly publishers: number;
  readonly subscribers: number;
  readonly isClean: boolean;
};

const flows: Readonly<Record<string, Flow>> = {
  "qos0-1-1": { qos: 0, publishers: 1, subscribers: 1, isClean: true },
  "qos1-1-1": { qos: 1, publishers: 1, subscribers: 1, isClean: true },
  "qos1-persistent": { qos: 1, publishers: 1, subscribers: 1, isClean: false },
  "qos0-100-10": { qos: 0, publishers: 100, subscribers: 10, isClean: true },
  "qos1-100-10": { qos: 1, publishers: 100, subscribers: 10, isClean: true },
};

/** Delivered messages a second, publishers waiting so that never more than so many are under way. */
async function flow({ qos, publishers, subscribers, isClean }: Flow): Promise<object> {
  let delivered = 0;
  let published = 0;
  let wake = (): void => undefined;
  for (let at = 0; at < subscribers; at += 1) {
    const client = await LoadClient.open(port, `sub-${at}`, isClean);
    await client.subscribe("/store104/fridge/+", qos);
    client.listen({ publish: () => void (delivered += 1), read: () => wake() });
  }
  const perPublisher = Math.max(1, Math.floor(unacknowledgedMax / (publishers === 1 ? 1 : publishers / 10)));
  const clients = await Promise.all(
    Array.from({ length: publishers }, async (_, at) => {
      const client = await LoadClient.open(port, `pub-${at}`);
      const frame = publishPacket({
        topic: `/store104/fridge/${at}`,
        payload: new Uint8Array(payloadBytes).fill(120),
        qos,
      });
      const state = { client, frame, id: 0, underWay: 0 };
      client.listen({ puback: () => void (state.underWay -= 1), read: () => wake() });
      return state;
    }),
  );
  wake = () => {
    let room = Math.floor((undeliveredMax - (published * subscribers - delivered)) / subscribers);
    for (const state of clients) {
      if (room <= 0) return;
      const share = Math.min(room, Math.max(1, Math.ceil(room / publishers)));
      const count = qos === 0 ? share : Math.min(share, perPublisher - state.underWay);
      if (count <= 0) continue;
      const { bytes, idAt } = state.frame;
      const batch = Buffer.allocUnsafe(bytes.byteLength * count);
      for (let one = 0; one < count; one += 1) {
        bytes.copy(batch, one * bytes.byteLength);
        if (qos === 0) continue;
        state.id = state.id === 65_535 ? 1 : state.id + 1;
        batch.writeUInt16BE(state.id, one * bytes.byteLength + idAt);
      }
      if (qos === 1) state.underWay += count;
      published += count;
      room -= count;
      state.client.socket.write(batch);
    }
  };
  wake();
  await sleep(warmUpMs);
  const from = delivered;
  const startMs = performance.now();
  await sleep(windowMs);
  return { perSecond: (delivered - from) / ((performance.now() - startMs) / 1_000) };
}

/** Acknowledgements a second for a subscriber that is away, and how long each took. */
async function acknowledgements(): Promise<object> {
  const away = await LoadClient.open(port, "away", false);
  await away.subscribe("/store104/#", 1);
  away.socket.destroy();
  const client = await LoadClient.open(port, "publisher");
  const frame = publishPacket({
    topic: "/store104/fridge/temp",
    payload: new Uint8Array(payloadBytes).fill(120),
    qos: 1,
  });
  const sentMs = new Map<number, number>();
  const tookMs: number[] = [];
  let acknowledged = 0;
  let id = 0;
  const more = (): void => {
    while (sentMs.size < unacknowledgedMax) {
      id = id === 65_535 ? 1 : id + 1;
      const bytes = Buffer.from(frame.bytes);
      bytes.writeUInt16BE(id, frame.idAt);
      sentMs.set(id, performance.now());
      client.socket.write(bytes);
    }
  };
  client.listen({
    puback(of) {
      tookMs.push(performance.now() - (sentMs.get(of) ?? 0));
      sentMs.delete(of);
      acknowledged += 1;
    },
    read: more,
  });
  more();
  await sleep(warmUpMs);
  const from = acknowledged;
  tookMs.length = 0;
  const startMs = performance.now();
  await sleep(windowMs);
  const perSecond = (acknowledged - from) / ((performance.now() - startMs) / 1_000);
  return { perSecond, p50Ms: quantile(tookMs, 0.5), p99Ms: quantile(tookMs, 0.99) };
}

/** From publish to receipt at a thousand a second. */
async function latency(qos: 0 | 1): Promise<object> {
  const subscriber = await LoadClient.open(port, `late-sub-${qos}`, qos === 0);
  await subscriber.subscribe("/store104/late/#", qos);
  const publisher = await LoadClient.open(port, "late-pub");
  const tookMs: number[] = [];
  const { bytes, idAt, payloadAt } = publishPacket({
    topic: "/store104/late/temp",
    payload: new Uint8Array(payloadBytes),
    qos,
  });
  const startMs = performance.now();
  subscriber.listen({ publish: (_, body) => void tookMs.push(performance.now() - body.readDoubleLE(0)) });
  let sent = 0;
  while (performance.now() - startMs < warmUpMs + windowMs) {
    const due = Math.floor(performance.now() - startMs);
    for (; sent < due; sent += 1) {
      const frame = Buffer.from(bytes);
      if (qos === 1) frame.writeUInt16BE((sent % 65_535) + 1, idAt);
      frame.writeDoubleLE(performance.now(), payloadAt);
      publisher.socket.write(frame);
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
  await sleep(500);
  const counted = tookMs.slice(warmUpMs);
  return { p50Ms: quantile(counted, 0.5), p99Ms: quantile(counted, 0.99), missing: sent - tookMs.length };
}

/** Retained messages, and how long a new subscriber waits for all of them. */
async function retained(count: number): Promise<object> {
  const publisher = await LoadClient.open(port, "retainer");
  let acknowledged = 0;
  let id = 0;
  publisher.listen({ puback: () => void (acknowledged += 1) });
  const payload = new Uint8Array(payloadBytes).fill(120);
  const startMs = performance.now();
  for (let sent = 0; sent < count; sent += 1) {
    id = id === 65_535 ? 1 : id + 1;
    const { bytes, idAt } = publishPacket({ topic: `/store104/kept/${sent}`, payload, qos: 1, retain: true });
    bytes.writeUInt16BE(id, idAt);
    publisher.socket.write(bytes);
    while (sent - acknowledged > 500) await sleep(1);
  }
  while (acknowledged < count) await sleep(5);
  return { fillMs: performance.now() - startMs, replayMs: await replay(count) };
}

const queueTopic = "/store104/queue/orders";

/** Messages for a subscriber that is away. */
async function queued(count: number): Promise<object> {
  const away = await LoadClient.open(port, "away", false);
  await away.subscribe(queueTopic, 1);
  away.socket.destroy();
  const publisher = await LoadClient.open(port, "publisher");
  const { bytes, idAt } = publishPacket({
    topic: queueTopic,
    payload: new Uint8Array(payloadBytes).fill(120),
    qos: 1,
  });
  let acknowledged = 0;
  publisher.listen({ puback: () => void (acknowledged += 1) });
  const startMs = performance.now();
  for (let sent = 0; sent < count; sent += 1) {
    const frame = Buffer.from(bytes);
    frame.writeUInt16BE((sent % 65_535) + 1, idAt);
    publisher.socket.write(frame);
    while (sent - acknowledged > 500) await sleep(1);
  }
  while (acknowledged < count) await sleep(5);
  return { fillMs: performance.now() - startMs };
}

/** The subscriber is back, and takes all that waited. */
async function drained(count: number): Promise<object> {
  let got = 0;
  const startMs = performance.now();
  // The first may come in one piece with the CONNACK.
  await LoadClient.open(port, "away", false, { publish: () => void (got += 1) });
  while (got < count && performance.now() - startMs < 120_000) await sleep(1);
  if (got < count) throw new Error(`only ${got} of ${count} queued messages came`);
  return { drainMs: performance.now() - startMs };
}

async function replay(count: number): Promise<number> {
  const client = await LoadClient.open(port, "reader");
  let got = 0;
  client.listen({ publish: () => void (got += 1) });
  const startMs = performance.now();
  await client.subscribe("/store104/kept/#", 0);
  while (got < count && performance.now() - startMs < 120_000) await sleep(1);
  if (got < count) throw new Error(`only ${got} of ${count} retained messages came`);
  return performance.now() - startMs;
}

/** Holds connections with one QoS 0 subscription each until it is told to end; says when all are there. */
async function hold(count: number): Promise<object> {
  const startMs = performance.now();
  const numbers = Array.from({ length: count }, (_, at) => at)[Symbol.iterator]();
  const clients: LoadClient[] = [];
  const opener = async (): Promise<void> => {
    for (let one = numbers.next(); one.done !== true; one = numbers.next()) {
      const client = await LoadClient.open(port, `held-${one.value}`);
      await client.subscribe(`/held/${one.value}`, 0);
      clients.push(client);
    }
  };
  await Promise.all(Array.from({ length: 64 }, opener));
  return { held: clients.length, tookMs: performance.now() - startMs };
}

function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((one, other) => one - other);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN;
}

const [name = "", count = "0"] = scenario.split(":");
const scenarios: Readonly<Record<string, () => Promise<object>>> = {
  acks: acknowledgements,
  latency: () => latency(count === "1" ? 1 : 0),
  retained: () => retained(Number(count)),
  queued: () => queued(Number(count)),
  drained: () => drained(Number(count)),
  hold: () => hold(Number(count)),
};
const one = flows[name];
const run = one === undefined ? scenarios[name] : () => flow(one);
if (run === undefined) throw new Error(`there is no load ${name}`);
console.log(JSON.stringify(await run()));
if (name === "hold") await new Promise((resolve) => process.stdin.once("end", resolve).resume());
process.exit(0);
