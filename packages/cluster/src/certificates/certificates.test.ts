import assert from "node:assert/strict";
import { generateKeyPairSync, X509Certificate } from "node:crypto";
import { test } from "node:test";
import { seededRandom } from "@cortado/std/random";
import { HeldClock } from "@cortado/std/testing/held-clock";
import { MemoryFiles } from "@cortado/std/testing/memory-files";
import { silentLog } from "@cortado/std/testing/silent-log";
import { openCertificates, type CertificatesOptions } from "./certificates.ts";

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
