import type { Clock } from "@cortado/std/clock";
import type { Log } from "@cortado/std/log";
import type { Address, Connection, Listening, Network, SecureNetwork } from "@cortado/std/net";
import type { Random } from "@cortado/std/random";
import {
  reasonCodes,
  type AckPacket,
  type AuthPacket,
  type ConnectPacket,
  type Packet,
  type PublishPacket,
  type SubscribePacket,
} from "@cortado/wire/mqtt";
import { CONNECT_WAIT_MS, SYS_INTERVAL_MS, type BrokerLimits } from "../limits.ts";
import type { Journal } from "../journal/journal.ts";
import type { MessageLog, Row } from "../journal/message-log.ts";
import { jsonRecord, recordKinds } from "../journal/records.ts";
import type { BrokerTime } from "../session/broker-time.ts";
import type { Registry } from "../session/registry.ts";
import type { Session } from "../session/session.ts";
import type { Authenticate, Authorize, MayRead, Redirect } from "./access.ts";
import { Admission, expiryFromS, presenceOf } from "./admission.ts";
import type { VerifierOf } from "./enhanced.ts";
import { Cursors } from "./cursors.ts";
import { Incoming } from "./incoming.ts";
import { levelsOf } from "./levels.ts";
import { Listeners } from "./listeners.ts";
import { Load } from "./load.ts";
import type { Maintenance } from "./maintenance.ts";
import { plainly, type AcceptOptions, type ListenOptions } from "./accept.ts";
import type { Host } from "./host.ts";
import { Peer } from "./peer.ts";
import type { Publishing } from "./publishing.ts";
import { Replays } from "./replays.ts";
import { Shares } from "./shares.ts";
import { Subscribing } from "./subscribing.ts";
import { Sweep } from "./sweep.ts";
import { newTally, sysMessages, type Levels, type Tally } from "./tally.ts";
import type { Turns } from "../turns.ts";
import { delayMsOf, Wills } from "./wills.ts";

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
  readonly mayRead: MayRead | undefined;
  readonly scramVerifierOf: VerifierOf | undefined;
  readonly redirect: Redirect | undefined;
  readonly responseTopics: (clientId: string) => string;
  readonly brokerId: string;
  readonly turns: Turns;
  /** Found at the start and set aside. */
  readonly damagedFiles: number;
};

/** The broker's part that is made of connections: who is there, what they ask, what they are told. */
export class ConnectionHost implements Host<Peer>, AsyncDisposable {
  readonly #options: BrokerOptions;
  readonly peers: Set<Peer> = new Set();
  /** Told their last and not gone yet, with the time when they are cut off. */
  readonly #leaving: Map<Peer, number> = new Map();
  readonly #incoming: Incoming;
  readonly #wills: Wills;
  readonly #shares: Shares;
  #unflushed: Peer[] = [];
  readonly #cursors: Cursors;
  readonly #subscribing: Subscribing;
  readonly #admission: Admission;
  readonly #sweep: Sweep;
  readonly #load: Load;
  #sysAtMs: number;
  readonly #startMs: number;
  readonly #listeners: Listeners;
  #retrySoon = false;
  #closed = false;
  readonly tally: Tally = newTally();
  readonly turns: Turns;

  constructor(options: BrokerOptions) {
    this.#options = options;
    this.turns = options.turns;
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
      acknowledged: (session, committed) => this.acknowledged(session, committed),
      wills: this.#wills,
      shares: this.#shares,
    });
    this.#listeners = new Listeners({
      ...options,
      accept: (connection, accepting) => this.accept(connection, accepting),
      failed: () => void (this.tally.connectionsRefused += 1),
    });
    this.turns = options.turns;
    this.#startMs = clock.monotonicMs();
    this.#sysAtMs = this.#startMs;
    this.#load = new Load(this.#startMs);
    this.#sweep = new Sweep({
      ...options,
      peers: this.peers,
      leaving: this.#leaving,
      expired: (session) => this.#expired(session),
      swept: () => this.#lookAround(),
    });
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

  accept(connection: Connection, options: AcceptOptions = plainly): void {
    const { limits, log } = this.#options;
    if (this.#closed || this.peers.size >= limits.connectionsMax) {
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
    this.peers.add(peer);
    connection.handle(peer);
  }

  listen(address: Address, options: ListenOptions = {}): Promise<Listening> {
    return this.#listeners.listen(address, options);
  }

  unflushed(peer: Peer): void {
    this.#unflushed.push(peer);
    if (this.#unflushed.length > 1) return;
    queueMicrotask(() => {
      const unflushed = this.#unflushed;
      this.#unflushed = [];
      for (const one of unflushed) one.flush();
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

  auth(peer: Peer, packet: AuthPacket): void {
    this.#admission.auth(peer, packet);
  }

  subscribe(peer: Peer, packet: SubscribePacket): void {
    this.#subscribing.subscribe(peer, packet);
  }

  unsubscribe(peer: Peer, packet: { readonly id: number; readonly filters: readonly string[] }): void {
    this.#subscribing.unsubscribe(peer, packet);
  }

  answered(peer: Peer, packet: AckPacket): void {
    const { session } = peer;
    const row = session?.outbox?.answered(packet);
    if (session !== undefined && row !== undefined) this.acknowledged(session, row);
  }

  /** A stored message is done with, for this session. */
  acknowledged(session: Session, { segment, bytes }: Row): void {
    session.dropRow(segment, bytes);
    this.#options.publishing.settle(session, bytes);
    this.#cursors.moved(session);
    this.#roomFreed();
  }

  /** Ends a persistent session for good; resolves when that is durable. */
  forget(session: Session): Promise<void> {
    return new Promise((resolve) => this.#admission.forget(session, resolve));
  }

  detached(peer: Peer, { saidGoodbye }: { readonly saidGoodbye: boolean }): void {
    const { registry, time } = this.#options;
    const { session, keptWill } = peer;
    this.peers.delete(peer);
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
    return levelsOf({
      ...this.#options,
      peers: this.peers,
      tally: this.tally,
      heldClients: this.#incoming.heldClients,
      endingClients: this.#leaving.size,
      load: this.#load.values,
      uptimeS: (this.#options.clock.monotonicMs() - this.#startMs) / 1_000,
    });
  }

  /** Ends every connection (it is we who leave: the next broker publishes their wills), then writes what is still to write. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.#sweep[Symbol.dispose]();
    await this.#listeners[Symbol.asyncDispose]();
    for (const peer of [...this.peers])
      if (peer.terms.level === 5) peer.leave(reasonCodes.serverShuttingDown, "the broker shuts down");
    // A turn for what was said last; whoever has not gone by then is cut off.
    await new Promise<void>((resolve) => void setImmediate(resolve));
    for (const peer of [...this.peers, ...this.#leaving.keys()]) {
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

  #lookAround(): void {
    const nowMs = this.nowMs();
    this.#wills.look();
    if (nowMs - this.#sysAtMs >= SYS_INTERVAL_MS) {
      this.#sysAtMs = nowMs;
      this.#load.update(this.tally, nowMs);
      this.#publishSys();
    }
    // Disk may have come back without any publish to notice it.
    if (this.#incoming.heldClients > 0 || this.#wills.isWaiting) this.retryHeld();
  }

  #expired(session: Session): void {
    this.tally.sessionsExpired += 1;
    this.#wills.ended(session.clientId);
    this.#admission.forget(session, () => {});
  }

  #publishSys(): void {
    const { registry, clock } = this.#options;
    const messages = sysMessages(this.tally, this.levels(), clock.nowMs());
    for (const message of messages)
      for (const [session, grant] of registry.tree.match(message.topic))
        session.outbox?.sendOnce(message, grant);
  }
}
