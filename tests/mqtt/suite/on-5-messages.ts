import assert from "node:assert/strict";
import * as make from "./bytes.ts";
import { kept } from "./on-connect.ts";
import { malformed } from "./on-format.ts";
import { ill, type Trial } from "./trial.ts";

const { ids, prop } = make;

/** What a publisher says about its message reaches the reader as it was said. */
export const passedOn =
  (property: make.Property, id: number, wanted: number | string | Buffer) =>
  async (trial: Trial): Promise<void> => {
    const client = await trial.client();
    await client.subscribe([trial.topic(), 1]);
    await client.publish(trial.topic(), "x", { qos: 1, properties: [property] });
    const [came] = (await client.message()).properties.get(id) ?? [];
    assert.deepEqual(came, wanted);
  };

/** User properties stay, all of them and in their order, also those that are given twice. */
export async function userPropertiesInOrder(trial: Trial): Promise<void> {
  const list = ["b=2", "a=1", "b=2", "=", "b=1"];
  const client = await trial.client();
  await client.subscribe([trial.topic(), 1]);
  const properties = list.map((pair) => prop.pair(...(pair.split("=") as [string, string])));
  await client.publish(trial.topic(), "x", { qos: 1, properties });
  assert.deepEqual((await client.message()).properties.get(ids.user), list);
  // Retained and queued messages too.
  await client.publish(trial.topic("kept"), "x", { qos: 1, retain: true, properties });
  await client.subscribe([trial.topic("kept"), 1]);
  assert.deepEqual((await client.message()).properties.get(ids.user), list);
  await client.publish(trial.topic("kept"), "", { qos: 1, retain: true });
}

export async function willPropertiesInOrder(trial: Trial): Promise<void> {
  const watcher = await trial.watcher();
  const list = ["z=1", "a=2", "z=0"];
  const properties = list.map((pair) => prop.pair(...(pair.split("=") as [string, string])));
  const mortal = await trial.client("", { will: { topic: trial.topic("will"), qos: 1, properties } });
  await mortal.vanish();
  assert.deepEqual((await watcher.message()).properties.get(ids.user), list);
}

export const illFormedProperty =
  (id: number) =>
  async (trial: Trial): Promise<void> => {
    const properties = [prop.text(id, ill as Uint8Array)];
    await trial.refuses(make.publish({ level: 5, topic: trial.topic(), properties }), [...malformed, 0x99]);
  };

export async function illFormedPair(trial: Trial): Promise<void> {
  for (const [name, value] of [
    [ill, "v"],
    ["n", ill],
  ] as readonly (readonly [make.Part, make.Part])[]) {
    const pair = make.bytes(ids.user, make.field(name as string), make.field(value as string));
    const bad = make.publish({ level: 5, topic: trial.topic(), properties: [pair] });
    await trial.refuses(bad, malformed);
  }
}

export async function wildcardInResponseTopic(trial: Trial): Promise<void> {
  for (const topic of ["a/#", "+", "a/+/b"]) {
    const properties = [prop.text(ids.responseTopic, topic)];
    const bad = make.publish({ level: 5, topic: trial.topic(), properties });
    await trial.refuses(bad, [...malformed, 0x90]);
  }
}

/** A message that has expired is not delivered; one that waited says how long it still has. */
export async function expires(trial: Trial): Promise<void> {
  const first = await trial.client("", kept(trial));
  await first.subscribe([trial.topic(), 1]);
  await first.leave();
  const writer = await trial.client("writer");
  const lasting = (seconds: number): Partial<make.PublishOptions> => ({
    qos: 1,
    properties: [prop.u32(ids.messageExpiry, seconds)],
  });
  await writer.publish(trial.topic(), "short", lasting(1));
  await writer.publish(trial.topic(), "long", lasting(60));
  await trial.pause(2_200);
  const again = await trial.client("", kept(trial));
  const { payload, properties } = await again.message();
  assert.equal(payload, "long");
  const [left] = properties.get(ids.messageExpiry) ?? [];
  assert.ok(typeof left === "number" && left >= 56 && left <= 58, `${String(left)} s are left`);
}

/** Once sent it is brought to its end, expired or not. */
export async function sentIsCompleted(trial: Trial): Promise<void> {
  const reader = await trial.client("", { acks: false });
  await reader.subscribe([trial.topic(), 2]);
  const writer = await trial.client("writer");
  await writer.publish(trial.topic(), "x", { qos: 2, properties: [prop.u32(ids.messageExpiry, 1)] });
  const { id } = await reader.message();
  await trial.pause(1_500);
  reader.send(make.ack("pubrec", id));
  assert.equal((await reader.ack("pubrel")).code, 0);
  reader.send(make.ack("pubcomp", id));
  await reader.settle();
}

/** A QoS 2 message of a publisher is acknowledged to the end although it has expired. */
export async function takenIsCompleted(trial: Trial): Promise<void> {
  const writer = await trial.client("", { acks: false });
  const properties = [prop.u32(ids.messageExpiry, 1)];
  writer.send(make.publish({ level: 5, topic: trial.topic(), qos: 2, id: 3, properties }));
  await writer.ack("pubrec", 3);
  await trial.pause(1_500);
  writer.send(make.ack("pubrel", 3));
  assert.equal((await writer.ack("pubcomp", 3)).code, 0);
}

const aliasMax = async (trial: Trial): Promise<number> => {
  const { client, connack } = await trial.welcomed("max");
  await client.leave();
  return Number(connack.properties.get(ids.topicAliasMaximum)?.[0] ?? 0);
};

const alias = (value: number): readonly make.Property[] => [prop.u16(ids.topicAlias, value)];

/** A client's aliases: set, used, set anew; each connection begins with none. */
export async function takesAliases(trial: Trial): Promise<void> {
  const { client, connack } = await trial.welcomed();
  const max = Number(connack.properties.get(ids.topicAliasMaximum)?.[0] ?? 0);
  const watcher = await trial.watcher();
  if (max === 0) return await aliasesBeyond(trial);
  await client.publish(trial.topic("a"), "1", { properties: alias(max) });
  await client.publish("", "2", { properties: alias(max) });
  await client.publish(trial.topic("b"), "3", { properties: alias(max) });
  await client.publish("", "4", { properties: alias(max) });
  for (const [rest, payload] of ["a1", "a2", "b3", "b4"].map((one) => one.split("") as [string, string])) {
    const message = await watcher.message();
    assert.deepEqual([message.topic, message.payload], [trial.topic(rest), payload]);
  }
  // The table is the connection's: here it is empty.
  await trial.refuses(make.publish({ level: 5, topic: "", properties: alias(max) }), [...malformed, 0x94]);
}

export async function aliasOfZero(trial: Trial): Promise<void> {
  const bad = make.publish({ level: 5, topic: trial.topic(), properties: alias(0) });
  await trial.refuses(bad, [...malformed, 0x94]);
}

export async function aliasesBeyond(trial: Trial): Promise<void> {
  const max = await aliasMax(trial);
  if (max === 65_535) return;
  const bad = make.publish({ level: 5, topic: trial.topic(), properties: alias(max + 1) });
  await trial.refuses(bad, [...malformed, 0x94]);
}

/** The server sets a client no alias above what it takes, and none at all to one that takes none. */
export const sendsAliases =
  (max: number) =>
  async (trial: Trial): Promise<void> => {
    const properties = max === 0 ? [] : [prop.u16(ids.topicAliasMaximum, max)];
    const client = await trial.client("", { properties });
    await client.subscribe([trial.topic("#"), 0]);
    const names = new Map<number, string>();
    for (let at = 0; at < 12; at += 1) {
      const topic = trial.topic(`${at % 4}`);
      await client.publish(topic, `${at}`);
      const message = await client.message();
      const [used] = message.properties.get(ids.topicAlias) ?? [];
      if (used !== undefined) assert.ok(Number(used) >= 1 && Number(used) <= max, `alias ${String(used)}`);
      if (used !== undefined && message.topic !== "") names.set(Number(used), message.topic);
      assert.equal(message.topic === "" ? names.get(Number(used)) : message.topic, topic);
    }
  };

export async function retainAsPublished(trial: Trial): Promise<void> {
  const client = await trial.client();
  await client.subscribe([trial.topic("a"), 1 | 8], [trial.topic("b"), 1]);
  for (const rest of ["a", "b"]) {
    await client.publish(trial.topic(rest), "x", { qos: 1, retain: true });
    assert.equal((await client.message()).retain, rest === "a");
    await client.publish(trial.topic(rest), "plain", { qos: 1 });
    assert.equal((await client.message()).retain, false);
    await client.publish(trial.topic(rest), "", { qos: 1, retain: true });
    await client.message();
  }
}

/** 0: at every SUBSCRIBE; 1: at the first; 2: never. */
export const retainHandling =
  (handling: 0 | 1 | 2) =>
  async (trial: Trial): Promise<void> => {
    const client = await trial.client();
    await client.publish(trial.topic(), "kept", { qos: 1, retain: true });
    for (const isFirst of [true, false]) {
      await client.subscribe([trial.topic(), 1 | (handling << 4)]);
      const isSent = handling === 0 || (handling === 1 && isFirst);
      if (isSent) assert.equal((await client.message()).payload, "kept");
      else await trial.pause(300);
      assert.equal(client.waiting("publish").length, 0);
    }
    await client.publish(trial.topic(), "", { qos: 1, retain: true });
  };

/** Request and response: the answer finds its way by what came with the question. */
export async function requestAndResponse(trial: Trial): Promise<void> {
  const server = await trial.client("server");
  await server.subscribe([trial.topic("ask"), 1]);
  const client = await trial.client("client");
  await client.subscribe([trial.topic("answer"), 1]);
  const correlation = Buffer.from([0, 255, 1, 254]);
  const properties = [
    prop.text(ids.responseTopic, trial.topic("answer")),
    prop.text(ids.correlationData, correlation),
  ];
  await client.publish(trial.topic("ask"), "6 * 7", { qos: 1, properties });
  const asked = await server.message();
  const [topic] = asked.properties.get(ids.responseTopic) ?? [];
  const [same] = asked.properties.get(ids.correlationData) ?? [];
  assert.equal(topic, trial.topic("answer"));
  await server.publish(String(topic), "42", {
    qos: 1,
    properties: [prop.text(ids.correlationData, same as Buffer)],
  });
  const answer = await client.message();
  assert.equal(answer.payload, "42");
  assert.deepEqual(answer.properties.get(ids.correlationData)?.[0], correlation);
}
