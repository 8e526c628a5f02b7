import assert from "node:assert/strict";
import * as make from "./bytes.ts";
import { kept } from "./on-connect.ts";
import { malformed } from "./on-format.ts";
import type { Trial } from "./trial.ts";

/** A message that was not acknowledged comes again with DUP, under its old id. */
export async function dupWhenSentAgain(trial: Trial): Promise<void> {
  const first = await trial.client("", { ...kept(trial), acks: false });
  await first.subscribe([trial.topic(), 1]);
  const writer = await trial.client("writer");
  await writer.publish(trial.topic(), "again", { qos: 1 });
  const before = await first.message();
  assert.equal(before.dup, false);
  await first.vanish();
  const again = await trial.client("", kept(trial));
  const { dup, id, payload } = await again.message();
  assert.deepEqual({ dup, id, payload }, { dup: true, id: before.id, payload: "again" });
}

export async function noDupWithQos0(trial: Trial): Promise<void> {
  const client = await trial.client();
  await client.subscribe([trial.topic(), 0]);
  await client.publish(trial.topic(), "x");
  assert.equal((await client.message()).dup, false);
}

export async function dupIsNotPassedOn(trial: Trial): Promise<void> {
  const client = await trial.client();
  await client.subscribe([trial.topic(), 1]);
  await client.publish(trial.topic(), "x", { qos: 1, dup: true });
  assert.equal((await client.message()).dup, false);
}

export async function qosOf3(trial: Trial): Promise<void> {
  const packet = make.publish({ level: trial.level, topic: trial.topic(), qos: 3 });
  await trial.refuses(packet, malformed);
}

export async function retainedIsStored(trial: Trial): Promise<void> {
  const writer = await trial.client("writer");
  await writer.publish(trial.topic("a"), "old", { qos: 1, retain: true });
  await writer.publish(trial.topic("a"), "new", { qos: 1, retain: true });
  const reader = await trial.client("reader");
  await reader.subscribe([trial.topic("a"), 2]);
  const { payload, qos, retain } = await reader.message();
  assert.deepEqual({ payload, qos, retain }, { payload: "new", qos: 1, retain: true });
  await clear(writer, trial.topic("a"));
}

const clear = async (client: Awaited<ReturnType<Trial["client"]>>, topic: string): Promise<void> =>
  void (await client.publish(topic, "", { qos: 1, retain: true }));

/** A QoS 0 message takes the place of what was retained, or leaves none. */
export async function retainedQos0(trial: Trial): Promise<void> {
  const writer = await trial.client("writer");
  await writer.publish(trial.topic(), "old", { qos: 1, retain: true });
  await writer.publish(trial.topic(), "new", { retain: true });
  await writer.settle();
  const reader = await trial.client("reader");
  await reader.subscribe([trial.topic(), 1]);
  await writer.publish(trial.topic(), "end", { qos: 1 });
  const { payload } = await reader.message();
  assert.ok(payload === "new" || payload === "end", payload);
  await clear(writer, trial.topic());
}

export async function liveIsNotRetained(trial: Trial): Promise<void> {
  const client = await trial.client();
  await client.subscribe([trial.topic(), 1]);
  await client.publish(trial.topic(), "live", { qos: 1, retain: true });
  assert.equal((await client.message()).retain, false);
  await clear(client, trial.topic());
}

/** An empty message is sent to who is there, takes the retained one away, and is none itself. */
export async function emptyClears(trial: Trial): Promise<void> {
  const client = await trial.client();
  await client.publish(trial.topic(), "kept", { qos: 1, retain: true });
  await client.subscribe([trial.topic(), 1]);
  assert.equal((await client.message()).payload, "kept");
  await clear(client, trial.topic());
  const { payload, retain } = await client.message();
  assert.deepEqual({ payload, retain }, { payload: "", retain: false });
  const reader = await trial.client("reader");
  await reader.subscribe([trial.topic(), 1]);
  await client.publish(trial.topic(), "end", { qos: 1 });
  assert.equal((await reader.message()).payload, "end");
}

export async function plainLeavesRetained(trial: Trial): Promise<void> {
  const client = await trial.client();
  await client.publish(trial.topic(), "kept", { qos: 1, retain: true });
  await client.publish(trial.topic(), "plain", { qos: 1 });
  await client.publish(trial.topic("other"), "plain", { qos: 1 });
  const reader = await trial.client("reader");
  await reader.subscribe([trial.topic("#"), 1]);
  assert.equal((await reader.message()).payload, "kept");
  await client.publish(trial.topic("end"), "end", { qos: 1 });
  assert.equal((await reader.message()).payload, "end");
  await clear(client, trial.topic());
}

export async function wildcardInTopic(trial: Trial): Promise<void> {
  const { level } = trial;
  for (const topic of [trial.topic("#"), trial.topic("+"), trial.topic("a/+/b"), "#", "a+"])
    await trial.refuses(make.publish({ level, topic }), [...malformed, 0x90]);
}

export async function deliveredTopicMatches(trial: Trial): Promise<void> {
  const client = await trial.client();
  await client.subscribe([trial.topic("+/b/#"), 0]);
  for (const rest of ["a/c", "a/b", "a/b/c/d", "b/b/"]) await client.publish(trial.topic(rest), rest);
  for (const rest of ["a/b", "a/b/c/d", "b/b/"])
    assert.equal((await client.message()).topic, trial.topic(rest));
}

export async function answersByQos(trial: Trial): Promise<void> {
  const client = await trial.client("", { acks: false });
  const { level } = trial;
  const topic = trial.topic();
  client.send(make.publish({ level, topic }), make.publish({ level, topic, qos: 1, id: 7 }));
  assert.equal((await client.first()).type, "puback");
  client.send(make.publish({ level, topic, qos: 2, id: 8 }));
  assert.equal((await client.first()).type, "pubrec");
}

/** With several matching filters the message comes at the highest of their QoS. */
export async function highestOfOverlapping(trial: Trial): Promise<void> {
  const client = await trial.client();
  await client.subscribe([trial.topic("+"), 0], [trial.topic("#"), 2], [trial.topic("a"), 1]);
  await client.publish(trial.topic("a"), "x", { qos: 2 });
  await client.publish(trial.topic("end"), "end", { qos: 2 });
  const seen: number[] = [];
  for (let message = await client.message(); message.payload !== "end"; message = await client.message())
    seen.push(message.qos);
  assert.equal(Math.max(...seen), 2, `came at QoS ${seen.join(", ")}`);
}

/** What a client may not publish is acknowledged all the same, or ends the connection. */
export async function notAllowed(trial: Trial): Promise<void> {
  const client = await trial.client("", { acks: false });
  client.send(make.publish({ level: trial.level, topic: "$SYS/statements", qos: 1, id: 5 }));
  await Promise.any([client.ack("puback", 5), client.closed()]);
}

export async function sentAsQos0(trial: Trial): Promise<void> {
  const client = await trial.client();
  await client.subscribe([trial.topic(), 2]);
  await client.publish(trial.topic(), "x");
  const { qos, dup } = await client.message();
  assert.deepEqual({ qos, dup }, { qos: 0, dup: false });
}

/** QoS 1 to a reader: a new id, DUP 0; kept until PUBACK. */
export async function sendsQos1(trial: Trial): Promise<void> {
  const reader = await trial.client("", { ...kept(trial), acks: false });
  await reader.subscribe([trial.topic(), 1]);
  const writer = await trial.client("writer");
  for (const payload of ["a", "b"]) await writer.publish(trial.topic(), payload, { qos: 1 });
  const [a, b] = [await reader.message(), await reader.message()];
  assert.ok(a.id !== b.id && a.id !== 0 && !a.dup && !b.dup && a.qos === 1);
  reader.send(make.ack("puback", a.id));
  await reader.settle();
  await reader.leave();
  const again = await trial.client("", kept(trial));
  assert.equal((await again.message()).payload, "b", "a was acknowledged, b was not");
}

/** After PUBACK the same id is a new message. */
export async function takesQos1(trial: Trial): Promise<void> {
  const client = await trial.client();
  const { level } = trial;
  await client.subscribe([trial.topic(), 1]);
  const packet = make.publish({ level, topic: trial.topic(), payload: "x", qos: 1, id: 77, dup: true });
  for (let times = 0; times < 2; times += 1) {
    client.send(packet);
    await client.ack("puback", 77);
  }
  assert.deepEqual([(await client.message()).payload, (await client.message()).payload], ["x", "x"]);
}

/** QoS 2 to a reader: PUBLISH until PUBREC, PUBREL until PUBCOMP, never PUBLISH again after PUBREL. */
export async function sendsQos2(trial: Trial): Promise<void> {
  const reader = await trial.client("", { ...kept(trial), acks: false });
  await reader.subscribe([trial.topic(), 2]);
  const writer = await trial.client("writer");
  await writer.publish(trial.topic(), "x", { qos: 2 });
  const sent = await reader.message();
  assert.deepEqual([sent.qos, sent.dup], [2, false]);
  await reader.vanish();
  const second = await trial.client("", { ...kept(trial), acks: false });
  const again = await second.message();
  assert.deepEqual([again.id, again.dup], [sent.id, true]);
  second.send(make.ack("pubrec", sent.id));
  assert.equal((await second.ack("pubrel")).id, sent.id);
  await second.vanish();
  const third = await trial.client("", { ...kept(trial), acks: false });
  assert.equal((await third.first()).type, "pubrel");
  third.send(make.ack("pubcomp", sent.id));
  await third.settle();
  await third.leave();
  const last = await trial.client("", { ...kept(trial) });
  await last.settle();
  assert.equal(last.waiting("publish").length + last.waiting("pubrel").length, 0);
}

/** QoS 2 from a writer: the same id before PUBREL is the same message, after PUBCOMP another. */
export async function takesQos2(trial: Trial): Promise<void> {
  const reader = await trial.client("reader");
  await reader.subscribe([trial.topic(), 0]);
  const writer = await trial.client("writer", { acks: false });
  const { level } = trial;
  const packet = (payload: string, dup: boolean): Uint8Array =>
    make.publish({ level, topic: trial.topic(), payload, qos: 2, id: 21, dup });
  for (const dup of [false, true]) {
    writer.send(packet("one", dup));
    assert.equal((await writer.ack("pubrec")).id, 21);
  }
  writer.send(make.ack("pubrel", 21));
  assert.equal((await writer.ack("pubcomp")).id, 21);
  writer.send(packet("two", false));
  await writer.ack("pubrec");
  writer.send(make.ack("pubrel", 21));
  await writer.ack("pubcomp");
  assert.equal((await reader.message()).payload, "one");
  assert.equal((await reader.message()).payload, "two");
}

/** So it is over a broken connection, where the session stays. */
export async function takesQos2Again(trial: Trial): Promise<void> {
  const reader = await trial.client("reader");
  await reader.subscribe([trial.topic(), 0]);
  const { level } = trial;
  const packet = (dup: boolean): Uint8Array =>
    make.publish({ level, topic: trial.topic(), payload: "once", qos: 2, id: 5, dup });
  const writer = await trial.client("", { ...kept(trial), acks: false });
  writer.send(packet(false));
  await writer.ack("pubrec", 5);
  await writer.vanish();
  const again = await trial.client("", { ...kept(trial), acks: false });
  again.send(packet(true));
  await again.ack("pubrec", 5);
  again.send(make.ack("pubrel", 5));
  await again.ack("pubcomp", 5);
  await again.publish(trial.topic(), "end");
  assert.equal((await reader.message()).payload, "once");
  assert.equal((await reader.message()).payload, "end");
}

/** All that was not acknowledged comes again, in its old order under its old ids. */
export async function resendsInOrder(trial: Trial): Promise<void> {
  const first = await trial.client("", { ...kept(trial), acks: false });
  await first.subscribe([trial.topic(), 2]);
  const writer = await trial.client("writer");
  for (let at = 0; at < 6; at += 1) await writer.publish(trial.topic(), `${at}`, { qos: 1 + (at % 2) });
  const sent: string[] = [];
  for (let at = 0; at < 6; at += 1) {
    const { id, payload } = await first.message();
    sent.push(`${id} ${payload}`);
  }
  await first.vanish();
  const again = await trial.client("", kept(trial));
  const resent: string[] = [];
  for (let at = 0; at < 6; at += 1) {
    const { id, payload, dup } = await again.message();
    assert.ok(dup);
    resent.push(`${id} ${payload}`);
  }
  assert.deepEqual(resent, sent);
}

export async function toAllThatMatch(trial: Trial): Promise<void> {
  const offline = await trial.client("offline", kept(trial));
  await offline.subscribe([trial.topic("+/x"), 1]);
  await offline.leave();
  const online = await trial.client("online");
  await online.subscribe([trial.topic("#"), 1]);
  await online.publish(trial.topic("a/x"), "both", { qos: 1 });
  assert.equal((await online.message()).payload, "both");
  const back = await trial.client("offline", kept(trial));
  assert.equal((await back.message()).payload, "both");
}

/** Messages of one client on one topic come in the order in which it sent them. */
export const inOrder =
  (qos: number) =>
  async (trial: Trial): Promise<void> => {
    const reader = await trial.client("reader");
    await reader.subscribe([trial.topic(), qos]);
    const writer = await trial.client("writer");
    const packets = Array.from({ length: 200 }, (_, at) =>
      make.publish({ level: trial.level, topic: trial.topic(), payload: `${at}`, qos, id: at + 1 }),
    );
    writer.send(...packets.slice(0, 15));
    for (let at = 15; at < packets.length; at += 1) {
      if (qos === 1) await writer.ack("puback");
      if (qos === 2) await writer.ack("pubcomp");
      writer.send(packets[at] as Uint8Array);
    }
    for (let at = 0; at < packets.length; at += 1) assert.equal((await reader.message()).payload, `${at}`);
  };

/** The server as the receiver answers in the order of what it received. */
export async function answersInOrder(trial: Trial): Promise<void> {
  const client = await trial.client("", { acks: false });
  const { level } = trial;
  const topic = trial.topic();
  client.send(...[9, 4, 7].map((id) => make.publish({ level, topic, qos: 1, id })));
  for (const id of [9, 4, 7]) assert.equal((await client.ack("puback")).id, id);
}
