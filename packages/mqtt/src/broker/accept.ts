/** Who a connection is, when its maker says so instead of its CONNECT. */
export type Trust = { readonly user: string };

export type AcceptOptions = {
  /** The connection needs no credentials and is this user: for in-process clients. */
  readonly trusted?: Trust;
  /** Each payload it gets is preceded by the broker's id, the message's sequence and its time (see `client/stamp.ts`). */
  readonly stamped?: boolean;
};

/** Why a connection ends: `code` is what MQTT 5 is told. */
export type Failing = { readonly protocolFault?: boolean; readonly code?: number };
