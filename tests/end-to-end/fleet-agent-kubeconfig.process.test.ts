import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { openLoopback } from "@cortado/apiserver/testing/loopback";
import { newClient } from "@cortado/client";
import { httpTransport } from "@cortado/client/node/http";
import { readKubeconfig } from "@cortado/client/node/kubeconfig";
import { startAgent } from "@cortado/fleet/agent";
import { openChunkFolder } from "@cortado/fleet/agent/chunk-folder";
import { foreignApi } from "@cortado/fleet/agent/node/foreign-api";
import { machineKeys } from "@cortado/fleet/agent/node/keys";
import { StoreProxy } from "@cortado/fleet/hub/access";
import { configMaps, secrets } from "@cortado/kinds/resources";
import type { HttpRequest } from "@cortado/std/http";
import { connectionDuplex } from "@cortado/std/node/duplex";
import { systemClock } from "@cortado/std/node/clock";
import { systemFiles } from "@cortado/std/node/files";
import { systemRandom } from "@cortado/std/node/random";
import { silentLog } from "@cortado/std/testing/silent-log";
import { hubToken, ScriptedHub } from "../loops/fleet-hub.ts";

const { signal } = new AbortController();

async function until(what: string, look: () => Promise<boolean> | boolean): Promise<void> {
  for (let turn = 0; turn < 200; turn += 1) {
    if (await look()) return;
    await delay(50);
  }
  assert.fail(`not reached in 10 s: ${what}`);
}

test("beside a Kubernetes, by kubeconfig over HTTPS: apply, drift, prune, and the namespace's other objects stay", async () => {
  await using cluster = await openLoopback();
  const folder = mkdtempSync(join(tmpdir(), "agent-"));
  await using stack = new AsyncDisposableStack();
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  const client = newClient(stack.use(httpTransport(await readKubeconfig(cluster.kubeconfig))));
  const hub = new ScriptedHub();
  const always = { fromMs: 0, untilMs: 8_640_000_000_000_000 };
  stack.use(
    startAgent(
      { version: "1.0.0", token: hubToken, labels: {} },
      {
        client,
        hub,
        keys: { ...machineKeys, validity: () => always },
        chunks: await openChunkFolder({ files: systemFiles, folder }),
        clock: systemClock,
        random: systemRandom,
        log: silentLog,
      },
    ),
  );
  const object = (name: string): Record<string, unknown> => ({
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name },
    data: { a: "1" },
  });
  const options = { defaultNamespace: "coffee-shop", correctDrift: { enabled: true } };
  await hub.want([{ objects: [object("one"), object("two")], options }]);
  await until("ready", () => hub.reports.get("shop")?.state === "Ready");
  const where = { name: "one", namespace: "coffee-shop", signal };
  await client.patch(configMaps, { ...where, type: "merge", body: { data: { a: "9" } } });
  await until("drift is corrected", async () => (await client.get(configMaps, where)).data?.["a"] === "1");
  await client.create(configMaps, { metadata: { name: "mine", namespace: "coffee-shop" } }, { signal });
  await hub.want([], { full: true });
  await until("pruned", async () => {
    const { items } = await client.list(configMaps, { namespace: "coffee-shop", signal });
    return items.map((one) => one.metadata.name).join() === "mine";
  });
  await until("nothing but the identity stays", async () => {
    const { items } = await client.list(secrets, { namespace: "cattle-fleet-system", signal });
    return items.map((one) => one.metadata.name).join() === "fleet-agent";
  });
});

test("beside a Kubernetes the hub's people reach its API with the agent's credential and in their own name", async () => {
  await using cluster = await openLoopback();
  await using stack = new AsyncDisposableStack();
  const folder = mkdtempSync(join(tmpdir(), "agent-"));
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  const reach = await readKubeconfig(cluster.kubeconfig);
  const client = newClient(stack.use(httpTransport(reach)));
  const api = stack.use(foreignApi(reach, { log: silentLog }));
  const hub = new ScriptedHub();
  const agent = stack.use(
    startAgent(
      { version: "1.0.0", token: hubToken, labels: {} },
      {
        client,
        hub,
        keys: { ...machineKeys, validity: () => ({ fromMs: 0, untilMs: 8_640_000_000_000_000 }) },
        chunks: await openChunkFolder({ files: systemFiles, folder }),
        serveStream: (stream) => api.serve(stream),
        clock: systemClock,
        random: systemRandom,
        log: silentLog,
      },
    ),
  );
  await until("connected", () => agent.state.isConnected);
  const proxy = new StoreProxy({
    openStream: () => Promise.resolve(hub.streams?.open() ?? assert.fail("connected")),
    actAs: (user) => Promise.resolve(user),
    mustMay: () => Promise.resolve(),
    clock: systemClock,
    log: silentLog,
  });
  const ask = async (
    name: string,
    groups: readonly string[],
    method = "GET",
    body?: object,
  ): Promise<string> => {
    const text = body === undefined ? "" : JSON.stringify(body);
    const request = {
      method,
      path: "/stores/fleet-default/store-1/api/v1/namespaces/default/configmaps",
      query: new URLSearchParams(),
      headers: { "content-type": "application/json" },
      signal,
      pieces: (async function* () {
        yield Buffer.from(text);
      })(),
    };
    const answer = await proxy.handle(request as unknown as HttpRequest, { name, groups });
    let said = "";
    for await (const piece of answer.body as AsyncIterable<Uint8Array>) said += Buffer.from(piece).toString();
    return `${answer.status} ${said}`;
  };
  const made = await ask("ada", ["system:masters"], "POST", { metadata: { name: "from-the-hub" } });
  assert.match(made, /^201 /);
  assert.match(await ask("ada", ["system:masters"]), /^200 .*from-the-hub/);
  assert.match(await ask("bob", []), /^403 .*User \\"hub:bob\\" cannot list/);
  const bare = connectionDuplex(hub.streams?.open() ?? assert.fail("connected"));
  bare.write("GET /api/v1/secrets HTTP/1.1\r\nhost: s\r\nconnection: close\r\n\r\n");
  let refused = "";
  for await (const piece of bare as AsyncIterable<Buffer>) refused += piece.toString();
  assert.match(refused, /^HTTP\/1\.1 401 /);
});

test("a kubeconfig that cannot be used says what it has and what to do", async () => {
  const folder = mkdtempSync(join(tmpdir(), "config-"));
  using _folder = { [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }) };
  const path = join(folder, "config");
  const write = (user: object, cluster: object = {}): void =>
    writeFileSync(
      path,
      JSON.stringify({
        "current-context": "c",
        contexts: [{ name: "c", context: { cluster: "k", user: "u" } }],
        clusters: [{ name: "k", cluster: { server: "https://k:1/", ...cluster } }],
        users: [{ name: "u", user }],
      }),
    );
  write({ token: "t" }, { "certificate-authority-data": Buffer.from("ca").toString("base64") });
  assert.deepEqual(await readKubeconfig(path), {
    server: "https://k:1",
    ca: "ca",
    credential: { token: "t" },
  });
  writeFileSync(join(folder, "t"), "from a file\n");
  write({ tokenFile: "t" });
  assert.deepEqual((await readKubeconfig(path)).credential, { token: "from a file" });
  await assert.rejects(readKubeconfig(path, { context: "d" }), { message: /has no context "d"/ });
  for (const [user, cluster, message] of [
    [{ exec: { command: "aws" } }, {}, /has exec, which is not supported/],
    [{ token: "t" }, { "insecure-skip-tls-verify": true }, /has insecure-skip-tls-verify/],
    [{}, {}, /user u has neither token nor client certificate/],
    [{ "client-certificate": "no", "client-key": "no" }, {}, /\/no, which .* names, cannot be read/],
    [{ token: "t" }, { server: "http://k" }, /is no https URL/],
  ] as const) {
    write(user, cluster);
    await assert.rejects(readKubeconfig(path), { message });
  }
});
