import { createHash, createHmac, pbkdf2, timingSafeEqual } from "node:crypto";
import { promisify } from "node:util";
import { StatusError } from "@cortado/std/status";
import { saslPrepared } from "./sasl-prep.ts";

/** What is kept of a password: enough to check that somebody knows it, not enough to say it (RFC 5802, section 3). */
export type ScramVerifier = {
  readonly salt: Uint8Array;
  readonly iterations: number;
  readonly storedKey: Uint8Array;
  readonly serverKey: Uint8Array;
};

/** RFC 7677, section 4: at least 4,096, better 15,000. Clients do the work, small ones too. */
export const SCRAM_ITERATIONS = 15_000;
export const SCRAM_ITERATIONS_MIN = 4_096;
const ITERATIONS_MAX = 10_000_000;
export const KEY_BYTES = 32;
export const SALT_BYTES = 16;

const derive = promisify(pbkdf2);

export const hmac = (key: Uint8Array, text: string): Uint8Array =>
  createHmac("sha256", key).update(text).digest();
export const sha256 = (bytes: Uint8Array): Uint8Array => createHash("sha256").update(bytes).digest();

/** @throws StatusError "Invalid" for a password with characters that no password may have (RFC 4013) */
export async function makeVerifier(
  password: string,
  { salt, iterations = SCRAM_ITERATIONS }: { readonly salt: Uint8Array; readonly iterations?: number },
): Promise<ScramVerifier> {
  const salted = await derive(saslPrepared(password), salt, iterations, KEY_BYTES, "sha256");
  return {
    salt,
    iterations,
    storedKey: sha256(hmac(salted, "Client Key")),
    serverKey: hmac(salted, "Server Key"),
  };
}

/** Whether a password, given in full with CONNECT, is the one that the verifier was made of. */
export async function passwordMatches(verifier: ScramVerifier, password: Uint8Array): Promise<boolean> {
  const { salt, iterations, storedKey } = verifier;
  try {
    const made = await makeVerifier(Buffer.from(password).toString(), { salt, iterations });
    return timingSafeEqual(made.storedKey, storedKey);
  } catch (error) {
    if (error instanceof StatusError) return false; // no password may be written so
    throw error;
  }
}

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64");

/** One line, in the form of RFC 5803 that PostgreSQL keeps too: `SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey`. */
export function verifierText({ salt, iterations, storedKey, serverKey }: ScramVerifier): string {
  return `SCRAM-SHA-256$${iterations}:${base64(salt)}$${base64(storedKey)}:${base64(serverKey)}`;
}

/** @throws StatusError "Invalid" that says what the text lacks, and nothing of what is in it */
export function readVerifier(text: string): ScramVerifier {
  const found = /^SCRAM-SHA-256\$(\d{1,8}):([\w+/=]+)\$([\w+/=]+):([\w+/=]+)$/.exec(text);
  if (found === null)
    throw new StatusError(
      "Invalid",
      "a SCRAM verifier has the form SCRAM-SHA-256$ITERATIONS:SALT$STOREDKEY:SERVERKEY, the last three in base64",
    );
  const [salt, storedKey, serverKey] = found
    .slice(2)
    .map((part) => new Uint8Array(Buffer.from(part, "base64")));
  const iterations = Number(found[1]);
  if (iterations < SCRAM_ITERATIONS_MIN || iterations > ITERATIONS_MAX)
    throw new StatusError(
      "Invalid",
      `a SCRAM verifier has ${iterations} iterations; ${SCRAM_ITERATIONS_MIN} to ${ITERATIONS_MAX} are taken`,
    );
  if (salt === undefined || storedKey?.byteLength !== KEY_BYTES || serverKey?.byteLength !== KEY_BYTES)
    throw new StatusError("Invalid", `the keys of a SCRAM verifier have ${KEY_BYTES} bytes each`);
  return { salt, iterations, storedKey, serverKey };
}
