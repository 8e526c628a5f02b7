import { every, type Clock } from "@cortado/std/clock";
import type { Log } from "@cortado/std/log";
import {
  addressText,
  type Address,
  type Connection,
  type Listening,
  type Network,
  type PeerCertificate,
  type SecureListening,
  type SecureNetwork,
} from "@cortado/std/net";
import type { Random } from "@cortado/std/random";
import { StatusError } from "@cortado/std/status";
import {
  protocolError,
  reasonCodes,
  type AckPacket,
  type AuthPacket,
  type ConnectPacket,
  type Packet,
  type PublishPacket,
  type SubscribePacket,
} from "@cortado/wire/mqtt";
import { CONNECT_WAIT_MS, SWEEP_MS, SYS_INTERVAL_MS, type BrokerLimits } from "../limits.ts";
import type { Journal } from "../journal/journal.ts";
import type { Committed, MessageLog } from "../journal/message-log.ts";
import { jsonRecord, recordKinds } from "../journal/records.ts";
import type { KeptWill } from "../journal/will-record.ts";
import type { BrokerTime } from "../session/broker-time.ts";
import type { Registry } from "../session/registry.ts";
import { NEVER_MS, type Session } from "../session/session.ts";
import type { Authenticate, Authorize, Redirect } from "./access.ts";
import { Admission, expiryFromS, presenceOf } from "./admission.ts";
import { Cursors } from "./cursors.ts";
import { Incoming } from "./incoming.ts";
import { Load } from "./load.ts";
import type { Maintenance } from "./maintenance.ts";
import type { AcceptOptions, ListenOptions } from "./accept.ts";
import { Peer, type Host } from "./peer.ts";
import type { Publishing } from "./publishing.ts";
import { Replays } from "./replays.ts";
import { Shares } from "./shares.ts";
import { Subscribing } from "./subscribing.ts";
import { newTally, sysMessages, type Levels, type Tally } from "./tally.ts";
import type { Turns } from "../turns.ts";
import { Wills } from "./wills.ts";

export type BrokerOptions = {
  readonly limits: BrokerLimits;
  readonly clock: Clock;
  readonly time: BrokerTime;
  readonly random: Random;
  readonly log: Log;
  readonly network: Network;
  readonly secureNetwork: SecureNetwork | undefined;
  readonly registry: Registry;
  readonly journal: Journal;
  readonly messages: MessageLog;
  readonly publishing: Publishing;
  readonly maintenance: Maintenance;
  readonly authenticate: Authenticate | undefined;
  readonly authorize: Authorize | undefined;
  readonly redirect: Redirect | undefined;
  readonly responseTopics: (clientId: string) => string;
  readonly brokerId: string;
  readonly turns: Turns;
  /** Found at the start and set aside. */
  readonly damagedFiles: number;
};

/** The broker's part that is made of connections: who is there, what they ask, what they are told. */
export class ConnectionHost implements Host, AsyncDisposable {
  readonly #options: BrokerOptions;
  readonly #peers: Set<Peer> = new Set();
  /** Told their last and not gone yet, with the time when they are cut off. */
  readonly #leaving: Map<Peer, number> = new Map();
  readonly #incoming: Incoming;
  readonly #wills: Wills;
  readonly #shares: Shares;
  #corked: Peer[] = [];
  readonly #cursors: Cursors;
  readonly #subscribing: Subscribing;
  readonly #admission: Admission;
  readonly #sweep: Disposable;
  readonly #load: Load;
  #sysAtMs: number;
  readonly #startMs: number;
  readonly #listening: Listening[] = [];
  #retrySoon = false;
  #closed = false;
  readonly tally: Tally = newTally();

  constructor(options: BrokerOptions) {
    this.#options = options;
    const { clock, journal, maintenance } = options;
    this.#cursors = new Cursors({ journal, clock });
    const replays = new Replays(options);
    this.#subscribing = new Subscribing({
      ...options,
      replays,
      tally: this.tally,
      levels: () => this.levels(),
    });
    this.#shares = new Shares(options);
    this.#wills = new Wills({
      ...options,
      publish: (publication) => options.publishing.publish(publication).admitted,
      wallMs: () => clock.nowMs(),
      nowMs: () => options.time.nowMs(),
      dropped: () => void (this.tally.willsDropped += 1),
    });
    this.#incoming = new Incoming({
      ...options,
      tally: this.tally,
      full: () => maintenance.look({ urgent: true }),
    });
    this.#admission = new Admission({
      ...options,
      tally: this.tally,
      cursors: this.#cursors,
      refused: (peer, what) => this.refused(peer, what),
      roomFreed: () => this.#roomFreed(),
      acknowledged: (session, committed) => this.#acknowledged(session, committed),
      wills: this.#wills,
      shares: this.#shares,
    });
    this.#startMs = clock.monotonicMs();
    this.#sysAtMs = this.#startMs;
    this.#load = new Load(this.#startMs);
    this.#sweep = every(clock, SWEEP_MS, () => this.#look());
    this.#wills.recover((kept) => delayMsOf(kept, options.registry.byClientId.get(kept.clientId)));
    journal.onGroup = () => this.#cursors.write();
    journal.onCommitted = () => {
      maintenance.afterGroup();
      maintenance.look();
    };
  }

  get brokerId(): string {
    return this.#options.brokerId;
  }

  get turns(): Turns {
    return this.#options.turns;
  }

  get receiveMax(): number {
    return this.#options.limits.receiveMax;
  }

  get topicAliasMax(): number {
    return this.#options.limits.topicAliasMax;
  }

  get packetBytesMax(): number {
    return this.#options.limits.packetBytesMax;
  }

  nowMs(): number {
    return this.#options.clock.monotonicMs();
  }

  accept(connection: Connection, options: AcceptOptions = {}): void {
    const { limits, log } = this.#options;
    if (this.#closed || this.#peers.size >= limits.connectionsMax) {
      this.tally.connectionsRefused += 1;
      log.warn("mqtt connection refused", {
        remote: connection.remote,
        reason: this.#closed ? "closing" : `${limits.connectionsMax} are open`,
      });
      connection.destroy();
      return;
    }
    this.tally.sockets += 1;
    const peer = new Peer(connection, { host: this, options });
    this.#peers.add(peer);
    connection.handle(peer);
  }

  async listen(address: Address, { tls, identity = "username" }: ListenOptions = {}): Promise<Listening> {
    const { network } = this.#options;
    if (tls !== undefined) return this.#listenTls(address, { tls, identity });
    if (identity !== "username")
      throw new StatusError(
        "Invalid",
        `the listener ${addressText(address)} takes names from certificates and has no TLS; give it tls`,
      );
    const listening = await network.listen(address, (connection) => this.accept(connection));
    this.#listening.push(listening);
    return listening;
  }

  async #listenTls(address: Address, { tls, identity }: Required<ListenOptions>): Promise<SecureListening> {
    const { secureNetwork, log } = this.#options;
    if (secureNetwork === undefined)
      throw new StatusError(
        "NotImplemented",
        `no TLS here: the broker was started without a secure network, which ${addressText(address)} needs`,
      );
    if (tls.clientCertificates !== "none" && tls.clientAuthorities === undefined)
      throw new StatusError(
        "Invalid",
        `the TLS listener ${addressText(address)} asks for clients' certificates and names no authorities that sign them`,
      );
    const listening = await secureNetwork.listenTls(address, tls, {
      accept: (connection, certificate) =>
        this.accept(connection, {
          ...(certificate === undefined ? {} : { certificate }),
          ...(identity === "username" ? {} : { identity: { user: nameIn(certificate, identity) } }),
        }),
      failed: (reason, remote) => {
        this.tally.connectionsRefused += 1;
        log.warn("mqtt TLS handshake failed", { remote, reason });
      },
    });
    this.#listening.push(listening);
    return listening;
  }

  corked(peer: Peer): void {
    this.#corked.push(peer);
    if (this.#corked.length > 1) return;
    queueMicrotask(() => {
      const corked = this.#corked;
      this.#corked = [];
      for (const one of corked) one.uncork();
    });
  }

  received(packet: Packet): void {
    this.tally.messagesReceived += 1;
    if (packet.type === "publish") {
      this.tally.publishReceived += 1;
      this.tally.publishBytesReceived += packet.payload.byteLength;
    } else if (packet.type === "connect") this.tally.connections += 1;
  }

  connect(peer: Peer, packet: ConnectPacket): void {
    this.#admission.connect(peer, packet);
  }

  publish(peer: Peer, packet: PublishPacket): boolean {
    return this.#incoming.publish(peer, packet);
  }

  release(peer: Peer, packetId: number): void {
    this.#incoming.release(peer, packetId);
  }

  auth(peer: Peer, { properties }: AuthPacket): void {
    if (peer.authenticationMethod === undefined)
      throw protocolError("AUTH without an authentication method in CONNECT (MQTT 5, section 4.12)");
    peer.fail(`authentication method ${properties?.authenticationMethod} is not the one of CONNECT`, {
      protocolFault: true,
      code: reasonCodes.badAuthenticationMethod,
    });
  }

  subscribe(peer: Peer, packet: SubscribePacket): void {
    this.#subscribing.subscribe(peer, packet);
  }

  unsubscribe(peer: Peer, packet: { readonly id: number; readonly filters: readonly string[] }): void {
    this.#subscribing.unsubscribe(peer, packet);
  }

  answered(peer: Peer, packet: AckPacket): void {
    const { session } = peer;
    const committed = session?.outbox?.answered(packet)?.committed;
    if (session !== undefined && committed !== undefined) this.#acknowledged(session, committed);
  }

  #acknowledged(session: Session, { segment, bytes }: Committed): void {
    session.dropRow(segment, bytes);
    this.#options.publishing.settle(session, bytes);
    this.#cursors.moved(session);
    this.#roomFreed();
  }

  detached(peer: Peer, { saidGoodbye }: { readonly saidGoodbye: boolean }): void {
    const { registry, time } = this.#options;
    const { session, keptWill } = peer;
    this.#peers.delete(peer);
    this.#admission.left(peer);
    this.#incoming.forget(peer);
    this.#leaving.set(peer, this.nowMs() + CONNECT_WAIT_MS);
    peer.session = undefined;
    if (session === undefined) {
      if (keptWill !== undefined && !this.#closed) this.#wills.forget(keptWill); // it was never let in
      return;
    }
    const left = session.outbox?.close() ?? [];
    session.outbox = undefined;
    session.leftMs = time.nowMs();
    if (peer.terms.level === 5 && session.persistent) session.expiryMs = expiryFromS(peer.expiryS);
    if (keptWill !== undefined && saidGoodbye) this.#wills.forget(keptWill);
    if (this.#closed) {
      if (session.persistent) this.#notePresence(session);
      return; // the next broker publishes the wills
    }
    if (keptWill !== undefined && !saidGoodbye) this.#wills.delay(keptWill, delayMsOf(keptWill, session));
    if (!session.persistent) {
      registry.remove(session, () => undefined);
      this.#shares.handOver(left);
    } else if (session.expiryMs === 0) this.#admission.forget(session, () => {});
    else this.#notePresence(session);
  }

  #notePresence(session: Session): void {
    const { journal, time } = this.#options;
    journal.add({
      record: jsonRecord(
        recordKinds.presence,
        presenceOf(session, { leftMs: session.leftMs, time: time.pair() }),
      ),
      committed() {},
    });
  }

  gone(peer: Peer): void {
    this.#leaving.delete(peer);
  }

  refused(
    peer: Peer,
    { reason, protocolFault }: { readonly reason: string; readonly protocolFault: boolean },
  ): void {
    if (protocolFault) this.tally.protocolFaults += 1;
    else this.tally.connectionsRefused += 1;
    this.#options.log.warn("mqtt client disconnected", {
      client: peer.clientId,
      user: peer.user,
      remote: peer.connection.remote,
      reason,
    });
  }

  levels(): Levels {
    const { registry, journal, publishing, damagedFiles } = this.#options;
    const { tally } = this;
    let connected = 0;
    let inflight = 0;
    for (const { phase, session } of this.#peers) {
      if (phase !== "open") continue;
      connected += 1;
      inflight += session?.outbox?.inflight ?? 0;
    }
    let offline = 0;
    for (const { outbox } of registry.byNumber.values()) if (outbox === undefined) offline += 1;
    const { heapUsed } = process.memoryUsage();
    tally.clientsMaximum = Math.max(tally.clientsMaximum, connected);
    tally.heapMaximum = Math.max(tally.heapMaximum, heapUsed);
    return {
      clientsConnected: connected,
      clientsTotal: connected + offline,
      subscriptions: registry.subscriptions,
      sharedSubscriptions: registry.sharedSubscriptions,
      retained: registry.retained.items,
      retainedBytes: registry.retained.bytes,
      inflight,
      wills: registry.wills.size,
      damagedFiles,
      heapBytes: heapUsed,
      load: this.#load.values,
      queuedItems: publishing.queuedItems,
      queuedBytes: publishing.queuedBytes,
      journalBytes: journal.bytes,
      journalWrittenBytes: journal.writtenBytes,
      heldClients: this.#incoming.heldClients,
      uptimeS: (this.#options.clock.monotonicMs() - this.#startMs) / 1_000,
      writable: journal.fault === undefined,
    };
  }

  /** Ends every connection (it is we who leave: the next broker publishes their wills), then writes what is still to write. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.#sweep[Symbol.dispose]();
    for (const listening of this.#listening) await listening[Symbol.asyncDispose]();
    for (const peer of [...this.#peers])
      if (peer.terms.level === 5) peer.leave(reasonCodes.serverShuttingDown, "the broker shuts down");
    // A turn for what was said last; whoever has not gone by then is cut off.
    await new Promise<void>((resolve) => void setImmediate(resolve));
    for (const peer of [...this.#peers, ...this.#leaving.keys()]) {
      peer.connection.destroy();
      peer.closed();
    }
    this.#cursors[Symbol.dispose]();
    await this.#options.maintenance.settled();
  }

  #roomFreed(): void {
    if (this.#retrySoon || (this.#incoming.heldClients === 0 && !this.#wills.isWaiting)) return;
    this.#retrySoon = true;
    setImmediate(() => {
      this.#retrySoon = false;
      if (!this.#closed) this.retryHeld();
    });
  }

  /** Room was freed: whoever was held tries again, wills first. */
  retryHeld(): void {
    this.#wills.retry();
    this.#incoming.retryHeld();
  }

  #look(): void {
    const nowMs = this.nowMs();
    for (const peer of [...this.#peers]) {
      if (peer.phase === "new" && nowMs - peer.lastSeenMs > CONNECT_WAIT_MS)
        peer.fail(`no CONNECT within ${CONNECT_WAIT_MS} ms`);
      else if (peer.phase === "open" && peer.isSilent(nowMs))
        peer.fail("silent for longer than its keep-alive", { code: reasonCodes.keepAliveTimeout });
    }
    for (const [peer, atMs] of this.#leaving) if (nowMs > atMs) peer.connection.destroy();
    this.#expireSessions();
    this.#wills.look();
    if (nowMs - this.#sysAtMs >= SYS_INTERVAL_MS) {
      this.#sysAtMs = nowMs;
      this.#load.update(this.tally, nowMs);
      this.#publishSys();
    }
    // Disk may have come back without any publish to notice it.
    if (this.#incoming.heldClients > 0 || this.#wills.isWaiting) this.retryHeld();
  }

  #expireSessions(): void {
    const { registry, limits, log, time } = this.#options;
    const nowMs = time.nowMs();
    for (const session of registry.byNumber.values()) {
      const expiryMs = session.expiryMs ?? limits.sessionExpiryMs;
      if (session.outbox !== undefined || nowMs - session.leftMs < expiryMs) continue;
      log.warn("mqtt session expired: nobody came back to it", {
        client: session.clientId,
        queued: session.items,
      });
      this.tally.sessionsExpired += 1;
      session.leftMs = nowMs; // once
      this.#wills.ended(session.clientId);
      this.#admission.forget(session, () => {});
    }
  }

  #publishSys(): void {
    const { registry, clock } = this.#options;
    const messages = sysMessages(this.tally, this.levels(), clock.nowMs());
    for (const message of messages)
      for (const [session, grant] of registry.tree.match(message.topic))
        session.outbox?.sendOnce(message, grant);
  }
}

/** The name in a certificate; an empty one, or one with a NUL, names nobody. */
function nameIn(
  certificate: PeerCertificate | undefined,
  identity: "common-name" | "subject",
): string | undefined {
  const name = identity === "subject" ? certificate?.subject : certificate?.commonName;
  return name === undefined || name === "" || name.includes("\0") ? undefined : name;
}

/** How long a will waits for its client: not longer than the session (MQTT-3.1.3-9). */
function delayMsOf({ will }: KeptWill, session: Session | undefined): number {
  const delayMs = (will.properties?.willDelayIntervalS ?? 0) * 1_000;
  return session === undefined ? 0 : Math.min(delayMs, session.expiryMs ?? NEVER_MS);
}
