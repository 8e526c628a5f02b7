import assert from "node:assert/strict";
import { test } from "node:test";
import { settle } from "@cortado/std/testing/held-clock";
import { REPLAY_HELD_MAX } from "../limits.ts";
import { until, World } from "../testing/world.ts";
import { ReplayGate } from "./replay-gate.ts";

for (const cleanSession of [true, false])
  for (const qos of [0, 1] as const)
    test(`what is retained comes before what is published after the subscription (clean: ${cleanSession}, QoS ${qos})`, async () => {
      await using world = await World.start();
      const writer = await world.client({ clientId: "writer" });
      for (let at = 0; at < 40; at += 1) await writer.published(`a/${at}`, "retained", { retain: true });
      const reader = await world.client({ clientId: "reader", cleanSession });
      const id = reader.nextId();
      reader.send({ type: "subscribe", id, subscriptions: [{ filter: "a/+", qos: 1 }] });
      await until(() => reader.has("suback", id), "SUBACK");
      for (let at = 0; at < 40; at += 1) writer.publish(`a/${at}`, "live", { qos });
      await until(() => reader.messages.length === 80, "all of them");
      for (let at = 0; at < 40; at += 1) {
        const came = reader.messages.filter(({ topic }) => topic === `a/${at}`);
        const texts = came.map(({ payload }) => new TextDecoder().decode(payload));
        assert.deepEqual(texts, ["retained", "live"], `a/${at}`);
      }
    });

for (const cleanSession of [true, false])
  for (const qos of [0, 1, 2] as const)
    test(`a long replay leaves nothing out: what is retained comes, before what comes live on its topic (clean: ${cleanSession}, QoS ${qos})`, async () => {
      await using world = await World.start({ limits: { segmentBytes: 4_096, diskBytesMax: 10_000_000 } });
      const writer = await world.client({ clientId: "writer" });
      const count = 2_000;
      for (let at = 0; at < count; at += 1) writer.publish(`a/${at}`, "retained", { retain: true });
      await until(() => writer.packets.length > count, "filled", 50_000);
      await settle();
      const reader = await world.client({ clientId: "reader", cleanSession, autoAck: false });
      const id = reader.nextId();
      reader.send({ type: "subscribe", id, subscriptions: [{ filter: "a/+", qos: 1 }] });
      await until(() => reader.has("suback", id), "SUBACK");
      await settle();
      assert.ok(reader.messages.length < 500, "it takes longer");
      const live = [1, 7, 999, 1_234, 1_500, 1_999];
      for (const at of live) writer.publish(`a/${at}`, "live", { qos });
      await writer.published("a/1235", "newer", { retain: true });
      await settle();
      reader.autoAck = true;
      for (const one of reader.messages) if (one.qos > 0) reader.send({ type: "puback", id: one.id });
      const topics = (): number => new Set(reader.messages.map(({ topic }) => topic)).size;
      const done = (): boolean =>
        topics() === count && reader.texts.filter((one) => one === "live").length === live.length;
      for (let turn = 0; turn < 300 && !done(); turn += 1) await settle();
      await settle();
      assert.ok(done(), `${topics()} topics`);
      const textsOn = (at: number): readonly string[] =>
        reader.messages
          .filter(({ topic }) => topic === `a/${at}`)
          .map(({ payload }) => new TextDecoder().decode(payload))
          .toSorted((one, other) => (qos === 0 ? other.localeCompare(one) : 0)); // QoS 0 waits for no window
      for (let at = 0; at < count; at += 1)
        assert.deepEqual(
          textsOn(at),
          live.includes(at) ? ["retained", "live"] : at === 1_235 ? ["newer"] : ["retained"],
          `a/${at}`,
        );
    });

test("while a replay begins all live messages wait, and later each for what is retained on its topic", async () => {
  const sent: string[] = [];
  const pass = (topic: string): void => gate.pass(topic, () => void sent.push(topic));
  let opened = 0;
  const gate = new ReplayGate(() => void (opened += 1));
  const brought = new Map<string, PromiseWithResolvers<void>>();
  const bring = (topic: string): Promise<void> | undefined => {
    if (!topic.startsWith("old") || brought.has(topic)) return undefined;
    const bringing = Promise.withResolvers<void>();
    brought.set(topic, bringing);
    return bringing.promise;
  };
  const [first, second] = [gate.begin(bring), gate.begin(() => undefined)];
  for (const topic of ["a", "old/1", "b", "old/2", "c"]) pass(topic);
  assert.deepEqual([sent, brought.size], [[], 0]);
  first.begun();
  first.begun();
  assert.equal(sent.length, 0, "the other one has not begun");
  second.begun();
  assert.deepEqual([sent, [...brought.keys()], opened], [["a"], ["old/1"], 0]);
  brought.get("old/1")?.resolve();
  await settle();
  assert.deepEqual([sent, gate.holds], [["a", "old/1", "b"], true]);
  pass("d");
  first.end();
  second.end();
  assert.equal(gate.isIdle, false, "what waits is not forgotten");
  brought.get("old/2")?.resolve();
  await settle();
  assert.deepEqual([sent, gate.isIdle, opened], [["a", "old/1", "b", "old/2", "c", "d"], true, 1]);
});

test("no more than so many wait, neither for a beginning nor for what is brought", () => {
  let sent = 0;
  const gate = new ReplayGate(() => undefined);
  const replay = gate.begin(() => new Promise(() => undefined));
  for (let at = 0; at < REPLAY_HELD_MAX; at += 1) gate.pass("a", () => void (sent += 1));
  assert.equal(sent, REPLAY_HELD_MAX);
  for (let at = 0; at < REPLAY_HELD_MAX; at += 1) gate.pass("a", () => void (sent += 1));
  assert.equal(sent, 2 * REPLAY_HELD_MAX);
  replay.end();
  assert.equal(gate.isIdle, true);
});
