import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { rm } from "node:fs/promises";
import type { Duplex } from "node:stream";
import { errorAnswer, type HttpAnswer, type HttpHandler, type HttpRequest } from "@cortado/std/http";
import type { Address } from "@cortado/std/net";
import { StatusError } from "@cortado/std/status";

export type HttpListenerOptions = {
  readonly addresses: readonly Address[];
  readonly handle: HttpHandler;
  readonly upgrade?: (request: IncomingMessage, socket: Duplex, head: Buffer) => void;
};

/** Plain HTTP/1.1 on each of the addresses. @throws StatusError "Conflict" when one is in use */
export async function listenHttp(options: HttpListenerOptions): Promise<AsyncDisposable> {
  await using stack = new AsyncDisposableStack();
  for (const address of options.addresses) {
    const server = createServer((request, response) => void serve(options.handle, request, response));
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

async function serve(handle: HttpHandler, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const gone = new AbortController();
  response.on("close", () => gone.abort(new Error("the caller has gone away")));
  const answer = await handle(toRequest(request, gone.signal)).catch(errorAnswer);
  try {
    await send(response, answer);
  } catch {
    response.destroy(); // the answer broke off in the middle: the caller must see that it did
  }
}

function toRequest(request: IncomingMessage, signal: AbortSignal): HttpRequest {
  const [path = "/", query = ""] = splitOnce(request.url ?? "/", "?");
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(request.headers))
    headers[name] = Array.isArray(value) ? value.join(", ") : (value ?? "");
  return {
    method: request.method ?? "GET",
    path,
    query: new URLSearchParams(query),
    headers,
    remote:
      request.socket.remoteAddress === undefined
        ? "local"
        : `${request.socket.remoteAddress}:${request.socket.remotePort}`,
    body: (options) => readBody(request, options.bytesMax),
    signal,
  };
}

function splitOnce(text: string, at: string): readonly string[] {
  const index = text.indexOf(at);
  return index < 0 ? [text] : [text.slice(0, index), text.slice(index + 1)];
}

async function readBody(request: IncomingMessage, bytesMax: number): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.byteLength;
    if (bytes > bytesMax)
      throw new StatusError("RequestEntityTooLarge", `the body is over ${bytesMax} bytes; send less`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

async function send(response: ServerResponse, answer: HttpAnswer): Promise<void> {
  const { body = "" } = answer;
  response.writeHead(answer.status, answer.headers);
  if (typeof body === "string" || body instanceof Uint8Array) {
    response.end(body);
    return;
  }
  for await (const part of body)
    if (!response.write(part) && !response.destroyed)
      await new Promise<void>((resolve) => response.once("drain", resolve).once("close", resolve));
  response.end();
}
