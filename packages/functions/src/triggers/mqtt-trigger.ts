import { connectMqtt, type MqttClient, type MqttMessage } from "@cortado/mqtt/client";
import { backoffMs } from "@cortado/std/backoff";
import type { Clock } from "@cortado/std/clock";
import type { Files } from "@cortado/std/files";
import type { Log } from "@cortado/std/log";
import type { Connection } from "@cortado/std/net";
import type { Random } from "@cortado/std/random";
import { hasReason, messageOf } from "@cortado/std/status";
import { filterMatches, topicFilterFault } from "@cortado/wire/mqtt";
import type { Addressee, DeadLetters } from "../dead-letters/dead-letters.ts";
import { eventOf, faultOf } from "../dead-letters/letter.ts";
import type { Callable, Event } from "../invoke.ts";
import type { Answer } from "../runtime/interpreter.ts";
import { LETTER_RETRY_FIRST_MS, LETTER_RETRY_MAX_MS, TRIGGER_RETRY_FIRST_MS } from "../limits.ts";

export type MqttTriggerOptions = {
  /** Opens a connection to the broker whose payloads are stamped. */
  readonly dial: () => Connection;
  readonly files: Files;
  readonly folder: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly letters: Pick<DeadLetters, "has" | "keep">;
  /** Every function there is; looked at for each message. */
  readonly callables: () => Iterable<Callable>;
  readonly invoke: (
    callable: Callable,
    event: Event,
    options: { readonly signal: AbortSignal },
  ) => Promise<Answer>;
};

export type TriggerCounts = { messages: number; calls: number; retries: number; deadLetters: number };

const FILTERS_FILE = "mqtt-filters.json";

/**
 * Calls functions for messages, at least once: one durable session holds the filters of all functions, and a message is
 * acknowledged when each function it is for has answered well, or has failed so often that the message lies durably as a dead letter.
 */
export class MqttTrigger implements AsyncDisposable {
  readonly #options: MqttTriggerOptions;
  readonly #stop: AbortController = new AbortController();
  readonly #running: Set<Promise<void>> = new Set();
  #client: MqttClient | undefined;
  #subscribed: Set<string> = new Set();
  #updating: Promise<void> = Promise.resolve();
  /** The broker may have lost its disk, whatever our file says: the first time everything is subscribed. */
  #isFirst = true;
  readonly counts: TriggerCounts = { messages: 0, calls: 0, retries: 0, deadLetters: 0 };

  constructor(options: MqttTriggerOptions) {
    this.#options = options;
  }

  /** Connects. Only when the functions are known: a message for one that is not would be acknowledged for nobody. */
  async start(): Promise<void> {
    const { dial, files, folder, clock, random, log } = this.#options;
    const bytes = await files.read(`${folder}/${FILTERS_FILE}`);
    // What the session on the broker still holds from the last time: functions may have gone since.
    this.#subscribed = new Set(parseFilters(bytes));
    this.#client = connectMqtt({
      dial,
      stamped: true,
      clientId: "cortado-functions",
      cleanSession: false,
      clock,
      random,
      log,
      onMessage: (message) => this.#take(message),
    });
    this.update();
  }

  /** Subscribes to what the functions now want, and to nothing else. */
  update(): void {
    const client = this.#client;
    if (client === undefined || this.#stop.signal.aborted) return;
    this.#updating = this.#updating
      .then(() => this.#updateNow(client))
      .catch((error: unknown) => {
        if (!this.#stop.signal.aborted) this.#options.log.warn("triggers could not be subscribed", { error });
      });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error("functions are being stopped"));
    await this.#client?.[Symbol.asyncDispose]();
    await Promise.allSettled(this.#running);
    await this.#updating;
  }

  async #updateNow(client: MqttClient): Promise<void> {
    const { callables, files, folder, log } = this.#options;
    const wanted = new Set<string>();
    for (const { definition } of callables())
      for (const topic of definition.topics) {
        const fault = topicFilterFault(topic);
        if (fault === undefined) wanted.add(topic);
        else log.warn("topic of a function is no filter", { function: definition.name, topic, fault });
      }
    const missing = [...wanted].filter((filter) => !this.#subscribed.has(filter));
    const superfluous = [...this.#subscribed].filter((filter) => !wanted.has(filter));
    // All of them: the client must know them, should the broker forget its session.
    if (missing.length > 0 || this.#isFirst) await subscribeAll(client, [...wanted]);
    this.#isFirst = false;
    if (superfluous.length > 0) await client.unsubscribe(superfluous);
    if (missing.length === 0 && superfluous.length === 0) return;
    this.#subscribed = wanted;
    await files.makeFolder(folder);
    await files.replace(`${folder}/${FILTERS_FILE}`, new TextEncoder().encode(JSON.stringify([...wanted])));
  }

  #take(message: MqttMessage): void {
    // A retained message that a new subscription brings is no news, and would fire at every start.
    if (message.retain) {
      message.ack();
      return;
    }
    this.counts.messages += 1;
    const running = this.#serve(message).finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  async #serve(message: MqttMessage): Promise<void> {
    const matching = [...this.#options.callables()].filter(({ definition }) =>
      definition.topics.some((filter) => filterMatches(filter, message.topic)),
    );
    await Promise.all(matching.map((callable) => this.#callUntilDone(callable, message)));
    if (!this.#stop.signal.aborted) message.ack();
  }

  async #callUntilDone({ definition: first }: Callable, message: MqttMessage): Promise<void> {
    const { letters, clock, log, random } = this.#options;
    const { signal } = this.#stop;
    const about = {
      function: first.name,
      namespace: first.namespace,
      topic: message.topic,
      call: message.id,
    };
    // It was given up before we were killed; only the broker has not heard of it.
    if (letters.has(first, message)) return;
    for (let attempt = 1; !signal.aborted;) {
      const callable = this.#newest(first);
      if (callable === undefined) return;
      const { tries, longestWaitMs } = callable.definition.retry;
      const failed = await this.#call(callable, message);
      if (failed === undefined || signal.aborted) return;
      if (failed.counts && attempt >= tries) {
        this.counts.deadLetters += 1;
        log.error("message given up: its function failed again and again", {
          ...about,
          tries: attempt,
          fault: failed.fault,
        });
        await this.#keepLetter(first, message, { tries: attempt, lastError: failed.fault });
        return;
      }
      this.counts.retries += 1;
      log.warn("function failed for a message; it is called again", {
        ...about,
        attempt,
        fault: failed.fault,
      });
      const waitMs = backoffMs(attempt - 1, {
        firstMs: Math.min(TRIGGER_RETRY_FIRST_MS, longestWaitMs),
        maxMs: longestWaitMs,
        random,
      });
      if (failed.counts) attempt += 1;
      await clock.sleep(waitMs, { signal }).catch(() => undefined);
    }
  }

  /** Its newest version: the old one may be what failed. Gone means nobody wants the message any more. */
  #newest({ name, namespace }: Addressee): Callable | undefined {
    return [...this.#options.callables()].find(
      ({ definition }) => definition.name === name && definition.namespace === namespace,
    );
  }

  /** Undefined when the function answered well. */
  async #call(
    callable: Callable,
    message: MqttMessage,
  ): Promise<{ readonly fault: string; readonly counts: boolean } | undefined> {
    try {
      this.counts.calls += 1;
      const answer = await this.#options.invoke(callable, eventOf(message), {
        signal: this.#stop.signal,
      });
      return answer.status < 300 ? undefined : { fault: faultOf(answer), counts: true };
    } catch (error) {
      // Its queue is full: that is waiting, not failing.
      return { fault: messageOf(error), counts: !hasReason(error, "TooManyRequests") };
    }
  }

  /** Until the letter is durable the message stays with the broker. */
  async #keepLetter(
    addressee: Addressee,
    message: MqttMessage,
    failure: { readonly tries: number; readonly lastError: string },
  ): Promise<void> {
    const { letters, clock, log, random } = this.#options;
    const { signal } = this.#stop;
    for (let attempt = 0; !signal.aborted && this.#newest(addressee) !== undefined; attempt += 1) {
      try {
        await letters.keep(addressee, { message, failure: { ...failure, nowMs: clock.nowMs() }, signal });
        return;
      } catch (error) {
        if (signal.aborted) return;
        log.warn("dead letter could not be written; its message stays with the broker", {
          function: addressee.name,
          namespace: addressee.namespace,
          call: message.id,
          error,
        });
      }
      const waitMs = backoffMs(attempt, {
        firstMs: LETTER_RETRY_FIRST_MS,
        maxMs: LETTER_RETRY_MAX_MS,
        random,
      });
      await clock.sleep(waitMs, { signal }).catch(() => undefined);
    }
  }
}

async function subscribeAll(client: MqttClient, filters: readonly string[]): Promise<void> {
  if (filters.length > 0) await client.subscribe(filters.map((filter) => ({ filter, qos: 1 })));
}

function parseFilters(bytes: Uint8Array | undefined): readonly string[] {
  try {
    const value = JSON.parse(new TextDecoder().decode(bytes ?? new TextEncoder().encode("[]"))) as unknown;
    return Array.isArray(value) ? value.filter((one) => typeof one === "string") : [];
  } catch {
    return []; // a filter too many on the broker brings messages that match no function, and are acknowledged
  }
}
