import type { Log } from "@cortado/std/log";
import {
  addressText,
  type Address,
  type Connection,
  type Listening,
  type Network,
  type SecureListening,
  type SecureNetwork,
  type TlsOptions,
} from "@cortado/std/net";
import { StatusError } from "@cortado/std/status";
import { acceptOptionsOf, type AcceptOptions, type ListenOptions } from "./accept.ts";

export type ListenersOptions = {
  readonly network: Network;
  readonly secureNetwork: SecureNetwork | undefined;
  readonly log: Log;
  readonly accept: (connection: Connection, options?: AcceptOptions) => void;
  /** A TLS handshake came to nothing. */
  readonly failed: () => void;
};

/** Where the broker listens: plain or TLS, on ports or Unix sockets. */
export class Listeners implements AsyncDisposable {
  readonly #options: ListenersOptions;
  readonly #listening: Listening[] = [];

  constructor(options: ListenersOptions) {
    this.#options = options;
  }

  async listen(address: Address, { tls, ...naming }: ListenOptions): Promise<Listening> {
    const { network, accept } = this.#options;
    const { identity = "username" } = naming;
    if (tls !== undefined) return this.#listenTls(address, { tls, ...naming });
    if (identity !== "username")
      throw new StatusError(
        "Invalid",
        `the listener ${addressText(address)} takes names from certificates and has no TLS; give it tls`,
      );
    const listening = await network.listen(address, (connection) =>
      accept(connection, acceptOptionsOf(naming)),
    );
    this.#listening.push(listening);
    return listening;
  }

  async #listenTls(
    address: Address,
    { tls, ...naming }: ListenOptions & { readonly tls: TlsOptions },
  ): Promise<SecureListening> {
    const { secureNetwork, log, accept, failed } = this.#options;
    if (secureNetwork === undefined)
      throw new StatusError(
        "NotImplemented",
        `no TLS here: the broker was started without a secure network, which ${addressText(address)} needs`,
      );
    if (tls.clientCertificates !== "none" && tls.clientAuthorities === undefined)
      throw new StatusError(
        "Invalid",
        `the TLS listener ${addressText(address)} asks for clients' certificates and names no authorities that sign them`,
      );
    const listening = await secureNetwork.listenTls(address, tls, {
      accept: (connection, certificate) => accept(connection, acceptOptionsOf(naming, certificate)),
      failed: (reason, remote) => {
        failed();
        log.warn("mqtt TLS handshake failed", { remote, reason });
      },
    });
    this.#listening.push(listening);
    return listening;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const listening of this.#listening) await listening[Symbol.asyncDispose]();
  }
}
