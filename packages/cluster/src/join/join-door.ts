import { request, type RequestOptions } from "node:https";
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { fromStatus, hasReason, messageOf, StatusError } from "@cortado/std/status";
import type { KeyPair } from "../certificates/issue.ts";
import { JOIN_ANSWER_BYTES_MAX, JOIN_ANSWER_MS } from "../limits.ts";
import type { JoinToken } from "./token.ts";

/** How a joining machine shows who it is. */
export type Credential = KeyPair | JoinToken["credential"];

export type JoinAsk = {
  readonly method: "GET" | "POST";
  readonly path: string;
  /** PEM that the server is verified with; undefined: it is not, and nothing secret may be sent. */
  readonly authority: string | undefined;
  readonly credential?: Credential;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly signal: AbortSignal;
};

/** `https://HOST:PORT`. @throws StatusError "Invalid" for anything else */
export function readServerUrl(text: string): URL {
  const url = URL.parse(text);
  if (url !== null && url.protocol === "https:" && (url.pathname === "/" || url.pathname === "")) return url;
  throw new StatusError("Invalid", `server: ${JSON.stringify(text)} is no URL of the form https://HOST:6443`);
}

/**
 * Asks a server something on behalf of a machine that joins.
 * @throws StatusError "ServiceUnavailable" when nobody answers, "BadGateway" when the answer is not the server's, else what it says
 */
export async function askServer(server: URL, ask: JoinAsk): Promise<string> {
  const { authority, credential, method, path, headers, body, signal } = ask;
  const outgoing = request(new URL(path, server), {
    ...tlsOf(authority, credential),
    method,
    agent: false,
    headers: {
      ...headers,
      ...authorizationOf(credential),
      ...(body === undefined ? {} : { "content-length": Buffer.byteLength(body) }),
    },
    signal,
    timeout: JOIN_ANSWER_MS,
  });
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    outgoing.once("response", resolve);
    outgoing.once("timeout", () => outgoing.destroy(new Error(`no answer in ${JOIN_ANSWER_MS} ms`)));
    outgoing.on("error", (cause) => reject(unreachable(server, cause)));
  });
  outgoing.end(body);
  const answer = await answered;
  const text = await readText(answer, server);
  if ((answer.statusCode ?? 500) < 400) return text;
  throw refusalOf(server, { path, code: answer.statusCode ?? 500, text });
}

export type UpgradeAsk = Pick<JoinAsk, "path" | "signal"> & {
  readonly authority: string;
  readonly credential: KeyPair;
  readonly protocol: string;
};

/** Asks a server to let a connection be something else than HTTP. @throws StatusError as `askServer` does */
export function upgradeAtServer(
  server: URL,
  { path, signal, authority, credential, protocol }: UpgradeAsk,
): Promise<Duplex> {
  const outgoing = request(new URL(path, server), {
    ...tlsOf(authority, credential),
    agent: false,
    headers: { connection: "Upgrade", upgrade: protocol },
    timeout: JOIN_ANSWER_MS,
  });
  const stop = (): void => void outgoing.destroy(new Error("it was given up"));
  signal.addEventListener("abort", stop, { once: true });
  return new Promise<Duplex>((resolve, reject) => {
    outgoing.once("timeout", () => outgoing.destroy(new Error(`no answer in ${JOIN_ANSWER_MS} ms`)));
    outgoing.on("error", (cause) => reject(unreachable(server, cause)));
    outgoing.once("upgrade", (_answer, socket, head) => {
      socket.setTimeout(0);
      socket.setNoDelay(true);
      if (head.byteLength > 0) socket.unshift(head);
      resolve(socket);
    });
    outgoing.once("response", (answer) => {
      readText(answer, server)
        .then((text) => reject(refusalOf(server, { path, code: answer.statusCode ?? 500, text })), reject)
        .finally(() => outgoing.destroy());
    });
    if (signal.aborted) stop();
    outgoing.end();
  }).finally(() => signal.removeEventListener("abort", stop));
}

function tlsOf(
  authority: string | undefined,
  credential: Credential | undefined,
): RequestOptions & { ca?: string } {
  const shown = credential !== undefined && "cert" in credential ? credential : undefined;
  return {
    ...(authority === undefined ? { rejectUnauthorized: false } : { ca: authority }),
    ...(shown === undefined ? {} : { cert: shown.cert, key: shown.key }),
  };
}

function authorizationOf(credential: Credential | undefined): Record<string, string> {
  if (credential === undefined || "cert" in credential) return {};
  if (credential.kind === "bootstrap") return { authorization: `Bearer ${credential.token}` };
  const { user, password } = credential;
  return { authorization: `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}` };
}

async function readText(answer: IncomingMessage, server: URL): Promise<string> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const piece of answer as AsyncIterable<Buffer>) {
      bytes += piece.byteLength;
      if (bytes > JOIN_ANSWER_BYTES_MAX)
        throw new StatusError(
          "BadGateway",
          `${server.href} answers more than ${JOIN_ANSWER_BYTES_MAX} bytes; is it the server of a cluster?`,
        );
      pieces.push(piece);
    }
  } catch (cause) {
    throw unreachable(server, cause);
  }
  return Buffer.concat(pieces).toString("utf8");
}

function refusalOf(
  server: URL,
  { path, code, text }: { readonly path: string; readonly code: number; readonly text: string },
): StatusError {
  const status = statusIn(text);
  if (status === undefined && code >= 500)
    return new StatusError(
      "ServiceUnavailable",
      `what is before the server at ${server.origin} answers ${code}`,
    );
  if (status === undefined)
    return new StatusError(
      "BadGateway",
      `${server.origin} answers ${code} at ${path}: it is not the server of a cluster; give its URL as https://HOST:6443 in --server or K3S_URL`,
    );
  if (hasReason(status, "Unauthorized"))
    return new StatusError(
      "Unauthorized",
      `the server at ${server.origin} does not take this token; print the right one there with cortado token, or read DATA/server/node-token`,
      { cause: status },
    );
  return status;
}

function statusIn(text: string): StatusError | undefined {
  try {
    const status = JSON.parse(text) as { readonly kind?: string };
    return status.kind === "Status" ? fromStatus(status) : undefined;
  } catch {
    return undefined; // a proxy, or another server
  }
}

/** OpenSSL's and Node's words for a server that is not who it should be. */
const distrust = /^(UNABLE_TO_|SELF_SIGNED|DEPTH_ZERO|CERT_|ERR_TLS_CERT)/;

function unreachable(server: URL, cause: unknown): StatusError {
  if (cause instanceof StatusError) return cause;
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID")
    return new StatusError(
      "BadGateway",
      `the certificate of ${server.origin} is not for ${server.hostname}; use a name or address that it has, or start the server with --tls-san ${server.hostname}`,
      { cause },
    );
  if (distrust.test(code))
    return new StatusError(
      "BadGateway",
      `${server.origin} is not the server that this machine joined, or not the one of the token: ${messageOf(cause)}; to join another, use its token and remove DATA/agent`,
      { cause },
    );
  return new StatusError(
    "ServiceUnavailable",
    `the server at ${server.origin} does not answer: ${messageOf(cause)}`,
    { cause },
  );
}
