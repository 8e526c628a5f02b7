import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { newMetrics } from "@cortado/std/metrics";
import type { TlsOptions } from "@cortado/std/net";
import { systemClock } from "@cortado/std/node/clock";
import { systemFiles } from "@cortado/std/node/files";
import { systemNetwork } from "@cortado/std/node/net";
import { systemRandom } from "@cortado/std/node/random";
import { systemSecureNetwork } from "@cortado/std/node/tls";
import { keptLog } from "@cortado/std/testing/silent-log";
import { startBroker, type Broker, type StartBrokerOptions } from "./mqtt.ts";

const run = promisify(execFile);
const isThere = ["/usr/bin/mosquitto_pub", "/usr/bin/openssl"].every((path) => existsSync(path));
const skip = isThere ? false : "mosquitto-clients or openssl is not installed";

type World = {
  readonly folder: string;
  readonly broker: Broker;
  readonly lines: ReturnType<typeof keptLog>["lines"];
  readonly tls: TlsOptions;
};

/** Authorities `ca` and `other`, certificates `server`, `fridge` and `gone` of the one and `stranger` of the other. */
async function makeCertificates(folder: string): Promise<void> {
  const openssl = (...args: string[]) => run("openssl", args, { cwd: folder });
  for (const name of ["ca", "other"])
    await openssl(
      ..."req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 9".split(" "),
      ...["-subj", `/CN=${name}`, "-keyout", `${name}.key`, "-out", `${name}.pem`],
    );
  const leaves: readonly (readonly [string, string, string])[] = [
    ["server", "/CN=localhost", "ca"],
    ["fridge", "/C=DE/O=Shop, 104/CN=fridge", "ca"],
    ["gone", "/CN=gone", "ca"],
    ["nameless", "/O=Shop", "ca"],
    ["stranger", "/CN=fridge", "other"],
  ];
  for (const [name, subject, authority] of leaves) {
    await openssl(
      ..."req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes".split(" "),
      ...["-subj", subject, "-keyout", `${name}.key`, "-out", `${name}.csr`],
    );
    await openssl(
      ...["x509", "-req", "-in", `${name}.csr`, "-CA", `${authority}.pem`, "-CAkey", `${authority}.key`],
      ...["-CAcreateserial", "-days", "9", "-out", `${name}.pem`],
    );
  }
  writeFileSync(join(folder, "index.txt"), "");
  const config = `[ca]\ndefault_ca=a\n[a]\ndatabase=${folder}/index.txt\ndefault_md=sha256\ndefault_crl_days=9\n`;
  writeFileSync(join(folder, "ca.conf"), config);
  const ca = ["ca", "-config", "ca.conf", "-keyfile", "ca.key", "-cert", "ca.pem"];
  await openssl(...ca, "-revoke", "gone.pem");
  await openssl(...ca, "-gencrl", "-out", "crl.pem");
}

async function inWorld(
  options: Partial<StartBrokerOptions>,
  work: (world: World) => Promise<void>,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "mqtt-tls-"));
  try {
    await makeCertificates(folder);
    const { log, lines } = keptLog();
    await using broker = await startBroker({
      files: systemFiles,
      folder: join(folder, "data"),
      network: systemNetwork,
      secureNetwork: systemSecureNetwork,
      clock: systemClock,
      random: systemRandom,
      log,
      metrics: newMetrics(),
      ...options,
    });
    const pem = (name: string): string => readFileSync(join(folder, name), "utf8");
    const tls: TlsOptions = {
      certificate: pem("server.pem"),
      key: pem("server.key"),
      clientCertificates: "required",
      clientAuthorities: pem("ca.pem"),
      revocations: pem("crl.pem"),
    };
    await work({ folder, broker, lines, tls });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const address = { host: "127.0.0.1", port: 0 };
const portOf = (listening: { readonly address: object }): string =>
  String("port" in listening.address ? listening.address.port : 0);

/** mosquitto_pub over TLS; answers what it says when it fails, and "" when it does not. */
async function publish(
  { folder }: World,
  port: string,
  { as, more = [] }: { readonly as?: string; readonly more?: readonly string[] } = {},
): Promise<string> {
  const client = as === undefined ? [] : ["--cert", `${as}.pem`, "--key", `${as}.key`];
  const args = ["-h", "localhost", "-p", port, "--cafile", "ca.pem", ...client];
  const message = ["-t", "/store104/fridge", "-m", "x", "-q", "1", "-i", "pub"];
  try {
    await run("mosquitto_pub", [...args, ...message, ...more], { cwd: folder, timeout: 8_000 });
    return "";
  } catch (error) {
    return (error as { stderr: string }).stderr;
  }
}

test(
  "TLS without clients' certificates: mosquitto_pub and _sub, and a certificate that is renewed",
  { skip },
  () =>
    inWorld({}, async (world) => {
      const { broker, tls, folder } = world;
      await using listening = await broker.listen(address, { tls: { ...tls, clientCertificates: "none" } });
      const port = portOf(listening);
      assert.equal(await publish(world, port, { more: ["-r"] }), "");
      const at = ["-h", "localhost", "-p", port, "--cafile", "ca.pem", "-W", "5"];
      const got = await run("mosquitto_sub", [...at, "-V", "5", "-t", "/+/fridge", "-C", "1"], {
        cwd: folder,
      });
      assert.equal(got.stdout, "x\n");
      assert.notEqual(await publish(world, port, { more: ["--cafile", "other.pem"] }), "");
      listening.renew({ ...tls, clientCertificates: "none" });
      assert.throws(() => listening.renew({ ...tls, key: "nonsense" }), /cannot be used/);
      assert.equal(await publish(world, port), "");
    }),
);

test("required certificates are the users' names: common name, or the whole subject", { skip }, () => {
  const users: string[] = [];
  const options: Partial<StartBrokerOptions> = {
    authenticate: () => Promise.reject(new Error("no password is asked for")),
    authorize: ({ user, action }) => {
      if (action === "publish") users.push(user);
      return user !== "nobody";
    },
  };
  return inWorld(options, async (world) => {
    const { broker, tls, lines } = world;
    await using byName = await broker.listen(address, { tls, identity: "common-name" });
    await using bySubject = await broker.listen(address, { tls, identity: "subject" });
    const [port, other] = [portOf(byName), portOf(bySubject)];
    assert.equal(await publish(world, port, { as: "fridge", more: ["-u", "root"] }), "");
    assert.equal(await publish(world, other, { as: "fridge" }), "");
    assert.deepEqual(users, ["fridge", "CN=fridge,O=Shop\\, 104,C=DE"]);
    for (const as of [undefined, "stranger", "gone"])
      assert.notEqual(await publish(world, port, as === undefined ? {} : { as }), "", String(as));
    assert.match(await publish(world, port, { as: "nameless" }), /not authori[sz]ed|bad user/i);
    assert.equal(users.length, 2);
    const reasons = lines
      .filter(({ message }) => /handshake failed/.test(message))
      .map(({ fields }) => String(fields["reason"]));
    assert.ok(reasons.length >= 3, reasons.join("; "));
  });
});

test(
  "asked certificates: none is fine and asked for a password, a bad one is not; the broker sees which it was",
  { skip },
  () => {
    const names: (string | undefined)[] = [];
    const options: Partial<StartBrokerOptions> = {
      authenticate: ({ certificate, username = "?" }) => {
        names.push(certificate?.commonName);
        return Promise.resolve(username === "anna" ? { user: "anna" } : undefined);
      },
    };
    return inWorld(options, async (world) => {
      const { broker, tls } = world;
      await using listening = await broker.listen(address, { tls: { ...tls, clientCertificates: "asked" } });
      const port = portOf(listening);
      const anna = ["-u", "anna", "-P", "x"];
      assert.equal(await publish(world, port, { more: anna }), "");
      assert.equal(await publish(world, port, { as: "fridge", more: anna }), "");
      assert.match(await publish(world, port, { as: "fridge" }), /not authori[sz]ed|bad user/i);
      assert.notEqual(await publish(world, port, { as: "stranger", more: anna }), "");
      assert.deepEqual(names, [undefined, "fridge", "fridge"]);
    });
  },
);

test("what does not fit together is refused by name", { skip }, () =>
  inWorld({}, async ({ broker, tls }) => {
    await assert.rejects(broker.listen(address, { tls: { ...tls, key: "x" } }), /cannot be used/);
    const { clientAuthorities: _none, ...without } = tls;
    await assert.rejects(broker.listen(address, { tls: without }), /names no authorities/);
    await assert.rejects(broker.listen(address, { identity: "subject" }), /has no TLS/);
  }),
);

test(
  "a Unix socket: mosquitto_pub and _sub, again after a broker that was killed left it behind",
  { skip },
  () =>
    inWorld({}, async ({ broker, folder }) => {
      const path = join(folder, "mqtt.sock");
      writeFileSync(path, "");
      await using _listening = await broker.listen({ path });
      await run("mosquitto_pub", ["--unix", path, "-t", "/a", "-m", "x", "-q", "2", "-r", "-V", "5"]);
      const got = await run("mosquitto_sub", ["--unix", path, "-t", "/+", "-C", "1", "-W", "5"]);
      assert.equal(got.stdout, "x\n");
    }),
);
