import { isIP } from "node:net";
import { connect } from "node:tls";
import { addressText, type Connection } from "../net.ts";
import { messageOf, StatusError } from "../status.ts";
import { socketConnection } from "./net.ts";

export type TlsSettings = {
  /** PEM of the authorities that are trusted; absent: those that Node brings. */
  readonly ca?: string;
  /** PEM of a client certificate and of its key. */
  readonly certificate?: string;
  readonly key?: string;
  /** The name that the other's certificate must have; absent: the host that is dialled. */
  readonly serverName?: string;
  readonly alpn?: readonly string[];
  /** Takes any certificate. */
  readonly insecure?: boolean;
};

export type TlsDialling = {
  readonly tls: TlsSettings;
  readonly withinMs: number;
  readonly signal: AbortSignal;
};

/**
 * Opens a stream over TLS.
 * @throws StatusError "ServiceUnavailable" when nobody answers in time, "BadGateway" when who answers is not who it should be, or
 * does not take our certificate
 */
export function dialTls(
  address: { readonly host: string; readonly port: number },
  { tls, withinMs, signal }: TlsDialling,
): Promise<Connection> {
  const { ca, certificate, key, serverName, alpn, insecure = false } = tls;
  const name = serverName ?? address.host;
  return new Promise((resolve, reject) => {
    const failed = (cause: unknown): void => {
      settle();
      socket.destroy();
      const where = addressText(address);
      reject(
        isTrust(cause)
          ? new StatusError("BadGateway", `${where} is not trusted: ${messageOf(cause)}`, { cause })
          : new StatusError("ServiceUnavailable", `${where} does not answer: ${messageOf(cause)}`, { cause }),
      );
    };
    let socket: ReturnType<typeof connect>;
    try {
      socket = connect({
        ...address,
        ...(isIP(name) === 0 ? { servername: name } : {}),
        ...(ca === undefined ? {} : { ca }),
        ...(certificate === undefined ? {} : { cert: certificate }),
        ...(key === undefined ? {} : { key }),
        ...(alpn === undefined ? {} : { ALPNProtocols: [...alpn] }),
        rejectUnauthorized: !insecure,
      });
    } catch (cause) {
      reject(
        new StatusError(
          "Invalid",
          `the certificate or key for ${addressText(address)} cannot be read: ${messageOf(cause)}`,
          {
            cause,
          },
        ),
      );
      return;
    }
    const abort = (): void => void socket.destroy(new Error("dialling was aborted"));
    const hungUp = (): void => failed(new Error("the connection was closed"));
    const settle = (): void => {
      signal.removeEventListener("abort", abort);
      socket.removeListener("error", failed);
      socket.removeListener("close", hungUp);
      socket.setTimeout(0);
    };
    signal.addEventListener("abort", abort, { once: true });
    if (signal.aborted) abort();
    socket.setNoDelay(true);
    socket.setTimeout(withinMs, () => socket.destroy(new Error(`no answer within ${withinMs} ms`)));
    socket.once("error", failed);
    socket.once("close", hungUp);
    socket.once("secureConnect", () => {
      settle();
      resolve(socketConnection(socket));
    });
  });
}

/** What OpenSSL and Node say of a certificate that is not good, and of ours when the other does not take it. */
function isTrust(cause: unknown): boolean {
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  return /CERT|SELF_SIGNED|UNABLE_TO_|ALTNAME|ALERT_(BAD_CERTIFICATE|UNKNOWN_CA|ACCESS_DENIED|HANDSHAKE)/.test(
    code,
  );
}
