import assert from "node:assert/strict";
import { test } from "node:test";
import { settle } from "@cortado/std/testing/held-clock";
import { Chain, reader, settings, textsOn } from "../testing/bridge-world.ts";
import { until, type TestClient } from "../testing/world.ts";
import type { BridgeSettings } from "./settings.ts";

const topic = "/store104/a";
const there = `hq${topic}`;
const numbers = (from: number, to: number): readonly string[] =>
  Array.from({ length: to - from }, (_, at) => String(from + at));

/** A chain whose line is cut, with 300 messages that wait for it, in several segments on disk. */
async function waiting(more: Partial<BridgeSettings>): Promise<Chain> {
  const chain = await Chain.start({ segmentBytes: 4_096 });
  await chain.bridge(more);
  await chain.connected();
  chain.cut();
  const sensor = await chain.store.client({ clientId: "sensor" });
  for (const text of numbers(0, 300)) {
    await sensor.published(topic, text);
    if (text === "150") await sensor.published("other/topic", "x"); // a sequence that is not the bridge's
  }
  await settle();
  return chain;
}

async function publishAll(chain: Chain, texts: readonly string[]): Promise<void> {
  const sensor = await chain.store.client({ clientId: "sensor" });
  for (const text of texts) await sensor.published(topic, text);
}

test("oldest first at the backlog's rate; what is published meanwhile waits its turn", async () => {
  await using chain = await waiting({ backlogPerS: 50 });
  const client = await reader(chain.central, "hq/#");
  chain.heal();
  await chain.connected();
  await publishAll(chain, ["live"]);
  await chain.store.clock.advance(2_000);
  const after2s = textsOn(client, there).length;
  assert.ok(after2s >= 90 && after2s <= 106, `${after2s} after two seconds at 50 a second`);
  await chain.drained();
  await settle();
  assert.deepEqual(textsOn(client, there), [...numbers(0, 300), "live"]);
  await publishAll(chain, numbers(1_000, 1_400));
  await until(() => textsOn(client, there).length === 701, "what is live has no rate");
});

test("live first: what is published while the line is up goes at once, the backlog in its order behind", async () => {
  await using chain = await waiting({ backlogPerS: 50, order: "live-first" });
  const client = await reader(chain.central, "hq/#");
  chain.heal();
  await chain.connected();
  await chain.store.clock.advance(1_000);
  await publishAll(chain, ["live 1", "live 2"]);
  await until(() => textsOn(client, there).includes("live 2"), "live at once");
  assert.ok(textsOn(client, there).length < 70);
  await chain.drained();
  await settle();
  const got = textsOn(client, there);
  assert.deepEqual(
    got.filter((text) => !text.startsWith("live")),
    numbers(0, 300),
  );
  assert.deepEqual(
    got.filter((text) => text.startsWith("live")),
    ["live 1", "live 2"],
  );
});

test("newest first: the backlog comes from its end, read backwards from disk", async () => {
  await using chain = await waiting({ order: "newest-first" });
  const client = await reader(chain.central, "hq/#");
  await chain.store.restart(); // nothing of it is in memory any more
  chain.heal();
  await chain.bridge({ order: "newest-first" });
  await chain.connected();
  await chain.drained();
  await settle();
  assert.deepEqual(textsOn(client, there), numbers(0, 300).toReversed());
  await publishAll(chain, ["a", "b"]);
  await until(() => textsOn(client, there).at(-1) === "b", "and goes on");
});

for (const order of ["live-first", "newest-first"] as const)
  test(`${order}: what is done out of turn is remembered over power cuts`, async () => {
    const more = { order, backlogPerS: 100 };
    await using chain = await waiting(more);
    const { store, central } = chain;
    const absent = await reader(central, "hq/#");
    absent.connection.end();
    chain.heal();
    await chain.connected();
    let sent = 0;
    for (let round = 0; round < 4; round += 1) {
      await publishAll(chain, [`live ${round}`]);
      await store.clock.advance(600);
      sent += chain.status.counts.sent;
      assert.ok(chain.status.backlogMessages > 0, "it is in the midst of it");
      await store.cutPower();
      await chain.bridge(more);
      await chain.connected();
    }
    await chain.drained();
    await settle();
    sent += chain.status.counts.sent;
    assert.ok(sent < 500, `${sent} were sent for 304: what was acknowledged does not go again`);
    const client: TestClient = await reader(central, "hq/#");
    await until(() => textsOn(client, there).length >= 304, "all");
    await settle();
    const expected = [...numbers(0, 300), ...numbers(0, 4).map((text) => `live ${text}`)];
    assert.deepEqual(textsOn(client, there).toSorted(), expected.toSorted(), "each once");
    assert.deepEqual(
      store.broker.bridges.statuses().map(({ backlogMessages }) => backlogMessages),
      [0],
    );
  });

test("an order may be changed while messages wait", async () => {
  await using chain = await waiting({ order: "newest-first", backlogPerS: 100 });
  const client = await reader(chain.central, "hq/#");
  chain.heal();
  await chain.connected();
  await chain.store.clock.advance(1_000);
  await chain.bridge({ order: "oldest-first" });
  await chain.connected();
  await chain.drained();
  await settle();
  const got = textsOn(client, there);
  assert.equal(got[0], "299");
  assert.deepEqual(got.toSorted(), numbers(0, 300).toSorted(), "each once");
  assert.deepEqual(
    got.slice(got.indexOf("0")),
    numbers(0, 300 - got.indexOf("0")),
    "from the change on the oldest first",
  );
  assert.equal(chain.status.name, settings(chain.central).name);
});
