import type { Clock } from "@cortado/std/clock";
import type { Files } from "@cortado/std/files";
import type { HttpHandler } from "@cortado/std/http";
import type { Log } from "@cortado/std/log";
import type { Metrics } from "@cortado/std/metrics";
import type { Connection } from "@cortado/std/net";
import type { Random } from "@cortado/std/random";
import { EVENTS_PATH, newEventsHandler } from "./ingest/ingest.ts";
import { TelemetryJournal } from "./journal/journal.ts";
import { countMachines } from "./machines.ts";

export { TelemetryJournal, type EventKind, type NewEvent, type StoreEvent } from "./journal/journal.ts";

export type StartTelemetryOptions = {
  readonly files: Files;
  readonly folder: string;
  /** The store's name; every event carries it. */
  readonly store: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly bytesMax?: number;
  /** Opens a connection to the store's broker, for the machines' counters; absent: they are not counted. */
  readonly dialBroker?: () => Connection;
};

export interface Telemetry extends AsyncDisposable {
  readonly journal: TelemetryJournal;
  /** To be mounted by the program. */
  readonly routes: readonly {
    readonly path: string;
    readonly methods: readonly string[];
    readonly handle: HttpHandler;
  }[];
}

/** Opens the journal, and begins to count machines. Alerts are followed by `watchAlerts`, once there is an API. */
export async function startTelemetry(options: StartTelemetryOptions): Promise<Telemetry> {
  const { metrics, dialBroker } = options;
  const journal = await TelemetryJournal.open(options);
  const bytes = metrics.gauge("cortado_telemetry_journal_bytes", {
    help: "Size of the telemetry journal on disk.",
  });
  const dropped = metrics.gauge("cortado_telemetry_events_dropped", {
    help: "Events dropped as the journal was full, by class.",
    labels: ["class"],
  });
  const next = metrics.gauge("cortado_telemetry_next_sequence", {
    help: "Sequence that the next event gets.",
  });
  const behind = metrics.gauge("cortado_telemetry_events_waiting", {
    help: "Sequences after the last trimmed one.",
  });
  metrics.beforeText(() => {
    const levels = journal.levels;
    bytes.set(levels.bytes);
    next.set(levels.nextSequence);
    behind.set(levels.nextSequence - 1 - journal.trimmedThrough);
    for (const [name, count] of Object.entries(levels.dropped)) dropped.set(count, { class: name });
  });
  const machines =
    dialBroker === undefined ? undefined : countMachines({ ...options, dial: dialBroker, journal });
  return {
    journal,
    routes: [{ path: EVENTS_PATH, methods: ["GET", "POST"], handle: newEventsHandler(journal) }],
    async [Symbol.asyncDispose]() {
      await machines?.[Symbol.asyncDispose]();
      await journal[Symbol.asyncDispose]();
    },
  };
}
