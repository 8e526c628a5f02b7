import type { MqttMessage } from "@cortado/mqtt/client";
import { backoffMs } from "@cortado/std/backoff";
import type { Clock } from "@cortado/std/clock";
import type { Log } from "@cortado/std/log";
import type { Random } from "@cortado/std/random";
import { hasReason, messageOf } from "@cortado/std/status";
import { filterMatches } from "@cortado/wire/mqtt";
import type { Addressee, DeadLetters } from "../dead-letters/dead-letters.ts";
import { eventOf, faultOf } from "../dead-letters/letter.ts";
import type { Callable, Event } from "../invoke.ts";
import type { Answer } from "../runtime/interpreter.ts";
import { LETTER_RETRY_FIRST_MS, LETTER_RETRY_MAX_MS, TRIGGER_RETRY_FIRST_MS } from "../limits.ts";

export type DeliveriesOptions = {
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

/** Calls a function for a message until it has answered well, or has failed so often that the message lies as a dead letter. */
export class Deliveries {
  readonly #options: DeliveriesOptions;
  readonly counts: TriggerCounts = { messages: 0, calls: 0, retries: 0, deadLetters: 0 };

  constructor(options: DeliveriesOptions) {
    this.#options = options;
  }

  /** Who wants a message now. */
  addressees({ topic }: MqttMessage): readonly Addressee[] {
    return [...this.#options.callables()]
      .filter(({ definition }) => definition.topics.some((filter) => filterMatches(filter, topic)))
      .map(({ definition }) => definition);
  }

  /** False when the signal has aborted before it came to an end. */
  async deliver(
    addressee: Addressee,
    { message, signal }: { readonly message: MqttMessage; readonly signal: AbortSignal },
  ): Promise<boolean> {
    const { letters, clock, log, random } = this.#options;
    const { name, namespace } = addressee;
    const about = { function: name, namespace, topic: message.topic, call: message.id };
    // It was given up before we were killed; only the broker has not heard of it.
    if (letters.has(addressee, message)) return true;
    for (let attempt = 1; !signal.aborted;) {
      const callable = this.#newest(addressee);
      if (callable === undefined) return true;
      const { tries, longestWaitMs } = callable.definition.retry;
      const failed = await this.#call(callable, { message, signal });
      if (signal.aborted) break;
      if (failed === undefined) return true;
      const { fault } = failed;
      if (failed.counts && attempt >= tries) {
        this.counts.deadLetters += 1;
        log.error("message given up: its function failed again and again", {
          ...about,
          tries: attempt,
          fault,
        });
        await this.#keepLetter(addressee, { message, signal, failure: { tries: attempt, lastError: fault } });
        break;
      }
      this.counts.retries += 1;
      log.warn("function failed for a message; it is called again", { ...about, attempt, fault });
      const waitMs = backoffMs(attempt - 1, {
        firstMs: Math.min(TRIGGER_RETRY_FIRST_MS, longestWaitMs),
        maxMs: longestWaitMs,
        random,
      });
      if (failed.counts) attempt += 1;
      await clock.sleep(waitMs, { signal }).catch(() => undefined);
    }
    return !signal.aborted;
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
    { message, signal }: { readonly message: MqttMessage; readonly signal: AbortSignal },
  ): Promise<{ readonly fault: string; readonly counts: boolean } | undefined> {
    const { invoke } = this.#options;
    try {
      this.counts.calls += 1;
      const answer = await invoke(callable, eventOf(message), { signal });
      return answer.status < 300 ? undefined : { fault: faultOf(answer), counts: true };
    } catch (error) {
      // Its queue is full: that is waiting, not failing.
      return { fault: messageOf(error), counts: !hasReason(error, "TooManyRequests") };
    }
  }

  /** Until the letter is durable the message stays with the broker. */
  async #keepLetter(
    addressee: Addressee,
    {
      message,
      signal,
      failure,
    }: {
      readonly message: MqttMessage;
      readonly signal: AbortSignal;
      readonly failure: { readonly tries: number; readonly lastError: string };
    },
  ): Promise<void> {
    const { letters, clock, log, random } = this.#options;
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
