import { timingSafeEqual } from "node:crypto";
import { StatusError } from "@cortado/std/status";
import { saslPrepared } from "./sasl-prep.ts";
import { hmac, KEY_BYTES, SALT_BYTES, SCRAM_ITERATIONS, sha256, type ScramVerifier } from "./verifier.ts";

export const SCRAM_METHOD = "SCRAM-SHA-256";

export type ScramOptions = {
  /** Undefined for a user that is not known. */
  readonly verifierOf: (user: string) => Promise<ScramVerifier | undefined>;
  /** The server's part of the nonce: printable, without a comma. */
  readonly nonce: string;
  /** The broker's own, the same for all exchanges: what strangers are shown for a salt is made of it. */
  readonly secret: Uint8Array;
};

/** What the server says next; with the user when that was the last of it. */
export type ScramAnswer = { readonly data: Uint8Array; readonly user?: string };

type Waiting = {
  readonly user: string;
  readonly verifier: ScramVerifier | undefined;
  readonly header: string;
  readonly clientFirst: string;
  readonly serverFirst: string;
  readonly nonce: string;
};

/** The server's side of one SCRAM-SHA-256 exchange (RFC 5802, 7677), without channel binding. */
export class ScramExchange {
  readonly #options: ScramOptions;
  #waiting: Waiting | undefined;

  constructor(options: ScramOptions) {
    this.#options = options;
  }

  /** @throws StatusError "Unauthorized" that says what is wrong, for the log */
  async step(data: Uint8Array): Promise<ScramAnswer> {
    const text = Buffer.from(data).toString("utf8");
    const waiting = this.#waiting;
    if (waiting === undefined) return this.#first(text);
    this.#waiting = undefined;
    return last(text, waiting);
  }

  async #first(text: string): Promise<ScramAnswer> {
    const { verifierOf, nonce: own, secret } = this.#options;
    // gs2-header client-first-message-bare (RFC 5802, section 7).
    const found = /^(([nyp])(?:=[^,]*)?,(?:a=([^,]*))?,)(n=([^,]*),r=([\x21-\x2B\x2D-\x7E]+)(?:,.*)?)$/.exec(
      text,
    );
    if (found === null) throw refused("its first message is not one of SCRAM");
    const [, header = "", binding, authorized, clientFirst = "", name = "", clientNonce = ""] = found;
    if (binding === "p") throw refused("it asks for channel binding, which is not offered");
    const user = readName(name);
    if (authorized !== undefined && readName(authorized) !== user)
      throw refused(`user ${user} asks to act as another`);
    const verifier = await verifierOf(user);
    const nonce = clientNonce + own;
    // A stranger gets a salt as well, always the same for a name: it must not learn which names there are.
    const salt = verifier?.salt ?? hmac(secret, user).subarray(0, SALT_BYTES);
    const iterations = verifier?.iterations ?? SCRAM_ITERATIONS;
    const serverFirst = `r=${nonce},s=${Buffer.from(salt).toString("base64")},i=${iterations}`;
    this.#waiting = { user, verifier, header, clientFirst, serverFirst, nonce };
    return { data: Buffer.from(serverFirst) };
  }
}

function last(
  text: string,
  { user, verifier, header, clientFirst, serverFirst, nonce }: Waiting,
): ScramAnswer {
  const found = /^(c=([A-Za-z0-9+/=]*),r=([^,]*)(?:,[^,]*)*),p=([A-Za-z0-9+/=]+)$/.exec(text);
  if (found === null) throw refused("its last message is not one of SCRAM");
  const [, withoutProof = "", binding = "", saidNonce, proof = ""] = found;
  if (Buffer.from(binding, "base64").toString() !== header)
    throw refused("its two messages differ in their channel binding");
  if (saidNonce !== nonce) throw refused("its nonce is not the one of this exchange");
  const message = `${clientFirst},${serverFirst},${withoutProof}`;
  const wanted = verifier?.storedKey ?? new Uint8Array(KEY_BYTES);
  const signature = hmac(wanted, message);
  const shown = Buffer.from(proof, "base64");
  if (shown.byteLength !== KEY_BYTES)
    throw refused(`the proof of user ${user} is not ${KEY_BYTES} bytes long`);
  const clientKey = signature.map((byte, at) => byte ^ (shown[at] ?? 0));
  if (!timingSafeEqual(sha256(clientKey), wanted) || verifier === undefined)
    throw refused(`user ${user} is unknown, or the password is wrong`);
  const verified = Buffer.from(hmac(verifier.serverKey, message)).toString("base64");
  return { data: Buffer.from(`v=${verified}`), user };
}

/** saslname: `=2C` stands for a comma and `=3D` for an equals sign. */
function readName(escaped: string): string {
  if (/=(?!2C|3D)/.test(escaped)) throw refused("its user name is not escaped as SCRAM asks");
  const name = escaped.replaceAll("=2C", ",").replaceAll("=3D", "=");
  if (name === "") throw refused("it names no user");
  return saslPrepared(name);
}

function refused(what: string): StatusError {
  return new StatusError("Unauthorized", `the client is not let in by ${SCRAM_METHOD}: ${what}`);
}
