import assert from "node:assert/strict";
import { createHash, createPublicKey, generateKeyPairSync, X509Certificate } from "node:crypto";
import { test } from "node:test";
import { certificateKeySha256, keySha256 } from "./keys.ts";

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

const certificates = {
  "P-256": `-----BEGIN CERTIFICATE-----
MIIByDCCAW+gAwIBAgIUJTSv06PbCADWRbUB9Asn+Kg+RowwCgYIKoZIzj0EAwIw
OTEXMBUGA1UECgwOY29ydGFkbzpzdG9yZXMxHjAcBgNVBAMMFWZsZWV0LWRlZmF1
bHQvc3RvcmUtMTAgFw0yNjExMjYyMTE0MjFaGA8yMTI2MTEwMjIxMTQyMVowOTEX
MBUGA1UECgwOY29ydGFkbzpzdG9yZXMxHjAcBgNVBAMMFWZsZWV0LWRlZmF1bHQv
c3RvcmUtMTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABDhF3KkZCdljy4WaplSn
JN5J/26YkdvAfgLkOGYgXx5g8s7fcBhP4oI8yDcjs98hUrvlhyeGJ82RZ8F9vbp+
k3+jUzBRMB0GA1UdDgQWBBSg/RVgJu5jH+3Z2+24phVef3HiuTAfBgNVHSMEGDAW
gBSg/RVgJu5jH+3Z2+24phVef3HiuTAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49
BAMCA0cAMEQCIHqHrdxNGZ2GFnC2esjt+RNL30IqWI4Bbd+7ghRj3zDMAiAcOAkR
weM2q9suLMSYHsep9c8xmJY88fRebl7feJ2NQw==
-----END CERTIFICATE-----`,
  "P-384": `-----BEGIN CERTIFICATE-----
MIICBTCCAYygAwIBAgIUMK1O++4SsZ10bjgDi35pu4X4wNUwCgYIKoZIzj0EAwIw
OTEXMBUGA1UECgwOY29ydGFkbzpzdG9yZXMxHjAcBgNVBAMMFWZsZWV0LWRlZmF1
bHQvc3RvcmUtMTAgFw0yNjExMjYyMTE0MjFaGA8yMTI2MTEwMjIxMTQyMVowOTEX
MBUGA1UECgwOY29ydGFkbzpzdG9yZXMxHjAcBgNVBAMMFWZsZWV0LWRlZmF1bHQv
c3RvcmUtMTB2MBAGByqGSM49AgEGBSuBBAAiA2IABNG+H1JVqJExyLQ/12AkaPr6
1xTK+yaQJiq9Sfd7oys6BWikYXdZpvn99b61Rv6SvKKi+AV0qQBwP0VK3G4Mmysx
6ZvkMQUsD9ieLRAdtr4ZTPxQU2+g9SeR+RmB1+ZMfqNTMFEwHQYDVR0OBBYEFIYP
D0TjA0o+grx8Dx4akGLNNbmUMB8GA1UdIwQYMBaAFIYPD0TjA0o+grx8Dx4akGLN
NbmUMA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDZwAwZAIwWDYP5yK0nue9
DwD52RXDMdAFJ/3zCvkMEPlKzFxRlgw5eHT+d6+YzW6S4WWtKnmOAjAzq1l5YPFR
AnGj7hX/I+9ZCHKWK9YECh1+aWTszLw0vl7yBK/x7eQZz5XI/UNHoO0=
-----END CERTIFICATE-----`,
};
for (const [curve, text] of Object.entries(certificates))
  test(`the sum of a certificate's key is that of its SPKI: ${curve}`, () => {
    const certificate = new X509Certificate(text);
    assert.equal(
      certificateKeySha256(certificate),
      slow(String(certificate.publicKey.export({ type: "spki", format: "pem" }))),
    );
  });

test("a certificate in which something else looks like a key is read as one", () => {
  const certificate = new X509Certificate(certificates["P-256"]);
  const raw = Buffer.concat([certificate.raw, certificate.raw]);
  const { publicKey } = new X509Certificate(certificates["P-384"]);
  assert.equal(
    certificateKeySha256({ raw, publicKey }),
    slow(String(publicKey.export({ type: "spki", format: "pem" }))),
  );
});
