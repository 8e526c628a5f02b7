import type { Client } from "@cortado/client";
import { startInformer } from "@cortado/client/informer";
import type { LoopMetrics } from "@cortado/client/loop";
import { secrets } from "@cortado/kinds/resources";
import type { Clock } from "@cortado/std/clock";
import type { Log } from "@cortado/std/log";
import type { Broker } from "../mqtt.ts";
import { startBridgeLoop } from "./bridge-loop.ts";
import type { UserAccess } from "./user-access.ts";
import { startUserLoop } from "./user-loop.ts";

export { UserAccess } from "./user-access.ts";

export type MqttControlOptions = {
  readonly client: Client;
  readonly broker: Broker;
  /** What the broker was started with. */
  readonly access: UserAccess;
  readonly store: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly loopMetrics: LoopMetrics;
  readonly signal: AbortSignal;
};

/** Configures a running broker from the MqttBridge and MqttUser objects of the API, until the signal aborts. */
export function startMqttControl(options: MqttControlOptions): void {
  const { client, broker, clock, log, signal } = options;
  const cache = startInformer(client, secrets, { clock, log, signal });
  startUserLoop({ ...options, secrets: cache, disconnect: (users) => broker.disconnect(users) });
  startBridgeLoop({ ...options, secrets: cache, bridges: broker.bridges });
}
