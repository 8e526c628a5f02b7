import type { Log } from "@cortado/std/log";
import { REPLAY_BROUGHT_MAX, REPLAY_TURN_BATCHES, REPLAYS_AT_ONCE } from "../limits.ts";
import type { Journal } from "../journal/journal.ts";
import type { Message } from "../journal/records.ts";
import type { RetainedReader } from "../retained/reader.ts";
import type { Grant } from "../session/grant.ts";
import type { Registry } from "../session/registry.ts";
import type { Replaying } from "../session/replay-gate.ts";
import { lowerQos, type Outgoing, type Session, type SubscriptionTerms } from "../session/session.ts";
import type { MayRead } from "./access.ts";
import type { Publishing } from "./publishing.ts";

export type ReplaysOptions = {
  readonly log: Log;
  readonly registry: Registry;
  readonly journal: Journal;
  readonly publishing: Publishing;
  /** Absent: each gets what it has subscribed to. */
  readonly mayRead: MayRead | undefined;
};

type Replay = {
  readonly session: Session;
  readonly outbox: Outgoing;
  readonly terms: SubscriptionTerms;
  /** Messages from this sequence on came to the subscription as they were published. */
  readonly since: number;
  readonly reader: RetainedReader;
  readonly gate: Replaying;
  /** Topics whose message was asked for out of its turn, and those of which it went. */
  readonly asked: Set<string>;
  readonly brought: Set<string>;
};

type Outcome = "done" | "turn over" | "no room";

/**
 * Retained messages on their way to new subscriptions. They are read from disk as their client takes them, so that a million for one
 * client cost no memory, by turns, so that it keeps nobody waiting.
 */
export class Replays {
  readonly #options: ReplaysOptions;
  readonly #ready: Replay[] = [];
  #running = 0;

  constructor(options: ReplaysOptions) {
    this.#options = options;
  }

  start(session: Session, terms: SubscriptionTerms): void {
    const { journal, registry } = this.#options;
    const { outbox } = session;
    if (outbox === undefined) return;
    const since = registry.nextSequence;
    const reader = registry.retained.matching(terms.filter);
    const gate = outbox.replayBegins((topic) => this.#bring(replay, topic));
    const replay: Replay = {
      session,
      outbox,
      terms,
      since,
      reader,
      gate,
      asked: new Set(),
      brought: new Set(),
    };
    // What was published before and is still on its way to disk reached no subscription of this client: it must be kept first.
    journal.behind(() => this.#queue(replay));
  }

  /** Something newer comes on a topic: what is retained there, and still to come, goes before it. */
  #bring(replay: Replay, topic: string): Promise<void> | undefined {
    const { retained } = this.#options.registry;
    const { session, terms, since, reader, asked, brought } = replay;
    if (!reader.isAhead(topic) || asked.has(topic) || asked.size >= REPLAY_BROUGHT_MAX) return undefined;
    const newest = retained.inMemory(topic);
    // What took its place came, or comes, as it was published.
    if (newest === undefined ? !retained.mayHold(topic) : newest.sequence >= since) return undefined;
    asked.add(topic);
    return retained.get(topic).then(
      (message) => {
        brought.add(topic);
        if (message === undefined || message.sequence >= since || !isWanted(replay)) return;
        this.#send(message, { session, grant: { ...terms.grant, isRetained: true } });
      },
      (error: unknown) => {
        const { clientId } = session;
        this.#options.log.error("mqtt retained message could not be read", {
          client: clientId,
          topic,
          error,
        });
      },
    );
  }

  #queue(replay: Replay): void {
    this.#ready.push(replay);
    this.#startNext();
  }

  #startNext(): void {
    while (this.#running < REPLAYS_AT_ONCE) {
      const next = this.#ready.shift();
      if (next === undefined) return;
      this.#running += 1;
      void this.#run(next);
    }
  }

  async #run(replay: Replay): Promise<void> {
    const { outbox, reader, session } = replay;
    let outcome: Outcome = "done";
    try {
      outcome = await this.#turn(replay);
    } catch (error) {
      const { clientId } = session;
      this.#options.log.error("mqtt retained messages could not be read", { client: clientId, error });
    }
    reader.rest();
    this.#running -= 1;
    if (outcome === "done") replay.gate.end();
    else replay.gate.begun();
    if (outcome === "turn over") this.#ready.push(replay);
    else if (outcome === "no room") outbox.whenRoom(() => this.#queue(replay));
    this.#startNext();
  }

  async #turn(replay: Replay): Promise<Outcome> {
    const { session, outbox, terms, since, reader, brought } = replay;
    const grant: Grant = { ...terms.grant, isRetained: true };
    for (let batches = 0; batches < REPLAY_TURN_BATCHES; batches += 1) {
      const messages = await reader.next();
      if (messages === undefined || !isWanted(replay)) return "done";
      for (const message of messages)
        if (message.sequence < since && !brought.has(message.topic)) this.#send(message, { session, grant });
      if (!outbox.hasRoom) return "no room";
      await new Promise<void>((resolve) => void setImmediate(resolve));
    }
    return "turn over";
  }

  #send(message: Message, { session, grant }: { readonly session: Session; readonly grant: Grant }): void {
    if (this.#options.mayRead?.(session, message.topic) === false) return;
    // QoS 2 counts once over connections and restarts, so that it needs a place in the journal.
    if (session.persistent && lowerQos(message.qos, grant.qos) === 2)
      this.#options.publishing.publishTo({ sessions: [session], grants: [grant] }, message);
    else session.outbox?.sendRetained(message, grant);
  }
}

/** Whether the client and its subscription are still there. */
function isWanted({ session, outbox, terms }: Replay): boolean {
  return session.outbox === outbox && session.filters.get(terms.filter) === terms;
}
