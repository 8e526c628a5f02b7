/** Where a stream listens or is dialled: a TCP address or a Unix socket. */
export type Address = { readonly host: string; readonly port: number } | { readonly path: string };

export type ConnectionEvents = {
  /** Bytes in order; the view may be kept. */
  data(bytes: Uint8Array): void;
  /** After a `write` that answered false: there is room again. */
  drained(): void;
  /** Once, at the end, whatever ended it. */
  closed(error: Error | undefined): void;
};

/** A stream of bytes both ways, kept small so that a socket, a WebSocket and a simulated link are all one. */
export interface Connection {
  /** For logs: the peer's address, or the socket's path. */
  readonly remote: string;
  /** Sets the receiver; bytes that came before are kept for it. */
  handle(events: ConnectionEvents): void;
  /** Sends; false when more than the high-water mark waits, so that the caller stops until `drained`. */
  write(bytes: Uint8Array): boolean;
  /** Bytes accepted by `write` that the peer's side has not taken. */
  readonly bufferedBytes: number;
  pause(): void;
  resume(): void;
  /** Sends what waits, then closes. */
  end(): void;
  /** Closes at once. */
  destroy(): void;
}

export interface Listening extends AsyncDisposable {
  /** With the real port when port 0 was asked for. */
  readonly address: Address;
}

/** The network comes in by this door only. */
export interface Network {
  /** @throws StatusError "Conflict" when the address is in use */
  listen(address: Address, accept: (connection: Connection) => void): Promise<Listening>;
  /** @throws StatusError "ServiceUnavailable" when nobody answers */
  dial(address: Address, options: { readonly signal: AbortSignal }): Promise<Connection>;
}

/** What a TLS listener shows and asks for; all of it PEM. */
export type TlsOptions = {
  /** Its own, with those between it and the root. */
  readonly certificate: string;
  readonly key: string;
  /** `none`: clients are not asked; `asked`: they may have one; `required`: who has none is turned away. */
  readonly clientCertificates: "none" | "asked" | "required";
  /** Who signs clients' certificates. */
  readonly clientAuthorities?: string;
  /** Lists of certificates that no longer count (CRL). */
  readonly revocations?: string;
  /** Absent: TLSv1.2. */
  readonly minVersion?: "TLSv1.2" | "TLSv1.3";
};

/** A certificate that was checked against the listener's authorities. */
export type PeerCertificate = {
  /** The whole name as RFC 2253 writes it: `CN=fridge,O=Shop`. */
  readonly subject: string;
  readonly commonName: string | undefined;
  readonly fingerprint256: string;
};

export interface SecureListening extends Listening {
  /** Other certificates for connections that come from now on. @throws StatusError "Invalid" and keeps the old ones */
  renew(tls: TlsOptions): void;
}

/** TLS comes in by this door. */
export interface SecureNetwork {
  /** @throws StatusError "Conflict" when the address is in use, "Invalid" when the PEM texts cannot be used */
  listenTls(
    address: Address,
    tls: TlsOptions,
    events: {
      accept(connection: Connection, certificate: PeerCertificate | undefined): void;
      /** A handshake that came to nothing. */
      failed(reason: string, remote: string): void;
    },
  ): Promise<SecureListening>;
}

export function addressText(address: Address): string {
  if ("path" in address) return address.path;
  return address.host.includes(":") ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}
