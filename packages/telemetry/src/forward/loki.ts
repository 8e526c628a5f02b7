import type { CentralEvent } from "../central/central.ts";
import type { Push } from "./push.ts";

/**
 * Loki's push API in JSON (grafana.com/docs/loki/latest/reference/loki-http-api, "Ingest logs"): one stream for each store and kind, the
 * line being the event's payload with its id.
 */
export function lokiPushes(events: readonly CentralEvent[], path: string): readonly Push[] {
  const streams = new Map<string, LokiStream>();
  for (const { id, kind, store, sequence, at, payload } of events) {
    const stream = { job: "cortado", namespace: store.namespace, store: store.name, kind };
    const key = JSON.stringify(stream);
    const known: LokiStream = streams.get(key) ?? { stream, values: [] };
    streams.set(key, known);
    const line = JSON.stringify({ ...(JSON.parse(payload) as object), id, sequence });
    known.values.push([String(BigInt(Date.parse(at)) * 1_000_000n), line]);
  }
  for (const { values } of streams.values())
    values.sort(([one], [other]) => (BigInt(one) < BigInt(other) ? -1 : 1));
  const body = new TextEncoder().encode(JSON.stringify({ streams: [...streams.values()] }));
  return [{ path, headers: { "content-type": "application/json" }, body }];
}

/** Nanoseconds as text, and the line. */
type Entry = [string, string];
type LokiStream = { readonly stream: Readonly<Record<string, string>>; readonly values: Entry[] };
