import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { connectMqtt } from "@cortado/mqtt/client";
import { systemClock } from "@cortado/std/node/clock";
import { systemNetwork } from "@cortado/std/node/net";
import { systemRandom } from "@cortado/std/node/random";
import { silentLog } from "@cortado/std/testing/silent-log";
import { RemoteBroker, skipWithout } from "../../packages/mqtt/src/testing/remote-brokers.ts";
import { until } from "./demo-world.ts";
import { FleetProcesses } from "./fleet-processes.ts";

const store = "store-104";

const bridgeYaml = (port: number, more = ""): string => `apiVersion: mqtt.cortado.dev/v1alpha1
kind: MqttBridge
metadata: { name: hq, namespace: default }
spec:
  addresses: ["127.0.0.1:${port}"]
  topics:
    - { pattern: "/store104/#", direction: out, qos: 1, remotePrefix: hq }
${more}`;

const indented = (text: string, by: string): string =>
  text
    .split("\n")
    .map((line) => `${by}${line}`)
    .join("\n");

const bundleYaml = (content: string): string => `apiVersion: fleet.cattle.io/v1alpha1
kind: Bundle
metadata: { name: mqtt, namespace: fleet-default }
spec:
  resources:
    - name: bridge.yaml
      content: |
${indented(content, "        ")}
  targets:
    - clusterSelector: { matchLabels: { location: edge } }
`;

test(
  "a MqttBridge that the hub delivers makes a store bridge to mosquitto; kubectl shows and explains it",
  { skip: skipWithout("mosquitto") },
  async () => {
    await using fleet = new FleetProcesses();
    await using remote = await RemoteBroker.start("mosquitto", { folder: join(fleet.folder, "central") });
    await fleet.startHub();
    await fleet.startStore(store);
    assert.match(await fleet.ask("hub", "apply -f -", bundleYaml(bridgeYaml(remote.port))), /created/);
    await until(
      "the bridge",
      async () => (await fleet.ask(store, "get mqttbridge hq -o jsonpath={.status.state}")) === "connected",
      60_000,
    );
    assert.match(await fleet.ask(store, "wait mqttbridge/hq --for=condition=Connected --timeout=5s"), /met/);
    const shown = await fleet.ask(store, "get mqttbridges");
    assert.match(shown, /NAME\s+REMOTE\s+CONNECTED\s+STATE\s+BACKLOG\s+AGE/);
    assert.match(shown, new RegExp(`hq\\s+127\\.0\\.0\\.1:${remote.port}\\s+True\\s+connected\\s+0`));
    assert.match(
      await fleet.ask(store, "explain mqttbridge.spec.budget.bytesPerSecond"),
      /Bytes a second of all that is sent/,
    );
    assert.match(await fleet.ask(store, "explain mqttuser.spec.rules"), /clientIds/);

    const got: string[] = [];
    const common = { cleanSession: true, clock: systemClock, random: systemRandom, log: silentLog };
    await using central = connectMqtt({
      ...common,
      clientId: "central",
      dial: ({ signal }) => systemNetwork.dial({ host: "127.0.0.1", port: remote.port }, { signal }),
      onMessage(message) {
        got.push(`${message.topic} ${new TextDecoder().decode(message.payload)}`);
        message.ack();
      },
    });
    await central.subscribe([{ filter: "hq/#", qos: 1 }]);
    const socket = join(fleet.sockets(store), "mqtt.sock");
    await using sensor = connectMqtt({
      ...common,
      clientId: "sensor",
      dial: ({ signal }) => systemNetwork.dial({ path: socket }, { signal }),
      onMessage() {},
    });
    const payload = new TextEncoder().encode('{"temp": 97.4,"unit":"F"}');
    await sensor.publish({ topic: "/store104/fridge/temp", payload, qos: 1 });
    await until("the message", () => Promise.resolve(got.length === 1), 10_000);
    assert.deepEqual(got, ['hq/store104/fridge/temp {"temp": 97.4,"unit":"F"}']);

    const bad = await fleet.ask(store, "apply -f -", bridgeYaml(remote.port, "  order: sideways\n"));
    assert.match(bad, /failed: .*spec\.order: Unsupported value: "sideways"/s);
    assert.match(await fleet.ask("hub", "delete bundle.fleet.cattle.io mqtt -n fleet-default"), /deleted/);
    await until(
      "no bridge",
      async () =>
        (await fleet.ask(store, "get mqttbridges")).includes("No resources") ||
        (await fleet.ask(store, "get mqttbridges")) === "",
      30_000,
    );
  },
);
