import type { PeerCertificate, TlsOptions } from "@cortado/std/net";
import type { Properties } from "@cortado/wire/mqtt";

/** Who a connection is, when its maker says so instead of its CONNECT. */
export type Trust = { readonly user: string };

export type AcceptOptions = {
  /** The connection needs no credentials and is this user: for in-process clients. */
  readonly trusted?: Trust;
  /** Each payload it gets is preceded by the broker's id, the message's sequence and its time (see `client/stamp.ts`). */
  readonly stamped?: boolean;
  /** The certificate that the client has shown, and that was checked. */
  readonly certificate?: PeerCertificate;
  /** Who the client is by its certificate (`identity` of the listener); undefined there: it has none, and is not let in. */
  readonly identity?: { readonly user: string | undefined };
  /** See `Naming`. */
  readonly realm?: string;
};

/** Who the clients of a listener are. */
export type Naming = {
  /**
   * The names of its users are its own: `anna` of realm `8883` is user `anna@8883` for rules, sessions and quotas, and not the `anna` of
   * another listener. Absent: names are as they are said.
   */
  readonly realm?: string;
  /**
   * What the user's name is taken from. A name from a certificate needs no password, and what CONNECT says is not asked
   * (mosquitto's use_identity_as_username and use_subject_as_username). Rights are asked for that name. Absent: `username`.
   */
  readonly identity?: "username" | "common-name" | "subject";
};

export type ListenOptions = Naming & {
  /** Absent: plain. */
  readonly tls?: TlsOptions;
};

/** What is known of a client by the listener that it came to, and the certificate that it has shown there. */
export function acceptOptionsOf(
  { realm, identity = "username" }: Naming,
  certificate?: PeerCertificate,
): AcceptOptions {
  if (realm === undefined && identity === "username" && certificate === undefined) return plainly;
  return {
    ...(realm === undefined ? {} : { realm }),
    ...(certificate === undefined ? {} : { certificate }),
    ...(identity === "username" ? {} : { identity: { user: nameIn(certificate, identity) } }),
  };
}

/** One for all connections: there may be very many. */
export const plainly: AcceptOptions = {};

/** The user of a name in a realm. */
export function userIn(realm: string | undefined, name: string): string {
  return realm === undefined ? name : `${name}@${realm}`;
}

/** The name in a certificate; an empty one, or one with a NUL, names nobody. */
function nameIn(
  certificate: PeerCertificate | undefined,
  identity: "common-name" | "subject",
): string | undefined {
  const name = identity === "subject" ? certificate?.subject : certificate?.commonName;
  return name === undefined || name === "" || name.includes("\0") ? undefined : name;
}

/** Why a CONNECT is not accepted: `code` is what clients before MQTT 5 are told, the rest is for those of MQTT 5. */
export type Refusing = {
  readonly code: number;
  readonly code5: number;
  readonly reason: string;
  readonly more?: Properties;
};
/** Why a connection ends: `code` is what MQTT 5 is told. */
export type Failing = { readonly protocolFault?: boolean; readonly code?: number };
