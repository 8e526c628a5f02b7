import assert from "node:assert/strict";
import * as make from "./bytes.ts";
import { kept } from "./on-connect.ts";
import { malformed } from "./on-format.ts";
import { ill, type Trial } from "./trial.ts";

export async function illFormedFilter(trial: Trial): Promise<void> {
  const { level } = trial;
  await trial.refuses(make.subscribe({ level, filters: [[make.bytes("f/", ill), 0]] }), malformed);
}

export async function illFormedUnsubscribe(trial: Trial): Promise<void> {
  const { level } = trial;
  await trial.refuses(make.unsubscribe({ level, filters: [make.bytes("f/", ill)] }), malformed);
}

export async function wildcardsWork(trial: Trial): Promise<void> {
  const client = await trial.client();
  assert.deepEqual(await client.subscribe([trial.topic("+/#"), 1], [trial.topic("+"), 0]), [1, 0]);
}

export async function noFilter(trial: Trial): Promise<void> {
  await trial.refuses(make.subscribe({ level: trial.level, filters: [] }), malformed);
}

export async function noFilterToLeave(trial: Trial): Promise<void> {
  await trial.refuses(make.unsubscribe({ level: trial.level, filters: [] }), malformed);
}

export async function reservedOptions(trial: Trial): Promise<void> {
  const { level } = trial;
  const wrong = level === 5 ? [3, 0x40, 0x80, 0x30] : [3, 4, 0x40, 0x80, 0xff];
  for (const options of wrong)
    await trial.refuses(make.subscribe({ level, filters: [[trial.topic(), options]] }), malformed);
}

export async function isAnswered(trial: Trial): Promise<void> {
  const client = await trial.client();
  client.send(make.subscribe({ level: trial.level, id: 4711, filters: [[trial.topic(), 1]] }));
  const { id, codes } = await client.suback();
  assert.deepEqual([id, codes], [4711, [1]]);
}

/** The same filter again takes the place of the old one; retained messages come again, and nothing is lost in between. */
export async function replaces(trial: Trial): Promise<void> {
  const client = await trial.client();
  await client.publish(trial.topic(), "retained", { qos: 1, retain: true });
  for (const qos of [0, 1]) {
    await client.subscribe([trial.topic(), qos]);
    const { payload, qos: came } = await client.message();
    assert.deepEqual([payload, came], ["retained", qos]);
  }
  await client.publish(trial.topic(), "once", { qos: 1 });
  await client.publish(trial.topic(), "end", { qos: 1 });
  const [once, end] = [await client.message(), await client.message()];
  assert.deepEqual([once.payload, once.qos, end.payload], ["once", 1, "end"]);
  await client.publish(trial.topic(), "", { qos: 1, retain: true });
}

export async function severalFilters(trial: Trial): Promise<void> {
  const client = await trial.client();
  const codes = await client.subscribe([trial.topic("a"), 0], [trial.topic("b"), 2], [trial.topic("a"), 1]);
  assert.deepEqual(codes, [0, 2, 1]);
  await client.publish(trial.topic("a"), "the last counts", { qos: 2 });
  await client.publish(trial.topic("b"), "b", { qos: 2 });
  const [a, b] = [await client.message(trial.topic("a")), await client.message(trial.topic("b"))];
  assert.deepEqual([a.qos, b.qos], [1, 2]);
  assert.equal(client.waiting("publish").length, 0);
}

export async function aCodeForEach(trial: Trial): Promise<void> {
  const client = await trial.client();
  const codes = await client.subscribe([trial.topic("a"), 2], [trial.topic("b"), 0], [trial.topic("c"), 1]);
  assert.deepEqual(codes, [2, 0, 1]);
}

export async function lowerQosCounts(trial: Trial): Promise<void> {
  const client = await trial.client();
  for (const granted of [0, 1, 2])
    for (const qos of [0, 1, 2]) {
      const topic = trial.topic(`${granted}${qos}`);
      await client.subscribe([topic, granted]);
      await client.publish(topic, "x", { qos });
      assert.equal((await client.message(topic)).qos, Math.min(granted, qos));
    }
}

export async function knownCodes(trial: Trial): Promise<void> {
  const client = await trial.client();
  const codes = await client.subscribe([trial.topic(), 2], ["$share/g/" + trial.topic(), 1]);
  const may =
    trial.level === 5 ? [0, 1, 2, 0x80, 0x83, 0x87, 0x8f, 0x91, 0x97, 0x9e, 0xa1, 0xa2] : [0, 1, 2, 128];
  assert.ok(codes.every((code) => may.includes(code)));
}

/** Filters are compared byte for byte, also those with wildcards. */
export async function unsubscribesExactly(trial: Trial): Promise<void> {
  const client = await trial.client();
  await client.subscribe([trial.topic("a/b"), 1]);
  await client.unsubscribe(trial.topic("a/+"), trial.topic("#"), trial.topic("A/b"));
  await client.publish(trial.topic("a/b"), "still", { qos: 1 });
  assert.equal((await client.message()).payload, "still");
  await client.unsubscribe(trial.topic("a/b"));
  await gone(trial, client);
}

async function gone(trial: Trial, client: Awaited<ReturnType<Trial["client"]>>): Promise<void> {
  await client.subscribe([trial.topic("end"), 1]);
  await client.publish(trial.topic("a/b"), "gone", { qos: 1 });
  await client.publish(trial.topic("end"), "end", { qos: 1 });
  assert.equal((await client.message()).payload, "end");
}

export async function unsubscribeStops(trial: Trial): Promise<void> {
  const client = await trial.client();
  await client.subscribe([trial.topic("a/b"), 1]);
  await client.unsubscribe(trial.topic("a/b"));
  await gone(trial, client);
}

/** What was on its way when the filter went is brought to its end. */
export async function inFlightIsCompleted(trial: Trial): Promise<void> {
  const client = await trial.client("", { ...kept(trial), acks: false });
  await client.subscribe([trial.topic(), 2]);
  const writer = await trial.client("writer");
  for (const qos of [1, 2]) await writer.publish(trial.topic(), `${qos}`, { qos });
  const [one, two] = [await client.message(), await client.message()];
  await client.unsubscribe(trial.topic());
  client.send(make.ack("pubrec", two.id));
  assert.equal((await client.ack("pubrel")).id, two.id);
  await client.vanish();
  const again = await trial.client("", kept(trial));
  const { id, payload } = await again.message();
  assert.deepEqual([id, payload], [one.id, "1"]);
  await again.ack("pubrel", two.id);
}

export async function unsubscribeIsAnswered(trial: Trial): Promise<void> {
  const client = await trial.client();
  await client.subscribe([trial.topic(), 0]);
  client.send(make.unsubscribe({ level: trial.level, id: 815, filters: [trial.topic()] }));
  assert.equal((await client.unsuback()).id, 815);
}

export async function unknownIsAnswered(trial: Trial): Promise<void> {
  const client = await trial.client();
  const { codes } = await client.unsubscribe(trial.topic("never"));
  if (trial.level === 5) assert.deepEqual(codes, [0x11]);
}

export async function severalToLeave(trial: Trial): Promise<void> {
  const client = await trial.client();
  await client.subscribe([trial.topic("a"), 0], [trial.topic("b"), 0], [trial.topic("c"), 0]);
  const { codes } = await client.unsubscribe(trial.topic("a"), trial.topic("x"), trial.topic("c"));
  if (trial.level === 5) assert.deepEqual(codes, [0, 0x11, 0]);
  for (const rest of ["a", "b", "c"]) await client.publish(trial.topic(rest), rest);
  await client.settle();
  assert.equal((await client.message()).topic, trial.topic("b"));
  assert.equal(client.waiting("publish").length, 0);
}
