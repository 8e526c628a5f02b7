import assert from "node:assert/strict";
import { test } from "node:test";
import type { DeadLetter } from "@cortado/kinds";
import { StatusError } from "@cortado/std/status";
import { settle, type HeldClock } from "@cortado/std/testing/held-clock";
import { readDefinition } from "../definition.ts";
import { LETTERS_BYTES_MAX, LETTERS_MAX } from "../limits.ts";
import { answerOf, bytes, deployed, inWorld, until } from "../testing/in-world.ts";
import type { World } from "../testing/world.ts";
import { REPLAY_ANNOTATION } from "./dead-letters.ts";
import { messageOfLetter, specOf } from "./letter.ts";
import { surplusOf } from "./surplus.ts";

const down = (): Promise<never> => Promise.reject(new StatusError("BadGateway", "down"));
const lettersOf = ({ api }: World): DeadLetter[] => api.all("deadletters") as unknown as DeadLetter[];
const text = (payload: Uint8Array): string => new TextDecoder().decode(payload);

/** As `kubectl annotate` does. */
function annotate({ api }: World, { metadata, ...letter }: DeadLetter): void {
  api.apply("deadletters", {
    ...letter,
    metadata: { ...metadata, annotations: { [REPLAY_ANNOTATION]: "now" } },
  });
}

async function passed(clock: HeldClock): Promise<void> {
  await deployed(clock);
  await clock.advance(300_000);
  await settle();
}

test("a message whose function fails again and again becomes a letter, and what is behind it goes on", () =>
  inWorld(async ({ world, clock, fake }) => {
    world.deploy("check", "x", { annotations: { topic: "t/#" } });
    await deployed(clock);
    fake.answer = ({ body }) => (text(body) === "bad" ? down() : Promise.resolve(answerOf("ok")));
    await world.publish("t/a", "bad");
    await world.publish("t/b", "good");
    await settle();
    assert.deepEqual(
      fake.calls.map(({ body }) => text(body)),
      ["bad", "good"],
    );
    await clock.advance(300_000);
    assert.equal(fake.calls.length, 1 + 8);
    const [letter, ...others] = lettersOf(world);
    assert.ok(letter !== undefined && others.length === 0);
    const { metadata, spec } = letter;
    assert.deepEqual([metadata.namespace, metadata.labels], ["openfaas-fn", { faas_function: "check" }]);
    const { messageId, failedAt, ...rest } = spec;
    assert.deepEqual(rest, {
      function: "check",
      topic: "t/a",
      payload: "bad",
      sequence: 1,
      arrivedAt: "2026-11-23T08:00:00.050Z",
      tries: 8,
      lastError: "function check.openfaas-fn: down",
    });
    assert.equal(messageId, fake.calls[0]?.id);
    assert.ok(failedAt > "2026-11-23T08:00:30" && failedAt < "2026-11-23T08:02:00", failedAt);
    assert.match(world.metrics.text(), /cortado_function_trigger_dead_letters 1\n/);
    assert.match(world.metrics.text(), /cortado_function_dead_letters 1\n/);
    fake.calls.splice(0);
    await world.stop();
    await world.boot();
    await passed(clock);
    assert.equal(fake.calls.length, 0, "it was acknowledged");
    assert.equal(lettersOf(world).length, 1);
  }));

test("annotations say how often and how long; nonsense is refused and named", () =>
  inWorld(async ({ world, clock, fake }) => {
    const annotations = {
      topic: "t",
      "cortado.local/trigger-tries": "3",
      "cortado.local/trigger-longest-wait": "200ms",
    };
    world.deploy("check", "x", { annotations });
    await deployed(clock);
    fake.answer = () => Promise.resolve(answerOf("no", 422));
    await world.publish("t", "1");
    await settle();
    await clock.advance(600);
    assert.deepEqual(
      [fake.calls.length, lettersOf(world)[0]?.spec.lastError, lettersOf(world)[0]?.spec.tries],
      [3, "it answered 422: no", 3],
    );
    for (const [name, value, fault] of [
      ["tries", "0", /annotation cortado\.local\/trigger-tries: 0 is not from 1 to 100/],
      ["tries", "often", /annotation cortado\.local\/trigger-tries: "often" is no whole number/],
      ["longest-wait", "2h", /annotation cortado\.local\/trigger-longest-wait: "2h" is over 60m/],
      ["longest-wait", "soon", /annotation cortado\.local\/trigger-longest-wait: "soon" is no duration/],
    ] as const)
      assert.throws(
        () =>
          readDefinition({
            apiVersion: "openfaas.com/v1",
            kind: "Function",
            metadata: { name: "f" },
            spec: { name: "f", image: "x:1", annotations: { [`cortado.local/trigger-${name}`]: value } },
          }),
        fault,
      );
  }));

test("a letter that cannot be written leaves its message with the broker", () =>
  inWorld(async ({ world, clock, fake }) => {
    world.deploy("check", "x", { annotations: { topic: "t", "cortado.local/trigger-tries": "1" } });
    await deployed(clock);
    fake.answer = down;
    world.api.fault = { status: 507, reason: "InsufficientStorage" };
    await world.publish("t", "1");
    await clock.advance(5_000);
    assert.equal(fake.calls.length, 1, "the function is not called for it");
    await world.stop();
    world.api.fault = undefined;
    await world.boot();
    await passed(clock);
    assert.equal(fake.calls.length, 2, "it came again");
    assert.equal(lettersOf(world).length, 1);
    world.api.fault = { status: 507, reason: "InsufficientStorage" };
    await world.publish("t", "2");
    await clock.advance(5_000);
    world.api.fault = undefined;
    await clock.advance(60_000);
    assert.deepEqual(
      lettersOf(world).map(({ spec }) => spec.payload),
      ["1", "2"],
    );
  }));

test("killed between the letter and the acknowledgement: the message comes again, and makes no call and no second letter", () =>
  inWorld(async ({ world, clock, fake }) => {
    world.deploy("check", "x", { annotations: { topic: "t", "cortado.local/trigger-tries": "1" } });
    await deployed(clock);
    fake.answer = down;
    // The write is done, its answer never comes.
    const send = world.api.send.bind(world.api);
    world.api.send = async (request) => {
      const answer = await send(request);
      return request.method === "POST" && request.path.includes("deadletters")
        ? new Promise<never>((_, reject) =>
            request.signal.addEventListener("abort", () => reject(new Error("killed")), { once: true }),
          )
        : answer;
    };
    await world.publish("t", "1");
    await until("the letter", () => lettersOf(world).length === 1);
    await world.stop();
    world.api.send = send;
    fake.calls.splice(0);
    await world.boot();
    await passed(clock);
    assert.deepEqual([fake.calls.length, lettersOf(world).length], [0, 1]);
    world.api.delete("deadletters", "openfaas-fn", lettersOf(world)[0]?.metadata.name ?? "");
    await world.stop();
    await world.boot();
    await passed(clock);
    assert.deepEqual(
      [fake.calls.length, lettersOf(world).length],
      [0, 0],
      "acknowledged, and dropped for good",
    );
  }));

test("replay: one more call, byte for byte; gone when it went well, told of when not", () =>
  inWorld(async ({ world, clock, fake }) => {
    world.deploy("check", "x", { annotations: { topic: "t", "cortado.local/trigger-tries": "2" } });
    await deployed(clock);
    fake.answer = down;
    const payload = new Uint8Array([0xff, 0x00, 0x7f]);
    await world.machine.publish({ topic: "t", payload, qos: 1 });
    await clock.advance(10_000);
    const first = fake.calls[0];
    fake.calls.splice(0);
    const [letter] = lettersOf(world);
    assert.ok(letter !== undefined && letter.spec.payload === undefined);
    annotate(world, letter);
    await until("the first replay", () => lettersOf(world)[0]?.spec.tries === 3);
    assert.equal(lettersOf(world)[0]?.metadata.annotations?.[REPLAY_ANNOTATION], undefined);
    await clock.advance(600_000);
    assert.equal(fake.calls.length, 1, "once for each wish");
    fake.answer = () => Promise.resolve(answerOf("ok"));
    const [again] = lettersOf(world);
    assert.ok(again !== undefined);
    annotate(world, again);
    await until("the second replay", () => lettersOf(world).length === 0);
    assert.deepEqual(fake.calls[1]?.body, Buffer.from(payload));
    assert.deepEqual(
      [fake.calls[1]?.headers, fake.calls[1]?.id, fake.calls[1]?.path],
      [first?.headers, first?.id, first?.path],
    );
    await clock.advance(600_000);
    assert.equal(fake.calls.length, 2);
    assert.match(world.metrics.text(), /cortado_function_dead_letters_replayed 1\n/);
  }));

test("a letter outlives its function; its replay then says what is missing", () =>
  inWorld(async ({ world, clock, fake }) => {
    world.deploy("check", "x", { annotations: { topic: "t", "cortado.local/trigger-tries": "1" } });
    await deployed(clock);
    fake.answer = down;
    await world.publish("t", "1");
    await settle();
    world.api.delete("functions", "openfaas-fn", "check");
    await deployed(clock);
    const [letter] = lettersOf(world);
    assert.ok(letter !== undefined);
    annotate(world, letter);
    await until("the replay", () => lettersOf(world)[0]?.spec.tries === 2);
    assert.equal(lettersOf(world)[0]?.spec.lastError, "function check cannot be called; deploy it");
  }));

test("QoS 0 becomes a letter without a sequence", () =>
  inWorld(async ({ world, clock, fake }) => {
    world.deploy("check", "x", { annotations: { topic: "t", "cortado.local/trigger-tries": "1" } });
    await deployed(clock);
    fake.answer = down;
    await world.machine.publish({ topic: "t", payload: bytes("1"), qos: 0 });
    await until("the letter", () => lettersOf(world).length === 1);
    assert.equal(lettersOf(world)[0]?.spec.sequence, undefined);
    assert.equal(fake.calls[0]?.headers["x-sequence"], undefined);
  }));

test("too many letters: the oldest of the function that has most go, and it is said", () =>
  inWorld(async ({ world, clock }) => {
    for (let at = 0; at < LETTERS_MAX; at += 1) world.api.apply("deadletters", letterOf("noisy", at));
    world.api.apply("deadletters", letterOf("quiet", 1));
    await until("the oldest gone", () => lettersOf(world).length === LETTERS_MAX);
    await clock.advance(1_000);
    const names = new Set(lettersOf(world).map(({ metadata }) => metadata.name));
    assert.deepEqual([names.has("noisy-0"), names.has("noisy-1"), names.has("quiet-1")], [false, true, true]);
    assert.match(world.metrics.text(), /cortado_function_dead_letters_evicted 1\n/);
    assert.ok(world.kept.lines.some(({ message }) => message === "dead letter dropped: too many are kept"));
  }));

function letterOf(name: string, sequence: number, payload = "x"): DeadLetter {
  const message = { id: `b-${sequence}`, topic: "t", payload: bytes(payload), atMs: sequence, sequence };
  return {
    apiVersion: "functions.cortado.dev/v1alpha1",
    kind: "DeadLetter",
    metadata: { name: `${name}-${sequence}`, namespace: "openfaas-fn" },
    spec: specOf(name, message, { tries: 1, lastError: "", nowMs: sequence }),
  };
}

test("letters keep to their bytes too", () => {
  const half = "x".repeat(LETTERS_BYTES_MAX / 2 - 100);
  const letters = [letterOf("large", 1, half), letterOf("large", 2, half), letterOf("small", 0)];
  assert.deepEqual(surplusOf(letters), []);
  const more = [...letters, letterOf("small", 3, "x".repeat(1_000))];
  assert.deepEqual(
    surplusOf(more).map(({ metadata }) => metadata.name),
    ["large-1"],
  );
});

for (const [what, payload, isText] of [
  ["text", bytes('{"temp": 97.4,"unit":"F"}'), true],
  ["text with a byte order mark", new Uint8Array([0xef, 0xbb, 0xbf, 0x61]), true],
  ["nothing", new Uint8Array(0), true],
  ["no text", new Uint8Array([0xc3, 0x28]), false],
  ["what JSON would blow up", new Uint8Array(10_000).fill(1), false],
] as const)
  test(`a letter gives back what it was made of: ${what}`, () => {
    const message = { id: "b-7", topic: "/a", payload, atMs: 1_234.0, sequence: 7 };
    const spec = JSON.parse(
      JSON.stringify(specOf("f", message, { tries: 1, lastError: "e".repeat(5_000), nowMs: 9 })),
    ) as DeadLetter["spec"];
    assert.equal(spec.payload !== undefined, isText);
    assert.equal(spec.lastError.length, 1_024);
    const back = messageOfLetter(spec);
    assert.deepEqual({ ...back, payload: new Uint8Array(back.payload) }, message);
  });
