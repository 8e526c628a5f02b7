import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, request as httpRequest, type IncomingMessage, type Server } from "node:http";
import { request as httpsRequest } from "node:https";
import { connect, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { Client } from "@cortado/client";
import type { Ingress } from "@cortado/kinds";
import { newMetrics } from "@cortado/std/metrics";
import { systemClock } from "@cortado/std/node/clock";
import { StatusError } from "@cortado/std/status";
import { silentLog } from "@cortado/std/testing/silent-log";
import { MemoryObjects, service, slice } from "../testing/memory-objects.ts";
import { startIngress, type RunningIngress } from "./ingress.ts";

type World = AsyncDisposable & {
  readonly port: number;
  readonly securePort: number;
  readonly socketPath: string;
  readonly backends: readonly Server[];
  readonly objects: MemoryObjects;
  readonly cert: string;
};

async function startWorld(
  handlers: readonly ((
    request: IncomingMessage,
    body: string,
  ) => { code?: number; headers?: Record<string, string>; body: string })[],
): Promise<World> {
  const folder = mkdtempSync(join(tmpdir(), "ing-"));
  const make = (name: string): { key: string; cert: string } => {
    const [key, cert] = [join(folder, `${name}.key`), join(folder, `${name}.crt`)];
    execFileSync(
      "openssl",
      [
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-keyout",
        key,
        "-out",
        cert,
        "-subj",
        `/CN=${name}`,
        "-addext",
        `subjectAltName=DNS:${name}`,
      ],
      { stdio: "ignore" },
    );
    return { key: readFileSync(key, "utf8"), cert: readFileSync(cert, "utf8") };
  };
  const [own, fallback] = [make("shop.example"), make("fallback")];
  const base64 = (text: string): string => Buffer.from(text).toString("base64");
  const backends = handlers.map((handle) =>
    createServer((request, response) => {
      const parts: Buffer[] = [];
      request.on("data", (bytes: Buffer) => parts.push(bytes));
      request.on("end", () => {
        const { code = 200, headers = {}, body } = handle(request, Buffer.concat(parts).toString("utf8"));
        response.writeHead(code, headers).end(body);
      });
    }).on("upgrade", (_request, socket) => {
      socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
      socket.on("error", () => undefined).pipe(socket);
    }),
  );
  // One port number for all pods, as a Deployment has; so each backend has an address of its own on the loopback.
  const ports: number[] = [];
  for (const [at, backend] of backends.entries())
    ports.push(await listen(backend, `127.0.0.${at + 2}`, ports[0] ?? 0));
  const objects = new MemoryObjects();
  const web = { service: { name: "web", port: { number: 80 } } };
  objects.set({
    services: [service("n/web", { clusterIP: "10.43.0.1", ports: [{ port: 80 }] })],
    slices: [
      slice({
        service: "n/web",
        ips: backends.map((_backend, at) => `127.0.0.${at + 2}`),
        port: ports[0] ?? 0,
      }),
    ],
    ingresses: [
      {
        metadata: { name: "i", namespace: "n" },
        spec: {
          tls: [{ hosts: ["shop.example"], secretName: "tls" }],
          rules: [
            { http: { paths: [{ path: "/", pathType: "Prefix", backend: web }] } },
            {
              host: "gone.example",
              http: {
                paths: [
                  {
                    path: "/",
                    pathType: "Prefix",
                    backend: { service: { name: "gone", port: { number: 1 } } },
                  },
                ],
              },
            },
          ],
        },
      } as unknown as Ingress,
    ],
  });
  const client = {
    get: () => Promise.resolve({ data: { "tls.key": base64(own.key), "tls.crt": base64(own.cert) } }),
    create: () => Promise.reject(new StatusError("AlreadyExists", "there already")),
  } as unknown as Client;
  const stop = new AbortController();
  const socketPath = join(folder, "i.sock");
  const loopback = { host: "127.0.0.1", port: 0 };
  const running: RunningIngress = await startIngress(
    {
      classNames: ["cortado"],
      simulated: false,
      listeners: [
        { address: loopback, secure: false },
        { address: loopback, secure: true },
        { address: { path: socketPath }, secure: false },
      ],
    },
    {
      client,
      objects,
      clock: systemClock,
      log: silentLog,
      metrics: newMetrics(),
      signal: stop.signal,
      fallbackCertificate: () => fallback,
    },
  );
  const [plain, secure] = running.addresses.map((address) => ("port" in address ? address.port : 0));
  return {
    port: plain ?? 0,
    securePort: secure ?? 0,
    socketPath,
    backends,
    objects,
    cert: own.cert,
    async [Symbol.asyncDispose]() {
      stop.abort();
      await running[Symbol.asyncDispose]();
      for (const backend of backends) {
        backend.closeAllConnections();
        if (backend.listening) await new Promise((resolve) => backend.close(resolve));
      }
      rmSync(folder, { recursive: true });
    },
  };
}

function listen(server: Server, host: string, port: number): Promise<number> {
  return new Promise((resolve) =>
    server.listen({ host, port }, () => resolve((server.address() as AddressInfo).port)),
  );
}

type Answer = { readonly code: number; readonly body: string; readonly headers: IncomingMessage["headers"] };

function ask(options: object, body = ""): Promise<Answer> {
  const secure = "servername" in options;
  return new Promise((resolve, reject) => {
    const request = (secure ? httpsRequest : httpRequest)(
      { host: "127.0.0.1", agent: false, ...options },
      (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (part: string) => (text += part));
        response.on("end", () =>
          resolve({ code: response.statusCode ?? 0, body: text, headers: response.headers }),
        );
        response.on("error", reject);
      },
    );
    request.on("error", reject);
    request.end(body);
  });
}

test("a request goes through with its headers, its body and who asked", async () => {
  await using world = await startWorld([
    (request, body) => ({
      code: 201,
      headers: { "x-own": "1", "set-cookie": "a=b" },
      body: JSON.stringify({ url: request.url, headers: request.headers, body }),
    }),
  ]);
  const answer = await ask(
    {
      port: world.port,
      method: "POST",
      path: "/api?x=1",
      headers: {
        host: "shop.example:81",
        "x-secret": "1",
        connection: "close, X-Secret",
        "content-type": "text/plain",
      },
    },
    "hello",
  );
  const seen = JSON.parse(answer.body) as { url: string; headers: Record<string, string>; body: string };
  assert.deepEqual(
    [answer.code, answer.headers["x-own"], answer.headers["set-cookie"], seen.url, seen.body],
    [201, "1", ["a=b"], "/api?x=1", "hello"],
  );
  const {
    host,
    "x-forwarded-for": from,
    "x-forwarded-proto": proto,
    "x-forwarded-host": forwarded,
    "x-secret": secret,
  } = seen.headers;
  assert.deepEqual(
    [host, from, proto, forwarded, secret],
    ["shop.example:81", "127.0.0.1", "http", "shop.example:81", undefined],
  );
  assert.equal((await ask({ socketPath: world.socketPath, path: "/" })).code, 201);
});

test("TLS by name: the Secret's certificate, and the fallback for others", async () => {
  await using world = await startWorld([
    (request) => ({ body: request.headers["x-forwarded-proto"] as string }),
  ]);
  assert.equal(
    (
      await ask({
        port: world.securePort,
        servername: "shop.example",
        ca: world.cert,
        checkServerIdentity: () => undefined,
      })
    ).body,
    "https",
  );
  await assert.rejects(
    ask({ port: world.securePort, servername: "other.example", ca: world.cert }),
    /self-signed/,
  );
  assert.equal(
    (await ask({ port: world.securePort, servername: "", rejectUnauthorized: false })).body,
    "https",
  );
});

test("a pod that is down is passed over for requests that can be sent again, and told for others", async () => {
  await using world = await startWorld([() => ({ body: "first" }), () => ({ body: "second" })]);
  world.backends[0]?.closeAllConnections();
  await new Promise((resolve) => world.backends[0]?.close(resolve));
  for (let turn = 0; turn < 4; turn += 1) assert.equal((await ask({ port: world.port })).body, "second");
  const posts = await Promise.all([1, 2].map(() => ask({ port: world.port, method: "POST" }, "order")));
  assert.deepEqual(posts.map(({ code }) => code).toSorted(), [200, 502]);
  assert.match(
    posts.find(({ code }) => code === 502)?.body ?? "",
    /^the backend 127\.0\.0\.2:\d+ cannot be reached/,
  );
});

test("404 and 503 say what is missing", async () => {
  await using world = await startWorld([() => ({ body: "" })]);
  assert.match(
    (await ask({ port: world.port, headers: { host: "gone.example" } })).body,
    /^service n\/gone, the backend of this path, does not exist/,
  );
  world.objects.set({ slices: [] });
  const none = await ask({ port: world.port });
  assert.deepEqual([none.code, /no ready pod/.test(none.body)], [503, true]);
  world.objects.set({ ingresses: [] });
  assert.equal((await ask({ port: world.port })).code, 404);
});

test("an upgraded connection carries bytes both ways", async () => {
  await using world = await startWorld([() => ({ body: "" })]);
  const socket = connect(world.port, "127.0.0.1");
  let text = "";
  const said = new Promise<void>((resolve) =>
    socket.on(
      "data",
      (bytes: Buffer) => ((text += bytes.toString("utf8")), text.endsWith("ping") && resolve()),
    ),
  );
  socket.write("GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
  await new Promise((resolve) => socket.once("data", resolve));
  socket.write("ping");
  await said;
  assert.match(text, /^HTTP\/1\.1 101 Switching Protocols\r\n/);
  socket.destroy();
});

test("a large body streams both ways", async () => {
  await using world = await startWorld([(_request, body) => ({ body })]);
  const large = "x".repeat(5_000_000);
  assert.equal((await ask({ port: world.port, method: "PUT" }, large)).body.length, large.length);
});
