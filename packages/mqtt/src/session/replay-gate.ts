import { REPLAY_HELD_MAX, REPLAY_SUPERSEDED_MAX } from "../limits.ts";

/** One replay of retained messages, as the gate has it. */
export interface Replaying {
  /** Something newer came on this topic meanwhile: what is retained would come after it. */
  isSuperseded(topic: string): boolean;
  /** Its first messages have gone: live ones need not wait for all the rest. */
  begun(): void;
  end(): void;
}

/**
 * Keeps live messages behind the retained ones of a new subscription, so that on no topic an older value comes after a newer one. It
 * holds them while a replay begins, which is all that most replays are. Of one that takes longer, topics on which something came
 * meanwhile are left out: their subscriber has what is newer.
 */
export class ReplayGate {
  readonly #opened: () => void;
  readonly #replays: Set<object> = new Set();
  readonly #beginning: Set<object> = new Set();
  #held: (() => void)[] = [];
  readonly #superseded: Set<string> = new Set();

  /** `opened`: nothing is held any more. */
  constructor(opened: () => void) {
    this.#opened = opened;
  }

  /** Whether live messages wait. */
  get holds(): boolean {
    return this.#beginning.size > 0;
  }

  /** Whether no replay is under way. */
  get isIdle(): boolean {
    return this.#replays.size === 0;
  }

  begin(): Replaying {
    const replay: Replaying = {
      isSuperseded: (topic) => this.#superseded.has(topic),
      begun: () => {
        if (this.#beginning.delete(replay) && !this.holds) this.#release();
      },
      end: () => {
        this.#replays.delete(replay);
        replay.begun();
      },
    };
    this.#replays.add(replay);
    this.#beginning.add(replay);
    return replay;
  }

  /** A live message, to be sent by `send` now or when what is retained has gone before it. */
  pass(topic: string, send: () => void): void {
    if (!this.holds) {
      this.#note(topic);
      send();
      return;
    }
    this.#held.push(() => {
      this.#note(topic);
      send();
    });
    if (this.#held.length < REPLAY_HELD_MAX) return;
    this.#beginning.clear();
    this.#release();
  }

  #note(topic: string): void {
    if (!this.isIdle && this.#superseded.size < REPLAY_SUPERSEDED_MAX) this.#superseded.add(topic);
  }

  #release(): void {
    const held = this.#held;
    this.#held = [];
    for (const send of held) send();
    this.#opened();
  }
}
