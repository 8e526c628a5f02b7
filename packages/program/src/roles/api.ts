import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { createApiServer, type ApiServer } from "@cortado/apiserver";
import type { HealthCheck, TokenReader, View } from "@cortado/apiserver/ports";
import type { PasswordReader } from "@cortado/apiserver/front/identity";
import type { FrontRoute } from "@cortado/apiserver/front/routes";
import type { CustomResourceDefinition } from "@cortado/kinds";
import { openFront } from "@cortado/apiserver/front";
import { openCertificates, type Certificates } from "@cortado/cluster/certificates";
import { kubeconfig, type KubeconfigOptions } from "@cortado/cluster/kubeconfig";
import type { Clock } from "@cortado/std/clock";
import type { Files } from "@cortado/std/files";
import type { Log } from "@cortado/std/log";
import type { Metrics } from "@cortado/std/metrics";
import type { Random } from "@cortado/std/random";
import { openSqliteStore } from "@cortado/store/sqlite";
import type { ServerConfig } from "../config/server-config.ts";
import { openJoinTokens, type JoinTokens } from "../join-tokens.ts";
import { diskThread } from "../threads.ts";
import { relaySocket } from "../relay.ts";
import { startPart } from "./lifetime.ts";

export type Ports = {
  readonly clock: Clock;
  readonly random: Random;
  readonly files: Files;
  readonly log: Log;
  readonly metrics: Metrics;
};

/** What a role adds to the API server. */
export type ApiExtras = {
  /** `/readyz` holds it from its first answer. */
  readonly partsCheck: HealthCheck;
  /** More kinds than a store's. */
  readonly definitions?: readonly CustomResourceDefinition[];
  /** Kinds whose objects are computed. */
  readonly views?: readonly View[];
  /** Served beside the API; may be added to while it runs. */
  readonly routes?: readonly FrontRoute[];
  readonly readPassword?: PasswordReader;
  /** Asked for bearer tokens that are no service account's. */
  readonly readToken?: TokenReader;
  /** A Unix socket that speaks plain HTTP/1.1, for this machine only. */
  readonly plainSocket?: string;
  /** Writes the kubeconfig in place of the API; called at each renewal of its certificates. */
  readonly kubeconfigRenewed?: () => void;
};

export type Api = {
  readonly server: ApiServer;
  readonly certificates: Certificates;
  /** What machines join with. */
  readonly tokens: JoinTokens;
  /** Where it is served. */
  readonly port: number;
};

/** Opens the store and serves the API over it: the part that all others stand on. */
export async function startApi(
  config: ServerConfig,
  ports: Ports,
  stack: AsyncDisposableStack,
  extras: ApiExtras,
): Promise<Api> {
  const { clock, random, files, log, metrics } = ports;
  const folder = join(config.dataDir, "server");
  await mkdir(join(folder, "db"), { recursive: true, mode: 0o700 });
  const certificates = await startPart(stack, {
    name: "certificates",
    log,
    start: () =>
      openCertificates({
        folder: join(folder, "tls"),
        files,
        clock,
        random,
        log,
        serverNames: serverNames(config),
      }),
  });
  const path = join(folder, "db", "state.db");
  const store = await startPart(stack, {
    name: "store",
    log,
    start: () => openSqliteStore({ path, clock, openWorker: (file) => diskThread("store-committer", file) }),
  });
  const server = await startPart(stack, {
    name: "apiserver",
    log,
    start: () =>
      createApiServer({
        store,
        clock,
        random,
        log,
        metrics,
        serviceNetwork: {
          cidr: config.serviceCidr,
          apiAddress: firstAddress(config.serviceCidr),
          port: config.httpsListenPort,
        },
        reservedAddresses: [config.clusterDns],
        healthChecks: [extras.partsCheck],
        ...(extras.readToken === undefined ? {} : { readToken: extras.readToken }),
        definitions: extras.definitions ?? [],
        views: extras.views ?? [],
        serviceAccountKeys: {
          privateKeys: [certificates.serviceAccounts.privateKey],
          issuer: `https://kubernetes.default.svc.${config.clusterDomain}`,
          audiences: [`https://kubernetes.default.svc.${config.clusterDomain}`, "cortado"],
        },
      }),
  });
  const tokens = await openJoinTokens(config, certificates.serverCa, ports);
  const port = await openDoors(config, { server, certificates, extras }, ports, stack);
  return { server, certificates, tokens, port };
}

async function openDoors(
  config: ServerConfig,
  api: Pick<Api, "server" | "certificates"> & { readonly extras: ApiExtras },
  ports: Ports,
  stack: AsyncDisposableStack,
): Promise<number> {
  const { clock, log } = ports;
  const { server, certificates, extras } = api;
  const { routes = [], readPassword, plainSocket, kubeconfigRenewed } = extras;
  const common = { server, routes, clock, log, ...(readPassword === undefined ? {} : { readPassword }) };
  const material = () => ({
    certificate: certificates.serving.cert,
    key: certificates.serving.key,
    clientAuthority: certificates.clientCa,
  });
  const host = config.runtime === "simulated" ? "127.0.0.1" : config.bindAddress;
  const front = await startPart(stack, {
    name: "front",
    log,
    start: () =>
      openFront({ ...common, address: { host, port: config.httpsListenPort }, material: material() }),
  });
  if (config.localSocketDir !== undefined) {
    await mkdir(config.localSocketDir, { recursive: true, mode: 0o700 });
    stack.use(await relaySocket({ path: join(config.localSocketDir, "api.sock"), port: front.port }));
  }
  if (plainSocket !== undefined) {
    await rm(plainSocket, { force: true });
    stack.use(await openFront({ ...common, address: { path: plainSocket } }));
  }
  const write = async (): Promise<void> => {
    if (kubeconfigRenewed === undefined) await writeKubeconfig(config, certificates, front.port);
    else kubeconfigRenewed();
  };
  await write();
  certificates.onRenewed(() => {
    front.setMaterial(material());
    write().catch((error: unknown) => log.error("the kubeconfig could not be written again", { error }));
  });
  return front.port;
}

/** What the administrator's kubeconfig says. */
export function kubeconfigOptions(
  config: ServerConfig,
  certificates: Certificates,
  port: number,
): KubeconfigOptions {
  const { serverCa, admin } = certificates;
  const server = config.kubeconfigServer ?? `https://127.0.0.1:${port}`;
  return { name: config.nodeName, server, serverCa, admin };
}

async function writeKubeconfig(
  config: ServerConfig,
  certificates: Certificates,
  port: number,
): Promise<void> {
  const content = kubeconfig(kubeconfigOptions(config, certificates, port));
  await mkdir(dirname(config.writeKubeconfig), { recursive: true });
  const next = `${config.writeKubeconfig}.next`;
  await writeFile(next, content, { mode: config.writeKubeconfigMode });
  await rename(next, config.writeKubeconfig);
}

function serverNames(config: ServerConfig): {
  readonly dns: readonly string[];
  readonly ips: readonly string[];
} {
  const isAddress = (name: string): boolean => /^[\d.]+$|:/.test(name);
  const svc = [
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    `kubernetes.default.svc.${config.clusterDomain}`,
  ];
  const own = [config.nodeIp, firstAddress(config.serviceCidr), "127.0.0.1", "::1"].filter(
    (ip) => ip !== undefined,
  );
  return {
    dns: [...svc, "localhost", config.nodeName, ...config.tlsSan.filter((name) => !isAddress(name))],
    ips: [
      ...new Set([
        ...own.map((ip) => (ip === "::1" ? "0:0:0:0:0:0:0:1" : ip)),
        ...config.tlsSan.filter(isAddress),
      ]),
    ],
  };
}

/** The first usable address of a network: the API server's own service. */
export function firstAddress(cidr: string): string {
  const [network = ""] = cidr.split("/");
  const parts = network.split(".").map(Number);
  parts[3] = (parts[3] ?? 0) + 1;
  return parts.join(".");
}
