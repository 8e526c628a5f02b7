import { createServer, type IncomingMessage, type Server } from "node:http";
import { createServer as createSecureServer } from "node:https";
import { rm } from "node:fs/promises";
import type { Duplex } from "node:stream";
import type { HttpHandler } from "@cortado/std/http";
import type { Address } from "@cortado/std/net";
import { nodeListener } from "@cortado/std/node/http";
import { StatusError } from "@cortado/std/status";

export type HttpListenerOptions = {
  readonly addresses: readonly Address[];
  readonly handle: HttpHandler;
  /** PEM; absent: plain HTTP. */
  readonly tls?: { readonly cert: string; readonly key: string };
  readonly upgrade?: (request: IncomingMessage, socket: Duplex, head: Buffer) => void;
};

/** HTTP/1.1 on each of the addresses. @throws StatusError "Conflict" when one is in use */
export async function listenHttp(options: HttpListenerOptions): Promise<AsyncDisposable> {
  await using stack = new AsyncDisposableStack();
  for (const address of options.addresses) {
    const listener = nodeListener(options.handle);
    const server =
      options.tls === undefined ? createServer(listener) : createSecureServer(options.tls, listener);
    server.keepAliveTimeout = 30_000;
    if (options.upgrade !== undefined) server.on("upgrade", options.upgrade);
    await listen(server, address);
    stack.defer(async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    });
  }
  return stack.move();
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
