import assert from "node:assert/strict";
import { createHash, createHmac, pbkdf2Sync, randomBytes } from "node:crypto";
import * as make from "./bytes.ts";
import type { Client } from "./client.ts";
import { malformed } from "./on-format.ts";
import { Inapplicable, type Trial } from "./trial.ts";

const { ids, prop } = make;
const METHOD = "SCRAM-SHA-256";

const auth = (code: number, data: string, method = METHOD): Uint8Array =>
  make.packet(
    "auth",
    0,
    code,
    make.properties([prop.text(ids.authMethod, method), prop.text(ids.authData, data)]),
  );

/** The client's half of RFC 7677, written down by the RFC and not by the server's code. */
class Scram {
  readonly #password: string;
  readonly #first: string;

  constructor({ username, password }: { readonly username: string; readonly password: string }) {
    this.#password = password;
    this.#first = `n=${username},r=${randomBytes(12).toString("base64url")}`;
  }

  get first(): string {
    return `n,,${this.#first}`;
  }

  last(serverFirst: string): string {
    const said = new Map(serverFirst.split(",").map((part) => [part[0], part.slice(2)]));
    const salt = Buffer.from(said.get("s") ?? "", "base64");
    const salted = pbkdf2Sync(this.#password, salt, Number(said.get("i")), 32, "sha256");
    const hmac = (key: Buffer, text: string): Buffer => createHmac("sha256", key).update(text).digest();
    const clientKey = hmac(salted, "Client Key");
    const stored = createHash("sha256").update(clientKey).digest();
    const bare = `c=biws,r=${said.get("r")}`;
    const signature = hmac(stored, `${this.#first},${serverFirst},${bare}`);
    const proof = Buffer.from(clientKey.map((byte, at) => byte ^ (signature[at] ?? 0)));
    return `${bare},p=${proof.toString("base64")}`;
  }
}

const userOf = ({ target }: Trial): { readonly username: string; readonly password: string } => {
  if (target.scram === undefined) throw new Inapplicable("no user for SCRAM-SHA-256 was given");
  return target.scram;
};

type Begun = { readonly client: Client; readonly scram: Scram; readonly challenge: string };

async function begin(trial: Trial, user = userOf(trial)): Promise<Begun> {
  const client = await trial.dial();
  const scram = new Scram(user);
  const properties = [prop.text(ids.authMethod, METHOD), prop.text(ids.authData, scram.first)];
  client.send(make.connect({ level: 5, clientId: trial.id(), properties }));
  const { code, properties: said } = await client.auth();
  assert.equal(code, 0x18);
  assert.equal(said.get(ids.authMethod)?.[0], METHOD);
  return { client, scram, challenge: String(said.get(ids.authData)?.[0]) };
}

async function enter(trial: Trial): Promise<Client> {
  const { client, scram, challenge } = await begin(trial);
  client.send(auth(0x18, scram.last(challenge)));
  const { code, properties } = await client.connack();
  assert.equal(code, 0);
  assert.equal(properties.get(ids.authMethod)?.[0], METHOD);
  return client;
}

/** AUTH with code 0x18 on the way, the method in each packet, CONNACK at the end. */
export async function entersByScram(trial: Trial): Promise<void> {
  const client = await enter(trial);
  await client.settle();
}

/** An answer of the client with another code ends the connection. */
export async function otherCode(trial: Trial): Promise<void> {
  for (const code of [0, 0x19]) {
    const { client, scram, challenge } = await begin(trial);
    client.send(auth(code, scram.last(challenge)));
    await client.closed();
    assert.ok(client.waiting("connack").every(({ body }) => (body[1] ?? 0) >= 0x80));
  }
}

export async function wrongProof(trial: Trial): Promise<void> {
  const { client, scram, challenge } = await begin(trial, { ...userOf(trial), password: "another" });
  client.send(auth(0x18, scram.last(challenge)));
  await client.closed();
  assert.ok(client.waiting("connack").every(({ body }) => (body[1] ?? 0) >= 0x80));
}

/** Once in, a client may prove itself anew, by the same method only. */
export async function provesAgain(trial: Trial): Promise<void> {
  const client = await enter(trial);
  const scram = new Scram(userOf(trial));
  client.send(auth(0x19, scram.first));
  const { code, properties } = await client.auth();
  assert.equal(code, 0x18);
  client.send(auth(0x18, scram.last(String(properties.get(ids.authData)?.[0]))));
  assert.equal((await client.auth()).code, 0);
  await client.settle();
  client.send(auth(0x19, "n,,n=x,r=y", "OTHER"));
  assert.ok([undefined, ...malformed, 0x8c].includes((await client.closed())?.code));
}

export async function failsToProveAgain(trial: Trial): Promise<void> {
  const client = await enter(trial);
  const scram = new Scram({ ...userOf(trial), password: "another" });
  client.send(auth(0x19, scram.first));
  const { properties } = await client.auth();
  client.send(auth(0x18, scram.last(String(properties.get(ids.authData)?.[0]))));
  assert.ok([undefined, 0x87].includes((await client.closed())?.code));
}

/** An authentication method that the server does not know. */
export async function unknownMethod(trial: Trial): Promise<void> {
  const client = await trial.dial();
  const properties = [prop.text(ids.authMethod, "NO-SUCH-METHOD")];
  client.send(make.connect({ level: 5, clientId: trial.id(), properties }));
  await client.closed();
  const [connack] = client.waiting("connack");
  if (connack !== undefined) assert.equal(connack.body[1], 0x8c);
}

/** Without a method in CONNECT the server says nothing of one, and takes no AUTH. */
export async function noMethod(trial: Trial): Promise<void> {
  const { client, connack } = await trial.welcomed();
  assert.equal(connack.properties.get(ids.authMethod), undefined);
  client.send(auth(0x18, "", "X"));
  assert.ok([undefined, 0x82].includes((await client.closed())?.code));
}

export async function authFlags(trial: Trial): Promise<void> {
  await trial.refuses(make.packet("auth", 1, 0x18, make.properties()), malformed);
}

export async function authCodes(trial: Trial): Promise<void> {
  await trial.refuses(auth(0x33, "", "X"), malformed);
}
