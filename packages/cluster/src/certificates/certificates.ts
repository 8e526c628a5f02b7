import { every, type Clock } from "@cortado/std/clock";
import type { Files } from "@cortado/std/files";
import type { Log } from "@cortado/std/log";
import type { Random } from "@cortado/std/random";
import { DAY_MS, RENEW_LOOK_MS } from "../limits.ts";
import { certifyClient } from "./client-certificate.ts";
import {
  isCurrent,
  isDue,
  issueAuthority,
  issueLeaf,
  newKeyPem,
  publicPem,
  type KeyPair,
  type LeafRequest,
} from "./issue.ts";

export type { KeyPair } from "./issue.ts";

export type CertificatesOptions = {
  /** Folder for keys and certificates, such as DATA/server/tls; files are 0600. */
  readonly folder: string;
  readonly files: Files;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Names and addresses that clients reach the API server by. */
  readonly serverNames: { readonly dns: readonly string[]; readonly ips: readonly string[] };
};

/** What a server shows, and what it trusts. Leaves are renewed while it runs. */
export interface Certificates extends Disposable {
  /** PEM that clients verify the server with. */
  readonly serverCa: string;
  /** PEM that the server verifies clients with. */
  readonly clientCa: string;
  /** What the API server shows now. */
  readonly serving: KeyPair;
  /** Shown by the ingress for names without a certificate of their own. */
  readonly ingress: KeyPair;
  /** User "system:admin" of group system:masters. */
  readonly admin: KeyPair;
  /** PEM (PKCS #8, P-256) that signs the tokens of service accounts, and its public half. */
  readonly serviceAccounts: { readonly privateKey: string; readonly publicKey: string };
  /** PEM: a client's certificate, from the authority that the server verifies clients with, for a key that the client keeps. */
  certifyClient(request: {
    readonly commonName: string;
    readonly organizations: readonly string[];
    /** PEM (SPKI, P-256). */
    readonly publicKey: string;
    readonly days: number;
  }): Promise<string>;
  /** Called after a leaf was renewed: show it to new connections, write the kubeconfig again. */
  onRenewed(listener: () => void): void;
  /** Looks now whether a leaf is due; also done twice a day. */
  renew(): Promise<void>;
}

const adminRequest: LeafRequest = {
  commonName: "system:admin",
  organizations: ["system:masters"],
  usage: "client",
};
const ingressRequest: LeafRequest = {
  commonName: "cortado ingress",
  usage: "server",
  dnsNames: ["ingress.local", "*.ingress.local"],
};

/** Opens the folder, making whatever is missing, and keeps its leaves fresh. */
export async function openCertificates(options: CertificatesOptions): Promise<Certificates> {
  const { clock, log } = options;
  const folder = new Folder(options);
  await options.files.makeFolder(options.folder);
  const serverCa = await folder.authority("server-ca");
  const clientCa = await folder.authority("client-ca");
  const accountKey = await folder.key("service-account");
  const { dns, ips } = options.serverNames;
  const servingRequest: LeafRequest = {
    commonName: "cortado",
    usage: "server",
    dnsNames: dns,
    ipAddresses: ips,
  };
  let serving = await folder.leaf("serving-kube-apiserver", servingRequest, serverCa);
  let ingress = await folder.leaf("serving-ingress", ingressRequest, serverCa);
  let admin = await folder.leaf("client-admin", adminRequest, clientCa);
  const listeners: (() => void)[] = [];
  const renew = async (): Promise<void> => {
    const before = [serving.cert, admin.cert].join();
    ingress = await folder.leaf("serving-ingress", ingressRequest, serverCa);
    serving = await folder.leaf("serving-kube-apiserver", servingRequest, serverCa);
    admin = await folder.leaf("client-admin", adminRequest, clientCa);
    if ([serving.cert, admin.cert].join() === before) return;
    log.info("certificates renewed");
    for (const listener of listeners) listener();
  };
  const looking = every(clock, RENEW_LOOK_MS, () => {
    renew().catch((error: unknown) => log.error("certificates could not be renewed", { error }));
  });
  return {
    serverCa: serverCa.cert,
    clientCa: clientCa.cert,
    get serving() {
      return serving;
    },
    get ingress() {
      return ingress;
    },
    get admin() {
      return admin;
    },
    serviceAccounts: { privateKey: accountKey, publicKey: publicPem(accountKey) },
    certifyClient: async ({ days, ...request }) => {
      const making = { random: options.random, nowMs: clock.nowMs() };
      return await Promise.resolve(certifyClient(clientCa, { ...request, lifeMs: days * DAY_MS }, making));
    },
    onRenewed: (listener) => void listeners.push(listener),
    renew,
    [Symbol.dispose]: () => looking[Symbol.dispose](),
  };
}

class Folder {
  readonly #options: CertificatesOptions;

  constructor(options: CertificatesOptions) {
    this.#options = options;
  }

  async authority(name: string): Promise<KeyPair> {
    const found = await this.#read(name);
    if (found !== undefined) return found;
    const { random, clock } = this.#options;
    const nowMs = clock.nowMs();
    return this.#write(
      name,
      await issueAuthority(`cortado-${name}@${Math.floor(nowMs / 1_000)}`, { random, nowMs }),
    );
  }

  /** A leaf with at least a third of its life left, that names all it should. */
  async leaf(name: string, request: LeafRequest, authority: KeyPair): Promise<KeyPair> {
    const { random, clock } = this.#options;
    const nowMs = clock.nowMs();
    const found = await this.#read(name);
    if (found !== undefined && !isDue(found.cert, nowMs) && isCurrent(found.cert, request, authority.cert))
      return found;
    return this.#write(name, await issueLeaf(authority, request, { random, nowMs }));
  }

  async key(name: string): Promise<string> {
    const path = `${this.#options.folder}/${name}.key`;
    const found = await this.#options.files.read(path);
    if (found !== undefined) return new TextDecoder().decode(found);
    const made = newKeyPem();
    await this.#options.files.replace(path, new TextEncoder().encode(made));
    return made;
  }

  async #read(name: string): Promise<KeyPair | undefined> {
    const { files, folder } = this.#options;
    const cert = await files.read(`${folder}/${name}.crt`);
    const key = await files.read(`${folder}/${name}.key`);
    if (cert === undefined || key === undefined) return undefined;
    const text = new TextDecoder();
    return { cert: text.decode(cert), key: text.decode(key) };
  }

  async #write(name: string, pair: KeyPair): Promise<KeyPair> {
    const { files, folder } = this.#options;
    const bytes = new TextEncoder();
    // The key first: a certificate without its key would be found and never match.
    await files.replace(`${folder}/${name}.key`, bytes.encode(pair.key));
    await files.replace(`${folder}/${name}.crt`, bytes.encode(pair.cert));
    return pair;
  }
}
