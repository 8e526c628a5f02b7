import type { Clock } from "@cortado/std/clock";
import type { Files } from "@cortado/std/files";
import type { Log } from "@cortado/std/log";
import type { Metrics } from "@cortado/std/metrics";
import type {
  Address,
  Connection,
  Listening,
  Network,
  SecureListening,
  SecureNetwork,
  TlsOptions,
} from "@cortado/std/net";
import type { Random } from "@cortado/std/random";
import { StatusError } from "@cortado/std/status";
import type { BridgeHost, DialRemote } from "./bridge/bridge.ts";
import { Bridges } from "./bridge/bridges.ts";
import type { Authenticate, Authorize, MayRead, Redirect } from "./broker/access.ts";
import type { VerifierOf } from "./broker/enhanced.ts";
import { ConnectionHost } from "./broker/broker.ts";
import { disconnectUsers } from "./broker/disconnect.ts";
import { Maintenance } from "./broker/maintenance.ts";
import type { AcceptOptions, ListenOptions } from "./broker/accept.ts";
import { Publishing } from "./broker/publishing.ts";
import { Turns } from "./turns.ts";
import { declareMetrics } from "./broker/tally.ts";
import { newConnectionPair } from "./client/pair.ts";
import { Journal } from "./journal/journal.ts";
import { MessageLog } from "./journal/message-log.ts";
import { recover } from "./journal/recovery.ts";
import { brokerLimits, type BrokerLimits } from "./limits.ts";
import { BrokerTime, UNKNOWN_MS } from "./session/broker-time.ts";
import type { Registry } from "./session/registry.ts";
import { newWebSocketUpgrade, type Upgrade } from "./websocket/websocket.ts";

export type { Access, Authenticate, Authorize, Credentials, MayRead, Redirect } from "./broker/access.ts";
export type { AcceptOptions, ListenOptions, Naming } from "./broker/accept.ts";
export type { BridgeState, BridgeStatus, DialRemote } from "./bridge/bridge.ts";
export type { Bridges } from "./bridge/bridges.ts";
export * from "./bridge/settings.ts";
export {
  makeVerifier,
  passwordMatches,
  readVerifier,
  verifierText,
  type ScramVerifier,
} from "./auth/verifier.ts";
export type { VerifierOf } from "./broker/enhanced.ts";
export { brokerLimits, type BrokerLimits } from "./limits.ts";

export type StartBrokerOptions = {
  readonly files: Files;
  /** The broker's own; nothing else may write there. */
  readonly folder: string;
  readonly network: Network;
  /** For TLS listeners. Absent: `listen` refuses them. */
  readonly secureNetwork?: SecureNetwork;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly limits?: Partial<BrokerLimits>;
  /** Says who a client is. Absent: everybody who can connect may, under the user name that it gives. */
  readonly authenticate?: Authenticate;
  /**
   * What is kept of a user's password, for MQTT 5 clients that authenticate by SCRAM-SHA-256 and never say it. Absent: they are
   * refused with 0x8C. Who comes with a name and a password goes to `authenticate`, for which `passwordMatches` takes the same verifier.
   */
  readonly scramVerifierOf?: VerifierOf;
  /** Says what it may do. Absent: everything but $SYS. */
  readonly authorize?: Authorize;
  /** Says which messages of its subscriptions a session gets. Absent: all. */
  readonly mayRead?: MayRead;
  /** Whose quota (`limits.tenantBytesMax`) a user's sessions count against. Absent: each user is a tenant. */
  readonly tenantOf?: (user: string) => string;
  /** Sends MQTT 5 clients to another server. Absent: all are served here. */
  readonly redirect?: Redirect;
  /** Where a client that asks may have its answers sent (MQTT 5, response information). Absent: `responses/CLIENT_ID/`. */
  readonly responseTopics?: (clientId: string) => string;
  /** How bridges reach their remotes. Absent: over `network`, without TLS. */
  readonly dialRemote?: DialRemote;
};

export type BrokerHealth = {
  /** False while the journal cannot be written: nothing is acknowledged then. */
  readonly ready: boolean;
  /** What is wrong, for a person; empty when nothing is. */
  readonly faults: readonly string[];
  /** Damaged files that recovery set aside at the start. */
  readonly setAside: readonly string[];
};

/** A durable broker of MQTT 3.1, 3.1.1 and 5: an acknowledged message would survive a power cut. */
export interface Broker extends AsyncDisposable {
  /** Takes over a connection, whatever it came by. */
  accept(connection: Connection, options?: AcceptOptions): void;
  /**
   * On a TCP port or a Unix socket. @throws StatusError "Conflict" when the address is in use, "Invalid" when certificates do not
   * fit together
   */
  listen(address: Address): Promise<Listening>;
  listen(address: Address, options: ListenOptions & { readonly tls: TlsOptions }): Promise<SecureListening>;
  listen(address: Address, options: ListenOptions): Promise<Listening>;
  /**
   * For an HTTP server's "upgrade" event: MQTT over WebSocket, subprotocol `mqtt`. A certificate that the client has shown to an HTTPS
   * server is known as one of a TLS listener is; whose is bad the server has to turn away.
   */
  readonly upgrade: Upgrade;
  /** A connection to this broker inside the process, trusted and stamped: what `connectMqtt` dials. */
  dialLocal(user: string): Connection;
  health(): BrokerHealth;
  /** Ends the connections of these users, who may come back; connections of `dialLocal` stay. */
  disconnect(users: ReadonlySet<string>): void;
  /** Bridges to other brokers; at the start there are none, but what waits for them. */
  readonly bridges: Bridges;
}

/**
 * Reads the journal in `folder` and starts a broker on it. Listens nowhere until told to.
 * @throws StatusError "NotImplemented" when a newer release wrote the folder
 */
export async function startBroker(options: StartBrokerOptions): Promise<Broker> {
  const { files, folder, network, clock, random, log, metrics } = options;
  const limits: BrokerLimits = { ...brokerLimits, ...options.limits };
  const { tenantOf = (user: string) => user } = options;
  const recovered = await recover({ files, folder, log, random, nowMs: clock.nowMs(), tenantOf });
  const { registry, broker, segments, nextSegment, stateSegment, setAside } = recovered;
  const time = new BrokerTime(clock, recovered.lastTime);
  const { segmentBytes } = limits;
  const turns = new Turns(clock);
  const shared = { files, folder, clock, time, random, log, limits, segmentBytes, registry, broker, turns };
  const journal = new Journal({ ...shared, segments, nextSegment });
  const messages = new MessageLog({ journal, turns });
  const { mayRead } = options;
  const publishing = new Publishing({ limits, registry, journal, messages, mayRead });
  for (const session of registry.byNumber.values()) {
    if (session.leftMs === UNKNOWN_MS) session.leftMs = time.nowMs();
    session.recoveredThrough = registry.nextSequence - 1;
    publishing.recovered(session);
  }
  const freed = (): void => host.retryHeld();
  const maintenance = new Maintenance({ ...shared, journal, stateSegment, freed });
  const parts = { ...shared, journal, messages, publishing, brokerId: broker };
  const host: ConnectionHost = new ConnectionHost({
    ...parts,
    network,
    maintenance,
    secureNetwork: options.secureNetwork,
    damagedFiles: setAside.length,
    authenticate: options.authenticate,
    authorize: options.authorize,
    mayRead,
    scramVerifierOf: options.scramVerifierOf,
    redirect: options.redirect,
    responseTopics: options.responseTopics ?? ((clientId) => `responses/${clientId}/`),
  });
  declareMetrics(metrics, () => ({ tally: host.tally, levels: host.levels() }));
  log.info("mqtt broker started", {
    folder,
    sessions: registry.byNumber.size,
    retained: registry.retained.items,
    queued: publishing.queuedItems,
  });
  const bridges = newBridges(host, { ...parts, metrics, dial: options.dialRemote ?? plainDial(network) });
  const bytesMax = limits.packetBytesMax;
  return brokerOf({ host, journal, registry, maintenance, bridges, setAside, log, bytesMax });
}

type Parts = {
  readonly host: ConnectionHost;
  readonly journal: Journal;
  readonly bridges: Bridges;
  readonly registry: Registry;
  readonly maintenance: Maintenance;
  readonly setAside: readonly string[];
  readonly log: Log;
  readonly bytesMax: number;
};

function newBridges(
  host: ConnectionHost,
  { metrics, ...parts }: Omit<BridgeHost, "acknowledged"> & { readonly metrics: Metrics },
): Bridges {
  return new Bridges({
    metrics,
    forget: (session) => host.forget(session),
    host: { ...parts, acknowledged: (session, committed) => host.acknowledged(session, committed) },
  });
}

function plainDial(network: Network): DialRemote {
  return (address, { tls, signal }) => {
    if (tls === undefined) return network.dial(address, { signal });
    throw new StatusError("NotImplemented", "this broker was started without a way to speak TLS to a remote");
  };
}

function brokerOf({ host, journal, registry, maintenance, bridges, setAside, log, bytesMax }: Parts): Broker {
  return {
    bridges,
    disconnect: (users) => disconnectUsers(host.peers, users),
    accept: (connection, accepting) => host.accept(connection, accepting),
    listen: (address: Address, listening: ListenOptions = {}) =>
      host.listen(address, listening) as Promise<SecureListening>,
    upgrade: newWebSocketUpgrade({
      accept: (connection, accepting) => host.accept(connection, accepting),
      bytesMax,
      log,
    }),
    dialLocal(user) {
      const [near, far] = newConnectionPair();
      host.accept(far, { trusted: { user }, stamped: true });
      return near;
    },
    health() {
      const faults = [journal.fault, maintenance.fault, registry.retained.fault].filter(
        (fault) => fault !== undefined,
      );
      return { ready: journal.fault === undefined, faults, setAside };
    },
    async [Symbol.asyncDispose]() {
      await bridges[Symbol.asyncDispose]();
      await host[Symbol.asyncDispose]();
      await journal[Symbol.asyncDispose]();
      await registry.retained[Symbol.asyncDispose]();
    },
  };
}
