import {
  connectMqtt,
  forgetSession,
  type ConnectMqttOptions,
  type MqttClient,
  type MqttMessage,
} from "@cortado/mqtt/client";

/** How all sessions of functions reach the broker. */
export type SessionHost = Pick<ConnectMqttOptions, "dial" | "clock" | "random" | "log">;

export type FunctionSessionOptions = {
  readonly host: SessionHost;
  readonly clientId: string;
  /** What the session on the broker holds from the last time; the function may have changed since. Undefined: there is none. */
  readonly filters: readonly string[] | undefined;
  /** The signal aborts when the session ends: nobody wants the message any more, or we are being stopped. */
  readonly onMessage: (message: MqttMessage, signal: AbortSignal) => void;
  /** What the session holds, before and after it is changed; resolves when that is durable. Undefined: there is none. */
  readonly held: (filters: readonly string[] | undefined) => Promise<void>;
};

/** The durable session of one function, with a window of its own: what one function does not take holds up no other. */
export class FunctionSession implements AsyncDisposable {
  readonly #options: FunctionSessionOptions;
  readonly #stop: AbortController = new AbortController();
  #client: MqttClient | undefined;
  #life: AbortController = new AbortController();
  #subscribed: ReadonlySet<string>;
  /** The broker may have lost its disk, whatever our file says: the first time everything is subscribed. */
  #isFirst = true;
  #wanted: readonly string[] = [];
  /** The broker may have it. */
  #isThere: boolean;
  #running: Promise<void> = Promise.resolve();

  constructor(options: FunctionSessionOptions) {
    this.#options = options;
    this.#subscribed = new Set(options.filters);
    this.#isThere = options.filters !== undefined;
  }

  get isWanted(): boolean {
    return this.#wanted.length > 0;
  }

  /** Subscribes to these and to nothing else; without any the session ends, with what waits in it. */
  update(wanted: readonly string[]): Promise<void> {
    this.#wanted = wanted;
    const update = this.#running.then(async () => {
      if (this.#stop.signal.aborted) return;
      // The newest wish, by the first of several updates.
      if (this.isWanted) await this.#subscribe(this.#wanted);
      else if (this.#isThere) await this.#forget();
    });
    this.#running = update.catch(() => undefined);
    return update;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const one of [this.#stop, this.#life]) one.abort(new Error("functions are being stopped"));
    await this.#client?.[Symbol.asyncDispose]();
    await this.#running;
  }

  async #subscribe(wanted: readonly string[]): Promise<void> {
    const { host, clientId, onMessage, held } = this.#options;
    const missing = wanted.filter((filter) => !this.#subscribed.has(filter));
    const superfluous = [...this.#subscribed].filter((filter) => !wanted.includes(filter));
    if (missing.length === 0 && superfluous.length === 0 && !this.#isFirst) return;
    this.#isThere = true;
    if (missing.length > 0) await held([...this.#subscribed, ...missing]);
    if (this.#stop.signal.aborted) return;
    const { signal } = this.#life;
    this.#client ??= connectMqtt({
      ...host,
      ...{ stamped: true, clientId, cleanSession: false },
      onMessage: (message) => onMessage(message, signal),
    });
    // All of them: the client must know them, should the broker forget its session.
    if (missing.length > 0 || this.#isFirst)
      await this.#client.subscribe(wanted.map((filter) => ({ filter, qos: 1 })));
    this.#isFirst = false;
    if (superfluous.length > 0) await this.#client.unsubscribe(superfluous);
    this.#subscribed = new Set(wanted);
    if (superfluous.length > 0) await held(wanted);
  }

  async #forget(): Promise<void> {
    const { host, clientId, held } = this.#options;
    await this.#client?.[Symbol.asyncDispose]();
    this.#client = undefined;
    this.#life.abort(new Error("the function has gone"));
    this.#life = new AbortController();
    await forgetSession({ ...host, clientId, signal: this.#stop.signal });
    this.#subscribed = new Set();
    this.#isFirst = true;
    this.#isThere = false;
    await held(undefined);
  }
}
