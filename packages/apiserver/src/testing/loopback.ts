import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { generateKeyPairSync } from "node:crypto";
import { systemClock } from "@cortado/std/node/clock";
import { systemRandom } from "@cortado/std/node/random";
import { silentLog } from "@cortado/std/testing/silent-log";
import { newMetrics } from "@cortado/std/metrics";
import { openMemoryStore } from "@cortado/store/memory";
import { createApiServer, type ApiServer } from "../apiserver.ts";
import { openFront } from "../front/front.ts";

export type Ran = { readonly code: number; readonly out: string; readonly err: string };

/** A real server on a loopback port with a kubeconfig for its administrator, and the means to run a real kubectl against it. */
export type Loopback = AsyncDisposable & {
  readonly server: ApiServer;
  readonly folder: string;
  readonly kubeconfig: string;
  readonly port: number;
  run(kubectl: string, words: readonly string[], input?: string): Promise<Ran>;
};

function openssl(folder: string, words: readonly string[]): void {
  execFileSync("openssl", words, { cwd: folder, stdio: "ignore" });
}

function makeCertificates(folder: string): void {
  writeFileSync(join(folder, "ext"), "subjectAltName=IP:127.0.0.1,DNS:localhost\n");
  openssl(folder, [
    "req",
    "-x509",
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:P-256",
    "-nodes",
    "-keyout",
    "ca.key",
    "-out",
    "ca.crt",
    "-subj",
    "/CN=test-ca",
    "-days",
    "2",
  ]);
  for (const [name, subject] of [
    ["server", "/CN=kube-apiserver"],
    ["admin", "/O=system:masters/CN=admin"],
  ] as const) {
    openssl(folder, [
      "req",
      "-newkey",
      "ec",
      "-pkeyopt",
      "ec_paramgen_curve:P-256",
      "-nodes",
      "-keyout",
      `${name}.key`,
      "-out",
      `${name}.csr`,
      "-subj",
      subject,
    ]);
    openssl(folder, [
      "x509",
      "-req",
      "-in",
      `${name}.csr`,
      "-CA",
      "ca.crt",
      "-CAkey",
      "ca.key",
      "-CAcreateserial",
      "-out",
      `${name}.crt`,
      "-days",
      "2",
      "-extfile",
      "ext",
    ]);
  }
}

export async function openLoopback(): Promise<Loopback> {
  const { readFileSync } = await import("node:fs");
  const folder = mkdtempSync(join(tmpdir(), "api-"));
  makeCertificates(folder);
  const read = (name: string): string => readFileSync(join(folder, name), "utf8");
  const { privateKey } = generateKeyPairSync("ec", {
    namedCurve: "P-256",
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
    publicKeyEncoding: { type: "spki", format: "pem" },
  });
  const store = await openMemoryStore();
  const server = await createApiServer({
    store,
    clock: systemClock,
    random: systemRandom,
    log: silentLog,
    metrics: newMetrics(),
    serviceNetwork: { cidr: "10.43.0.0/16", apiAddress: "10.43.0.1", port: 6443 },
    reservedAddresses: ["10.43.0.10"],
    serviceAccountKeys: {
      privateKeys: [privateKey],
      issuer: "https://kubernetes.default.svc.cluster.local",
      audiences: ["https://kubernetes.default.svc.cluster.local"],
    },
  });
  const material = {
    certificate: read("server.crt"),
    key: read("server.key"),
    clientAuthority: read("ca.crt"),
  };
  const front = await openFront({
    server,
    address: { host: "127.0.0.1", port: 0 },
    material,
    clock: systemClock,
    log: silentLog,
  });
  const kubeconfig = join(folder, "config");
  writeKubeconfig({ kubeconfig, folder, port: front.port });
  return {
    server,
    folder,
    kubeconfig,
    port: front.port,
    run: (kubectl, words, input) => run({ kubectl, words, input, folder, kubeconfig }),
    async [Symbol.asyncDispose]() {
      await front[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
      await store[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

type Running = {
  readonly kubectl: string;
  readonly words: readonly string[];
  readonly input: string | undefined;
  readonly folder: string;
  readonly kubeconfig: string;
};

function run({ kubectl, words, input, folder, kubeconfig }: Running): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const child = spawn(kubectl, [...words], {
      env: { PATH: "/usr/bin:/bin", KUBECONFIG: kubeconfig, HOME: folder },
      stdio: ["pipe", "pipe", "pipe"],
    });
    let [out, err] = ["", ""];
    child.stdout.on("data", (bytes) => (out += String(bytes)));
    child.stderr.on("data", (bytes) => (err += String(bytes)));
    child.once("error", reject);
    child.once("close", (code) => resolve({ code: code ?? 1, out, err }));
    child.stdin.end(input ?? "");
  });
}

function writeKubeconfig({
  kubeconfig,
  folder,
  port,
}: {
  readonly kubeconfig: string;
  readonly folder: string;
  readonly port: number;
}): void {
  writeFileSync(
    kubeconfig,
    JSON.stringify({
      apiVersion: "v1",
      kind: "Config",
      "current-context": "test",
      clusters: [
        {
          name: "test",
          cluster: {
            server: `https://127.0.0.1:${port}`,
            "certificate-authority": join(folder, "ca.crt"),
          },
        },
      ],
      users: [
        {
          name: "admin",
          user: { "client-certificate": join(folder, "admin.crt"), "client-key": join(folder, "admin.key") },
        },
      ],
      contexts: [{ name: "test", context: { cluster: "test", user: "admin" } }],
    }),
  );
}
