import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  webcrypto,
  X509Certificate,
} from "node:crypto";
import type { Random } from "@cortado/std/random";
import { BACKDATE_MS, CA_LIFE_MS, LEAF_LIFE_MS, RENEW_SHARE } from "../limits.ts";

/** PEM of a certificate and of its private key (PKCS #8, ECDSA P-256). */
export type KeyPair = { readonly cert: string; readonly key: string };

export type LeafRequest = {
  readonly commonName: string;
  /** Groups of a Kubernetes user. */
  readonly organizations?: readonly string[];
  readonly usage: "server" | "client";
  readonly dnsNames?: readonly string[];
  readonly ipAddresses?: readonly string[];
};

export type Making = { readonly random: Random; readonly nowMs: number };

// The library costs 19 MB and 150 ms (docs/decisions/0011): only a first start and a renewal load it.
async function library(): Promise<typeof import("@peculiar/x509")> {
  await import("reflect-metadata");
  const x509 = await import("@peculiar/x509");
  x509.cryptoProvider.set(webcrypto as unknown as Parameters<typeof x509.cryptoProvider.set>[0]);
  return x509;
}

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;

/** A self-signed authority. */
export async function issueAuthority(commonName: string, { random, nowMs }: Making): Promise<KeyPair> {
  const x509 = await library();
  const key = newKeyPem();
  const keys = await importKeys(key);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serial(random),
    name: `CN=${commonName}`,
    notBefore: new Date(nowMs - BACKDATE_MS),
    notAfter: new Date(nowMs + CA_LIFE_MS),
    signingAlgorithm: algorithm,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(
        x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.digitalSignature | x509.KeyUsageFlags.cRLSign,
        true,
      ),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { cert: `${certificate.toString("pem")}\n`, key };
}

/** A new key and a certificate for it, for one server or one client, signed by `authority`. */
export async function issueLeaf(
  authority: KeyPair,
  request: LeafRequest,
  { random, nowMs }: Making,
): Promise<KeyPair> {
  const x509 = await library();
  const key = newKeyPem();
  const publicKey = await importPublic(createPublicKey(key));
  const { issuer, signer } = await readAuthority(authority);
  const usage =
    request.usage === "server" ? x509.ExtendedKeyUsage.serverAuth : x509.ExtendedKeyUsage.clientAuth;
  const names = [
    ...(request.dnsNames ?? []).map((value) => ({ type: "dns" as const, value })),
    ...(request.ipAddresses ?? []).map((value) => ({ type: "ip" as const, value })),
  ];
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serial(random),
    subject: [...(request.organizations ?? []).map((O) => ({ O: [O] })), { CN: [request.commonName] }],
    issuer: issuer.subject,
    notBefore: new Date(nowMs - BACKDATE_MS),
    notAfter: new Date(Math.min(nowMs + LEAF_LIFE_MS, issuer.notAfter.getTime())),
    signingAlgorithm: algorithm,
    publicKey,
    signingKey: signer.privateKey,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([usage]),
      await x509.AuthorityKeyIdentifierExtension.create(signer.publicKey),
      await x509.SubjectKeyIdentifierExtension.create(publicKey),
      ...(names.length === 0 ? [] : [new x509.SubjectAlternativeNameExtension(names)]),
    ],
  });
  return { cert: `${certificate.toString("pem")}\n`, key };
}

/** An authority signs a chain's certificates in a row; reading its own costs more than signing one. */
const authorities = new WeakMap<KeyPair, ReturnType<typeof parseAuthority>>();

function readAuthority(authority: KeyPair): ReturnType<typeof parseAuthority> {
  const known = authorities.get(authority) ?? parseAuthority(authority);
  authorities.set(authority, known);
  return known;
}

async function parseAuthority({ cert, key }: KeyPair): Promise<{
  readonly issuer: import("@peculiar/x509").X509Certificate;
  readonly signer: webcrypto.CryptoKeyPair;
}> {
  const x509 = await library();
  return { issuer: new x509.X509Certificate(cert), signer: await importKeys(key) };
}

export function newKeyPem(): string {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  return privateKey.export({ type: "pkcs8", format: "pem" }).toString();
}

export function publicPem(keyPem: string): string {
  return createPublicKey(keyPem).export({ type: "spki", format: "pem" }).toString();
}

async function importKeys(pem: string): Promise<webcrypto.CryptoKeyPair> {
  const secret = createPrivateKey(pem);
  const pkcs8 = secret.export({ type: "pkcs8", format: "der" });
  const { subtle } = webcrypto;
  const privateKey = await subtle.importKey("pkcs8", new Uint8Array(pkcs8), algorithm, true, ["sign"]);
  return { privateKey, publicKey: await importPublic(createPublicKey(secret)) };
}

function importPublic(key: KeyObject): Promise<webcrypto.CryptoKey> {
  const spki = key.export({ type: "spki", format: "der" });
  return webcrypto.subtle.importKey("spki", new Uint8Array(spki), algorithm, true, ["verify"]);
}

function serial(random: Random): string {
  const bytes = random.bytes(16);
  // Positive and never zero, as RFC 5280, 4.1.2.2, asks.
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return Buffer.from(bytes).toString("hex");
}

/** Milliseconds since 1970 at which a certificate begins and ends. */
export function validity(cert: string): { readonly fromMs: number; readonly toMs: number } {
  const read = new X509Certificate(cert);
  return { fromMs: Date.parse(read.validFrom), toMs: Date.parse(read.validTo) };
}

/** Is so little of its life left that it should be renewed? */
export function isDue(cert: string, nowMs: number): boolean {
  const { fromMs, toMs } = validity(cert);
  return toMs - nowMs < (toMs - fromMs) * RENEW_SHARE;
}

/** Does the certificate name all of these, and was it signed by this authority? */
export function isCurrent(cert: string, request: LeafRequest, authorityCert: string): boolean {
  const read = new X509Certificate(cert);
  const named = new Set((read.subjectAltName ?? "").split(", "));
  const wanted = [
    ...(request.dnsNames ?? []).map((name) => `DNS:${name}`),
    ...(request.ipAddresses ?? []).map((ip) => `IP Address:${ip}`),
  ];
  return wanted.every((name) => named.has(name)) && read.verify(new X509Certificate(authorityCert).publicKey);
}
