import type { Connection, ConnectionEvents } from "@cortado/std/net";
import { messageOf } from "@cortado/std/status";
import {
  connackCodes,
  connectHead,
  decodeFrame,
  encodePacket,
  FrameReader,
  type ConnectPacket,
  type Level,
  type Packet,
  type PublishPacket,
  type SubscribePacket,
  type Will,
} from "@cortado/wire/mqtt";
import {
  CONNECT_BYTES_MAX,
  HELD_ITEMS_MAX,
  KEEP_ALIVE_FACTOR,
  UNCOMMITTED_BYTES_MAX,
  UNCOMMITTED_ITEMS_MAX,
} from "../limits.ts";
import type { Sink } from "../session/outbox.ts";
import type { Session } from "../session/session.ts";

/** Who a connection is, when its maker says so instead of its CONNECT. */
export type Trust = { readonly user: string };

export type AcceptOptions = {
  /** The connection needs no credentials and is this user: for in-process clients. */
  readonly trusted?: Trust;
  /** Each payload it gets is preceded by the broker's id, the message's sequence and its time (see `client/stamp.ts`). */
  readonly stamped?: boolean;
};

/** What a connection asks of the broker. */
export interface Host {
  readonly packetBytesMax: number;
  readonly brokerId: string;
  nowMs(): number;
  corked(peer: Peer): void;
  received(packet: Packet): void;
  connect(peer: Peer, packet: ConnectPacket): void;
  /** False when a quota is full: the peer keeps the packet and is told by `retryHeld` when to try again. */
  publish(peer: Peer, packet: PublishPacket): boolean;
  publishWill(peer: Peer, will: Will): void;
  release(peer: Peer, packetId: number): void;
  subscribe(peer: Peer, packet: SubscribePacket): void;
  unsubscribe(peer: Peer, packet: { readonly id: number; readonly filters: readonly string[] }): void;
  acknowledged(peer: Peer, packetId: number): void;
  /** It takes part no more; its socket may still be sending what it was told last. */
  detached(peer: Peer): void;
  gone(peer: Peer): void;
  refused(peer: Peer, what: { readonly reason: string; readonly protocolFault: boolean }): void;
}

type Phase = "new" | "connecting" | "open" | "closed";

/**
 * One connection: frames in, answers out. It stops reading its socket while the broker has more of it in hand than it may, which
 * is all the flow control that MQTT 3.1.1 has.
 */
export class Peer implements ConnectionEvents, Sink {
  readonly connection: Connection;
  readonly trusted: Trust | undefined;
  readonly stamp: string | undefined;
  readonly #host: Host;
  readonly #reader: FrameReader;
  #phase: Phase = "new";
  #held: PublishPacket[] | undefined;
  #uncommittedItems = 0;
  #uncommittedBytes = 0;
  #paused = false;
  #corked = false;
  #busy = false;
  #will: Will | undefined;
  #keepAliveMs = 0;
  lastSeenMs: number;
  clientId = "";
  user = "";
  session: Session | undefined;

  constructor(
    connection: Connection,
    { host, options }: { readonly host: Host; readonly options: AcceptOptions },
  ) {
    this.connection = connection;
    this.trusted = options.trusted;
    this.stamp = options.stamped === true ? host.brokerId : undefined;
    this.#host = host;
    this.lastSeenMs = host.nowMs();
    this.#reader = new FrameReader({
      frameBytesMax: () => (this.#phase === "new" ? CONNECT_BYTES_MAX : host.packetBytesMax),
    });
  }

  get phase(): Phase {
    return this.#phase;
  }

  get bufferedBytes(): number {
    return this.connection.bufferedBytes;
  }

  get isHeld(): boolean {
    return this.#held !== undefined;
  }

  data(bytes: Uint8Array): void {
    this.lastSeenMs = this.#host.nowMs();
    this.#reader.push(bytes);
    this.#run();
  }

  drained(): void {
    this.session?.outbox?.wake();
  }

  closed(): void {
    if (this.#phase === "closed") {
      this.#host.gone(this);
      return;
    }
    this.#phase = "closed";
    this.#held = undefined;
    this.#host.detached(this);
    const will = this.#will;
    this.#will = undefined;
    if (will !== undefined) this.#host.publishWill(this, will);
  }

  send(frame: Uint8Array): void {
    if (this.#phase === "closed") return;
    if (!this.#corked) {
      this.#corked = true;
      this.connection.cork();
      this.#host.corked(this);
    }
    this.connection.write(frame);
  }

  uncork(): void {
    this.#corked = false;
    this.connection.uncork();
  }

  /** Ends a connection that did, or is, what it must not; its will is published. */
  fail(reason: string, protocolFault = false): void {
    if (this.#phase === "closed") return;
    this.#host.refused(this, { reason, protocolFault });
    this.connection.destroy();
    this.closed();
  }

  /** Answers a CONNECT that is not accepted, and ends the connection. */
  refuse(code: number): void {
    this.#will = undefined;
    this.connection.write(encodePacket({ type: "connack", sessionPresent: false, code }));
    this.connection.end();
    this.closed();
  }

  accepted(session: Session, { present, level }: { readonly present: boolean; readonly level: Level }): void {
    this.session = session;
    this.#phase = "open";
    // MQTT 3.1 knows no session-present flag: the bit is reserved there.
    this.send(
      encodePacket({ type: "connack", sessionPresent: present && level === 4, code: connackCodes.accepted }),
    );
  }

  /** Goes on with what had to wait for the broker. */
  proceed(): void {
    this.#run();
  }

  /** A publish has gone to the journal; until `publishCommitted` it counts against this connection. */
  publishAdmitted(bytes: number): void {
    this.#uncommittedItems += 1;
    this.#uncommittedBytes += bytes;
  }

  publishCommitted(bytes: number): void {
    this.#uncommittedItems -= 1;
    this.#uncommittedBytes -= bytes;
    if (this.#paused) this.#run();
  }

  /** Room was freed: tries again what a full quota kept back. */
  retryHeld(): void {
    const held = this.#held;
    if (held === undefined || this.#phase !== "open") return;
    while (held[0] !== undefined && this.#host.publish(this, held[0])) held.shift();
    if (held.length === 0) this.#held = undefined;
    this.lastSeenMs = this.#host.nowMs(); // it could not be heard while it was held
    this.#run();
  }

  /** True when the client has been silent for longer than it said it would be. */
  isSilent(nowMs: number): boolean {
    if (this.#paused || this.#held !== undefined || this.#keepAliveMs === 0) return false;
    return nowMs - this.lastSeenMs > this.#keepAliveMs * KEEP_ALIVE_FACTOR;
  }

  #run(): void {
    if (this.#busy) return; // a packet's handling came back to us
    this.#busy = true;
    try {
      while (!this.#isStalled()) {
        const frame = this.#reader.next();
        if (frame === undefined) break;
        this.#handleFrame(frame);
      }
    } catch (error) {
      this.fail(messageOf(error), true);
    }
    this.#busy = false;
    this.#setPaused(this.#isStalled());
  }

  #isStalled(): boolean {
    return (
      this.#phase === "connecting" ||
      this.#phase === "closed" ||
      this.#uncommittedItems >= UNCOMMITTED_ITEMS_MAX ||
      this.#uncommittedBytes >= UNCOMMITTED_BYTES_MAX ||
      (this.#held?.length ?? 0) >= HELD_ITEMS_MAX
    );
  }

  #setPaused(paused: boolean): void {
    if (paused === this.#paused || this.#phase === "closed") return;
    this.#paused = paused;
    if (paused) this.connection.pause();
    else {
      this.lastSeenMs = this.#host.nowMs();
      this.connection.resume();
    }
  }

  #handleFrame(frame: Uint8Array): void {
    if (this.#phase === "new") this.#handleFirst(frame);
    else this.#handle(decodeFrame(frame));
  }

  #handleFirst(frame: Uint8Array): void {
    if ((frame[0] ?? 0) >> 4 !== 1) {
      this.fail("the first packet is no CONNECT (MQTT-3.1.0-1)", true);
      return;
    }
    const { protocol, level } = connectHead(frame);
    const known = (protocol === "MQTT" && level === 4) || (protocol === "MQIsdp" && level === 3);
    if (!known && (protocol === "MQTT" || protocol === "MQIsdp")) {
      const later = level === 5 ? "; MQTT 5 comes with a later release, use 3.1.1" : "";
      this.#host.refused(this, {
        reason: `${protocol} level ${level} is not spoken here${later}`,
        protocolFault: false,
      });
      this.refuse(connackCodes.unacceptableProtocol);
      return;
    }
    const packet = decodeFrame(frame);
    if (packet.type !== "connect") return;
    this.#host.received(packet);
    this.#phase = "connecting";
    this.clientId = packet.clientId;
    this.#keepAliveMs = packet.keepAliveS * 1_000;
    this.#will = packet.will;
    this.#host.connect(this, packet);
  }

  #handle(packet: Packet): void {
    this.#host.received(packet);
    switch (packet.type) {
      case "publish":
        this.#publish(packet);
        return;
      case "puback":
        this.#host.acknowledged(this, packet.id);
        return;
      case "pubrel":
        this.#host.release(this, packet.id);
        return;
      case "subscribe":
        this.#host.subscribe(this, packet);
        return;
      case "unsubscribe":
        this.#host.unsubscribe(this, packet);
        return;
      case "pingreq":
        this.send(encodePacket({ type: "pingresp" }));
        return;
      case "disconnect":
        this.#will = undefined;
        this.connection.end();
        this.closed();
        return;
      case "connect":
        this.fail("a second CONNECT (MQTT-3.1.0-2)", true);
        return;
      case "pubrec":
      case "pubcomp":
        return; // answers to a QoS 2 delivery, which this broker never makes
      default:
        this.fail(`${packet.type.toUpperCase()} comes from a server only`, true);
    }
  }

  #publish(packet: PublishPacket): void {
    // Behind a held one all wait, or they would overtake it.
    if (this.#held === undefined && this.#host.publish(this, packet)) return;
    if (this.#phase === "closed") return;
    (this.#held ??= []).push({ ...packet, payload: new Uint8Array(packet.payload) });
  }
}
