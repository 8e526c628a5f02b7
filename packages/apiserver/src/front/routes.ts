import type { IncomingMessage, ServerResponse } from "node:http";
import type { Http2ServerRequest } from "node:http2";
import type { Duplex } from "node:stream";
import type { HttpAnswer, HttpRequest } from "@cortado/std/http";
import { serveHttp } from "@cortado/std/node/http";
import { StatusError } from "@cortado/std/status";
import type { User } from "../api.ts";
import { certificateOf, type ClientCertificate } from "./identity.ts";

/** Who asks: `user` by a valid certificate, token or password, else anonymous. */
export type Caller = { readonly user: User; readonly certificate: ClientCertificate | undefined };

export type Upgrading = {
  readonly request: IncomingMessage;
  readonly socket: Duplex;
  readonly head: Uint8Array;
};

/** Something that is served beside the API, under the same identity. It checks itself what a caller may. */
export type FrontRoute = {
  /** A path, or a prefix that ends in "/". */
  readonly path: string;
  /** True: it looks itself at who is there, and the front asks nobody: the caller is anonymous. */
  readonly asksItself?: boolean;
  handle(request: HttpRequest, caller: Caller): Promise<HttpAnswer>;
  /** Takes the connection over. @throws StatusError before it has written anything */
  upgrade?(upgrading: Upgrading, caller: Caller): void | Promise<void>;
};

type Request = IncomingMessage | Http2ServerRequest;

export function routeOf(routes: readonly FrontRoute[] = [], request: Request): FrontRoute | undefined {
  const [path = "/"] = (request.url ?? "/").split("?");
  return routes.find((route) =>
    route.path.endsWith("/") ? path.startsWith(route.path) : path === route.path,
  );
}

export function serveRoute(
  route: FrontRoute,
  exchange: { readonly request: Request; readonly response: ServerResponse; readonly user: User },
): Promise<void> {
  const { request, response, user } = exchange;
  const caller = callerOf(route, request, user);
  // Node's HTTP/2 requests have the face of HTTP/1.1's.
  return serveHttp((asked) => route.handle(asked, caller), { request: request as IncomingMessage, response });
}

export async function upgradeRoute(route: FrontRoute, upgrading: Upgrading, user: User): Promise<void> {
  if (route.upgrade === undefined)
    throw new StatusError("BadRequest", `${route.path} does not speak ${upgrading.request.headers.upgrade}`);
  await route.upgrade(upgrading, callerOf(route, upgrading.request, user));
}

function callerOf(route: FrontRoute, request: Request, user: User): Caller {
  return { user, certificate: route.asksItself === true ? undefined : certificateOf(request) };
}
