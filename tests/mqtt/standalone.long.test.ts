import assert from "node:assert/strict";
import { appendFileSync, existsSync } from "node:fs";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { freePorts } from "@cortado/demo/doors";
import { run } from "../clients/clients.ts";
import { barista, cortado, manager, names, Standalone } from "./standalone.ts";

// The broker alone, as the command line starts it, from a mosquitto.conf that was imported.
const skip = existsSync("/usr/bin/mosquitto_pub") ? false : "mosquitto-clients is not installed";

test(
  "a mosquitto.conf is imported, its users and rules hold, and what was acknowledged outlives kill -9",
  { skip },
  async () => {
    await using broker = new Standalone(await freePorts(3));
    const [plain = 0, web = 0, metrics = 0] = broker.ports;
    broker.write("passwords", barista);
    broker.write(
      "acl",
      "user barista",
      "topic /store104/#",
      "topic deny /store104/safe",
      "pattern read inbox/%u",
    );
    broker.write(
      "mosquitto.conf",
      "# the store's broker",
      "persistence true",
      `persistence_location ${broker.at("data")}`,
      `listener ${plain} 127.0.0.1`,
      `listener ${web} 127.0.0.1`,
      "protocol websockets",
      `listener 0 ${broker.at("mqtt.sock")}`,
      `password_file ${broker.at("passwords")}`,
      `acl_file ${broker.at("acl")}`,
    );
    const imported = await cortado(
      "mqtt",
      "import",
      broker.at("mosquitto.conf"),
      "--output",
      broker.at("mqtt.yaml"),
    );
    assert.equal(imported.code, 0, imported.err);
    assert.match(imported.err, /note: .*mosquitto\.conf:2: persistence: each acknowledgement means/);
    appendFileSync(broker.at("mqtt.yaml"), `metrics: { port: ${metrics} }\n`);
    assert.match(
      (await cortado("mqtt", "--config", broker.at("mqtt.yaml"), "--check")).out,
      /can be started with/,
    );
    await broker.start();

    const me = names("barista", "espresso");
    assert.notEqual((await broker.pub(plain, "-t", "/store104/x", "-m", "x", "-q", "1")).code, 0, "nameless");
    assert.notEqual(
      (await broker.pub(plain, ...names("barista", "x"), "-t", "/store104/x", "-m", "x")).code,
      0,
    );
    const topic = "/store104/fridge/temp";
    const away = ["-i", "reader", "-c", "-q", "1", ...me];
    assert.equal((await broker.sub(plain, ...away, "-t", "#", "-E")).code, 0);
    for (const [where, payload] of [
      [topic, "97.4"],
      ["/store104/safe", "denied"],
      ["elsewhere", "denied"],
    ] as const)
      await broker.pub(plain, ...me, "-V", "5", "-t", where, "-m", payload, "-q", "1");
    const local = ["--unix", broker.at("mqtt.sock"), ...me, "-t", topic, "-m", "98.6", "-q", "1"];
    assert.equal((await run("mosquitto_pub", local)).code, 0);
    await broker.end("SIGKILL");
    await broker.start();
    // It subscribed to everything, and gets what it may read.
    assert.equal(
      (await broker.sub(plain, ...away, "-t", "#", "-C", "2", "-v")).out,
      `${topic} 97.4\n${topic} 98.6\n`,
    );
    const text = await (await fetch(`http://127.0.0.1:${metrics}/metrics`)).text();
    assert.match(text, /cortado_mqtt_/);
    assert.equal((await fetch(`http://127.0.0.1:${metrics}/healthz`)).status, 200);

    // A new user by SIGHUP, without a restart; a file that cannot be read leaves all as it was.
    broker.write("passwords", barista, manager);
    broker.write("acl", "user barista", "topic /store104/#", "user manager", "topic #");
    broker.signal("SIGHUP");
    await broker.logged(/were read anew/);
    const boss = names("manager", "ristretto");
    assert.equal((await broker.pub(plain, ...boss, "-t", "elsewhere", "-m", "x", "-q", "1")).code, 0);
    broker.write("acl", "user barista", "topic a/#/b");
    broker.signal("SIGHUP");
    await broker.logged(/acl:2: topic a\/#\/b/);
    assert.equal((await broker.pub(plain, ...boss, "-t", "elsewhere", "-m", "x", "-q", "1")).code, 0);
    await broker.end("SIGTERM");
  },
);

test("two brokers alone: one bridges to the other, as its file says", { skip }, async () => {
  await using central = new Standalone(await freePorts(1));
  await using store = new Standalone(await freePorts(1));
  const [hq = 0] = central.ports;
  const [here = 0] = store.ports;
  central.write(
    "mqtt.yaml",
    "allowAnonymous: true",
    `folder: ${central.at("data")}`,
    `listeners: [{ port: ${hq} }]`,
  );
  store.write(
    "mosquitto.conf",
    `persistence_location ${store.at("data")}`,
    `listener ${here} 127.0.0.1`,
    "allow_anonymous true",
    "connection hq",
    `address 127.0.0.1:${hq}`,
    'topic /store104/# out 1 "" hq',
    "restart_timeout 1",
  );
  const imported = await cortado(
    "mqtt",
    "import",
    store.at("mosquitto.conf"),
    "--output",
    store.at("mqtt.yaml"),
  );
  assert.equal(imported.code, 0, imported.err);
  await store.start();
  // The centre is not there yet.
  assert.equal((await store.pub(here, "-t", "/store104/fridge/temp", "-m", "97.4", "-q", "1")).code, 0);
  await central.start();
  const got = await central.sub(hq, "-t", "hq/#", "-v", "-C", "1", "-W", "15");
  const first = got.out === "" ? await again() : got.out;
  assert.match(first, /^hq\/store104\/fridge\/temp \d/);

  /** It came before anybody was there to see it: another one. */
  async function again(): Promise<string> {
    const seen = central.sub(hq, "-t", "hq/#", "-v", "-C", "1", "-W", "15");
    await sleep(1_000);
    await store.pub(here, "-t", "/store104/fridge/temp", "-m", "98.6", "-q", "1");
    return (await seen).out;
  }
});

test("what cannot be honoured or read is named by place, and nothing is started", { skip }, async () => {
  await using broker = new Standalone([]);
  broker.write(
    "mosquitto.conf",
    "allow_anonymous true",
    "plugin /usr/lib/x.so",
    "listener 1883 127.0.0.1",
    "mount_point a/",
  );
  const refused = await cortado(
    "mqtt",
    "import",
    broker.at("mosquitto.conf"),
    "--output",
    broker.at("mqtt.yaml"),
  );
  assert.equal(refused.code, 1);
  assert.match(refused.err, /mosquitto\.conf:2: plugin: plugins are not loaded/);
  assert.match(refused.err, /mosquitto\.conf:4: mount_point:/);
  assert.equal(existsSync(broker.at("mqtt.yaml")), false);
  for (const [lines, says] of [
    [["listeners: [{ port: 1883, colour: red }]"], /listeners\[0\]\.colour: there is no such setting/],
    [["listeners: [{ port: 99999 }]"], /listeners\[0\]\.port: 99999 is not from 1 to 65535/],
    [["listeners: []"], /listeners: name at least one/],
    [["listeners: [{ port: 1883 }]", `passwordFile: ${broker.at("none")}`], /none cannot be read/],
    [["listeners: [{ port: 1883, tls: { certFile: a, keyFile: b } }]"], /a cannot be read/],
    [
      ["listeners: [{ port: 1883 }]", "bridges: [{ name: hq, addresses: [hq], topics: [] }]"],
      /bridge hq: .*HOST:PORT/,
    ],
    [["listeners: ["], /is no YAML/],
  ] as const) {
    broker.write("mqtt.yaml", ...lines);
    const { code, err } = await cortado("mqtt", "--config", broker.at("mqtt.yaml"), "--check");
    assert.equal(code, 1, lines.join("; "));
    assert.match(err, says);
  }
});
