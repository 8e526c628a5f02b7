import assert from "node:assert/strict";
import { test } from "node:test";
import { settle } from "@cortado/std/testing/held-clock";
import { StatusError } from "@cortado/std/status";
import { Chain, out, reader, settings } from "../testing/bridge-world.ts";
import { until, World } from "../testing/world.ts";
import { checkBridge, openRemote, type BridgeSettings } from "./settings.ts";

const text = (bytes: Uint8Array | undefined): string => new TextDecoder().decode(bytes);

type Wrong = { readonly what: Partial<BridgeSettings>; readonly field: string; readonly says: RegExp };
const wrong: readonly Wrong[] = [
  { what: { addresses: [] }, field: "spec.addresses", says: /host:port/ },
  { what: { topics: [] }, field: "spec.topics", says: /at least one/ },
  { what: { topics: [{ ...out, pattern: "a/#/b" }] }, field: "spec.topics[0].pattern", says: /last level/ },
  { what: { topics: [{ ...out, pattern: "" }] }, field: "spec.topics[0].pattern", says: /both prefixes/ },
  {
    what: { topics: [out, { ...out, remotePrefix: "+/" }] },
    field: "spec.topics[1].remotePrefix",
    says: /wildcard/,
  },
  { what: { topics: [{ ...out, pattern: "$share/g/a" }] }, field: "spec.topics[0].pattern", says: /shared/ },
  {
    what: { topics: [{ ...out, qos: 2 }], order: "live-first" },
    field: "spec.topics[0].qos",
    says: /oldest-first/,
  },
  {
    what: { clientId: "x".repeat(129), remote: { ...openRemote, clientIdBytesMax: 128 } },
    field: "spec.clientId",
    says: /128 bytes/,
  },
  { what: { burstBytes: 5 }, field: "spec.budget.burstBytes", says: /bytesPerSecond/ },
  { what: { level: 4, password: "x" }, field: "spec.username", says: /user name/ },
  { what: { tls: { certificate: "x" } }, field: "spec.tls.secretName", says: /key/ },
  { what: { notificationTopic: "a/+" }, field: "spec.notifications.topic", says: /wildcard/ },
];

test("settings that cannot be are refused by field, and the bridge that runs runs on", async () => {
  await using chain = await Chain.start();
  const { store, central } = chain;
  await chain.bridge();
  await chain.connected();
  for (const { what, field, says } of wrong) {
    const check = (): void => checkBridge(settings(central, what));
    assert.throws(check, (error) => {
      assert.ok(error instanceof StatusError && error.reason === "Invalid");
      assert.equal(error.details?.causes?.[0]?.field, field);
      assert.match(error.message, says);
      return true;
    });
    assert.throws(() => store.broker.bridges.put(settings(central, what)));
    assert.equal(chain.status.state, "connected");
  }
});

test("what a remote cannot take by its limits is left out, counted and told; the rest goes on", async () => {
  await using chain = await Chain.start();
  const { store, central } = chain;
  const remote = {
    ...openRemote,
    topicLevelsMax: 5,
    topicBytesMax: 40,
    payloadBytesMax: 20,
    qosMax: 1 as const,
  };
  await chain.bridge({ remote: { ...remote, retainAvailable: false } });
  await chain.connected();
  const there = await reader(central, "hq/#");
  const sensor = await store.client({ clientId: "sensor" });
  await sensor.published("/store104/a/b/c/d", "too deep");
  assert.match(chain.status.lastError ?? "", /6 levels is over the 5/);
  await sensor.published(`/store104/${"x".repeat(40)}`, "too long a topic");
  assert.match(chain.status.lastError ?? "", /bytes is over the 40/);
  await sensor.published("/store104/a", "x".repeat(21));
  assert.match(chain.status.lastError ?? "", /payload of 21 bytes is over the 20/);
  await sensor.published("/store104/a", "fits", { retain: true });
  await until(() => there.texts.length === 1, "the rest");
  assert.equal(there.messages[0]?.qos, 1);
  assert.deepEqual(chain.status.counts.skipped, 3);
  assert.equal(chain.status.backlogMessages, 0);
  const late = await central.client({ clientId: "late" });
  await late.subscribed("hq/#");
  await settle();
  assert.equal(late.messages.length, 0, "nothing is retained there");
});

test("a remote's own limits are kept: receive maximum and packet size of its CONNACK", async () => {
  await using chain = await Chain.start({}, { limits: { receiveMax: 3, packetBytesMax: 2_000 } });
  const { store, central } = chain;
  await chain.bridge();
  await chain.connected();
  chain.cut();
  const sensor = await store.client({ clientId: "sensor" });
  for (let at = 0; at < 50; at += 1) await sensor.published("/store104/a", String(at));
  await sensor.published("/store104/a", "x".repeat(3_000));
  await sensor.published("/store104/a", "last");
  const there = await reader(central, "hq/#");
  chain.heal();
  await chain.connected();
  await chain.drained();
  await until(() => there.texts.length === 51, "all but the large one");
  assert.equal(there.texts.at(-1), "last");
  assert.match(chain.status.lastError ?? "", /over the 2000 that the remote takes/);
  assert.equal(chain.status.connections, 2, "never disconnected for 0x93 or 0x95");
});

test("a message that the remote may not have yet ends the connection and stays first", async () => {
  let mayPublish = false;
  await using chain = await Chain.start(
    {},
    {
      authenticate: ({ username, password }) =>
        Promise.resolve(
          text(password) === "secret" && username !== undefined ? { user: username } : undefined,
        ),
      authorize: ({ action }) => action === "subscribe" || mayPublish,
    },
  );
  const { store, central } = chain;
  await chain.bridge({ notifications: false });
  await settle();
  await store.clock.until(() => chain.status.state === "waiting", { withinMs: 60_000 });
  assert.match(chain.status.lastError ?? "", /refuses the connection: not authorized/);
  await chain.bridge({ notifications: false, username: "store-104", password: "wrong" });
  await store.clock.until(() => chain.status.state === "waiting", { withinMs: 60_000 });
  assert.match(chain.status.lastError ?? "", /bad credentials \(0x86\)/);
  const good = { notifications: false, username: "store-104", password: "secret" };
  await chain.bridge(good);
  await chain.connected();
  const sensor = await store.client({ clientId: "sensor" });
  await sensor.published("/store104/a", "1");
  await sensor.published("/store104/a", "2");
  await store.clock.until(() => chain.status.state === "waiting", { withinMs: 60_000 });
  assert.match(chain.status.lastError ?? "", /does not take \/store104\/a: not authorized \(0x87\)/);
  assert.equal(chain.status.backlogMessages, 2, "and nothing is lost");
  mayPublish = true;
  const there = await central.client({
    clientId: "reader",
    username: "reader",
    password: new TextEncoder().encode("secret"),
  });
  await there.subscribed("hq/#");
  await chain.drained();
  await until(() => there.texts.length === 2, "both");
  assert.deepEqual(there.texts, ["1", "2"]);
});

test("a remote that does not grant a topic is told of in the status", async () => {
  await using chain = await Chain.start({}, { authorize: ({ action }) => action === "publish" });
  await chain.bridge({ topics: [{ ...out, direction: "both" }] });
  await chain.connected();
  assert.match(chain.status.lastError ?? "", /does not grant hq\/store104\/#: not authorized \(0x87\)/);
});

test("a full quota here holds the remote, which loses nothing by it", async () => {
  await using chain = await Chain.start({ sessionItemsMax: 5 });
  const { store, central } = chain;
  await chain.bridge({ topics: [{ ...out, direction: "in" }] });
  await chain.connected();
  const absent = await reader(store, "/store104/#");
  absent.connection.end();
  const head = await central.client({ clientId: "head" });
  for (let at = 0; at < 300; at += 1) await head.published("hq/store104/a", String(at));
  await store.clock.advance(5_000);
  assert.equal(chain.status.state, "connected");
  const client = await reader(store, "/store104/#");
  await store.clock.until(() => client.messages.length === 300, { withinMs: 900_000 });
  assert.deepEqual(
    client.texts,
    Array.from({ length: 300 }, (_, at) => String(at)),
  );
});

test("a remote that falls silent, or never answers, is left", async () => {
  await using chain = await Chain.start();
  const { store, central } = chain;
  await chain.bridge({ keepAliveS: 10, backoffFirstMs: 60_000 });
  await chain.connected();
  await store.clock.advance(120_000);
  assert.equal(chain.status.connections, 1, "an idle line stays");
  const mute = { host: "mute", port: 1883 };
  await using _listening = await store.network.listen(mute, () => {});
  await chain.bridge({ addresses: [mute] });
  await store.clock.until(() => chain.status.state === "waiting", { withinMs: 60_000 });
  assert.match(chain.status.lastError ?? "", /no CONNACK within/);
  assert.equal(central.broker.bridges.statuses().length, 0);
});

test("addresses are tried in turn", async () => {
  await using chain = await Chain.start();
  await chain.bridge({ addresses: [{ host: "nobody", port: 1 }, chain.central.address] });
  await chain.connected();
  assert.equal(chain.status.connections, 1);
});

test("the waits between tries grow, and each is another", async () => {
  await using chain = await Chain.start();
  const { store } = chain;
  chain.cut();
  await chain.bridge({ backoffFirstMs: 1_000, backoffMaxMs: 60_000 });
  await store.clock.advance(3_600_000);
  const waits = store.kept.lines.flatMap(({ fields }) =>
    typeof fields["nextTryInMs"] === "number" ? [fields["nextTryInMs"]] : [],
  );
  assert.ok(waits.length >= 60 && waits.length <= 130, `${waits.length} tries in an hour`);
  for (const [at, wait] of waits.entries()) {
    const most = Math.min(60_000, 1_000 * 2 ** at);
    assert.ok(wait >= most / 2 - 1 && wait <= most, `wait ${at} is ${wait}`);
  }
  assert.ok(new Set(waits).size > waits.length / 2, "with jitter");
});

test("no client may have a bridge's session, and one that is removed leaves nothing", async () => {
  await using chain = await Chain.start();
  const { store } = chain;
  await chain.bridge();
  await chain.connected();
  chain.cut();
  const sensor = await store.client({ clientId: "sensor" });
  await sensor.published("/store104/a", "x");
  const thief = await store.dial(true, 5);
  thief.send({ type: "connect", level: 5, clientId: "$bridge/hq", cleanSession: true, keepAliveS: 0 });
  await until(() => thief.closed, "refused");
  assert.equal(thief.connack.code, 0x85);
  assert.equal(chain.status.backlogMessages, 1);
  await store.broker.bridges.remove("hq");
  assert.deepEqual(store.broker.bridges.kept, []);
  await store.restart();
  assert.deepEqual(store.broker.bridges.kept, []);
});

test("a bridge of MQTT 3.1.1 with its mark is not sent its own by our broker", async () => {
  await using world = await World.start();
  const bridge = await world.dial();
  const frame = Buffer.from([0x10, 13, 0, 4, 0x4d, 0x51, 0x54, 0x54, 0x84, 2, 0, 0, 0, 1, 0x62]);
  bridge.connection.write(frame);
  await bridge.expect("connack");
  await bridge.subscribed("#");
  const other = await world.client({ clientId: "other" });
  await other.published("a", "retained", { retain: true });
  await bridge.published("b", "own");
  await settle();
  assert.deepEqual(bridge.texts, ["retained"]);
  assert.equal(bridge.messages[0]?.retain, true);
});

test("a disk that cannot be written holds up no end: of a bridge that begins, is removed, or of the broker", async () => {
  const chain = await Chain.start();
  const { store } = chain;
  await chain.bridge();
  await chain.connected();
  store.files.fault = new Error("read-only");
  const removing = store.broker.bridges.remove("hq").catch((error: Error) => error.message);
  await settle();
  const other = { name: "other", clientId: "other" };
  const putting = store.broker.bridges.put(settings(chain.central, other)); // behind the one that is removed
  await chain[Symbol.asyncDispose]();
  assert.equal(await removing, "the broker stops");
  await putting;
});
