import { every, type Clock } from "@cortado/std/clock";
import type { Log } from "@cortado/std/log";
import type { Connection, Listening, Network, Address } from "@cortado/std/net";
import type { Random } from "@cortado/std/random";
import {
  encodePacket,
  type ConnectPacket,
  type Packet,
  type PublishPacket,
  type SubscribePacket,
  type Will,
} from "@cortado/wire/mqtt";
import { CONNECT_WAIT_MS, HELD_WILLS_MAX, SWEEP_MS, SYS_INTERVAL_MS, type BrokerLimits } from "../limits.ts";
import type { Journal } from "../journal/journal.ts";
import type { MessageLog } from "../journal/message-log.ts";
import { jsonRecord, recordKinds } from "../journal/records.ts";
import type { Registry } from "../session/registry.ts";
import type { Authenticate, Authorize } from "./access.ts";
import { Admission } from "./admission.ts";
import { Cursors } from "./cursors.ts";
import type { Maintenance } from "./maintenance.ts";
import { Peer, type AcceptOptions, type Host } from "./peer.ts";
import type { Publishing } from "./publishing.ts";
import { Subscribing } from "./subscribing.ts";
import { newTally, sysMessages, type Levels, type Tally } from "./tally.ts";

export type BrokerOptions = {
  readonly limits: BrokerLimits;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly network: Network;
  readonly registry: Registry;
  readonly journal: Journal;
  readonly messages: MessageLog;
  readonly publishing: Publishing;
  readonly maintenance: Maintenance;
  readonly authenticate: Authenticate | undefined;
  readonly authorize: Authorize | undefined;
  readonly brokerId: string;
};

/** The broker's part that is made of connections: who is there, what they ask, what they are told. */
export class ConnectionHost implements Host, AsyncDisposable {
  readonly #options: BrokerOptions;
  readonly #peers: Set<Peer> = new Set();
  /** Told their last and not gone yet, with the time when they are cut off. */
  readonly #leaving: Map<Peer, number> = new Map();
  readonly #held: Set<Peer> = new Set();
  readonly #heldWills: { readonly peer: Peer; readonly will: Will }[] = [];
  #corked: Peer[] = [];
  readonly #cursors: Cursors;
  readonly #subscribing: Subscribing;
  readonly #admission: Admission;
  readonly #sweep: Disposable;
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
    this.#subscribing = new Subscribing({ ...options, tally: this.tally, levels: () => this.levels() });
    this.#admission = new Admission({
      ...options,
      tally: this.tally,
      cursors: this.#cursors,
      peers: this.#peers,
      refused: (peer, what) => this.refused(peer, what),
      roomFreed: () => this.#roomFreed(),
    });
    this.#startMs = clock.monotonicMs();
    this.#sysAtMs = this.#startMs;
    this.#sweep = every(clock, SWEEP_MS, () => this.#look());
    journal.onGroup = () => this.#cursors.write();
    journal.onCommitted = () => {
      maintenance.afterGroup();
      maintenance.look();
    };
  }

  get brokerId(): string {
    return this.#options.brokerId;
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
    const peer = new Peer(connection, { host: this, options });
    this.#peers.add(peer);
    connection.handle(peer);
  }

  async listen(address: Address): Promise<Listening> {
    const listening = await this.#options.network.listen(address, (connection) => this.accept(connection));
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
    if (packet.type === "publish") this.tally.publishReceived += 1;
  }

  connect(peer: Peer, packet: ConnectPacket): void {
    this.#admission.connect(peer, packet);
  }

  publish(peer: Peer, packet: PublishPacket): boolean {
    const { clock, publishing, log } = this.#options;
    const { session } = peer;
    if (session === undefined) return true;
    const { topic, payload, qos, retain, id } = packet;
    if (!this.#mayPublish(peer, topic)) return true;
    if (qos === 2 && session.receiving.has(id)) {
      // Sent again as our PUBREC got lost; it must not count twice. It may still be on its way to disk: answer behind it.
      this.#options.journal.add({ committed: () => peer.send(encodePacket({ type: "pubrec", id })) });
      return true;
    }
    let size = 0;
    let isCommitted = false;
    const admission = publishing.publish({
      topic,
      payload,
      qos,
      retain,
      atMs: clock.nowMs(),
      ...(qos === 2 && session.persistent ? { origin: { session: session.number, packetId: id } } : {}),
      committed: () => {
        isCommitted = true;
        if (qos > 0) peer.send(encodePacket({ type: qos === 1 ? "puback" : "pubrec", id }));
        if (size > 0) peer.publishCommitted(size);
      },
    });
    if (!admission.admitted) {
      if (!this.#held.has(peer))
        log.warn("mqtt publisher held: a quota is full", {
          client: peer.clientId,
          topic,
          full: admission.full,
        });
      this.#held.add(peer);
      this.tally.publishHeld += 1;
      this.#options.maintenance.look({ urgent: true });
      return false;
    }
    if (qos === 2) session.receiving.add(id);
    if (!isCommitted && admission.bytes > 0) {
      size = admission.bytes;
      peer.publishAdmitted(size);
    }
    return true;
  }

  #mayPublish(peer: Peer, topic: string): boolean {
    const { authorize } = this.#options;
    if (topic.startsWith("$SYS/") || topic === "$SYS") {
      peer.fail(`${topic} is the broker's own; publish under another name`);
      return false;
    }
    if (peer.trusted !== undefined || authorize === undefined) return true;
    if (authorize({ user: peer.user, clientId: peer.clientId, action: "publish", topic })) return true;
    peer.fail(`user ${peer.user} may not publish to ${topic}`); // 3.1.1 has no other way to say no
    return false;
  }

  publishWill(peer: Peer, will: Will): void {
    if (this.#closed) return;
    const admission = this.#options.publishing.publish({
      ...will,
      atMs: this.#options.clock.nowMs(),
      committed() {},
    });
    if (admission.admitted) return;
    if (this.#heldWills.length >= HELD_WILLS_MAX) {
      this.#heldWills.shift();
      this.tally.willsDropped += 1;
    }
    this.#heldWills.push({ peer, will });
  }

  release(peer: Peer, packetId: number): void {
    const { session } = peer;
    const nod = (): void => {
      session?.receiving.delete(packetId);
      peer.send(encodePacket({ type: "pubcomp", id: packetId }));
    };
    if (session?.persistent !== true || !session.receiving.has(packetId)) nod();
    else
      this.#options.journal.add({
        record: jsonRecord(recordKinds.released, { session: session.number, packetId }),
        committed: nod,
      });
  }

  subscribe(peer: Peer, packet: SubscribePacket): void {
    this.#subscribing.subscribe(peer, packet);
  }

  unsubscribe(peer: Peer, packet: { readonly id: number; readonly filters: readonly string[] }): void {
    this.#subscribing.unsubscribe(peer, packet);
  }

  acknowledged(peer: Peer, packetId: number): void {
    const { publishing } = this.#options;
    const { session } = peer;
    const committed = session?.outbox?.acknowledge(packetId)?.committed;
    if (session === undefined || committed === undefined) return;
    session.dropRow(committed.segment, committed.bytes);
    publishing.settle(session, committed.bytes);
    this.#cursors.moved(session);
    this.#roomFreed();
  }

  detached(peer: Peer): void {
    const { registry, clock } = this.#options;
    const { session } = peer;
    this.#peers.delete(peer);
    this.#held.delete(peer);
    this.#leaving.set(peer, this.nowMs() + CONNECT_WAIT_MS);
    peer.session = undefined;
    if (session === undefined) return;
    session.outbox?.close();
    session.outbox = undefined;
    session.offlineSinceMs = clock.monotonicMs();
    if (!session.persistent) registry.remove(session, () => undefined);
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
    const { registry, journal, publishing } = this.#options;
    const connected = [...this.#peers].filter(({ phase }) => phase === "open").length;
    const offline = [...registry.byNumber.values()].filter(({ outbox }) => outbox === undefined).length;
    return {
      clientsConnected: connected,
      clientsTotal: connected + offline,
      subscriptions: registry.tree.size,
      retained: registry.retained.items,
      queuedItems: publishing.queuedItems,
      queuedBytes: publishing.queuedBytes,
      journalBytes: journal.bytes,
      journalWrittenBytes: journal.writtenBytes,
      heldClients: this.#held.size,
      uptimeS: (this.#options.clock.monotonicMs() - this.#startMs) / 1_000,
      writable: journal.fault === undefined,
    };
  }

  /** Ends every connection (their wills are not published: it is we who leave), then writes what is still to write. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.#sweep[Symbol.dispose]();
    for (const listening of this.#listening) await listening[Symbol.asyncDispose]();
    for (const peer of [...this.#peers, ...this.#leaving.keys()]) {
      peer.connection.destroy();
      peer.closed();
    }
    this.#cursors[Symbol.dispose]();
    await this.#options.maintenance.settled();
  }

  #roomFreed(): void {
    if (this.#retrySoon || (this.#held.size === 0 && this.#heldWills.length === 0)) return;
    this.#retrySoon = true;
    setImmediate(() => {
      this.#retrySoon = false;
      if (!this.#closed) this.retryHeld();
    });
  }

  /** Room was freed: whoever was held tries again, wills first. */
  retryHeld(): void {
    for (const { peer, will } of this.#heldWills.splice(0)) this.publishWill(peer, will);
    for (const peer of [...this.#held]) {
      peer.retryHeld();
      if (!peer.isHeld) this.#held.delete(peer);
    }
  }

  #look(): void {
    const nowMs = this.nowMs();
    for (const peer of [...this.#peers]) {
      if (peer.phase === "new" && nowMs - peer.lastSeenMs > CONNECT_WAIT_MS)
        peer.fail(`no CONNECT within ${CONNECT_WAIT_MS} ms`);
      else if (peer.phase === "open" && peer.isSilent(nowMs))
        peer.fail("silent for longer than its keep-alive");
    }
    for (const [peer, atMs] of this.#leaving) if (nowMs > atMs) peer.connection.destroy();
    this.#expireSessions(nowMs);
    if (nowMs - this.#sysAtMs >= SYS_INTERVAL_MS) {
      this.#sysAtMs = nowMs;
      this.#publishSys();
    }
    // Disk may have come back without any publish to notice it.
    if (this.#held.size > 0 || this.#heldWills.length > 0) this.retryHeld();
  }

  #expireSessions(nowMs: number): void {
    const { registry, limits, log } = this.#options;
    for (const session of registry.byNumber.values()) {
      if (session.outbox !== undefined || nowMs - session.offlineSinceMs <= limits.sessionExpiryMs) continue;
      log.warn("mqtt session expired: nobody came back to it", {
        client: session.clientId,
        queued: session.items,
      });
      session.offlineSinceMs = nowMs; // once
      this.#admission.forget(session, () => {});
    }
  }

  #publishSys(): void {
    const { registry, clock } = this.#options;
    const messages = sysMessages(this.tally, this.levels(), clock.nowMs());
    for (const message of messages)
      for (const [session] of registry.tree.match(message.topic)) session.outbox?.sendOnce(message);
  }
}
