import type { Log } from "@cortado/std/log";
import {
  addressText,
  type Address,
  type Connection,
  type Listening,
  type Network,
  type PeerCertificate,
  type SecureListening,
  type SecureNetwork,
} from "@cortado/std/net";
import { StatusError } from "@cortado/std/status";
import type { AcceptOptions, ListenOptions } from "./accept.ts";

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

  async listen(address: Address, { tls, identity = "username" }: ListenOptions): Promise<Listening> {
    const { network, accept } = this.#options;
    if (tls !== undefined) return this.#listenTls(address, { tls, identity });
    if (identity !== "username")
      throw new StatusError(
        "Invalid",
        `the listener ${addressText(address)} takes names from certificates and has no TLS; give it tls`,
      );
    const listening = await network.listen(address, (connection) => accept(connection));
    this.#listening.push(listening);
    return listening;
  }

  async #listenTls(address: Address, { tls, identity }: Required<ListenOptions>): Promise<SecureListening> {
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
      accept: (connection, certificate) =>
        accept(connection, {
          ...(certificate === undefined ? {} : { certificate }),
          ...(identity === "username" ? {} : { identity: { user: nameIn(certificate, identity) } }),
        }),
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

/** The name in a certificate; an empty one, or one with a NUL, names nobody. */
function nameIn(
  certificate: PeerCertificate | undefined,
  identity: "common-name" | "subject",
): string | undefined {
  const name = identity === "subject" ? certificate?.subject : certificate?.commonName;
  return name === undefined || name === "" || name.includes("\0") ? undefined : name;
}
