import assert from "node:assert/strict";
import { test } from "node:test";
import { settle } from "@cortado/std/testing/held-clock";
import { reasonCodes, type ConnectPacket, type Packet } from "@cortado/wire/mqtt";
import { ScramClient } from "../testing/scram-client.ts";
import { until, World, type TestClient } from "../testing/world.ts";
import { ScramExchange, SCRAM_METHOD } from "./scram.ts";
import { saslPrepared } from "./sasl-prep.ts";
import { makeVerifier, passwordMatches, readVerifier, verifierText } from "./verifier.ts";

const salt = new Uint8Array(Buffer.from("W22ZaJ0SNY7soEsUEjb6gQ==", "base64"));
const pencil = await makeVerifier("pencil", { salt, iterations: 4_096 });
const secret = new Uint8Array(32);
const text = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString();

test("the example of RFC 7677, section 3, to the letter", async () => {
  const verifierOf = async (user: string) => (user === "user" ? pencil : undefined);
  const exchange = new ScramExchange({ verifierOf, nonce: "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0", secret });
  const first = await exchange.step(Buffer.from("n,,n=user,r=rOprNGfwEbeRWgbNEkqO"));
  const nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
  assert.equal(text(first.data), `r=${nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096`);
  assert.equal(first.user, undefined);
  const last = await exchange.step(
    Buffer.from(`c=biws,r=${nonce},p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=`),
  );
  assert.deepEqual([text(last.data), last.user], ["v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", "user"]);
});

test("a verifier is written and read, and says nothing of the password when it cannot be", async () => {
  const line = verifierText(pencil);
  assert.match(line, /^SCRAM-SHA-256\$4096:W22ZaJ0SNY7soEsUEjb6gQ==\$/);
  assert.equal(verifierText(readVerifier(line)), line);
  assert.equal(await passwordMatches(pencil, Buffer.from("pencil")), true);
  assert.equal(await passwordMatches(pencil, Buffer.from("pen\u00ADcil")), true, "a soft hyphen is nothing");
  assert.equal(await passwordMatches(pencil, Buffer.from("Pencil")), false);
  assert.equal(await passwordMatches(pencil, Buffer.from("pencil\u0000")), false);
  for (const bad of ["", "pencil", line.replace("4096", "100"), line.slice(0, -8), line.replace("256", "1")])
    assert.throws(
      () => readVerifier(bad),
      (error: Error) => /SCRAM verifier/.test(error.message) && !/pencil/.test(error.message),
    );
});

test("names and passwords are the same however they were typed", () => {
  assert.equal(saslPrepared("I\u00ADX"), "IX"); // RFC 4013, section 3, as the next
  assert.equal(saslPrepared("\u2168"), "IX");
  assert.equal(saslPrepared("a\u00A0b"), "a b");
  for (const bad of ["\u0007", "x\uE000"]) assert.throws(() => saslPrepared(bad), /RFC 4013/);
});

const bad: readonly (readonly [string, (client: ScramClient) => Buffer, RegExp])[] = [
  ["a wrong password", () => new ScramClient({ name: "user", password: "pen" }).first, /wrong/],
  ["an unknown user", () => new ScramClient({ name: "nobody", password: "pencil" }).first, /unknown/],
  ["channel binding", () => Buffer.from("p=tls-unique,,n=user,r=abc"), /channel binding/],
  ["another identity", () => Buffer.from("n,a=admin,n=user,r=abc"), /act as another/],
  ["an extension", () => Buffer.from("n,,m=x,n=user,r=abc"), /not one of SCRAM/],
  ["a name that is not escaped", () => Buffer.from("n,,n=us=2Xer,r=abc"), /not escaped/],
  ["no name", () => Buffer.from("n,,n=,r=abc"), /names no user/],
  ["nothing", () => Buffer.from(""), /not one of SCRAM/],
];

for (const [what, firstOf, reason] of bad)
  test(`${what} is refused, and the log alone says why`, async () => {
    await using world = await scramWorld();
    const scram = new ScramClient({ name: "user", password: what === "a wrong password" ? "pen" : "pencil" });
    const client = await begin(world, firstOf(scram));
    const name = what === "an unknown user" ? "nobody" : "user";
    const answering = new ScramClient({ name, password: what === "a wrong password" ? "pen" : "pencil" });
    await answer(client, answering);
    await until(() => client.closed, "closed");
    assert.equal(client.connack.code, reasonCodes.notAuthorized);
    assert.equal(client.connack.properties?.reasonString, "the client could not show who it is");
    assert.ok(world.kept.lines.some(({ fields }) => reason.test(String(fields["reason"]))));
  });

function scramWorld(more: Parameters<typeof World.start>[0] = {}): Promise<World> {
  return World.start({
    authenticate: () => Promise.resolve(undefined),
    scramVerifierOf: ({ user }) => Promise.resolve(user === "user" || user === "a=b,c" ? pencil : undefined),
    ...more,
  });
}

/** Sends CONNECT with the first message, and waits for what comes. */
async function begin(
  world: World,
  first: Uint8Array | undefined,
  more: Partial<ConnectPacket> = {},
): Promise<TestClient> {
  const client = await world.dial(true, 5);
  const properties = {
    authenticationMethod: SCRAM_METHOD,
    ...(first === undefined ? {} : { authenticationData: new Uint8Array(first) }),
  };
  const connect = { type: "connect", level: 5, clientId: "c", cleanSession: true, keepAliveS: 0 } as const;
  client.send({ ...connect, ...more, properties: { ...properties, ...more.properties } });
  await until(() => client.packets.length > 0, "an answer");
  return client;
}

const authPacket = (code: number, data: Uint8Array): Packet => ({
  type: "auth",
  code,
  properties: { authenticationMethod: SCRAM_METHOD, authenticationData: new Uint8Array(data) },
});

const challengeOf = (client: TestClient): Uint8Array | undefined => {
  const last = client.packets.at(-1);
  return last?.type === "auth" && last.code === reasonCodes.continueAuthentication
    ? last.properties?.authenticationData
    : undefined;
};

/** Answers the challenge, if one has come. */
async function answer(client: TestClient, scram: ScramClient): Promise<void> {
  const challenge = challengeOf(client);
  if (challenge === undefined) return;
  const from = client.packets.length;
  client.send(authPacket(reasonCodes.continueAuthentication, scram.last(challenge)));
  await until(() => client.packets.length > from || client.closed, "an answer");
}

async function letIn(world: World, name = "user", more: Partial<ConnectPacket> = {}): Promise<TestClient> {
  const scram = new ScramClient({ name, password: "pencil" });
  const client = await begin(world, scram.first, more);
  await answer(client, scram);
  const { code, properties } = client.connack;
  assert.equal(code, 0);
  assert.equal(properties?.authenticationMethod, SCRAM_METHOD);
  assert.ok(scram.isSatisfied(properties?.authenticationData), "the broker shows that it knows the user");
  return client;
}

test("a client is let in under the name that it has shown, and has its rights", async () => {
  const users: string[] = [];
  await using world = await scramWorld({
    authorize: ({ user }) => {
      users.push(user);
      return true;
    },
  });
  for (const name of ["user", "a=b,c"]) {
    const client = await letIn(world, name, { clientId: name });
    await client.published("/a", "x");
  }
  assert.deepEqual(users, ["user", "a=b,c"]);
});

test("a session belongs to the name that was shown", async () => {
  await using world = await scramWorld();
  const kept = { cleanSession: false, properties: { sessionExpiryIntervalS: 100 } };
  const first = await letIn(world, "user", kept);
  first.connection.destroy();
  const scram = new ScramClient({ name: "a=b,c", password: "pencil" });
  const other = await begin(world, scram.first, kept);
  await answer(other, scram);
  assert.equal(other.connack.code, reasonCodes.notAuthorized);
});

test("a client authenticates anew while it works, and another user or a wrong proof ends it", async () => {
  await using world = await scramWorld();
  const client = await letIn(world);
  await client.subscribed("/a");
  const scram = new ScramClient({ name: "user", password: "pencil", nonce: "another" });
  client.send(authPacket(reasonCodes.reauthenticate, scram.first));
  await until(() => challengeOf(client) !== undefined, "challenge");
  const challenge = challengeOf(client) ?? new Uint8Array();
  await client.published("/a", "meanwhile"); // MQTT 5, section 4.12.1: it goes on under what it was before
  client.send(authPacket(reasonCodes.continueAuthentication, scram.last(challenge)));
  await until(() => client.packets.at(-1)?.type === "auth", "done");
  const done = client.packets.at(-1);
  assert.ok(done?.type === "auth" && done.code === 0);
  assert.ok(scram.isSatisfied(done.properties?.authenticationData));
  for (const [name, password] of [
    ["a=b,c", "pencil"],
    ["user", "pen"],
  ] as const) {
    const bad = await letIn(world, "user", { clientId: name });
    const lying = new ScramClient({ name, password });
    bad.send(authPacket(reasonCodes.reauthenticate, lying.first));
    await until(() => challengeOf(bad) !== undefined, "challenge");
    await answer(bad, lying);
    assert.equal((await bad.ended()).code, reasonCodes.notAuthorized);
  }
});

test("what may not be in an exchange ends it with its code", async () => {
  await using world = await scramWorld();
  const scram = new ScramClient({ name: "user", password: "pencil" });
  const early = await begin(world, scram.first);
  early.send({ type: "pingreq" });
  await until(() => early.closed, "closed");
  assert.equal(early.connack.code, reasonCodes.protocolError, "MQTT-3.1.2-30");
  const none = await begin(world, undefined);
  await until(() => none.closed, "closed");
  assert.equal(none.connack.code, reasonCodes.notAuthorized);
  const named = await begin(world, scram.first, { username: "root" });
  await answer(named, scram);
  assert.equal(named.connack.code, reasonCodes.notAuthorized);
  const unknown = await begin(world, undefined, { properties: { authenticationMethod: "GS2-KRB5" } });
  assert.equal(unknown.connack.code, reasonCodes.badAuthenticationMethod);
  assert.match(String(unknown.connack.properties?.reasonString), /use SCRAM-SHA-256 or user name/);
  const done = await letIn(world, "user", { clientId: "done" });
  done.send(authPacket(reasonCodes.continueAuthentication, Buffer.from("x")));
  assert.equal((await done.ended()).code, reasonCodes.protocolError);
  const changed = await letIn(world, "user", { clientId: "changed" });
  const properties = { authenticationMethod: "PLAIN" };
  changed.send({ type: "auth", code: reasonCodes.reauthenticate, properties });
  assert.equal((await changed.ended()).code, reasonCodes.protocolError);
});

test("a client that never answers the challenge is closed, and one that leaves harms nothing", async () => {
  await using world = await scramWorld();
  const scram = new ScramClient({ name: "user", password: "pencil" });
  const silent = await begin(world, scram.first);
  const leaving = await begin(world, scram.first);
  leaving.send({ type: "disconnect" });
  await until(() => leaving.closed, "closed");
  await world.clock.advance(15_000);
  await settle();
  assert.equal(silent.closed, true);
  await letIn(world);
});

test("strangers are shown a salt like anybody else, each name its own", async () => {
  await using world = await scramWorld();
  const challenge = async (name: string): Promise<string> => {
    const client = await begin(world, new ScramClient({ name, password: "" }).first);
    return text(challengeOf(client)).replace(/^r=[^,]*,/, "");
  };
  const first = await challenge("nobody");
  assert.match(first, /^s=[\w+/]{22}==,i=15000$/);
  assert.equal(await challenge("nobody"), first);
  assert.notEqual(await challenge("somebody"), first);
});
