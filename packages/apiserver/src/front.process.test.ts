import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { connect } from "node:http2";
import type { IncomingMessage } from "node:http";
import { request } from "node:https";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { openLoopback, type Loopback } from "./testing/loopback.ts";

let world: Loopback;
before(async () => (world = await openLoopback()));
after(async () => world[Symbol.asyncDispose]());

type Answer = {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly text: string;
};

function send(
  method: string,
  path: string,
  options: {
    readonly headers?: Record<string, string>;
    readonly body?: string | Buffer;
    readonly isAnonymous?: boolean;
  } = {},
): Promise<Answer> {
  const read = (name: string): Buffer => readFileSync(join(world.folder, name));
  const identity = options.isAnonymous === true ? {} : { cert: read("admin.crt"), key: read("admin.key") };
  return new Promise((resolve, reject) => {
    const sent = request(
      {
        host: "127.0.0.1",
        port: world.port,
        path,
        method,
        ca: read("ca.crt"),
        agent: false,
        headers: options.headers ?? {},
        ...identity,
      },
      (answer) => {
        const pieces: Buffer[] = [];
        answer.on("data", (piece: Buffer) => pieces.push(piece));
        answer.on("end", () =>
          resolve({
            status: answer.statusCode ?? 0,
            headers: answer.headers,
            text: Buffer.concat(pieces).toString(),
          }),
        );
        answer.on("error", reject);
      },
    );
    sent.on("error", reject);
    sent.end(options.body);
  });
}

const maps = "/api/v1/namespaces/default/configmaps";
const json = { "content-type": "application/json" };

test("nobody in particular may look at health and version and nothing else", async () => {
  assert.equal((await send("GET", "/healthz", { isAnonymous: true })).text, "ok");
  assert.equal(
    (JSON.parse((await send("GET", "/version", { isAnonymous: true })).text) as { minor: string }).minor,
    "36",
  );
  const refused = await send("GET", maps, { isAnonymous: true });
  assert.equal(refused.status, 403);
  assert.match(refused.text, /system:anonymous/);
  assert.equal(
    (await send("GET", "/healthz", { isAnonymous: true, headers: { authorization: "Bearer nonsense" } }))
      .status,
    401,
  );
});

test("a body that is too large is refused without being read to its end", async () => {
  const big = JSON.stringify({
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: "big" },
    data: { a: "x".repeat(2 * 1024 * 1024) },
  });
  const refused = await send("POST", maps, { headers: json, body: big });
  assert.equal(refused.status, 413);
  assert.match(refused.text, /over the limit of 1572864/);
  const huge = await send("POST", maps, {
    headers: { ...json, "content-length": String(10 * 1024 * 1024) },
    body: Buffer.alloc(10 * 1024 * 1024, 32),
  }).catch((error: NodeJS.ErrnoException) => error);
  if (huge instanceof Error) assert.match(String(huge.code), /EPIPE|ECONNRESET/);
  else assert.equal(huge.status, 413);
});

test("broken, deep and hostile bodies get their answer and the server goes on", async () => {
  assert.equal((await send("POST", maps, { headers: json, body: "{" })).status, 400);
  const deep = `${'{"a":'.repeat(5_000)}1${"}".repeat(5_000)}`;
  assert.equal((await send("POST", maps, { headers: json, body: deep })).status, 400);
  assert.equal(
    (await send("POST", maps, { headers: { "content-type": "application/cbor" }, body: "x" })).status,
    415,
  );
  const bomb = `a: &a [x,x,x,x,x,x,x,x,x]\n${"bcdefghi"
    .split("")
    .map((letter, index) => `${letter}: &${letter} [${Array(9).fill(`*${"abcdefgh"[index]}`).join(",")}]`)
    .join("\n")}`;
  assert.equal(
    (await send("POST", maps, { headers: { "content-type": "application/yaml" }, body: bomb })).status,
    400,
  );
  const hostile =
    '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"h","labels":{"__proto__":"x"}},"data":{"__proto__":"y","constructor":"z"}}';
  const made = await send("POST", maps, { headers: json, body: hostile });
  assert.equal(made.status, 422, made.text);
  const plain = hostile.replace('"labels":{"__proto__":"x"}', '"labels":{}');
  const kept = await send("POST", maps, { headers: json, body: plain });
  assert.equal(kept.status, 201, kept.text);
  assert.match((await send("GET", `${maps}/h`)).text, /"__proto__":"y","constructor":"z"/);
  assert.equal((await send("GET", "/healthz")).text, "ok");
});

test("a client that takes only protobuf is told so, one that prefers it gets JSON", async () => {
  assert.equal(
    (await send("GET", maps, { headers: { accept: "application/vnd.kubernetes.protobuf" } })).status,
    406,
  );
  const either = await send("GET", maps, {
    headers: { accept: "application/vnd.kubernetes.protobuf,application/json" },
  });
  assert.equal(either.headers["content-type"], "application/json");
});

test("long answers are compressed for those who ask", async () => {
  for (let index = 0; index < 20; index += 1)
    await send("POST", maps, {
      headers: json,
      body: JSON.stringify({ metadata: { name: `filler-${index}` }, data: { text: "latte ".repeat(2_000) } }),
    });
  const plain = await send("GET", maps);
  assert.ok(plain.text.length > 128 * 1024);
  const document = await send("GET", "/openapi/v3/apis/apps/v1", { headers: { "accept-encoding": "gzip" } });
  assert.equal(document.headers["content-encoding"], "gzip");
});

test("OpenAPI is kept by its hash, and a wrong hash is sent on", async () => {
  const index = JSON.parse((await send("GET", "/openapi/v3")).text) as {
    paths: Record<string, { serverRelativeURL: string }>;
  };
  const url = index.paths["apis/apps/v1"]?.serverRelativeURL ?? "";
  const kept = await send("GET", url);
  assert.equal(kept.headers["cache-control"], "public, immutable");
  assert.equal(
    (await send("GET", url, { headers: { "if-none-match": String(kept.headers.etag) } })).status,
    304,
  );
  assert.equal((await send("GET", "/openapi/v3/apis/apps/v1?hash=OLD")).status, 301);
  assert.equal((await send("GET", "/openapi/v2")).status, 200);
});

test("HTTP/2 carries many streams on one connection, a watch among them", async () => {
  const session = connect(`https://127.0.0.1:${world.port}`, {
    ca: readFileSync(join(world.folder, "ca.crt")),
    cert: readFileSync(join(world.folder, "admin.crt")),
    key: readFileSync(join(world.folder, "admin.key")),
  });
  try {
    const watch = session.request({
      ":path": `${maps}?watch=true&timeoutSeconds=20&fieldSelector=metadata.name%3Dseen`,
    });
    const first = new Promise<string>((resolve) =>
      watch.once("data", (piece: Buffer) => resolve(piece.toString())),
    );
    await new Promise((resolve) => watch.once("response", resolve));
    const post = session.request({ ":path": maps, ":method": "POST", "content-type": "application/json" });
    post.end(JSON.stringify({ metadata: { name: "seen" } }));
    post.resume();
    assert.match(await first, /"type":"ADDED".*"name":"seen"/);
    watch.close();
  } finally {
    session.destroy();
  }
});

test("an upgrade reaches the node as it came, after it was allowed", async () => {
  const seen: string[] = [];
  world.server.setStreams({
    log: () => Promise.reject(new Error("not asked")),
    proxy: () => Promise.reject(new Error("not asked")),
    upgrade(target, { request: asked, socket, head }) {
      seen.push(
        `${target.namespace}/${target.name}/${target.subresource} ${target.query.getAll("command").join(" ")} ${target.user.name} ${String(asked.headers["sec-websocket-protocol"])} ${head.byteLength}`,
      );
      socket.end("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhi");
    },
  });
  const path = "/api/v1/namespaces/default/pods/p/exec?command=echo&command=hi";
  const headers = {
    connection: "Upgrade",
    upgrade: "websocket",
    "sec-websocket-protocol": "v5.channel.k8s.io",
  };
  const upgraded = await new Promise<number>((resolve, reject) => {
    const read = (name: string): Buffer => readFileSync(join(world.folder, name));
    const sent = request({
      host: "127.0.0.1",
      port: world.port,
      path,
      ca: read("ca.crt"),
      cert: read("admin.crt"),
      key: read("admin.key"),
      agent: false,
      headers,
    });
    sent.on("upgrade", (answer, socket) => {
      socket.destroy();
      resolve(answer.statusCode ?? 0);
    });
    sent.on("response", (answer) => resolve(answer.statusCode ?? 0));
    sent.on("error", reject);
    sent.end();
  });
  assert.equal(upgraded, 101);
  assert.deepEqual(seen, ["default/p/exec echo hi admin v5.channel.k8s.io 0"]);
  const refused = await send("GET", path, { headers, isAnonymous: true });
  assert.equal(refused.status, 403);
  assert.match(refused.text, /cannot create resource \\?"pods\/exec\\?"/);
});
