import assert from "node:assert/strict";
import * as make from "./bytes.ts";
import { ill, surrogate, type Trial } from "./trial.ts";

/** Malformed or against the protocol (MQTT 5); before MQTT 5 the connection is closed without a word. */
export const malformed: readonly number[] = [0x81, 0x82];

export async function illFormedText(trial: Trial): Promise<void> {
  const { level } = trial;
  for (const bad of [ill, surrogate] as readonly Uint8Array[]) {
    await trial.refusesFirst(make.connect({ level, clientId: make.bytes("a", bad) }));
    await trial.refuses(make.publish({ level, topic: make.bytes("t/", bad) }), malformed);
    await trial.refuses(make.subscribe({ level, filters: [[make.bytes("t/", bad), 0]] }), malformed);
  }
}

export async function nullInText(trial: Trial): Promise<void> {
  const { level } = trial;
  await trial.refusesFirst(make.connect({ level, clientId: "a\u0000b" }));
  await trial.refuses(make.publish({ level, topic: "t/\u0000" }), malformed);
  await trial.refuses(make.subscribe({ level, filters: [["t/\u0000", 0]] }), malformed);
  await trial.refuses(make.unsubscribe({ level, filters: ["t/\u0000"] }), malformed);
}

export async function byteOrderMarkStays(trial: Trial): Promise<void> {
  const client = await trial.client();
  const [marked, plain] = [trial.topic("\ufeffmark"), trial.topic("mark")];
  await client.subscribe([marked, 0], [plain, 0]);
  await client.publish(marked, "marked");
  await client.publish(plain, "plain");
  assert.equal((await client.message()).topic, marked);
  assert.equal((await client.message()).topic, plain);
}

/** The server's own packets have the flags that the table names. */
export async function ownFlags(trial: Trial): Promise<void> {
  const { level } = trial;
  const client = await trial.dial();
  client.acks = false;
  const said: Record<string, number> = {};
  const say = async (packet: Uint8Array): Promise<void> => {
    client.send(packet);
    const { type, flags } = await client.first();
    said[type] = flags;
  };
  await say(make.connect({ level, clientId: trial.id() }));
  await say(make.subscribe({ level, filters: [[trial.topic("s"), 0]] }));
  await say(make.publish({ level, topic: trial.topic("a"), qos: 1, id: 3 }));
  await say(make.publish({ level, topic: trial.topic("b"), qos: 2, id: 4 }));
  await say(make.ack("pubrel", 4));
  await say(make.unsubscribe({ level, filters: [trial.topic("s")] }));
  await say(make.ping);
  const zero = { connack: 0, suback: 0, puback: 0, pubrec: 0, pubcomp: 0, unsuback: 0, pingresp: 0 };
  assert.deepEqual(said, zero);
  await client.subscribe([trial.topic("c"), 2]);
  client.send(make.publish({ level, topic: trial.topic("c"), qos: 2, id: 9 }), make.ack("pubrel", 9));
  const { id } = await client.message();
  client.send(make.ack("pubrec", id));
  await client.ack("pubrel", id);
}

export async function wrongFlags(trial: Trial): Promise<void> {
  const { level } = trial;
  const body = (packet: Uint8Array): Uint8Array => packet.subarray(1);
  const flagged = (packet: Uint8Array, flags: number): Uint8Array =>
    make.bytes(((packet[0] ?? 0) & 0xf0) | flags, body(packet));
  await trial.refusesFirst(flagged(make.connect({ level, clientId: trial.id("c") }), 1));
  const subscribe = make.subscribe({ level, filters: [[trial.topic(), 0]] });
  for (const flags of [0, 1, 3, 15]) await trial.refuses(flagged(subscribe, flags), malformed);
  const unsubscribe = make.unsubscribe({ level, filters: [trial.topic()] });
  for (const flags of [0, 6]) await trial.refuses(flagged(unsubscribe, flags), malformed);
  await trial.refuses(flagged(make.ack("puback", 1), 1), malformed);
  await trial.refuses(flagged(make.ack("pubrec", 1), 4), malformed);
  for (const flags of [0, 3]) await trial.refuses(flagged(make.ack("pubrel", 1), flags), malformed);
  await trial.refuses(flagged(make.ack("pubcomp", 1), 8), malformed);
  await trial.refuses(flagged(make.ping, 1), malformed);
  await trial.refuses(flagged(make.farewell, 1), malformed);
}

export const flagsOf =
  (make_: (level: make.Level) => Uint8Array, wrong: readonly number[]) =>
  async (trial: Trial): Promise<void> => {
    const packet = make_(trial.level);
    for (const flags of wrong) {
      const bad = make.bytes(((packet[0] ?? 0) & 0xf0) | flags, packet.subarray(1));
      await trial.refuses(bad, malformed);
    }
  };

export async function idOfZero(trial: Trial): Promise<void> {
  const { level } = trial;
  await trial.refuses(make.subscribe({ level, id: 0, filters: [[trial.topic(), 0]] }), malformed);
  await trial.refuses(make.unsubscribe({ level, id: 0, filters: [trial.topic()] }), malformed);
  for (const qos of [1, 2])
    await trial.refuses(make.publish({ level, topic: trial.topic(), qos, id: 0 }), malformed);
}

/** Messages on their way to one client have ids that are none and differ. */
export async function idsInUse(trial: Trial): Promise<void> {
  const reader = await trial.client("reader", { acks: false });
  await reader.subscribe([trial.topic(), 1]);
  const writer = await trial.client("writer");
  for (let at = 0; at < 15; at += 1) await writer.publish(trial.topic(), `${at}`, { qos: 1 });
  const held: number[] = [];
  for (let at = 0; at < 15; at += 1) held.push((await reader.message()).id);
  assert.equal(new Set(held).size, held.length);
  assert.ok(!held.includes(0));
}

export async function noIdWithQos0(trial: Trial): Promise<void> {
  const client = await trial.client();
  await client.subscribe([trial.topic(), 0]);
  await client.publish(trial.topic(), "payload");
  const { payload, qos } = await client.message();
  assert.deepEqual({ payload, qos }, { payload: "payload", qos: 0 });
}

export async function sameIdInAcks(trial: Trial): Promise<void> {
  const { level } = trial;
  const client = await trial.client("", { acks: false });
  client.send(make.publish({ level, topic: trial.topic(), qos: 1, id: 0x1234 }));
  assert.equal((await client.ack("puback")).id, 0x1234);
  client.send(make.publish({ level, topic: trial.topic(), qos: 2, id: 0xfffe }));
  assert.equal((await client.ack("pubrec")).id, 0xfffe);
  client.send(make.ack("pubrel", 0xfffe));
  assert.equal((await client.ack("pubcomp")).id, 0xfffe);
}

export async function sameIdInAnswers(trial: Trial): Promise<void> {
  const { level } = trial;
  const client = await trial.client();
  client.send(make.subscribe({ level, id: 0x0a0b, filters: [[trial.topic(), 0]] }));
  assert.equal((await client.suback()).id, 0x0a0b);
  client.send(make.unsubscribe({ level, id: 0x0c0d, filters: [trial.topic()] }));
  assert.equal((await client.unsuback()).id, 0x0c0d);
}

export async function pingIsAnswered(trial: Trial): Promise<void> {
  const client = await trial.client();
  await client.settle();
}
