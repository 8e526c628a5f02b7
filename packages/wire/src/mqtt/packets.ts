/** The packets of MQTT 3.1.1 and 5, as they are after validation: nothing in them needs a second look. */
import type { Properties } from "./properties.ts";

export type QoS = 0 | 1 | 2;
/** 3: MQTT 3.1 ("MQIsdp"); 4: MQTT 3.1.1; 5: MQTT 5. */
export type Level = 3 | 4 | 5;

export type Will = {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly qos: QoS;
  readonly retain: boolean;
  readonly properties?: Properties;
};

export type ConnectPacket = {
  readonly type: "connect";
  readonly level: Level;
  readonly clientId: string;
  /** In MQTT 5: clean start. */
  readonly cleanSession: boolean;
  readonly keepAliveS: number;
  /** Before MQTT 5: mosquitto's mark of a bridge, the high bit of the protocol level (its try_private). */
  readonly isBridge?: boolean;
  readonly username?: string;
  readonly password?: Uint8Array;
  readonly will?: Will;
  readonly properties?: Properties;
};

export type PublishPacket = {
  readonly type: "publish";
  /** Empty in MQTT 5 where a topic alias stands for it. */
  readonly topic: string;
  /** A view of the frame: copy it to keep it longer than the frame. */
  readonly payload: Uint8Array;
  readonly qos: QoS;
  readonly retain: boolean;
  readonly dup: boolean;
  /** 0 when the QoS is 0. */
  readonly id: number;
  readonly properties?: Properties;
};

export type AckType = "puback" | "pubrec" | "pubrel" | "pubcomp";
/** Before MQTT 5 without a code; there an absent one means success. */
export type AckPacket = {
  readonly type: AckType;
  readonly id: number;
  readonly code?: number;
  readonly properties?: Properties;
};
export type Subscription = {
  readonly filter: string;
  readonly qos: QoS;
  /** Not what this client publishes itself. MQTT 5 only, as the rest. */
  readonly noLocal?: boolean;
  readonly retainAsPublished?: boolean;
  /** 0: retained messages at each SUBSCRIBE; 1: only if the subscription is new; 2: never. */
  readonly retainHandling?: 0 | 1 | 2;
  /** Why this filter may not be, when its SUBACK is to say so (MQTT 5). */
  readonly fault?: string;
};
export type SubscribePacket = {
  readonly type: "subscribe";
  readonly id: number;
  readonly subscriptions: readonly Subscription[];
  readonly properties?: Properties;
};
export type UnsubscribePacket = {
  readonly type: "unsubscribe";
  readonly id: number;
  readonly filters: readonly string[];
  readonly properties?: Properties;
};
export type ConnackPacket = {
  readonly type: "connack";
  readonly sessionPresent: boolean;
  readonly code: number;
  readonly properties?: Properties;
};
/** `granted` holds a QoS for each filter, or 128 and above for a refused one. */
export type SubackPacket = {
  readonly type: "suback";
  readonly id: number;
  readonly granted: readonly number[];
  readonly properties?: Properties;
};
/** `codes` has one for each filter in MQTT 5, and is absent before. */
export type UnsubackPacket = {
  readonly type: "unsuback";
  readonly id: number;
  readonly codes?: readonly number[];
  readonly properties?: Properties;
};
export type DisconnectPacket = {
  readonly type: "disconnect";
  readonly code?: number;
  readonly properties?: Properties;
};
export type AuthPacket = { readonly type: "auth"; readonly code: number; readonly properties?: Properties };
export type BarePacket = { readonly type: "pingreq" | "pingresp" };

export type Packet =
  | ConnectPacket
  | ConnackPacket
  | PublishPacket
  | AckPacket
  | SubscribePacket
  | SubackPacket
  | UnsubscribePacket
  | UnsubackPacket
  | DisconnectPacket
  | AuthPacket
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
