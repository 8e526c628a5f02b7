import { connectMqtt, forgetSession, type MqttMessage } from "@cortado/mqtt/client";
import type { Files } from "@cortado/std/files";
import { filterMatches } from "@cortado/wire/mqtt";
import type { SessionHost } from "./function-session.ts";

/** The client id of the one session that all functions shared once. */
const CLIENT_ID = "cortado-functions";
/** Where its filters are; the file is there as long as the session may be. */
const FILTERS_FILE = "mqtt-filters.json";
/** Behind all that the session holds comes a message of our own; a topic with a `$` is seen by no wildcard of others. */
const MARKER_TOPIC = "$cortado/functions/taken-over";

/** What the old session has delivered, or still will: each message of these filters up to this one. */
export type Taken = {
  readonly broker: string;
  readonly through: number;
  readonly filters: readonly string[];
};

export type OldSessionOptions = {
  readonly host: SessionHost;
  readonly files: Files;
  readonly folder: string;
  readonly filters: readonly string[];
  readonly taken: Taken | undefined;
  /** Resolves when it is durable. */
  readonly note: (taken: Taken) => Promise<void>;
  /** False when it has not come to an end, as everything is being stopped. */
  readonly serve: (message: MqttMessage) => Promise<boolean>;
  readonly signal: AbortSignal;
};

/** The filters of the old session; undefined when there is none. */
export async function oldFilters(files: Files, folder: string): Promise<readonly string[] | undefined> {
  const bytes = await files.read(`${folder}/${FILTERS_FILE}`);
  if (bytes === undefined) return undefined;
  try {
    const value = JSON.parse(new TextDecoder().decode(bytes)) as unknown;
    return Array.isArray(value) ? value.filter((one) => typeof one === "string") : [];
  } catch {
    return [];
  }
}

/** Whether the old session has the message: whoever gets it from a session of its own as well must not take it twice. */
export function isTaken(taken: Taken | undefined, { id, sequence, topic }: MqttMessage): boolean {
  return (
    taken !== undefined &&
    sequence > 0 &&
    sequence <= taken.through &&
    brokerOf(id) === taken.broker &&
    taken.filters.some((filter) => filterMatches(filter, topic))
  );
}

/**
 * Empties the session that all functions shared before each had its own, which must be subscribed already: so nothing is lost. What lies in
 * both is told by its sequence, durably before the old session lets go of it: so nothing comes twice, however often we are killed in
 * between.
 */
export class OldSession {
  readonly #options: OldSessionOptions;
  readonly #running: Set<Promise<void>> = new Set();
  #taken: Taken | undefined;
  #noting: Promise<void> = Promise.resolve();
  #isNoted = true;
  #marker = "";
  readonly #seen: PromiseWithResolvers<void> = Promise.withResolvers();

  constructor(options: OldSessionOptions) {
    this.#options = options;
    this.#taken = options.taken;
  }

  /**
   * `silent`: it gets nothing new from here on. `delivered`: all that it holds has come and `taken` is what it is in the end; some of it
   * may still be served. Resolves when the session is gone.
   */
  async takeOver({ silent, delivered }: { silent(): void; delivered(): void }): Promise<void> {
    const { host, files, folder, filters, signal } = this.#options;
    const client = connectMqtt({
      ...host,
      ...{ stamped: true, clientId: CLIENT_ID, cleanSession: false },
      onMessage: (message) => this.#take(message),
    });
    const stop = (): void => {
      this.#seen.reject(signal.reason as Error);
      void client[Symbol.asyncDispose]();
    };
    signal.addEventListener("abort", stop, { once: true });
    try {
      await using _client = client;
      await client.subscribe([{ filter: MARKER_TOPIC, qos: 1 }]);
      if (filters.length > 0) await client.unsubscribe(filters);
      silent();
      this.#marker = host.random.uuid();
      const payload = new TextEncoder().encode(this.#marker);
      await Promise.all([this.#seen.promise, client.publish({ topic: MARKER_TOPIC, payload, qos: 1 })]);
      await this.#noted();
      delivered();
      while (this.#running.size > 0) await Promise.all(this.#running);
    } finally {
      signal.removeEventListener("abort", stop);
    }
    signal.throwIfAborted();
    await forgetSession({ ...host, clientId: CLIENT_ID, signal });
    await files.remove(`${folder}/${FILTERS_FILE}`);
  }

  #take(message: MqttMessage): void {
    if (message.topic === MARKER_TOPIC) {
      message.ack();
      if (new TextDecoder().decode(message.payload) === this.#marker) this.#seen.resolve();
      return;
    }
    const { sequence, id } = message;
    const broker = brokerOf(id);
    if (sequence > 0 && (this.#taken?.broker !== broker || this.#taken.through < sequence)) {
      this.#taken = { broker, through: sequence, filters: this.#options.filters };
      this.#isNoted = false;
    }
    const running = this.#serve(message)
      .catch(() => undefined) // everything is being stopped, and the message stays
      .finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  async #serve(message: MqttMessage): Promise<void> {
    const isServed = await this.#options.serve(message);
    if (!isServed) return;
    await this.#noted();
    message.ack();
  }

  /** Resolves when all that came up to now is noted durably; several that wait are noted together. */
  #noted(): Promise<void> {
    this.#noting = this.#noting.then(async () => {
      if (this.#isNoted || this.#taken === undefined) return;
      this.#isNoted = true;
      await this.#options.note(this.#taken);
    });
    return this.#noting;
  }
}

function brokerOf(id: string): string {
  return id.slice(0, id.lastIndexOf("-"));
}
