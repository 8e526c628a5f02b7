import { createHash } from "node:crypto";
import type { Client, Stored } from "@cortado/client";
import type { Alert } from "@cortado/kinds";
import { alerts } from "@cortado/kinds/resources";
import { textAt } from "@cortado/kinds/tree";
import { every, toTime, type Clock } from "@cortado/std/clock";
import type { Log } from "@cortado/std/log";
import type { Random } from "@cortado/std/random";
import { hasReason } from "@cortado/std/status";
import {
  ALERT_DAYS,
  ALERT_TEXT_CHARACTERS_MAX,
  ALERTS_MAX,
  ALERTS_OF_STORE_MAX,
  ALERTS_SWEEP_AFTER,
  ALERTS_SWEEP_MS,
} from "../limits.ts";
import type { Central, CentralEvent } from "./central.ts";
import { followEvents } from "./cursor.ts";

export type AlertObjectsOptions = {
  readonly central: Central;
  readonly client: Client;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
};

/** Which Alerts of a hub are made from events; others are people's, and left alone. */
export const STORE_LABEL = "telemetry.cortado.dev/store";
const EVENT_ANNOTATION = "telemetry.cortado.dev/event";
const DAY_MS = 86_400_000;

/**
 * Makes an Alert at the hub of each alert of a store, in the namespace of its Cluster. Its name follows from store and event, so
 * an event that comes twice, or a hub that was killed between two writes, makes no second one. Old ones go: after `ALERT_DAYS`, and
 * the oldest beyond `ALERTS_OF_STORE_MAX` of a store and `ALERTS_MAX` in all; the event itself stays in the store of events.
 */
export function keepAlertObjects(options: AlertObjectsOptions): AsyncDisposable {
  const { central, client, clock, log } = options;
  const stop = new AbortController();
  const { signal } = stop;
  let unseen = 0;
  let sweeping: Promise<void> | undefined;
  const sweepSoon = (): void => {
    sweeping ??= sweep({ client, clock, signal })
      .catch((error: unknown) => {
        if (!signal.aborted) log.warn("old alerts are not removed", { error });
      })
      .finally(() => (sweeping = undefined));
  };
  const timer = every(clock, ALERTS_SWEEP_MS, sweepSoon);
  const following = followEvents({
    ...options,
    central,
    name: "alert-objects",
    kinds: ["alert"],
    begin: "oldest",
    signal,
    async handle(events) {
      for (const event of events) await create(options, event, signal);
      unseen += events.length;
      if (unseen >= ALERTS_SWEEP_AFTER) {
        unseen = 0;
        sweepSoon();
      }
    },
  });
  return {
    async [Symbol.asyncDispose]() {
      timer[Symbol.dispose]();
      stop.abort(new Error("the hub stops"));
      await following;
      await sweeping;
    },
  };
}

async function create(
  { client, log }: AlertObjectsOptions,
  event: CentralEvent,
  signal: AbortSignal,
): Promise<void> {
  try {
    await client.create(alerts, alertOf(event), { signal, fieldManager: "cortado-hub" });
  } catch (error) {
    if (hasReason(error, "AlreadyExists")) return;
    // The namespace went with its Clusters, or an older store says what this hub's kind does not take: nobody waits for it.
    if (!hasReason(error, "NotFound", "Invalid", "Forbidden", "BadRequest")) throw error;
    log.warn("an alert of a store cannot be an object", { store: event.store, event: event.id, error });
  }
}

export function alertOf(event: CentralEvent): Omit<Alert, "apiVersion" | "kind"> {
  const { store, id, at } = event;
  const payload = JSON.parse(event.payload) as unknown;
  const text = (name: string): string => textAt(payload, name).slice(0, ALERT_TEXT_CHARACTERS_MAX);
  const [topic, body] = [text("topic"), text("payload")];
  return {
    metadata: {
      name: alertName(event),
      namespace: store.namespace,
      labels: { [STORE_LABEL]: labelValue(store.name) },
      annotations: { [EVENT_ANNOTATION]: id },
    },
    spec: {
      store: store.name,
      source: text("source"),
      ...(topic === "" ? {} : { topic }),
      ...(body === "" ? {} : { payload: body }),
      text: text("text"),
      at: toTime(Date.parse(at)),
    },
  };
}

/** STORE-HASH: no two events have the same, whatever ids stores choose. */
export function alertName({ store, id }: Pick<CentralEvent, "store" | "id">): string {
  const hash = createHash("sha256").update(`${store.namespace}/${store.name}\n${id}`).digest("hex");
  return `${store.name.slice(0, 200)}-${hash.slice(0, 20)}`;
}

function labelValue(name: string): string {
  return name.slice(0, 63).replace(/[^a-zA-Z0-9]+$/, "");
}

type Sweeping = { readonly client: Client; readonly clock: Clock; readonly signal: AbortSignal };

async function sweep({ client, clock, signal }: Sweeping): Promise<void> {
  const { items } = await client.list(alerts, { labelSelector: STORE_LABEL, signal });
  for (const { metadata } of tooOld(items, clock.nowMs())) {
    const { name, namespace } = metadata;
    await client
      .delete(alerts, { name, ...(namespace === undefined ? {} : { namespace }), signal })
      .catch((error: unknown) => {
        if (!hasReason(error, "NotFound")) throw error;
      });
  }
}

/** Those that go, by age and number. Pure. */
export function tooOld(items: readonly Stored<Alert>[], nowMs: number): readonly Stored<Alert>[] {
  const madeMs = ({ metadata }: Stored<Alert>): number => Date.parse(metadata.creationTimestamp ?? "") || 0;
  const newestFirst = items.toSorted((one, other) => madeMs(other) - madeMs(one));
  const ofStore = new Map<string, number>();
  let kept = 0;
  return newestFirst.filter((alert) => {
    const key = `${alert.metadata.namespace ?? ""}/${alert.spec.store}`;
    const count = ofStore.get(key) ?? 0;
    const stays =
      nowMs - madeMs(alert) <= ALERT_DAYS * DAY_MS && count < ALERTS_OF_STORE_MAX && kept < ALERTS_MAX;
    if (stays) {
      ofStore.set(key, count + 1);
      kept += 1;
    }
    return !stays;
  });
}
