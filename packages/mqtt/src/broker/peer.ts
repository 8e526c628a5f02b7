import type { Connection, ConnectionEvents } from "@cortado/std/net";
import { messageOf } from "@cortado/std/status";
import {
  connackCodes,
  connectHead,
  decodeFrame,
  encodePacket,
  faultCode,
  FrameReader,
  protocolError,
  reasonCodes,
  type DisconnectPacket,
  type Level,
  type Packet,
  type Properties,
  type PublishPacket,
  type Will,
} from "@cortado/wire/mqtt";
import { CONNECT_BYTES_MAX, HELD_ITEMS_MAX, KEEP_ALIVE_FACTOR } from "../limits.ts";
import type { AcceptOptions, Failing, Refusing, Trust } from "./accept.ts";
import { Frames } from "../session/frames.ts";
import type { Host, Phase } from "./host.ts";
import { Inbound } from "./inbound.ts";
import {
  answerPacket,
  connackCodeOf,
  encodeReply,
  expiryAfter,
  oldTerms,
  termsOf,
  versionFault,
  type PublishAnswer,
} from "./terms.ts";
import { Uncommitted } from "./uncommitted.ts";
import type { KeptWill } from "../journal/will-record.ts";
import type { ClientTerms } from "../session/framing.ts";
import type { Sink } from "../session/outbox.ts";
import type { Session } from "../session/session.ts";

/**
 * One connection: frames in, answers out. It stops reading its socket while the broker has more of it in hand than it may, which
 * is all the flow control that MQTT 3.1.1 has.
 */
export class Peer implements ConnectionEvents, Sink {
  readonly connection: Connection;
  readonly trusted: Trust | undefined;
  /** What is known of it by the way it came. */
  readonly came: AcceptOptions;
  readonly stamp: string | undefined;
  readonly #host: Host<Peer>;
  readonly #reader: FrameReader = new FrameReader({ frameBytesMax: CONNECT_BYTES_MAX });
  #phase: Phase = "new";
  #held: PublishPacket[] | undefined;
  readonly #uncommitted: Uncommitted = new Uncommitted();
  #paused = false;
  /** Undefined while none wait, which for most is nearly always. */
  #frames: Frames | undefined;
  #busy = false;
  /** Its bytes wait for a turn of the loop that has time for them. */
  #isQueued = false;
  #saidGoodbye = false;
  /** Until it is on disk; then `keptWill` is it. */
  will: Will | undefined;
  keptWill: KeptWill | undefined;
  keepAliveMs = 0;
  /** For MQTT 5 only. */
  #inbound: Inbound | undefined;
  /** False when it does not want to be told why (request problem information). */
  #wantsReasons = true;
  lastSeenMs: number;
  terms: ClientTerms = oldTerms;
  /** What it said of its session's expiry, in seconds. */
  expiryS = 0;
  authenticationMethod: string | undefined;
  /** Who it has shown to be by enhanced authentication, and what CONNACK says of that. */
  shown: { readonly user: string; readonly properties: Properties } | undefined;
  clientId = "";
  user = "";
  session: Session | undefined;

  constructor(
    connection: Connection,
    { host, options }: { readonly host: Host<Peer>; readonly options: AcceptOptions },
  ) {
    this.connection = connection;
    this.trusted = options.trusted;
    this.came = options;
    this.stamp = options.stamped === true ? host.brokerId : undefined;
    this.#host = host;
    this.lastSeenMs = host.nowMs();
  }

  get phase(): Phase {
    return this.#phase;
  }

  get bufferedBytes(): number {
    return this.connection.bufferedBytes + (this.#frames?.bytes ?? 0);
  }

  get isHeld(): boolean {
    return this.#held !== undefined;
  }

  data(bytes: Uint8Array): void {
    if (this.#phase === "closed") return;
    this.lastSeenMs = this.#host.nowMs();
    this.#host.tally.bytesReceived += bytes.byteLength;
    this.#reader.push(bytes);
    if (this.#isQueued) return;
    if (!this.#host.turns.isOver) return this.#run();
    this.#isQueued = true;
    // What it sends meanwhile stays in the kernel.
    this.#setPaused(true);
    this.#host.turns.later(() => {
      this.#isQueued = false;
      this.#run();
    });
  }

  drained(): void {
    this.session?.outbox?.wake();
  }

  /** The socket is gone; what it said before that counts. */
  closed(): void {
    if (this.#isQueued) this.#run();
    this.#detach();
    this.#host.gone(this);
  }

  /** It takes part no more, though its socket may be there a while. */
  #detach(): void {
    if (this.#phase === "closed") return;
    this.#phase = "closed";
    this.#held = undefined;
    this.will = undefined;
    this.#host.detached(this, { saidGoodbye: this.#saidGoodbye });
  }

  send(frame: Uint8Array): void {
    if (this.#phase !== "closed") this.#framesFor(frame.byteLength).add(frame);
  }

  sendPublish(frame: Uint8Array, options: { readonly id: number; readonly dup: boolean }): void {
    if (this.#phase !== "closed") this.#framesFor(frame.byteLength).addPublish(frame, options);
  }

  /** Where what is sent in this turn is put. */
  #framesFor(bytes: number): Frames {
    const host = this.#host;
    if (this.#frames === undefined) host.unflushed(this);
    host.tally.messagesSent += 1;
    host.tally.bytesSent += bytes;
    return (this.#frames ??= new Frames());
  }

  flush(): void {
    const frames = this.#frames;
    this.#frames = undefined;
    frames?.writeTo(this.connection);
  }

  /** Sends a packet in the client's version; properties that it does not want, or that are too long for it, are left out. */
  reply(packet: Packet): void {
    this.send(encodeReply(packet, { terms: this.terms, wantsReasons: this.#wantsReasons }));
  }

  /** The answer to a publish; its id is free again unless a QoS 2 exchange goes on. */
  answer(answer: PublishAnswer): void {
    if (answer.qos === 1 || (answer.code ?? 0) >= 0x80) this.#inbound?.answered(answer.id);
    if (this.terms.level === 5) this.reply(answerPacket(answer));
    else if (this.#phase !== "closed") this.#framesFor(4).addAck(answer.qos === 1 ? 0x40 : 0x50, answer.id);
  }

  completed(id: number, code = 0): void {
    this.#inbound?.answered(id);
    this.send(encodePacket({ type: "pubcomp", id, code }, this.terms.level));
  }

  /** Ends a connection that did, or is, what it must not; its will is published. */
  fail(reason: string, { protocolFault = false, code = reasonCodes.unspecified }: Failing = {}): void {
    if (this.#phase === "closed") return;
    this.#host.refused(this, { reason, protocolFault });
    this.leave(code, reason);
  }

  /** Tells an MQTT 5 client why, and ends the connection; its will is published. */
  leave(code: number, reason: string, more: Properties = {}): void {
    if (this.terms.level < 5) {
      this.connection.destroy();
      this.#detach();
    } else if (this.#phase === "open") {
      this.reply({ type: "disconnect", code, properties: { reasonString: reason, ...more } });
      this.#end();
    } else this.refuse({ code: connackCodes.serverUnavailable, code5: connackCodeOf(code), reason });
  }

  /** Answers a CONNECT that is not accepted, and ends the connection. */
  refuse(why: Refusing): void {
    const isFive = this.terms.level === 5;
    this.reply({
      type: "connack",
      sessionPresent: false,
      code: isFive ? why.code5 : why.code,
      ...(isFive ? { properties: { reasonString: why.reason, ...why.more } } : {}),
    });
    this.#end();
  }

  #end(): void {
    this.flush();
    this.connection.end();
    this.#detach();
    // Its farewell is only heard by who reads on; what comes before it is nobody's any more.
    this.#reader.drop();
    this.connection.resume();
  }

  accepted(
    session: Session,
    { present, properties }: { readonly present: boolean; readonly properties?: Properties },
  ): void {
    this.session = session;
    this.#reader.frameBytesMax = this.#host.packetBytesMax;
    this.#phase = "open";
    const { level } = this.terms;
    this.reply({
      type: "connack",
      // MQTT 3.1 knows no session-present flag: the bit is reserved there.
      sessionPresent: present && level !== 3,
      code: connackCodes.accepted,
      ...(properties === undefined ? {} : { properties }),
    });
  }

  /** The broker has asked for more: AUTH is read, and nothing else. */
  awaitAuth(): void {
    if (this.#phase !== "connecting") return;
    this.#phase = "authenticating";
    this.#run();
  }

  /** Goes on with what had to wait for the broker. */
  proceed(): void {
    this.#run();
  }

  /** A publish has gone to the journal; until `publishCommitted` it counts against this connection. */
  publishAdmitted(bytes: number): void {
    this.#uncommitted.add(bytes);
  }

  publishCommitted(bytes: number): void {
    this.#uncommitted.done(bytes);
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
    if (this.#paused || this.#held !== undefined || this.keepAliveMs === 0) return false;
    return nowMs - this.lastSeenMs > this.keepAliveMs * KEEP_ALIVE_FACTOR;
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
      this.fail(messageOf(error), {
        protocolFault: true,
        code: faultCode(error) ?? reasonCodes.implementationSpecific,
      });
    }
    this.#busy = false;
    this.#setPaused(this.#isStalled());
  }

  #isStalled(): boolean {
    return (
      this.#phase === "connecting" ||
      this.#phase === "closed" ||
      this.#uncommitted.isFull ||
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
    else this.#handle(decodeFrame(frame, this.terms.level));
  }

  #handleFirst(frame: Uint8Array): void {
    if ((frame[0] ?? 0) >> 4 !== 1) {
      this.fail("the first packet is no CONNECT (MQTT-3.1.0-1)", { protocolFault: true });
      return;
    }
    const { protocol, level } = connectHead(frame);
    if (protocol === "MQTT" && level >= 5) this.terms = { ...oldTerms, level: 5 };
    const reason = versionFault({ protocol, level });
    if (reason !== undefined) {
      this.#host.refused(this, { reason, protocolFault: false });
      const code = connackCodes.unacceptableProtocol;
      this.refuse({ code, code5: reasonCodes.unsupportedVersion, reason });
      return;
    }
    const packet = decodeFrame(frame, level as Level);
    if (packet.type !== "connect") return;
    this.#host.received(packet);
    this.#phase = "connecting";
    this.clientId = packet.clientId;
    this.keepAliveMs = packet.keepAliveS * 1_000;
    this.will = packet.will;
    this.#wantsReasons = packet.properties?.requestProblemInformation !== 0;
    this.expiryS = packet.properties?.sessionExpiryIntervalS ?? 0;
    this.terms = termsOf(packet, this.#host.topicAliasMax);
    if (packet.level === 5) this.#inbound = new Inbound(this.#host);
    this.#host.connect(this, packet);
  }

  #handle(packet: Packet): void {
    this.#host.received(packet);
    if (this.#phase === "authenticating") {
      if (packet.type !== "auth" && packet.type !== "disconnect")
        throw protocolError(`${packet.type.toUpperCase()} comes before CONNACK (MQTT-3.1.2-30)`);
      this.#phase = "connecting";
    }
    switch (packet.type) {
      case "publish":
        this.#publish(packet);
        return;
      case "puback":
      case "pubrec":
      case "pubcomp":
        this.#host.answered(this, packet);
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
        this.#onDisconnect(packet);
        return;
      case "auth":
        this.#host.auth(this, packet);
        return;
      case "connect":
        throw protocolError("a second CONNECT (MQTT-3.1.0-2)");
      default:
        throw protocolError(`${packet.type.toUpperCase()} comes from a server only`);
    }
  }

  #onDisconnect(packet: DisconnectPacket): void {
    this.expiryS = expiryAfter(packet, this.expiryS);
    this.#saidGoodbye = (packet.code ?? 0) === 0;
    this.#end();
  }

  #publish(given: PublishPacket): void {
    const packet = this.#inbound?.resolved(given) ?? given;
    // Behind a held one all wait, or they would overtake it.
    if (this.#held === undefined && this.#host.publish(this, packet)) return;
    if (this.#phase === "closed") return;
    (this.#held ??= []).push({ ...packet, payload: new Uint8Array(packet.payload) });
  }
}
