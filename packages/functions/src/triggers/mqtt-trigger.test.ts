import assert from "node:assert/strict";
import { test } from "node:test";
import { startBroker } from "@cortado/mqtt";
import { connectMqtt } from "@cortado/mqtt/client";
import { newMetrics } from "@cortado/std/metrics";
import { seededRandom } from "@cortado/std/random";
import { StatusError } from "@cortado/std/status";
import { settle, type HeldClock } from "@cortado/std/testing/held-clock";
import type { MemoryFiles } from "@cortado/std/testing/memory-files";
import { MemoryNetwork } from "@cortado/std/testing/memory-network";
import type { Answer, Call } from "../runtime/interpreter.ts";
import { answerOf, deployed, inWorld, until } from "../testing/in-world.ts";
import type { World } from "../testing/world.ts";

const text = (payload: Uint8Array): string => new TextDecoder().decode(payload);
const down = (): Promise<never> => Promise.reject(new StatusError("BadGateway", "down"));
const textsOf = (calls: readonly Call[], topic: string): readonly string[] =>
  calls.filter(({ headers }) => headers["x-topic"] === topic).map(({ body }) => text(body));

test("a function that fails for more messages than a window holds keeps no other waiting", () =>
  inWorld(async ({ world, clock, fake }) => {
    world.deploy("bad", "x", { annotations: { topic: "bad" } });
    world.deploy("good", "x", { annotations: { topic: "good, both" } });
    world.deploy("both", "x", { annotations: { topic: "both" } });
    await deployed(clock);
    fake.answer = ({ headers }) => (headers["x-topic"] === "bad" ? down() : Promise.resolve(answerOf("ok")));
    for (let at = 0; at < 250; at += 1) await world.publish("bad", String(at));
    await world.publish("good", "1");
    await world.publish("both", "2");
    await settle();
    assert.deepEqual(textsOf(fake.calls, "good"), ["1"]);
    assert.deepEqual(textsOf(fake.calls, "both"), ["2", "2"]);
    assert.equal(new Set(textsOf(fake.calls, "bad")).size, 100, "its own window");
    const ids = new Set(
      fake.calls.filter(({ headers }) => headers["x-topic"] === "both").map(({ id }) => id),
    );
    assert.equal(ids.size, 1, "one message, one id, whoever is called for it");
  }));

test("a function that is Ready gets what is published from then on; a broker that is stuck holds up nobody for long", () =>
  inWorld(async ({ world, clock, fake }) => {
    const isReady = (name: string): boolean => {
      const found = world.api.all("functions").find(({ metadata }) => metadata.name === name);
      const { conditions = [] } = (found?.["status"] ?? {}) as {
        conditions?: { type: string; status: string }[];
      };
      return conditions.some(({ type, status }) => type === "Ready" && status === "True");
    };
    world.deploy("check", "x", { annotations: { topic: "a" } });
    await until("ready", () => isReady("check"));
    await world.publish("a", "1");
    await settle();
    assert.deepEqual(textsOf(fake.calls, "a"), ["1"]);
    const { replace } = world.files;
    world.files.replace = (path, bytes) =>
      path.endsWith("mqtt-sessions.json")
        ? Promise.reject(new Error("full"))
        : replace.call(world.files, path, bytes);
    world.deploy("late", "x", { annotations: { topic: "b" } });
    await deployed(clock);
    assert.equal(isReady("late"), false);
    await clock.advance(6_000);
    await until("ready all the same", () => isReady("late"));
    world.files.replace = replace;
    await clock.advance(10_000);
  }));

test("a session ends with its function: what was for it is no news to the next of its name", () =>
  inWorld(async ({ world, clock, fake }) => {
    world.deploy("check", "x", { annotations: { topic: "a, b" } });
    await deployed(clock);
    world.deploy("check", "x", { annotations: { topic: "b, c" } });
    await deployed(clock);
    for (const topic of ["a", "b", "c"]) await world.publish(topic, "1");
    await settle();
    assert.deepEqual(
      fake.calls.map(({ headers }) => headers["x-topic"]),
      ["b", "c"],
    );
    fake.calls.splice(0);
    fake.answer = down;
    await world.publish("b", "of the first");
    world.api.delete("functions", "openfaas-fn", "check");
    await deployed(clock);
    fake.answer = () => Promise.resolve(answerOf("ok"));
    fake.calls.splice(0);
    await world.publish("b", "of nobody");
    world.deploy("check", "x", { annotations: { topic: "b" } });
    await deployed(clock);
    await world.publish("b", "of the next");
    await clock.advance(60_000);
    assert.deepEqual(textsOf(fake.calls, "b"), ["of the next"]);
    // Gone while we were.
    await world.stop();
    world.api.delete("functions", "openfaas-fn", "check");
    await world.boot();
    await deployed(clock);
    await world.publish("b", "of nobody");
    world.deploy("check", "x", { annotations: { topic: "b" } });
    await deployed(clock);
    await settle();
    assert.deepEqual(textsOf(fake.calls, "b"), ["of the next"]);
  }));

test("a disk that does not take the file of sessions holds the subscription up, and no longer", () =>
  inWorld(async ({ world, clock, fake }) => {
    const { files } = world;
    const { replace } = files;
    files.replace = (path, bytes) =>
      path.endsWith("mqtt-sessions.json")
        ? Promise.reject(new Error("full"))
        : replace.call(files, path, bytes);
    world.deploy("check", "x", { annotations: { topic: "a" } });
    await deployed(clock);
    await world.publish("a", "too early");
    files.replace = replace;
    await clock.advance(10_000);
    await deployed(clock);
    await world.publish("a", "1");
    await settle();
    assert.deepEqual(textsOf(fake.calls, "a"), ["1"]);
  }));

/** As the release before left it: one session for all functions, with messages that nobody has taken yet. */
async function leaveOldSession(world: World, clock: HeldClock, count: number): Promise<void> {
  const { log } = world.kept;
  const ports = { files: world.files, clock, random: seededRandom(5), log };
  await using broker = await startBroker({
    ...ports,
    ...{ folder: "/mqtt", network: new MemoryNetwork(), metrics: newMetrics() },
  });
  const client = { ...ports, stamped: true, onMessage() {} };
  const dial = () => broker.dialLocal("functions");
  await using old = connectMqtt({ ...client, dial, clientId: "cortado-functions", cleanSession: false });
  await old.subscribe(["t/+", "u", "gone"].map((filter) => ({ filter, qos: 1 })));
  await using machine = connectMqtt({ ...client, dial, clientId: "machine", cleanSession: true });
  for (let at = 0; at < count; at += 1)
    await machine.publish({ topic: "t/a", payload: new TextEncoder().encode(String(at)), qos: 1 });
  await machine.publish({ topic: "gone", payload: new TextEncoder().encode("of nobody"), qos: 1 });
  await world.files.remove("/functions/mqtt-sessions.json");
  await world.files.replace(
    "/functions/mqtt-filters.json",
    new TextEncoder().encode(JSON.stringify(["t/+", "u", "gone"])),
  );
}

const OLD = 250;

/** One publish after another until it is told to stop; answers how many were acknowledged. */
async function publishing(world: World, from: number, state: { stopped: boolean }): Promise<number> {
  let at = from;
  for (; !state.stopped; at += 1) {
    const isDone = await world.publish("t/a", String(at)).then(
      () => true,
      () => false,
    );
    if (!isDone) break;
    await settle();
  }
  return at;
}

async function deploy(world: World, clock: HeldClock): Promise<void> {
  world.deploy("one", "x", { annotations: { topic: "t/#" } });
  world.deploy("two", "x", { annotations: { topic: "t/a, u" } });
  await deployed(clock);
}

test("the session that all functions shared is taken over: each message once for each, while more come", () =>
  inWorld(async ({ world, clock, fake }) => {
    await deploy(world, clock);
    await world.stop();
    await leaveOldSession(world, clock, OLD);
    await world.boot();
    const state = { stopped: false };
    const running = publishing(world, OLD, state);
    await until("all that was left", () => fake.calls.length > 2 * OLD + 50);
    state.stopped = true;
    const last = await running;
    await deployed(clock);
    const came = textsOf(fake.calls, "t/a").map(Number);
    const wanted = Array.from({ length: last }, (_, at) => [at, at]).flat();
    assert.deepEqual(
      came.toSorted((one, other) => one - other),
      wanted,
    );
    assert.equal(await world.files.read("/functions/mqtt-filters.json"), undefined);
    assert.ok(
      world.kept.lines.some(({ message }) => message.includes("is taken over by those of their own")),
    );
    // And goes on as if it had never been otherwise.
    await world.stop();
    await world.boot();
    await deployed(clock);
    fake.calls.splice(0);
    await world.publish("u", "x");
    await settle();
    assert.deepEqual(textsOf(fake.calls, "u"), ["x"]);
  }));

for (const answerable of [0, 1, 30, 99, 100, 101, 160, OLD - 1, OLD, OLD + 10])
  test(`power cut when ${answerable} messages of the takeover were answered: none is lost, and those do not come again`, () =>
    inWorld(async ({ world, clock, fake }) => {
      const files = world.files as MemoryFiles;
      await deploy(world, clock);
      await world.stop();
      await leaveOldSession(world, clock, OLD);
      const counts = new Map<number, number>();
      const count = ({ body }: Call): void =>
        void counts.set(Number(text(body)), (counts.get(Number(text(body))) ?? 0) + 1);
      const hanging: PromiseWithResolvers<Answer>[] = [];
      fake.answer = (call) => {
        if (Number(text(call.body)) < answerable) {
          count(call);
          return Promise.resolve(answerOf("ok"));
        }
        const answer = Promise.withResolvers<Answer>();
        hanging.push(answer);
        return answer.promise;
      };
      await world.boot();
      const state = { stopped: false };
      const running = publishing(world, OLD, state);
      const isAnswered = (): boolean =>
        counts.size === answerable && [...counts.values()].every((one) => one === 2);
      await until("all that can be answered, and more", () => isAnswered() && hanging.length > 0);
      for (let turn = 0; turn < 20; turn += 1) await settle();
      await clock.advance(200); // acknowledgements are on disk
      state.stopped = true;
      const last = await running;
      files.fault = new Error("no power");
      files.cutPower();
      fake.answer = down;
      for (const { reject } of hanging) reject(new Error("no power"));
      await world.stop();
      files.fault = undefined;
      fake.answer = (call) => {
        count(call);
        return Promise.resolve(answerOf("ok"));
      };
      await world.boot();
      await deployed(clock);
      await until("the old session is gone", () => world.kept.lines.some(isTakenOver));
      await deployed(clock);
      assert.deepEqual(
        [...counts].toSorted(([one], [other]) => one - other),
        Array.from({ length: last }, (_, at) => [at, 2]),
      );
    }));

const isTakenOver = ({ message }: { readonly message: string }): boolean =>
  message.includes("is taken over by those of their own");
