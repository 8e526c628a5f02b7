import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { systemClock } from "@cortado/std/node/clock";
import type { StartFunctionsOptions } from "./functions.ts";
import { World } from "./testing/world.ts";

const skip = existsSync("/usr/bin/python3") ? false : "/usr/bin/python3 is missing";
const shop = join(import.meta.dirname, "../../../examples/coffee-shop/functions");
const delay = (ms: number): Promise<void> => new Promise((resolve) => void setTimeout(resolve, ms));

async function inWorld(
  work: (world: World) => Promise<void>,
  options: Partial<StartFunctionsOptions> = {},
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "fn-"));
  try {
    await using world = new World(systemClock, {
      dataFolder: join(folder, "data"),
      runFolder: join(folder, "run"),
      ...options,
    });
    await world.boot();
    await work(world);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function until(reached: () => boolean | Promise<boolean>, what: string, ms = 8_000): Promise<void> {
  for (let waited = 0; waited < ms; waited += 20) {
    if (await reached()) return;
    await delay(20);
  }
  throw new Error(`not reached within ${ms} ms: ${what}`);
}

const deployed = (world: World, name: string): Promise<void> =>
  until(
    async () =>
      (await world.call("GET", `/system/function/${name}`)).status === 200 &&
      (await world.call("POST", `/function/${name}`, { body: "1" })).status !== 503,
    `${name} deployed`,
  );

const shopCode = (file: string): string => readFileSync(join(shop, file), "utf8");

test(
  "Python: text in, text out; numbers, objects, tuples and (event, context) too; prints go to the logs",
  { skip },
  () =>
    inWorld(async (world) => {
      world.deploy("shout", "def handle(req):\n  print('heard', req)\n  return req.upper()");
      world.deploy(
        "many",
        "def handle(req):\n  return {'1': 5, '2': {'a': 1}, '3': ('no', 418), '4': None, '5': b'\\xff'}[req]",
      );
      world.deploy(
        "event",
        "import os\ndef handle(event, context):\n  return {'statusCode': 201, 'headers': {'X-A': 'b'}, 'body': event.method + event.path + event.query['q'] + event.body.decode() + os.environ['NAME'] + event.headers['x-own']}",
        { spec: { environment: { NAME: "n" } } },
      );
      for (const name of ["shout", "many", "event"]) await deployed(world, name);
      const shouted = await world.call("POST", "/function/shout", { body: "grüße" });
      assert.deepEqual([shouted.status, shouted.body], [200, "GRÜSSE"]);
      const answers = await Promise.all(
        ["1", "2", "3", "4", "5"].map((body) => world.call("POST", "/function/many.openfaas-fn", { body })),
      );
      assert.deepEqual(
        answers.map(({ status, body }) => `${status} ${body}`),
        ["200 5", '200 {"a": 1}', "418 no", "200 ", "200 \uFFFD"],
      );
      const event = await world.call("PUT", "/function/event/deep/path?q=7", {
        body: "B",
        headers: { "x-own": "o" },
      });
      assert.deepEqual([event.status, event.body, event.headers["x-a"]], [201, "PUT/deep/path7Bno", "b"]);
      await until(
        async () => (await world.call("GET", "/system/logs?name=shout")).body.includes("heard grüße"),
        "the log line",
      );
    }),
);

test("TypeScript: types are stripped once; default and named exports, async, errors", { skip }, () =>
  inWorld(async (world) => {
    world.deploy(
      "named",
      "type T = { a: number };\nexport function handle(req: string): string { const t = { a: 1 } satisfies T; return req + t.a; }",
      { language: "node" },
    );
    world.deploy(
      "promised",
      "export default async (req: string): Promise<object> => { await new Promise((r) => setTimeout(r, 5)); return { got: req }; };",
      { language: "node" },
    );
    world.deploy("throws", "export const handle = (): never => { throw new RangeError('no beans'); };", {
      language: "node",
    });
    for (const name of ["named", "promised", "throws"]) await deployed(world, name);
    assert.equal((await world.call("POST", "/function/named", { body: "x" })).body, "x1");
    const promised = await world.call("POST", "/function/promised", { body: "y" });
    assert.deepEqual([promised.body, promised.headers["content-type"]], ['{"got":"y"}', "application/json"]);
    const thrown = await world.call("POST", "/function/throws");
    assert.equal(thrown.status, 500);
    assert.match(thrown.body, /function throws\.openfaas-fn: RangeError: no beans/);
  }),
);

test(
  "a handler that never returns is killed and replaced, one that crashes too; both say why",
  { skip },
  () =>
    inWorld(async (world) => {
      world.deploy(
        "moody",
        "import os, time\ndef handle(req):\n  if req == 'hang':\n    while True: pass\n  if req == 'die': os._exit(3)\n  return 'fine'",
        { spec: { environment: { exec_timeout: "300ms" } } },
      );
      await deployed(world, "moody");
      const hung = await world.call("POST", "/function/moody", { body: "hang" });
      assert.equal(hung.status, 504);
      assert.match(hung.body, /did not answer within 300 ms and was killed/);
      assert.equal((await world.call("POST", "/function/moody", { body: "" })).body, "fine");
      const died = await world.call("POST", "/function/moody", { body: "die" });
      assert.equal(died.status, 502);
      assert.match(died.body, /exit code 3/);
      assert.equal((await world.call("POST", "/function/moody", { body: "" })).body, "fine");
    }),
);

test(
  "code that cannot be loaded is said in status and answers; the old version goes on until the new one works",
  { skip },
  () =>
    inWorld(async (world) => {
      world.deploy("f", "def handle(req) return 1");
      const condition = (type: string): { status: string; message: string } | undefined =>
        (
          world.api.object("functions", "openfaas-fn", "f")?.["status"] as
            | { conditions?: { type: string; status: string; message: string }[] }
            | undefined
        )?.conditions?.find((one) => one.type === type);
      await until(() => condition("Stalled")?.status === "True", "stalled");
      assert.match(condition("Stalled")?.message ?? "", /SyntaxError/);
      const answer = await world.call("POST", "/function/f");
      assert.equal(answer.status, 503);
      assert.match(answer.body, /SyntaxError/);
      world.deploy("f", "def handle(req): return 'one'");
      await until(async () => (await world.call("POST", "/function/f")).body === "one", "version one");
      world.deploy("f", "def handle(req): return nonsense(");
      await until(() => /old goes on/.test(condition("Stalled")?.message ?? ""), "the fault of version two");
      assert.equal((await world.call("POST", "/function/f")).body, "one");
      world.deploy("f", "def handle(req): return 'three'");
      await until(async () => (await world.call("POST", "/function/f")).body === "three", "version three");
      await until(
        () => condition("Ready")?.status === "True" && condition("Healthy")?.status === "True",
        "ready again",
      );
      const status = world.api.object("functions", "openfaas-fn", "f")?.["status"] as {
        isolation: string;
        availableReplicas: number;
      };
      assert.match(status.isolation, /process only.*network: unrestricted/);
      assert.equal(status.availableReplicas, 1);
    }),
);

test("globals stay within one function, and an interpreter is never another's", { skip }, () =>
  inWorld(async (world) => {
    const code =
      "import builtins\nn = 0\ndef handle(req):\n  global n\n  n += 1\n  found = hasattr(builtins, 'poison')\n  builtins.poison = 1\n  return str(n) + str(found)";
    for (const name of ["one", "two"])
      world.deploy(name, code, { spec: { labels: { "com.openfaas.scale.max": "1" } } });
    for (const name of ["one", "two"])
      await until(async () => (await world.call("POST", `/function/${name}`)).status === 200, name);
    assert.equal((await world.call("POST", "/function/one")).body, "2True");
    assert.equal(
      (await world.call("POST", "/function/two")).body,
      "2True",
      "its own first call had set it, not the other function",
    );
    for (const name of ["three"]) world.deploy(name, code);
    await until(
      async () => (await world.call("POST", "/function/three")).body === "1False",
      "a third starts clean",
    );
  }),
);

test(
  "the guide's flow: a reading that is too warm becomes exactly one Alert, a normal one is logged, over restarts as well",
  { skip },
  () =>
    inWorld(async (world) => {
      world.deploy("temperature-check", shopCode("temperature-check.py"), {
        annotations: { topic: "/+/fridge/temp", "cortado.local/alert-on": "Warning" },
      });
      await until(
        async () => (await world.call("POST", "/function/temperature-check", { body: "38" })).status === 200,
        "deployed",
      );
      await delay(100); // the subscription follows the deployment
      await world.publish("/store104/fridge/temp", '{"temp": 97.4, "unit": "F"}');
      await world.publish("/store104/fridge/temp", '{"temp": 38.1, "unit": "F"}');
      await world.publish("/store042/fridge/temp", '{"temp": 3.5, "unit": "C"}');
      await until(() => world.alerts().length === 1, "one alert");
      const [alert] = world.alerts();
      assert.deepEqual(
        { ...alert?.spec, at: "" },
        {
          store: "store-042",
          source: "temperature-check",
          topic: "/store104/fridge/temp",
          payload: '{"temp": 97.4, "unit": "F"}',
          text: "Warning: Too hot! 97.4 F, the limit is 45.0 F",
          at: "",
        },
      );
      await until(
        () => world.kept.lines.filter(({ message }) => message === "function answered").length >= 2,
        "normal ones are logged",
      );
      // The API refuses: the message stays, the function is called again, and there is still one alert for it.
      world.api.fault = { status: 503, reason: "ServiceUnavailable" };
      await world.publish("/store104/fridge/temp", "98.0");
      await delay(300);
      await world.stop();
      world.api.fault = undefined;
      await world.boot();
      await until(() => world.alerts().length === 2, "the alert of the message that was kept");
      await delay(200);
      assert.equal(world.alerts().length, 2);
      assert.equal(new Set(world.alerts().map(({ name }) => name)).size, 2);
    }),
);

test("the temperature check reads what sensors send", { skip }, () =>
  inWorld(async (world) => {
    world.deploy("t", shopCode("temperature-check.py"));
    await deployed(world, "t");
    for (const { body, want } of [
      { body: '{"temp": 97.4, "unit": "F"}', want: /^Warning: Too hot! 97.4 F/ },
      { body: "97.4", want: /^Warning/ },
      { body: '{"temp": "97.4"}', want: /^Warning/ },
      { body: '{"temp": 36.3, "unit": "C"}', want: /^Warning: Too hot! 97.3 F/ },
      { body: '{"temp": 4, "unit": "C"}', want: /^Temperature OK: 39.2 F/ },
      { body: '{"temp": 38, "unit": null}', want: /^Temperature OK/ },
      { body: '"38"', want: /^Temperature OK/ },
      { body: "hot", want: /^Unreadable: hot/ },
      { body: '{"temp": 97, "unit": "K"}', want: /^Unreadable/ },
      { body: '{"temp": true}', want: /^Unreadable/ },
      { body: "NaN", want: /^Unreadable/ },
      { body: "[]", want: /^Unreadable/ },
    ])
      assert.match((await world.call("POST", "/function/t", { body })).body, want, body);
  }),
);

test("low stock is told the inventory service; enough is not", { skip }, () => {
  const sent: { url: string; body: string }[] = [];
  return inWorld(
    async (world) => {
      world.deploy("low-stock", shopCode("low-stock.ts"), {
        language: "node",
        annotations: {
          topic: "/+/inventory/stock",
          "cortado.local/callback-url": "http://inventory.coffee-shop.svc:8080/events",
          "cortado.local/callback-on": "{",
        },
      });
      world.api.apply("endpointslices", {
        metadata: {
          name: "inventory-x",
          namespace: "coffee-shop",
          labels: { "kubernetes.io/service-name": "inventory" },
        },
        endpoints: [{ addresses: ["10.42.0.9"], conditions: { ready: true } }],
        ports: [{ port: 3_000 }],
      });
      await until(
        async () =>
          (await world.call("POST", "/function/low-stock", { body: '{"item":"milk","quantity":9}' }))
            .status === 200,
        "deployed",
      );
      await delay(100);
      await world.publish("/store042/inventory/stock", '{"item":"milk","quantity":3}');
      await world.publish("/store042/inventory/stock", '{"item":"cups","quantity":500}');
      await until(() => sent.length === 1, "one call");
      await delay(100);
      assert.deepEqual(sent, [
        {
          url: "http://10.42.0.9:3000/events",
          body: '{"kind":"low-stock","item":"milk","quantity":3,"minimum":5}',
        },
      ]);
    },
    {
      send: ({ url, body }) => {
        sent.push({ url, body: new TextDecoder().decode(body) });
        return Promise.resolve({ status: 202, headers: {}, body: new Uint8Array(0) });
      },
    },
  );
});

test(
  "data folders: readings are written, counts survive a restart and count once, a full folder is refused",
  { skip },
  () =>
    inWorld(async (world) => {
      world.deploy("sanitise", shopCode("sanitise.py"), {
        annotations: { topic: "/+/fridge/temp", "cortado.local/data": "1Mi" },
      });
      world.deploy("machine-counts", shopCode("machine-counts.ts"), {
        language: "node",
        annotations: { topic: "/+/espresso/cycles,/+/grinder/hours", "cortado.local/data": "1Mi" },
      });
      world.deploy(
        "hoard",
        "import os\ndef handle(req):\n  open(os.environ['CORTADO_DATA'] + '/x', 'a').write('x' * 3000)\n  return 'ok'",
        { annotations: { "cortado.local/data": "2Ki" } },
      );
      for (const name of ["sanitise", "machine-counts"])
        await until(
          async () => (await world.call("POST", `/function/${name}`, { body: '"no number"' })).status === 200,
          name,
        );
      await delay(100);
      for (const text of ['{"temp": 38.5, "unit": "F"}', "broken", '{"temp": 99999}', "4"])
        await world.publish("/store042/fridge/temp", text);
      for (const [topic, value] of [
        ["espresso/cycles", "118"],
        ["grinder/hours", '{"hours": 12.5}'],
        ["espresso/cycles", '{"cycles": 119}'],
      ] as const)
        await world.publish(`/store042/${topic}`, value);
      const totals = async (): Promise<string> => (await world.call("GET", "/function/machine-counts")).body;
      await until(
        async () => (await totals()).includes("119") && (await totals()).includes("12.5"),
        "counted",
      );
      await until(async () => (await world.call("POST", "/function/hoard")).status === 507, "over its size");
      assert.match((await world.call("POST", "/function/hoard")).body, /declares 2048; delete some/);
      await world.stop();
      await world.boot();
      await until(
        async () => (await totals()) === '{"/store042/espresso/cycles":119,"/store042/grinder/hours":12.5}',
        "totals after a restart",
      );
    }),
);

test("more calls than replicas wait their turn; replicas grow to the most and no further", { skip }, () =>
  inWorld(async (world) => {
    world.deploy("slow", "import os, time\ndef handle(req):\n  time.sleep(0.1)\n  return str(os.getpid())", {
      spec: { labels: { "com.openfaas.scale.max": "3" } },
    });
    await deployed(world, "slow");
    const answers = await Promise.all(Array.from({ length: 12 }, () => world.call("POST", "/function/slow")));
    assert.ok(answers.every(({ status }) => status === 200));
    assert.equal(new Set(answers.map(({ body }) => body)).size, 3);
  }),
);
