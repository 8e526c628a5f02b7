import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { connect as connectTls } from "node:tls";
import { promisify } from "node:util";
import { openCertificates } from "@cortado/cluster/certificates";
import { startBroker, type Broker } from "@cortado/mqtt";
import { UserAccess } from "@cortado/mqtt/control";
import { newMetrics } from "@cortado/std/metrics";
import { systemClock } from "@cortado/std/node/clock";
import { systemFiles } from "@cortado/std/node/files";
import { systemNetwork } from "@cortado/std/node/net";
import { systemRandom } from "@cortado/std/node/random";
import { systemSecureNetwork } from "@cortado/std/node/tls";
import { HeldClock } from "@cortado/std/testing/held-clock";
import { keptLog } from "@cortado/std/testing/silent-log";
import type { MqttTlsConfig } from "./config/mqtt-tls.ts";
import { listenMqttTls } from "./mqtt-tls.ts";

// A store's broker over TLS, by mosquitto's own clients and the store's own certificates.
const run = promisify(execFile);
type KnownUser = Parameters<UserAccess["replace"]>[0][number];
const isThere = ["/usr/bin/mosquitto_pub", "/usr/bin/openssl"].every((path) => existsSync(path));
const skip = isThere ? false : "mosquitto-clients or openssl is not installed";

type World = {
  readonly at: (name: string) => string;
  readonly broker: Broker;
  readonly access: UserAccess;
  /** Of the looks at files. */
  readonly clock: HeldClock;
  /** Of the store's certificates. */
  readonly years: HeldClock;
  readonly lines: ReturnType<typeof keptLog>["lines"];
  readonly port: number;
  readonly listen: (config: Partial<MqttTlsConfig>) => Promise<AsyncDisposable>;
  /** Answers what mosquitto_pub says when it fails, and "" when it does not. */
  readonly publish: (...words: readonly string[]) => Promise<string>;
};

async function inWorld(work: (world: World) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "cortado-mqtt-tls-"));
  const at = (name: string): string => join(folder, name);
  try {
    const { log, lines } = keptLog();
    const [clock, years] = [new HeldClock(), new HeldClock(Date.now())];
    const ports = { files: systemFiles, random: systemRandom, log };
    using certificates = await openCertificates({
      ...ports,
      clock: years,
      folder: at("tls"),
      serverNames: { dns: ["localhost"], ips: ["127.0.0.1"] },
    });
    writeFileSync(at("server-ca.pem"), certificates.serverCa);
    const access = new UserAccess(systemRandom);
    access.replace([], { isOpen: true });
    await using broker = await startBroker({
      ...ports,
      ...{ clock: systemClock, folder: at("mqtt"), metrics: newMetrics() },
      ...{ network: systemNetwork, secureNetwork: systemSecureNetwork },
      authenticate: (credentials) => access.authenticate(credentials),
      authorize: (asked) => access.authorize(asked),
      mayRead: (session, topic) => access.mayRead(session, topic),
    });
    const port = await freePort();
    const none = { files: undefined, caFile: undefined, crlFile: undefined, requireCertificate: false };
    await work({
      ...{ at, broker, access, clock, years, lines, port },
      listen: (config) =>
        listenMqttTls(broker, {
          config: { port, webSocketPort: 0, ...none, ...config },
          addresses: [{ host: "127.0.0.1", port }],
          webSocketAddresses: [],
          ...{ certificates, files: systemFiles, clock, log },
        }),
      publish: async (...words) => {
        const target = ["-h", "localhost", "-p", String(port), "--cafile", at("server-ca.pem")];
        const message = ["-t", "/store104/fridge", "-m", "x", "-q", "1", "-i", "pub", "-V", "5"];
        try {
          const { stderr } = await run("mosquitto_pub", [...target, ...message, ...words], {
            timeout: 8_000,
          });
          return stderr;
        } catch (error) {
          return (error as { readonly stderr: string }).stderr || "it failed without a word";
        }
      },
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" ? (address?.port ?? 0) : 0));
    });
  });
}

/** An authority of its own, a certificate of it for this machine, and one for each client. */
async function makeAuthority(at: World["at"], name: string, clients: readonly string[]): Promise<void> {
  const key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes".split(" ");
  const openssl = (...words: readonly string[]) => run("openssl", words);
  const [ca, caKey] = [at(`${name}.pem`), at(`${name}.key`)];
  await openssl("req", "-x509", ...key, "-days", "9", "-subj", `/CN=${name}`, "-keyout", caKey, "-out", ca);
  for (const client of clients) {
    const files = ["-keyout", at(`${client}.key`), "-out", at("csr")];
    await openssl(
      "req",
      ...key,
      "-subj",
      `/CN=${client}`,
      "-addext",
      "subjectAltName=DNS:localhost",
      ...files,
    );
    const signing = ["-CA", ca, "-CAkey", caKey, "-CAcreateserial", "-copy_extensions", "copyall"];
    await openssl("x509", "-req", "-in", at("csr"), ...signing, "-days", "9", "-out", at(`${client}.pem`));
  }
}

function serialShown(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connectTls({ host: "127.0.0.1", port, rejectUnauthorized: false }, () => {
      resolve(socket.getPeerX509Certificate()?.serialNumber ?? "");
      socket.destroy();
    });
    socket.once("error", reject);
  });
}

async function until(what: string, look: () => Promise<boolean> | boolean): Promise<void> {
  for (const end = Date.now() + 8_000; !(await look());) {
    assert.ok(Date.now() < end, what);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

test("the store's own certificate is shown, and after its renewal the new one", { skip }, () =>
  inWorld(async ({ listen, publish, port, years }) => {
    await using _listening = await listen({});
    assert.equal(await publish(), "");
    const before = await serialShown(port);
    await years.advance(300 * 24 * 3_600_000);
    await until("another is shown", async () => (await serialShown(port)) !== before);
  }),
);

const fridge: KnownUser = {
  user: "fridge",
  certificateName: "fridge-104",
  anonymous: false,
  rules: [{ topics: ["/store104/#"], access: ["write"] }],
};

test(
  "a client's certificate is its name, as MqttUser knows it; without one a password is asked",
  { skip },
  () =>
    inWorld(async ({ at, listen, publish, access }) => {
      await makeAuthority(at, "devices", ["fridge-104", "unknown"]);
      await makeAuthority(at, "others", ["stranger"]);
      await using _listening = await listen({ caFile: at("devices.pem") });
      const as = (name: string): readonly string[] => [
        "--cert",
        at(`${name}.pem`),
        "--key",
        at(`${name}.key`),
      ];
      const espresso: KnownUser = { ...fridge, user: "espresso", password: "s3cret", certificateName: "e" };
      access.replace([fridge, espresso], { isOpen: false });
      assert.equal(await publish(...as("fridge-104")), "");
      assert.match(await publish(...as("fridge-104"), "-t", "safe"), /not authori[sz]ed/i);
      assert.match(await publish(...as("unknown")), /not authori[sz]ed/i);
      assert.notEqual(await publish(...as("stranger")), "");
      assert.match(await publish(), /not authori[sz]ed/i);
      assert.equal(await publish("-u", "espresso", "-P", "s3cret"), "");
      assert.match(await publish("-u", "espresso", "-P", "wrong"), /not authori[sz]ed|bad user/i);
    }),
);

test("required: who has no certificate is turned away", { skip }, () =>
  inWorld(async ({ at, listen, publish }) => {
    await makeAuthority(at, "devices", ["fridge-104"]);
    await using _listening = await listen({ caFile: at("devices.pem"), requireCertificate: true });
    assert.notEqual(await publish(), "");
    assert.equal(await publish("--cert", at("fridge-104.pem"), "--key", at("fridge-104.key")), "");
  }),
);

test("files are taken up within a minute; while they cannot be used the old ones are shown", { skip }, () =>
  inWorld(async ({ at, listen, port, publish, clock, lines }) => {
    const files = { certFile: at("till.pem"), keyFile: at("till.key") };
    await using _listening = await listen({ files });
    assert.match(lines.at(-1)?.message ?? "", /are not open/, "the store starts all the same");
    await makeAuthority(at, "shop", ["till"]);
    await clock.advance(60_000);
    await until("open", () => serialShown(port).then(Boolean, () => false));
    assert.equal(await publish("--cafile", at("shop.pem")), "");
    const before = await serialShown(port);
    const key = readFileSync(at("till.key"));
    await makeAuthority(at, "shop", ["till"]);
    const next = readFileSync(at("till.key"));
    writeFileSync(at("till.key"), key); // half of a renewal
    await clock.advance(60_000);
    await until("told", () => lines.some(({ message }) => message.includes("is shown on")));
    assert.equal(await serialShown(port), before);
    writeFileSync(at("till.key"), next);
    await clock.advance(60_000);
    await until("taken up", async () => (await serialShown(port)) !== before);
  }),
);
