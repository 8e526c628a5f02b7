import { backoffMs } from "@cortado/std/backoff";
import type { Clock } from "@cortado/std/clock";
import type { Log } from "@cortado/std/log";
import type { Connection } from "@cortado/std/net";
import type { Random } from "@cortado/std/random";
import { messageOf, StatusError } from "@cortado/std/status";
import {
  decodeFrame,
  encodePacket,
  FrameReader,
  PACKET_BYTES_MAX,
  publishFrame,
  withId,
  type Packet,
  type PublishPacket,
  type QoS,
  type Subscription,
  type Will,
} from "@cortado/wire/mqtt";
import {
  CLIENT_CONNACK_WAIT_MS,
  CLIENT_KEEP_ALIVE_S,
  CLIENT_PUBLISHES_MAX,
  CLIENT_RETRY_FIRST_MS,
  CLIENT_RETRY_MAX_MS,
} from "../limits.ts";
import { STAMP_BYTES, takeStamp } from "./stamp.ts";

export type MqttMessage = {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly qos: QoS;
  /** A retained message that a new subscription brought, not news. */
  readonly retain: boolean;
  /** Names the message for ever: the same at each redelivery of a QoS 1 message of a stamped connection. */
  readonly id: string;
  /** When the broker took it, on a stamped connection; else when it came. */
  readonly atMs: number;
  /** Its number at the broker, on a stamped connection; 0 for QoS 0, and elsewhere. */
  readonly sequence: number;
  /** To be called once the message has been dealt with; until then the broker keeps it. Nothing to do for QoS 0. */
  ack(): void;
};

export type ConnectMqttOptions = {
  /** Opens a connection to the broker: `broker.dialLocal`, or `network.dial`. */
  readonly dial: (options: { readonly signal: AbortSignal }) => Promise<Connection> | Connection;
  /** True for `broker.dialLocal`, whose payloads are stamped. */
  readonly stamped?: boolean;
  readonly clientId: string;
  /** False keeps the session, and what is published meanwhile, while the client is away. */
  readonly cleanSession: boolean;
  readonly username?: string;
  readonly password?: Uint8Array;
  readonly keepAliveS?: number;
  readonly will?: Will;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly onMessage: (message: MqttMessage) => void;
};

export type Publication = {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly qos: QoS;
  readonly retain?: boolean;
};

/** A client that connects by itself again and again until disposed. */
export interface MqttClient extends AsyncDisposable {
  readonly connected: boolean;
  /** Resolves with what each filter was granted, 128 for a refused one. Subscriptions are made anew when the broker forgot them. */
  subscribe(subscriptions: readonly Subscription[]): Promise<readonly number[]>;
  unsubscribe(filters: readonly string[]): Promise<void>;
  /**
   * QoS 1 resolves when the broker has acknowledged it, QoS 0 when it is sent.
   * @throws StatusError "TooManyRequests" when too many wait, "ServiceUnavailable" for QoS 0 while disconnected
   */
  publish(publication: Publication): Promise<void>;
}

type Waiting = {
  /** With id 1 in it; sent with its own. */
  readonly bytes: (id: number, again: boolean) => Uint8Array;
  readonly settle: (packet: Packet) => void;
  readonly fail: (error: Error) => void;
  sent: boolean;
};

/** Starts a client; it is usable at once, and what it is asked waits for the connection. */
export function connectMqtt(options: ConnectMqttOptions): MqttClient {
  return new ReconnectingClient(options);
}

export type ForgetSessionOptions = Pick<
  ConnectMqttOptions,
  "dial" | "clientId" | "username" | "password" | "clock" | "random" | "log"
> & { readonly signal: AbortSignal };

/** Ends a session at the broker, with all that waits in it; resolves when that is durable. @throws the signal's reason */
export async function forgetSession({ signal, ...options }: ForgetSessionOptions): Promise<void> {
  signal.throwIfAborted();
  // A clean session ends the one before it (MQTT 3.1.1, section 3.1.2.4).
  await using client = connectMqtt({ ...options, cleanSession: true, onMessage() {} });
  const stop = (): void => void client[Symbol.asyncDispose]();
  signal.addEventListener("abort", stop, { once: true });
  try {
    // Its answer comes behind CONNACK.
    await client.unsubscribe(["none"]);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

class ReconnectingClient implements MqttClient {
  readonly #options: ConnectMqttOptions;
  readonly #stop: AbortController = new AbortController();
  readonly #filters: Map<string, QoS> = new Map();
  readonly #waiting: Map<number, Waiting> = new Map();
  readonly #running: Promise<void>;
  #connection: Connection | undefined;
  #connected = false;
  #lastId = 0;
  #lastSentMs = 0;
  #ping: Disposable | undefined;

  constructor(options: ConnectMqttOptions) {
    this.#options = options;
    this.#running = this.#run();
  }

  get connected(): boolean {
    return this.#connected;
  }

  async subscribe(asked: readonly Subscription[]): Promise<readonly number[]> {
    // Its messages are acknowledged by PUBACK, once: more than QoS 1 it does not take.
    const subscriptions = asked.map(({ filter, qos }): Subscription => ({
      filter,
      qos: qos === 2 ? 1 : qos,
    }));
    for (const { filter, qos } of subscriptions) this.#filters.set(filter, qos);
    const packet = await this.#ask((id) => encodePacket({ type: "subscribe", id, subscriptions }));
    return packet.type === "suback" ? packet.granted : [];
  }

  async unsubscribe(filters: readonly string[]): Promise<void> {
    for (const filter of filters) this.#filters.delete(filter);
    await this.#ask((id) => encodePacket({ type: "unsubscribe", id, filters }));
  }

  async publish({ topic, payload, qos, retain = false }: Publication): Promise<void> {
    if (qos === 0) {
      if (!this.#connected)
        throw new StatusError(
          "ServiceUnavailable",
          `mqtt client ${this.#options.clientId} is not connected; publish with QoS 1 to wait`,
        );
      this.#write(publishFrame({ topic, payload, qos, retain, dup: false, id: 0 }));
      return;
    }
    const frame = publishFrame({ topic, payload, qos: 1, retain, dup: false, id: 1 });
    await this.#ask((id, again) => withId(frame, { id, dup: again }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#connected) this.#write(encodePacket({ type: "disconnect" }));
    this.#stop.abort(new Error(`mqtt client ${this.#options.clientId} is closed`));
    this.#connection?.end();
    await this.#running;
    for (const { fail } of this.#waiting.values()) fail(this.#stop.signal.reason as Error);
    this.#waiting.clear();
  }

  #ask(bytes: Waiting["bytes"]): Promise<Packet> {
    const { clientId } = this.#options;
    if (this.#stop.signal.aborted) return Promise.reject(this.#stop.signal.reason as Error);
    if (this.#waiting.size >= CLIENT_PUBLISHES_MAX)
      return Promise.reject(
        new StatusError(
          "TooManyRequests",
          `mqtt client ${clientId} waits for ${this.#waiting.size} answers; try again later`,
        ),
      );
    do this.#lastId = this.#lastId === 65_535 ? 1 : this.#lastId + 1;
    while (this.#waiting.has(this.#lastId));
    const id = this.#lastId;
    return new Promise((resolve, reject) => {
      const waiting: Waiting = { bytes, settle: resolve, fail: reject, sent: false };
      this.#waiting.set(id, waiting);
      if (this.#connected) this.#sendWaiting(id, waiting);
    });
  }

  async #run(): Promise<void> {
    const { clock, random, log, clientId } = this.#options;
    const { signal } = this.#stop;
    for (let attempt = 0; !signal.aborted; attempt += 1) {
      try {
        const wasConnected = await this.#connectOnce();
        if (wasConnected) attempt = 0;
      } catch (error) {
        log.debug("mqtt client could not connect", { client: clientId, reason: messageOf(error) });
      }
      if (signal.aborted) return;
      const waitMs = backoffMs(attempt, {
        firstMs: CLIENT_RETRY_FIRST_MS,
        maxMs: CLIENT_RETRY_MAX_MS,
        random,
      });
      await clock.sleep(waitMs, { signal }).catch(() => undefined);
    }
  }

  /** Serves one connection until it ends; answers whether the broker had accepted it. */
  async #connectOnce(): Promise<boolean> {
    const {
      dial,
      clientId,
      cleanSession,
      username,
      password,
      will,
      keepAliveS = CLIENT_KEEP_ALIVE_S,
      clock,
      log,
    } = this.#options;
    const connection = await dial({ signal: this.#stop.signal });
    this.#connection = connection;
    const reader = new FrameReader({ frameBytesMax: PACKET_BYTES_MAX + STAMP_BYTES + 1_024 });
    let accepted = false;
    const patience = clock.after(CLIENT_CONNACK_WAIT_MS, () => {
      if (!accepted) connection.destroy();
    });
    const ended = new Promise<void>((resolve) => {
      connection.handle({
        data: (bytes) => {
          try {
            reader.push(bytes);
            for (let frame = reader.next(); frame !== undefined; frame = reader.next())
              accepted = this.#handle(decodeFrame(frame)) || accepted;
          } catch (error) {
            log.warn("mqtt client got what it cannot read", { client: clientId, error });
            connection.destroy();
          }
        },
        drained() {},
        closed: () => resolve(),
      });
    });
    const optional = {
      ...(username === undefined ? {} : { username }),
      ...(password === undefined ? {} : { password }),
      ...(will === undefined ? {} : { will }),
    };
    connection.write(
      encodePacket({ type: "connect", level: 4, clientId, cleanSession, keepAliveS, ...optional }),
    );
    if (this.#stop.signal.aborted) connection.destroy();
    await ended;
    patience[Symbol.dispose]();
    this.#ping?.[Symbol.dispose]();
    this.#connected = false;
    this.#connection = undefined;
    return accepted;
  }

  /** True when the packet was an accepting CONNACK. */
  #handle(packet: Packet): boolean {
    switch (packet.type) {
      case "connack":
        return this.#onConnack(packet);
      case "publish":
        this.#onPublish(packet);
        return false;
      case "puback":
      case "suback":
      case "unsuback": {
        const waiting = this.#waiting.get(packet.id);
        this.#waiting.delete(packet.id);
        waiting?.settle(packet);
        return false;
      }
      default:
        return false;
    }
  }

  #onConnack({ code, sessionPresent }: { readonly code: number; readonly sessionPresent: boolean }): boolean {
    const { log, clientId } = this.#options;
    if (code !== 0) {
      log.warn("mqtt broker refuses the client", { client: clientId, code });
      this.#connection?.destroy();
      return false;
    }
    this.#connected = true;
    this.#armPing();
    const known = [...this.#waiting];
    if (!sessionPresent && this.#filters.size > 0) {
      const subscriptions = [...this.#filters].map(([filter, qos]) => ({ filter, qos }));
      this.#ask((id) => encodePacket({ type: "subscribe", id, subscriptions })).catch(() => undefined);
    }
    for (const [id, waiting] of known) this.#sendWaiting(id, waiting);
    return true;
  }

  #onPublish(packet: PublishPacket): void {
    const { onMessage, stamped, clock, random, log, clientId } = this.#options;
    const connection = this.#connection;
    const { topic, qos, retain, id } = packet;
    const { stamp, payload } =
      stamped === true ? takeStamp(packet.payload) : { stamp: undefined, payload: packet.payload };
    const name =
      stamp === undefined || stamp.sequence === 0 ? random.uuid() : `${stamp.broker}-${stamp.sequence}`;
    let isAcknowledged = qos === 0;
    const ack = (): void => {
      // On another connection the id means another message, and this one comes again.
      if (isAcknowledged || this.#connection !== connection) return;
      isAcknowledged = true;
      this.#write(encodePacket({ type: "puback", id }));
    };
    try {
      const { sequence, atMs } = stamp ?? { sequence: 0, atMs: clock.nowMs() };
      onMessage({ topic, payload, qos, retain, id: name, atMs, sequence, ack });
    } catch (error) {
      log.error("mqtt message handler failed; the message stays with the broker", {
        client: clientId,
        topic,
        error,
      });
    }
  }

  #sendWaiting(id: number, waiting: Waiting): void {
    this.#write(waiting.bytes(id, waiting.sent));
    waiting.sent = true;
  }

  #write(bytes: Uint8Array): void {
    this.#lastSentMs = this.#options.clock.monotonicMs();
    this.#connection?.write(bytes);
  }

  #armPing(): void {
    const { clock, keepAliveS = CLIENT_KEEP_ALIVE_S } = this.#options;
    if (keepAliveS === 0) return;
    const restMs = this.#lastSentMs + (keepAliveS * 1_000) / 2 - clock.monotonicMs();
    this.#ping = clock.after(Math.max(restMs, 1_000), () => {
      if (!this.#connected) return;
      if (clock.monotonicMs() - this.#lastSentMs >= (keepAliveS * 1_000) / 2)
        this.#write(encodePacket({ type: "pingreq" }));
      this.#armPing();
    });
  }
}
