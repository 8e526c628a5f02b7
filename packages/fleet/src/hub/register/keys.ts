import { createHash, createPublicKey, createVerify } from "node:crypto";
import { StatusError } from "@cortado/std/status";

/** SHA-256 (hex) of a public key as SPKI, DER; empty for a text that is no key. */
export function keySha256(publicKey: string): string {
  try {
    const der = createPublicKey(publicKey).export({ type: "spki", format: "der" });
    return createHash("sha256").update(der).digest("hex");
  } catch {
    return "";
  }
}

/** @throws StatusError "Invalid" for a text that is no public key of P-256 */
export function checkKey(publicKey: string): void {
  try {
    const key = createPublicKey(publicKey);
    if (key.asymmetricKeyDetails?.namedCurve === "prime256v1") return;
  } catch (cause) {
    throw new StatusError("Invalid", "publicKey is no PEM of a public key; give one of P-256", { cause });
  }
  throw new StatusError("Invalid", "publicKey is not of P-256; make one with that curve");
}

/** Whether a text was signed with the key, base64. */
export function isSigned(publicKey: string, text: string, proof: string): boolean {
  try {
    return createVerify("sha256").update(text).verify(publicKey, proof, "base64");
  } catch {
    return false;
  }
}
