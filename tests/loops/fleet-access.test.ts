import assert from "node:assert/strict";
import type { IncomingMessage } from "node:http";
import { duplexPair, type Duplex } from "node:stream";
import { test } from "node:test";
import { openInnerFront } from "@cortado/apiserver/front";
import type { NodeStreams } from "@cortado/apiserver/ports";
import type { Agent } from "@cortado/fleet/agent/ports";
import { StoreProxy, type HubUser } from "@cortado/fleet/hub/access";
import { clusterRoleBindings, configMaps } from "@cortado/kinds/resources";
import { openHubFront } from "@cortado/program/hub-front";
import type { HttpAnswer, HttpRequest } from "@cortado/std/http";
import type { Log } from "@cortado/std/log";
import { connectionDuplex } from "@cortado/std/node/duplex";
import { StatusError, hasReason } from "@cortado/std/status";
import { settle } from "@cortado/std/testing/held-clock";
import { silentLog } from "@cortado/std/testing/silent-log";
import { agentOf, ScriptedHub } from "./fleet-hub.ts";
import { LoopWorld } from "./world.ts";

const admin: HubUser = { name: "admin", groups: ["system:masters", "system:authenticated"] };
const clerk: HubUser = { name: "clerk", groups: ["support", "x,system:masters", "system:authenticated"] };
const base = "/stores/fleet-default/store-1";

type Record = { readonly message: string; readonly fields: unknown };

/** A store with its agent, and the hub's way into its API. */
class AccessWorld implements AsyncDisposable {
  readonly store: LoopWorld;
  readonly hub: ScriptedHub = new ScriptedHub();
  readonly audit: Record[] = [];
  readonly #stack: AsyncDisposableStack = new AsyncDisposableStack();
  readonly proxy: StoreProxy;

  private constructor(store: LoopWorld) {
    this.store = store;
    const note = (message: string, fields?: unknown): void => void this.audit.push({ message, fields });
    const log: Log = { ...silentLog, info: note, warn: note };
    this.proxy = new StoreProxy({
      clock: store.clock,
      log,
      openStream: () => {
        if (this.hub.streams === undefined)
          return Promise.reject(new StatusError("ServiceUnavailable", "store-1 is Offline"));
        return Promise.resolve().then(() => this.hub.streams?.open() ?? assert.fail("connected"));
      },
      actAs: (user) => Promise.resolve(user),
      mustMay: (user, verb) =>
        user.groups.includes("system:masters") || verb === "get"
          ? Promise.resolve()
          : Promise.reject(new StatusError("Forbidden", `${user.name} cannot ${verb} clusters/proxy`)),
    });
  }

  static async start(streams?: NodeStreams): Promise<AccessWorld> {
    const store = await LoopWorld.start({ nodes: 0 });
    const world = new AccessWorld(store);
    world.#stack.use(store);
    if (streams !== undefined) store.server.setStreams(streams);
    const api = world.#stack.use(openHubFront({ server: store.server, clock: store.clock, log: silentLog }));
    const agent: Agent = agentOf(store, world.hub, {
      serveStream: (stream) => api.serve(connectionDuplex(stream)),
    });
    world.#stack.use(agent);
    await store.until("connected", () => Promise.resolve(agent.state.isConnected));
    return world;
  }

  async send(
    method: string,
    path: string,
    more: {
      readonly user?: HubUser;
      readonly body?: string;
      readonly headers?: object;
      readonly signal?: AbortSignal;
    } = {},
  ): Promise<HttpAnswer> {
    const { user = admin, body = "", headers = {}, signal = new AbortController().signal } = more;
    const mark = path.indexOf("?");
    const pieces = (async function* () {
      if (body !== "") yield Buffer.from(body);
    })();
    const length =
      body === "" ? {} : { "content-length": String(body.length), "content-type": "application/json" };
    const request = {
      method,
      path: base + (mark < 0 ? path : path.slice(0, mark)),
      query: new URLSearchParams(mark < 0 ? "" : path.slice(mark + 1)),
      headers: { ...length, ...headers },
      signal,
      pieces,
    };
    return this.proxy.handle(request as unknown as HttpRequest, user);
  }

  async text(...words: Parameters<AccessWorld["send"]>): Promise<{ status: number; text: string }> {
    const { status, body } = await this.send(...words);
    let text = "";
    for await (const piece of body as AsyncIterable<Uint8Array>) text += Buffer.from(piece).toString();
    return { status, text };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

test("the hub's administrator does in a store what he likes, and each request is on record without its query", async () => {
  await using world = await AccessWorld.start();
  const made = await world.text("POST", "/api/v1/namespaces/default/configmaps", {
    body: JSON.stringify({ metadata: { name: "menu" }, data: { coffee: "arabica" } }),
  });
  assert.equal(made.status, 201);
  const { signal } = world.store;
  const found = await world.store.client.get(configMaps, { namespace: "default", name: "menu", signal });
  assert.equal(found.data?.["coffee"], "arabica");
  const listed = await world.text("GET", "/api/v1/namespaces/default/configmaps?labelSelector=secret");
  assert.equal(listed.status, 200);
  assert.equal((await world.text("GET", "/version")).status, 200);
  assert.deepEqual(
    world.audit.map(({ message, fields }) => [message, { ...(fields as object), tookMs: 0 }]),
    [
      ["create", "/api/v1/namespaces/default/configmaps", 201],
      ["get", "/api/v1/namespaces/default/configmaps", 200],
      ["get", "/version", 200],
    ].map(([verb, path, code]) => [
      "store access",
      { user: "admin", store: "fleet-default/store-1", verb, path, code, tookMs: 0 },
    ]),
  );
});

test("another user of the hub is hub:USER in the store, whatever headers say; the store's RBAC decides", async () => {
  await using world = await AccessWorld.start();
  const path = "/api/v1/namespaces/default/configmaps";
  const forged = {
    authorization: "Basic YWRtaW46c2VjcmV0",
    "impersonate-user": "system:admin",
    "impersonate-group": "system:masters",
    "impersonate-extra-a": "b",
    connection: "x-dropped",
    "x-dropped": "1",
  };
  const refused = await world.text("GET", path, { user: clerk, headers: forged });
  assert.equal(refused.status, 403);
  assert.match(refused.text, /User \\"hub:clerk\\" cannot list resource/);
  const { client, signal } = world.store;
  await client.create(
    clusterRoleBindings,
    {
      metadata: { name: "support" },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "view" },
      subjects: [{ apiGroup: "rbac.authorization.k8s.io", kind: "Group", name: "hub:support" }],
    },
    { signal },
  );
  await settle();
  assert.equal((await world.text("GET", path, { user: clerk })).status, 200);
  await assert.rejects(world.text("POST", path, { user: clerk, body: "{}" }), (error) =>
    hasReason(error, "Forbidden"),
  );
  for (const name of ["a,system:admin", "a\r\nimpersonate-user: b", "kö"])
    await assert.rejects(world.text("GET", path, { user: { name, groups: [] } }), (error) =>
      hasReason(error, "Forbidden"),
    );
  const codes = world.audit.map(({ fields }) => (fields as { code: number }).code);
  assert.deepEqual(codes, [403, 200, 403, 403, 403, 403]);
});

test("a request into the store that names nobody is refused there", async () => {
  await using world = await AccessWorld.start();
  const stream = connectionDuplex(world.hub.streams?.open() ?? assert.fail("connected"));
  stream.write("GET /api/v1/secrets HTTP/1.1\r\nhost: store\r\nconnection: close\r\n\r\n");
  let text = "";
  for await (const piece of stream as AsyncIterable<Buffer>) text += piece.toString();
  assert.match(text, /^HTTP\/1\.1 401 /);
});

test("a watch streams, ends with its caller, and leaves no stream open", async () => {
  await using world = await AccessWorld.start();
  const stop = new AbortController();
  const watch = await world.send(
    "GET",
    "/api/v1/namespaces/default/configmaps?watch=true&resourceVersion=0",
    {
      signal: stop.signal,
    },
  );
  assert.equal(watch.status, 200);
  const events = (watch.body as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]();
  const { client, signal } = world.store;
  await client.create(configMaps, { metadata: { name: "menu", namespace: "default" } }, { signal });
  let text = "";
  while (!text.includes('"menu"')) text += Buffer.from((await events.next()).value as Uint8Array).toString();
  assert.equal(world.hub.streams?.size, 1);
  stop.abort();
  await assert.rejects(async () => {
    for (;;) if ((await events.next()).done === true) throw new Error("over");
  });
  for (let turn = 0; turn < 5; turn += 1) await settle();
  assert.equal(world.hub.streams?.size, 0);
});

test("a reader that stands still holds up nobody else, and gets everything in the end", async () => {
  const line = Buffer.from(`${"l".repeat(63)}\n`);
  const lines = 30_000;
  let given = 0;
  const streams = {
    log: () =>
      Promise.resolve(
        (async function* () {
          for (; given < lines; given += 1) yield line;
        })(),
      ),
  } as unknown as NodeStreams;
  await using world = await AccessWorld.start(streams);
  const { client, signal } = world.store;
  const pod = {
    metadata: { name: "till", namespace: "default" },
    spec: { containers: [{ name: "c", image: "c" }] },
  };
  await client.raw({ method: "POST", path: "/api/v1/namespaces/default/pods", query: {}, body: pod, signal });
  const slow = await world.send("GET", "/api/v1/namespaces/default/pods/till/log?follow=true");
  for (let turn = 0; turn < 50; turn += 1) await settle();
  const held = given;
  assert.ok(held < lines / 2, `${held} lines left the store though nobody read them`);
  for (let turn = 0; turn < 10; turn += 1) {
    assert.equal((await world.text("GET", "/version")).status, 200);
    await settle();
  }
  assert.equal(given, held, "what nobody reads stays where it is");
  let bytes = 0;
  for await (const piece of slow.body as AsyncIterable<Uint8Array>) bytes += piece.byteLength;
  assert.equal(bytes, lines * line.byteLength);
});

/** An exec that says back what it hears. */
const echoing = {
  upgrade: (_target: unknown, { socket, head }: { readonly socket: Duplex; readonly head: Uint8Array }) => {
    socket.write("HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: SPDY/3.1\r\n\r\n");
    socket.write(head);
    socket.on("data", (bytes: Buffer) => socket.write(bytes));
  },
} as unknown as NodeStreams;

async function upgradeOf(
  world: AccessWorld,
  path: string,
  user: HubUser,
): Promise<{ readonly near: Duplex; readonly done: Promise<void> }> {
  const [near, far] = duplexPair();
  const request = {
    method: "POST",
    url: base + path,
    headers: { connection: "Upgrade", upgrade: "SPDY/3.1", "content-length": "0" },
  } as unknown as IncomingMessage;
  const done = world.proxy.upgrade({ request, socket: far, head: Buffer.from("early") }, user);
  await settle();
  return { near, done };
}

const readSome = async (stream: Duplex, wanted: string): Promise<string> => {
  let text = "";
  while (!text.includes(wanted)) {
    const piece = stream.read() as Buffer | null;
    if (piece !== null) text += piece.toString();
    else if (stream.readableEnded || stream.destroyed) return text;
    else await settle();
  }
  return text;
};

test("an upgrade goes through both ways and ends with either end", async () => {
  await using world = await AccessWorld.start(echoing);
  const exec = "/api/v1/namespaces/default/pods/till/exec?command=sh";
  const { near, done } = await upgradeOf(world, exec, admin);
  const head = await readSome(near, "early");
  assert.match(head, /^HTTP\/1\.1 101 /);
  await done;
  const long = "z".repeat(600_000);
  near.write(`${long}end`);
  assert.ok((await readSome(near, "end")).length >= long.length);
  assert.deepEqual(
    world.audit.map(({ fields }) => (fields as { code: number }).code),
    [101],
  );
  near.destroy();
  for (let turn = 0; turn < 10; turn += 1) await settle();
  assert.equal(world.hub.streams?.size, 0);
});

test("an upgrade that the store refuses ends the connection, so that nothing rides on behind it", async () => {
  await using world = await AccessWorld.start(echoing);
  const lent: HubUser = { name: "lent", groups: [] };
  const open: StoreProxy = new StoreProxy({
    clock: world.store.clock,
    log: silentLog,
    openStream: () => Promise.resolve(world.hub.streams?.open() ?? assert.fail("connected")),
    actAs: (user) => Promise.resolve(user),
    mustMay: () => Promise.resolve(),
  });
  const [near, far] = duplexPair();
  const url = `${base}/api/v1/namespaces/default/pods/till/exec?command=sh`;
  const headers = { connection: "Upgrade", upgrade: "SPDY/3.1" };
  const request = { method: "POST", url, headers } as unknown as IncomingMessage;
  const smuggled =
    "GET /api/v1/secrets HTTP/1.1\r\nhost: s\r\nimpersonate-user: system:admin\r\nimpersonate-group: system:masters\r\n\r\n";
  await open.upgrade({ request, socket: far, head: Buffer.from(smuggled) }, lent);
  near.write(smuggled);
  const text = await readSome(near, "never said");
  assert.match(text, /^HTTP\/1\.1 403 /);
  assert.equal(text.match(/HTTP\/1\.1/g)?.length, 1);
});

test("without the store's connection, or when it breaks, the answer says so", async () => {
  await using world = await AccessWorld.start();
  const stop = new AbortController();
  const watch = await world.send("GET", "/api/v1/namespaces?watch=true&resourceVersion=0", {
    signal: stop.signal,
  });
  const pieces = watch.body as AsyncIterable<Uint8Array>;
  const reading = (async () => {
    for await (const piece of pieces) void piece;
  })();
  const asked = world.text("GET", "/version");
  world.hub.isUp = false;
  await world.hub.hangUp();
  await assert.rejects(asked, (error) => hasReason(error, "BadGateway", "ServiceUnavailable"));
  await assert.rejects(reading);
  await assert.rejects(world.text("GET", "/version"), (error) => hasReason(error, "ServiceUnavailable"));
});

test("no more than 64 streams are open to one store", async () => {
  await using world = await AccessWorld.start();
  const open = Array.from({ length: 64 }, () => world.hub.streams?.open());
  await assert.rejects(world.text("GET", "/version"), (error) => hasReason(error, "TooManyRequests"));
  for (const stream of open) stream?.destroy();
  assert.equal((await world.text("GET", "/version")).status, 200);
});

test("a front without an address answers on the streams that it is handed", async () => {
  await using world = await AccessWorld.start();
  await using front = openInnerFront({
    server: world.store.server,
    clock: world.store.clock,
    log: silentLog,
  });
  const [near, far] = duplexPair();
  front.serve(far);
  near.write("GET /healthz HTTP/1.1\r\nhost: s\r\nconnection: close\r\n\r\n");
  assert.match(await readSome(near, "\r\n\r\nok"), /^HTTP\/1\.1 200 /);
});
