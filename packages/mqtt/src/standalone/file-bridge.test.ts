import assert from "node:assert/strict";
import { test } from "node:test";
import { importMosquittoConf } from "../mosquitto/conf.ts";
import { Chain, reader } from "../testing/bridge-world.ts";
import { until } from "../testing/world.ts";
import { fileBridgeSettings, type FileBridgeOptions } from "./file-bridge.ts";

const files: Readonly<Record<string, string>> = {
  "/ca": "the authority",
  "/crt": "a certificate",
  "/key": "its key",
};
const options: FileBridgeOptions = {
  host: "till-1",
  read: (path) =>
    Promise.resolve(files[path] === undefined ? undefined : new TextEncoder().encode(files[path])),
};

function bridgeOf(lines: string): Parameters<typeof fileBridgeSettings>[0] {
  const { settings, faults } = importMosquittoConf(lines, "mosquitto.conf");
  assert.deepEqual(faults, []);
  const [bridge] = settings.bridges ?? [];
  assert.ok(bridge);
  return bridge;
}

test("a bridge of mosquitto.conf becomes the settings that an MqttBridge has", async () => {
  const settings = await fileBridgeSettings(
    bridgeOf(`connection hq
address hq.example:8883
topic /store104/# out 1 "" hq
remote_username store
remote_password s3cret
bridge_cafile /ca
bridge_certfile /crt
bridge_keyfile /key
bridge_alpn mqtt
notifications false
notification_topic state/hq
restart_timeout 5 30
bridge_max_packet_size 1000
try_private false
`),
    options,
  );
  assert.equal(settings.name, "hq");
  assert.equal(settings.clientId, "till-1.hq");
  assert.equal(settings.level, 4);
  assert.deepEqual(settings.addresses, [{ host: "hq.example", port: 8883 }]);
  assert.equal(settings.password, "s3cret");
  assert.deepEqual(settings.tls, {
    ca: "the authority",
    certificate: "a certificate",
    key: "its key",
    alpn: ["mqtt"],
  });
  assert.deepEqual([settings.notifications, settings.notificationTopic], [false, "state/hq"]);
  assert.deepEqual([settings.backoffFirstMs, settings.backoffMaxMs], [5_000, 30_000]);
  assert.equal(settings.remote.packetBytesMax, 1_000);
  assert.equal(settings.bridgeBit, false);
});

test("a file that is not there is named", async () => {
  const bridge = bridgeOf("connection hq\naddress hq\ntopic a\nbridge_cafile /none\n");
  await assert.rejects(fileBridgeSettings(bridge, options), /bridge hq: \/none is not there/);
});

test("a bridge of mosquitto.conf bridges", async () => {
  await using chain = await Chain.start();
  const { store, central } = chain;
  const there = await reader(central, "hq/#");
  const bridge = bridgeOf("connection hq\naddress central:1883\ntopic # both 1 shop/ hq/\n");
  await store.broker.bridges.put(await fileBridgeSettings(bridge, options));
  await chain.connected();
  const sensor = await store.client({ clientId: "sensor" });
  await sensor.published("shop/a", "b");
  await until(() => there.texts.length === 1, "bridged");
  assert.equal(there.messages[0]?.topic, "hq/a");
});
