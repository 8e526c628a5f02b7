import type { Clock } from "@cortado/std/clock";
import type { Connection } from "@cortado/std/net";
import { messageOf, StatusError } from "@cortado/std/status";
import {
  decodeFrame,
  encodePacket,
  FrameReader,
  PACKET_BYTES_MAX,
  reasonCodes,
  type AckPacket,
  type ConnackPacket,
  type ConnectPacket,
  type Packet,
  type PublishPacket,
  type SubackPacket,
  type Will,
} from "@cortado/wire/mqtt";
import { BRIDGE_ANSWER_WAIT_MS, BRIDGE_RECEIVE_MAX } from "../limits.ts";
import type { BridgeSettings } from "./settings.ts";

export type RemoteEvents = {
  /** What the remote publishes. */
  readonly publish: (packet: PublishPacket) => void;
  readonly release: (id: number) => void;
  /** PUBACK, PUBREC or PUBCOMP. */
  readonly answered: (packet: AckPacket) => void;
  readonly drained: () => void;
};

export type RemoteLinkOptions = {
  readonly connection: Connection;
  readonly settings: BridgeSettings;
  readonly will: Will | undefined;
  readonly bridgeBit: boolean;
  readonly clock: Clock;
  readonly events: RemoteEvents;
  /** Every byte that is sent is paid for. */
  readonly spent: (bytes: number) => void;
};

/** What the remote said at CONNACK. */
export type Accepted = { readonly sessionPresent: boolean; readonly connack: ConnackPacket };

type Waiting = { readonly settle: (packet: Packet) => void; readonly alarm: Disposable };

/** One connection to a remote broker: frames out and in, keep-alive, and why it ended. */
export class RemoteLink {
  readonly #options: RemoteLinkOptions;
  readonly #reader: FrameReader = new FrameReader({ frameBytesMax: PACKET_BYTES_MAX * 4 });
  readonly #waiting: Map<string, Waiting> = new Map();
  readonly #ended: PromiseWithResolvers<Error> = Promise.withResolvers();
  #error: Error | undefined;
  #closed = false;
  #lastSentMs: number;
  #lastHeardMs: number;
  #tick: Disposable | undefined;
  #pausedSinceMs: number | undefined;
  #keepAliveS: number;

  constructor(options: RemoteLinkOptions) {
    this.#options = options;
    const { connection, clock, events, settings } = options;
    this.#keepAliveS = settings.keepAliveS;
    this.#lastSentMs = clock.monotonicMs();
    this.#lastHeardMs = this.#lastSentMs;
    connection.handle({
      data: (bytes) => this.#data(bytes),
      drained: events.drained,
      closed: (error) => this.#onClosed(error),
    });
  }

  get level(): 4 | 5 {
    return this.#options.settings.level;
  }

  get isOpen(): boolean {
    return !this.#closed;
  }

  get bufferedBytes(): number {
    return this.#options.connection.bufferedBytes;
  }

  /** Resolves when the connection has ended, with why. */
  get ended(): Promise<Error> {
    return this.#ended.promise;
  }

  /** @throws StatusError when the remote refuses or does not answer */
  async open(): Promise<Accepted> {
    const packet = await this.#ask("connack", this.#connectFrame());
    const connack = packet as ConnackPacket;
    if (connack.code !== 0) {
      const why = refusalText(connack);
      this.fail(why);
      throw new RefusedConnect(`the remote refuses the connection: ${why}`, connack.code);
    }
    this.#keepAliveS = connack.properties?.serverKeepAliveS ?? this.#keepAliveS;
    this.#armKeepAlive();
    return { sessionPresent: connack.sessionPresent, connack };
  }

  /** What SUBACK grants. */
  async subscribe(packet: Packet & { readonly type: "subscribe" }): Promise<readonly number[]> {
    const answer = await this.#ask(`suback ${packet.id}`, encodePacket(packet, this.level));
    return (answer as SubackPacket).granted;
  }

  async unsubscribe(id: number, filters: readonly string[]): Promise<void> {
    await this.#ask(`unsuback ${id}`, encodePacket({ type: "unsubscribe", id, filters }, this.level));
  }

  send(frame: Uint8Array): void {
    if (this.#closed) return;
    const { connection, clock, spent } = this.#options;
    this.#lastSentMs = clock.monotonicMs();
    spent(frame.byteLength);
    connection.write(frame);
  }

  reply(packet: Packet): void {
    this.send(encodePacket(packet, this.level));
  }

  /** Stops reading, so that the remote is told nothing and sends no more than the line holds. */
  setPaused(paused: boolean): void {
    if (this.#closed || paused === (this.#pausedSinceMs !== undefined)) return;
    const { connection, clock } = this.#options;
    if (paused) {
      this.#pausedSinceMs = clock.monotonicMs();
      connection.pause();
    } else {
      this.#pausedSinceMs = undefined;
      this.#lastHeardMs = clock.monotonicMs();
      connection.resume();
    }
  }

  fail(reason: string): void {
    this.#error ??= new StatusError("ServiceUnavailable", reason);
    this.#options.connection.destroy();
    this.#onClosed(undefined);
  }

  /** Says goodbye: no will is published. */
  end(): void {
    if (this.#closed) return;
    this.send(encodePacket({ type: "disconnect" }, this.level));
    this.#error ??= new StatusError("ServiceUnavailable", "the bridge ended the connection");
    this.#options.connection.end();
    this.#onClosed(undefined);
  }

  #connectFrame(): Uint8Array {
    const { settings, will, bridgeBit } = this.#options;
    const { level, clientId, cleanSession, keepAliveS, username, password, sessionExpiryS } = settings;
    const packet: ConnectPacket = {
      type: "connect",
      level,
      clientId,
      cleanSession,
      keepAliveS,
      ...(username === undefined ? {} : { username }),
      ...(password === undefined ? {} : { password: new TextEncoder().encode(password) }),
      ...(will === undefined ? {} : { will }),
      ...(level === 5
        ? {
            properties: {
              receiveMaximum: BRIDGE_RECEIVE_MAX,
              ...(cleanSession ? {} : { sessionExpiryIntervalS: sessionExpiryS }),
            },
          }
        : {}),
    };
    const frame = new Uint8Array(encodePacket(packet, level));
    if (level === 4 && bridgeBit) {
      // Behind the fixed header and "MQTT" with its length stands the protocol level; its high bit marks a bridge (mosquitto).
      let at = 1;
      while ((frame[at] ?? 0) >= 0x80) at += 1;
      frame[at + 7] = 0x80 | level;
    }
    return frame;
  }

  #ask(what: string, frame: Uint8Array): Promise<Packet> {
    const { clock } = this.#options;
    if (this.#closed) return Promise.reject(this.#error ?? new Error("the connection is closed"));
    return new Promise((resolve, reject) => {
      const alarm = clock.after(BRIDGE_ANSWER_WAIT_MS, () =>
        this.fail(`no ${what.split(" ")[0]?.toUpperCase()} within ${BRIDGE_ANSWER_WAIT_MS} ms`),
      );
      this.#waiting.set(what, { settle: resolve, alarm });
      void this.ended.then(reject);
      this.send(frame);
    });
  }

  #answer(what: string, packet: Packet): void {
    const waiting = this.#waiting.get(what);
    this.#waiting.delete(what);
    waiting?.alarm[Symbol.dispose]();
    waiting?.settle(packet);
  }

  #data(bytes: Uint8Array): void {
    if (this.#closed) return;
    this.#lastHeardMs = this.#options.clock.monotonicMs();
    try {
      this.#reader.push(bytes);
      for (let frame = this.#reader.next(); frame !== undefined; frame = this.#reader.next()) {
        this.#handle(decodeFrame(frame, this.level));
        if (this.#closed) return;
      }
    } catch (error) {
      this.fail(`the remote sent what cannot be read: ${messageOf(error)}`);
    }
  }

  #handle(packet: Packet): void {
    const { events } = this.#options;
    switch (packet.type) {
      case "publish":
        events.publish(packet);
        return;
      case "pubrel":
        events.release(packet.id);
        return;
      case "puback":
      case "pubrec":
      case "pubcomp":
        events.answered(packet);
        return;
      case "connack":
        this.#answer("connack", packet);
        return;
      case "suback":
      case "unsuback":
        this.#answer(`${packet.type} ${packet.id}`, packet);
        return;
      case "disconnect":
        this.fail(
          `the remote ends the connection: ${codeText(packet.code ?? 0, packet.properties?.reasonString)}`,
        );
        return;
      case "pingresp":
        return;
      default:
        this.fail(`the remote sent ${packet.type.toUpperCase()}, which a broker does not send`);
    }
  }

  #armKeepAlive(): void {
    const { clock } = this.#options;
    if (this.#keepAliveS === 0 || this.#closed) return;
    const everyMs = (this.#keepAliveS * 1_000) / 2;
    this.#tick = clock.after(everyMs, () => {
      if (this.#closed) return;
      const nowMs = clock.monotonicMs();
      if (
        this.#pausedSinceMs === undefined &&
        nowMs - this.#lastHeardMs > everyMs * 2 + BRIDGE_ANSWER_WAIT_MS
      ) {
        this.fail(`the remote has been silent for ${Math.round((nowMs - this.#lastHeardMs) / 1_000)} s`);
        return;
      }
      // Also when only we have been talking: QoS 0 alone would never show that nobody listens.
      this.send(encodePacket({ type: "pingreq" }, this.level));
      this.#armKeepAlive();
    });
  }

  #onClosed(error: Error | undefined): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#tick?.[Symbol.dispose]();
    for (const { alarm } of this.#waiting.values()) alarm[Symbol.dispose]();
    const why =
      this.#error ??
      new StatusError(
        "ServiceUnavailable",
        error === undefined ? "the remote closed the connection" : messageOf(error),
      );
    this.#ended.resolve(why);
  }
}

/** CONNACK with a code that says no. */
export class RefusedConnect extends Error {
  readonly connackCode: number;

  constructor(message: string, connackCode: number) {
    super(message);
    this.connackCode = connackCode;
  }
}

const oldRefusals: Readonly<Record<number, string>> = {
  1: "it does not speak this version of MQTT",
  2: "it does not take the client id",
  3: "it is not available",
  4: "user name or password is wrong",
  5: "not authorized",
};

function refusalText({ code, properties }: ConnackPacket): string {
  return oldRefusals[code] ?? codeText(code, properties?.reasonString);
}

const codeNames = new Map<number, string>(Object.entries(reasonCodes).map(([name, code]) => [code, name]));

/** A reason code of MQTT 5 in words. */
export function codeText(code: number, reason?: string): string {
  const name = (codeNames.get(code) ?? "unknown").replaceAll(
    /[A-Z]/g,
    (letter) => ` ${letter.toLowerCase()}`,
  );
  const text = `${name} (0x${code.toString(16).padStart(2, "0")})`;
  return reason === undefined ? text : `${text}: ${reason}`;
}
