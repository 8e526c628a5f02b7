import { createServer, type IncomingMessage, type RequestOptions, type ServerResponse } from "node:http";
import { Agent, request as httpsRequest } from "node:https";
import type { Duplex } from "node:stream";
import type { HttpTransportOptions } from "@cortado/client/node/http";
import type { Log } from "@cortado/std/log";
import type { Connection } from "@cortado/std/net";
import { connectionDuplex } from "@cortado/std/node/duplex";
import { serveHttp } from "@cortado/std/node/http";
import { StatusError } from "@cortado/std/status";
import { forwardRequest, forwardUpgrade, passableHeaders, type Upstream } from "../../access/forward.ts";
import { refuseUpgrade } from "../../access/refuse.ts";

/** Serves the API of a Kubernetes that is not ours over streams of the hub. */
export interface ForeignApi extends Disposable {
  serve(stream: Connection): void;
}

/**
 * Passes the hub's requests on to an API server, with the agent's own credential and in the name of the hub's user: the credential
 * must be allowed to impersonate, and that cluster's RBAC decides about `hub:USER`.
 */
export function foreignApi(reach: HttpTransportOptions, { log }: { readonly log: Log }): ForeignApi {
  const { server, ca, credential } = reach;
  const base = new URL(server);
  const agent = new Agent({ keepAlive: true, ca, ...("cert" in credential ? credential : {}) });
  const upstream: Upstream = ({ headers, path, ...options }: RequestOptions) =>
    httpsRequest({
      ...options,
      agent,
      host: base.hostname.replace(/^\[|\]$/g, ""),
      port: base.port === "" ? 443 : Number(base.port),
      path: `${base.pathname.replace(/\/+$/, "")}${path ?? "/"}`,
      headers: {
        ...headers,
        host: base.host,
        ...("token" in credential ? { authorization: `Bearer ${credential.token}` } : {}),
      },
    });
  const listener = createServer((request, response) => void plain(upstream, request, response));
  listener.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Uint8Array) => {
    upgrade(upstream, { request, socket, head }).catch((error: unknown) => refuseUpgrade(socket, error));
  });
  const streams = new Set<Duplex>();
  return {
    serve(connection) {
      const stream = connectionDuplex(connection);
      streams.add(stream);
      stream.once("close", () => streams.delete(stream));
      stream.on("error", (error) => log.debug("a stream of the hub broke", { error: error.message }));
      listener.emit("connection", stream);
    },
    [Symbol.dispose]() {
      for (const stream of streams) stream.destroy();
      agent.destroy();
    },
  };
}

function plain(upstream: Upstream, request: IncomingMessage, response: ServerResponse): Promise<void> {
  return serveHttp(
    async ({ method, pieces, signal }) => {
      const forwarded = {
        method,
        path: request.url ?? "/",
        headers: namedHeaders(request),
        target: "the cluster's API",
      };
      const answer = await forwardRequest(forwarded, upstream, { body: pieces, signal });
      const headers = Object.entries(passableHeaders(answer.headers)).map(
        ([name, value]) => [name, Array.isArray(value) ? value.join(", ") : String(value)] as const,
      );
      return {
        status: answer.statusCode ?? 502,
        headers: Object.fromEntries(headers),
        body: answer as AsyncIterable<Uint8Array>,
      };
    },
    { request, response },
  );
}

async function upgrade(
  upstream: Upstream,
  {
    request,
    socket,
    head,
  }: { readonly request: IncomingMessage; readonly socket: Duplex; readonly head: Uint8Array },
): Promise<void> {
  const { method = "GET", url = "/", headers } = request;
  const more = { connection: "Upgrade", upgrade: headers.upgrade };
  const forwarded = {
    method,
    path: url,
    headers: { ...namedHeaders(request), ...more },
    target: "the cluster's API",
  };
  await forwardUpgrade(forwarded, upstream, { socket, head });
}

/** Without a name the agent's own rights would count. @throws StatusError "Unauthorized" */
function namedHeaders(request: IncomingMessage): ReturnType<typeof passableHeaders> {
  const { "impersonate-user": user } = request.headers;
  if (user === undefined || user === "")
    throw new StatusError("Unauthorized", "the hub did not say in whose name it asks");
  const { authorization: _own, ...headers } = passableHeaders(request.headers);
  // Node joins what came on several lines; each group is a header of its own.
  const groups = request.headersDistinct["impersonate-group"];
  return { ...headers, ...(groups === undefined ? {} : { "impersonate-group": groups }) };
}
