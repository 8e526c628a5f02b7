import type { Broker, Naming } from "@cortado/mqtt";
import { textAnswer } from "@cortado/std/http";
import type { Log } from "@cortado/std/log";
import type { Address, TlsOptions } from "@cortado/std/net";
import { listenHttp, type HttpListening } from "./http-listener.ts";

export type MqttOverWebSocket = {
  readonly addresses: readonly Address[];
  /** Absent: plain. */
  readonly tls?: TlsOptions;
  readonly naming?: Naming;
  readonly log: Log;
};

/** Opens ports that speak MQTT over WebSocket and nothing else. */
export function mqttOverWebSocket(
  broker: Broker,
  { addresses, tls, naming, log }: MqttOverWebSocket,
): Promise<HttpListening> {
  return listenHttp({
    addresses,
    ...(tls === undefined ? {} : { tls }),
    handle: () => Promise.resolve(textAnswer(426, "this port speaks MQTT over WebSocket\n")),
    upgrade: (request, socket, head) => broker.upgrade(request, socket, head, naming),
    failed: (reason, remote) => log.warn("mqtt TLS handshake failed", { remote, reason }),
  });
}
