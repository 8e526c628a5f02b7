import type { X509Certificate } from "node:crypto";
import { rm } from "node:fs/promises";
import { createServer, type TLSSocket, type TlsOptions as NodeTlsOptions } from "node:tls";
import type { Address, PeerCertificate, SecureNetwork, TlsOptions } from "../net.ts";
import { boundAddress, listening, socketConnection } from "./net.ts";
import { StatusError } from "../status.ts";

/** How long a client may take for its handshake. */
const HANDSHAKE_MS = 10_000;

/** TLS on the machine's own sockets. */
export const systemSecureNetwork: SecureNetwork = {
  async listenTls(address, tls, { accept, failed }) {
    if ("path" in address) await rm(address.path, { force: true }); // left behind by a killed process
    const sockets = new Set<TLSSocket>();
    const server = guardedTls(address, () =>
      createServer({ ...serverOptionsOf(tls), noDelay: true, handshakeTimeout: HANDSHAKE_MS }),
    );
    server.on("secureConnection", (socket) => {
      sockets.add(socket);
      socket.once("close", () => sockets.delete(socket));
      const { certificate, fault } = shownBy(socket);
      if (fault === undefined) accept(socketConnection(socket), certificate);
      else {
        failed(fault, remoteOf(socket));
        socket.destroy();
      }
    });
    server.on("tlsClientError", (error, socket) => failed(error.message, remoteOf(socket)));
    await listening(server, address);
    return {
      address: boundAddress(server, address),
      renew: (next) => guardedTls(address, () => server.setSecureContext(contextOf(next))),
      async [Symbol.asyncDispose]() {
        const closed = new Promise<void>((resolve) => server.close(() => resolve()));
        for (const socket of sockets) socket.destroy();
        await closed;
      },
    };
  },
};

/** What a client has shown on a socket that asked for it. Asked for and not required: none is fine, a bad one is a fault. */
export function shownBy(socket: TLSSocket): {
  readonly certificate: PeerCertificate | undefined;
  readonly fault: string | undefined;
} {
  const shown = socket.getPeerX509Certificate();
  if (shown !== undefined && !socket.authorized)
    return { certificate: undefined, fault: String(socket.authorizationError) };
  return { certificate: shown === undefined ? undefined : certificateOf(shown), fault: undefined };
}

/** As Node's servers take it; theirs to ask for clients' certificates, whoever looks at those by `shownBy`. */
export function serverOptionsOf(tls: TlsOptions): NodeTlsOptions {
  return {
    ...contextOf(tls),
    requestCert: tls.clientCertificates !== "none",
    rejectUnauthorized: tls.clientCertificates === "required",
  };
}

export function contextOf({
  certificate,
  key,
  clientAuthorities,
  revocations,
  minVersion,
}: TlsOptions): NodeTlsOptions {
  return {
    cert: certificate,
    key,
    ...(clientAuthorities === undefined ? {} : { ca: clientAuthorities }),
    ...(revocations === undefined ? {} : { crl: revocations }),
    minVersion: minVersion ?? "TLSv1.2",
  };
}

/** What OpenSSL does not take is the operator's file, not our fault. @throws StatusError "Invalid" naming the listener */
export function guardedTls<Value>(address: Address, make: () => Value): Value {
  try {
    return make();
  } catch (cause) {
    const where = "path" in address ? address.path : `${address.host}:${address.port}`;
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new StatusError(
      "Invalid",
      `the certificate, key or authorities of the TLS listener ${where} cannot be used: ${why}; they must be PEM and belong together`,
      { cause },
    );
  }
}

export function remoteOf({ remoteAddress, remotePort }: TLSSocket): string {
  return remoteAddress === undefined ? "local" : `${remoteAddress}:${remotePort ?? 0}`;
}

/** A certificate's names, as OpenSSL prints them for RFC 2253: the last part first. */
export function certificateOf(certificate: X509Certificate): PeerCertificate {
  // One part a line, escaped as the RFC says.
  const parts = certificate.subject?.split("\n") ?? [];
  const name = parts.findLast((part) => part.startsWith("CN="))?.slice(3);
  return {
    subject: parts.toReversed().join(","),
    commonName: name?.replaceAll(/\\([0-9A-F]{2}|.)/gi, (_, escaped: string) =>
      escaped.length === 2 ? String.fromCharCode(Number.parseInt(escaped, 16)) : escaped,
    ),
    fingerprint256: certificate.fingerprint256,
  };
}
