import assert from "node:assert/strict";
import { test } from "node:test";
import { newLoopMetrics } from "@cortado/client/loop";
import { mqttBridges, mqttUsers, type MqttBridge, type MqttUser } from "@cortado/kinds/mqtt";
import { secrets } from "@cortado/kinds/resources";
import { startBroker, type Broker } from "@cortado/mqtt";
import { connectMqtt, type MqttClient } from "@cortado/mqtt/client";
import { startMqttControl, UserAccess } from "@cortado/mqtt/control";
import { newMetrics } from "@cortado/std/metrics";
import { seededRandom } from "@cortado/std/random";
import { hasReason } from "@cortado/std/status";
import { settle } from "@cortado/std/testing/held-clock";
import { MemoryFiles } from "@cortado/std/testing/memory-files";
import { MemoryNetwork } from "@cortado/std/testing/memory-network";
import { silentLog } from "@cortado/std/testing/silent-log";
import { LoopWorld } from "./world.ts";

const namespace = "default";
const base64 = (text: string): string => Buffer.from(text).toString("base64");

/** A real API server, and two brokers on one network: the store's, configured from the API, and a central one. */
class MqttWorld implements AsyncDisposable {
  readonly loops: LoopWorld;
  readonly network: MemoryNetwork = new MemoryNetwork();
  readonly files: MemoryFiles = new MemoryFiles();
  readonly #access: UserAccess = new UserAccess(seededRandom(4));
  readonly #stack: AsyncDisposableStack = new AsyncDisposableStack();
  readonly #clients: MqttClient[] = [];
  #stop = new AbortController();
  store!: Broker;
  central!: Broker;

  private constructor(loops: LoopWorld) {
    this.loops = loops;
  }

  static async start(): Promise<MqttWorld> {
    const world = new MqttWorld(await LoopWorld.start({ nodes: 0 }));
    world.central = await world.#broker("central", new MemoryFiles());
    await world.bootStore(new UserAccess(seededRandom(4)));
    return world;
  }

  async bootStore(access: UserAccess = this.#access): Promise<void> {
    this.#stop = new AbortController();
    this.store = await this.#broker("store", this.files, access);
    const { clock, client } = this.loops;
    startMqttControl({
      client,
      broker: this.store,
      access,
      store: "store-104",
      clock,
      log: silentLog,
      loopMetrics: newLoopMetrics(newMetrics()),
      signal: this.#stop.signal,
    });
    await settle();
  }

  async stopStore(): Promise<void> {
    this.#stop.abort(new Error("the store stops"));
    await this.store[Symbol.asyncDispose]();
  }

  async #broker(host: string, files: MemoryFiles, access?: UserAccess): Promise<Broker> {
    const broker = await startBroker({
      files,
      folder: `/${host}`,
      network: this.network,
      clock: this.loops.clock,
      random: seededRandom(host.length),
      log: silentLog,
      metrics: newMetrics(),
      ...(access === undefined
        ? {}
        : {
            authenticate: (credentials) => access.authenticate(credentials),
            authorize: (asked) => access.authorize(asked),
            mayRead: (session, topic) => access.mayRead(session, topic),
          }),
    });
    await broker.listen({ host, port: 1883 });
    return broker;
  }

  client(host: "store" | "central", more: { username?: string; password?: string } = {}): TestMqtt {
    const texts: string[] = [];
    const { username, password } = more;
    const client = connectMqtt({
      dial: ({ signal: _signal }) => this.network.dial({ host, port: 1883 }),
      clientId: `${host}-${this.#clients.length}`,
      cleanSession: true,
      ...(username === undefined ? {} : { username }),
      ...(password === undefined ? {} : { password: new TextEncoder().encode(password) }),
      clock: this.loops.clock,
      random: seededRandom(this.#clients.length),
      log: silentLog,
      onMessage(message) {
        texts.push(`${message.topic} ${new TextDecoder().decode(message.payload)}`);
        message.ack();
      },
    });
    this.#clients.push(client);
    return { client, texts };
  }

  async secret(name: string, data: Readonly<Record<string, string>>): Promise<void> {
    const body = Object.fromEntries(Object.entries(data).map(([key, text]) => [key, base64(text)]));
    await this.loops.client.create(
      secrets,
      { metadata: { name, namespace }, data: body },
      { namespace, signal: this.loops.signal },
    );
  }

  async bridge(name: string, spec: Partial<MqttBridge["spec"]> = {}): Promise<void> {
    const full: MqttBridge["spec"] = {
      addresses: ["central:1883"],
      topics: [{ pattern: "/store104/#", remotePrefix: "hq" }],
      ...spec,
    };
    const { client, signal } = this.loops;
    await client.patch(mqttBridges, {
      name,
      namespace,
      type: "apply",
      force: true,
      fieldManager: "git",
      body: {
        apiVersion: "mqtt.cortado.dev/v1alpha1",
        kind: "MqttBridge",
        metadata: { name, namespace },
        spec: full,
      },
      signal,
    });
  }

  async user(name: string, spec: MqttUser["spec"]): Promise<void> {
    const { client, signal } = this.loops;
    await client.create(mqttUsers, { metadata: { name, namespace }, spec }, { namespace, signal });
  }

  async condition(of: typeof mqttBridges | typeof mqttUsers, name: string, type: string): Promise<string> {
    const { client, signal } = this.loops;
    const object = await client.get<MqttBridge | MqttUser>(of as typeof mqttBridges, {
      name,
      namespace,
      signal,
    });
    const found = object.status?.conditions?.find((one) => one.type === type);
    return `${found?.status} ${found?.reason}: ${found?.message}`;
  }

  /** Lets held time pass until a condition reads as it should. */
  async sees(
    of: typeof mqttBridges | typeof mqttUsers,
    name: string,
    type: string,
    pattern: RegExp,
  ): Promise<void> {
    let last = "";
    for (let at = 0; at < 120; at += 1) {
      last = await this.condition(of, name, type);
      if (pattern.test(last)) return;
      await this.loops.clock.advance(500);
    }
    assert.match(last, pattern);
  }

  async until(reached: () => boolean, what: string): Promise<void> {
    await this.loops.clock.until(reached, { withinMs: 60_000, what });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) await client[Symbol.asyncDispose]();
    await this.stopStore();
    await this.central[Symbol.asyncDispose]();
    await this.#stack[Symbol.asyncDispose]();
    await this.loops[Symbol.asyncDispose]();
  }
}

type TestMqtt = { readonly client: MqttClient; readonly texts: readonly string[] };

const publish = (client: MqttClient, topic: string, text: string): Promise<void> =>
  client.publish({ topic, payload: new TextEncoder().encode(text), qos: 1 });

test("a MqttBridge makes the running broker bridge; its status says how it is", async () => {
  await using world = await MqttWorld.start();
  await world.bridge("hq");
  await world.sees(mqttBridges, "hq", "Connected", /True Connected/);
  const central = world.client("central");
  await central.client.subscribe([{ filter: "hq/#", qos: 1 }]);
  const sensor = world.client("store");
  await publish(sensor.client, "/store104/fridge/temp", "97.4");
  await world.until(() => central.texts.length === 1, "bridged");
  assert.deepEqual(central.texts, ["hq/store104/fridge/temp 97.4"]);
  const { client, signal, clock } = world.loops;
  const before = await client.get(mqttBridges, { name: "hq", namespace, signal });
  assert.equal(before.status?.state, "connected");
  await clock.advance(50_000);
  const idle = await client.get(mqttBridges, { name: "hq", namespace, signal });
  await clock.advance(200_000);
  const after = await client.get(mqttBridges, { name: "hq", namespace, signal });
  assert.equal(after.status?.acknowledged, 1);
  assert.ok(Number(after.metadata.resourceVersion) - Number(idle.metadata.resourceVersion) <= 2);
});

test("a spec that cannot be is refused by the API or told in the status, and what runs runs on", async () => {
  await using world = await MqttWorld.start();
  await world.bridge("hq");
  await world.sees(mqttBridges, "hq", "Connected", /True/);
  const badly: readonly (readonly [Partial<MqttBridge["spec"]>, RegExp])[] = [
    [{ topics: [] }, /spec.topics/],
    [{ addresses: [] }, /spec.addresses/],
    [{ order: "sideways" as never }, /oldest-first/],
    [{ topics: [{ pattern: "a", qos: 3 as never }] }, /qos/],
    [{ budget: { bytesPerSecond: 0 } }, /bytesPerSecond/],
  ];
  for (const [spec, says] of badly)
    await assert.rejects(world.bridge("hq", spec), (error) => {
      assert.ok(hasReason(error, "Invalid"), String(error));
      assert.match(error.message, says);
      return true;
    });
  await world.bridge("hq", { addresses: ["mqtts://central:8883"] });
  await world.sees(mqttBridges, "hq", "Accepted", /False Refused: spec.addresses\[0\].*no HOST:PORT.*go on$/);
  await world.bridge("hq", { topics: [{ pattern: "a/#/b" }] });
  await world.sees(
    mqttBridges,
    "hq",
    "Accepted",
    /False Refused: .*spec.topics\[0\].pattern.*last level.*go on$/,
  );
  await world.bridge("hq", { passwordSecret: { name: "gone" } });
  await world.sees(mqttBridges, "hq", "Accepted", /False Refused: Secret gone is not in namespace default/);
  await world.sees(mqttBridges, "hq", "Connected", /True/);
  assert.equal(world.store.bridges.status("default/hq")?.connections, 1, "the line never broke");
  await world.secret("gone", { password: "x" });
  await world.sees(mqttBridges, "hq", "Accepted", /True Configured/);
});

test("a bridge that is suspended keeps what waits; one that is deleted leaves nothing, also while the store is down", async () => {
  await using world = await MqttWorld.start();
  await world.bridge("hq");
  await world.sees(mqttBridges, "hq", "Connected", /True/);
  await world.bridge("hq", { suspend: true });
  await world.sees(mqttBridges, "hq", "Connected", /False Suspended/);
  const sensor = world.client("store");
  await publish(sensor.client, "/store104/a", "waits");
  const central = world.client("central");
  await central.client.subscribe([{ filter: "#", qos: 1 }]);
  await world.bridge("hq");
  await world.until(() => central.texts.includes("hq/store104/a waits"), "sent after all");
  await world.stopStore();
  const { client, signal } = world.loops;
  await client.delete(mqttBridges, { name: "hq", namespace, signal });
  await world.bootStore(new UserAccess(seededRandom(4)));
  await world.until(() => world.store.bridges.kept.length === 0, "forgotten");
});

test("MqttUsers close the broker; each does what its rules say, and a change counts at once", async () => {
  await using world = await MqttWorld.start();
  const open = world.client("store");
  await open.client.subscribe([{ filter: "#", qos: 1 }]);
  await world.secret("espresso", { password: "crema" });
  await world.user("espresso", {
    passwordSecret: { name: "espresso" },
    rules: [{ topics: ["/+/%u/#"], access: ["write", "read"] }],
  });
  await world.user("screen", {
    passwordSecret: { name: "screen" },
    rules: [
      { topics: ["#"], access: ["subscribe"] },
      { topics: ["/+/espresso/cycles"], access: ["read"] },
    ],
  });
  await world.sees(mqttUsers, "espresso", "Ready", /True/);
  await world.sees(
    mqttUsers,
    "screen",
    "Ready",
    /False Refused: Secret screen is not in namespace default; create it/,
  );
  await world.secret("screen", { password: "glass" });
  await world.sees(mqttUsers, "screen", "Ready", /True/);
  await world.until(() => !open.client.connected, "who came while it was open is out");
  const screen = world.client("store", { username: "screen", password: "glass" });
  await screen.client.subscribe([{ filter: "#", qos: 1 }]);
  const machine = world.client("store", { username: "espresso", password: "crema" });
  await publish(machine.client, "/store104/espresso/cycles", "1");
  await publish(machine.client, "/store104/espresso/pressure", "9");
  await world.until(() => screen.texts.length >= 1, "what it may read");
  await settle();
  assert.deepEqual(screen.texts, ["/store104/espresso/cycles 1"]);
  const wrong = world.client("store", { username: "espresso", password: "wrong" });
  await world.loops.clock.advance(5_000);
  assert.equal(wrong.client.connected, false);
  const { client, signal } = world.loops;
  await client.delete(mqttUsers, { name: "espresso", namespace, signal });
  await world.until(() => !machine.client.connected, "deleted and out");
  await world.loops.clock.advance(30_000);
  assert.equal(machine.client.connected, false);
  assert.equal(screen.client.connected, true);
});

test("a user that cannot be is told in its status and harms no other", async () => {
  await using world = await MqttWorld.start();
  await world.secret("a", { password: "a", other: "b" });
  await world.user("good", {
    passwordSecret: { name: "a" },
    rules: [{ topics: ["#"], access: ["read", "write"] }],
  });
  await world.user("nothing", {});
  await world.user("functions", { passwordSecret: { name: "a" } });
  await world.user("twice", { username: "good", passwordSecret: { name: "a" } });
  await world.user("filter", {
    passwordSecret: { name: "a" },
    rules: [{ topics: ["a/#/b"], access: ["read"] }],
  });
  await world.user("key", { passwordSecret: { name: "a", key: "none" } });
  await world.sees(mqttUsers, "nothing", "Ready", /False.*give passwordSecret, certificateName or anonymous/);
  await world.sees(mqttUsers, "functions", "Ready", /False.*functions is the store's own/);
  await world.sees(mqttUsers, "twice", "Ready", /False.*user good is MqttUser default\/good already/);
  await world.sees(mqttUsers, "filter", "Ready", /False.*spec.rules\[0\].topics\[0\].*last level/);
  await world.sees(mqttUsers, "key", "Ready", /False.*Secret default\/a has no key none/);
  await world.sees(mqttUsers, "good", "Ready", /True/);
  const good = world.client("store", { username: "good", password: "a" });
  await publish(good.client, "a", "b");
  assert.equal(good.client.connected, true);
});
