import assert from "node:assert/strict";
import * as make from "./bytes.ts";
import type { Frame } from "./frames.ts";
import { kept } from "./on-connect.ts";
import { malformed } from "./on-format.ts";
import { Inapplicable, type Trial } from "./trial.ts";

const { ids, prop } = make;

/** No more messages are on their way than the client takes at once, and all others are said meanwhile. */
export async function heedsReceiveMaximum(trial: Trial): Promise<void> {
  const reader = await trial.client("", { acks: false, properties: [prop.u16(ids.receiveMaximum, 3)] });
  await reader.subscribe([trial.topic(), 2]);
  const writer = await trial.client("writer");
  for (let at = 0; at < 8; at += 1) await writer.publish(trial.topic(), `${at}`, { qos: 1 + (at % 2) });
  await writer.publish(trial.topic(), "unbound", { qos: 0 });
  await reader.settle();
  const sent = reader.waiting("publish").filter(({ flags }) => ((flags >> 1) & 3) > 0);
  assert.equal(sent.length, 3);
  assert.deepEqual(await reader.subscribe([trial.topic("other"), 1]), [1], "SUBACK is not held up");
  for (let at = 0; at < 8; at += 1) {
    const message = await takeNext(reader);
    if (message.qos === 1) reader.send(make.ack("puback", message.id));
    else {
      reader.send(make.ack("pubrec", message.id));
      await reader.ack("pubrel", message.id);
      reader.send(make.ack("pubcomp", message.id));
    }
    assert.equal(message.payload, `${at}`);
  }
}

async function takeNext(reader: Awaited<ReturnType<Trial["client"]>>) {
  let message = await reader.message();
  while (message.qos === 0) message = await reader.message();
  return message;
}

/** A client that has more under way than the server takes is told so. */
export async function enforcesReceiveMaximum(trial: Trial): Promise<void> {
  const { client, connack } = await trial.welcomed("", { acks: false });
  const max = Number(connack.properties.get(ids.receiveMaximum)?.[0] ?? 65_535);
  if (max > 5_000) throw new Inapplicable(`the server takes ${max} at once`);
  // Not released, so that they stay under way whatever the server does in between.
  for (let id = 1; id <= max + 1; id += 1)
    client.send(make.publish({ level: 5, topic: trial.topic(), qos: 2, id }));
  assert.ok([undefined, 0x93].includes((await client.closed())?.code));
}

/** Packets larger than the client takes do not come; the next that fits does. */
export async function heedsPacketSize(trial: Trial): Promise<void> {
  const properties = [prop.u32(ids.maximumPacketSize, 120)];
  const client = await trial.client("", { properties });
  await client.subscribe([trial.topic("#"), 2]);
  const writer = await trial.client("writer");
  for (const qos of [0, 1, 2]) {
    await writer.publish(trial.topic("large"), "l".repeat(200), { qos });
    await writer.publish(trial.topic("small"), "s", { qos });
    assert.equal((await client.message()).payload, "s");
  }
}

/** Reason strings and user properties are left out where the packet would be too large with them. */
export async function reasonsFit(trial: Trial): Promise<void> {
  const small = await trial.client("", { properties: [prop.u32(ids.maximumPacketSize, 24)], acks: false });
  await small.subscribe(["#/wrong", 0]).catch(() => undefined);
  small.send(make.unsubscribe({ level: 5, id: 9, filters: [trial.topic("never")] }));
  const frames: Frame[] = [];
  for (const type of ["puback", "pubrec", "suback", "unsuback", "disconnect"] as const)
    frames.push(...small.waiting(type));
  for (const { type, body } of frames)
    assert.ok(body.length + 2 <= 24, `${type} has ${body.length + 2} bytes`);
  const closing = await trial.client("closing", { properties: [prop.u32(ids.maximumPacketSize, 24)] });
  closing.send(make.publish({ level: 5, topic: trial.topic(), qos: 3 }));
  await closing.closed();
  for (const { body } of closing.waiting("disconnect")) assert.ok(body.length + 2 <= 24);
}

/** A client that wants no reasons gets none but where they are allowed. */
export async function noReasons(trial: Trial): Promise<void> {
  const client = await trial.client("", { properties: [prop.byte(ids.requestProblemInfo, 0)], acks: false });
  const { properties } = await client.unsubscribe(trial.topic("never"));
  client.send(make.publish({ level: 5, topic: "$SYS/none", qos: 1, id: 2 }));
  const ack = await client.ack("puback", 2).catch(() => undefined);
  for (const values of [ack?.properties, properties])
    assert.ok(values?.get(ids.reasonString) === undefined && values?.get(ids.user) === undefined);
}

export const responseInformation =
  (request: number | undefined) =>
  async (trial: Trial): Promise<void> => {
    const properties = request === undefined ? [] : [prop.byte(ids.requestResponseInfo, request)];
    const { connack } = await trial.welcomed("", { properties });
    const [given] = connack.properties.get(ids.responseInfo) ?? [];
    if (request !== 1) assert.equal(given, undefined);
    else if (given !== undefined) assert.equal(typeof given, "string");
  };

/** CONNACK keeps to the client's packet size, also with what it was asked for. */
export async function connackFits(trial: Trial): Promise<void> {
  const client = await trial.dial();
  const properties = [prop.u32(ids.maximumPacketSize, 40), prop.byte(ids.requestResponseInfo, 1)];
  client.send(make.connect({ level: 5, clientId: trial.id("x".repeat(60)), properties }));
  const { type, body } = await client.first();
  assert.equal(type, "connack");
  assert.ok(body.length + 2 <= 40, `CONNACK has ${body.length + 2} bytes`);
}

export async function oneConnack(trial: Trial): Promise<void> {
  const client = await trial.client();
  await client.subscribe([trial.topic(), 1]);
  await client.publish(trial.topic(), "x", { qos: 1 });
  await client.settle();
  assert.equal(client.waiting("connack").length, 0);
}

export async function connackFlags(trial: Trial): Promise<void> {
  for (const clean of [true, false]) {
    const { connack, client } = await trial.welcomed("", { ...kept(trial), clean });
    assert.equal(connack.flags & 0xfe, 0);
    await client.leave();
  }
}

/** What the server does not do it says in CONNACK, and refuses. */
export const limitIsKept =
  (id: number, bad: (trial: Trial) => Uint8Array, code: number) =>
  async (trial: Trial): Promise<void> => {
    const { client, connack } = await trial.welcomed();
    const [limit] = connack.properties.get(id) ?? [];
    if (limit === undefined) throw new Inapplicable("the server does all of it");
    client.send(bad(trial));
    assert.ok([undefined, code].includes((await client.closed())?.code));
  };

export async function longClientId(trial: Trial): Promise<void> {
  const client = await trial.dial();
  client.send(make.connect({ level: 5, clientId: trial.id("i".repeat(60_000)) }));
  const { type, body } = await client.first();
  assert.equal(type, "connack");
  if (body[1] === 0) return;
  assert.equal(body[1], 0x85);
  await client.closed();
}

/** A will with a delay is published after it, and not if the client comes back before. */
export async function willDelay(trial: Trial): Promise<void> {
  const watcher = await trial.watcher();
  const will = (payload: string): make.WillOptions => ({
    topic: trial.topic("will"),
    payload,
    qos: 1,
    properties: [prop.u32(ids.willDelay, 2)],
  });
  const options = { ...kept(trial), clean: false };
  await trial.client("", { ...options, will: will("never") }).then((client) => client.vanish());
  const back = await trial.client("", { ...options, will: will("after two seconds") });
  const gone = performance.now();
  await back.vanish();
  assert.equal((await watcher.message()).payload, "after two seconds");
  assert.ok(performance.now() - gone > 1_500, "the delay is waited for");
}

/** A session ends when its expiry interval has passed, and not before. */
export async function sessionExpires(trial: Trial): Promise<void> {
  const lasting = (seconds: number): Partial<make.ConnectOptions> => ({
    clean: false,
    properties: [prop.u32(ids.sessionExpiry, seconds)],
  });
  for (const word of ["short", "long"]) {
    const client = await trial.client(word, lasting(word === "short" ? 1 : 60));
    await client.leave();
  }
  await trial.pause(3_500);
  assert.equal((await trial.welcomed("short", lasting(1))).connack.flags, 0);
  assert.equal((await trial.welcomed("long", lasting(60))).connack.flags, 1);
}

/** The server's DISCONNECT has a code of the table and no session expiry interval. */
export async function serverFarewell(trial: Trial): Promise<void> {
  const client = await trial.client();
  client.send(make.publish({ level: 5, topic: trial.topic(), qos: 3 }));
  const said = await client.closed();
  assert.ok(said !== undefined && said.code >= 0x80, "it says why it ends the connection");
  assert.equal(said.properties.get(ids.sessionExpiry), undefined);
}

/** No DISCONNECT before the CONNACK that welcomes. */
export async function noFarewellFirst(trial: Trial): Promise<void> {
  for (const packet of [make.ping, make.connect({ level: 5, clientId: trial.id(), flags: 3 })]) {
    const client = await trial.dial();
    client.send(packet);
    await client.closed();
    assert.equal(client.waiting("disconnect").length, 0);
  }
}

/** After a DISCONNECT of the server nothing more comes. */
export async function nothingAfterFarewell(trial: Trial): Promise<void> {
  const old = await trial.client("");
  await old.subscribe([trial.topic(), 1]);
  const next = await trial.client("");
  await old.closed();
  await next.publish(trial.topic(), "x", { qos: 1 });
  assert.equal(old.waiting("publish").length, 0);
}

export async function wrongCodes(trial: Trial): Promise<void> {
  const { level } = trial;
  await trial.refuses(make.packet("disconnect", 0, 0x33), malformed);
  await trial.refuses(make.ack("puback", 1, 0x55), malformed);
  await trial.refuses(make.ack("pubrel", 1, 0x10), malformed);
  await trial.refuses(make.ack("pubcomp", 1, 0x10), malformed);
  await trial.refuses(make.ack("pubrec", 1, 0x92), malformed);
  assert.equal(level, 5);
}

/** A refusal of the reader ends the message's way: it does not come again. */
export async function refusedIsNotSentAgain(trial: Trial): Promise<void> {
  const reader = await trial.client("", { ...kept(trial), acks: false });
  await reader.subscribe([trial.topic(), 2]);
  const writer = await trial.client("writer");
  await writer.publish(trial.topic(), "one", { qos: 1 });
  await writer.publish(trial.topic(), "two", { qos: 2 });
  const [one, two] = [await reader.message(), await reader.message()];
  reader.send(make.ack("puback", one.id, 0x80), make.ack("pubrec", two.id, 0x83));
  await reader.settle();
  await reader.vanish();
  const again = await trial.client("", kept(trial));
  await writer.publish(trial.topic(), "three", { qos: 1 });
  assert.equal((await again.message()).payload, "three");
}

export async function longLengths(trial: Trial): Promise<void> {
  await trial.refuses(make.bytes(0xc0, 0x80, 0), malformed);
  const body = make.bytes(make.field(trial.topic()), 0x80, 0);
  await trial.refuses(make.packet("publish", 0, body), malformed);
}

export async function propertiesHaveLength(trial: Trial): Promise<void> {
  const body = make.bytes(make.field("MQTT"), 5, 2, make.u16(0), make.field(trial.id()));
  await trial.refusesFirst(make.packet("connect", 0, body));
  const { client } = await trial.welcomed();
  client.send(make.subscribe({ level: 5, filters: [[trial.topic(), 0]] }));
  const { type, body: suback } = await client.first();
  assert.equal(type, "suback");
  assert.equal(suback[2], 0, "no properties: their length is 0");
}
