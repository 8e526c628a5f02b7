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
  /** Holds writes back until `uncork`, so that one turn's packets leave in one piece. */
  cork(): void;
  uncork(): void;
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

export function addressText(address: Address): string {
  if ("path" in address) return address.path;
  return address.host.includes(":") ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}
