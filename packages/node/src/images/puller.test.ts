import assert from "node:assert/strict";
import { test } from "node:test";
import type { Container, Secret } from "@cortado/kinds";
import { HeldClock, settle } from "@cortado/std/testing/held-clock";
import { silentLog } from "@cortado/std/testing/silent-log";
import type { StoredPod } from "../pods/pod.ts";
import type { Runtime, RuntimeImage } from "../runtime/runtime.ts";
import type { Sources } from "../sources.ts";
import { ImagePuller, loginFor, normalImage } from "./puller.ts";

function startWorld(importing?: Promise<unknown>) {
  const clock = new HeldClock();
  const there = new Set<string>();
  const told: string[] = [];
  const settled: string[] = [];
  const state: { failure: string | undefined } = { failure: undefined };
  const image = (name: string): RuntimeImage => ({
    id: `sha:${name}`,
    tags: [name],
    digests: [],
    sizeBytes: 5,
    uid: undefined,
    username: "",
    pinned: false,
  });
  const runtime = {
    image: (name: string) => Promise.resolve(there.has(name) ? image(name) : undefined),
    pull: ({ image: name }: { image: string }) => {
      if (state.failure !== undefined) return Promise.reject(new Error(state.failure));
      there.add(name);
      return Promise.resolve(name);
    },
  } as unknown as Runtime;
  const tell = (word: string) => (_pod: unknown, container: Container, detail?: unknown) =>
    void told.push(
      `${word} ${container.image}${typeof detail === "object" && detail !== null && "reason" in detail ? ` ${String(detail.reason)}` : ""}`,
    );
  const puller = new ImagePuller({
    runtime,
    sources: {} as Sources,
    clock,
    log: silentLog,
    signal: new AbortController().signal,
    settled: (uid) => settled.push(uid),
    events: {
      pulling: tell("pulling"),
      pulled: tell("pulled"),
      failed: tell("failed"),
      waits: tell("waits"),
    },
    ...(importing === undefined ? {} : { importing }),
  });
  const pod = { metadata: { name: "p", namespace: "n", uid: "u" }, spec: {} } as StoredPod;
  return {
    clock,
    there,
    told,
    settled,
    state,
    ensure: (name: string, policy?: string) =>
      puller.ensure(pod, {
        name: "c",
        image: name,
        ...(policy === undefined ? {} : { imagePullPolicy: policy as "Always" }),
      }),
  };
}

test("what is there is used; what is not is pulled once and told", async () => {
  const world = startWorld();
  await settle();
  world.there.add("cortado.local/a:1");
  assert.equal((await world.ensure("cortado.local/a:1")).kind, "present");
  assert.equal((await world.ensure("r.example/b:1")).kind, "pulling");
  assert.equal((await world.ensure("r.example/b:1")).kind, "pulling");
  await settle();
  assert.deepEqual(world.settled, ["u"]);
  assert.equal((await world.ensure("r.example/b:1")).kind, "present");
  assert.deepEqual(world.told, ["pulled cortado.local/a:1", "pulling r.example/b:1", "pulled r.example/b:1"]);
});

test("a failing pull waits longer each time", async () => {
  const world = startWorld();
  await settle();
  world.state.failure = "no route";
  await world.ensure("r.example/b:1");
  await settle();
  const first = await world.ensure("r.example/b:1");
  assert.ok(
    first.kind === "problem" &&
      first.problem.reason === "ImagePullBackOff" &&
      /ErrImagePull: no route/.test(first.problem.message),
  );
  assert.equal(first.kind === "problem" ? first.againMs : 0, 10_000);
  await world.clock.advance(10_000);
  assert.equal((await world.ensure("r.example/b:1")).kind, "pulling");
  await settle();
  const second = await world.ensure("r.example/b:1");
  assert.equal(second.kind === "problem" ? second.againMs : 0, 20_000);
  world.state.failure = undefined;
  await world.clock.advance(20_000);
  await world.ensure("r.example/b:1");
  await settle();
  assert.equal((await world.ensure("r.example/b:1")).kind, "present");
});

test("Never is never pulled, Always always", async () => {
  const world = startWorld();
  await settle();
  const never = await world.ensure("r.example/b:1", "Never");
  assert.ok(never.kind === "problem" && never.problem.reason === "ErrImageNeverPull");
  world.there.add("r.example/b:1");
  assert.equal((await world.ensure("r.example/b:1", "Always")).kind, "pulling");
});

test("while the store's own images are imported, a missing one is waited for", async () => {
  let imported: (value?: unknown) => void = () => undefined;
  const world = startWorld(new Promise((resolve) => (imported = resolve)));
  assert.equal((await world.ensure("cortado.local/a:1")).kind, "pulling");
  world.there.add("cortado.local/a:1");
  imported();
  await settle();
  assert.deepEqual([world.settled, world.told], [["u"], []]);
  assert.equal((await world.ensure("cortado.local/a:1")).kind, "present");
});

for (const [name, want] of [
  ["nginx", "docker.io/library/nginx:latest"],
  ["a/b:1", "docker.io/a/b:1"],
  ["cortado.local/x:1", "cortado.local/x:1"],
  ["127.0.0.1:5000/x", "127.0.0.1:5000/x:latest"],
  ["localhost/x", "localhost/x:latest"],
  ["r.io/x@sha256:aa", "r.io/x@sha256:aa"],
] as const)
  test(`image ${name}`, () => assert.equal(normalImage(name), want));

test("a login is found by its registry", () => {
  const secret = (config: object): Secret =>
    ({
      data: { ".dockerconfigjson": Buffer.from(JSON.stringify(config)).toString("base64") },
    }) as unknown as Secret;
  const auths = {
    "https://r.example/v1/": { auth: Buffer.from("me:pa:ss").toString("base64") },
    "https://index.docker.io/v1/": { username: "u", password: "p" },
  };
  assert.deepEqual(loginFor(secret({ auths }), "r.example"), {
    username: "me",
    password: "pa:ss",
    serverAddress: "https://r.example/v1/",
  });
  assert.equal(loginFor(secret({ auths }), "docker.io")?.username, "u");
  assert.equal(loginFor(secret({ auths }), "other"), undefined);
  assert.equal(
    loginFor({ data: { ".dockerconfigjson": "!!" } } as unknown as Secret, "r.example"),
    undefined,
  );
});
