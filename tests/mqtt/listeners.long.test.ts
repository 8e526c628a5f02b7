import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { freePorts } from "@cortado/demo/doors";
import mqtt from "mqtt";
import { run } from "../clients/clients.ts";
import { makeAuthority } from "./authority.ts";
import { barista, cortado, manager, names, Standalone } from "./standalone.ts";

// Listeners of `cortado mqtt` that differ from each other: by users, and by clients' certificates.
const isThere = ["/usr/bin/mosquitto_pub", "/usr/bin/openssl"].every((path) => existsSync(path));
const skip = isThere ? false : "mosquitto-clients or openssl is not installed";

test(
  "per_listener_settings: users and rules of each listener, by mosquitto's own clients",
  { skip },
  async () => {
    await using broker = new Standalone(await freePorts(2));
    const [inner = 0, outer = 0] = broker.ports;
    broker.write("outer", barista);
    broker.write("outer.acl", "user barista", "topic read menu/#", "topic write orders/%u", "topic orders/#");
    broker.write(
      "mosquitto.conf",
      "per_listener_settings true",
      `persistence_location ${broker.at("data")}`,
      `listener ${inner} 127.0.0.1`,
      "allow_anonymous true",
      `listener ${outer} 127.0.0.1`,
      `password_file ${broker.at("outer")}`,
      `acl_file ${broker.at("outer.acl")}`,
    );
    const out = ["--output", broker.at("mqtt.yaml")];
    const imported = await cortado("mqtt", "import", broker.at("mosquitto.conf"), ...out);
    assert.equal(imported.code, 0, imported.err);
    await broker.start();
    const me = names("barista", "espresso");
    const sayable = ["-q", "1", "-m", "x"];
    assert.equal((await broker.pub(inner, ...sayable, "-t", "menu/a", "-r")).code, 0, "anybody, inside");
    assert.equal((await broker.pub(inner, ...sayable, "-t", "safe", "-r")).code, 0);
    assert.notEqual((await broker.pub(outer, ...sayable, "-t", "menu/a")).code, 0, "nameless, outside");
    assert.notEqual((await broker.pub(outer, ...names("barista", "x"), ...sayable, "-t", "a")).code, 0);
    const seen = await broker.sub(outer, ...me, "-t", "#", "-v", "-W", "2");
    assert.equal(seen.out, "menu/a x\n");
    const session = ["-c", "-i", "desk", "-q", "1", "-t", "#"];
    await broker.sub(outer, ...me, ...session, "-E");
    await broker.end("SIGKILL");
    await broker.start();
    for (const topic of ["safe", "menu/b"]) await broker.pub(inner, ...sayable, "-t", topic);
    assert.equal((await broker.sub(outer, ...me, ...session, "-v", "-C", "1")).out, "menu/b x\n");
    // Another user, of that listener alone, without a restart.
    broker.write("outer", barista, manager);
    broker.signal("SIGHUP");
    await broker.logged(/were read anew/);
    const boss = names("manager", "ristretto");
    const refused = await broker.pub(outer, ...boss, "-V", "5", ...sayable, "-t", "safe");
    assert.match(refused.err, /not authori[sz]ed/i, "let in, and with no right to it");
    await broker.end("SIGTERM");
  },
);

test("WebSocket knows clients' certificates, and takes another of its own on SIGHUP", { skip }, async () => {
  await using broker = new Standalone(await freePorts(3));
  const [required = 0, asked = 0, plain = 0] = broker.ports;
  await makeAuthority(broker.folder, { clients: ["fridge", "nobody"], others: ["stranger"] });
  broker.write("acl", "user fridge", "topic fridge/#", "user barista", "topic #");
  broker.write("passwords", barista);
  const tls = ["server.pem", "server.key", "ca.pem"].map((name) => broker.at(name));
  const files = `certFile: ${tls[0]}, keyFile: ${tls[1]}, caFile: ${tls[2]}`;
  broker.write(
    "mqtt.yaml",
    `folder: ${broker.at("data")}`,
    `passwordFile: ${broker.at("passwords")}`,
    `aclFile: ${broker.at("acl")}`,
    "listeners:",
    `  - port: ${required}`,
    "    protocol: websockets",
    `    tls: { ${files}, requireCertificate: true, identity: commonName }`,
    `  - { port: ${asked}, protocol: websockets, tls: { ${files} } }`,
    `  - { port: ${plain}, address: 127.0.0.1 }`,
  );
  await broker.start();
  const pem = (name: string): Buffer => readFileSync(broker.at(name));
  const connect = (port: number, as: string | undefined, options: object = {}) =>
    mqtt.connectAsync(`wss://127.0.0.1:${port}/mqtt`, {
      ...{ ca: pem("ca.pem"), reconnectPeriod: 0, connectTimeout: 5_000, protocolVersion: 5 },
      ...(as === undefined ? {} : { cert: pem(`${as}.pem`), key: pem(`${as}.key`) }),
      ...options,
    });
  const fridge = await connect(required, "fridge", { username: "barista", clientId: "f" });
  await fridge.publishAsync("fridge/temp", "4", { qos: 1 });
  await assert.rejects(
    fridge.publishAsync("safe", "x", { qos: 1 }),
    /not authorized/i,
    "the name it has shown",
  );
  await fridge.endAsync();
  for (const as of ["stranger", undefined]) await assert.rejects(connect(required, as), String(as));
  await broker.logged(/mqtt TLS handshake failed/);
  // Asked for, and not required: a name and a password do as well.
  const me = { username: "barista", password: "espresso" };
  for (const as of ["nobody", undefined]) await (await connect(asked, as, me)).endAsync();
  await assert.rejects(connect(asked, "stranger", me), "a bad one is worse than none");
  await assert.rejects(connect(asked, "nobody"), /not authorized/i);

  const before = await shownAt(required);
  await makeAuthority(broker.folder, { clients: ["late"], others: [] });
  broker.signal("SIGHUP");
  await broker.logged(/were read anew/);
  assert.notEqual(await shownAt(required), before);
  await (await connect(required, "late", { clientId: "l" })).endAsync();
});

async function shownAt(port: number): Promise<string> {
  return (await run("openssl", ["s_client", "-connect", `127.0.0.1:${port}`], { input: "" })).out;
}
