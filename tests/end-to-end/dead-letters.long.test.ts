import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { connectMqtt } from "@cortado/mqtt/client";
import { systemClock } from "@cortado/std/node/clock";
import { systemNetwork } from "@cortado/std/node/net";
import { systemRandom } from "@cortado/std/node/random";
import { silentLog } from "@cortado/std/testing/silent-log";
import { until } from "./demo-world.ts";
import { FleetProcesses } from "./fleet-processes.ts";

const store = "store-104";
const messages = 60;
const failing =
  "import time\ndef handle(req):\n  time.sleep(0.02)\n  raise ValueError('no fridge in ' + req)\n";
const mended =
  "import os\ndef handle(req):\n  with open(os.environ['CORTADO_DATA'] + '/served', 'a') as f: f.write(req + '\\n')\n";

const code = (text: string): string =>
  JSON.stringify({
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: "check-code", namespace: "openfaas-fn" },
    data: { "handler.py": text },
  });

const functionYaml = `apiVersion: openfaas.com/v1
kind: Function
metadata: { name: check, namespace: openfaas-fn }
spec:
  name: check
  image: cortado.local/python3:1
  annotations:
    topic: /store104/#
    cortado.local/source: check-code
    cortado.local/data: 1Mi
    cortado.local/trigger-tries: "3"
    cortado.local/trigger-longest-wait: 300ms
`;

type Letters = { items: { metadata: { name: string }; spec: Record<string, unknown> }[] };

test(
  "dead letters: kill -9 between failure and letter loses none and doubles none; kubectl lists, drops and replays them",
  { skip: existsSync("/usr/bin/python3") ? false : "/usr/bin/python3 is missing" },
  async () => {
    await using processes = new FleetProcesses();
    const ask = (words: string, input?: string): Promise<string> => processes.ask(store, words, input);
    const letters = async (): Promise<Letters["items"]> => {
      const said = await ask("get deadletters -n openfaas-fn -o json");
      return said.startsWith("failed") ? [] : (JSON.parse(said) as Letters).items;
    };
    await processes.startStore(store);
    await until(
      "the namespace",
      async () => (await ask("get namespace openfaas-fn -o name")) === "namespace/openfaas-fn\n",
      60_000,
    );
    assert.match(await ask("apply -f -", code(failing)), /created/);
    assert.match(await ask("apply -f -", functionYaml), /created/);
    assert.match(
      await ask("wait -n openfaas-fn function/check --for=condition=Ready --timeout=15s"),
      /condition met/,
    );
    {
      await using sensor = connectMqtt({
        clientId: "sensor",
        cleanSession: true,
        clock: systemClock,
        random: systemRandom,
        log: silentLog,
        dial: ({ signal }) =>
          systemNetwork.dial({ path: join(processes.sockets(store), "mqtt.sock") }, { signal }),
        onMessage() {},
      });
      const publish = (at: number): Promise<void> =>
        sensor.publish({
          topic: `/store104/fridge/${at}`,
          payload: new TextEncoder().encode(`reading-${at}`),
          qos: 1,
        });
      await Promise.all(Array.from({ length: messages }, (_, at) => publish(at)));
    }
    for (const seen of [1, 15, 30, 45]) {
      await until(`${seen} letters`, async () => (await letters()).length >= seen, 60_000);
      await processes.end(store, "SIGKILL");
      await processes.startStore(store);
    }
    await until("all letters", async () => (await letters()).length === messages, 60_000);
    const all = await letters();
    const payloads = new Set(all.map(({ spec }) => spec["payload"]));
    const sequences = new Set(all.map(({ spec }) => spec["sequence"]));
    assert.deepEqual([payloads.size, sequences.size], [messages, messages]);
    assert.ok(all.every(({ spec }) => spec["tries"] === 3 && /no fridge in/.test(String(spec["lastError"]))));
    const shown = await ask("get dl -n openfaas-fn");
    assert.match(shown, /NAME\s+FUNCTION\s+TOPIC\s+TRIES\s+LAST ERROR\s+ARRIVED/);
    assert.match(shown, /check-[0-9a-z]+-\d+\s+check\s+\/store104\/fridge\/\d+\s+3\s+/);
    assert.match(await ask("explain deadletter.spec.arrivedAt"), /When the broker took it/);

    const dropped = all.find(({ spec }) => spec["payload"] === "reading-7")?.metadata.name ?? "";
    assert.match(await ask(`delete deadletter ${dropped} -n openfaas-fn`), /deleted/);
    assert.match(await ask("apply -f -", code(mended)), /configured/);
    const [one] = await letters();
    const replay = async (): Promise<boolean> => {
      await ask(
        `annotate --overwrite deadletter ${one?.metadata.name} cortado.local/replay=now -n openfaas-fn`,
      );
      return (await letters()).length === messages - 2;
    };
    await until("the mended code", replay, 30_000);
    assert.match(
      await ask("annotate deadletters --all cortado.local/replay=now -n openfaas-fn"),
      /annotated/,
    );
    await until("no letters", async () => (await letters()).length === 0, 60_000);
    const served = readFileSync(
      join(processes.folder, store, "functions", "data", "openfaas-fn", "check", "served"),
      "utf8",
    );
    const lines = served.trim().split("\n");
    assert.deepEqual([lines.length, new Set(lines).size], [messages - 1, messages - 1]);
    assert.ok(!lines.includes("reading-7"), "what was dropped is not replayed");
  },
);
