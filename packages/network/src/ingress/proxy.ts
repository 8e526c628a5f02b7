import {
  Agent,
  request as httpRequest,
  type ClientRequest,
  type IncomingMessage,
  type OutgoingHttpHeaders,
  type ServerResponse,
} from "node:http";
import type { Duplex } from "node:stream";
import type { Clock } from "@cortado/std/clock";
import type { Log } from "@cortado/std/log";
import type { Counter } from "@cortado/std/metrics";
import {
  INGRESS_CONNECT_MS,
  INGRESS_IDLE_MS,
  INGRESS_SILENT_MS,
  INGRESS_SOCKETS_IDLE_MAX,
  INGRESS_SOCKETS_MAX,
  INGRESS_TRIES,
} from "../limits.ts";

export type Place = { readonly host: string; readonly port: number };

export type Choice =
  /** Places to try, best first. */
  | { readonly kind: "places"; readonly places: readonly Place[] }
  | { readonly kind: "refused"; readonly code: number; readonly message: string };

export type ProxyPorts = {
  readonly choose: (request: { readonly host: string; readonly path: string }) => Choice;
  readonly clock: Clock;
  readonly log: Log;
  readonly requests: Counter;
};

/** What the listener knows of a connection. */
export type Arrival = { readonly secure: boolean; readonly port: number | undefined };

// Headers that are about one hop only (RFC 9110, 7.6.1); node:http makes its own.
const hopHeaders = new Set([
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);
const repeatable = new Set(["GET", "HEAD", "OPTIONS", "PUT", "DELETE"]);

/** Passes requests on to pods: streams both ways, keeps connections, and tries another place where a request can be sent again. */
export class Proxy implements Disposable {
  readonly #ports: ProxyPorts;
  readonly #agent: Agent = new Agent({
    keepAlive: true,
    maxSockets: INGRESS_SOCKETS_MAX,
    maxFreeSockets: INGRESS_SOCKETS_IDLE_MAX,
    timeout: INGRESS_IDLE_MS,
    scheduling: "lifo",
  });

  constructor(ports: ProxyPorts) {
    this.#ports = ports;
  }

  [Symbol.dispose](): void {
    this.#agent.destroy();
  }

  handle(request: IncomingMessage, response: ServerResponse, arrival: Arrival): void {
    const choice = this.#choose(request);
    if (choice.kind === "refused") {
      this.#refuse(response, choice);
      return;
    }
    const hasBody =
      request.headers["content-length"] !== undefined || request.headers["transfer-encoding"] !== undefined;
    const again = !hasBody && repeatable.has(request.method ?? "GET");
    const places = again ? choice.places.slice(0, INGRESS_TRIES) : choice.places.slice(0, 1);
    this.#try({ request, response, arrival, places });
  }

  upgrade(request: IncomingMessage, socket: Duplex, arrival: Arrival & { readonly head: Buffer }): void {
    const choice = this.#choose(request);
    socket.on("error", () => undefined);
    if (choice.kind === "refused") {
      refuseSocket(socket, choice.code, choice.message);
      return;
    }
    const [place] = choice.places;
    if (place === undefined) return;
    const headers = {
      ...forwardedHeaders(request, arrival),
      connection: "Upgrade",
      upgrade: request.headers.upgrade ?? "",
    };
    const upstream = httpRequest({
      ...place,
      method: request.method ?? "GET",
      path: request.url ?? "/",
      headers,
      agent: false,
    });
    const connecting = this.#limitConnect(upstream);
    upstream.on("upgrade", (answer, upstreamSocket, upstreamHead) => {
      connecting();
      this.#count(101);
      socket.write(`${statusLine(answer)}${rawHeaders(answer)}\r\n`);
      if (upstreamHead.byteLength > 0) socket.write(upstreamHead);
      if (arrival.head.byteLength > 0) upstreamSocket.write(arrival.head);
      join(socket, upstreamSocket);
    });
    upstream.on("response", (answer) => {
      connecting();
      this.#count(answer.statusCode ?? 502);
      socket.write(`${statusLine(answer)}${rawHeaders(answer)}\r\n`);
      answer.pipe(socket);
    });
    upstream.on("error", (error) => {
      connecting();
      this.#ports.log.debug("upgrade not passed on", { error });
      if (!socket.destroyed)
        refuseSocket(socket, 502, `the backend ${place.host}:${place.port} did not take the connection`);
    });
    socket.on("close", () => upstream.destroy());
    upstream.end();
  }

  #choose(request: IncomingMessage): Choice {
    const path = (request.url ?? "/").split("?", 1)[0] ?? "/";
    return this.#ports.choose({ host: request.headers.host ?? "", path });
  }

  #try({ request, response, arrival, places }: Try): void {
    const [place, ...others] = places;
    if (place === undefined) return;
    const headers = forwardedHeaders(request, arrival);
    const upstream = httpRequest({
      ...place,
      method: request.method ?? "GET",
      path: request.url ?? "/",
      headers,
      agent: this.#agent,
      setHost: false,
    });
    const settleConnect = this.#limitConnect(upstream);
    const silence = this.#limitSilence(upstream, response);
    let answered = false;
    upstream.on("response", (answer) => {
      answered = true;
      settleConnect();
      this.#count(answer.statusCode ?? 502);
      response.writeHead(answer.statusCode ?? 502, answer.statusMessage ?? "", endToEnd(answer.rawHeaders));
      answer.on("data", silence.heard);
      answer.on("error", () => response.destroy());
      answer.on("close", () => {
        silence.stop();
        if (!answer.complete) response.destroy(); // cut short: the client must see that
      });
      answer.pipe(response);
    });
    upstream.on("error", (error) => {
      settleConnect();
      silence.stop();
      if (answered || response.headersSent) {
        response.destroy();
        return;
      }
      if (response.destroyed) return;
      // A kept connection may have been closed as we wrote; the same place is asked once more on a new one.
      const stale = upstream.reusedSocket && (error as NodeJS.ErrnoException).code === "ECONNRESET";
      const next = stale && others.length === 0 && repeatable.has(request.method ?? "") ? [place] : others;
      if (next.length > 0 && !hasBody(request)) this.#try({ request, response, arrival, places: next });
      else this.#refuse(response, failure(error, place));
    });
    response.on("close", () => {
      silence.stop();
      if (!response.writableFinished) upstream.destroy();
    });
    request.on("data", silence.heard);
    request.pipe(upstream);
  }

  #limitConnect(upstream: ClientRequest): () => void {
    let alarm: Disposable | undefined;
    const settle = (): void => alarm?.[Symbol.dispose]();
    upstream.on("socket", (socket) => {
      if (!socket.connecting) return;
      alarm = this.#ports.clock.after(INGRESS_CONNECT_MS, () => upstream.destroy(timeoutError("connect")));
      socket.once("connect", settle);
      socket.once("close", settle);
    });
    return settle;
  }

  #limitSilence(
    upstream: ClientRequest,
    response: ServerResponse,
  ): { readonly heard: () => void; readonly stop: () => void } {
    const { clock } = this.#ports;
    let lastMs = clock.monotonicMs();
    let alarm: Disposable | undefined;
    const arm = (ms: number): void => {
      alarm = clock.after(ms, () => {
        const silentMs = clock.monotonicMs() - lastMs;
        if (silentMs < INGRESS_SILENT_MS) arm(INGRESS_SILENT_MS - silentMs);
        else if (!response.headersSent) upstream.destroy(timeoutError("answer"));
        else arm(INGRESS_SILENT_MS); // a stream of events may be silent for as long as it likes
      });
    };
    arm(INGRESS_SILENT_MS);
    return { heard: () => (lastMs = clock.monotonicMs()), stop: () => alarm?.[Symbol.dispose]() };
  }

  #refuse(
    response: ServerResponse,
    { code, message }: { readonly code: number; readonly message: string },
  ): void {
    this.#count(code);
    const body = `${message}\n`;
    response.writeHead(code, {
      "content-type": "text/plain; charset=utf-8",
      "content-length": Buffer.byteLength(body),
    });
    response.end(body);
  }

  #count(code: number): void {
    this.#ports.requests.add(1, { code: String(code) });
  }
}

type Try = {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly arrival: Arrival;
  readonly places: readonly Place[];
};

function hasBody(request: IncomingMessage): boolean {
  return (
    request.headers["content-length"] !== undefined || request.headers["transfer-encoding"] !== undefined
  );
}

function timeoutError(stage: "connect" | "answer"): Error {
  return Object.assign(new Error(stage === "connect" ? "no connection in time" : "no answer in time"), {
    code: stage === "connect" ? "ECONNTIMEOUT" : "EANSWERTIMEOUT",
  });
}

function failure(error: Error, place: Place): { readonly code: number; readonly message: string } {
  const { code } = error as NodeJS.ErrnoException;
  if (code === "EANSWERTIMEOUT")
    return {
      code: 504,
      message: `the backend ${place.host}:${place.port} did not answer within ${INGRESS_SILENT_MS / 1_000} s`,
    };
  return {
    code: 502,
    message: `the backend ${place.host}:${place.port} cannot be reached: ${error.message}`,
  };
}

/** The request's headers as the backend should see them. */
export function forwardedHeaders(request: IncomingMessage, arrival: Arrival): OutgoingHttpHeaders {
  const headers: OutgoingHttpHeaders = {};
  const named = connectionNamed(request.headers.connection);
  for (const [name, values] of Object.entries(request.headersDistinct)) {
    if (!hopHeaders.has(name) && !named.has(name) && values !== undefined)
      headers[name] = values.length === 1 ? values[0] : values;
  }
  if (request.headers["transfer-encoding"] !== undefined) headers["transfer-encoding"] = "chunked";
  const peer = (request.socket.remoteAddress ?? "").replace(/^::ffff:/, "");
  const before = headers["x-forwarded-for"];
  const chain = [before === undefined ? "" : String(before), peer].filter((text) => text !== "").join(", ");
  if (chain !== "") headers["x-forwarded-for"] = chain;
  if (peer !== "") headers["x-real-ip"] ??= peer;
  headers["x-forwarded-proto"] ??= arrival.secure ? "https" : "http";
  headers["x-forwarded-host"] ??= request.headers.host ?? "";
  if (arrival.port !== undefined) headers["x-forwarded-port"] ??= String(arrival.port);
  return headers;
}

// "Connection: close, X-Secret" makes X-Secret a header of this hop.
function connectionNamed(header: string | undefined): ReadonlySet<string> {
  return new Set((header ?? "").split(",").map((name) => name.trim().toLowerCase()));
}

function endToEnd(raw: readonly string[]): string[] {
  const kept: string[] = [];
  for (let at = 0; at + 1 < raw.length; at += 2)
    if (!hopHeaders.has((raw[at] ?? "").toLowerCase())) kept.push(raw[at] ?? "", raw[at + 1] ?? "");
  return kept;
}

function statusLine(answer: IncomingMessage): string {
  return `HTTP/1.1 ${answer.statusCode} ${answer.statusMessage}\r\n`;
}

function rawHeaders(answer: IncomingMessage): string {
  const lines: string[] = [];
  for (let at = 0; at + 1 < answer.rawHeaders.length; at += 2)
    lines.push(`${answer.rawHeaders[at]}: ${answer.rawHeaders[at + 1]}\r\n`);
  return lines.join("");
}

function refuseSocket(socket: Duplex, code: number, message: string): void {
  const body = `${message}\n`;
  socket.end(
    `HTTP/1.1 ${code} Refused\r\nContent-Type: text/plain\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  );
}

function join(first: Duplex, second: Duplex): void {
  for (const [from, to] of [
    [first, second],
    [second, first],
  ] as const) {
    from.on("error", () => to.destroy());
    from.on("close", () => to.destroy());
    from.pipe(to);
  }
}
