import type { IncomingMessage, ServerResponse } from "node:http";
import { errorAnswer, type HttpAnswer, type HttpHandler, type HttpRequest } from "../http.ts";
import { StatusError } from "../status.ts";

/** Serves a handler on Node's HTTP servers; what it throws becomes its Status. */
export function nodeListener(
  handle: HttpHandler,
): (request: IncomingMessage, response: ServerResponse) => void {
  return (request, response) => {
    void serveHttp(handle, { request, response });
  };
}

export type Exchange = { readonly request: IncomingMessage; readonly response: ServerResponse };

/** Serves one exchange. Never rejects. */
export async function serveHttp(handle: HttpHandler, { request, response }: Exchange): Promise<void> {
  const gone = new AbortController();
  response.once("close", () => gone.abort(new StatusError("Timeout", "the caller has gone away")));
  let answer: HttpAnswer;
  try {
    answer = await handle(toRequest(request, gone.signal));
  } catch (error) {
    answer = errorAnswer(error);
  }
  try {
    await send(answer, { request, response });
  } catch {
    response.destroy(); // the head has gone out: all that is left is to say that the rest does not come
  }
}

async function send(answer: HttpAnswer, { request, response }: Exchange): Promise<void> {
  const { status, headers = {}, body } = answer;
  if (response.destroyed) return;
  const known =
    typeof body === "string" || body instanceof Uint8Array
      ? { "content-length": String(Buffer.byteLength(body)) }
      : {};
  const none =
    body === undefined && status >= 200 && status !== 204 && status !== 304 ? { "content-length": "0" } : {};
  response.writeHead(status, { ...none, ...known, ...headers });
  // What was not read must not be taken for the next request.
  if (!request.complete) request.resume();
  if (request.method === "HEAD" || body === undefined) response.end();
  else if (typeof body === "string" || body instanceof Uint8Array) response.end(body);
  else {
    // A watch says at once that it was accepted, long before its first event.
    response.flushHeaders();
    for await (const part of body) {
      if (response.destroyed) return;
      if (!response.write(part))
        await new Promise((resolve) => response.once("drain", resolve).once("close", resolve));
    }
    response.end();
  }
}

function toRequest(request: IncomingMessage, signal: AbortSignal): HttpRequest {
  const url = request.url ?? "/";
  const mark = url.indexOf("?");
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(request.headers))
    if (value !== undefined) headers[name] = Array.isArray(value) ? value.join(", ") : value;
  return {
    method: request.method ?? "GET",
    path: mark < 0 ? url : url.slice(0, mark),
    query: new URLSearchParams(mark < 0 ? "" : url.slice(mark + 1)),
    headers,
    remote: `${request.socket.remoteAddress ?? "local"}:${request.socket.remotePort ?? 0}`,
    signal,
    pieces: request as AsyncIterable<Buffer>,
    body: ({ bytesMax }) => readBody(request, bytesMax),
  };
}

async function readBody(request: IncomingMessage, bytesMax: number): Promise<Uint8Array> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    bytes += part.byteLength;
    if (bytes > bytesMax)
      throw new StatusError("RequestEntityTooLarge", `the body is over the limit of ${bytesMax} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts);
}
