/** The packets of MQTT 3.1.1, as they are after validation: nothing in them needs a second look. */
export type QoS = 0 | 1 | 2;

export type Will = {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly qos: QoS;
  readonly retain: boolean;
};

export type ConnectPacket = {
  readonly type: "connect";
  /** 3: MQTT 3.1 ("MQIsdp"); 4: MQTT 3.1.1. */
  readonly level: 3 | 4;
  readonly clientId: string;
  readonly cleanSession: boolean;
  readonly keepAliveS: number;
  readonly username?: string;
  readonly password?: Uint8Array;
  readonly will?: Will;
};

export type PublishPacket = {
  readonly type: "publish";
  readonly topic: string;
  /** A view of the frame: copy it to keep it longer than the frame. */
  readonly payload: Uint8Array;
  readonly qos: QoS;
  readonly retain: boolean;
  readonly dup: boolean;
  /** 0 when the QoS is 0. */
  readonly id: number;
};

export type AckType = "puback" | "pubrec" | "pubrel" | "pubcomp" | "unsuback";
export type AckPacket = { readonly type: AckType; readonly id: number };
export type Subscription = { readonly filter: string; readonly qos: QoS };
export type SubscribePacket = {
  readonly type: "subscribe";
  readonly id: number;
  readonly subscriptions: readonly Subscription[];
};
export type UnsubscribePacket = {
  readonly type: "unsubscribe";
  readonly id: number;
  readonly filters: readonly string[];
};
export type ConnackPacket = {
  readonly type: "connack";
  readonly sessionPresent: boolean;
  readonly code: number;
};
/** `granted` holds a QoS for each filter, or 128 for a refused one. */
export type SubackPacket = {
  readonly type: "suback";
  readonly id: number;
  readonly granted: readonly number[];
};
export type BarePacket = { readonly type: "pingreq" | "pingresp" | "disconnect" };

export type Packet =
  | ConnectPacket
  | ConnackPacket
  | PublishPacket
  | AckPacket
  | SubscribePacket
  | SubackPacket
  | UnsubscribePacket
  | BarePacket;

/** CONNACK codes (MQTT 3.1.1, table 3.1). */
export const connackCodes = {
  accepted: 0,
  unacceptableProtocol: 1,
  identifierRejected: 2,
  serverUnavailable: 3,
  badCredentials: 4,
  notAuthorized: 5,
} as const;

/** What SUBACK says of a filter that was not granted. */
export const SUBACK_FAILURE = 128;
