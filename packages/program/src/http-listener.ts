import { createServer, type IncomingMessage, type Server } from "node:http";
import { createServer as createSecureServer, type Server as SecureServer } from "node:https";
import { rm } from "node:fs/promises";
import type { Duplex } from "node:stream";
import type { HttpHandler } from "@cortado/std/http";
import type { Address, TlsOptions } from "@cortado/std/net";
import { nodeListener } from "@cortado/std/node/http";
import { contextOf, guardedTls, remoteOf, serverOptionsOf, shownBy } from "@cortado/std/node/tls";
import { StatusError } from "@cortado/std/status";

export type HttpListenerOptions = {
  readonly addresses: readonly Address[];
  readonly handle: HttpHandler;
  /** Absent: plain HTTP. */
  readonly tls?: TlsOptions;
  /** A client's certificate was bad. */
  readonly failed?: (reason: string, remote: string) => void;
  readonly upgrade?: (request: IncomingMessage, socket: Duplex, head: Buffer) => void;
};

export interface HttpListening extends AsyncDisposable {
  /** Other certificates for connections that come from now on. @throws StatusError "Invalid" and keeps the old ones */
  renew(tls: TlsOptions): void;
}

/** HTTP/1.1 on each of the addresses. @throws StatusError "Conflict" when one is in use, "Invalid" for certificates that cannot be used */
export async function listenHttp(options: HttpListenerOptions): Promise<HttpListening> {
  await using stack = new AsyncDisposableStack();
  const renewals: ((tls: TlsOptions) => void)[] = [];
  for (const address of options.addresses) {
    const listener = nodeListener(options.handle);
    let server: Server;
    if (options.tls === undefined) server = createServer(listener);
    else {
      const secure = secureServer(address, { ...options, tls: options.tls });
      secure.on("request", listener);
      renewals.push((tls) => guardedTls(address, () => secure.setSecureContext(contextOf(tls))));
      server = secure;
    }
    server.keepAliveTimeout = 30_000;
    if (options.upgrade !== undefined) server.on("upgrade", options.upgrade);
    await listen(server, address);
    stack.defer(async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    });
  }
  const running = stack.move();
  return {
    renew(tls) {
      for (const renewal of renewals) renewal(tls);
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

function secureServer(
  address: Address,
  { tls, failed }: HttpListenerOptions & { readonly tls: TlsOptions },
): SecureServer {
  const server = guardedTls(address, () => createSecureServer(serverOptionsOf(tls)));
  server.on("secureConnection", (socket) => {
    const { fault } = shownBy(socket);
    if (fault === undefined) return;
    failed?.(fault, remoteOf(socket));
    socket.destroy();
  });
  server.on("tlsClientError", (error, socket) => failed?.(error.message, remoteOf(socket)));
  return server;
}

async function listen(server: Server, address: Address): Promise<void> {
  if ("path" in address) await rm(address.path, { force: true });
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause: NodeJS.ErrnoException) => {
      const where = "path" in address ? address.path : `${address.host}:${address.port}`;
      const reason = cause.code === "EADDRINUSE" ? "Conflict" : "ServiceUnavailable";
      reject(new StatusError(reason, `cannot listen on ${where}: ${cause.message}`, { cause }));
    });
    server.listen("path" in address ? { path: address.path } : address, resolve);
  });
}
