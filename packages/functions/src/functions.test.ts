import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { StatusError } from "@cortado/std/status";
import { settle } from "@cortado/std/testing/held-clock";
import { duration, quantity, readDefinition } from "./definition.ts";
import { eventNameOf } from "./invoke.ts";
import type { SendHttp } from "./http-sender.ts";
import { nextTime } from "./triggers/cron-trigger.ts";
import { answerOf, bytes, deployed, inWorld, until } from "./testing/in-world.ts";

const definition = {
  service: "hello",
  image: "cortado.local/python3:1",
  annotations: { "cortado.local/source": "hello-code" },
};

test("faas-cli's walk: PUT 404, POST 202, list, describe, invoke, PUT 202, scale, DELETE 202, 404", () =>
  inWorld(async ({ world, clock, fake }) => {
    world.api.apply("configmaps", {
      metadata: { name: "hello-code", namespace: "openfaas-fn" },
      data: { "handler.py": "def handle(req): pass" },
    });
    const body = JSON.stringify({
      ...definition,
      envVars: { A: "b" },
      limits: { memory: "5Mi", cpu: "100m" },
      labels: { x: "y" },
    });
    assert.equal((await world.call("PUT", "/system/functions", { body })).status, 404);
    assert.equal((await world.call("POST", "/system/functions", { body })).status, 202);
    await deployed(clock);
    assert.equal((await world.call("POST", "/system/functions", { body })).status, 409);
    const called = await world.call("POST", "/function/hello.openfaas-fn/a/b?c=d", {
      body: "x",
      headers: { "x-own": "1", authorization: "Basic abc" },
    });
    assert.deepEqual(
      [called.status, called.body, called.headers["content-type"]],
      [200, "got x", "text/plain"],
    );
    assert.ok(
      called.headers["x-call-id"] && called.headers["x-start-time"] && called.headers["x-duration-seconds"],
    );
    assert.deepEqual(
      { path: fake.calls[0]?.path, query: fake.calls[0]?.query, own: fake.calls[0]?.headers["x-own"] },
      { path: "/a/b", query: { c: "d" }, own: "1" },
    );
    const listed = JSON.parse(
      (await world.call("GET", "/system/functions?namespace=openfaas-fn")).body,
    ) as Record<string, unknown>[];
    assert.deepEqual(listed, [
      {
        name: "hello",
        image: definition.image,
        namespace: "openfaas-fn",
        envVars: { A: "b" },
        labels: { x: "y", faas_function: "hello" },
        annotations: definition.annotations,
        limits: { memory: "5Mi", cpu: "100m" },
        invocationCount: 1,
        replicas: 1,
        availableReplicas: 1,
        createdAt: "2026-01-01T00:00:00Z",
      },
    ]);
    assert.equal((await world.call("PUT", "/system/functions", { body })).status, 202);
    assert.equal(
      (
        await world.call("POST", "/system/scale-function/hello", {
          body: '{"serviceName":"hello","replicas":3}',
        })
      ).status,
      202,
    );
    await deployed(clock);
    assert.equal(
      (JSON.parse((await world.call("GET", "/system/function/hello")).body) as { replicas: number }).replicas,
      3,
    );
    assert.equal(
      (await world.call("DELETE", "/system/functions", { body: '{"functionName":"hello"}' })).status,
      202,
    );
    await deployed(clock);
    const gone = await world.call("GET", "/function/hello");
    assert.equal(gone.status, 404);
    assert.match(gone.body, /^error finding function hello\.openfaas-fn/);
    assert.equal(
      (await world.call("DELETE", "/system/functions", { body: '{"functionName":"hello"}' })).status,
      404,
    );
  }));

test("kubectl and REST see the same objects", () =>
  inWorld(async ({ world, clock }) => {
    world.deploy("by-kubectl", "x", { namespace: "coffee-shop" });
    await deployed(clock);
    assert.equal((await world.call("POST", "/function/by-kubectl.coffee-shop", { body: "1" })).body, "got 1");
    assert.deepEqual(JSON.parse((await world.call("GET", "/system/functions")).body), []);
    assert.match((await world.call("GET", "/system/functions?namespace=coffee-shop")).body, /by-kubectl/);
    world.api.delete("functions", "coffee-shop", "by-kubectl");
    await deployed(clock);
    assert.equal((await world.call("POST", "/function/by-kubectl.coffee-shop")).status, 404);
  }));

for (const { method, path, status, says } of [
  { method: "GET", path: "/healthz", status: 200, says: /OK/ },
  { method: "GET", path: "/system/info", status: 200, says: /"orchestration":"kubernetes"/ },
  { method: "GET", path: "/system/namespaces", status: 200, says: /\["openfaas-fn"\]/ },
  { method: "POST", path: "/function/.openfaas-fn", status: 404, says: /error finding function/ },
  { method: "TRACE", path: "/function/x", status: 405, says: /TRACE/ },
  { method: "GET", path: "/async-function/x", status: 405, says: /POST/ },
  { method: "POST", path: "/async-function/nobody", status: 404, says: /error finding function nobody/ },
  { method: "GET", path: "/system/secrets", status: 501, says: /later release/ },
  { method: "POST", path: "/system/info", status: 405, says: /takes GET/ },
  { method: "GET", path: "/nothing", status: 404, says: /\/function\/NAME/ },
  { method: "POST", path: "/system/functions", status: 400, says: /not JSON/ },
  { method: "GET", path: "/system/logs?name=nobody", status: 404, says: /nobody/ },
] as const)
  test(`${method} ${path} answers ${status}`, () =>
    inWorld(async ({ world }) => {
      const answer = await world.call(method, path, { body: "{" });
      assert.equal(answer.status, status);
      assert.match(answer.body, says);
    }));

test("a password guards /system and nothing else", () =>
  inWorld(
    async ({ world }) => {
      const refused = await world.call("GET", "/system/functions");
      assert.deepEqual(
        [refused.status, refused.body, refused.headers["www-authenticate"]],
        [401, "invalid credentials", 'Basic realm="Restricted"'],
      );
      const basic = (text: string): Record<string, string> => ({
        authorization: `Basic ${Buffer.from(text).toString("base64")}`,
      });
      assert.equal(
        (await world.call("GET", "/system/functions", { headers: basic("admin:wrong") })).status,
        401,
      );
      assert.equal(
        (await world.call("GET", "/system/functions", { headers: basic("admin:beans") })).status,
        200,
      );
      assert.equal((await world.call("GET", "/healthz")).status, 200);
      assert.equal((await world.call("GET", "/function/x")).status, 404);
    },
    { credentials: { user: "admin", password: "beans" } },
  ));

test("what is wrong with a Function stands in its status and in the answer", () =>
  inWorld(async ({ world, clock }) => {
    const put = (name: string, spec: object): void =>
      world.api.apply("functions", {
        metadata: { name, namespace: "openfaas-fn" },
        spec: { name, image: "cortado.local/python3:1", ...spec },
      });
    put("no-source", {});
    put("no-map", { annotations: { "cortado.local/source": "nowhere" } });
    put("odd-limit", { annotations: { "cortado.local/source": "x" }, limits: { memory: "much" } });
    put("secrets", { annotations: { "cortado.local/source": "x" }, secrets: ["s"] });
    await deployed(clock);
    for (const [name, says] of [
      ["no-source", /cortado\.local\/source/],
      ["no-map", /ConfigMap nowhere is not in namespace openfaas-fn/],
      ["odd-limit", /"much" is no quantity/],
      ["secrets", /later release/],
    ] as const) {
      const answer = await world.call("POST", `/function/${name}`);
      assert.equal(answer.status, 503);
      assert.match(answer.body, says);
      const status = world.api.object("functions", "openfaas-fn", name)?.["status"] as {
        conditions: { type: string; status: string; message: string }[];
      };
      assert.match(status.conditions.find(({ type }) => type === "Stalled")?.message ?? "", says);
    }
    // The missing ConfigMap comes: nobody has to touch the Function.
    world.api.apply("configmaps", {
      metadata: { name: "nowhere", namespace: "openfaas-fn" },
      data: { "handler.py": "x" },
    });
    let body = "";
    for (let look = 0; look < 20 && body !== "got 1"; look += 1) {
      await deployed(clock);
      ({ body } = await world.call("POST", "/function/no-map", { body: "1" }));
    }
    assert.equal(body, "got 1");
  }));

test("the queue of a function is bounded: 429, and nothing that waits is lost", () =>
  inWorld(async ({ world, clock, fake }) => {
    world.deploy("slow", "x", { spec: { labels: { "com.openfaas.scale.max": "1" } } });
    await deployed(clock);
    const open: (() => void)[] = [];
    fake.answer = () => new Promise((resolve) => open.push(() => resolve(answerOf("done"))));
    const statuses: number[] = [];
    for (let call = 0; call < 120; call += 1)
      void world.call("POST", "/function/slow").then(({ status }) => statuses.push(status));
    // On a busy machine one turn of the loop does not bring all of them in: none may be answered before the queue was full.
    await until("those that have no place", () => statuses.length === 19);
    await until("the others", () => {
      open.shift()?.();
      return statuses.length === 120;
    });
    assert.equal(statuses.filter((status) => status === 200).length, 101);
    assert.equal(statuses.filter((status) => status === 429).length, 19);
  }));

test("asynchronous: 202 when durable, made after a restart, repeated when it fails, its result called back", () => {
  const sent: { url: string; status: string | undefined; body: string }[] = [];
  const send: SendHttp = ({ url, headers, body }) => {
    sent.push({ url, status: headers["x-function-status"], body: new TextDecoder().decode(body) });
    return Promise.resolve({ status: 200, headers: {}, body: new Uint8Array(0) });
  };
  return inWorld(
    async ({ world, clock, fake }) => {
      world.deploy("later", "x");
      await deployed(clock);
      fake.answer = () => Promise.reject(new StatusError("BadGateway", "down"));
      const taken = await world.call("POST", "/async-function/later", {
        body: "one",
        headers: { "x-callback-url": "http://till:1/done" },
      });
      assert.equal(taken.status, 202);
      await settle();
      await world.stop();
      await world.boot();
      await deployed(clock);
      assert.equal(sent.length, 0);
      fake.answer = () => Promise.resolve(answerOf("at last"));
      await clock.advance(130_000);
      assert.deepEqual(sent, [{ url: "http://till:1/done", status: "200", body: "at last" }]);
      assert.ok(
        fake.calls.every(({ id }) => id === taken.headers["x-call-id"]),
        "the same call id at each try",
      );
      await world.stop();
      await world.boot();
      await deployed(clock);
      await clock.advance(130_000);
      assert.equal(sent.length, 1, "made once");
      assert.equal(
        (await world.call("POST", "/async-function/later", { headers: { "x-callback-url": "nonsense" } }))
          .status,
        400,
      );
    },
    { send },
  );
});

test("MQTT: at least once, acknowledged after success, wildcards, retained replays ignored", () =>
  inWorld(async ({ world, clock, fake }) => {
    world.deploy("check", "x", { annotations: { topic: " /+/fridge/temp , alarms/# " } });
    world.deploy("other", "x", { annotations: { topic: "store104/fridge/temp" } });
    await deployed(clock);
    await world.publish("/store104/fridge/temp", "1");
    await world.publish("store9/fridge/temp", "not ours");
    await world.publish("alarms", "2", true);
    await settle();
    assert.deepEqual(
      fake.calls.map(
        ({ headers, body }) =>
          `${headers["x-topic"]} ${headers["x-connector"]} ${headers["x-arrived-at"]} ${headers["x-sequence"]} ${new TextDecoder().decode(body)}`,
      ),
      [
        "/store104/fridge/temp cortado-mqtt 2026-11-23T08:00:00.050Z 1 1",
        "alarms cortado-mqtt 2026-11-23T08:00:00.050Z 2 2",
      ],
    );
    fake.answer = () => Promise.reject(new StatusError("BadGateway", "down"));
    await world.publish("/store104/fridge/temp", "3");
    await clock.advance(1_000);
    const ids = new Set(fake.calls.slice(2).map(({ id }) => id));
    assert.equal(ids.size, 1);
    await world.stop(); // the message was not acknowledged
    fake.calls.splice(0);
    fake.answer = () => Promise.resolve(answerOf("ok"));
    await world.boot();
    await deployed(clock);
    await clock.advance(1_000);
    assert.deepEqual(
      fake.calls.map(({ id, body }) => [ids.has(id), new TextDecoder().decode(body)]),
      [[true, "3"]],
      "the retained one does not fire again",
    );
    // Nor does it for a function that comes later.
    fake.calls.splice(0);
    world.deploy("late", "x", { annotations: { topic: "alarms" } });
    await deployed(clock);
    await clock.advance(1_000);
    assert.equal(fake.calls.length, 0);
    world.api.delete("functions", "openfaas-fn", "check");
    await deployed(clock);
    fake.calls.splice(0);
    await world.publish("/store104/fridge/temp", "5");
    await settle();
    assert.equal(fake.calls.length, 0);
  }));

test("an answer that alert-on names becomes one Alert for its event, however often it comes", () =>
  inWorld(async ({ world, clock, fake }) => {
    world.deploy("check", "x", { annotations: { topic: "t", "cortado.local/alert-on": "Warning" } });
    await deployed(clock);
    fake.answer = ({ body }) =>
      Promise.resolve(answerOf(new TextDecoder().decode(body) === "hot" ? "Warning: hot" : "fine"));
    await world.publish("t", "hot");
    await world.publish("t", "cool");
    await until("the alert of the message", () => world.alerts().length === 1 && fake.calls.length === 2);
    for (const repeat of [1, 2])
      assert.equal(
        (await world.call("POST", "/function/check", { body: "hot", headers: { "x-call-id": "Call/1" } }))
          .status,
        200,
        `call ${repeat}`,
      );
    assert.equal(world.alerts().length, 2);
    assert.ok(
      world
        .alerts()
        .every(
          ({ name, spec }) =>
            /^[a-z0-9-]+$/.test(name) && spec["text"] === "Warning: hot" && spec["store"] === "store-042",
        ),
    );
  }));

test("cron: fires at its time, once, and not for a schedule that went", () =>
  inWorld(async ({ world, clock, fake }) => {
    world.deploy("nightly", "x", { annotations: { topic: "cron-function", schedule: "*/5 * * * *" } });
    await deployed(clock);
    await clock.advance(4 * 60_000);
    assert.equal(fake.calls.length, 0);
    await clock.advance(60_000);
    assert.deepEqual(
      fake.calls.map(({ headers }) => headers["x-topic"]),
      ["cron-function"],
    );
    await clock.advance(15 * 60_000);
    assert.equal(fake.calls.length, 4);
    assert.equal(new Set(fake.calls.map(({ id }) => id)).size, 4);
    world.api.delete("functions", "openfaas-fn", "nightly");
    await deployed(clock);
    await clock.advance(15 * 60_000);
    assert.equal(fake.calls.length, 4);
  }));

test("a container function becomes a Deployment and a Service of its own, and is called at a ready endpoint", () => {
  const sent: string[] = [];
  const send: SendHttp = ({ url, method }) => {
    sent.push(`${method} ${url}`);
    return Promise.resolve({
      status: 200,
      headers: { "content-type": "text/plain" },
      body: bytes("from the pod"),
    });
  };
  return inWorld(
    async ({ world, clock }) => {
      const body = JSON.stringify({
        service: "figlet",
        image: "cortado.local/figlet:1",
        envProcess: "figlet",
        labels: { "com.openfaas.scale.min": "2" },
      });
      assert.equal((await world.call("POST", "/system/functions", { body })).status, 202);
      await deployed(clock);
      const deployment = world.api.object("deployments", "openfaas-fn", "figlet") as unknown as {
        metadata: { ownerReferences: { kind: string }[] };
        spec: { replicas: number };
      };
      assert.deepEqual(
        [deployment.metadata.ownerReferences[0]?.kind, deployment.spec.replicas],
        ["Function", 2],
      );
      assert.ok(world.api.object("services", "openfaas-fn", "figlet"));
      const none = await world.call("POST", "/function/figlet");
      assert.equal(none.status, 503);
      assert.match(none.body, /no ready pod; see kubectl -n openfaas-fn get pods -l faas_function=figlet/);
      world.api.apply("endpointslices", {
        metadata: {
          name: "figlet-1",
          namespace: "openfaas-fn",
          labels: { "kubernetes.io/service-name": "figlet" },
        },
        endpoints: [{ addresses: ["10.42.0.7"], conditions: { ready: true } }],
        ports: [{ port: 8_080 }],
      });
      await deployed(clock);
      assert.equal((await world.call("POST", "/function/figlet/x?y=z")).body, "from the pod");
      assert.deepEqual(sent, ["POST http://10.42.0.7:8080/x?y=z"]);
    },
    { send },
  );
});

test("durations and quantities are read as their owners write them", () => {
  assert.deepEqual(
    [
      duration("30s"),
      duration("1m30s"),
      duration("250ms"),
      duration("5"),
      duration("0"),
      duration(undefined),
    ],
    [30_000, 90_000, 250, 5_000, 3_600_000, undefined],
  );
  assert.throws(() => duration("soon"), /no duration/);
  assert.deepEqual(
    [quantity("64Mi", "f"), quantity("100m", "f"), quantity("1.5G", "f")],
    [67_108_864, 0.1, 1.5e9],
  );
  assert.throws(() => quantity("lots", "spec.limits.memory"), /spec\.limits\.memory/);
});

test("schedules: five fields, descriptors and @every", () => {
  const eight = Date.UTC(2026, 10, 23, 8, 0, 30);
  assert.equal(nextTime("@every 1m", eight), Date.UTC(2026, 10, 23, 8, 1));
  assert.equal(nextTime("*/10 * * * *", eight), Date.UTC(2026, 10, 23, 8, 10));
  assert.ok((nextTime("@daily", eight) ?? 0) > eight);
  assert.throws(() => nextTime("whenever", eight));
});

test("an Alert's name is a name, whatever the event's id is", () => {
  assert.equal(eventNameOf("check", "ab12-7"), "check-ab12-7");
  for (const id of ["Call/1", "x".repeat(500), "", "ä"])
    assert.match(eventNameOf("check", id), /^check-[0-9a-f]{32}$/);
  assert.notEqual(eventNameOf("check", "A"), eventNameOf("check", "a"));
});

test("a broken definition names what to change", () => {
  const read = (spec: object): unknown =>
    readDefinition({
      apiVersion: "openfaas.com/v1",
      kind: "Function",
      metadata: { name: "f", namespace: "n" },
      spec: { name: "f", image: "cortado.local/node:1", ...spec },
    });
  const source = { "cortado.local/source": "x" };
  assert.throws(() => read({}), /annotation cortado\.local\/source/);
  assert.throws(() => read({ annotations: { ...source, schedule: "* * * * *" } }), /topic: cron-function/);
  assert.throws(() => read({ annotations: { ...source, topic: "cron-function" } }), /annotation schedule/);
  assert.throws(
    () => read({ annotations: source, labels: { "com.openfaas.scale.min": "some" } }),
    /scale\.min/,
  );
});

test("the coffee shop's manifest holds the code that lies beside it", () => {
  const shop = join(import.meta.dirname, "../../../examples/coffee-shop/functions");
  const manifest = readFileSync(join(shop, "..", "repository", "functions", "functions.yaml"), "utf8");
  for (const file of ["temperature-check.py", "low-stock.ts", "sanitise.py", "machine-counts.ts"]) {
    const code = readFileSync(join(shop, file), "utf8");
    const indented = code
      .split("\n")
      .map((line) => (line === "" ? "" : `    ${line}`))
      .join("\n");
    assert.ok(manifest.includes(indented), `${file} and functions.yaml differ`);
  }
});
