import { request as requestHttps, Agent, type RequestOptions } from "node:https";
import type { IncomingMessage } from "node:http";
import { StatusError } from "@cortado/std/status";
import { KEEP_ALIVE_MS } from "../limits.ts";
import type { Transport, TransportRequest, TransportResponse, WatchEvent } from "../transport.ts";

export type HttpTransportOptions = {
  /** Such as "https://127.0.0.1:6443". */
  readonly server: string;
  /** PEM of the authority that signed the server's certificate. */
  readonly ca: string;
  /** PEM of a client certificate and its key, or a bearer token. */
  readonly credential: { readonly cert: string; readonly key: string } | { readonly token: string };
  /** Acts as this user instead, as far as the credential's own may. */
  readonly impersonate?: string;
};

/** Reaches an API server over HTTPS. Dispose it to close its idle connections. */
export function httpTransport(options: HttpTransportOptions): Transport & Disposable {
  const { credential, ca } = options;
  const agent = new Agent({ keepAlive: true, ca, ...("cert" in credential ? credential : {}) });
  const headers = {
    ...("token" in credential ? { authorization: `Bearer ${credential.token}` } : {}),
    ...(options.impersonate === undefined ? {} : { "impersonate-user": options.impersonate }),
  };
  const call = (request: TransportRequest): Promise<IncomingMessage> => {
    const query = new URLSearchParams(request.query).toString();
    const url = new URL(`${options.server}${request.path}${query === "" ? "" : `?${query}`}`);
    const body = request.body === undefined ? undefined : JSON.stringify(request.body);
    // Node gives a DELETE no length of its own: its body, with the preconditions, would be taken for the next request.
    const contentType =
      body === undefined
        ? {}
        : {
            "content-type": request.contentType ?? "application/json",
            "content-length": Buffer.byteLength(body),
          };
    const init: RequestOptions = {
      agent,
      method: request.method,
      headers: { accept: "application/json", ...headers, ...contentType },
      signal: request.signal,
    };
    return new Promise((resolve, reject) => {
      const outgoing = requestHttps(url, init, resolve);
      // A server that has lost its power says nothing more: without this a watch would wait for it for ever.
      outgoing.once("socket", (socket) => socket.setKeepAlive(true, KEEP_ALIVE_MS));
      outgoing.on("error", (cause) => reject(unreachable(options.server, cause)));
      outgoing.end(body);
    });
  };
  return {
    async send(request): Promise<TransportResponse> {
      const response = await call(request);
      const text = await readText(response);
      return { status: response.statusCode ?? 0, body: parseBody(text) };
    },
    async *watch(request): AsyncIterable<WatchEvent> {
      const response = await call(request);
      if ((response.statusCode ?? 0) >= 400) {
        yield { type: "ERROR", object: parseBody(await readText(response)) };
        return;
      }
      yield* lines(response);
    },
    [Symbol.dispose]: () => agent.destroy(),
  };
}

async function* lines(response: IncomingMessage): AsyncIterable<WatchEvent> {
  let rest = "";
  response.setEncoding("utf8");
  for await (const chunk of response as AsyncIterable<string>) {
    const parts = (rest + chunk).split("\n");
    rest = parts.pop() ?? "";
    for (const part of parts) if (part !== "") yield JSON.parse(part) as WatchEvent;
  }
}

async function readText(response: IncomingMessage): Promise<string> {
  let text = "";
  response.setEncoding("utf8");
  for await (const chunk of response as AsyncIterable<string>) text += chunk;
  return text;
}

// Health checks answer plain text; a client that asked for them gets the text.
function parseBody(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}

function unreachable(server: string, cause: Error): StatusError {
  return new StatusError("ServiceUnavailable", `the server at ${server} does not answer: ${cause.message}`, {
    cause,
  });
}
