import type { Clock } from "@cortado/std/clock";

export const claims = {
  writes: "no acknowledged write is lost",
  updates: "no update of a counter is lost or made twice",
  growth: "revisions only grow",
  once: "no revision is used twice",
  watches: "watches miss nothing and repeat nothing",
  pods: "there is one pod of a name",
  messages: "no acknowledged message is lost, and their order is kept",
  events: "no acknowledged event is lost or counted twice",
  rest: "a store that is left alone comes to rest as it was told to be",
  converge: "a chain that is left alone comes to what Git says, or says why not",
  prune: "nothing is pruned by accident",
  counts: "what the hub counts is what the stores have",
  waves: "a release touches no more stores than its open waves",
  central: "every event of a store is at the hub exactly once",
  work: "nothing fails on its own",
} as const;

export type ClaimName = keyof typeof claims;

export type Broken = {
  readonly claim: ClaimName;
  readonly store: string;
  readonly atMs: number;
  readonly detail: string;
};

/** What the checkers found: the first broken claim ends a simulation. */
export class Claims {
  readonly #clock: Clock;
  broken: Broken | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Records a broken claim; only the first counts, as the rest follows from it. */
  fail(claim: ClaimName, store: string, detail: string): void {
    this.broken ??= { claim, store, atMs: this.#clock.monotonicMs(), detail };
  }

  check(
    holds: boolean,
    claim: ClaimName,
    say: () => { readonly store: string; readonly detail: string },
  ): void {
    if (holds) return;
    const { store, detail } = say();
    this.fail(claim, store, detail);
  }
}
