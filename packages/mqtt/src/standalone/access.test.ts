import assert from "node:assert/strict";
import { test } from "node:test";
import { importMosquittoConf } from "../mosquitto/conf.ts";
import { TestClient, until, World } from "../testing/world.ts";
import { FileAccess, type FileRules } from "./access.ts";
import { readAccess, realmOf, toMqttSettings } from "./standalone.ts";

// mosquitto_passwd of 2.0.11: barista/espresso, then manager/ristretto under the same name.
const espresso =
  "$7$101$OSJ/X2gyW2XuZWTx$jfezaMZXLK9PaZM56HbHkj/KIGZQeVNzf0geCu8rWG9jkeOynwBTGmAscIeT/msG+aAo0ZNDuIt/fjG069yhFA==";
const ristretto =
  "$7$101$/vjJDc+hesp8kPC3$ylkQFRkYjtILnC1OVzW5EU+rxn61E8ARKmDW9xXmtxRkLN6wY4VahPkHbvHpRqWZ7BSK+JmDwAPf/GLbf6b2Jg==";
const conf = `
per_listener_settings true
listener 1883 inner
password_file /inner
acl_file /inner.acl
listener 1884 outer
password_file /outer
acl_file /outer.acl
listener 1885 open
allow_anonymous true
`;
const files: Record<string, string> = {
  "/inner": `anna:${espresso}\n`,
  "/outer": `anna:${ristretto}\n`,
  "/inner.acl": "user anna\ntopic #\n",
  "/outer.acl": "user anna\ntopic read menu/#\npattern readwrite desk/%u/#\n",
};
const read = (path: string): Promise<string> => Promise.resolve(files[path] ?? "");

async function rulesOf(text: string): Promise<FileRules> {
  return await readAccess(toMqttSettings(importMosquittoConf(text, "conf").settings, "mqtt.yaml"), read);
}

/** A broker on the listeners of the file; `inner`, `outer` and `open` are their hosts. */
async function inWorld(work: (world: World, access: FileAccess) => Promise<void>): Promise<void> {
  const { settings } = importMosquittoConf(conf, "conf");
  const access = new FileAccess(await rulesOf(conf));
  await using world = await World.start({
    authenticate: access.authenticate,
    authorize: access.authorize,
    mayRead: access.mayRead,
  });
  const listen = world.boot.bind(world);
  const listenAll = async (): Promise<void> => {
    for (const one of settings.listeners) {
      const realm = realmOf(one);
      assert.ok(realm !== undefined && one.address !== undefined && one.port !== undefined);
      await world.broker.listen({ host: one.address, port: one.port }, { realm });
    }
  };
  world.boot = async () => {
    await listen();
    await listenAll();
  };
  await listenAll();
  await work(world, access);
}

const utf8 = new TextEncoder();
type Dialling = {
  readonly at: "inner" | "outer" | "open";
  readonly clientId: string;
  readonly password?: string;
  readonly username?: string;
  readonly cleanSession?: boolean;
};

async function dial(world: World, { at, clientId, password, ...more }: Dialling): Promise<TestClient> {
  const address = { host: at, port: { inner: 1883, outer: 1884, open: 1885 }[at] };
  const client = new TestClient(await world.network.dial(address), { autoAck: true, level: 4 });
  client.send({
    ...{ type: "connect", level: 4, cleanSession: true, keepAliveS: 0, clientId, ...more },
    ...(password === undefined ? {} : { username: more.username ?? "anna", password: utf8.encode(password) }),
  });
  return client;
}

async function codeOf(client: TestClient): Promise<number> {
  await client.expect("connack");
  return client.connack.code;
}

async function connected(world: World, dialling: Dialling): Promise<TestClient> {
  const client = await dial(world, dialling);
  assert.equal(await codeOf(client), 0);
  return client;
}

const innerAnna = { at: "inner", password: "espresso" } as const;
const outerAnna = { at: "outer", password: "ristretto" } as const;

test("users are those of their listener, though they have the same name", () =>
  inWorld(async (world) => {
    for (const [dialling, code] of [
      [{ ...innerAnna, password: "ristretto" }, 4],
      [{ ...outerAnna, password: "espresso" }, 4],
      [{ at: "inner" }, 5],
      [{ at: "open" }, 0],
      [innerAnna, 0],
      [outerAnna, 0],
    ] as const) {
      const client = await dial(world, { clientId: JSON.stringify(dialling), ...dialling });
      assert.equal(await codeOf(client), code, JSON.stringify(dialling));
    }
  }));

test("rules are those of the listener, for a session too that nobody is connected to, over a power cut", () =>
  inWorld(async (world) => {
    const inner = await connected(world, { ...innerAnna, clientId: "inner" });
    const outer = await connected(world, { ...outerAnna, clientId: "outer", cleanSession: false });
    await outer.subscribed("#");
    outer.autoAck = false;
    await outer.published("desk/anna/a", "1");
    outer.publish("safe", "not hers to write");
    await until(() => outer.closed, "before MQTT 5 there is no other way to say no");
    await world.cutPower();
    const again = await connected(world, { ...innerAnna, clientId: "inner" });
    await again.published("menu/today", "2");
    await again.published("safe", "not hers to read");
    const back = await connected(world, { ...outerAnna, clientId: "outer", cleanSession: false });
    await again.published("menu/today", "3");
    await until(() => back.texts.includes("3"), "the last one");
    assert.deepEqual(
      back.messages.map(({ topic }) => topic),
      ["desk/anna/a", "menu/today", "menu/today"],
    );
    assert.equal(inner.closed, true);
  }));

test("a session is its listener's: another's user of the same name does not get it", () =>
  inWorld(async (world) => {
    await connected(world, { ...innerAnna, clientId: "shared", cleanSession: false });
    const other = await dial(world, { ...outerAnna, clientId: "shared", cleanSession: false });
    assert.equal(await codeOf(other), 5);
  }));

test("nobody may call himself as another listener's users are called", async () => {
  const access = new FileAccess({
    common: { allowAnonymous: true, clientIdPrefix: undefined, passwords: undefined, acl: undefined },
    realms: (await rulesOf(conf)).realms,
  });
  const as = (username: string) =>
    access.authenticate({ clientId: "x", username, password: undefined, remote: "" });
  assert.deepEqual(await as("bob@shop"), { user: "bob@shop" });
  assert.equal(await as("anna@inner:1883"), undefined);
});

test("other listeners than before cannot be had without a start, and all stays as it was", () =>
  inWorld(async (world, access) => {
    const fewer = await rulesOf(conf.replace(/listener 1884[\s\S]*?acl\n/, ""));
    assert.throws(() => access.replace(fewer), /outer:1884 and are .* that needs a start/);
    await connected(world, { ...outerAnna, clientId: "x" });
    access.replace(await rulesOf(conf));
  }));

test("settings: what cannot be is refused by name", () => {
  const at = "listeners: unix and users of its own";
  assert.throws(
    () => toMqttSettings({ listeners: [{ unix: "/run/a@b", aclFile: "/acl" }] }, at),
    /listeners\[0\]\.unix: a listener with users of its own has no @/,
  );
  toMqttSettings({ listeners: [{ unix: "/run/a@b" }] }, at);
});
