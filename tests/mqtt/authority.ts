import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "../clients/clients.ts";

const newKey = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes".split(" ");

async function openssl(...words: readonly string[]): Promise<void> {
  const { code, err } = await run("openssl", words);
  assert.equal(code, 0, err);
}

/**
 * In a folder: an authority (`ca.pem`), a certificate of it for this machine (`server.pem`, with the authority's behind it in
 * `chain.pem`), one for each client by its common name, and those of an authority that nobody knows.
 */
export async function makeAuthority(
  folder: string,
  {
    clients = [],
    others = [],
  }: { readonly clients?: readonly string[]; readonly others?: readonly string[] },
): Promise<void> {
  const at = (name: string): string => join(folder, name);
  const authority = (name: string): Promise<void> =>
    openssl(
      ...["req", "-x509", ...newKey, "-days", "9", "-subj", `/CN=${name}`],
      ...["-keyout", at(`${name}.key`), "-out", at(`${name}.pem`)],
    );
  const leaf = async (name: string, by: string): Promise<void> => {
    const [key, csr] = [at(`${name}.key`), at(`${name}.csr`)];
    await openssl("req", ...newKey, "-subj", `/CN=${name}`, "-keyout", key, "-out", csr);
    const signing = ["-CA", at(`${by}.pem`), "-CAkey", at(`${by}.key`), "-CAcreateserial", "-days", "9"];
    await openssl(
      ...["x509", "-req", "-in", csr, ...signing, "-extfile", at("names"), "-out", at(`${name}.pem`)],
    );
  };
  writeFileSync(at("names"), "subjectAltName=IP:127.0.0.1,DNS:localhost\n");
  await authority("ca");
  for (const name of ["server", ...clients]) await leaf(name, "ca");
  if (others.length > 0) await authority("other");
  for (const name of others) await leaf(name, "other");
  writeFileSync(
    at("chain.pem"),
    `${readFileSync(at("server.pem"), "utf8")}${readFileSync(at("ca.pem"), "utf8")}`,
  );
}
