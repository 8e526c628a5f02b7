import { createPublicKey, createSign, generateKeyPairSync, X509Certificate } from "node:crypto";
import type { Keys } from "../ports.ts";

/** Keys of P-256 by the machine's own generator. */
export const machineKeys: Keys = {
  make: () =>
    generateKeyPairSync("ec", {
      namedCurve: "P-256",
      privateKeyEncoding: { type: "pkcs8", format: "pem" },
      publicKeyEncoding: { type: "spki", format: "pem" },
    }),
  publicOf: (privateKey) => createPublicKey(privateKey).export({ type: "spki", format: "pem" }).toString(),
  sign: (privateKey, text) => createSign("sha256").update(text).sign(privateKey, "base64"),
  validity(certificate) {
    const { validFromDate, validToDate } = new X509Certificate(certificate);
    return { fromMs: validFromDate.getTime(), untilMs: validToDate.getTime() };
  },
};
