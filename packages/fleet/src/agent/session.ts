import { every } from "@cortado/std/clock";
import { StatusError, httpCodes, type StatusReason } from "@cortado/std/status";
import { decodeFrame, encodeFrame } from "../protocol/frames.ts";
import { Streams } from "../protocol/streams.ts";
import { PROTOCOL, type AgentLink, type FromHub, type Welcome } from "../protocol/protocol.ts";
import type { BundleWork } from "./bundle-work.ts";
import type { EventSender } from "./event-sender.ts";
import type { IdentityStore } from "./identity.ts";
import { PONG_MS_MAX, SILENT_BEATS_MAX, WANT_AFTER_MS, WANT_MAX, WELCOME_MS_MAX } from "./limits.ts";
import type { StatusOutbox } from "./outbox.ts";
import { OwnValues } from "./own-values.ts";
import type { AgentPorts } from "./ports.ts";

export type SessionOptions = {
  readonly ports: AgentPorts;
  /** Where the agent's own Secrets and the accounts of bundles are. */
  readonly namespace: string;
  readonly identity: IdentityStore;
  readonly work: BundleWork;
  readonly outbox: StatusOutbox;
  readonly events: EventSender | undefined;
  readonly versions: { readonly agent: string; readonly kubernetes: string };
  readonly welcomed: () => void;
  /** Something came from the hub, at this time of the monotonic clock. */
  readonly heard: (ms: number) => void;
  readonly signal: AbortSignal;
};

/** How a connection ended: the hub asked to come back in so long, or it broke. */
export type SessionEnd = { readonly sleepMs: number | undefined };

/** Speaks with the hub over one connection until it ends. @throws StatusError as the hub's refusal says, or what broke */
export async function runSession(link: AgentLink, options: SessionOptions): Promise<SessionEnd> {
  await using session = new Session(link, options);
  return await session.run();
}

class Session implements AsyncDisposable {
  readonly #link: AgentLink;
  readonly #options: SessionOptions;
  readonly #streams: Streams;
  readonly #stop: AbortController = new AbortController();
  readonly #stack: DisposableStack = new DisposableStack();
  readonly #values: OwnValues;
  readonly #asked: Set<string> = new Set();
  /** Before the hub has said all that it wants to say, nothing is asked of it. */
  #isListening = true;
  #isWelcome = false;
  #failure: unknown;
  #patience: Disposable | undefined;
  #answer: Disposable | undefined;
  #heardMs = 0;
  #heardBytes = 0;
  #heardCount = 0;

  constructor(link: AgentLink, options: SessionOptions) {
    this.#link = link;
    this.#options = options;
    const { serveStream: accept } = options.ports;
    const streams = { carrier: link, remote: "the hub", ...(accept === undefined ? {} : { accept }) };
    this.#streams = this.#stack.use(new Streams(streams));
    const { ports, namespace } = options;
    const { signal } = this.#stop;
    this.#values = this.#stack.use(
      new OwnValues({ ports, namespace, signal, send: (values) => link.send(values) }),
    );
  }

  async run(): Promise<SessionEnd> {
    const { identity, work, versions, ports, signal } = this.#options;
    const end = (): void => void this.#link[Symbol.asyncDispose]();
    signal.addEventListener("abort", end, { once: true });
    this.#stack.defer(() => signal.removeEventListener("abort", end));
    const { session, revision: after } = identity.current;
    const has = work.applied;
    const knows = ["kept", "values"] as const;
    await this.#link.send({ type: "hello", protocol: PROTOCOL, session, after, has, versions, knows });
    this.#stack.use(
      ports.clock.after(WELCOME_MS_MAX, () => {
        if (!this.#isWelcome)
          this.#fail(new StatusError("Timeout", "the hub took the call and said nothing"));
      }),
    );
    for await (const message of this.#link.messages()) {
      this.#heard();
      if (message instanceof Uint8Array) await this.#takeBytes(message);
      else if (message.type === "sleep") return { sleepMs: message.ms };
      else await this.#take(message);
    }
    if (this.#failure !== undefined) throw this.#failure as Error;
    return { sleepMs: undefined };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error("the connection ended"));
    this.#options.outbox.disconnect();
    this.#options.work.desk.onMissing(() => undefined);
    this.#patience?.[Symbol.dispose]();
    this.#answer?.[Symbol.dispose]();
    this.#stack.dispose();
    await this.#link[Symbol.asyncDispose]();
  }

  #fail(error: unknown): void {
    this.#failure ??= error;
    void this.#link[Symbol.asyncDispose]();
  }

  async #take(message: Exclude<FromHub, { readonly type: "sleep" }>): Promise<void> {
    const { outbox, events, work } = this.#options;
    if (message.type === "refusal") throw refusalError(message.reason, message.message);
    if (message.type === "welcome") return await this.#welcome(message);
    if (!this.#isWelcome)
      throw new StatusError("BadRequest", `the hub said ${message.type} before it said welcome`);
    switch (message.type) {
      case "needs":
        return this.#values.need(message);
      case "desired":
        return await this.#desired(message);
      case "statusAck":
        return outbox.acknowledge(message.sequence);
      case "eventsAck":
        return events?.acknowledge(message.through);
      case "noChunk":
        // A bundle that is told anew may have it: the hub is asked again then, and not before.
        this.#asked.delete(message.sha256);
        return work.desk.refuse(
          message.sha256,
          `the hub has no content ${message.sha256}: ${message.message}`,
        );
      case "open":
      case "close":
      case "grant":
        return this.#streams.take(message);
      case "pong":
        return await this.#want();
      default:
        // A newer hub may say more than we know.
        return this.#options.ports.log.warn("message of the hub is not understood", { message });
    }
  }

  async #takeBytes(message: Uint8Array): Promise<void> {
    const frame = decodeFrame(message);
    if (frame.kind === "beat") return;
    if (frame.kind === "stream") this.#streams.takeBytes(frame.stream, frame.bytes);
    else {
      if (this.#isListening) this.#wantLater();
      await this.#options.work.desk.take(frame.sha256, frame.gzip);
    }
  }

  async #welcome({ session, cluster, heartbeatMs }: Welcome): Promise<void> {
    const { identity, ports, outbox, work, events } = this.#options;
    const { namespace: clusterNamespace, name: clusterName } = cluster;
    await identity.write({ session, clusterNamespace, clusterName });
    this.#isWelcome = true;
    this.#stack.use(every(ports.clock, heartbeatMs, () => this.#beat(heartbeatMs)));
    outbox.connect((status) => this.#link.send(status));
    work.desk.forgive();
    work.desk.onMissing(() => {
      if (!this.#isListening) void this.#want().catch((error: unknown) => this.#fail(error));
    });
    this.#listen();
    this.#options.welcomed();
    events
      ?.run((batch) => this.#link.send({ type: "events", events: batch }), this.#stop.signal)
      .catch((error: unknown) => {
        if (!this.#stop.signal.aborted) this.#fail(error);
      });
  }

  async #desired(message: Extract<FromHub, { readonly type: "desired" }>): Promise<void> {
    const { identity, work } = this.#options;
    this.#isListening = true;
    this.#patience?.[Symbol.dispose]();
    await work.take(message);
    await identity.write({ revision: message.revision });
    this.#listen();
  }

  /** Messages keep their order: when the hub answers this, it has sent what it had to send. */
  #listen(): void {
    this.#isListening = true;
    this.#say({ type: "ping" });
    this.#wantLater();
  }

  /** A hub that does not answer and sends nothing more is asked all the same. */
  #wantLater(): void {
    this.#patience?.[Symbol.dispose]();
    this.#patience = this.#options.ports.clock.after(WANT_AFTER_MS, () => {
      void this.#want().catch((error: unknown) => this.#fail(error));
    });
  }

  async #want(): Promise<void> {
    this.#isListening = false;
    this.#patience?.[Symbol.dispose]();
    const chunks = this.#options.work.desk.missing.filter((hash) => !this.#asked.has(hash));
    for (const hash of chunks) this.#asked.add(hash);
    for (let at = 0; at < chunks.length; at += WANT_MAX)
      await this.#link.send({ type: "want", chunks: chunks.slice(at, at + WANT_MAX) });
  }

  /** Both ends hear of a line that is dead only by what does not come. */
  #beat(heartbeatMs: number): void {
    this.#look();
    const silentMs = this.#options.ports.clock.monotonicMs() - this.#heardMs;
    if (silentMs > heartbeatMs * SILENT_BEATS_MAX)
      this.#fail(
        new StatusError("Timeout", `nothing was heard of the hub for ${Math.round(silentMs / 1_000)} s`),
      );
    else {
      this.#link.sendBytes(encodeFrame({ kind: "beat" })).catch((error: unknown) => this.#fail(error));
      this.#awaitAnswer();
    }
  }

  /** A part of a message is a sign of life too. */
  #look(): void {
    const { heardBytes = 0 } = this.#link;
    if (heardBytes > this.#heardBytes) this.#heard();
    this.#heardBytes = heardBytes;
  }

  #heard(): void {
    this.#heardMs = this.#options.ports.clock.monotonicMs();
    this.#options.heard(this.#heardMs);
    this.#heardCount += 1;
  }

  /** Whatever the hub says is an answer. */
  #awaitAnswer(): void {
    const before = this.#heardCount;
    this.#answer?.[Symbol.dispose]();
    this.#answer = this.#options.ports.clock.after(PONG_MS_MAX, () => {
      this.#look();
      if (this.#heardCount === before)
        this.#fail(new StatusError("Timeout", `the hub has not answered for ${PONG_MS_MAX / 1_000} s`));
    });
  }

  #say(message: { readonly type: "ping" }): void {
    this.#link.send(message).catch((error: unknown) => this.#fail(error));
  }
}

function refusalError(reason: string, message: string): StatusError {
  const known = Object.hasOwn(httpCodes, reason) ? (reason as StatusReason) : "Forbidden";
  return new StatusError(known, `the hub refuses this store: ${message}`);
}
