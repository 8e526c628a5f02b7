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
};

export type ListenOptions = {
  /** Absent: plain. */
  readonly tls?: TlsOptions;
  /**
   * What the user's name is taken from. A name from a certificate needs no password, and what CONNECT says is not asked
   * (mosquitto's use_identity_as_username and use_subject_as_username). Rights are asked for that name. Absent: `username`.
   */
  readonly identity?: "username" | "common-name" | "subject";
};

/** Why a CONNECT is not accepted: `code` is what clients before MQTT 5 are told, the rest is for those of MQTT 5. */
export type Refusing = {
  readonly code: number;
  readonly code5: number;
  readonly reason: string;
  readonly more?: Properties;
};
/** Why a connection ends: `code` is what MQTT 5 is told. */
export type Failing = { readonly protocolFault?: boolean; readonly code?: number };
