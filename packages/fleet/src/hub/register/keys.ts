import { createPublicKey, createVerify, hash, type KeyObject, type X509Certificate } from "node:crypto";
import { StatusError } from "@cortado/std/status";
import { KEYS_READ_MAX } from "../limits.ts";

/** SPKI of a key of P-256 as a point in full (RFC 5480, 2): these bytes, and the point's 64. */
const P256_START: Buffer = Buffer.from("3059301306072a8648ce3d020106082a8648ce3d03010703420004", "hex");
const P256_BYTES: number = P256_START.byteLength + 64;
const pem = /^-----BEGIN PUBLIC KEY-----\n([A-Za-z0-9+/=\n]+)\n-----END PUBLIC KEY-----\n?$/;

/**
 * What a PEM of the usual form has in it, as it is. A hub that begins sums up the keys of all its stores: to read each as a key takes
 * a hundred times longer, and memory outside the heap.
 */
function plainDer(publicKey: string): Buffer | undefined {
  const der = Buffer.from(pem.exec(publicKey)?.[1] ?? "", "base64");
  return der.byteLength === P256_BYTES && der.subarray(0, P256_START.byteLength).equals(P256_START)
    ? der
    : undefined;
}

/** SHA-256 (hex) of a public key as SPKI, DER; empty for a text that is no key. */
export function keySha256(publicKey: string): string {
  try {
    const der = plainDer(publicKey) ?? read(publicKey).export({ type: "spki", format: "der" });
    return hash("sha256", der, "hex");
  } catch {
    return "";
  }
}

/**
 * The same of the key in a certificate that this hub's authority signed: its key, which was P-256 when it was signed, stands in it as it
 * is. Storms of stores come by here.
 */
export function certificateKeySha256(certificate: Pick<X509Certificate, "raw" | "publicKey">): string {
  const { raw } = certificate;
  const at = raw.indexOf(P256_START);
  const isPlain = at !== -1 && raw.indexOf(P256_START, at + 1) === -1;
  const der = isPlain
    ? raw.subarray(at, at + P256_BYTES)
    : certificate.publicKey.export({ type: "spki", format: "der" });
  return hash("sha256", der, "hex");
}

/** @throws StatusError "Invalid" for a text that is no public key of P-256 */
export function checkKey(publicKey: string): void {
  try {
    const key = read(publicKey);
    if (key.asymmetricKeyDetails?.namedCurve === "prime256v1") return;
  } catch (cause) {
    throw new StatusError("Invalid", "publicKey is no PEM of a public key; give one of P-256", { cause });
  }
  throw new StatusError("Invalid", "publicKey is not of P-256; make one with that curve");
}

/** Whether a text was signed with the key, base64. */
export function isSigned(publicKey: string, text: string, proof: string): boolean {
  try {
    return createVerify("sha256").update(text).verify(read(publicKey), proof, "base64");
  } catch {
    return false;
  }
}

/** One registration asks for its key five times, and taking its text apart costs as much as checking a signature. */
const recent: Map<string, KeyObject> = new Map();

/** @throws Error for a text that is no key */
function read(publicKey: string): KeyObject {
  const known = recent.get(publicKey);
  if (known !== undefined) return known;
  const key = createPublicKey(publicKey);
  for (const [oldest] of recent) {
    if (recent.size < KEYS_READ_MAX) break;
    recent.delete(oldest);
  }
  recent.set(publicKey, key);
  return key;
}
