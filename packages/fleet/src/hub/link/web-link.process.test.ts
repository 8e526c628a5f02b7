import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { systemClock } from "@cortado/std/node/clock";
import { StatusError } from "@cortado/std/status";
import { WebSocket } from "ws";
import { encodeFrame } from "../../protocol/frames.ts";
import { keySha256 } from "../register/keys.ts";
import type { PeerIdentity } from "../ports.ts";
import { acceptLink, identityOf } from "./web-link.ts";

/** Real certificates: an authority, a server's, a store's, and one that another authority signed. */
function certificates(folder: string): (name: string) => Buffer {
  const run = (...words: readonly string[]): void =>
    void execFileSync("openssl", words, { cwd: folder, stdio: "pipe", timeout: 20_000 });
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  for (const ca of ["ca", "other"])
    run("req", "-x509", ...curve, "-keyout", `${ca}.key`, "-out", `${ca}.pem`, "-subj", `/CN=${ca}`);
  for (const [name, subject, ca] of [
    ["server", "/CN=localhost", "ca"],
    ["store", "/O=cortado:stores/CN=fleet-default\\/store-1", "ca"],
    ["admin", "/O=system:masters/CN=fleet-default\\/store-1", "ca"],
    ["stranger", "/O=cortado:stores/CN=fleet-default\\/store-1", "other"],
  ] as const) {
    run("req", ...curve, "-keyout", `${name}.key`, "-out", `${name}.csr`, "-subj", subject);
    const by = ["-CA", `${ca}.pem`, "-CAkey", `${ca}.key`, "-CAcreateserial"];
    run("x509", "-req", "-in", `${name}.csr`, ...by, "-out", `${name}.pem`, "-days", "2");
  }
  return (name) => readFileSync(join(folder, name));
}

test("a store is known by its certificate over TLS, and text and bytes go both ways", async () => {
  const folder = mkdtempSync(join(tmpdir(), "cortado-link-"));
  const read = certificates(folder);
  const seen: PeerIdentity[] = [];
  const heard: unknown[] = [];
  const tls = { cert: read("server.pem"), key: read("server.key"), ca: read("ca.pem") };
  const server = createServer({ ...tls, requestCert: true, rejectUnauthorized: false });
  server.on("upgrade", (request, socket, head) => {
    try {
      seen.push(identityOf(socket, systemClock.nowMs()));
      const later = identityOf(socket, systemClock.nowMs() + 3 * 24 * 3_600_000);
      assert.equal(later.isExpired, true);
    } catch (error) {
      const reason = error instanceof StatusError ? error.reason : String(error);
      socket.end(`HTTP/1.1 403 ${reason}\r\ncontent-length: 0\r\n\r\n`);
      return;
    }
    acceptLink({ request, socket, head }, systemClock, (link) => {
      void (async () => {
        for await (const message of link.messages()) {
          heard.push(message);
          await link.send({ type: "pong" });
          await link.sendBytes(encodeFrame({ kind: "stream", stream: 1, bytes: new Uint8Array([9]) }));
        }
        heard.push("over");
      })();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `wss://127.0.0.1:${(server.address() as AddressInfo).port}/fleet/v1/connect`;
  const dial = (name?: string): WebSocket => {
    const own = name === undefined ? {} : { cert: read(`${name}.pem`), key: read(`${name}.key`) };
    const options = { ca: read("ca.pem"), servername: "localhost", ...own };
    return new WebSocket(url, [], options);
  };
  try {
    const socket = dial("store");
    const answers: string[] = [];
    await new Promise<void>((resolve, reject) => {
      socket.on("error", reject);
      socket.on("open", () => socket.send(JSON.stringify({ type: "ping" })));
      socket.on("message", (data: Buffer, isBinary) => {
        answers.push(isBinary ? data.toString("hex") : data.toString());
        if (answers.length === 2) resolve();
      });
    });
    assert.deepEqual(answers, ['{"type":"pong"}', "020000000109"]);
    assert.deepEqual(seen[0]?.cluster, { namespace: "fleet-default", name: "store-1" });
    const key = execFileSync("openssl", ["x509", "-in", "store.pem", "-pubkey", "-noout"], { cwd: folder });
    assert.equal(seen[0]?.keySha256, keySha256(key.toString()));
    assert.equal(seen[0]?.isExpired, false);
    const closed = new Promise<void>((resolve) => socket.on("close", () => resolve()));
    socket.close();
    await closed;
    assert.deepEqual(heard[0], { type: "ping" });
    for (const name of [undefined, "admin", "stranger"]) {
      const refused = dial(name);
      await assert.rejects(
        new Promise((resolve, reject) => {
          refused.on("open", resolve);
          refused.on("error", reject);
        }),
        /Unexpected server response: 403/,
        `${name ?? "nobody"} is refused`,
      );
    }
    assert.equal(seen.length, 1);
  } finally {
    server.closeAllConnections();
    server.close();
    rmSync(folder, { recursive: true });
  }
});
