import assert from "node:assert/strict";
import type { IncomingMessage } from "node:http";
import { createServer } from "node:https";
import { mkdtempSync, rmSync } from "node:fs";
import { TLSSocket } from "node:tls";
import { X509Certificate } from "node:crypto";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, beforeEach, test } from "node:test";
import type { Client } from "@cortado/client";
import type { Clock } from "@cortado/std/clock";
import { serveHttp } from "@cortado/std/node/http";
import { systemClock } from "@cortado/std/node/clock";
import { systemFiles } from "@cortado/std/node/files";
import { systemRandom } from "@cortado/std/node/random";
import { StatusError } from "@cortado/std/status";
import { silentLog } from "@cortado/std/testing/silent-log";
import { openCertificates, type Certificates } from "../certificates/certificates.ts";
import { DAY_MS } from "../limits.ts";
import { JoinDesk, type JoinUser } from "./desk.ts";
import { openIdentity, type Identity } from "./identity.ts";
import { AUTHORITY_PATH, JOINERS_GROUP, type ClusterSettings } from "./protocol.ts";
import { parseToken, secureToken } from "./token.ts";

// A machine joins over real TLS, comes back, and renews; the server is a desk with an authority and a few secrets.
const folder = mkdtempSync(join(tmpdir(), "cortado-identity-"));
const kept = new Map<string, unknown>();
const asked: string[] = [];
const stop = new AbortController();
let certificates: Certificates;
let server: ReturnType<typeof createServer>;
let settings: ClusterSettings = {
  ...{ clusterCidr: "10.42.0.0/16", serviceCidr: "10.43.0.0/16", clusterDns: "10.43.0.10" },
  ...{ clusterDomain: "cluster.local", flannelBackend: "vxlan", disable: [] },
};

const client = {
  get: (_type: unknown, { name }: { readonly name: string }) =>
    kept.has(name) ? Promise.resolve(kept.get(name)) : Promise.reject(new StatusError("NotFound", name)),
  create: (_type: unknown, object: { readonly metadata: { readonly name: string } }) =>
    Promise.resolve(void kept.set(object.metadata.name, object)),
} as unknown as Client;

before(async () => {
  certificates = await openCertificates({
    ...{
      folder: join(folder, "tls"),
      files: systemFiles,
      clock: systemClock,
      random: systemRandom,
      log: silentLog,
    },
    serverNames: { dns: ["localhost"], ips: ["127.0.0.1"] },
  });
  const ports = { client, certificates, random: systemRandom, log: silentLog, ownNode: "server" };
  server = createServer({
    ...{ cert: certificates.serving.cert, key: certificates.serving.key, ca: certificates.clientCa },
    ...{ requestCert: true, rejectUnauthorized: false },
  });
  server.on("request", (request, response) => {
    const user = userOf(request);
    void serveHttp(
      async (one) => {
        asked.push(`${one.method} ${one.path} ${one.headers["authorization"] ?? "-"}`);
        if (one.path === AUTHORITY_PATH) return { status: 200, body: certificates.serverCa };
        return await new JoinDesk({ ...ports, settings }).handle(one, user);
      },
      { request, response },
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
});
beforeEach(() => void asked.splice(0));
after(() => {
  stop.abort();
  server.close();
  certificates[Symbol.dispose]();
  rmSync(folder, { recursive: true, force: true });
});
const nobody: JoinUser = { name: "system:anonymous", groups: [] };

function userOf({ socket, headers }: IncomingMessage): JoinUser {
  const subject =
    socket instanceof TLSSocket && socket.authorized ? socket.getPeerCertificate().subject : undefined;
  if (subject !== undefined) return { name: String(subject.CN), groups: [subject.O].flat().map(String) };
  const basic = `Basic ${Buffer.from("node:secret").toString("base64")}`;
  return headers.authorization === basic ? { name: "node", groups: [JOINERS_GROUP] } : nobody;
}

function open(
  name: string,
  more: { readonly token?: string; readonly clock?: Clock; readonly folder?: string } = {},
): Promise<Identity> {
  const { port } = server.address() as { readonly port: number };
  const token = more.token ?? secureToken(certificates.serverCa, { user: "node", password: "secret" });
  return openIdentity({
    ...{ server: new URL(`https://127.0.0.1:${port}`), token: parseToken(token), nodeName: name },
    ...{ folder: join(folder, more.folder ?? name), files: systemFiles, clock: more.clock ?? systemClock },
    ...{ random: systemRandom, log: silentLog, signal: stop.signal },
  });
}

const subjectOf = (pem: string): string => new X509Certificate(pem).subject.replaceAll("\n", ", ");

test("a machine joins: it is its node and a proxy, by keys that it made itself", async () => {
  using identity = await open("till");
  assert.equal(subjectOf(identity.kubelet.cert), "O=system:nodes, CN=system:node:till");
  assert.equal(subjectOf(identity.proxy.cert), "CN=system:kube-proxy");
  assert.equal(identity.settings.clusterCidr, "10.42.0.0/16");
  assert.equal(asked[0], `GET ${AUTHORITY_PATH} -`, "before it knows the server it says nothing secret");
});

test("it comes back without its token being asked for, and hears of newer settings", async () => {
  settings = { ...settings, clusterDomain: "shop.local" };
  using identity = await open("till");
  assert.equal(identity.settings.clusterDomain, "shop.local");
  assert.ok(
    asked.every((line) => line.endsWith(" -")),
    asked.join("\n"),
  );
});

test("certificates are renewed by themselves in the last third of their life, with the one that ends", async () => {
  const early = await open("till");
  const before = early.kubelet.cert;
  await early.renew();
  assert.equal(early.kubelet.cert, before, "not before");
  early[Symbol.dispose]();
  const later: Clock = { ...systemClock, nowMs: () => systemClock.nowMs() + 250 * DAY_MS };
  using identity = await open("till", { clock: later });
  let told = 0;
  identity.onRenewed(() => (told += 1));
  await identity.renew();
  assert.notEqual(identity.kubelet.cert, before);
  assert.equal(subjectOf(identity.kubelet.cert), "O=system:nodes, CN=system:node:till");
  assert.ok(told <= 1);
  assert.ok(
    asked.some((line) => line.startsWith("POST")) && asked.every((line) => line.endsWith(" -")),
    asked.join("\n"),
  );
  using again = await open("till");
  assert.equal(again.kubelet.cert, identity.kubelet.cert, "what was renewed is on disk");
});

test("a certificate that has ended is no use: the machine joins anew, by its token", async () => {
  const later: Clock = { ...systemClock, nowMs: () => systemClock.nowMs() + 400 * DAY_MS };
  using identity = await open("till", { clock: later });
  assert.match(asked.join("\n"), /POST \/v1-k3s\/client-kubelet\.crt Basic /);
  assert.equal(identity.settings.clusterDomain, "shop.local");
});

test("the same name from another machine, the server's own name and no name are refused", async () => {
  await assert.rejects(
    open("till", { folder: "twin" }),
    /a machine with another password joined as node till before/,
  );
  await assert.rejects(open("server"), /server is the server's own node/);
  await assert.rejects(open("Till_2"), /"Till_2" is no node name/);
});

test("a token of another server: the machine says so, and has sent nothing", async () => {
  const token = secureToken("another authority", { user: "node", password: "secret" });
  await assert.rejects(
    open("lost", { token }),
    /another server, or somebody in between; nothing secret was sent/,
  );
  assert.deepEqual(asked, [`GET ${AUTHORITY_PATH} -`]);
});

test("a node asks for its own certificate only", async () => {
  using identity = await open("till");
  const desk = new JoinDesk({
    ...{ client, certificates, settings, ownNode: "server", random: systemRandom, log: silentLog },
  });
  const request = {
    ...{ method: "POST", path: "/v1-k3s/client-kubelet.crt", query: new URLSearchParams(), remote: "t" },
    headers: { "k3s-node-name": "other", "k3s-node-password": "0123456789abcdef0123" },
    ...{
      body: () => Promise.resolve(new Uint8Array()),
      pieces: (async function* () {})(),
      signal: stop.signal,
    },
  };
  const till = { name: "system:node:till", groups: ["system:nodes"] };
  await assert.rejects(desk.handle(request, till), /node till asks for a certificate of node other/);
  await assert.rejects(desk.handle(request, nobody), /joining needs the token of this server/);
  await assert.rejects(
    desk.handle(
      { ...request, headers: { ...request.headers, "k3s-node-password": "x" } },
      { name: "node", groups: [JOINERS_GROUP] },
    ),
    /no password of at least 16 letters/,
  );
  assert.ok(identity.authority.includes("BEGIN CERTIFICATE"));
});
