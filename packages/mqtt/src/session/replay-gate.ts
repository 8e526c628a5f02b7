import { REPLAY_HELD_MAX } from "../limits.ts";

/** What a replay still has on a topic, on its way to the client now; undefined when there is nothing that must go first. */
export type Bring = (topic: string) => Promise<void> | undefined;

/** One replay of retained messages, as the gate has it. */
export interface Replaying {
  /** Its first messages have gone: live ones need not wait for all the rest. */
  readonly begun: () => void;
  readonly end: () => void;
}

type Held = { readonly topic: string; readonly send: () => void };

/**
 * Keeps live messages behind the retained ones of a new subscription, so that on no topic an older value comes after a newer one. It
 * holds them while a replay begins, which is all that most replays are. While one takes longer, a live message waits only for what is
 * retained on its own topic, which is brought out of its turn.
 */
export class ReplayGate {
  readonly #opened: () => void;
  readonly #replays: Map<object, Bring> = new Map();
  readonly #beginning: Set<object> = new Set();
  /** What is brought at the moment. */
  readonly #bringing: Set<object> = new Set();
  #held: Held[] = [];

  /** `opened`: nothing is held any more. */
  constructor(opened: () => void) {
    this.#opened = opened;
  }

  /** Whether live messages wait. */
  get holds(): boolean {
    return this.#beginning.size > 0 || this.#bringing.size > 0;
  }

  /** Whether no replay is under way, and nothing waits for one. */
  get isIdle(): boolean {
    return this.#replays.size === 0 && !this.holds;
  }

  begin(bring: Bring): Replaying {
    const replay: Replaying = {
      begun: () => {
        if (this.#beginning.delete(replay) && !this.holds) this.#release();
      },
      end: () => {
        this.#replays.delete(replay);
        replay.begun();
      },
    };
    this.#replays.set(replay, bring);
    this.#beginning.add(replay);
    return replay;
  }

  /** A live message, to be sent by `send` now or when what is retained has gone before it. */
  pass(topic: string, send: () => void): void {
    const first = this.holds ? undefined : this.#bring(topic);
    if (!this.holds && first === undefined) {
      send();
      return;
    }
    this.#held.push({ topic, send });
    if (first !== undefined) this.#await(first);
    // More do not wait: then an older value may come behind a newer one.
    if (this.#held.length >= REPLAY_HELD_MAX) this.#releaseAll();
  }

  #bring(topic: string): Promise<unknown> | undefined {
    let brought: Promise<void>[] | undefined;
    for (const bring of this.#replays.values()) {
      const one = bring(topic);
      if (one !== undefined) (brought ??= []).push(one);
    }
    return brought === undefined ? undefined : Promise.all(brought);
  }

  #await(first: Promise<unknown>): void {
    const bringing = {};
    this.#bringing.add(bringing);
    void first.finally(() => {
      if (this.#bringing.delete(bringing) && !this.holds) this.#release();
    });
  }

  /** Each has to wait again, if there is something on its topic; the first need not, as that was brought. */
  #release(): void {
    const held = this.#held;
    this.#held = [];
    for (const { topic, send } of held) this.pass(topic, send);
    if (!this.holds) this.#opened();
  }

  #releaseAll(): void {
    this.#beginning.clear();
    this.#bringing.clear();
    const held = this.#held;
    this.#held = [];
    for (const { send } of held) send();
    this.#opened();
  }
}
