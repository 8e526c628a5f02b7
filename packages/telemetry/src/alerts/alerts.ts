import { startInformer } from "@cortado/client/informer";
import { done, startLoop, type LoopMetrics } from "@cortado/client/loop";
import type { Client } from "@cortado/client";
import { alerts } from "@cortado/kinds/resources";
import type { Clock } from "@cortado/std/clock";
import type { Log } from "@cortado/std/log";
import { withoutCardData } from "../card-data.ts";
import type { TelemetryJournal } from "../journal/journal.ts";

export type WatchAlertsOptions = {
  readonly client: Client;
  readonly journal: TelemetryJournal;
  readonly clock: Clock;
  readonly log: Log;
  readonly loopMetrics: LoopMetrics;
  readonly signal: AbortSignal;
};

/**
 * Puts every Alert of the API into the journal, once: its id is the object's uid. The object is its own outbox: while the journal
 * is full the loop comes back to it.
 */
export function watchAlerts({ client, journal, clock, log, loopMetrics, signal }: WatchAlertsOptions): void {
  const informer = startInformer(client, alerts, { clock, log, signal });
  const loop = startLoop({
    name: "alert-journal",
    clock,
    log,
    metrics: loopMetrics,
    signal,
    keys: () => [...informer.list()].map(({ metadata }) => `${metadata.namespace ?? ""}/${metadata.name}`),
    async reconcile(key) {
      const alert = informer.get(key);
      if (alert === undefined) return done;
      const { name, namespace, uid } = alert.metadata;
      const { at, text, payload = "", ...spec } = alert.spec;
      const words = { text: withoutCardData(text), payload: withoutCardData(payload) };
      await journal.append([
        { id: `alert-${uid}`, kind: "alert", at, payload: { ...spec, ...words, name, namespace } },
      ]);
      return done;
    },
  });
  informer.subscribe(({ key, now }) => {
    if (now !== undefined) loop.add(key);
  });
}
