import { backoffMs } from "@cortado/std/backoff";
import type { Clock } from "@cortado/std/clock";
import type { Log } from "@cortado/std/log";
import { addressText, type Connection } from "@cortado/std/net";
import type { Random } from "@cortado/std/random";
import { messageOf } from "@cortado/std/status";
import { connackCodes, SUBACK_FAILURE, type Subscription } from "@cortado/wire/mqtt";
import type { Publishing } from "../broker/publishing.ts";
import type { Journal } from "../journal/journal.ts";
import type { Committed, MessageLog } from "../journal/message-log.ts";
import { jsonRecord, recordKinds } from "../journal/records.ts";
import { BRIDGE_STABLE_MS } from "../limits.ts";
import type { BrokerTime } from "../session/broker-time.ts";
import type { Registry } from "../session/registry.ts";
import { lowerQos, type Session } from "../session/session.ts";
import { openOwnSession, subscribeOwn } from "./own-session.ts";
import { Receiver, type ReceiverCounts } from "./receiver.ts";
import { codeText, RefusedConnect, RemoteLink } from "./remote-link.ts";
import { remoteLimits } from "./remote-limits.ts";
import { Sender, type SenderCounts } from "./sender.ts";
import type { BridgeSettings, BridgeTls, RemoteAddress } from "./settings.ts";
import { StateNotices } from "./state-notices.ts";
import { TopicMap } from "./topic-map.ts";

/** Opens a stream to a remote broker. @throws StatusError "ServiceUnavailable" when nobody answers */
export type DialRemote = (
  address: RemoteAddress,
  options: { readonly tls: BridgeTls | undefined; readonly signal: AbortSignal },
) => Promise<Connection>;

/** What of the broker a bridge works with. */
export type BridgeHost = {
  readonly registry: Registry;
  readonly journal: Journal;
  readonly messages: MessageLog;
  readonly publishing: Publishing;
  readonly clock: Clock;
  readonly time: BrokerTime;
  readonly random: Random;
  readonly log: Log;
  readonly brokerId: string;
  readonly dial: DialRemote;
  /** A stored message is done with, for this session. */
  readonly acknowledged: (session: Session, committed: Committed) => void;
};

export const bridgeStates = ["starting", "connecting", "connected", "waiting", "stopped"] as const;
export type BridgeState = (typeof bridgeStates)[number];

export type BridgeStatus = {
  readonly name: string;
  readonly state: BridgeState;
  /** Wall time since when it is in this state. */
  readonly sinceMs: number;
  readonly backlogMessages: number;
  readonly backlogBytes: number;
  /** Why the last connection failed or ended, or what the remote did not grant; undefined when nothing is wrong. */
  readonly lastError: string | undefined;
  readonly connections: number;
  readonly counts: Readonly<SenderCounts & ReceiverCounts>;
};

export type BridgeOptions = { readonly settings: BridgeSettings; readonly host: BridgeHost };

/** A bridge to another broker: a durable session of ours on one side, an ordinary client of the remote on the other. */
export class Bridge implements AsyncDisposable {
  readonly settings: BridgeSettings;
  readonly #host: BridgeHost;
  readonly #stop: AbortController = new AbortController();
  readonly #topics: TopicMap;
  readonly #notices: StateNotices;
  readonly #counts: SenderCounts & ReceiverCounts = {
    sent: 0,
    acknowledged: 0,
    bytes: 0,
    skipped: 0,
    dropped: 0,
    received: 0,
    looped: 0,
    unmapped: 0,
  };
  readonly #running: Promise<void>;
  #session: Session | undefined;
  #sender: Sender | undefined;
  #receiver: Receiver | undefined;
  #link: RemoteLink | undefined;
  #state: BridgeState = "starting";
  #sinceMs: number;
  #lastError: string | undefined;
  #connections = 0;
  /** False once a remote has shown that it does not know mosquitto's mark. */
  #bridgeBit: boolean;
  #lastId = 0;
  #skipsTold = 0;

  constructor({ settings, host }: BridgeOptions) {
    this.settings = settings;
    this.#host = host;
    this.#topics = new TopicMap(settings.topics);
    this.#notices = new StateNotices(settings, host);
    this.#bridgeBit = settings.bridgeBit && settings.level === 4;
    this.#sinceMs = host.clock.nowMs();
    this.#running = this.#run().catch((error: unknown) => {
      if (this.#stop.signal.aborted) return;
      this.#lastError = messageOf(error);
      host.log.error("mqtt bridge stopped by a fault of its own", { bridge: settings.name, error });
      this.#enter("stopped");
    });
  }

  get session(): Session | undefined {
    return this.#session;
  }

  status(): BridgeStatus {
    return {
      name: this.settings.name,
      state: this.#state,
      sinceMs: this.#sinceMs,
      backlogMessages: this.#session?.items ?? 0,
      backlogBytes: this.#session?.bytes ?? 0,
      lastError: this.#lastError,
      connections: this.#connections,
      counts: { ...this.#counts },
    };
  }

  /** After its end: what it told here is forgotten too. */
  eraseNotices(): void {
    this.#notices.tellHere("");
  }

  /** Says goodbye to the remote. The session and what waits in it stay. */
  async [Symbol.asyncDispose](): Promise<void> {
    const link = this.#link;
    if (this.#state === "connected" && link !== undefined) {
      this.#notices.tellRemote(link, "0");
      link.end();
    }
    this.#stop.abort(new Error(`bridge ${this.settings.name} is stopped`));
    await this.#running;
    this.#sender?.detach();
    this.#receiver?.detach();
    if (this.#session !== undefined && this.#session.outbox === this.#sender)
      this.#session.outbox = undefined;
    this.#enter("stopped");
  }

  #enter(state: BridgeState): void {
    if (state === this.#state) return;
    const wasConnected = this.#state === "connected";
    this.#state = state;
    this.#sinceMs = this.#host.clock.nowMs();
    if (state === "connected") this.#notices.tellHere("1");
    else if (wasConnected) this.#notices.tellHere("0");
  }

  async #run(): Promise<void> {
    const { clock, random, log } = this.#host;
    const { name, backoffFirstMs, backoffMaxMs, addresses } = this.settings;
    const { signal } = this.#stop;
    await this.#open();
    this.#notices.tellHere("0");
    let attempt = 0;
    for (let turn = 0; !signal.aborted; turn += 1) {
      this.#enter("connecting");
      const address = addresses[turn % addresses.length] as RemoteAddress;
      const startMs = clock.monotonicMs();
      let stoodMs = 0;
      try {
        const why = await this.#serve(address);
        stoodMs = clock.monotonicMs() - startMs;
        this.#lastError = why.message;
      } catch (error) {
        this.#lastError = messageOf(error);
      }
      if (signal.aborted) return;
      this.#enter("waiting");
      if (stoodMs >= BRIDGE_STABLE_MS) attempt = 0;
      const waitMs = backoffMs(attempt, { firstMs: backoffFirstMs, maxMs: backoffMaxMs, random });
      attempt += 1;
      log.info("mqtt bridge is not connected", {
        bridge: name,
        remote: addressText(address),
        reason: this.#lastError,
        nextTryInMs: Math.round(waitMs),
      });
      await clock.sleep(waitMs, { signal }).catch(() => undefined);
    }
  }

  async #open(): Promise<void> {
    const { registry, journal, publishing, clock, time, messages, brokerId, log, acknowledged } = this.#host;
    const { settings } = this;
    const { signal } = this.#stop;
    // A disk that cannot be written holds all of this up, and must not hold up the end.
    const session = await unlessAborted(openOwnSession(settings.name, this.#host), signal);
    this.#session = session;
    const bridgeId = `${brokerId}.${settings.name}`;
    const common = { bridgeId, topics: this.#topics, session, clock, counts: this.#counts };
    this.#receiver = new Receiver({
      ...common,
      journal,
      publishing,
      time,
      held: (full) =>
        log.warn("mqtt bridge holds the remote: a quota is full", { bridge: settings.name, full }),
    });
    const lastCommitted = registry.nextSequence - 1;
    const sender = new Sender({
      ...common,
      settings,
      lastCommitted,
      log: messages,
      segments: () => journal.segments,
      nowMs: () => time.nowMs(),
      acknowledged: (committed) => acknowledged(session, committed),
      received: (sequence, then) => {
        session.released.add(sequence);
        const record = jsonRecord(recordKinds.received, { session: session.number, sequence });
        journal.add({ record, committed: then });
      },
      fault: (text, fields) => this.#tell(text, fields),
    });
    this.#sender = sender;
    session.outbox = sender;
    // What was admitted before the sender was there is committed after this, and so counted among what waits.
    await unlessAborted(journal.flushed(), signal);
    await unlessAborted(
      subscribeOwn(session, this.#topics.localFilters(), { ...this.#host, signal }),
      signal,
    );
  }

  /** Serves one connection until it ends; answers why it did. */
  async #serve(address: RemoteAddress): Promise<Error> {
    const { clock, dial } = this.#host;
    const { signal } = this.#stop;
    const { settings } = this;
    const connection = await dial(address, { tls: settings.tls, signal });
    const sender = this.#sender as Sender;
    const receiver = this.#receiver as Receiver;
    const link = new RemoteLink({
      connection,
      settings,
      will: this.#notices.will(),
      bridgeBit: this.#bridgeBit,
      clock,
      spent: (bytes) => sender.spent(bytes),
      events: {
        publish: (packet) => receiver.publish(packet),
        release: (id) => receiver.release(id),
        answered: (packet) => void sender.answered(packet),
        drained: () => sender.wake(),
      },
    });
    const stop = (): void => link.fail("the bridge is stopped");
    signal.addEventListener("abort", stop, { once: true });
    this.#link = link;
    try {
      await this.#begin(link, { sender, receiver });
      return await link.ended;
    } catch (error) {
      link.fail(messageOf(error));
      throw error;
    } finally {
      signal.removeEventListener("abort", stop);
      sender.detach();
      receiver.detach();
      this.#link = undefined;
    }
  }

  async #begin(
    link: RemoteLink,
    { sender, receiver }: { readonly sender: Sender; readonly receiver: Receiver },
  ): Promise<void> {
    const accepted = await link.open().catch((error: unknown) => {
      // A remote that does not know the mark refuses the version, or hangs up without a word (RabbitMQ, NATS).
      const isVersion =
        error instanceof RefusedConnect && error.connackCode === connackCodes.unacceptableProtocol;
      if (this.#bridgeBit && (isVersion || !(error instanceof RefusedConnect))) this.#bridgeBit = false;
      throw error;
    });
    const { sessionPresent, connack } = accepted;
    receiver.attach(link, { sessionPresent });
    this.#connections += 1;
    this.#lastError = undefined;
    await this.#subscribe(link, { sessionPresent });
    this.#notices.tellRemote(link, "1");
    this.#enter("connected");
    this.#host.log.info("mqtt bridge is connected", {
      bridge: this.settings.name,
      backlog: this.#session?.items ?? 0,
      sessionPresent,
    });
    sender.attach(link, remoteLimits(this.settings.remote, connack));
  }

  async #subscribe(
    link: RemoteLink,
    { sessionPresent }: { readonly sessionPresent: boolean },
  ): Promise<void> {
    const { remote, level } = this.settings;
    const all = [...this.#topics.remoteFilters()].map(([filter, qos]): Subscription => ({
      filter,
      qos: lowerQos(qos, remote.qosMax),
      ...(level === 5
        ? { noLocal: true, retainAsPublished: true, retainHandling: sessionPresent ? 1 : 0 }
        : {}),
    }));
    const size = remote.filtersPerSubscribeMax;
    for (let at = 0; at < all.length; at += size) {
      const subscriptions = all.slice(at, at + size);
      const granted = await link.subscribe({ type: "subscribe", id: this.#nextId(), subscriptions });
      for (const [index, { filter }] of subscriptions.entries()) {
        const code = granted[index] ?? SUBACK_FAILURE;
        if (code < SUBACK_FAILURE) continue;
        this.#lastError = `the remote does not grant ${filter}: ${codeText(code)}`;
        this.#host.log.warn("mqtt bridge is not granted a topic", {
          bridge: this.settings.name,
          filter,
          code,
        });
      }
    }
  }

  #nextId(): number {
    return (this.#lastId = (this.#lastId % 65_535) + 1);
  }

  /** A fault that may come with each message is told a few times and counted after that. */
  #tell(text: string, fields: Readonly<Record<string, unknown>>): void {
    this.#lastError = text;
    this.#skipsTold += 1;
    if (this.#skipsTold <= 10 || this.#skipsTold % 1_000 === 0)
      this.#host.log.warn(`mqtt bridge: ${text}`, {
        bridge: this.settings.name,
        times: this.#skipsTold,
        ...fields,
      });
  }
}

/** Rejects when the signal aborts first. */
export function unlessAborted<Result>(work: Promise<Result>, signal: AbortSignal): Promise<Result> {
  return new Promise((resolve, reject) => {
    const stop = (): void => reject(signal.reason as Error);
    if (signal.aborted) stop();
    signal.addEventListener("abort", stop, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
  });
}
