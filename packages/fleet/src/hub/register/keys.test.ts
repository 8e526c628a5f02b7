import assert from "node:assert/strict";
import { createHash, createPublicKey, generateKeyPairSync } from "node:crypto";
import { test } from "node:test";
import { keySha256 } from "./keys.ts";

const slow = (publicKey: string): string =>
  createHash("sha256")
    .update(createPublicKey(publicKey).export({ type: "spki", format: "der" }))
    .digest("hex");

const { publicKey: usual } = generateKeyPairSync("ec", {
  namedCurve: "prime256v1",
  publicKeyEncoding: { type: "spki", format: "pem" },
  privateKeyEncoding: { type: "pkcs8", format: "pem" },
});
const { publicKey: other } = generateKeyPairSync("ec", {
  namedCurve: "secp384r1",
  publicKeyEncoding: { type: "spki", format: "pem" },
  privateKeyEncoding: { type: "pkcs8", format: "pem" },
});

for (const { title, key, isKey } of [
  { title: "the usual form", key: usual, isKey: true },
  { title: "another curve", key: other, isKey: true },
  { title: "lines that end otherwise", key: usual.replaceAll("\n", "\r\n"), isKey: true },
  { title: "words before it", key: `a key:\n${usual}`, isKey: true },
  { title: "no key", key: usual.replace("MFk", "MFx"), isKey: false },
  { title: "a key that is cut", key: usual.replace(/.{20}\n-----END/, "\n-----END"), isKey: false },
  { title: "nothing", key: "", isKey: false },
])
  test(`the sum of a public key is that of its SPKI: ${title}`, () => {
    assert.equal(keySha256(key), isKey ? slow(key) : "");
  });
