import assert from "node:assert/strict";
import { test } from "node:test";
import { aclAllows, readAclFile, type AclQuestion } from "./acl-file.ts";
import { realmOf } from "../standalone/settings.ts";
import { importMosquittoConf } from "./conf.ts";
import { passwordFits, readPasswordFile } from "./password-file.ts";

const importOf = (text: string) => importMosquittoConf(text, "mosquitto.conf");
const utf8 = new TextEncoder();

test("an empty file is mosquitto's default: this machine only, and anybody on it", () => {
  const { settings, faults, notes } = importOf("# nothing\n\n");
  assert.deepEqual(settings, {
    folder: "/var/lib/cortado-mqtt",
    listeners: [{ address: "127.0.0.1", port: 1883 }],
    allowAnonymous: true,
  });
  assert.deepEqual([faults, notes], [[], []]);
});

test("listeners, TLS, files, limits and bridges are taken over", () => {
  const { settings, faults } = importOf(`
listener 1883
listener 8883 10.0.0.1
cafile /etc/ca.pem
certfile /etc/cert.pem
keyfile /etc/key.pem
require_certificate true
use_identity_as_username true
tls_version tlsv1.3
listener 9001
protocol websockets
listener 0 /run/mqtt.sock
persistence_location /data/mosquitto/
password_file /etc/passwords
acl_file /etc/acl
max_queued_messages 5000
max_inflight_messages 0
max_keepalive 120
persistent_client_expiration 2w
connection hq
addresses one.example:8883 [2001:db8::1] two.example
topic /store104/# out 1 "" hq
topic alarms/+ both 2
remote_username store
remote_password s3cret
bridge_protocol_version mqttv50
bridge_cafile /etc/hq.pem
bridge_insecure false
restart_timeout 5 300
keepalive_interval 20
`);
  assert.deepEqual(faults, []);
  assert.deepEqual(settings, {
    folder: "/data/mosquitto/",
    listeners: [
      { port: 1883 },
      {
        port: 8883,
        address: "10.0.0.1",
        tls: {
          caFile: "/etc/ca.pem",
          certFile: "/etc/cert.pem",
          keyFile: "/etc/key.pem",
          requireCertificate: true,
          identity: "commonName",
          minVersion: "TLSv1.3",
        },
      },
      { port: 9001, protocol: "websockets" },
      { unix: "/run/mqtt.sock" },
    ],
    allowAnonymous: false,
    passwordFile: "/etc/passwords",
    aclFile: "/etc/acl",
    limits: { sessionItemsMax: 5_000, keepAliveMaxS: 120, sessionExpiryMs: 14 * 24 * 3_600_000 },
    bridges: [
      {
        name: "hq",
        addresses: ["one.example:8883", "[2001:db8::1]:1883", "two.example:1883"],
        protocol: "mqttv5",
        topics: [
          { pattern: "/store104/#", direction: "out", qos: 1, remotePrefix: "hq" },
          { pattern: "alarms/+", direction: "both", qos: 2 },
        ],
        username: "store",
        password: "s3cret",
        reconnect: { firstSeconds: 5, maxSeconds: 300 },
        keepAliveSeconds: 20,
        tls: { caFile: "/etc/hq.pem", insecureSkipVerify: false },
      },
    ],
  });
});

test("per_listener_settings: each listener has its own users and rules, and says so", () => {
  const { settings, faults } = importOf(`
per_listener_settings true
listener 1883 127.0.0.1
allow_anonymous true
acl_file /etc/inner.acl
listener 8883
password_file /etc/outer
listener 8884
certfile /etc/cert.pem
keyfile /etc/key.pem
cafile /etc/ca.pem
require_certificate true
use_identity_as_username true
`);
  assert.deepEqual(faults, []);
  assert.equal(settings.allowAnonymous, false);
  assert.deepEqual(settings.listeners.slice(0, 2), [
    { port: 1883, address: "127.0.0.1", allowAnonymous: true, aclFile: "/etc/inner.acl" },
    { port: 8883, passwordFile: "/etc/outer", allowAnonymous: false },
  ]);
  assert.equal(settings.listeners[2]?.allowAnonymous, false);
  assert.deepEqual(settings.listeners.map(realmOf), ["127.0.0.1:1883", "0.0.0.0:8883", "0.0.0.0:8884"]);
});

test("per_listener_settings: what is of no listener, and a listener that nobody could use, are refused by line", () => {
  const { faults } = importOf(
    [
      "allow_anonymous true",
      "per_listener_settings true",
      "acl_file /etc/acl",
      "listener 1883",
      "listener 1884",
      "password_file /etc/users",
    ].join("\n"),
  );
  const said = faults.map(({ line, message }) => [line, message.slice(0, 40)]);
  assert.deepEqual(said, [
    [4, "nobody could connect to this listener: a"],
    [1, "allow_anonymous: with per_listener_setti"],
    [3, "acl_file: with per_listener_settings it "],
  ]);
  // Of no listener at all it is for the one that is there by default.
  const alone = importOf("per_listener_settings true\npassword_file /etc/users\n");
  assert.deepEqual([alone.faults, alone.settings.passwordFile], [[], "/etc/users"]);
});

test("what cannot be honoured is refused by its line; what means nothing here is a note", () => {
  const { faults, notes } = importOf(
    [
      "persistence true",
      "autosave_interval 60",
      "listener 99999",
      "mount_point stores/",
      "allow_anonymous yes",
      "queue_qos0_messages true",
      "plugin /usr/lib/mosquitto_dynamic_security.so",
      "frobnicate 1",
      "topic a out",
      "psk_file /etc/psk",
      "connection hq",
      "address hq.example:port",
      "topic a sideways",
      "topic a out 3",
      "start_type lazy",
      "local_clientid me",
    ].join("\n"),
  );
  assert.deepEqual(
    notes.map(({ line }) => line),
    [1, 2, 16],
  );
  const said = new Map(faults.map(({ line, message }) => [line, message]));
  for (const [line, words] of [
    [3, /listener 99999: give a port from 1 to 65535/],
    [4, /mount_point: topics cannot be put/],
    [5, /allow_anonymous yes: write true or false/],
    [6, /queue_qos0_messages true: QoS 0 is not queued/],
    [7, /plugin: plugins are not loaded/],
    [8, /frobnicate: there is no such option/],
    [9, /topic: it belongs behind a connection/],
    [10, /pre-shared keys/],
    [12, /address hq\.example:port: write HOST or HOST:PORT/],
    [13, /topic a: the direction sideways/],
    [14, /topic a: the QoS 3/],
    [15, /start_type lazy: a bridge connects by itself/],
  ] as const)
    assert.match(said.get(line) ?? "", words, `line ${line}`);
  assert.match(said.get(11) ?? "", /connection hq has no (address|topic)/);
});

test("a listener of which nobody could make use is refused, and so is half of TLS", () => {
  assert.match(importOf("listener 1883").faults[0]?.message ?? "", /nobody could connect/);
  assert.deepEqual(importOf("listener 1883\nallow_anonymous true").faults, []);
  const half = importOf("listener 8883\nallow_anonymous true\ncafile /ca\ncertfile /cert");
  assert.match(half.faults[0]?.message ?? "", /certfile and keyfile go together/);
});

const acl = readAclFile(
  [
    "# who has no name",
    "topic read public/#",
    "topic deny public/secret",
    "user barista",
    "topic /store104/#",
    "topic deny /store104/safe",
    "topic write orders/new",
    "topic read with space/+",
    "pattern readwrite clients/%c/#",
    "pattern read users/%u/+",
  ].join("\n"),
  "acl",
);

test("acl_file: users, anonymous and patterns, and what denies goes first", () => {
  assert.deepEqual(acl.faults, []);
  const may = (question: Partial<AclQuestion>): boolean =>
    aclAllows(acl.acl, { user: undefined, clientId: "c1", access: "read", topic: "", ...question });
  const barista = { user: "barista" } as const;
  for (const [question, wanted] of [
    [{ topic: "public/a" }, true],
    [{ topic: "public/a", access: "write" }, false],
    [{ topic: "public/secret" }, false],
    [{ ...barista, topic: "public/a" }, false],
    [{ ...barista, topic: "/store104/fridge/temp", access: "write" }, true],
    [{ ...barista, topic: "/store104/safe" }, false],
    [{ ...barista, topic: "store104/fridge" }, false],
    [{ ...barista, topic: "orders/new", access: "write" }, true],
    [{ ...barista, topic: "orders/new" }, false],
    [{ ...barista, topic: "with space/x" }, true],
    [{ topic: "clients/c1/x", access: "write" }, true],
    [{ topic: "clients/c2/x" }, false],
    [{ ...barista, topic: "users/barista/x" }, true],
    [{ topic: "users//x" }, false],
    [{ user: "+", topic: "users/barista/x" }, false],
    [{ clientId: "#", topic: "clients/c2/x" }, false],
    [{ ...barista, topic: "$SYS/broker/version" }, false],
  ] as const)
    assert.equal(may(question), wanted, JSON.stringify(question));
  const bad = readAclFile("user\ntopic read\ntopic a/#/b\nrole x", "acl");
  assert.deepEqual(
    bad.faults.map(({ line }) => line),
    [1, 3, 4],
  );
});

// mosquitto_passwd -b FILE barista espresso, of mosquitto 2.0.11: $7$ by default, $6$ with -H sha512.
const hashed = {
  seven:
    "barista:$7$101$yINUQo9fR0a2EjHt$fjcedtn4niPHsGnodMZxmiLXreVjY9/fIvbEtbQiEizs/N+KEV0cqdEnrx7pWdprW0LMfU5gRwUP7zIsZl5hdQ==",
  six: "till:$6$FDoNHCTGx4F2VVuV$61kUz02PGQKHybvnDbOjwg9z0Xl+Ea3CoXTSJViNHZeAIa2TDhlgHzB+Hgahd7g3o2v89bMUfqTQQ2eyOs7WKQ==",
};

test("password_file: the hashes of mosquitto_passwd open the door, and nothing else does", async () => {
  const { users, faults } = readPasswordFile(`${hashed.seven}\n${hashed.six}\n`, "passwords");
  assert.deepEqual(faults, []);
  const fits = (user: string, password: string): Promise<boolean> =>
    passwordFits(users, { user, password: utf8.encode(password) });
  assert.equal(await fits("barista", "espresso"), true);
  assert.equal(await fits("till", "espresso"), true);
  assert.equal(await fits("barista", "Espresso"), false);
  assert.equal(await fits("till", ""), false);
  assert.equal(await fits("nobody", "espresso"), false);
  const bad = readPasswordFile("a:plain\nb\n:$6$aa$bb\nc:$7$x$aa$bb\nd:$7$101$aa$bb", "passwords");
  assert.deepEqual(
    bad.faults.map(({ line }) => line),
    [1, 2, 3, 4, 5],
  );
  assert.ok(
    bad.faults.every(({ message }) => !message.includes("plain")),
    "no secret is repeated",
  );
});
