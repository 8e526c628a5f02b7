import type { MqttBridge, MqttBridgeSpec, SecretRef } from "@cortado/kinds/mqtt";
import type { Secret } from "@cortado/kinds";
import { StatusError } from "@cortado/std/status";
import {
  bridgeDefaults,
  openRemote,
  type BridgeSettings,
  type BridgeTls,
  type RemoteAddress,
} from "../bridge/settings.ts";

export type SecretSource = (name: string) => Secret | undefined;

/** Names of the Secrets that an object reads. */
export function secretNames(spec: MqttBridgeSpec): readonly string[] {
  return [spec.passwordSecret?.name, spec.tls?.secretName].filter((name) => name !== undefined);
}

/**
 * A MqttBridge as settings of the broker.
 * @throws StatusError "Invalid" naming the field, "NotFound" naming the Secret
 */
export function toSettings(
  { metadata, spec }: MqttBridge,
  { store, secret }: { readonly store: string; readonly secret: SecretSource },
): BridgeSettings {
  const { name, namespace = "default" } = metadata;
  const { budget = {}, reconnect = {}, notifications = {} } = spec;
  const password =
    spec.passwordSecret === undefined ? undefined : secretText(spec.passwordSecret, { namespace, secret });
  return {
    ...bridgeDefaults,
    name: `${namespace}/${name}`,
    addresses: spec.addresses.map(toAddress),
    level: spec.protocol === "mqttv311" ? 4 : 5,
    clientId: spec.clientId ?? `${store}.${name}`,
    topics: spec.topics.map(
      ({ pattern, direction = "out", qos = 1, localPrefix = "", remotePrefix = "" }) => ({
        pattern,
        direction,
        qos,
        localPrefix,
        remotePrefix,
      }),
    ),
    keepAliveS: spec.keepAliveSeconds ?? bridgeDefaults.keepAliveS,
    cleanSession: spec.cleanSession ?? false,
    sessionExpiryS: spec.sessionExpirySeconds ?? bridgeDefaults.sessionExpiryS,
    order: spec.order ?? bridgeDefaults.order,
    notifications: notifications.enabled ?? true,
    ids: spec.ids ?? true,
    bridgeBit: spec.bridgeBit ?? true,
    backoffFirstMs: (reconnect.firstSeconds ?? 1) * 1_000,
    backoffMaxMs: (reconnect.maxSeconds ?? 60) * 1_000,
    remote: toLimits(spec.remote),
    ...optional("username", spec.username),
    ...optional("password", password),
    ...optional("tls", spec.tls === undefined ? undefined : toTls(spec.tls, { namespace, secret })),
    ...optional("notificationTopic", notifications.topic),
    ...optional("backlogPerS", budget.backlogMessagesPerSecond),
    ...optional("bytesPerS", budget.bytesPerSecond),
    ...optional("burstBytes", budget.burstBytes),
  };
}

function optional<Name extends string, Value>(
  name: Name,
  value: Value | undefined,
): { readonly [Key in Name]?: Value } {
  return (value === undefined ? {} : { [name]: value }) as { readonly [Key in Name]?: Value };
}

function toAddress(text: string, at: number): RemoteAddress {
  const match = /^(\[[0-9a-fA-F:.]+\]|[^\s:/[\]]+):(\d{1,5})$/.exec(text);
  const port = Number(match?.[2]);
  if (match?.[1] === undefined || port < 1 || port > 65_535)
    throw new StatusError(
      "Invalid",
      `spec.addresses[${at}]: ${JSON.stringify(text)} is no HOST:PORT; TLS is asked for by spec.tls, not by a scheme`,
    );
  return { host: match[1].replaceAll(/[[\]]/g, ""), port };
}

function toLimits(remote: MqttBridgeSpec["remote"] = {}): BridgeSettings["remote"] {
  return {
    qosMax: remote.maxQos ?? openRemote.qosMax,
    retainAvailable: remote.retainAvailable ?? openRemote.retainAvailable,
    packetBytesMax: remote.maxPacketBytes ?? openRemote.packetBytesMax,
    payloadBytesMax: remote.maxPayloadBytes ?? openRemote.payloadBytesMax,
    topicBytesMax: remote.maxTopicBytes ?? openRemote.topicBytesMax,
    topicLevelsMax: remote.maxTopicLevels ?? openRemote.topicLevelsMax,
    receiveMax: remote.receiveMaximum ?? openRemote.receiveMax,
    filtersPerSubscribeMax: remote.maxFiltersPerSubscribe ?? openRemote.filtersPerSubscribeMax,
    clientIdBytesMax: remote.maxClientIdBytes ?? openRemote.clientIdBytesMax,
  };
}

type From = { readonly namespace: string; readonly secret: SecretSource };

function toTls(tls: NonNullable<MqttBridgeSpec["tls"]>, from: From): BridgeTls {
  const { secretName, serverName, alpn, insecureSkipVerify } = tls;
  const data = secretName === undefined ? {} : secretData(secretName, from);
  return {
    ...optional("ca", data["ca.crt"]),
    ...optional("certificate", data["tls.crt"]),
    ...optional("key", data["tls.key"]),
    ...optional("serverName", serverName),
    ...optional("alpn", alpn),
    ...optional("insecure", insecureSkipVerify),
  };
}

/** @throws StatusError "NotFound" naming the Secret, or its key */
export function secretText({ name, key = "password" }: SecretRef, from: From): string {
  const text = secretData(name, from)[key];
  if (text !== undefined) return text;
  throw new StatusError("NotFound", `Secret ${from.namespace}/${name} has no key ${key}; add it`);
}

function secretData(name: string, { namespace, secret }: From): Readonly<Record<string, string>> {
  const found = secret(name);
  if (found === undefined)
    throw new StatusError("NotFound", `Secret ${name} is not in namespace ${namespace}; create it`);
  return Object.fromEntries(
    Object.entries(found.data ?? {}).map(([key, value]) => [
      key,
      Buffer.from(value, "base64").toString("utf8"),
    ]),
  );
}
