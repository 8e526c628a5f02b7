import assert from "node:assert/strict";
import { gzipSync } from "node:zlib";
import { test } from "node:test";
import type { Client } from "@cortado/client";
import type { BundleReport } from "@cortado/fleet/protocol";
import * as types from "@cortado/kinds/resources";
import type { Tree } from "@cortado/kinds/tree";
import { hasReason, StatusError } from "@cortado/std/status";
import { encodeFrame } from "@cortado/fleet/protocol/frames";
import type { Connection } from "@cortado/std/net";
import { agentOf, hubToken, MemoryChunks, ScriptedHub, sha256 } from "./fleet-hub.ts";
import { runPods } from "./kubelet.ts";
import { LoopWorld } from "./world.ts";

const configMap = (name: string, data: Tree = { a: "1" }): Tree => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name },
  data,
});
const deployment = (image: string): Tree => ({
  apiVersion: "apps/v1",
  kind: "Deployment",
  metadata: { name: "order" },
  spec: {
    replicas: 1,
    selector: { matchLabels: { app: "order" } },
    template: { metadata: { labels: { app: "order" } }, spec: { containers: [{ name: "c", image }] } },
  },
});

const reportOf = (
  world: LoopWorld,
  hub: ScriptedHub,
  { name = "shop", ...wanted }: Partial<BundleReport> & { readonly withinMs?: number },
): Promise<BundleReport> =>
  world.until(
    `${name} is ${JSON.stringify(wanted)}, not ${JSON.stringify(hub.reports.get(name))}`,
    () => {
      const report = hub.reports.get(name);
      const fits =
        report !== undefined &&
        (wanted.state === undefined || report.state === wanted.state) &&
        (wanted.message === undefined || report.message.includes(wanted.message)) &&
        (wanted.wantedId === undefined || report.wantedId === wanted.wantedId);
      return Promise.resolve(fits ? report : undefined);
    },
    wanted.withinMs ?? 120_000,
  );

const dataOf = async (world: LoopWorld, name: string, namespace = "coffee-shop"): Promise<unknown> => {
  try {
    return (await world.client.get(types.configMaps, { name, namespace, signal: world.signal })).data;
  } catch (error) {
    if (hasReason(error, "NotFound")) return undefined;
    throw error;
  }
};

test("a store registers, applies what is wanted, tells when it is ready, and takes away what is gone", async () => {
  await using world = await LoopWorld.start();
  const hub = new ScriptedHub();
  await hub.want([{ objects: [configMap("one"), deployment("shop:1")] }]);
  await using agent = agentOf(world, hub, { options: { name: "store-042" } });
  const waiting = await reportOf(world, hub, { state: "NotReady" });
  assert.match(waiting.message, /Deployment coffee-shop\/order/);
  const broken = { finish: "Failed" } as const;
  await world.until("a pod that fails", async () => {
    await runPods(world, broken);
    return /pod order-[^ ]+: the pod is Failed/.test(hub.reports.get("shop")?.message ?? "");
  });
  await world.until("ready", async () => {
    await runPods(world);
    return hub.reports.get("shop")?.state === "Ready";
  });
  const ready = hub.reports.get("shop");
  assert.deepEqual(ready?.counts, { desired: 2, ready: 2, notReady: 0, modified: 0, missing: 0 });
  assert.deepEqual(ready?.resources, []);
  assert.equal(ready?.appliedId, ready?.wantedId);
  const [registration] = hub.registrations;
  assert.equal(registration?.token, "open-sesame");
  assert.deepEqual(registration?.labels, { location: "edge" });
  const system = await world.client.get(types.namespaces, { name: "kube-system", signal: world.signal });
  assert.equal(registration?.clientId, system.metadata.uid);
  assert.deepEqual(agent.state.cluster, { namespace: "fleet-default", name: "store-1" });
  assert.equal(agent.state.isConnected, true);
  const [hello] = hub.said("hello");
  assert.deepEqual([hello?.session, hello?.after, hello?.has], ["", 0, {}]);
  assert.match(hello?.versions.kubernetes ?? "", /^v1\./);
  assert.deepEqual(hub.said("want"), [], "what came by itself is not asked for");

  await hub.want([{ objects: [configMap("one", { a: "2" })] }]);
  await world.until("the change", async () => JSON.stringify(await dataOf(world, "one")) === '{"a":"2"}');
  await world.until("the deployment is gone", async () => {
    const { items } = await world.client.list(types.deployments, { signal: world.signal });
    return items.length === 0;
  });
  await hub.want([], { gone: [{ name: "shop", keepResources: false }], full: false });
  await world.until("all is gone", async () => (await dataOf(world, "one")) === undefined);
  assert.deepEqual(agent.state.bundles, []);
});

test("a chunk that is not what it is named is refused by name, and nothing of it is applied", async () => {
  await using world = await LoopWorld.start({ nodes: 0 });
  const hub = new ScriptedHub();
  const wrong = sha256(JSON.stringify(configMap("one")));
  hub.content.set(wrong, gzipSync(JSON.stringify(configMap("evil"))));
  await hub.want([{ objects: [configMap("one")] }, { name: "other", objects: [configMap("two")] }]);
  await using _agent = agentOf(world, hub);
  const report = await reportOf(world, hub, { state: "WaitApplied", message: "refused" });
  assert.match(report.message, new RegExp(`content ${wrong} is refused: its bytes have SHA-256`));
  await reportOf(world, hub, { name: "other", state: "Ready" });
  assert.equal(await dataOf(world, "one"), undefined);
  assert.equal(await dataOf(world, "evil"), undefined);
  // The right bytes on the next connection heal it.
  hub.content.set(wrong, gzipSync(JSON.stringify(configMap("one"))));
  await hub.hangUp();
  await reportOf(world, hub, { state: "Ready" });
  assert.deepEqual(await dataOf(world, "one"), { a: "1" });
});

test("chunks that do not come by themselves are asked for; one that the hub has not is told", async () => {
  await using world = await LoopWorld.start({ nodes: 0 });
  const hub = new ScriptedHub();
  hub.sendsChunks = false;
  await using _agent = agentOf(world, hub);
  await hub.want([{ objects: [configMap("one"), configMap("two")] }]);
  await reportOf(world, hub, { state: "Ready" });
  assert.equal(hub.asked, 2);
  await hub.want([{ objects: [configMap("one"), configMap("three")] }]);
  await reportOf(world, hub, { state: "Ready", wantedId: hub.reports.get("shop")?.wantedId ?? "" });
  await world.until("three", async () => (await dataOf(world, "three")) !== undefined);
  assert.equal(hub.asked, 3, "what is there is not asked for again");
  const lost = { sha256: "ab".repeat(32), bytes: 1 };
  await hub.want([{ chunks: [lost], deploymentId: "lost:o" }]);
  await reportOf(world, hub, { wantedId: "lost:o", message: "it was lost" });
  assert.notEqual(await dataOf(world, "three"), undefined, "what runs stays");
});

test("drift is told, and corrected when asked", async () => {
  await using world = await LoopWorld.start({ nodes: 0 });
  const hub = new ScriptedHub();
  await hub.want([{ objects: [configMap("one")] }]);
  await using _agent = agentOf(world, hub);
  await reportOf(world, hub, { state: "Ready" });
  const where = { name: "one", namespace: "coffee-shop", signal: world.signal };
  const change = (): Promise<unknown> =>
    world.client.patch(types.configMaps, { ...where, type: "merge", body: { data: { a: "9" } } });
  await change();
  const report = await reportOf(world, hub, { state: "Modified" });
  assert.equal(report.resources[0]?.patch, '{"data":{"a":"1"}}');
  await world.client.delete(types.configMaps, where);
  const missing = await reportOf(world, hub, { state: "Modified", message: "missing" });
  assert.equal(missing.counts.missing, 1);

  const options = { defaultNamespace: "coffee-shop", correctDrift: { enabled: true } };
  await hub.want([{ objects: [configMap("one")], options, deploymentId: "same:corrected" }]);
  await reportOf(world, hub, { state: "Ready", wantedId: "same:corrected" });
  await change();
  await world.until(
    "it is put right",
    async () => JSON.stringify(await dataOf(world, "one")) === '{"a":"1"}',
  );
  await world.client.delete(types.configMaps, where);
  await world.until("it is made again", async () => (await dataOf(world, "one")) !== undefined);

  // A change that breaks what it changes is put right too: the workload never becomes ready by itself.
  await hub.want([{ objects: [deployment("shop:1")], options, deploymentId: "work:o" }]);
  const order = { name: "order", namespace: "coffee-shop", signal: world.signal };
  const imageOf = async (): Promise<unknown> =>
    (await world.client.get(types.deployments, order)).spec?.template.spec?.containers[0]?.image;
  await reportOf(world, hub, { state: "NotReady", wantedId: "work:o" });
  const template = { spec: { containers: [{ name: "c", image: "shop:broken" }] } };
  await world.client.patch(types.deployments, { ...order, type: "strategic", body: { spec: { template } } });
  await world.until("the image is put right", async () => (await imageOf()) === "shop:1");
});

test("a store without its hub starts, goes on and corrects; with it again it says all that it has to say, once", async () => {
  await using world = await LoopWorld.start({ nodes: 0 });
  const hub = new ScriptedHub();
  const chunks = new MemoryChunks();
  const options = { defaultNamespace: "coffee-shop", correctDrift: { enabled: true } };
  await hub.want([{ objects: [configMap("one")], options }]);
  {
    await using agent = agentOf(world, hub, { chunks });
    await reportOf(world, hub, { state: "Ready" });
    assert.equal(agent.state.revision, 1);
  }
  hub.isUp = false;
  await hub.hangUp();
  await world.client.delete(types.configMaps, {
    name: "one",
    namespace: "coffee-shop",
    signal: world.signal,
  });
  hub.reports.clear();
  const before = hub.sequences.at(-1) ?? 0;
  await using agent = agentOf(world, hub, { chunks, options: { name: "store-1" } });
  await world.until("it is made again", async () => (await dataOf(world, "one")) !== undefined);
  assert.equal(agent.state.isConnected, false);
  assert.match(agent.state.message, /does not answer/);
  hub.isUp = true;
  await reportOf(world, hub, { state: "Ready" });
  const hello = hub.said("hello").at(-1);
  assert.deepEqual([hello?.session, hello?.after], ["word-1", 1]);
  assert.deepEqual(Object.keys(hello?.has ?? {}), ["shop"]);
  assert.equal(hub.registrations.length, 1, "it is the same store");
  assert.ok((hub.sequences.at(-1) ?? 0) > before, "numbers grow across restarts");
  assert.deepEqual(
    hub.sequences,
    hub.sequences.toSorted((one, other) => one - other),
  );
});

test("a status that is not acknowledged is sent again, with a number of its own", async () => {
  await using world = await LoopWorld.start({ nodes: 0 });
  const hub = new ScriptedHub();
  hub.acknowledges = false;
  await hub.want([{ objects: [configMap("one")] }]);
  await using _agent = agentOf(world, hub);
  await world.until("a status", () => Promise.resolve(hub.said("status").length > 0));
  await world.clock.advance(10_000);
  assert.equal(hub.said("status").length, 1, "one at a time");
  await world.clock.advance(40_000);
  assert.equal(hub.said("status").length, 2, "after its time");
  hub.acknowledges = true;
  await hub.hangUp();
  await reportOf(world, hub, { state: "Ready" });
  const numbers = hub.said("status").map((one) => one.sequence);
  assert.equal(new Set(numbers).size, numbers.length);
  const count = hub.said("status").length;
  await world.clock.advance(300_000);
  assert.equal(hub.dials, 2);
  assert.equal(hub.said("status").length, count, "what is acknowledged is not sent again");
  const beats = hub.heard.filter((message) => message instanceof Uint8Array && message.length === 1);
  assert.ok(beats.length >= 15, "it is heard while nothing happens");
  hub.isDeaf = true;
  await world.clock.advance(70_000);
  assert.equal(hub.dials, 3, "a line that is dead is given up");
});

test("a bundle waits for those it depends on; a paused one is staged and not applied; force applies the same again", async () => {
  await using world = await LoopWorld.start();
  const hub = new ScriptedHub();
  const base = { name: "base", labels: { tier: "base" }, objects: [deployment("shop:1")] };
  const dependsOn = [{ selector: { matchLabels: { tier: "base" } } }];
  const top = { name: "top", dependsOn, objects: [configMap("top")] };
  const other = { matchExpressions: [{ key: "tier", operator: "In", values: ["cellar"] }] };
  const picky = { name: "picky", dependsOn: [{ selector: other }], objects: [configMap("picky")] };
  const lonely = { name: "lonely", dependsOn: [{ name: "nobody" }], objects: [configMap("lonely")] };
  const paused = { name: "paused", paused: true, objects: [configMap("paused")] };
  await hub.want([top, base, lonely, picky, paused]);
  await using _agent = agentOf(world, hub);
  await reportOf(world, hub, {
    name: "top",
    state: "WaitApplied",
    message: "waits for bundle base, which is NotReady",
  });
  await reportOf(world, hub, { name: "lonely", message: "which this store does not have" });
  await reportOf(world, hub, { name: "picky", message: "which this store does not have" });
  await reportOf(world, hub, { name: "paused", state: "OutOfSync" });
  assert.equal(await dataOf(world, "top"), undefined);
  await world.until("base is up", async () => {
    await runPods(world);
    return hub.reports.get("top")?.state === "Ready";
  });
  assert.equal(await dataOf(world, "paused"), undefined);
  await hub.want([top, base, lonely, { ...paused, paused: false }]);
  await reportOf(world, hub, { name: "paused", state: "Ready" });
  const where = { name: "paused", namespace: "coffee-shop", signal: world.signal };
  await world.client.patch(types.configMaps, { ...where, type: "merge", body: { data: { a: "9" } } });
  await reportOf(world, hub, { name: "paused", state: "Modified" });
  await hub.want([top, base, lonely, { ...paused, paused: false, forceSyncGeneration: 1 }]);
  await reportOf(world, hub, { name: "paused", state: "Ready" });
  assert.deepEqual(await dataOf(world, "paused"), { a: "1" });
});

test("what cannot be applied is told with the object, and the others go on; mended it is applied", async () => {
  await using world = await LoopWorld.start({ nodes: 0 });
  const hub = new ScriptedHub();
  const bad = { ...configMap("bad"), data: { a: 1 } };
  await hub.want([{ objects: [bad] }, { name: "good", objects: [configMap("good")] }]);
  await using _agent = agentOf(world, hub);
  await reportOf(world, hub, { state: "ErrApplied", message: "ConfigMap coffee-shop/bad" });
  await reportOf(world, hub, { name: "good", state: "Ready" });
  await hub.want([{ objects: [configMap("bad")] }, { name: "good", objects: [configMap("good")] }]);
  await reportOf(world, hub, { state: "Ready" });
});

test("a hub that is not the token's is not told the token; one that says so is left alone for as long", async () => {
  await using world = await LoopWorld.start({ nodes: 0 });
  const hub = new ScriptedHub();
  hub.authority = "somebody else's";
  await using agent = agentOf(world, hub);
  await world.until("it is seen", () => Promise.resolve(agent.state.message.includes("not the token's")));
  assert.deepEqual(hub.registrations, []);
  hub.authority = "-----BEGIN CERTIFICATE-----\nthe hub's\n-----END CERTIFICATE-----\n";
  assert.equal(sha256(hub.authority), hubToken.slice(3, 67));
  await world.until("connected", () => Promise.resolve(agent.state.isConnected));
  await hub.link?.send({ type: "sleep", ms: 900_000 });
  await world.clock.advance(899_000);
  assert.equal(hub.dials, 1);
  assert.match(agent.state.message, /sleeps for 900 s/);
  await world.clock.advance(2_000);
  assert.equal(hub.dials, 2);
  // The hub ended the certificate: the key renews it.
  hub.certificate = "other";
  await hub.hangUp();
  await world.until("renewed", () => Promise.resolve(hub.renewals === 1 && agent.state.isConnected));
  // Two thirds of its day are over.
  world.clock.jump(17 * 3_600_000);
  await hub.hangUp();
  await world.until("renewed in time", () => Promise.resolve(hub.renewals === 2 && agent.state.isConnected));
});

test("events of the journal go up by class, once, and are trimmed only when all before them are at the hub", async () => {
  await using world = await LoopWorld.start({ nodes: 0 });
  const hub = new ScriptedHub();
  const kept = [1, 2, 3, 4, 5, 6].map((sequence) => ({
    sequence,
    kind: sequence % 2 === 0 ? "order" : "log",
  }));
  const trims: number[] = [];
  const journal = {
    classes: [
      { name: "work", kinds: ["order"] },
      { name: "log", kinds: ["log"] },
    ],
    read: (query: { readonly after: number; readonly kinds: readonly string[]; readonly limit: number }) =>
      Promise.resolve(
        kept
          .filter((one) => one.sequence > query.after && query.kinds.includes(one.kind))
          .slice(0, query.limit),
      ),
    trim: (through: number) => {
      trims.push(through);
      for (let at = kept.length - 1; at >= 0; at -= 1)
        if ((kept[at]?.sequence ?? 0) <= through) {
          const [gone] = kept.splice(at, 1);
          assert.ok(
            hub.events.some((one) => one.sequence === gone?.sequence),
            `${gone?.sequence} was lost`,
          );
        }
      return Promise.resolve();
    },
  };
  await using _agent = agentOf(world, hub, { journal });
  const sent = (): readonly number[] => hub.events.map((one) => one.sequence);
  await world.until("all sent", () => Promise.resolve(sent().length === 6 && kept.length === 0));
  assert.deepEqual(sent(), [2, 4, 6, 1, 3, 5]);
  hub.acknowledges = false;
  kept.push({ sequence: 9, kind: "log" }, { sequence: 8, kind: "order" });
  await world.clock.advance(10_000);
  assert.deepEqual(kept.length, 2, "nothing is trimmed that was not acknowledged");
  hub.acknowledges = true;
  await hub.hangUp();
  await world.until("the rest", () => Promise.resolve(sent().length === 8 && kept.length === 0));
  assert.deepEqual(sent().slice(6), [8, 9]);
});

test("streams of the hub lead into the store's API, end with it, and are refused where there is no way in", async () => {
  await using world = await LoopWorld.start({ nodes: 0 });
  const hub = new ScriptedHub();
  const ends: string[] = [];
  let opened = 0;
  const serveStream = (stream: Connection): void => {
    const number = (opened += 1);
    if (number === 3) throw new StatusError("ServiceUnavailable", "the API is not up");
    stream.handle({
      data: (bytes) => void stream.write(Buffer.from(`${number} heard ${Buffer.from(bytes).toString()};`)),
      drained: () => undefined,
      closed: () => void ends.push(`${number}`),
    });
  };
  await using agent = agentOf(world, hub, { serveStream });
  await world.until("connected", () => Promise.resolve(agent.state.isConnected));
  const say = (stream: number, text: string): Promise<void> | undefined =>
    hub.link?.sendBytes(encodeFrame({ kind: "stream", stream, bytes: Buffer.from(text) }));
  await hub.link?.send({ type: "open", stream: 1 });
  await say(1, "at once");
  await hub.link?.send({ type: "open", stream: 2 });
  await world.until("an answer", () => Promise.resolve(hub.streamed.includes("1 heard at once;")));
  await say(2, "you");
  await world.until("an answer", () => Promise.resolve(hub.streamed.includes("2 heard you;")));
  await hub.link?.send({ type: "close", stream: 1 });
  await world.until("its end", () => Promise.resolve(ends.includes("1")));
  await hub.link?.send({ type: "open", stream: 9 });
  await world.until("a refusal", () => Promise.resolve(hub.said("close").some((one) => one.stream === 9)));
  await hub.hangUp();
  await world.until("the other's end", () => Promise.resolve(ends.includes("2")));

  const closed = new ScriptedHub();
  await using _other = agentOf(world, closed, { options: { namespace: "elsewhere" } });
  await world.until("connected", () => Promise.resolve(closed.said("ping").length > 0));
  await closed.link?.send({ type: "open", stream: 3 });
  await world.until("a refusal", () => Promise.resolve(closed.said("close").some((one) => one.stream === 3)));
});

test("a bundle is applied with the rights of its ServiceAccount, and with no more", async () => {
  await using world = await LoopWorld.start({ nodes: 0 });
  const hub = new ScriptedHub();
  const options = { defaultNamespace: "coffee-shop", serviceAccount: "barista" };
  await hub.want([{ objects: [configMap("one")], options }]);
  {
    await using _agent = agentOf(world, hub);
    await reportOf(world, hub, {
      state: "ErrApplied",
      message: "ServiceAccount barista, and this agent cannot act",
    });
  }
  await hub.hangUp();
  const accounts: string[] = [];
  const asServiceAccount = ({
    namespace,
    name,
  }: {
    readonly namespace: string;
    readonly name: string;
  }): Client => {
    accounts.push(`${namespace}/${name}`);
    return world.as({
      name: `system:serviceaccount:${namespace}:${name}`,
      groups: ["system:serviceaccounts", "system:authenticated"],
    });
  };
  await using _agent = agentOf(world, hub, { asServiceAccount, chunks: new MemoryChunks() });
  await reportOf(world, hub, { state: "ErrApplied", message: "cannot get resource" });
  assert.equal(await dataOf(world, "one"), undefined);
  assert.ok(accounts.includes("cattle-fleet-system/barista"));
  const binding = {
    metadata: { name: "barista" },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "cluster-admin" },
    subjects: [{ kind: "ServiceAccount", name: "barista", namespace: "cattle-fleet-system" }],
  };
  await world.client.create(types.clusterRoleBindings, binding, world);
  await reportOf(world, hub, { state: "Ready" });
});

test(
  "an agent that is killed at any call of the cluster's API ends where the hub wants it",
  { timeout: 120_000 },
  async () => {
    let deaths = 0;
    for (let at = 1, reached = true; reached; at += 3) {
      await using world = await LoopWorld.start({ nodes: 0 });
      const hub = new ScriptedHub();
      const chunks = new MemoryChunks();
      let left = at;
      const client = new Proxy(world.client, {
        get(target, property: keyof Client) {
          const call = target[property] as (...words: readonly unknown[]) => unknown;
          if (property === "watch") return call;
          return (...words: readonly unknown[]) => {
            left -= 1;
            return left < 0
              ? Promise.reject(new StatusError("ServiceUnavailable", "killed"))
              : call(...words);
          };
        },
      });
      {
        await using _agent = agentOf(world, hub, { chunks, client });
        await hub.want([
          { objects: [configMap("one"), configMap("two")] },
          { name: "bar", objects: [configMap("bar")] },
        ]);
        await world.clock.advance(3_000);
        await hub.want([{ objects: [configMap("two", { a: "2" })] }]);
        await world.clock.advance(3_000);
      }
      reached = left < 0;
      if (reached) deaths += 1;
      await hub.hangUp();
      await using _next = agentOf(world, hub, { chunks });
      await world.until(`killed at ${at}: it ends`, async () => {
        const has = [await dataOf(world, "one"), await dataOf(world, "two"), await dataOf(world, "bar")];
        return JSON.stringify(has) === '[null,{"a":"2"},null]';
      });
      await reportOf(world, hub, { state: "Ready" });
    }
    assert.ok(deaths > 10, `only ${deaths} places to die`);
  },
);

test("a store that was in the dark for an hour is back within 10 s of the line; a hub that says no is left alone longer", async () => {
  await using world = await LoopWorld.start({ nodes: 0 });
  const hub = new ScriptedHub();
  await using agent = agentOf(world, hub);
  await world.until("connected", () => Promise.resolve(agent.state.isConnected));
  hub.isUp = false;
  await hub.hangUp();
  await world.clock.advance(3_600_000);
  hub.isUp = true;
  await world.until("connected", () => Promise.resolve(agent.state.isConnected), 10_000);
  hub.dial = () => {
    hub.dials += 1;
    return Promise.reject(new StatusError("Forbidden", "this store was revoked"));
  };
  await hub.hangUp();
  await world.clock.advance(600_000);
  const before = hub.dials;
  await world.clock.advance(600_000);
  assert.ok(hub.dials - before <= 20, `${hub.dials - before} dials in ten minutes`);
});

test("a line that was cut is found dead 15 s after the next ping", async () => {
  await using world = await LoopWorld.start({ nodes: 0 });
  const hub = new ScriptedHub();
  await using agent = agentOf(world, hub);
  await world.until("connected", () => Promise.resolve(agent.state.isConnected));
  await world.clock.advance(1_000);
  const before = hub.dials;
  hub.isDeaf = true;
  await world.clock.advance(20_000 + 15_000 + 500);
  await world.until("dialled again", () => Promise.resolve(hub.dials > before), 1_000);
});

test("a line that is back is used at once: what hung is dialled anew, and the rest of a back-off is not waited for", async () => {
  await using world = await LoopWorld.start({ nodes: 0 });
  const hub = new ScriptedHub();
  const lines = new Set<(goneMs: number) => void>();
  const line = {
    subscribe(cameBack: (goneMs: number) => void): Disposable {
      lines.add(cameBack);
      return { [Symbol.dispose]: () => void lines.delete(cameBack) };
    },
  };
  const isBack = (goneMs = world.clock.monotonicMs()): void => {
    for (const cameBack of lines) cameBack(goneMs);
  };
  await hub.want([{ objects: [configMap("one")] }]);
  await using agent = agentOf(world, hub, { line });
  await reportOf(world, hub, { state: "Ready" });

  const before = hub.dials;
  const goneMs = world.clock.monotonicMs();
  await world.clock.advance(700);
  await hub.want([{ objects: [configMap("one"), configMap("two")] }]);
  await reportOf(world, hub, { state: "Ready" });
  isBack(goneMs);
  await world.clock.advance(2_000);
  assert.equal(hub.dials, before, "what was heard over the line that is back stays, and all that runs in it");

  hub.isDeaf = true;
  isBack();
  await world.until("a new call", () => Promise.resolve(hub.dials > before), 2_000);
  await world.until("connected", () => Promise.resolve(agent.state.isConnected), 2_000);

  hub.isUp = false;
  await hub.hangUp();
  await world.until("not connected", () => Promise.resolve(!agent.state.isConnected));
  await world.clock.advance(20 * 60_000);
  hub.isUp = true;
  isBack();
  await world.until("connected without a wait", () => Promise.resolve(agent.state.isConnected), 5_000);
});

test("a large message on a slow line is a sign of life while it comes", async () => {
  await using world = await LoopWorld.start({ nodes: 0 });
  const hub = new ScriptedHub();
  let heardBytes = 0;
  const dial = hub.dial.bind(hub);
  hub.dial = async (...words) => {
    const link = await dial(...words);
    return Object.defineProperty(link, "heardBytes", { get: () => heardBytes });
  };
  await using agent = agentOf(world, hub);
  await world.until("connected", () => Promise.resolve(agent.state.isConnected));
  const before = hub.dials;
  hub.isDeaf = true;
  for (let passed = 0; passed < 300; passed += 1) {
    heardBytes += 8_000;
    await world.clock.advance(1_000);
  }
  assert.equal(hub.dials, before, "five minutes of one message");
  await world.clock.advance(40_000);
  await world.until("dialled again", () => Promise.resolve(hub.dials > before), 1_000);
});

test("a bundle that is wanted again as it is, is told again: the hub may have let go of what it knew", async () => {
  await using world = await LoopWorld.start({ nodes: 0 });
  const hub = new ScriptedHub();
  await hub.want([{ objects: [configMap("one")] }]);
  await using _agent = agentOf(world, hub);
  await reportOf(world, hub, { state: "Ready" });
  // A commit took it away and another brought it back, while the store was dark.
  hub.reports.clear();
  await hub.want([{ objects: [configMap("one")] }]);
  await reportOf(world, hub, { state: "Ready", withinMs: 10_000 });
});
