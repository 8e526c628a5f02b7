import assert from "node:assert/strict";
import { test } from "node:test";
import { constants, createDeflate } from "node:zlib";
import { adler32, HEADER_DICTIONARY_ADLER, headerDictionary } from "./dictionary.ts";
import { HeaderReader, HeaderWriter } from "./headers.ts";
import { FlushedInflater } from "./inflate.ts";
import { SpdySession, type SpdyStream } from "./session.ts";

test("the dictionary is the one of SPDY/3", () => {
  assert.equal(headerDictionary.byteLength, 1423);
  assert.equal(adler32(headerDictionary), HEADER_DICTIONARY_ADLER);
});

test("flushed pieces of zlib's own making inflate, also with references into earlier pieces", async () => {
  const deflate = createDeflate({ dictionary: headerDictionary, level: 9 });
  const chunks: Buffer[] = [];
  deflate.on("data", (chunk: Buffer) => chunks.push(chunk));
  const inflater = new FlushedInflater({ dictionary: headerDictionary, outputBytesMax: 200_000 });
  const pieces = [
    "streamtype stdin port 8080 content-length",
    "streamtype stdout port 8080 ".repeat(400),
    "x",
    noise(20_000),
  ];
  for (const [at, piece] of pieces.entries()) {
    deflate.write(piece);
    await new Promise<void>((resolve) => deflate.flush(constants.Z_SYNC_FLUSH, () => resolve()));
    const bytes = Buffer.concat(chunks.splice(0));
    assert.equal(Buffer.from(inflater.push(at === 0 ? bytes.subarray(6) : bytes)).toString(), piece);
  }
});

test("what is not DEFLATE is refused, and so is what grows too large", () => {
  const fresh = () => new FlushedInflater({ dictionary: headerDictionary, outputBytesMax: 100 });
  assert.throws(() => fresh().push(Uint8Array.of(0x07)), /unknown type/);
  assert.throws(() => fresh().push(Uint8Array.of(0x00, 5, 0, 0, 0)), /complement/);
  assert.throws(
    () => fresh().push(Uint8Array.of(0x00, 200, 0, 55, 255, ...new Uint8Array(200))),
    /too large/,
  );
});

test("headers come back as they went, block after block", () => {
  const writer = new HeaderWriter();
  const reader = new HeaderReader();
  for (const headers of [{ streamtype: "error" }, { streamType: "data", port: "80", requestID: "7" }, {}]) {
    const lower = Object.fromEntries(
      Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]),
    );
    assert.deepEqual({ ...reader.read(writer.write(headers)) }, lower);
  }
});

test("streams carry bytes both ways and half-close, however the bytes are cut", () => {
  for (const cut of [1, 3, 7, 100_000]) {
    const { client, opened } = pair(cut);
    const got: string[] = [];
    const stream = client.open({ streamType: "stdin" });
    stream.handle(log(got, "client"));
    const served = opened[0] as SpdyStream;
    assert.equal(served.headers["streamtype"], "stdin");
    served.reply();
    served.handle(log(got, "server"));
    stream.write(Buffer.from("hello"));
    stream.end();
    served.write(Buffer.from("x".repeat(40_000)));
    served.end();
    const text = got
      .filter((line) => line.startsWith("server data"))
      .map((line) => line.slice(12))
      .join("");
    assert.equal(text, "hello");
    assert.equal(
      got
        .filter((line) => line.startsWith("client data"))
        .map((line) => line.slice(12))
        .join("").length,
      40_000,
    );
    assert.ok(got.indexOf("server ended") < got.indexOf("server closed"));
    assert.ok(got.includes("client ended"));
    assert.equal(client.streams, 0);
  }
});

test("bytes that come before anybody handles them are kept", () => {
  const { client, opened } = pair(1_000);
  const stream = client.open({});
  stream.write(Buffer.from("early"));
  stream.end();
  const got: string[] = [];
  opened[0]?.handle(log(got, "server"));
  assert.deepEqual(got, ["server data early", "server ended"]);
});

test("a reset closes only its stream; a malformed frame closes all", () => {
  const { client, server, opened } = pair(1_000);
  const got: string[] = [];
  client.open({ name: "a" }).handle(log(got, "a"));
  client.open({ name: "b" }).handle(log(got, "b"));
  opened[0]?.reset();
  assert.deepEqual(got, ["a closed: the peer reset stream 1"]);
  client.receive(Uint8Array.of(0x80, 0x02, 0, 1, 0, 0, 0, 0));
  assert.equal(got.at(-1), "b closed: the peer does not speak SPDY/3");
  assert.throws(() => client.open({}), /over/);
  assert.equal(server.streams, 1);
});

test("a ping of the peer is echoed, an answer to ours is not", () => {
  const sent: Uint8Array[] = [];
  const server = new SpdySession({ role: "server", write: (bytes) => sent.push(bytes) });
  server.receive(Uint8Array.of(0x80, 3, 0, 6, 0, 0, 0, 4, 0, 0, 0, 1));
  server.receive(Uint8Array.of(0x80, 3, 0, 6, 0, 0, 0, 4, 0, 0, 0, 2));
  assert.deepEqual(
    sent.map((bytes) => [...bytes]),
    [[0x80, 3, 0, 6, 0, 0, 0, 4, 0, 0, 0, 1]],
  );
});

function pair(cut: number): { client: SpdySession; server: SpdySession; opened: SpdyStream[] } {
  const opened: SpdyStream[] = [];
  const pipe = (to: () => SpdySession) => (bytes: Uint8Array) => {
    for (let at = 0; at < bytes.byteLength; at += cut) to().receive(bytes.subarray(at, at + cut));
  };
  const client: SpdySession = new SpdySession({ role: "client", write: pipe(() => server) });
  const server: SpdySession = new SpdySession({
    role: "server",
    write: pipe(() => client),
    opened: (stream) => opened.push(stream),
  });
  return { client, server, opened };
}

function log(into: string[], name: string) {
  return {
    data: (bytes: Uint8Array) => void into.push(`${name} data ${Buffer.from(bytes).toString()}`),
    ended: () => void into.push(`${name} ended`),
    closed: (error: Error | undefined) =>
      void into.push(`${name} closed${error === undefined ? "" : `: ${error.message}`}`),
  };
}

function noise(length: number): string {
  let state = 1;
  return Array.from({ length }, () =>
    String.fromCharCode(32 + ((state = (state * 48_271) % 2_147_483_647) % 90)),
  ).join("");
}
