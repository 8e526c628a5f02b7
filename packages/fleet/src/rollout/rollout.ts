import type { RolloutStrategy } from "../compile/bundle.ts";

/** One store as a rollout sees it. */
export type RolloutStore = {
  /** `namespace/name`; the order of waves is by this. */
  readonly key: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Heard within the limit. A dark store neither blocks nor fails a wave. */
  readonly isHeard: boolean;
  /** The generation that it may run now; 0: none yet. */
  readonly released: number;
  /** The generation that it has applied and that is Ready; 0: none. */
  readonly ready: number;
  /** Why it is not Ready, for the story. */
  readonly message: string;
};

export type RolloutControl = {
  readonly isPaused: boolean;
  /** Opens all waves of this generation. */
  readonly promote: number | undefined;
  /** Gives this generation up: its stores go back. */
  readonly abort: number | undefined;
};

/** The inputs that later issues fill: windows, gates, budgets. Empty: nothing holds back. */
export type RolloutGates = { readonly closed: readonly { readonly name: string; readonly reason: string }[] };

/** What is kept of a rollout between two looks: a row of the bundle. */
export type RolloutRecord = {
  /** Counts the changes of what is wanted. */
  readonly generation: number;
  /** The last generation that all stores were allowed: where an abort goes back to; 0: none. */
  readonly base: number;
  /** How many waves are open. */
  readonly open: number;
  /** When the newest wave was opened, milliseconds since 1970. */
  readonly openedAtMs: number;
  readonly phase: "Progressing" | "Halted" | "Paused" | "Aborted" | "Complete";
  /** Stores of each wave, by key, as planned when the generation began; a new store joins the last. */
  readonly reason: string;
};

export type RolloutInput = {
  readonly record: RolloutRecord;
  readonly stores: readonly RolloutStore[];
  readonly strategy: RolloutStrategy | undefined;
  readonly control: RolloutControl;
  readonly gates: RolloutGates;
  /** Fleet's partitions and their quirks instead of canary and waves. */
  readonly isStrict: boolean;
  /** How long a store of a wave may take until it is Ready. */
  readonly deadlineMs: number;
  readonly nowMs: number;
};

export type Wave = {
  readonly name: string;
  readonly stores: number;
  readonly ready: number;
  readonly dark: number;
  readonly waiting: number;
};

export type RolloutPlan = {
  readonly record: RolloutRecord;
  /** Keys of stores and the generation each may run from now on. */
  readonly release: readonly { readonly key: string; readonly generation: number }[];
  readonly waves: readonly Wave[];
  /** One sentence for people: what happens, or why nothing does. */
  readonly message: string;
  /** When to look again though nothing happens; undefined: only when something does. */
  readonly lookAgainAtMs: number | undefined;
};
