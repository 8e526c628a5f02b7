import type { ObjectCondition, ObjectMeta } from "./kinds.ts";
import type { ResourceType } from "./resources.ts";

/** Where a value lies in a Secret of the object's own namespace. */
export type SecretRef = { name: string; key?: string };

/** mqtt.cortado.dev/v1alpha1 MqttBridge: a bridge of the store's broker to another one. */
export type MqttBridge = {
  apiVersion: "mqtt.cortado.dev/v1alpha1";
  kind: "MqttBridge";
  metadata: ObjectMeta;
  spec: MqttBridgeSpec;
  status?: MqttBridgeStatus;
};
export type MqttBridgeSpec = {
  /** `HOST:PORT`, tried in turn. */
  addresses: string[];
  protocol?: "mqttv5" | "mqttv311";
  clientId?: string;
  username?: string;
  passwordSecret?: SecretRef;
  tls?: {
    /** Keys ca.crt, and tls.crt with tls.key for a client certificate. */
    secretName?: string;
    serverName?: string;
    alpn?: string[];
    insecureSkipVerify?: boolean;
  };
  topics: {
    pattern: string;
    direction?: "in" | "out" | "both";
    qos?: 0 | 1 | 2;
    localPrefix?: string;
    remotePrefix?: string;
  }[];
  order?: "oldest-first" | "newest-first" | "live-first";
  budget?: { backlogMessagesPerSecond?: number; bytesPerSecond?: number; burstBytes?: number };
  keepAliveSeconds?: number;
  cleanSession?: boolean;
  sessionExpirySeconds?: number;
  reconnect?: { firstSeconds?: number; maxSeconds?: number };
  notifications?: { enabled?: boolean; topic?: string };
  ids?: boolean;
  bridgeBit?: boolean;
  remote?: {
    maxQos?: 0 | 1 | 2;
    retainAvailable?: boolean;
    maxPacketBytes?: number;
    maxPayloadBytes?: number;
    maxTopicBytes?: number;
    maxTopicLevels?: number;
    receiveMaximum?: number;
    maxFiltersPerSubscribe?: number;
    maxClientIdBytes?: number;
  };
  suspend?: boolean;
};
export type MqttBridgeStatus = {
  conditions?: ObjectCondition[];
  observedGeneration?: number;
  state?: string;
  since?: string;
  backlog?: number;
  backlogBytes?: number;
  lastError?: string;
  connections?: number;
  sent?: number;
  acknowledged?: number;
  received?: number;
  skipped?: number;
  dropped?: number;
};

export const mqttAccesses = ["read", "write", "subscribe"] as const;
export type MqttAccess = (typeof mqttAccesses)[number];

/** mqtt.cortado.dev/v1alpha1 MqttUser: somebody whom the store's broker lets in, and what he may do there. */
export type MqttUser = {
  apiVersion: "mqtt.cortado.dev/v1alpha1";
  kind: "MqttUser";
  metadata: ObjectMeta;
  spec: MqttUserSpec;
  status?: MqttUserStatus;
};
export type MqttUserSpec = {
  /** Absent: the object's name. */
  username?: string;
  passwordSecret?: SecretRef;
  /** Common name of a client certificate that stands for this user. */
  certificateName?: string;
  /** True: this is who comes without user name and password. */
  anonymous?: boolean;
  /** Client ids that it may have, with `*` for any text; absent: any. */
  clientIds?: string[];
  rules?: { topics: string[]; access: MqttAccess[]; clientIds?: string[] }[];
};
export type MqttUserStatus = { conditions?: ObjectCondition[]; observedGeneration?: number };

const own = { group: "mqtt.cortado.dev", version: "v1alpha1", namespaced: true } as const;
export const mqttBridges: ResourceType<MqttBridge> = { ...own, plural: "mqttbridges", kind: "MqttBridge" };
export const mqttUsers: ResourceType<MqttUser> = { ...own, plural: "mqttusers", kind: "MqttUser" };
