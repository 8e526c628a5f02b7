import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer as createProxy } from "node:http";
import { createServer, type Server } from "node:https";
import { connect, type AddressInfo, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { WebSocketServer } from "ws";
import type { TLSSocket } from "node:tls";
import { openHubDoor } from "./hub-door.ts";
import { machineKeys } from "./keys.ts";

type Pair = { readonly certificate: string; readonly privateKey: string };

/** Authorities and certificates by openssl; dates are days from now. */
class Desk implements Disposable {
  readonly folder: string = mkdtempSync(join(tmpdir(), "hub-"));

  authority(name: string): string {
    this.#openssl([
      "req",
      "-x509",
      ...key(name),
      "-out",
      `${name}.crt`,
      "-subj",
      `/CN=${name}`,
      "-days",
      "9",
    ]);
    return this.#read(`${name}.crt`);
  }

  issue(name: string, { by, from = 0, days = 2 }: { by: string; from?: number; days?: number }): Pair {
    writeFileSync(join(this.folder, "ext"), "subjectAltName=IP:127.0.0.1\n");
    this.#openssl(["req", "-new", ...key(name), "-out", `${name}.csr`, "-subj", `/CN=${name}`]);
    const stamp = (day: number): string =>
      new Date(Date.now() + day * 86_400_000).toISOString().replaceAll(/[-:T]|\.\d+/g, "");
    const settings =
      "[ca]\ndefault_ca=d\n[d]\ndatabase=index\nnew_certs_dir=.\ndefault_md=sha256\npolicy=p\n";
    writeFileSync(
      join(this.folder, "settings"),
      `${settings}unique_subject=no\nrand_serial=yes\n[p]\ncommonName=supplied\n`,
    );
    writeFileSync(join(this.folder, "index"), "");
    const dates = ["-startdate", stamp(from), "-enddate", stamp(from + days)];
    const signer = ["-cert", `${by}.crt`, "-keyfile", `${by}.key`, "-extfile", "ext"];
    const files = ["-config", "settings", "-in", `${name}.csr`, "-out", `${name}.crt`, "-notext"];
    this.#openssl(["ca", "-batch", ...files, ...signer, ...dates]);
    return { certificate: this.#read(`${name}.crt`), privateKey: this.#read(`${name}.key`) };
  }

  #read(name: string): string {
    return readFileSync(join(this.folder, name), "utf8");
  }

  #openssl(words: readonly string[]): void {
    execFileSync("openssl", words, { cwd: this.folder, stdio: "ignore" });
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

const key = (name: string): readonly string[] => [
  ...["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
  ...["-nodes", "-keyout", `${name}.key`],
];

/** A server with the hub's doors: certificates of the authority alone may connect, and what is said comes back. */
async function serve(authority: string, pair: Pair): Promise<Disposable & { readonly url: string }> {
  const server: Server = createServer(
    {
      cert: pair.certificate,
      key: pair.privateKey,
      ca: authority,
      requestCert: true,
      rejectUnauthorized: false,
    },
    (request, answer) => {
      if (request.url === "/cacerts") return answer.end(authority);
      if (request.url === "/fleet/v1/challenge") return answer.end('{"challenge":"riddle"}');
      answer.statusCode = 409;
      return answer.end('{"kind":"Status","reason":"Conflict","message":"the name is taken"}');
    },
  );
  const sockets = new WebSocketServer({ noServer: true, maxPayload: 1 << 25 });
  server.on("upgrade", (request, socket: TLSSocket, head) => {
    if (!socket.authorized)
      return socket.end(
        'HTTP/1.1 401 Unauthorized\r\nconnection: close\r\n\r\n{"kind":"Status","reason":"Unauthorized","message":"no"}',
      );
    return sockets.handleUpgrade(request, socket, head, (one) => {
      one.send('{"type":"pong"}');
      one.on("message", (data, binary) => one.send(data as Buffer, { binary }));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `https://127.0.0.1:${port}`,
    [Symbol.dispose]() {
      for (const one of sockets.clients) one.terminate();
      server.closeAllConnections();
      server.close();
    },
  };
}

async function serveProxy(asked: string[]): Promise<Disposable & { readonly port: number }> {
  const open = new Set<Socket>();
  const server = createProxy().on("connect", (request, socket: Socket) => {
    asked.push(`${request.url} ${request.headers["proxy-authorization"] ?? "-"}`);
    if (request.headers["proxy-authorization"] === undefined)
      return socket.end("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n");
    const [host, port] = (request.url ?? "").split(":");
    const far = connect(Number(port), host, () => {
      socket.write("HTTP/1.1 200 OK\r\n\r\n");
      far.pipe(socket).pipe(far);
    });
    open.add(far).add(socket);
    return undefined;
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    [Symbol.dispose]() {
      for (const one of open) one.destroy();
      server.close();
    },
  };
}

const { signal } = new AbortController();

test("a store finds its hub by its authority alone, and talks with its certificate", async () => {
  using desk = new Desk();
  const authority = desk.authority("ca");
  using hub = await serve(authority, desk.issue("hub", { by: "ca" }));
  const door = openHubDoor({ url: hub.url });
  assert.equal(await door.readAuthority({ signal }), authority);
  const trust = { authority, signal };
  assert.equal(await door.challenge(trust), "riddle");
  const request = { token: "t", clientId: "c", labels: {}, publicKey: "p", proof: "x" };
  await assert.rejects(door.register(request, trust), { reason: "Conflict", message: "the name is taken" });

  const link = await door.dial(desk.issue("store", { by: "ca" }), trust);
  const reader = link.messages()[Symbol.asyncIterator]();
  assert.deepEqual((await reader.next()).value, { type: "pong" });
  await link.send({ type: "ping" });
  assert.deepEqual((await reader.next()).value, { type: "ping" });
  const big = machineKeys.make().publicKey.repeat(20_000);
  const bytes = Buffer.from(big);
  await link.sendBytes(bytes);
  const back = (await reader.next()).value as unknown as Uint8Array;
  assert.ok(bytes.equals(back), `${back.length} of ${bytes.length} bytes came back`);
  await link[Symbol.asyncDispose]();
  assert.equal((await reader.next()).done, true);
  await assert.rejects(link.send({ type: "ping" }), { reason: "ServiceUnavailable" });
});

test("another authority's hub is refused, with any date; a hub with an old date is not", async () => {
  using desk = new Desk();
  const [authority, other] = [desk.authority("ca"), desk.authority("other")];
  const trust = { authority, signal };
  const store = desk.issue("store", { by: "ca" });
  for (const [name, by, from, fits] of [
    ["late", "ca", -5, true],
    ["early", "ca", 3, true],
    ["rogue", "other", 0, false],
    ["rogue-late", "other", -5, false],
  ] as const) {
    using hub = await serve(authority, desk.issue(name, { by, from }));
    const link = openHubDoor({ url: hub.url }).dial(store, trust);
    if (fits) await (await link)[Symbol.asyncDispose]();
    else await assert.rejects(link, { reason: "BadGateway", message: /is not the hub/ }, name);
  }
  // A self-made authority of the same name signs nothing for us.
  assert.notEqual(other, authority);
  using stranger = await serve(authority, desk.issue("hub", { by: "ca" }));
  const elsewhere = openHubDoor({ url: stranger.url.replace("127.0.0.1", "localhost") });
  await assert.rejects(
    elsewhere.challenge(trust),
    { reason: "BadGateway" },
    "its name is not in the certificate",
  );
});

test("a certificate that the hub does not take, a hub that is not there, and a URL that is none are told apart", async () => {
  using desk = new Desk();
  const authority = desk.authority("ca");
  desk.authority("other");
  const trust = { authority, signal };
  using hub = await serve(authority, desk.issue("hub", { by: "ca" }));
  const { url } = hub;
  for (const pair of [desk.issue("s1", { by: "other" }), desk.issue("s2", { by: "ca", from: -5 })])
    await assert.rejects(openHubDoor({ url }).dial(pair, trust), { reason: "Unauthorized" });
  const nobody = openHubDoor({ url: "https://127.0.0.1:1" });
  await assert.rejects(nobody.challenge(trust), {
    reason: "ServiceUnavailable",
    message: /127.0.0.1:1 does not/,
  });
  assert.throws(() => openHubDoor({ url: "http://hub" }), /no URL of the form https:\/\/HOST:PORT/);
  const stopped = AbortSignal.abort(new Error("stop"));
  await assert.rejects(openHubDoor({ url }).challenge({ authority, signal: stopped }), /the agent stops/);
});

test("through a proxy that wants a name and a password", async () => {
  using desk = new Desk();
  const authority = desk.authority("ca");
  using hub = await serve(authority, desk.issue("hub", { by: "ca" }));
  const asked: string[] = [];
  using proxy = await serveProxy(asked);
  const trust = { authority, signal };
  const door = openHubDoor({ url: hub.url, proxy: `http://shop:p%40ss@127.0.0.1:${proxy.port}` });
  assert.equal(await door.challenge(trust), "riddle");
  const link = await door.dial(desk.issue("store", { by: "ca" }), trust);
  for await (const message of link.messages()) {
    assert.deepEqual(message, { type: "pong" });
    break;
  }
  await link[Symbol.asyncDispose]();
  const basic = `Basic ${Buffer.from("shop:p@ss").toString("base64")}`;
  assert.deepEqual(new Set(asked), new Set([`${hub.url.slice("https://".length)} ${basic}`]));
  const nameless = openHubDoor({ url: hub.url, proxy: `http://127.0.0.1:${proxy.port}` });
  await assert.rejects(nameless.challenge(trust), {
    reason: "BadGateway",
    message: /answers 407 to CONNECT.*give its user/,
  });
});
