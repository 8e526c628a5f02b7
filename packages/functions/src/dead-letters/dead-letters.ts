import type { Client, Stored } from "@cortado/client";
import { startInformer, type Informer, type Key } from "@cortado/client/informer";
import { done, startLoop, type Loop, type LoopMetrics, type Outcome } from "@cortado/client/loop";
import type { DeadLetter } from "@cortado/kinds";
import { deadLetters } from "@cortado/kinds/resources";
import type { Clock } from "@cortado/std/clock";
import type { Log } from "@cortado/std/log";
import { hasReason, messageOf } from "@cortado/std/status";
import { eventNameOf, type Callable, type Event } from "../invoke.ts";
import type { Answer } from "../runtime/interpreter.ts";
import {
  eventOf,
  failureOf,
  faultOf,
  messageOfLetter,
  specOf,
  type Failure,
  type Triggering,
} from "./letter.ts";
import { surplusOf } from "./surplus.ts";

export const REPLAY_ANNOTATION = "cortado.local/replay";

export type DeadLettersOptions = {
  readonly client: Client;
  readonly clock: Clock;
  readonly log: Log;
  readonly loopMetrics: LoopMetrics;
  /** When `find` knows all functions: a replay before that would fail for nothing. */
  readonly ready: Promise<unknown>;
  readonly find: (key: Key) => Callable | undefined;
  readonly invoke: (
    callable: Callable,
    event: Event,
    options: { readonly signal: AbortSignal },
  ) => Promise<Answer>;
};

/** Whose message it was. */
export type Addressee = { readonly name: string; readonly namespace: string };

type Letter = Stored<DeadLetter>;
type Counts = { replayed: number; evicted: number };

/**
 * Messages given up, as objects of the API: durable there before the broker is told that the message is dealt with. Who annotates one
 * has it replayed: called once more, and gone when the function answers well. Who deletes one has dropped it.
 */
export class DeadLetters implements AsyncDisposable {
  readonly #options: DeadLettersOptions;
  readonly #stop: AbortController = new AbortController();
  readonly #informer: Informer<DeadLetter>;
  readonly #replays: Loop;
  readonly #bounds: Loop;
  /** Replayed well and deleted; the cache may still show them. */
  readonly #gone: Set<string> = new Set();
  readonly counts: Counts = { replayed: 0, evicted: 0 };

  constructor(options: DeadLettersOptions) {
    this.#options = options;
    const { client, clock, log, loopMetrics: metrics } = options;
    const { signal } = this.#stop;
    this.#informer = startInformer(client, deadLetters, { clock, log, signal });
    const ready = Promise.all([this.#informer.synced, options.ready]);
    const common = { clock, log, metrics, signal, ready };
    this.#replays = startLoop({
      ...common,
      name: "dead-letter-replay",
      workers: 2,
      reconcile: (key, waiting) => this.#replay(key, waiting),
      keys: () => [...this.#informer.list()].filter(isAsked).map(keyOf),
    });
    this.#bounds = startLoop({
      ...common,
      name: "dead-letter-bounds",
      reconcile: (_key, waiting) => this.#keepBounds(waiting),
      keys: () => ["all"],
    });
    this.#informer.subscribe(({ key, old, now }) => {
      if (now === undefined) this.#gone.delete(old?.metadata.uid ?? "");
      else if (isAsked(now)) this.#replays.add(key);
      if (old === undefined) this.#bounds.add("all");
    });
  }

  get synced(): Promise<void> {
    return this.#informer.synced;
  }

  get size(): number {
    return this.#informer.size;
  }

  /** Whether a message was given up for this function already: it came again as its acknowledgement got lost. */
  has({ name, namespace }: Addressee, message: Triggering): boolean {
    return this.#informer.get(`${namespace}/${eventNameOf(name, message.id)}`) !== undefined;
  }

  /** Resolves when the letter would survive a power cut. Again for the same message it is the same letter. */
  async keep(
    { name, namespace }: Addressee,
    { message, failure, signal }: { message: Triggering; failure: Failure; signal: AbortSignal },
  ): Promise<void> {
    const metadata = { name: eventNameOf(name, message.id), namespace, labels: { faas_function: name } };
    const spec = specOf(name, message, failure);
    try {
      await this.#options.client.create(deadLetters, { metadata, spec }, { namespace, signal });
    } catch (error) {
      if (!hasReason(error, "AlreadyExists")) throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error("functions are being stopped"));
    await Promise.all([this.#replays.idle(), this.#bounds.idle()]);
  }

  async #replay(key: Key, { signal }: { readonly signal: AbortSignal }): Promise<Outcome> {
    const letter = this.#informer.get(key);
    if (letter === undefined || !isAsked(letter) || this.#gone.has(letter.metadata.uid)) return done;
    const { find, invoke, log } = this.#options;
    const { function: name, tries, messageId: call, topic } = letter.spec;
    const callable = find(`${letter.metadata.namespace}/${name}`);
    let lastError: string;
    try {
      const answer =
        callable === undefined
          ? undefined
          : await invoke(callable, eventOf(messageOfLetter(letter.spec)), { signal });
      if (answer !== undefined && answer.status < 300) {
        await this.#delete(letter, signal);
        this.#gone.add(letter.metadata.uid);
        this.counts.replayed += 1;
        log.info("dead letter replayed", { letter: key, function: name, topic, call });
        return done;
      }
      lastError = answer === undefined ? `function ${name} cannot be called; deploy it` : faultOf(answer);
    } catch (error) {
      // Its queue is full, or we are being stopped: the wish stands.
      if (signal.aborted || hasReason(error, "TooManyRequests")) throw error;
      lastError = messageOf(error);
    }
    log.warn("replay of a dead letter failed", { letter: key, function: name, topic, call, lastError });
    await this.#fail(letter, { tries: tries + 1, lastError, signal });
    return done;
  }

  /** The wish is done with: whoever wants another try asks anew. */
  async #fail(
    letter: Letter,
    { tries, lastError, signal }: { tries: number; lastError: string; signal: AbortSignal },
  ): Promise<void> {
    const { client, clock } = this.#options;
    const { name, namespace = "" } = letter.metadata;
    const body = {
      metadata: { annotations: { [REPLAY_ANNOTATION]: null } },
      spec: failureOf({ tries, lastError, nowMs: clock.nowMs() }),
    };
    try {
      const { metadata } = await client.patch(deadLetters, { name, namespace, type: "merge", body, signal });
      await this.#informer.seen(metadata.resourceVersion);
    } catch (error) {
      if (!hasReason(error, "NotFound")) throw error; // dropped meanwhile
    }
  }

  async #keepBounds({ signal }: { readonly signal: AbortSignal }): Promise<Outcome> {
    const going = surplusOf([...this.#informer.list()]) as readonly Letter[];
    for (const letter of going) {
      if (!(await this.#delete(letter, signal))) continue;
      this.counts.evicted += 1;
      this.#options.log.error("dead letter dropped: too many are kept", {
        letter: keyOf(letter),
        topic: letter.spec.topic,
        arrivedAt: letter.spec.arrivedAt,
        kept: this.size,
      });
    }
    return done;
  }

  /** False when it had gone. */
  async #delete({ metadata }: Letter, signal: AbortSignal): Promise<boolean> {
    const { name, namespace = "", uid } = metadata;
    try {
      await this.#options.client.delete(deadLetters, { name, namespace, preconditions: { uid }, signal });
      return true;
    } catch (error) {
      if (!hasReason(error, "NotFound", "Conflict")) throw error;
      return false;
    }
  }
}

function isAsked({ metadata }: DeadLetter): boolean {
  return metadata.annotations?.[REPLAY_ANNOTATION] !== undefined;
}

function keyOf({ metadata }: DeadLetter): Key {
  return `${metadata.namespace ?? ""}/${metadata.name}`;
}
