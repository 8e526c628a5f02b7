import assert from "node:assert/strict";
import * as make from "./bytes.ts";
import { kept } from "./on-connect.ts";
import { malformed } from "./on-format.ts";
import type { Trial } from "./trial.ts";

const { ids, prop } = make;

export async function noLocal(trial: Trial): Promise<void> {
  const client = await trial.client("one");
  await client.subscribe([trial.topic(), 1 | 4]);
  await client.publish(trial.topic(), "my own", { qos: 1 });
  const other = await trial.client("two");
  await other.publish(trial.topic(), "another's", { qos: 1 });
  assert.equal((await client.message()).payload, "another's");
}

export async function noLocalShared(trial: Trial): Promise<void> {
  const filters = [[`$share/g/${trial.topic()}`, 1 | 4]] as const;
  await trial.refuses(make.subscribe({ level: 5, filters }), [0x82]);
}

/** Filters that overlap: each identifier is told, in one copy or in several. */
export async function identifiers(trial: Trial): Promise<void> {
  const client = await trial.client();
  const subscribe = async (filter: string, id?: number): Promise<void> => {
    const properties = id === undefined ? [] : [prop.varint(ids.subscriptionId, id)];
    client.send(make.subscribe({ level: 5, id: client.nextId(), filters: [[filter, 1]], properties }));
    await client.suback();
  };
  await subscribe(trial.topic("a/+"), 7);
  await subscribe(trial.topic("+/b"), 268_435_455);
  await subscribe(trial.topic("#"));
  await client.publish(trial.topic("a/b"), "x", { qos: 1 });
  await client.settle();
  const seen: (number | string | Buffer)[] = [];
  for (let left = true; left; left = client.waiting("publish").length > 0)
    seen.push(...((await client.message()).properties.get(ids.subscriptionId) ?? []));
  assert.deepEqual(
    seen.map(Number).toSorted((a, b) => a - b),
    [7, 268_435_455],
  );
  // Without an identifier the subscription that replaces has none.
  await client.unsubscribe(trial.topic("#"));
  await subscribe(trial.topic("a/+"));
  await client.unsubscribe(trial.topic("+/b"));
  await client.publish(trial.topic("a/c"), "x", { qos: 1 });
  assert.equal((await client.message()).properties.get(ids.subscriptionId), undefined);
}

export async function identifierFromClient(trial: Trial): Promise<void> {
  const properties = [prop.varint(ids.subscriptionId, 1)];
  await trial.refuses(make.publish({ level: 5, topic: trial.topic(), properties }), malformed);
}

export async function shareNames(trial: Trial): Promise<void> {
  for (const filter of ["$share//t", "$share/a+/t", "$share/a#/t", "$share/group", "$share/"]) {
    const client = await trial.client(`s${filter.replaceAll(/[^a-z]/g, "_")}`);
    client.send(make.subscribe({ level: 5, filters: [[filter, 0]] }));
    const answer = client
      .suback()
      .then(({ codes }) => assert.ok((codes[0] ?? 0) >= 0x80, `${filter} is granted`));
    await Promise.any([answer, client.closed()]).catch((error: AggregateError) => {
      throw error.errors[0] as Error;
    });
  }
}

/** Each message goes to one of the group, at the QoS that this one was granted. */
export async function sharesWork(trial: Trial): Promise<void> {
  const filter = `$share/g/${trial.topic()}`;
  const members = [await trial.client("one"), await trial.client("two")] as const;
  await members[0].subscribe([filter, 1]);
  await members[1].subscribe([filter, 0]);
  const writer = await trial.client("writer");
  for (let at = 0; at < 20; at += 1) await writer.publish(trial.topic(), `${at}`, { qos: 2 });
  const seen: string[] = [];
  for (const [index, member] of members.entries()) {
    await member.settle();
    while (member.waiting("publish").length > 0) {
      const { qos, payload } = await member.message();
      assert.equal(qos, index === 0 ? 1 : 0);
      seen.push(payload);
    }
  }
  assert.deepEqual(
    seen.map(Number).toSorted((a, b) => a - b),
    Array.from({ length: 20 }, (_, at) => at),
  );
}

/** QoS 2 to one of the group is finished with that one when it is back. */
export async function shareFinishesQos2(trial: Trial): Promise<void> {
  const filter = `$share/g/${trial.topic()}`;
  const one = await trial.client("one", { ...kept(trial), acks: false });
  await one.subscribe([filter, 2]);
  const writer = await trial.client("writer");
  await writer.publish(trial.topic(), "x", { qos: 2 });
  const { id } = await one.message();
  one.send(make.ack("pubrec", id));
  await one.ack("pubrel", id);
  const two = await trial.client("two");
  await two.subscribe([filter, 2]);
  await one.vanish();
  const back = await trial.client("one", { ...kept(trial), acks: false });
  await back.ack("pubrel", id);
  back.send(make.ack("pubcomp", id));
  await two.settle();
  assert.equal(two.waiting("publish").length, 0);
}

/** What the group's member had got with QoS 2 when its session ended goes to nobody else. */
export async function shareEndsWithSession(trial: Trial): Promise<void> {
  const filter = `$share/g/${trial.topic()}`;
  const one = await trial.client("one", { acks: false });
  await one.subscribe([filter, 2]);
  const writer = await trial.client("writer");
  await writer.publish(trial.topic(), "x", { qos: 2 });
  const { id } = await one.message();
  one.send(make.ack("pubrec", id));
  await one.ack("pubrel", id);
  const two = await trial.client("two");
  await two.subscribe([filter, 2]);
  await one.vanish();
  await writer.publish(trial.topic(), "end", { qos: 1 });
  assert.equal((await two.message()).payload, "end");
}

/** A member's refusal ends the message's way: nobody else gets it. */
export async function shareRefusal(trial: Trial): Promise<void> {
  const filter = `$share/g/${trial.topic()}`;
  const one = await trial.client("one", { acks: false });
  await one.subscribe([filter, 1]);
  const writer = await trial.client("writer");
  await writer.publish(trial.topic(), "x", { qos: 1 });
  const { id } = await one.message();
  const two = await trial.client("two");
  await two.subscribe([filter, 1]);
  one.send(make.ack("puback", id, 0x80));
  await one.settle();
  await one.leave();
  await writer.publish(trial.topic(), "end", { qos: 1 });
  assert.equal((await two.message()).payload, "end");
}
