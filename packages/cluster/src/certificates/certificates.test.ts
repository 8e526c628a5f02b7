import assert from "node:assert/strict";
import { generateKeyPairSync, X509Certificate } from "node:crypto";
import { test } from "node:test";
import { seededRandom } from "@cortado/std/random";
import { HeldClock } from "@cortado/std/testing/held-clock";
import { MemoryFiles } from "@cortado/std/testing/memory-files";
import { silentLog } from "@cortado/std/testing/silent-log";
import { certifyClient } from "./client-certificate.ts";
import { openCertificates, type CertificatesOptions } from "./certificates.ts";
import { der, derTags, derValues, oid, time, type DerValue } from "./der.ts";
import { issueAuthority, issueLeaf } from "./issue.ts";

const dayMs = 24 * 3_600_000;

function world(): CertificatesOptions & { readonly clock: HeldClock } {
  const serverNames = { dns: ["kubernetes", "localhost"], ips: ["127.0.0.1", "10.43.0.1"] };
  return {
    folder: "/tls",
    files: new MemoryFiles(),
    clock: new HeldClock(),
    random: seededRandom(7),
    log: silentLog,
    serverNames,
  };
}

test("a first start makes authorities for 20 years and leaves for one", async () => {
  using certificates = await openCertificates(world());
  const years = (pem: string): number => {
    const { validFrom, validTo } = new X509Certificate(pem);
    return Math.round((Date.parse(validTo) - Date.parse(validFrom)) / (365 * dayMs));
  };
  assert.deepEqual([certificates.serverCa, certificates.clientCa].map(years), [20, 20]);
  assert.deepEqual([certificates.serving.cert, certificates.admin.cert].map(years), [1, 1]);
  const serving = new X509Certificate(certificates.serving.cert);
  assert.ok(serving.verify(new X509Certificate(certificates.serverCa).publicKey));
  assert.match(serving.subjectAltName ?? "", /DNS:kubernetes.*IP Address:10\.43\.0\.1/);
  const admin = new X509Certificate(certificates.admin.cert);
  assert.deepEqual(admin.subject.split("\n"), ["O=system:masters", "CN=system:admin"]);
  assert.ok(
    !admin.verify(new X509Certificate(certificates.serverCa).publicKey),
    "clients have an authority of their own",
  );
});

test("a second start finds what the first made", async () => {
  const options = world();
  using first = await openCertificates(options);
  using second = await openCertificates(options);
  assert.equal(second.serving.cert, first.serving.cert);
  assert.equal(second.serviceAccounts.privateKey, first.serviceAccounts.privateKey);
});

for (const { name, afterDays, renewed } of [
  { name: "with half its life left stays", afterDays: 180, renewed: false },
  { name: "with under a third left is renewed while running", afterDays: 250, renewed: true },
  { name: "that has expired is renewed too", afterDays: 400, renewed: true },
])
  test(`a leaf ${name}`, async () => {
    const options = world();
    using certificates = await openCertificates(options);
    const before = certificates.serving.cert;
    let told = 0;
    certificates.onRenewed(() => (told += 1));
    options.clock.jump(afterDays * dayMs);
    await certificates.renew();
    assert.equal(certificates.serving.cert !== before, renewed);
    assert.equal(told, renewed ? 1 : 0);
  });

test("a leaf that lacks a new name is made again at start", async () => {
  const options = world();
  using first = await openCertificates(options);
  const serverNames = { dns: [...options.serverNames.dns, "store-042.local"], ips: options.serverNames.ips };
  using second = await openCertificates({ ...options, serverNames });
  assert.notEqual(second.serving.cert, first.serving.cert);
  assert.equal(second.serverCa, first.serverCa);
});

test("a store's own key is certified for as long as was asked, and the key stays with the store", async () => {
  const options = world();
  using certificates = await openCertificates(options);
  const { publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const pem = publicKey.export({ type: "spki", format: "pem" }).toString();
  const request = { commonName: "fleet-default/store-042", organizations: ["cortado:stores"], days: 30 };
  const read = new X509Certificate(await certificates.certifyClient({ ...request, publicKey: pem }));
  assert.deepEqual(read.subject.split("\n"), ["O=cortado:stores", "CN=fleet-default/store-042"]);
  assert.equal(read.publicKey.export({ type: "spki", format: "pem" }), pem);
  assert.ok(read.verify(new X509Certificate(certificates.clientCa).publicKey));
  assert.equal(Date.parse(read.validTo) - options.clock.nowMs(), 30 * dayMs);
  await assert.rejects(certificates.certifyClient({ ...request, publicKey: "no key" }));
});

test("a store's certificate has what the library gives to a client's", async () => {
  const making = { random: seededRandom(3), nowMs: Date.UTC(2026, 0, 1) };
  const authority = await issueAuthority("test", making);
  const request = { commonName: "fleet-default/store-1", organizations: ["cortado:stores", "Zürich"] };
  const { publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const pem = publicKey.export({ type: "spki", format: "pem" }).toString();
  const lifeMs = 30 * 365 * dayMs;
  const own = new X509Certificate(certifyClient(authority, { ...request, publicKey: pem, lifeMs }, making));
  const theirs = new X509Certificate(
    (await issueLeaf(authority, { ...request, usage: "client" }, making)).cert,
  );
  const parts = ({ raw }: X509Certificate): readonly DerValue[] =>
    derValues(derValues(derValues(raw)[0]?.content ?? Buffer.alloc(0))[0]?.content ?? Buffer.alloc(0));
  const [mine, other] = [parts(own), parts(theirs)];
  for (const [at, name] of [
    [0, "version"],
    [2, "algorithm"],
    [3, "issuer"],
  ] as const)
    assert.deepEqual(mine[at]?.whole, other[at]?.whole, name);
  const extensions = (of: readonly DerValue[]): readonly string[] =>
    derValues(derValues(of[7]?.content ?? Buffer.alloc(0))[0]?.content ?? Buffer.alloc(0))
      .map(({ whole }) => whole.toString("hex"))
      // The key's own name differs with the key.
      .filter((hex) => !hex.includes("0603551d0e"))
      .toSorted();
  assert.equal(extensions(mine).length, 4);
  assert.deepEqual(extensions(mine), extensions(other));
  assert.equal(own.subject, theirs.subject);
  const issuer = new X509Certificate(authority.cert);
  assert.ok(own.checkIssued(issuer) && own.verify(issuer.publicKey));
  assert.equal(
    own.validToDate.getTime(),
    issuer.validToDate.getTime(),
    "it ends with its authority at the latest",
  );
  assert.equal(own.publicKey.export({ type: "spki", format: "pem" }), pem);
});

test("moments are written as certificates write them", () => {
  assert.equal(time(Date.UTC(2049, 11, 31, 23, 59, 59)).toString("latin1"), "\u0017\r491231235959Z");
  assert.equal(time(Date.UTC(2050, 0, 1)).toString("latin1"), "\u0018\u000f20500101000000Z");
  assert.equal(der(derTags.octets, Buffer.alloc(300)).subarray(0, 4).toString("hex"), "0482012c");
  assert.equal(oid("1.2.840.10045.4.3.2").toString("hex"), "06082a8648ce3d040302");
});
