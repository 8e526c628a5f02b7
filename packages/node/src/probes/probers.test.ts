import assert from "node:assert/strict";
import { test } from "node:test";
import type { Container } from "@cortado/kinds";
import { HeldClock } from "@cortado/std/testing/held-clock";
import type { StoredPod } from "../pods/pod.ts";
import type { PodView, Runtime } from "../runtime/runtime.ts";
import { Probers } from "./probers.ts";

function startWorld(container: Partial<Container>, status?: object) {
  const clock = new HeldClock();
  const answers: Record<string, number> = {};
  const asked: string[] = [];
  const runtime = {
    simulated: false,
    run: ({ command }: { command: readonly string[] }) => {
      asked.push(`${command[0]}@${clock.monotonicMs()}`);
      return Promise.resolve({
        stdout: new Uint8Array(0),
        stderr: Buffer.from("no"),
        exitCode: answers[command[0] ?? ""] ?? 1,
      });
    },
  } as unknown as Runtime;
  const failures: string[] = [];
  let changes = 0;
  const stop = new AbortController();
  const probers = new Probers({
    runtime,
    clock,
    signal: stop.signal,
    changed: () => (changes += 1),
    failed: (_pod, _container, kind, message) => failures.push(`${kind}: ${message}@${clock.monotonicMs()}`),
  });
  const pod = {
    metadata: { name: "p", uid: "u", resourceVersion: "1" },
    spec: { containers: [{ name: "a", ...container }] },
    ...(status === undefined ? {} : { status }),
  } as unknown as StoredPod;
  const view = {
    sandboxes: [],
    containers: [{ id: "c", name: "a", phase: "running", startedMs: clock.nowMs() }],
  } as unknown as PodView;
  probers.sync(pod, view, "127.0.0.1");
  return {
    clock,
    answers,
    asked,
    failures,
    probers,
    pod,
    get changes() {
      return changes;
    },
    end: () => probers.sync(pod, { sandboxes: [], containers: [] }, ""),
    [Symbol.dispose]() {
      stop.abort();
      assert.equal(clock.pending, 0);
    },
  };
}

const exec = (name: string): { exec: { command: string[] } } => ({ exec: { command: [name] } });

test("a new container is asked early whether it is ready, then at its period", async () => {
  using world = startWorld({ readinessProbe: { ...exec("r"), periodSeconds: 10 } });
  await world.clock.advance(700);
  assert.deepEqual(world.probers.view("c"), { ready: false });
  world.answers["r"] = 0;
  await world.clock.advance(100);
  assert.deepEqual(world.probers.view("c"), { ready: true });
  await world.clock.advance(20_000);
  assert.deepEqual(world.asked, ["r@0", "r@250", "r@750", "r@10750", "r@20750"]);
  assert.deepEqual([world.failures, world.changes], [[], 1]);
});

test("readiness is lost after its threshold only", async () => {
  using world = startWorld({ readinessProbe: { ...exec("r"), periodSeconds: 1, failureThreshold: 2 } });
  world.answers["r"] = 0;
  await world.clock.advance(1_000);
  world.answers["r"] = 1;
  await world.clock.advance(1_000);
  assert.equal(world.probers.view("c").ready, true);
  await world.clock.advance(1_000);
  assert.equal(world.probers.view("c").ready, false);
});

test("a startup probe holds back the others and fails after its threshold of periods", async () => {
  using world = startWorld({
    startupProbe: { ...exec("s"), periodSeconds: 5, failureThreshold: 3 },
    livenessProbe: { ...exec("l"), periodSeconds: 1 },
  });
  await world.clock.advance(9_900);
  assert.deepEqual(world.probers.view("c"), { startup: "waiting", live: true });
  assert.ok(!world.asked.some((one) => one.startsWith("l")));
  await world.clock.advance(200);
  assert.equal(world.probers.view("c").startup, "failed");
  assert.equal(world.failures.length, 3);
});

test("liveness counts failures in a row, and says why", async () => {
  using world = startWorld({ livenessProbe: { ...exec("l"), periodSeconds: 2, initialDelaySeconds: 4 } });
  await world.clock.advance(7_900);
  assert.equal(world.probers.view("c").live, true);
  await world.clock.advance(200);
  assert.equal(world.probers.view("c").live, false);
  assert.deepEqual(world.failures, ["liveness: no@4000", "liveness: no@6000", "liveness: no@8000"]);
});

test("an adopted container that was ready stays ready; a gone one is forgotten", async () => {
  using world = startWorld(
    { readinessProbe: { ...exec("r"), periodSeconds: 1 } },
    { containerStatuses: [{ name: "a", ready: true, started: true, containerID: "containerd://c" }] },
  );
  assert.equal(world.probers.view("c").ready, true);
  world.end();
  await world.clock.advance(0);
  assert.deepEqual(world.probers.view("c"), {});
});
