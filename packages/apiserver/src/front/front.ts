import {
  createSecureServer,
  type Http2SecureServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
} from "node:http2";
import {
  createServer,
  STATUS_CODES,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import type { Clock } from "@cortado/std/clock";
import type { Log } from "@cortado/std/log";
import type { Address } from "@cortado/std/net";
import { StatusError } from "@cortado/std/status";
import { anonymous, type ApiServer } from "../apiserver.ts";
import type { ApiRequest, ApiResponse, User } from "../api.ts";
import { BODY_BYTES_MAX, GZIP_BYTES_MIN, WATCH_STALL_MS_MAX } from "../limits.ts";
import { errorResponse } from "../respond.ts";
import { identify, type PasswordReader } from "./identity.ts";
import { routeOf, serveRoute, upgradeRoute, type FrontRoute, type Upgrading } from "./routes.ts";

export type FrontMaterial = {
  /** PEM: the server's certificate with its chain, and its key. */
  readonly certificate: string;
  readonly key: string;
  /** PEM: who signs client certificates. */
  readonly clientAuthority: string;
};

export type FrontOptions = {
  readonly server: ApiServer;
  /** What is served beside the API; a route that is found is not asked of the API. */
  readonly routes?: readonly FrontRoute[];
  /** Who may come with a name and a password; absent: nobody. */
  readonly readPassword?: PasswordReader;
  /** Who asks, in place of certificate, token and password. @throws StatusError "Unauthorized" */
  readonly identify?: (request: IncomingMessage | Http2ServerRequest) => Promise<User>;
  readonly clock: Clock;
  readonly log: Log;
};

export type ListeningOptions = FrontOptions & {
  /** Port 0: any free one. */
  readonly address: Address;
  /** Absent: plain HTTP/1.1, for a socket that only this machine can open. */
  readonly material?: FrontMaterial;
};

/** HTTP/1.1 over streams that somebody hands in; nobody else can reach it. */
export interface InnerFront extends AsyncDisposable {
  serve(stream: Duplex): void;
}

export interface Front extends AsyncDisposable {
  /** 0 on a Unix socket. */
  readonly port: number;
  /** Swaps certificates while running; open connections keep theirs. */
  setMaterial(material: FrontMaterial): void;
}

type Request = IncomingMessage | Http2ServerRequest;
// Node's HTTP/2 answers have the face of HTTP/1.1's; what differs is asked for by name below.
type Response = ServerResponse & Partial<Pick<Http2ServerResponse, "stream">>;

/** HTTP/1.1 and HTTP/2 over TLS, or plain HTTP/1.1, in front of an API server. @throws Error when the address is taken */
export async function openFront(options: ListeningOptions): Promise<Front> {
  const { address, material, log } = options;
  const sockets = new Set<Duplex>();
  const secure =
    material === undefined ? undefined : createSecureServer({ ...secureOptions(material), allowHTTP1: true });
  const listener: Http2SecureServer | Server = secure ?? createServer();
  listener.on(secure === undefined ? "connection" : "secureConnection", (socket: Socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    socket.on("error", (error) => log.debug("a connection broke", { error: error.message }));
  });
  listener.on("tlsClientError", (error: Error) =>
    log.debug("a TLS handshake failed", { error: error.message }),
  );
  answer(listener, options);
  await listening(listener, address);
  const bound = listener.address();
  return {
    port: typeof bound === "object" && bound !== null ? bound.port : 0,
    setMaterial: (next) => secure?.setSecureContext(secureOptions(next)),
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>((resolve) => listener.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

/** Answers requests on streams that are handed in. */
export function openInnerFront(options: FrontOptions): InnerFront {
  const listener = createServer();
  const streams = new Set<Duplex>();
  answer(listener, options);
  return {
    serve(stream) {
      streams.add(stream);
      stream.once("close", () => streams.delete(stream));
      stream.on("error", (error) => options.log.debug("a stream broke", { error: error.message }));
      listener.emit("connection", stream);
    },
    [Symbol.asyncDispose]() {
      for (const stream of streams) stream.destroy();
      return Promise.resolve();
    },
  };
}

function answer(listener: Http2SecureServer | Server, options: FrontOptions): void {
  listener.on(
    "request",
    (request: Request, response: unknown) => void serve(options, request, response as Response),
  );
  listener.on(
    "upgrade",
    (request: IncomingMessage, socket: Duplex, head: Uint8Array) =>
      void upgrade(options, { request, socket, head }),
  );
}

function secureOptions({ certificate, key, clientAuthority }: FrontMaterial): {
  cert: string;
  key: string;
  ca: string;
  requestCert: true;
  rejectUnauthorized: false;
  minVersion: "TLSv1.2";
} {
  // Who has no certificate may still have a token, so the handshake lets everybody in and the identity is read after it.
  return {
    cert: certificate,
    key,
    ca: clientAuthority,
    requestCert: true,
    rejectUnauthorized: false,
    minVersion: "TLSv1.2",
  };
}

function listening(listener: Http2SecureServer | Server, address: Address): Promise<void> {
  return new Promise((resolve, reject) => {
    listener.once("error", reject);
    listener.listen(address, () => {
      listener.off("error", reject);
      resolve();
    });
  });
}

async function serve(options: FrontOptions, request: Request, response: Response): Promise<void> {
  const ending = new AbortController();
  response.once("close", () => ending.abort());
  const headers = plainHeaders(request);
  try {
    const route = routeOf(options.routes, request);
    const user = await userOf(options, { request, route });
    if (route !== undefined) {
      await serveRoute(route, { request, response, user });
      return;
    }
    const body = await readBody(request, headers);
    const answer = await options.server.handle({
      ...target(request),
      headers,
      user,
      body,
      signal: ending.signal,
      form: "bytes",
    });
    await send(options, { answer, response, headers, isHead: request.method === "HEAD" });
  } catch (error) {
    if (ending.signal.aborted) return;
    if (!(error instanceof StatusError)) options.log.warn("an answer broke off", { error });
    if (response.headersSent) {
      breakOff(response);
      return;
    }
    const answer = errorResponse({ form: "bytes" }, error);
    const closing =
      error instanceof StatusError &&
      error.reason === "RequestEntityTooLarge" &&
      request.httpVersionMajor === 1
        ? { connection: "close" }
        : {};
    await send(options, {
      answer: { ...answer, headers: { ...answer.headers, ...closing } },
      response,
      headers: {},
      isHead: false,
    }).catch(() => undefined);
  }
}

function target(request: Request): {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
} {
  const url = request.url ?? "/";
  const mark = url.indexOf("?");
  return {
    method: request.method ?? "GET",
    path: mark < 0 ? url : url.slice(0, mark),
    query: new URLSearchParams(mark < 0 ? "" : url.slice(mark + 1)),
  };
}

function plainHeaders(request: Request): Record<string, string | undefined> {
  const headers: Record<string, string | undefined> = {};
  for (const [name, value] of Object.entries(request.headers)) {
    if (!name.startsWith(":")) headers[name] = Array.isArray(value) ? value.join(",") : value;
  }
  return headers;
}

async function readBody(request: Request, headers: Record<string, string | undefined>): Promise<Uint8Array> {
  const tooLarge = (): StatusError =>
    new StatusError("RequestEntityTooLarge", `Request entity too large: limit is ${BODY_BYTES_MAX}`);
  if (Number(headers["content-length"] ?? "0") > BODY_BYTES_MAX) throw tooLarge();
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of request as AsyncIterable<Uint8Array>) {
    bytes += piece.byteLength;
    if (bytes > BODY_BYTES_MAX) throw tooLarge();
    pieces.push(piece);
  }
  return pieces.length === 1 ? (pieces[0] as Uint8Array) : Buffer.concat(pieces);
}

type Sending = {
  readonly answer: ApiResponse;
  readonly response: Response;
  readonly headers: Record<string, string | undefined>;
  readonly isHead: boolean;
};

const zip = promisify(gzip);

async function send(options: FrontOptions, { answer, response, headers, isHead }: Sending): Promise<void> {
  const { body } = answer;
  const out: Record<string, string | string[] | number> = {
    "cache-control": "no-cache, private",
    ...answer.headers,
  };
  if (answer.warnings !== undefined && answer.warnings.length > 0)
    out["warning"] = answer.warnings.map(
      (text) => `299 - ${JSON.stringify(text.replace(/[^\x20-\x7e]/g, "?"))}`,
    );
  if (isHead || body.kind === "none") {
    response.writeHead(answer.status, out);
    response.end();
    return;
  }
  if (body.kind === "bytes") {
    const isBig =
      body.bytes.byteLength >= GZIP_BYTES_MIN && (headers["accept-encoding"] ?? "").includes("gzip");
    const bytes = isBig ? await zip(body.bytes) : body.bytes;
    if (isBig) Object.assign(out, { "content-encoding": "gzip", vary: "Accept-Encoding" });
    response.writeHead(answer.status, { ...out, "content-length": bytes.byteLength });
    response.end(bytes);
    return;
  }
  if (body.kind !== "pieces") throw new Error("an answer over HTTP is bytes");
  response.writeHead(answer.status, out);
  // A watch says at once that it was accepted, long before its first event.
  response.flushHeaders();
  for await (const piece of body.pieces) if (!response.write(piece)) await drained(options, response);
  response.end();
}

function breakOff(response: Response): void {
  if (response.stream === undefined) response.destroy();
  else response.stream.destroy();
}

/** Waits until the client has read on; one that does not for long loses its connection, so that it holds nothing up. */
function drained({ clock, log }: FrontOptions, response: Response): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (): void => {
      timer[Symbol.dispose]();
      response.off("drain", onDrain);
      response.off("close", onClose);
    };
    const onDrain = (): void => {
      settle();
      resolve();
    };
    const onClose = (): void => {
      settle();
      reject(new StatusError("ServiceUnavailable", "the client went away"));
    };
    const timer = clock.after(WATCH_STALL_MS_MAX, () => {
      log.warn("a client does not read its answer; its stream is ended", {});
      settle();
      breakOff(response);
      reject(new StatusError("Timeout", "the client did not read its answer"));
    });
    response.once("drain", onDrain);
    response.once("close", onClose);
  });
}

async function userOf(
  options: FrontOptions,
  {
    request,
    route,
  }: { readonly request: IncomingMessage | Http2ServerRequest; readonly route: FrontRoute | undefined },
): Promise<User> {
  if (route?.asksItself === true) return anonymous;
  return await (options.identify?.(request) ?? identify(request, options));
}

async function upgrade(options: FrontOptions, { request, socket, head }: Upgrading): Promise<void> {
  const ending = new AbortController();
  socket.once("close", () => ending.abort());
  socket.on("error", (error) => options.log.debug("an upgraded connection broke", { error: error.message }));
  const headers = plainHeaders(request);
  try {
    const route = routeOf(options.routes, request);
    const user = await userOf(options, { request, route });
    if (route !== undefined) {
      await upgradeRoute(route, { request, socket, head }, user);
      return;
    }
    const call: ApiRequest = { ...target(request), headers, user, signal: ending.signal, form: "bytes" };
    const stream = await options.server.admitUpgrade(call);
    options.server.streams?.upgrade(stream, { request, socket, head });
  } catch (error) {
    const { status, body } = errorResponse({ form: "bytes" }, error);
    const bytes = body.kind === "bytes" ? body.bytes : new Uint8Array();
    socket.end(
      Buffer.concat([
        Buffer.from(
          `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? "Error"}\r\ncontent-type: application/json\r\ncontent-length: ${bytes.byteLength}\r\nconnection: close\r\n\r\n`,
        ),
        bytes,
      ]),
    );
  }
}
