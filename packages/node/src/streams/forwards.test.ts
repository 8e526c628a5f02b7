import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { StatusError } from "@cortado/std/status";
import { SpdySession, type SpdyStream } from "@cortado/wire/spdy";
import type { ForwardEvents, ForwardStream } from "../runtime/runtime.ts";
import { Forwards } from "./forwards.ts";

/** A connection into a pod, told by a test. */
class FakeForward implements ForwardStream {
  events: ForwardEvents | undefined;
  isDestroyed = false;
  hasEnded = false;
  readonly written: string[] = [];
  handle(events: ForwardEvents): void {
    this.events = events;
  }
  write(bytes: Uint8Array): void {
    this.written.push(Buffer.from(bytes).toString());
  }
  end(): void {
    this.hasEnded = true;
  }
  pause(): void {}
  resume(): void {}
  destroy(): void {
    if (this.isDestroyed) return;
    this.isDestroyed = true;
    this.events?.closed(undefined);
  }
}

type Client = { readonly error: SpdyStream; readonly data: SpdyStream; readonly told: () => string };

/** kubectl's end: a pair of streams; it resets the data as soon as the other side sends no more, and reads the error to its end. */
async function connect(forward: FakeForward): Promise<Client & { readonly close: () => void }> {
  const transport = new PassThrough();
  const forwards = new Forwards({ dial: () => Promise.resolve(forward), transport });
  const server: SpdySession = new SpdySession({
    role: "server",
    write: (bytes) => client.receive(bytes),
    opened: (stream) => forwards.opened(stream),
    closed: () => forwards.close(),
  });
  const client: SpdySession = new SpdySession({ role: "client", write: (bytes) => server.receive(bytes) });
  const headers = { port: "9", requestid: "0" };
  const error = client.open({ streamtype: "error", ...headers });
  error.end();
  const data = client.open({ streamtype: "data", ...headers });
  let told = "";
  error.handle({
    data: (bytes) => (told += Buffer.from(bytes).toString()),
    ended: () => undefined,
    closed: () => undefined,
  });
  data.handle({ data: () => undefined, ended: () => data.reset(), closed: () => undefined });
  await new Promise((resolve) => setImmediate(resolve));
  return { error, data, told: () => told, close: () => server.close() };
}

test("the reason of a connection that fails is told, also when it comes after the end of the data", async () => {
  const forward = new FakeForward();
  const { told } = await connect(forward);
  forward.events?.ended();
  assert.equal(forward.isDestroyed, false, "what the runtime has still to say is waited for");
  forward.events?.closed(new StatusError("ServiceUnavailable", "connection refused"));
  assert.match(told(), /^error forwarding port 9: connection refused$/);
});

test("a client that breaks off ends the connection at once", async () => {
  const forward = new FakeForward();
  const { data } = await connect(forward);
  data.write(Buffer.from("GET /"));
  assert.deepEqual(forward.written, ["GET /"]);
  data.reset();
  assert.equal(forward.isDestroyed, true);
});

test("a session that is over leaves no connection that waits for its reason", async () => {
  const forward = new FakeForward();
  const { close } = await connect(forward);
  forward.events?.ended();
  close();
  assert.equal(forward.isDestroyed, true);
});
