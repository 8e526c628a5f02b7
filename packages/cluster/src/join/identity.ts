import { backoffMs } from "@cortado/std/backoff";
import { every, type Clock } from "@cortado/std/clock";
import type { Files } from "@cortado/std/files";
import type { Log } from "@cortado/std/log";
import type { Random } from "@cortado/std/random";
import { hasReason, messageOf, StatusError } from "@cortado/std/status";
import { isDue, newKeyPem, publicPem, validity, type KeyPair } from "../certificates/issue.ts";
import { JOIN_RETRY_FIRST_MS, JOIN_RETRY_MAX_MS, RENEW_LOOK_MS, SETTINGS_WAIT_MS } from "../limits.ts";
import { askServer, type Credential } from "./join-door.ts";
import { newNodePassword } from "./node-password.ts";
import {
  AUTHORITY_PATH,
  KUBELET_CERTIFICATE_PATH,
  NODE_NAME_HEADER,
  NODE_PASSWORD_HEADER,
  PROXY_CERTIFICATE_PATH,
  SETTINGS_PATH,
  type ClusterSettings,
} from "./protocol.ts";
import { authorityHashOf, type JoinToken } from "./token.ts";

export type IdentityOptions = {
  readonly server: URL;
  readonly token: JoinToken;
  readonly nodeName: string;
  /** Where keys and certificates are kept, such as DATA/agent; files are 0600. */
  readonly folder: string;
  readonly files: Files;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly signal: AbortSignal;
};

/** Who a machine is in its cluster. Certificates are renewed while it runs. */
export interface Identity extends Disposable {
  readonly server: URL;
  /** PEM that the server is verified with. */
  readonly authority: string;
  readonly settings: ClusterSettings;
  /** User system:node:NAME of group system:nodes. */
  readonly kubelet: KeyPair;
  /** User system:kube-proxy, who reads services. */
  readonly proxy: KeyPair;
  onRenewed(listener: () => void): void;
  /** Looks now whether certificates are due; also done twice a day. */
  renew(): Promise<void>;
}

type Kept = {
  readonly server: string;
  readonly nodeName: string;
  readonly settings: ClusterSettings;
};

/**
 * Joins the cluster of a server, or is again who it was: a machine that has joined starts without its server. A server that does not
 * answer is asked again and again, and the log says so.
 * @throws StatusError when the server or the token is not the right one, or the server refuses the machine
 */
export async function openIdentity(options: IdentityOptions): Promise<Identity> {
  const folder = new IdentityFolder(options);
  await options.files.makeFolder(options.folder);
  const password = await folder.password();
  const found = await folder.read();
  const identity = found ?? (await untilAnswered(options, () => join(options, folder, password)));
  const settings = found === undefined ? identity.settings : await newerSettings(options, folder, identity);
  let { kubelet, proxy } = identity;
  const { authority } = identity;
  const listeners: (() => void)[] = [];
  const renewNow = async (): Promise<void> => {
    if (!isDue(kubelet.cert, options.clock.nowMs()) && !isDue(proxy.cert, options.clock.nowMs())) return;
    const pairs = await certify(options, { authority, credential: kubelet, password });
    await folder.writePairs(pairs);
    ({ kubelet, proxy } = pairs);
    options.log.info("the node's certificates are renewed");
    for (const listener of listeners) listener();
  };
  // One at a time: what is on disk and what is shown would differ.
  let renewing: Promise<void> | undefined;
  const renew = (): Promise<void> => (renewing ??= renewNow().finally(() => (renewing = undefined)));
  const look = (): void =>
    void renew().catch((error: unknown) =>
      options.log.error("the node's certificates could not be renewed", { error }),
    );
  const looking = every(options.clock, RENEW_LOOK_MS, look);
  look(); // one that was off for months may be near its end
  return {
    server: options.server,
    authority,
    settings,
    get kubelet() {
      return kubelet;
    },
    get proxy() {
      return proxy;
    },
    onRenewed: (listener) => void listeners.push(listener),
    renew,
    [Symbol.dispose]: () => looking[Symbol.dispose](),
  };
}

type Joined = Pick<Identity, "authority" | "settings" | "kubelet" | "proxy">;

async function join(options: IdentityOptions, folder: IdentityFolder, password: string): Promise<Joined> {
  const { server, token, signal, log } = options;
  const authority = await askServer(server, {
    method: "GET",
    path: AUTHORITY_PATH,
    authority: undefined,
    signal,
  });
  if (!authority.includes("-----BEGIN CERTIFICATE-----"))
    throw new StatusError(
      "BadGateway",
      `${server.origin} is not the server of a cluster: ${AUTHORITY_PATH} answers no certificate`,
    );
  const hash = authorityHashOf(authority);
  if (token.authorityHash === undefined)
    log.warn(
      "the token is short: it does not say which server is meant, and this one is believed; the secure form (cortado token) does",
      {
        server: server.origin,
        authority: hash,
      },
    );
  else if (token.authorityHash !== hash)
    throw new StatusError(
      "Forbidden",
      `the authority of ${server.origin} has the hash ${hash}, and the token is for ${token.authorityHash}: it is another server, or somebody in between; nothing secret was sent`,
    );
  const { credential } = token;
  const text = await askServer(server, { method: "GET", path: SETTINGS_PATH, authority, credential, signal });
  const settings = JSON.parse(text) as ClusterSettings;
  const pairs = await certify(options, { authority, credential, password });
  const joined = { authority, settings, ...pairs };
  await folder.write(joined);
  log.info("joined a cluster", { server: server.origin });
  return joined;
}

async function certify(
  { server, nodeName, signal }: IdentityOptions,
  {
    authority,
    credential,
    password,
  }: { readonly authority: string; readonly credential: Credential; readonly password: string },
): Promise<Pick<Identity, "kubelet" | "proxy">> {
  const headers = { [NODE_NAME_HEADER]: nodeName, [NODE_PASSWORD_HEADER]: password };
  const pair = async (path: string): Promise<KeyPair> => {
    const key = newKeyPem();
    const cert = await askServer(server, {
      method: "POST",
      path,
      authority,
      credential,
      headers,
      body: publicPem(key),
      signal,
    });
    return { cert, key };
  };
  return { kubelet: await pair(KUBELET_CERTIFICATE_PATH), proxy: await pair(PROXY_CERTIFICATE_PATH) };
}

/** The server may have been told something else meanwhile; who does not reach it starts with what it knows. */
async function newerSettings(
  options: IdentityOptions,
  folder: IdentityFolder,
  known: Joined,
): Promise<ClusterSettings> {
  const late = new AbortController();
  using _limit = options.clock.after(SETTINGS_WAIT_MS, () => late.abort());
  const signal = AbortSignal.any([options.signal, late.signal]);
  const { authority, kubelet: credential } = known;
  try {
    const text = await askServer(options.server, {
      method: "GET",
      path: SETTINGS_PATH,
      authority,
      credential,
      signal,
    });
    const settings = JSON.parse(text) as ClusterSettings;
    await folder.write({ ...known, settings });
    return settings;
  } catch (error) {
    if (!hasReason(error, "ServiceUnavailable")) throw error;
    options.log.warn("the server does not answer; starting with what it said before", {
      problem: messageOf(error),
    });
    return known.settings;
  }
}

async function untilAnswered<Value>(
  { clock, log, signal }: IdentityOptions,
  work: () => Promise<Value>,
): Promise<Value> {
  for (let failures = 0; ; failures += 1) {
    try {
      return await work();
    } catch (error) {
      if (!hasReason(error, "ServiceUnavailable", "TooManyRequests") || signal.aborted) throw error;
      log.warn("not joined yet; trying again", { problem: messageOf(error) });
      await clock.sleep(backoffMs(failures, { firstMs: JOIN_RETRY_FIRST_MS, maxMs: JOIN_RETRY_MAX_MS }), {
        signal,
      });
    }
  }
}

/** What a machine keeps of its identity. */
class IdentityFolder {
  readonly #options: IdentityOptions;

  constructor(options: IdentityOptions) {
    this.#options = options;
  }

  /** Made once, and never sent before the server has proved who it is. */
  async password(): Promise<string> {
    const found = await this.#read("node-password");
    if (found !== undefined) return found;
    const made = newNodePassword(this.#options.random);
    await this.#write("node-password", made);
    return made;
  }

  /** Undefined: it has not joined this server, or not as this node, or too long ago, or the token names another. */
  async read(): Promise<Joined | undefined> {
    const { server, nodeName, token, clock } = this.#options;
    const [settings, authority, kubelet, proxy] = [
      await this.#read("settings.json"),
      await this.#read("server-ca.crt"),
      await this.#readPair("client-kubelet"),
      await this.#readPair("client-kube-proxy"),
    ];
    if (settings === undefined || authority === undefined || kubelet === undefined || proxy === undefined)
      return undefined;
    const kept = JSON.parse(settings) as Kept;
    const isOurs = kept.server === server.origin && kept.nodeName === nodeName;
    const isNamed = token.authorityHash === undefined || token.authorityHash === authorityHashOf(authority);
    const isValid = [kubelet, proxy].every(({ cert }) => validity(cert).toMs > clock.nowMs());
    return isOurs && isNamed && isValid ? { settings: kept.settings, authority, kubelet, proxy } : undefined;
  }

  async write({ authority, settings, ...pairs }: Joined): Promise<void> {
    const { server, nodeName } = this.#options;
    const kept: Kept = { server: server.origin, nodeName, settings };
    await this.writePairs(pairs);
    await this.#write("server-ca.crt", authority);
    await this.#write("settings.json", `${JSON.stringify(kept, undefined, 2)}\n`); // last: it says that all is there
  }

  async writePairs({ kubelet, proxy }: Pick<Identity, "kubelet" | "proxy">): Promise<void> {
    for (const [name, pair] of [
      ["client-kubelet", kubelet],
      ["client-kube-proxy", proxy],
    ] as const) {
      // One file: a certificate and another's key would be of no use after a power cut between the two.
      await this.#write(`${name}.pem`, `${pair.cert}${pair.key}`);
    }
  }

  async #readPair(name: string): Promise<KeyPair | undefined> {
    const text = await this.#read(`${name}.pem`);
    const at = text?.indexOf("-----BEGIN PRIVATE KEY-----") ?? -1;
    return text === undefined || at < 0 ? undefined : { cert: text.slice(0, at), key: text.slice(at) };
  }

  async #read(name: string): Promise<string | undefined> {
    const bytes = await this.#options.files.read(`${this.#options.folder}/${name}`);
    return bytes === undefined ? undefined : new TextDecoder().decode(bytes);
  }

  #write(name: string, text: string): Promise<void> {
    return this.#options.files.replace(`${this.#options.folder}/${name}`, new TextEncoder().encode(text));
  }
}
