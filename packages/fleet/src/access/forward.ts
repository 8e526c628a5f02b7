import {
  STATUS_CODES,
  type ClientRequest,
  type IncomingMessage,
  type OutgoingHttpHeaders,
  type RequestOptions,
} from "node:http";
import type { Duplex } from "node:stream";
import { messageOf, StatusError } from "@cortado/std/status";

/** Begins a request to whom it is passed on to; the head is all ours, nothing of the caller's bytes is copied as it came. */
export type Upstream = (options: RequestOptions) => ClientRequest;

export type Forwarded = {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly headers: OutgoingHttpHeaders;
  /** For messages. */
  readonly target: string;
};

/** Of one connection only (RFC 9110, section 7.6.1); they are not passed on. */
const ownHeaders: ReadonlySet<string> = new Set([
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

/** Headers that may be passed on, either way. What a connection header names goes too. */
export function passableHeaders(headers: Readonly<Record<string, unknown>>): OutgoingHttpHeaders {
  const named = new Set(
    String(headers["connection"] ?? "")
      .toLowerCase()
      .split(",")
      .map((name) => name.trim()),
  );
  const passed: OutgoingHttpHeaders = {};
  for (const [name, value] of Object.entries(headers)) {
    const isOwn = name.startsWith(":") || ownHeaders.has(name) || named.has(name) || value === undefined;
    if (!isOwn) passed[name] = value as string | string[];
  }
  return passed;
}

/** Passes a request on and answers its answer. @throws StatusError "BadGateway" when there is none */
export async function forwardRequest(
  { method, path, headers, target }: Forwarded,
  upstream: Upstream,
  options: { readonly body: AsyncIterable<Uint8Array>; readonly signal: AbortSignal },
): Promise<IncomingMessage> {
  const { body, signal } = options;
  const isBare = method === "GET" || method === "HEAD";
  const isUnknown = !isBare && headers["content-length"] === undefined;
  const asking = upstream({
    method,
    path,
    headers: { ...headers, ...(isUnknown ? { "transfer-encoding": "chunked" } : {}) },
  });
  const stop = (): void => void asking.destroy(new Error("the caller has gone away"));
  signal.addEventListener("abort", stop, { once: true });
  asking.once("close", () => signal.removeEventListener("abort", stop));
  if (signal.aborted) stop();
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    asking.once("response", resolve);
    asking.once("upgrade", () => reject(new Error("it changed the protocol unasked")));
    asking.on("error", reject);
    asking.once("close", () => reject(new Error("the connection was closed")));
  });
  answered.catch(() => undefined); // it may fail while the body is still on its way
  try {
    if (!isBare) await sendBody(asking, body);
    asking.end();
    return await answered;
  } catch (cause) {
    asking.destroy();
    throw gatewayError(target, cause);
  }
}

async function sendBody(asking: ClientRequest, body: AsyncIterable<Uint8Array>): Promise<void> {
  for await (const piece of body) {
    if (asking.destroyed) return;
    if (!asking.write(piece))
      await new Promise<void>((resolve) => void asking.once("drain", resolve).once("close", resolve));
  }
}

export type Upgraded = { readonly socket: Duplex; readonly head: Uint8Array };

/**
 * Passes an upgrade on. Both ends are joined only when the other agrees to it; else its answer is given and the connection ends,
 * so that nothing that follows is taken for a request of ours. Answers the code. @throws StatusError "BadGateway"
 */
export async function forwardUpgrade(
  { method, path, headers, target }: Forwarded,
  upstream: Upstream,
  { socket, head }: Upgraded,
): Promise<number> {
  const asking = upstream({ method, path, headers });
  const stop = (): void => void asking.destroy();
  socket.once("close", stop);
  try {
    return await new Promise<number>((resolve, reject) => {
      asking.on("error", reject);
      asking.once("close", () => reject(new Error("the connection was closed")));
      asking.once("response", (answer) => {
        const code = answer.statusCode ?? 502;
        socket.write(headText(code, passableHeaders(answer.headers), ["connection: close"]));
        answer.pipe(socket);
        answer.once("close", () => socket.end());
        resolve(code);
      });
      asking.once("upgrade", (answer, other, early) => {
        const { upgrade = "" } = answer.headers;
        const agreed = ["connection: Upgrade", `upgrade: ${upgrade}`];
        socket.write(headText(101, passableHeaders(answer.headers), agreed));
        if (early.length > 0) socket.write(early);
        if (head.byteLength > 0) other.write(head);
        join(socket, other);
        resolve(101);
      });
      asking.end();
    });
  } catch (cause) {
    throw gatewayError(target, cause);
  } finally {
    socket.off("close", stop);
  }
}

/** Copies both ways until either end closes. */
function join(one: Duplex, other: Duplex): void {
  for (const [from, to] of [
    [one, other],
    [other, one],
  ] as const) {
    from.on("error", () => to.destroy());
    from.on("close", () => to.destroy());
    from.pipe(to);
  }
}

function headText(code: number, headers: OutgoingHttpHeaders, more: readonly string[]): string {
  const lines = Object.entries(headers).flatMap(([name, value]) =>
    (Array.isArray(value) ? value : [value]).map((one) => `${name}: ${String(one)}`),
  );
  return `HTTP/1.1 ${code} ${STATUS_CODES[code] ?? "Answer"}\r\n${[...lines, ...more].join("\r\n")}\r\n\r\n`;
}

function gatewayError(target: string, cause: unknown): StatusError {
  if (cause instanceof StatusError) return cause;
  return new StatusError("BadGateway", `${target} gave no answer: ${messageOf(cause)}`, { cause });
}
