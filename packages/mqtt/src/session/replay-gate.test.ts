import assert from "node:assert/strict";
import { test } from "node:test";
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

test("a replay that takes long holds up only so many; what came meanwhile supersedes what is retained", () => {
  const sent: string[] = [];
  let opened = 0;
  const gate = new ReplayGate(() => void (opened += 1));
  const [first, second] = [gate.begin(), gate.begin()];
  gate.pass("a", () => void sent.push("a"));
  assert.deepEqual([sent.length, first.isSuperseded("a")], [0, false]);
  first.begun();
  first.begun();
  assert.equal(sent.length, 0, "the other one has not begun");
  second.begun();
  assert.deepEqual(
    [sent, opened, second.isSuperseded("a"), second.isSuperseded("b")],
    [["a"], 1, true, false],
  );
  gate.pass("b", () => void sent.push("b"));
  assert.deepEqual([sent, second.isSuperseded("b")], [["a", "b"], true]);
  const third = gate.begin();
  for (let at = 0; at < REPLAY_HELD_MAX; at += 1) gate.pass("c", () => void sent.push("c"));
  assert.equal(sent.length, 2 + REPLAY_HELD_MAX, "no more than so many wait");
  for (const replay of [first, second, third]) replay.end();
  assert.equal(gate.isIdle, true);
});
