import type { Client, Stored } from "@cortado/client";
import { startInformer, type Informer, type Key } from "@cortado/client/informer";
import { again, startLoop, type LoopMetrics, type Outcome } from "@cortado/client/loop";
import type { Secret } from "@cortado/kinds";
import { mqttBridges, type MqttBridge } from "@cortado/kinds/mqtt";
import type { Clock } from "@cortado/std/clock";
import type { Log } from "@cortado/std/log";
import { hasReason, messageOf } from "@cortado/std/status";
import type { Bridges } from "../bridge/bridges.ts";
import { BRIDGE_COUNTERS_EVERY_MS, BRIDGE_STATUS_EVERY_MS } from "../limits.ts";
import { secretNames, toSettings } from "./bridge-spec.ts";
import { bridgeStatusOf, essenceOf } from "./status.ts";

export type BridgeLoopOptions = {
  readonly client: Client;
  readonly bridges: Bridges;
  readonly secrets: Informer<Secret>;
  /** The store's name: the first half of a bridge's client id. */
  readonly store: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly loopMetrics: LoopMetrics;
  readonly signal: AbortSignal;
};

/** Brings the broker's bridges in line with the MqttBridge objects of the API, and says in their status how they are. */
export function startBridgeLoop(options: BridgeLoopOptions): void {
  const { client, bridges, secrets, clock, log, loopMetrics, signal } = options;
  const informer = startInformer(client, mqttBridges, {
    clock,
    log,
    signal,
    indexes: {
      secret: ({ metadata, spec }) =>
        secretNames(spec).map((name) => `${metadata.namespace ?? "default"}/${name}`),
    },
  });
  const one = new BridgeObjects({ ...options, informer });
  const loop = startLoop({
    name: "mqtt-bridge",
    clock,
    log,
    metrics: loopMetrics,
    signal,
    ready: Promise.all([informer.synced, secrets.synced]),
    // Also those of which only the queue is left: their object went while the broker was down.
    keys: () => [...[...informer.list()].map(keyOfBridge), ...bridges.kept],
    reconcile: (key, waiting) => one.reconcile(key, waiting),
  });
  informer.subscribe(({ key }) => loop.add(key));
  secrets.subscribe(({ key }) => {
    for (const bridge of informer.byIndex("secret", key)) loop.add(keyOfBridge(bridge));
  });
  informer.synced.then(
    () => {
      for (const key of bridges.kept) loop.add(key);
    },
    () => undefined, // the signal aborted
  );
}

function keyOfBridge({ metadata }: MqttBridge): Key {
  return `${metadata.namespace ?? "default"}/${metadata.name}`;
}

type ObjectsOptions = BridgeLoopOptions & { readonly informer: Informer<MqttBridge> };

class BridgeObjects {
  readonly #options: ObjectsOptions;
  readonly #writtenMs: Map<Key, number> = new Map();

  constructor(options: ObjectsOptions) {
    this.#options = options;
  }

  async reconcile(key: Key, { signal }: { readonly signal: AbortSignal }): Promise<Outcome> {
    const { informer, bridges } = this.#options;
    const object = informer.get(key);
    if (object === undefined) {
      this.#writtenMs.delete(key);
      await bridges.remove(key);
      return { kind: "done" };
    }
    const fault = await this.#configure(key, object);
    await this.#writeStatus(key, { object, fault, signal });
    return again(BRIDGE_STATUS_EVERY_MS);
  }

  /** Why the broker does not run it so; undefined when it does. */
  async #configure(key: Key, object: Stored<MqttBridge>): Promise<string | undefined> {
    const { bridges, secrets, store } = this.#options;
    const namespace = object.metadata.namespace ?? "default";
    try {
      if (object.spec.suspend === true) await bridges.pause(key);
      else
        await bridges.put(
          toSettings(object, { store, secret: (name) => secrets.get(`${namespace}/${name}`) }),
        );
      return undefined;
    } catch (error) {
      if (!hasReason(error, "Invalid", "NotFound")) throw error;
      return messageOf(error); // a person must act; what ran before goes on
    }
  }

  async #writeStatus(
    key: Key,
    { object, fault, signal }: { object: Stored<MqttBridge>; fault: string | undefined; signal: AbortSignal },
  ): Promise<void> {
    const { client, bridges, clock } = this.#options;
    const running = bridges.status(key);
    const status = bridgeStatusOf({ bridge: object, fault, running, nowMs: clock.nowMs() });
    const nowMs = clock.monotonicMs();
    const isSame = essenceOf(status) === essenceOf(object.status);
    const isCounted = JSON.stringify(status) === JSON.stringify(object.status);
    // An idle store writes nothing; a busy one its counters now and then.
    const lastMs = this.#writtenMs.get(key) ?? Number.NEGATIVE_INFINITY;
    if (isCounted || (isSame && nowMs - lastMs < BRIDGE_COUNTERS_EVERY_MS)) return;
    this.#writtenMs.set(key, nowMs);
    const { name, namespace = "default" } = object.metadata;
    try {
      await client.patch(mqttBridges, {
        name,
        namespace,
        subresource: "status",
        type: "merge",
        body: { status: { lastError: null, ...status } },
        fieldManager: "cortado-mqtt",
        signal,
      });
    } catch (error) {
      if (!hasReason(error, "NotFound")) throw error; // deleted meanwhile
    }
  }
}
