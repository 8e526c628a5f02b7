import { X509Certificate } from "node:crypto";
import { request } from "node:http";
import { connect as connectTcp, isIP, type Socket } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { messageOf, StatusError } from "@cortado/std/status";
import { CONNECT_MS_MAX, TCP_MS_MAX } from "../limits.ts";

export type TlsDial = {
  readonly url: URL;
  /** `http://USER:PASSWORD@HOST:PORT`, asked to CONNECT. */
  readonly proxy?: URL;
  /** PEM of the only authority that is trusted; absent: whoever answers, for what is proven otherwise. */
  readonly authority?: string;
  readonly credential?: { readonly certificate: string; readonly privateKey: string };
  readonly signal: AbortSignal;
};

/**
 * Opens TLS to the hub, through a proxy where there is one.
 * @throws StatusError "ServiceUnavailable" when nobody answers, "Unauthorized" when the hub does not take our certificate, "BadGateway"
 * for a hub that is not the authority's
 */
export async function dialTls(options: TlsDial): Promise<TLSSocket> {
  const { url, proxy, authority, credential, signal } = options;
  const socket = proxy === undefined ? await openTcp(url, signal) : await openThrough(proxy, url, signal);
  const host = hostOf(url);
  const tls = connectTls({
    socket,
    host,
    ...(isIP(host) === 0 ? { servername: host } : {}),
    ALPNProtocols: ["http/1.1"],
    // Node would refuse for the date alone; what it found is judged below.
    rejectUnauthorized: false,
    ...(authority === undefined ? {} : { ca: authority }),
    ...(credential === undefined ? {} : { cert: credential.certificate, key: credential.privateKey }),
  });
  try {
    await settled(tls, "secureConnect", { url, signal, withinMs: CONNECT_MS_MAX });
    if (authority !== undefined) checkPeer(tls, { authority, host, url });
    return tls;
  } catch (error) {
    tls.destroy();
    throw error;
  }
}

function hostOf({ hostname }: URL): string {
  return hostname.startsWith("[") ? hostname.slice(1, -1) : hostname;
}

function portOf(url: URL): number {
  return url.port === "" ? (url.protocol === "http:" ? 80 : 443) : Number(url.port);
}

async function openTcp(url: URL, signal: AbortSignal): Promise<Socket> {
  const socket = connectTcp({ host: hostOf(url), port: portOf(url), noDelay: true, keepAlive: true });
  await settled(socket, "connect", { url, signal, withinMs: TCP_MS_MAX });
  return socket;
}

// A timer of the socket's own: a line that takes the first packet and no other must not hold the agent for ever.
async function settled(
  socket: Socket,
  event: string,
  { url, signal, withinMs }: { readonly url: URL; readonly signal: AbortSignal; readonly withinMs: number },
): Promise<void> {
  const stop = (): void => void socket.destroy(new Error("the agent stops"));
  signal.addEventListener("abort", stop, { once: true });
  socket.setTimeout(withinMs, () => socket.destroy(new Error("no answer in time")));
  try {
    if (signal.aborted) stop();
    await new Promise<void>((resolve, reject) => {
      socket.once(event, () => resolve());
      socket.once("error", reject);
      socket.once("close", () => reject(new Error("the connection was closed")));
    });
  } catch (cause) {
    throw dialError(url, cause);
  } finally {
    signal.removeEventListener("abort", stop);
    socket.setTimeout(0);
    // What breaks later is told by "close"; an error nobody hears would end the process.
    socket.on("error", () => undefined);
  }
}

async function openThrough(proxy: URL, url: URL, signal: AbortSignal): Promise<Socket> {
  const target = `${url.hostname}:${portOf(url)}`;
  const user = `${decodeURIComponent(proxy.username)}:${decodeURIComponent(proxy.password)}`;
  const basic = { "proxy-authorization": `Basic ${Buffer.from(user).toString("base64")}` };
  const headers = { host: target, ...(proxy.username === "" ? {} : basic) };
  const asking = request({
    host: hostOf(proxy),
    port: portOf(proxy),
    method: "CONNECT",
    path: target,
    headers,
    agent: false,
    signal,
    timeout: CONNECT_MS_MAX,
  });
  asking.on("timeout", () => asking.destroy(new Error("no answer in time")));
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  asking.once("error", (cause) => reject(dialError(proxy, cause)));
  asking.once("response", (answer) => {
    answer.resume();
    reject(new StatusError("BadGateway", `the proxy ${proxy.host} answers ${answer.statusCode} to CONNECT`));
  });
  asking.once("connect", (answer, socket) => {
    if (answer.statusCode === 200) resolve(socket as Socket);
    else {
      socket.destroy();
      const why = answer.statusCode === 407 ? "; give its user and password in the proxy's URL" : "";
      const code = answer.statusCode ?? 0;
      reject(
        new StatusError("BadGateway", `the proxy ${proxy.host} answers ${code} to CONNECT ${target}${why}`),
      );
    }
  });
  asking.end();
  return await promise;
}

/** What a hub does that does not take our certificate (RFC 8446, section 6.2). */
const refusal = /ALERT_(CERTIFICATE|BAD_CERTIFICATE|UNSUPPORTED_CERTIFICATE|UNKNOWN_CA|ACCESS_DENIED)/;

export function dialError(url: URL, cause: unknown): StatusError {
  if (cause instanceof StatusError) return cause;
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  if (refusal.test(code))
    return new StatusError("Unauthorized", `${url.host} does not take this store's certificate (${code})`, {
      cause,
    });
  return new StatusError("ServiceUnavailable", `${url.host} does not answer: ${messageOf(cause)}`, { cause });
}

type Peer = { readonly authority: string; readonly host: string; readonly url: URL };

const dates: ReadonlySet<string> = new Set(["CERT_HAS_EXPIRED", "CERT_NOT_YET_VALID"]);

/** The hub must be the authority's. Dates are not judged: a store may wake with its clock in 1970, and must find its hub all the same. */
function checkPeer(tls: TLSSocket, { authority, host, url }: Peer): void {
  if (tls.authorized) return;
  const error = tls.authorizationError as unknown;
  const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
  if (dates.has(code) && isOfAuthority(tls, { authority, host })) return;
  throw new StatusError(
    "BadGateway",
    `who answers at ${url.host} is not the hub that this store is registered at (${code}); check the URL and who stands between`,
  );
}

function isOfAuthority(tls: TLSSocket, { authority, host }: Omit<Peer, "url">): boolean {
  const peer = tls.getPeerX509Certificate();
  if (peer === undefined) return false;
  const named = isIP(host) === 0 ? peer.checkHost(host) : peer.checkIP(host);
  const issuer = new X509Certificate(authority);
  return named !== undefined && peer.checkIssued(issuer) && peer.verify(issuer.publicKey);
}
