import {
  createHash,
  createPrivateKey,
  createPublicKey,
  sign,
  type KeyObject,
  X509Certificate,
} from "node:crypto";
import { assert } from "@cortado/std/assert";
import { BACKDATE_MS } from "../limits.ts";
import { der, derTags, derValues, oid, sequence, time } from "./der.ts";
import type { KeyPair, Making } from "./issue.ts";

export type ClientRequest = {
  readonly commonName: string;
  readonly organizations: readonly string[];
  /** PEM (SPKI, P-256); its owner keeps the private one. */
  readonly publicKey: string;
  readonly lifeMs: number;
};

/**
 * Signs a certificate for a TLS client, as `issueLeaf` makes them. A hub does it for thousands of stores in a row: with the library it is
 * half of all that a registration costs, and this is a tenth of that. @throws Error when the key is none
 */
export function certifyClient(authority: KeyPair, request: ClientRequest, { random, nowMs }: Making): string {
  const { issuer, signer, authorityKeyId, endsMs } = read(authority);
  const spki = createPublicKey(request.publicKey).export({ type: "spki", format: "der" });
  const names = [
    ...request.organizations.map((organization) => attribute(oids.organization, organization)),
    attribute(oids.commonName, request.commonName),
  ];
  const body = sequence(
    der(0xa0, der(derTags.integer, Buffer.from([2]))), // version 3
    der(derTags.integer, serial(random.bytes(16))),
    algorithm,
    issuer,
    sequence(time(nowMs - BACKDATE_MS), time(Math.min(nowMs + request.lifeMs, endsMs))),
    sequence(...names),
    spki,
    der(
      0xa3,
      sequence(
        ...fixedExtensions,
        extension(oids.authorityKeyId, sequence(der(0x80, authorityKeyId))),
        extension(oids.subjectKeyId, der(derTags.octets, keyIdOf(spki))),
      ),
    ),
  );
  const signature = sign("sha256", body, signer);
  const whole = sequence(body, algorithm, der(derTags.bits, Buffer.from([0]), signature));
  const lines = whole.toString("base64").match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join("\n")}\n-----END CERTIFICATE-----\n`;
}

const oids = {
  commonName: oid("2.5.4.3"),
  organization: oid("2.5.4.10"),
  subjectKeyId: oid("2.5.29.14"),
  keyUsage: oid("2.5.29.15"),
  basicConstraints: oid("2.5.29.19"),
  authorityKeyId: oid("2.5.29.35"),
  extendedKeyUsage: oid("2.5.29.37"),
  clientAuth: oid("1.3.6.1.5.5.7.3.2"),
  ecdsaWithSha256: oid("1.2.840.10045.4.3.2"),
} as const;

const algorithm = sequence(oids.ecdsaWithSha256);
const critical = der(derTags.boolean, Buffer.from([0xff]));

/** No authority, signs handshakes and nothing else, as a client. */
const fixedExtensions: readonly Buffer[] = [
  extension(oids.basicConstraints, sequence(), { isCritical: true }),
  // The first bit alone: digitalSignature; seven bits are unused.
  extension(oids.keyUsage, der(derTags.bits, Buffer.from([7, 0x80])), { isCritical: true }),
  extension(oids.extendedKeyUsage, sequence(oids.clientAuth)),
];

function extension(name: Buffer, value: Buffer, { isCritical = false } = {}): Buffer {
  return sequence(name, ...(isCritical ? [critical] : []), der(derTags.octets, value));
}

function attribute(name: Buffer, text: string): Buffer {
  return der(derTags.set, sequence(name, der(derTags.utf8, Buffer.from(text))));
}

type Authority = {
  /** Its subject, byte for byte: that is how a chain is found. */
  readonly issuer: Buffer;
  readonly signer: KeyObject;
  readonly authorityKeyId: Buffer;
  readonly endsMs: number;
};

const known = new WeakMap<KeyPair, Authority>();

function read(authority: KeyPair): Authority {
  const before = known.get(authority);
  if (before !== undefined) return before;
  const certificate = new X509Certificate(authority.cert);
  const signer = createPrivateKey(authority.key);
  assert(signer.asymmetricKeyType === "ec", "our authority signs with ECDSA");
  const [whole] = derValues(certificate.raw);
  const [body] = derValues(whole?.content ?? Buffer.alloc(0));
  // version, serialNumber, signature, issuer, validity, subject (RFC 5280, 4.1)
  const subject = derValues(body?.content ?? Buffer.alloc(0))[5];
  assert(subject?.tag === derTags.sequence, "a certificate of version 3 has its subject there");
  const spki = certificate.publicKey.export({ type: "spki", format: "der" });
  const fresh = {
    issuer: subject.whole,
    signer,
    authorityKeyId: keyIdOf(spki),
    endsMs: certificate.validToDate.getTime(),
  };
  known.set(authority, fresh);
  return fresh;
}

/** SHA-1 of the key's bits (RFC 5280, 4.2.1.2, method 1). */
function keyIdOf(spki: Buffer): Buffer {
  const [whole] = derValues(spki);
  const bits = derValues(whole?.content ?? Buffer.alloc(0))[1];
  assert(bits?.tag === derTags.bits, "a public key ends with its bits");
  return createHash("sha1").update(bits.content.subarray(1)).digest();
}

/** Positive and never zero, as RFC 5280, 4.1.2.2, asks. */
function serial(bytes: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(bytes);
  copy[0] = ((copy[0] ?? 0) & 0x3f) | 0x40;
  return copy;
}
