import assert from "node:assert/strict";
import type { IncomingMessage } from "node:http";
import { Duplex } from "node:stream";
import { test } from "node:test";
import { seededRandom } from "@cortado/std/random";
import { StatusError } from "@cortado/std/status";
import { HeldClock, settle } from "@cortado/std/testing/held-clock";
import { silentLog } from "@cortado/std/testing/silent-log";
import { TUNNEL_OPEN_MS, TUNNEL_SILENT_MS, TUNNEL_STREAMS_MAX } from "../limits.ts";
import { keepTunnel } from "./agent-tunnel.ts";
import { TUNNEL_PROTOCOL } from "./protocol.ts";
import { Tunnels } from "./tunnels.ts";

/** Two ends of one connection. */
function wire(): { readonly near: Duplex; readonly far: Duplex } {
  const make = (other: () => Duplex): Duplex =>
    new Duplex({
      read: () => undefined,
      write(chunk, _encoding, done) {
        other().push(chunk);
        done();
      },
      final(done) {
        other().push(null);
        done();
      },
      destroy(error, done) {
        if (!other().destroyed) other().destroy();
        done(error);
      },
    });
  const near: Duplex = make(() => far);
  const far: Duplex = make(() => near);
  return { near, far };
}

/** A server and an agent of one process; `isCut`: the agent's dials fail, and `isDeaf`: it opens no streams. */
function newWorld() {
  const clock = new HeldClock();
  const tunnels = new Tunnels({ clock, random: seededRandom(5), log: silentLog });
  const line = { isCut: false, isDeaf: false, open: new Set<Duplex>() };
  const served: Duplex[] = [];
  const stop = new AbortController();
  const startAgent = (node: string): Promise<void> =>
    keepTunnel({
      ...{ clock, log: silentLog, signal: stop.signal },
      serve: (stream) => void served.push(stream),
      async dial({ query }) {
        if (line.isCut || (line.isDeaf && query !== ""))
          throw new StatusError("ServiceUnavailable", "no line");
        const { near, far } = wire();
        const request = {
          url: `/v1-k3s/connect${query}`,
          headers: { upgrade: TUNNEL_PROTOCOL },
        } as IncomingMessage;
        tunnels.accept(node, { request, socket: far, head: new Uint8Array() });
        line.open.add(near);
        await new Promise<void>((resolve) =>
          near.once("data", (head: Buffer) => {
            assert.match(head.toString(), /^HTTP\/1\.1 101 /);
            resolve();
          }),
        );
        return near;
      },
    });
  return { clock, tunnels, line, served, startAgent, signal: stop.signal, stop: () => stop.abort() };
}

test("a stream that the server opens is the agent's to serve, both ways", async () => {
  const { tunnels, served, startAgent, signal, clock } = newWorld();
  void startAgent("till");
  await clock.advance(0);
  assert.deepEqual(tunnels.nodes, ["till"]);
  const stream = await tunnels.open("till", { signal });
  await settle();
  const [other] = served;
  const said: string[] = [];
  stream.on("data", (bytes: Buffer) => void said.push(bytes.toString()));
  other?.on("data", (bytes: Buffer) => void other.write(`heard ${bytes.toString()}`));
  stream.write("hello");
  await settle();
  assert.deepEqual(said, ["heard hello"]);
});

test("a node that is not there, and one that does not open in time, are told by name", async () => {
  const { tunnels, line, startAgent, signal, clock } = newWorld();
  await assert.rejects(tunnels.open("till", { signal }), /node till is not connected/);
  void startAgent("till");
  await clock.advance(0);
  line.isDeaf = true;
  const opening = tunnels.open("till", { signal });
  opening.catch(() => undefined);
  await clock.advance(TUNNEL_OPEN_MS + 1);
  await assert.rejects(opening, /did not answer in time/);
});

test("a silent connection is given up by the server; beats keep one alive; the agent comes back by itself", async () => {
  const { tunnels, line, startAgent, clock } = newWorld();
  void startAgent("till");
  await clock.advance(0);
  for (let at = 0; at < 20; at += 1) await clock.advance(TUNNEL_SILENT_MS / 4);
  assert.deepEqual(tunnels.nodes, ["till"], "it is heard");
  line.isCut = true;
  for (const socket of line.open) socket.destroy();
  await clock.advance(5_000);
  assert.deepEqual(tunnels.nodes, []);
  line.isCut = false;
  await clock.advance(15_000);
  assert.deepEqual(tunnels.nodes, ["till"]);
});

test("an agent that dials again takes the place of its old connection", async () => {
  const { tunnels, startAgent, served, signal, clock } = newWorld();
  void startAgent("till");
  await clock.advance(0);
  void startAgent("till");
  await clock.advance(0);
  await tunnels.open("till", { signal });
  await settle();
  assert.equal(served.length, 1);
  assert.deepEqual(tunnels.nodes, ["till"]);
});

test("streams of a node are counted: beyond the limit the caller is told to wait, and one that ends makes room", async () => {
  const { tunnels, startAgent, signal, clock } = newWorld();
  void startAgent("till");
  await clock.advance(0);
  const streams: Duplex[] = [];
  for (let at = 0; at < TUNNEL_STREAMS_MAX; at += 1) streams.push(await tunnels.open("till", { signal }));
  await assert.rejects(tunnels.open("till", { signal }), /256 streams into node till are open/);
  streams[0]?.destroy();
  await settle();
  await tunnels.open("till", { signal });
});

test("a stream is taken by the node that was asked only", async () => {
  const { tunnels, startAgent, line, signal, clock } = newWorld();
  void startAgent("till");
  await clock.advance(0);
  line.isDeaf = true;
  let asked = "";
  for (const socket of line.open) socket.on("data", (bytes: Buffer) => (asked += bytes.toString()));
  const opening = tunnels.open("till", { signal });
  opening.catch(() => undefined);
  await settle();
  const [, id = ""] = /open (\S+)/.exec(asked) ?? [];
  assert.notEqual(id, "");
  const request = {
    url: `/v1-k3s/connect?stream=${id}`,
    headers: { upgrade: TUNNEL_PROTOCOL },
  } as IncomingMessage;
  assert.throws(
    () => tunnels.accept("rogue", { request, socket: wire().far, head: new Uint8Array() }),
    /no stream \S+ of node rogue/,
  );
});
