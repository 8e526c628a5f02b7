import type { Metrics } from "@cortado/std/metrics";
import { StatusError } from "@cortado/std/status";
import { BRIDGES_MAX } from "../limits.ts";
import type { Session } from "../session/session.ts";
import { Bridge, unlessAborted, type BridgeHost, type BridgeStatus } from "./bridge.ts";
import { OWN_SESSION_PREFIX } from "./own-session.ts";
import { checkBridge, type BridgeSettings } from "./settings.ts";

export type BridgesOptions = {
  readonly host: BridgeHost;
  readonly metrics: Metrics;
  /** Ends a session for good, durably. */
  readonly forget: (session: Session) => Promise<void>;
};

/** The bridges of a broker, by name. */
export class Bridges implements AsyncDisposable {
  readonly #options: BridgesOptions;
  readonly #bridges: Map<string, Bridge> = new Map();
  #changing: Promise<void> = Promise.resolve();
  readonly #stop: AbortController = new AbortController();

  constructor(options: BridgesOptions) {
    this.#options = options;
    declareMetrics(options.metrics, () => this.statuses());
  }

  /**
   * Starts a bridge, or starts it anew with other settings; what waits for it stays. The same settings change nothing.
   * @throws StatusError "Invalid" naming the fields; what ran before runs on
   */
  put(settings: BridgeSettings): Promise<void> {
    checkBridge(settings);
    if (!this.#bridges.has(settings.name) && this.#bridges.size >= BRIDGES_MAX)
      throw new StatusError(
        "Invalid",
        `bridge ${settings.name}: this broker has ${BRIDGES_MAX} bridges already; remove one first`,
      );
    return this.#change(async () => {
      const known = this.#bridges.get(settings.name);
      if (known !== undefined && JSON.stringify(known.settings) === JSON.stringify(settings)) return;
      await known?.[Symbol.asyncDispose]();
      this.#bridges.set(settings.name, new Bridge({ settings, host: this.#options.host }));
    });
  }

  /** Stops a bridge; its session and what waits there stay. */
  pause(name: string): Promise<void> {
    return this.#change(async () => {
      const bridge = this.#bridges.get(name);
      this.#bridges.delete(name);
      await bridge?.[Symbol.asyncDispose]();
    });
  }

  /** Ends a bridge for good, with its session and what waits in it. */
  remove(name: string): Promise<void> {
    return this.#change(async () => {
      const bridge = this.#bridges.get(name);
      this.#bridges.delete(name);
      await bridge?.[Symbol.asyncDispose]();
      bridge?.eraseNotices();
      const session = this.#options.host.registry.byClientId.get(`${OWN_SESSION_PREFIX}${name}`);
      if (session !== undefined) await unlessAborted(this.#options.forget(session), this.#stop.signal);
    });
  }

  /** Names for which a session is kept, with or without a bridge that runs. */
  get kept(): readonly string[] {
    return [...this.#options.host.registry.byClientId.keys()]
      .filter((clientId) => clientId.startsWith(OWN_SESSION_PREFIX))
      .map((clientId) => clientId.slice(OWN_SESSION_PREFIX.length));
  }

  status(name: string): BridgeStatus | undefined {
    return this.#bridges.get(name)?.status();
  }

  statuses(): readonly BridgeStatus[] {
    return [...this.#bridges.values()].map((bridge) => bridge.status());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error("the broker stops"));
    await this.#changing;
    await Promise.all([...this.#bridges.values()].map((bridge) => bridge[Symbol.asyncDispose]()));
    this.#bridges.clear();
  }

  // One change after another: a bridge must have let go of its session before the next takes it.
  #change(step: () => Promise<void>): Promise<void> {
    const changing = this.#changing.then(() => (this.#stop.signal.aborted ? undefined : step()));
    this.#changing = changing.catch(() => undefined);
    return changing;
  }
}

type Row = {
  readonly name: string;
  readonly help: string;
  readonly value: (status: BridgeStatus) => number;
};

const rows: readonly Row[] = [
  { name: "broker_bridges", help: "Bridges to other brokers.", value: () => 1 },
  {
    name: "broker_bridges_connected",
    help: "Bridges whose remote is connected.",
    value: ({ state }) => (state === "connected" ? 1 : 0),
  },
  {
    name: "broker_bridge_backlog_messages",
    help: "Messages that wait for bridges.",
    value: ({ backlogMessages }) => backlogMessages,
  },
  {
    name: "broker_bridge_backlog_bytes",
    help: "Bytes of those messages.",
    value: ({ backlogBytes }) => backlogBytes,
  },
  {
    name: "broker_bridge_connections",
    help: "Connections that remotes accepted.",
    value: ({ connections }) => connections,
  },
  {
    name: "broker_bridge_messages_sent",
    help: "Publishes sent to remotes, again or for the first time.",
    value: ({ counts }) => counts.sent,
  },
  {
    name: "broker_bridge_messages_acknowledged",
    help: "Messages that remotes acknowledged.",
    value: ({ counts }) => counts.acknowledged,
  },
  {
    name: "broker_bridge_messages_received",
    help: "Messages taken from remotes.",
    value: ({ counts }) => counts.received,
  },
  {
    name: "broker_bridge_messages_skipped",
    help: "Messages that a remote cannot take, never sent.",
    value: ({ counts }) => counts.skipped,
  },
  {
    name: "broker_bridge_messages_dropped",
    help: "QoS 0 messages for which the line had no room, or was down.",
    value: ({ counts }) => counts.dropped,
  },
  {
    name: "broker_bridge_messages_looped",
    help: "Messages that came back over a ring of bridges.",
    value: ({ counts }) => counts.looped,
  },
  { name: "broker_bridge_bytes_sent", help: "Bytes sent to remotes.", value: ({ counts }) => counts.bytes },
];

function declareMetrics(metrics: Metrics, read: () => readonly BridgeStatus[]): void {
  const gauges = rows.map((row) => ({ row, gauge: metrics.gauge(row.name, { help: row.help }) }));
  metrics.beforeText(() => {
    const statuses = read();
    for (const { row, gauge } of gauges)
      gauge.set(statuses.reduce((sum, status) => sum + row.value(status), 0));
  });
}
