import assert from "node:assert/strict";
import * as make from "./bytes.ts";
import { ill, type Trial } from "./trial.ts";

export async function firstIsConnect(trial: Trial): Promise<void> {
  const { level } = trial;
  const topic = trial.topic();
  await trial.refusesFirst(make.ping);
  await trial.refusesFirst(make.publish({ level, topic }));
  await trial.refusesFirst(make.subscribe({ level, filters: [[topic, 0]] }));
  await trial.refusesFirst(make.farewell);
}

export async function secondConnect(trial: Trial): Promise<void> {
  await trial.refuses(make.connect({ level: trial.level, clientId: trial.id("again") }), [0x82]);
}

export async function otherProtocol(trial: Trial): Promise<void> {
  const { level } = trial;
  await trial.refusesFirst(make.connect({ level, clientId: trial.id(), protocolName: "MQTX" }));
}

export async function otherLevel(trial: Trial): Promise<void> {
  const { level } = trial;
  for (const protocolLevel of [2, 6, 99]) {
    const client = await trial.dial();
    client.send(make.connect({ level, clientId: trial.id(), protocolLevel }));
    const [connack] = await client.closed().then(() => client.waiting("connack"));
    // One beyond MQTT 5 may be answered as MQTT 5 is, and there need be no answer.
    if (protocolLevel < 3 || connack !== undefined)
      assert.ok((protocolLevel < 3 ? [1] : [1, 0x84]).includes(connack?.body[1] ?? 0));
  }
}

export async function reservedFlag(trial: Trial): Promise<void> {
  await trial.refusesFirst(make.connect({ level: trial.level, clientId: trial.id(), flags: 3 }));
}

export const kept = (trial: Trial): Partial<make.ConnectOptions> => ({
  clean: false,
  ...(trial.level === 5 ? { properties: [make.prop.u32(make.ids.sessionExpiry, 300)] } : {}),
});

export async function sessionResumes(trial: Trial): Promise<void> {
  const first = await trial.client("", kept(trial));
  await first.subscribe([trial.topic(), 1]);
  await first.leave();
  const { client, connack } = await trial.welcomed("", kept(trial));
  assert.equal(connack.flags, 1);
  await client.publish(trial.topic(), "still subscribed", { qos: 1 });
  assert.equal((await client.message()).payload, "still subscribed");
}

export async function sessionIsMade(trial: Trial): Promise<void> {
  const { client, connack } = await trial.welcomed("", kept(trial));
  assert.equal(connack.flags, 0);
  await client.leave();
  assert.equal((await trial.welcomed("", kept(trial))).connack.flags, 1);
}

export async function messagesWait(trial: Trial): Promise<void> {
  const first = await trial.client("", kept(trial));
  await first.subscribe([trial.topic(), 2]);
  await first.leave();
  const writer = await trial.client("writer");
  await writer.publish(trial.topic(), "one", { qos: 1 });
  await writer.publish(trial.topic(), "two", { qos: 2 });
  const again = await trial.client("", kept(trial));
  const [one, two] = [await again.message(), await again.message()];
  assert.deepEqual([one.payload, one.qos, two.payload, two.qos], ["one", 1, "two", 2]);
}

export async function cleanIsNew(trial: Trial): Promise<void> {
  const first = await trial.client("", kept(trial));
  await first.subscribe([trial.topic("old"), 1]);
  await first.leave();
  const writer = await trial.client("writer");
  await writer.publish(trial.topic("old"), "for the old", { qos: 1 });
  const { client, connack } = await trial.welcomed("", { clean: true });
  assert.equal(connack.flags, 0);
  await client.subscribe([trial.topic("new"), 1]);
  await writer.publish(trial.topic("old"), "nobody", { qos: 1 });
  await writer.publish(trial.topic("new"), "new", { qos: 1 });
  assert.equal((await client.message()).payload, "new");
  await client.leave();
  // What a clean connection had is not there for the next.
  const { connack: next } = await trial.welcomed("", { clean: false });
  assert.equal(next.flags, 0);
}

export async function retainedOutlivesSession(trial: Trial): Promise<void> {
  const first = await trial.client();
  await first.publish(trial.topic(), "kept", { qos: 1, retain: true });
  await first.leave();
  await trial.client().then((client) => client.leave());
  const reader = await trial.client("reader");
  await reader.subscribe([trial.topic(), 1]);
  assert.equal((await reader.message()).payload, "kept");
  await reader.publish(trial.topic(), "", { retain: true });
  await reader.settle();
}

const willOf = (trial: Trial, more: Partial<make.WillOptions> = {}): make.WillOptions => ({
  topic: trial.topic("will"),
  payload: "gone",
  ...more,
});

export async function willIsPublished(trial: Trial): Promise<void> {
  const watcher = await trial.watcher();
  const mortal = await trial.client("", { will: willOf(trial, { qos: 1 }) });
  await mortal.vanish();
  const { topic, payload, qos } = await watcher.message();
  assert.deepEqual({ topic, payload, qos }, { topic: trial.topic("will"), payload: "gone", qos: 1 });
  // One that the server throws out is gone as well.
  const rude = await trial.client("rude", { will: willOf(trial, { qos: 2, payload: "thrown out" }) });
  rude.send(make.publish({ level: trial.level, topic: trial.topic("rude"), qos: 3 }));
  assert.equal((await watcher.message()).payload, "thrown out");
}

/** Whatever the watcher gets next is this, and nothing was before it. */
async function onlyThis(trial: Trial, watcher: Awaited<ReturnType<Trial["watcher"]>>): Promise<void> {
  const writer = await trial.client("after");
  await writer.publish(trial.topic("after"), "after", { qos: 1 });
  assert.equal((await watcher.message()).payload, "after");
}

export async function farewellDropsWill(trial: Trial): Promise<void> {
  const watcher = await trial.watcher();
  const client = await trial.client("", { will: willOf(trial, { qos: 1 }) });
  await client.leave();
  await onlyThis(trial, watcher);
}

export async function noWillNoMessage(trial: Trial): Promise<void> {
  const watcher = await trial.watcher();
  await trial.client("").then((client) => client.vanish());
  await onlyThis(trial, watcher);
}

/** Once published it is over: the next connection of the same client has none. */
export async function willOnlyOnce(trial: Trial): Promise<void> {
  const watcher = await trial.watcher();
  const mortal = await trial.client("", { will: willOf(trial, { qos: 1 }) });
  await mortal.vanish();
  assert.equal((await watcher.message()).payload, "gone");
  await trial.client("").then((client) => client.vanish());
  await onlyThis(trial, watcher);
}

export const willWithoutFlag =
  (flags: number) =>
  async (trial: Trial): Promise<void> => {
    await trial.refusesFirst(make.connect({ level: trial.level, clientId: trial.id(), flags }));
  };

export async function willQosOf3(trial: Trial): Promise<void> {
  const { level } = trial;
  await trial.refusesFirst(make.connect({ level, clientId: trial.id(), will: willOf(trial, { qos: 3 }) }));
}

/** The flag says that there is a will, and the payload ends before it. */
export async function willIsMissing(trial: Trial): Promise<void> {
  await trial.refusesFirst(make.connect({ level: trial.level, clientId: trial.id(), flags: 2 | 4 }));
}

export const willRetained =
  (retain: boolean) =>
  async (trial: Trial): Promise<void> => {
    const watcher = await trial.watcher();
    const mortal = await trial.client("", { will: willOf(trial, { qos: 1, retain }) });
    await mortal.vanish();
    assert.equal((await watcher.message()).payload, "gone");
    const later = await trial.client("later");
    await later.subscribe([trial.topic("will"), 1]);
    await later.publish(trial.topic("will"), "end", { qos: 1 });
    const first = await later.message();
    assert.deepEqual([first.payload, first.retain], retain ? ["gone", true] : ["end", false]);
    await later.publish(trial.topic("will"), "", { retain: true });
    await later.settle();
  };

export const fieldAgainstFlag =
  (options: Omit<make.ConnectOptions, "clientId">) =>
  async (trial: Trial): Promise<void> => {
    await trial.refusesFirst(make.connect({ level: trial.level, clientId: trial.id(), ...options }));
  };

export async function keepAlive(trial: Trial): Promise<void> {
  const { client, connack } = await trial.welcomed("", { keepAlive: 1 });
  const [given = 1] = connack.properties.get(make.ids.serverKeepAlive) ?? [];
  const startMs = performance.now();
  await client.closed(1_500 * Number(given) + 6_000);
  const tookMs = performance.now() - startMs;
  assert.ok(tookMs > 1_000, `it was closed after ${Math.round(tookMs)} ms already`);
}

export async function fieldsInOrder(trial: Trial): Promise<void> {
  const watcher = await trial.watcher();
  const [username, password] = ["user", "password"];
  const will = willOf(trial, { payload: "the will", qos: 1 });
  const client = await trial.dial();
  const { code } = await client.connect({ clientId: trial.id(), will, username, password });
  // A server that asks for passwords does not know this one, and has read all fields to say so.
  if ([4, 5, 0x86, 0x87].includes(code)) return;
  await client.vanish();
  assert.equal((await watcher.message()).payload, "the will");
}

export async function idIsTheState(trial: Trial): Promise<void> {
  const one = await trial.client("one", kept(trial));
  await one.subscribe([trial.topic(), 1]);
  await one.leave();
  assert.equal((await trial.welcomed("two", kept(trial))).connack.flags, 0);
  assert.equal((await trial.welcomed("one", kept(trial))).connack.flags, 1);
}

export async function idIsMissing(trial: Trial): Promise<void> {
  const { level } = trial;
  const name = make.field(level === 3 ? "MQIsdp" : "MQTT");
  const none = level === 5 ? [make.properties()] : [];
  await trial.refusesFirst(make.packet("connect", 0, name, level, 2, make.u16(0), ...none));
}

export async function illFormedId(trial: Trial): Promise<void> {
  await trial.refusesFirst(make.connect({ level: trial.level, clientId: make.bytes(ill, "x") }));
}

export async function idsOf23(trial: Trial): Promise<void> {
  for (const clientId of ["0123456789abcdefghijklm", "nopqrstuvwxyzABCDEFGHIJ", "KLMNOPQRSTUVWXYZ", "q"]) {
    const client = await trial.dial();
    assert.equal((await client.connect({ clientId })).code, 0);
  }
}

export async function emptyIdIsGiven(trial: Trial): Promise<void> {
  const [one, two] = [await trial.dial(), await trial.dial()];
  const answers = [await one.connect({ clientId: "" }), await two.connect({ clientId: "" })];
  assert.deepEqual(
    answers.map(({ code }) => code),
    [0, 0],
  );
  const given = answers.map(({ properties }) => properties.get(make.ids.assignedClientId)?.[0]);
  if (trial.level === 5) assert.ok(given.every((id) => typeof id === "string" && id !== ""));
  if (trial.level === 5) assert.notEqual(given[0], given[1]);
  // Each is served by itself: the second did not take the first's place.
  await one.subscribe([trial.topic(), 0]);
  await two.publish(trial.topic(), "for the other", { qos: 1 });
  assert.equal((await one.message()).payload, "for the other");
}

export async function emptyIdKept(trial: Trial): Promise<void> {
  const client = await trial.dial();
  const { code, flags } = await client.connect({ clientId: "", clean: false });
  assert.deepEqual([code, flags], [2, 0]);
  await client.closed();
}

export async function illFormedWillTopic(trial: Trial): Promise<void> {
  const { level } = trial;
  const will = { topic: make.bytes("w/", ill), payload: "" };
  await trial.refusesFirst(make.connect({ level, clientId: trial.id(), will }));
}

export async function illFormedUser(trial: Trial): Promise<void> {
  const { level } = trial;
  await trial.refusesFirst(make.connect({ level, clientId: trial.id(), username: make.bytes(ill) }));
}

/** Cut short, with bytes left over, with a length that is none: no CONNACK says welcome. */
export async function brokenConnect(trial: Trial): Promise<void> {
  const good = make.connect({ level: trial.level, clientId: trial.id() });
  const body = good.subarray(2);
  await trial.refusesFirst(make.bytes(0x10, body.length - 3, body.subarray(0, -3)));
  await trial.refusesFirst(make.bytes(0x10, body.length + 2, body, 0, 0));
  await trial.refusesFirst(make.bytes(0x10, 0xff, 0xff, 0xff, 0xff, 1));
  await trial.refusesFirst(make.bytes(0x10, 0));
}

export async function sameIdTakesOver(trial: Trial): Promise<void> {
  const old = await trial.client("");
  const next = await trial.client("");
  const said = await old.closed();
  assert.ok([undefined, 0x8e].includes(said?.code));
  await next.settle();
}

export async function welcome(trial: Trial): Promise<void> {
  const { connack } = await trial.welcomed("");
  assert.deepEqual([connack.code, connack.flags], [0, 0]);
}

/** What follows a CONNECT that is refused in the same breath is not done. */
export async function afterRefusal(trial: Trial): Promise<void> {
  const { level } = trial;
  const watcher = await trial.watcher();
  const client = await trial.dial();
  client.send(
    make.connect({ level, clientId: trial.id(), protocolLevel: 99 }),
    make.publish({ level, topic: trial.topic("never"), payload: "never" }),
  );
  await client.closed();
  const writer = await trial.client("writer");
  await writer.publish(trial.topic("after"), "after", { qos: 1 });
  assert.equal((await watcher.message()).payload, "after");
}

/** CONNACK comes before the messages that waited. */
export async function connackIsFirst(trial: Trial): Promise<void> {
  const first = await trial.client("", kept(trial));
  await first.subscribe([trial.topic(), 1]);
  await first.leave();
  await trial.client("writer").then((writer) => writer.publish(trial.topic(), "waits", { qos: 1 }));
  const client = await trial.dial();
  client.send(make.connect({ level: trial.level, clientId: trial.id(), ...kept(trial) }));
  assert.equal((await client.first()).type, "connack");
  assert.equal((await client.message()).payload, "waits");
}

export async function refusedIsNotPresent(trial: Trial): Promise<void> {
  await trial.client("", kept(trial)).then((client) => client.leave());
  const client = await trial.dial(4);
  const { code, flags } = await client.connect({ clientId: trial.id(), clean: false, protocolLevel: 99 });
  assert.ok(code !== 0);
  assert.equal(flags, 0);
  await client.closed();
}
