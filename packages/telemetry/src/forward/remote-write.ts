import { encodeWriteRequest, type Sample } from "@cortado/wire/remote-write";
import type { CentralEvent } from "../central/central.ts";
import type { Push } from "./push.ts";
import { measuredOf } from "./samples.ts";

const headers = {
  "content-type": "application/x-protobuf",
  "content-encoding": "snappy",
  "x-prometheus-remote-write-version": "0.1.0",
  "user-agent": "cortado-hub",
};

/** Prometheus remote write: counts of machines and metrics, a series for each store and set of labels. */
export function remoteWritePushes(events: readonly CentralEvent[], path: string): readonly Push[] {
  const series = new Map<string, Growing>();
  for (const event of events) {
    const measured = measuredOf(event);
    if (measured === undefined) continue;
    const { name, store, atMs, value, isCounter } = measured;
    const own = {
      __name__: isCounter ? `${name}_total` : name,
      store: store.name,
      namespace: store.namespace,
    };
    const labels = { ...measured.labels, ...own };
    const key = JSON.stringify(Object.entries(labels).toSorted());
    const known: Growing = series.get(key) ?? { labels, samples: [] };
    series.set(key, known);
    // Two values of one moment are refused by Prometheus: the later one counts.
    const same = known.samples.findIndex((sample) => sample.atMs === atMs);
    if (same === -1) known.samples.push({ atMs, value });
    else known.samples[same] = { atMs, value };
  }
  return series.size === 0 ? [] : [{ path, headers, body: encodeWriteRequest([...series.values()]) }];
}

type Growing = { readonly labels: Readonly<Record<string, string>>; readonly samples: Sample[] };
