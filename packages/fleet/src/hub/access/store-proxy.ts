import { request as httpRequest, type IncomingMessage, type OutgoingHttpHeaders } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Clock } from "@cortado/std/clock";
import type { HttpAnswer, HttpRequest } from "@cortado/std/http";
import type { Log } from "@cortado/std/log";
import type { Connection } from "@cortado/std/net";
import { connectionDuplex } from "@cortado/std/node/duplex";
import { StatusError, toStatusError } from "@cortado/std/status";
import { forwardRequest, forwardUpgrade, passableHeaders, type Upstream } from "../../access/forward.ts";
import type { AuditTrail } from "../audit.ts";
import type { ClusterKey } from "../ports.ts";

/** Who asks, as the hub knows them. */
export type HubUser = { readonly name: string; readonly groups: readonly string[] };

export type StoreProxyPorts = {
  /** A stream into the store's API. @throws StatusError "NotFound", "ServiceUnavailable" or "TooManyRequests" */
  readonly openStream: (
    cluster: ClusterKey,
    options: { readonly signal: AbortSignal },
  ) => Promise<Connection>;
  /** Who the caller wants to be taken for at the hub; most often who they are. @throws StatusError "Forbidden" */
  readonly actAs: (user: HubUser, headers: Readonly<Record<string, string | undefined>>) => Promise<HubUser>;
  /** @throws StatusError "Forbidden" unless the user may `verb` resource `clusters/proxy` of that name */
  readonly mustMay: (user: HubUser, verb: string, cluster: ClusterKey) => Promise<void>;
  readonly clock: Clock;
  readonly log: Log;
  /** Keeps who came in to do what, beside the log. */
  readonly audit?: AuditTrail;
};

/** What follows is one store's API. */
export const STORES_PATH = "/stores/";

/** As upstream's proxies have it: what a method does is what must be allowed. */
const verbs: Readonly<Record<string, string>> = {
  GET: "get",
  HEAD: "get",
  OPTIONS: "get",
  POST: "create",
  PUT: "update",
  PATCH: "patch",
  DELETE: "delete",
};

type Asked = {
  readonly user: HubUser;
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly isUpgrade: boolean;
  readonly remote: string;
  /** Aborts when the caller has gone away. */
  readonly signal: AbortSignal;
};
type Admitted = {
  readonly headers: OutgoingHttpHeaders;
  readonly path: string;
  readonly target: string;
  readonly upstream: Upstream;
};

/**
 * The API of each store under `/stores/NAMESPACE/NAME`, over the connection that the store opened. The hub's RBAC says who may come
 * in; what they may do inside is for the store's RBAC: it sees user `hub:USER` and groups `hub:GROUP`, and of the hub's
 * administrators (group `system:masters`) administrators. Each request is a line in the log.
 */
export class StoreProxy {
  readonly #ports: StoreProxyPorts;

  constructor(ports: StoreProxyPorts) {
    this.#ports = ports;
  }

  handle(request: HttpRequest, user: HubUser): Promise<HttpAnswer> {
    const { method, path, query, headers, signal, pieces } = request;
    const text = query.toString();
    const asked = {
      user,
      method,
      url: text === "" ? path : `${path}?${text}`,
      headers,
      isUpgrade: false,
      remote: request.remote,
      signal,
    };
    return this.#audited(asked, async (admitted) => {
      const { upstream, ...target } = admitted;
      const answer = await forwardRequest({ method, ...target }, upstream, { body: pieces, signal });
      return { status: answer.statusCode ?? 502, headers: textHeaders(answer), body: bodyOf(answer) };
    });
  }

  async upgrade(
    {
      request,
      socket,
      head,
    }: { readonly request: IncomingMessage; readonly socket: Duplex; readonly head: Uint8Array },
    user: HubUser,
  ): Promise<void> {
    const { method = "GET", url = "/", headers } = request;
    const gone = new AbortController();
    socket.once("close", () => gone.abort(new StatusError("Timeout", "the caller has gone away")));
    const { remoteAddress = "", remotePort = 0 } = socket as Partial<Socket>;
    const remote = remoteAddress === "" ? "" : `${remoteAddress}:${remotePort}`;
    const asked = { user, method, url, headers, isUpgrade: true, remote, signal: gone.signal };
    await this.#audited(asked, async (admitted) => {
      const { upstream, ...target } = admitted;
      const more = { connection: "Upgrade", upgrade: headers.upgrade };
      const forwarded = { ...target, method, headers: { ...target.headers, ...more } };
      return { status: await forwardUpgrade(forwarded, upstream, { socket, head }) };
    });
  }

  async #audited<Answer extends { readonly status: number }>(
    asked: Asked,
    serve: (admitted: Admitted) => Promise<Answer>,
  ): Promise<Answer> {
    const { clock, log, audit } = this.#ports;
    const startMs = clock.monotonicMs();
    const { cluster, path } = readPlace(asked.url);
    const verb = asked.isUpgrade ? "create" : (verbs[asked.method] ?? asked.method.toLowerCase());
    // Without the query: what is written there (a command, a selector) may be a secret.
    const [bare = ""] = path.split("?");
    const record = { user: asked.user.name, store: `${cluster.namespace}/${cluster.name}`, verb, path: bare };
    const { groups } = asked.user;
    const entry = { ...record, groups, remote: asked.remote, event: "store access" as const };
    try {
      const answer = await serve(await this.#admit(asked, { cluster, path, verb }));
      const tookMs = clock.monotonicMs() - startMs;
      log.info("store access", { ...record, code: answer.status, tookMs });
      audit?.({ ...entry, code: answer.status, tookMs });
      return answer;
    } catch (error) {
      const { code, reason, message } = toStatusError(error);
      log.warn("store access", { ...record, code, message });
      audit?.({ ...entry, code, reason, message });
      throw error;
    }
  }

  async #admit(
    asked: Asked,
    { cluster, path, verb }: { readonly cluster: ClusterKey; readonly path: string; readonly verb: string },
  ): Promise<Admitted> {
    const { actAs, mustMay, openStream } = this.#ports;
    const given = passableHeaders(asked.headers);
    const plain = Object.fromEntries(
      Object.entries(given).map(([name, value]) => [
        name,
        Array.isArray(value) ? value.join(", ") : String(value),
      ]),
    );
    const user = await actAs(asked.user, plain);
    await mustMay(user, verb, cluster);
    const headers = { ...withoutIdentity(given), host: cluster.name, ...identityHeaders(user) };
    const stream = connectionDuplex(await openStream(cluster, { signal: asked.signal }));
    stream.on("error", () => undefined); // what it breaks says so
    const upstream: Upstream = (options) => httpRequest({ ...options, createConnection: () => stream });
    return { headers, path, target: `store ${cluster.name}`, upstream };
  }
}

function readPlace(url: string): { readonly cluster: ClusterKey; readonly path: string } {
  const mark = url.indexOf("?");
  const [path, query] = mark < 0 ? [url, ""] : [url.slice(0, mark), url.slice(mark)];
  const [namespace = "", name = "", ...rest] = path.slice(STORES_PATH.length).split("/");
  const isName = (text: string): boolean => /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/.test(text);
  if (!isName(namespace) || !isName(name))
    throw new StatusError("NotFound", "a store's API is at /stores/NAMESPACE/NAME of its Cluster");
  return { cluster: { namespace, name }, path: `/${rest.join("/")}${query}` };
}

/** Only the hub says who somebody is, and what it knows them by stays here. */
function withoutIdentity(headers: OutgoingHttpHeaders): OutgoingHttpHeaders {
  const isOf = (name: string): boolean =>
    name.startsWith("impersonate-") ||
    name === "authorization" ||
    name === "cookie" ||
    name === "host" ||
    name === "expect";
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !isOf(name)));
}

const MASTERS = "system:masters";
/** Every user has these at the store too, by being known at all. */
const implied: ReadonlySet<string> = new Set(["system:authenticated", "system:unauthenticated"]);

function identityHeaders({ name, groups }: HubUser): OutgoingHttpHeaders {
  // A comma would make two names of one where headers are joined, and the second could be anybody's.
  const isCarried = (text: string): boolean =>
    /^[\x21-\x2b\x2d-\x7e]+(?: [\x21-\x2b\x2d-\x7e]+)*$/.test(text);
  if (!isCarried(name))
    throw new StatusError(
      "Forbidden",
      `user ${JSON.stringify(name)} cannot be told to a store: use letters without commas`,
    );
  const told = groups
    .filter((group) => !implied.has(group) && isCarried(group))
    .map((group) => (group === MASTERS ? MASTERS : `hub:${group}`));
  return { "impersonate-user": `hub:${name}`, ...(told.length === 0 ? {} : { "impersonate-group": told }) };
}

function textHeaders(answer: IncomingMessage): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(passableHeaders(answer.headers)).map(([name, value]) => [
      name,
      Array.isArray(value) ? value.join(", ") : String(value),
    ]),
  );
}

async function* bodyOf(answer: IncomingMessage): AsyncGenerator<Uint8Array, void, void> {
  yield* answer as AsyncIterable<Uint8Array>;
}
